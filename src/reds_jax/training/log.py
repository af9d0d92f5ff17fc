"""What a run tells: JSON lines in a file that survives a kill, and progress on the terminal."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reds_jax.training.arrays import write_text
from reds_jax.training.metric import Metric

Record = dict[str, Any]


def finite(value: Any) -> Any:
    """``value`` as JSON: numbers that are not finite become None.

    >>> finite([1.0, float("nan")])
    [1.0, None]
    """
    if isinstance(value, Mapping):
        return {name: finite(v) for name, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class JsonLines:
    """A file of JSON lines that a resumed run goes on with, and does not need.

    What is written behind the checkpoint that the run resumes from is dropped, so that every record is there once. What was
    lost of the file is made good from the checkpoint, which has the records of the epochs.

    Args:
        path: the file, or None: nothing is written.
        step: updates that the checkpoint has made.
        history: the records of the epochs that it has finished.
    """

    def __init__(self, path: Path | None, step: int, history: Sequence[Record]) -> None:
        self._file = None
        if path is None:
            return
        before = path.read_bytes() if path.exists() else b""
        kept = [record for line in before.split(b"\n") if (record := _record(line)) and _is_known(record, step, len(history))]
        there = {record["epoch"] for record in kept if record["kind"] == "epoch"}
        kept += [record for record in map(finite, history) if record["epoch"] not in there]
        kept.sort(key=lambda record: (record["epoch"], record["kind"] == "epoch", record["step"]))
        text = "".join(_line(record) for record in kept)
        if text.encode() != before:
            write_text(path, text)
        self._path, self._file = str(path), open(path, "ab", buffering=0)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, record: Record) -> None:
        """Write one line and hand it to the operating system."""
        if self._file is None:
            return
        rest = _line(finite(record)).encode()
        try:
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error

    def sync(self) -> None:
        """Force the lines to the disk, before the checkpoint that comes after them."""
        if self._file is not None:
            os.fsync(self._file.fileno())


def _line(record: Record) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _record(line: bytes) -> Record | None:
    """The record in a line; None if it was torn or is none."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    known = isinstance(record, dict) and isinstance(record.get("kind"), str)
    return record if known and all(type(record.get(name)) is int for name in ("epoch", "step")) else None


def _is_known(record: Record, step: int, epochs: int) -> bool:
    """Whether a record was written before the checkpoint; a note belongs to what comes after it."""
    if record["kind"] == "epoch":
        return record["epoch"] < epochs
    return record["step"] <= step - (record["kind"] == "note")


class Display:
    """A bar with loss, metric and time left on a terminal; elsewhere a line an epoch, and one when 30 s were silent.

    Args:
        console: where to write; a `rich.console.Console(quiet=True)` is silent.
        metric: what is reported.
        steps: of the whole run; None if that is not known yet.
        done: steps made before (a resumed run).
    """

    silence_seconds = 30.0

    def __init__(self, console: Console, metric: Metric, steps: int | None, done: int) -> None:
        self._console, self._metric, self._steps, self._spoken = console, metric, steps, time.monotonic()
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}", markup=False), TimeRemainingColumn(), console=console,
            disable=not console.is_terminal, transient=True)
        self._task: TaskID = self._bar.add_task("training", total=steps, completed=done, numbers="")

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print what the user should know of the run."""
        self._spoken = time.monotonic()
        self._console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def steps(self, record: Record) -> None:
        """Show a record of training steps."""
        numbers = f"loss {record['objective']:.3f}  {self._metric.label} {self._numbers(record['metric'])}"
        epoch = f"epoch {record['epoch'] + 1}"
        self._bar.update(self._task, completed=record["step"], description=epoch, numbers=numbers)
        if not self._console.is_terminal and time.monotonic() - self._spoken > self.silence_seconds:
            self.note(f"{epoch}: step {record['step']}{f' of {self._steps}' if self._steps else ''}, {numbers}")

    def epoch(self, record: Record) -> None:
        """Print the record of an epoch."""
        best = "  *" if record["best"] else ""
        self.note(
            f"epoch {record['epoch'] + 1}: loss {record['objective']:.4f}, validation {self._metric.label} "
            f"{self._numbers(record['validation_metric'])} (mean {self._metric.number(record['validation_mean'])}), "
            f"{record['seconds']:.1f} s{best}")

    def _numbers(self, values: list[float]) -> str:
        return " ".join(self._metric.number(v, 1) for v in values)
