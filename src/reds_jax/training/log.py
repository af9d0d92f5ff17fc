"""What a run tells: JSON lines in a file that survives a kill, and progress on the terminal."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from reds_jax.errors import CheckpointError
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
    """A file of JSON lines, opened at line ``keep``: what a killed run wrote behind its checkpoint is dropped.

    Args:
        path: the file, or None: nothing is written.
        keep: lines that the checkpoint knows of.

    Raises:
        CheckpointError: the file has fewer whole lines than that.
    """

    def __init__(self, path: Path | None, keep: int) -> None:
        self.lines = keep
        self._file = None
        if path is None:
            return
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = text.split("\n")[:-1]  # a last line without its end was torn
        if len(lines) < keep:
            raise CheckpointError(f"{path} is shorter than its checkpoint", got=len(lines), allowed=f"{keep} lines",
                                  hint="Restore the file, or begin anew in another folder.")
        kept = "".join(line + "\n" for line in lines[:keep])
        if kept != text:
            write_text(path, kept)
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, record: Record) -> None:
        """Write one line and hand it to the operating system."""
        self.lines += 1
        if self._file is not None:
            self._file.write(json.dumps(finite(record), allow_nan=False) + "\n")
            self._file.flush()

    def sync(self) -> None:
        """Force the lines to the disk, so that a checkpoint never knows of more lines than there are."""
        if self._file is not None:
            os.fsync(self._file.fileno())


class Display:
    """A bar with loss, metric and time left on a terminal; elsewhere one line an epoch.

    Args:
        console: where to write; a ``rich.console.Console(quiet=True)`` is silent.
        metric: what is reported.
        steps: of the whole run; None if that is not known yet.
        done: steps made before (a resumed run).
    """

    def __init__(self, console: Console, metric: Metric, steps: int | None, done: int) -> None:
        self._console, self._metric = console, metric
        self._bar = Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True)
        self._task: TaskID = self._bar.add_task("training", total=steps, completed=done, numbers="")

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """Print what the user should know of the run."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def steps(self, record: Record) -> None:
        """Show a record of training steps."""
        numbers = f"loss {record['objective']:.3f}  {self._metric.label} {self._numbers(record['metric'])}"
        self._bar.update(self._task, completed=record["step"], description=f"epoch {record['epoch'] + 1}", numbers=numbers)

    def epoch(self, record: Record) -> None:
        """Print the record of an epoch."""
        best = "  *" if record["best"] else ""
        self._console.print(
            f"epoch {record['epoch'] + 1}: loss {record['objective']:.4f}, validation {self._metric.label} "
            f"{self._numbers(record['validation_metric'])} (mean {self._metric.number(record['validation_mean'])}), "
            f"{record['seconds']:.1f} s{best}", highlight=False, soft_wrap=True)

    def _numbers(self, values: list[float]) -> str:
        return " ".join(self._metric.number(v, 1) for v in values)
