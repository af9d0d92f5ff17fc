"""The folder of a run: one set of options, one data set, one owner; a command that is refused changes nothing in it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from functools import reduce
from typing import Any

from reds_jax import report
from reds_jax.errors import CheckpointError
from reds_jax.experiments.config import Experiment
from reds_jax.processes import agree, from_first
from reds_jax.training.arrays import read_json, write_text
from reds_jax.training.checkpoint import differing
from reds_jax.training.owner import LOCK, owned

FREE = ("output", "compilation_cache", "data", "rivals", "subnetworks.before_training", "devices", "coordinator",
        "process_id", "processes")
"""Options that may differ: folders move, data are compared by what they hold, as the latency table is, which its digest stands
for; rivals and lines of the report are additions, and the result does not depend on the devices."""
HINT = "Give another --output, or the options of the run, which are in its config.json."


class RunFolder:
    """The output folder of a command: looked at when it is made, entered and changed once everything is accepted.

    Of several processes, which call every method together, the first one alone reads and writes it.

    Args:
        task: of the experiment.
        command: as it was typed, for the record.
        experiment: the options.

    Raises:
        CheckpointError: the folder holds a run with other options, or (on entering) another process writes to it; or there is
            no such latency table.
        OSError: there is a file in its place.
    """

    def __init__(self, task: str, command: str, experiment: Experiment) -> None:
        self.path, self._held = experiment.output, ExitStack()
        self._record = json.loads(report.to_json({"task": task, "command": command, "options": experiment,
                                                  "latency_table": digest_of_table(experiment)}))
        self._there: dict[str, Any] = {}
        from_first(self._compare)

    def __enter__(self) -> RunFolder:
        from_first(self._own)
        return self

    def _own(self) -> None:
        self._owned = (self.path / LOCK).exists()
        if self._owned:
            self._held.enter_context(owned(self.path))

    def __exit__(self, *raised: object) -> None:
        self._held.close()

    def check_data(self, fingerprint: str, source: str) -> None:
        """Refuse other data than those of the run in the folder.

        Raises:
            CheckpointError: their fingerprints differ.
        """
        agree("data", fingerprint)
        there = from_first(lambda: self._there.get("fingerprint", fingerprint))
        if there != fingerprint:
            raise CheckpointError(f"the run in {self.path} has other data (--data)", got=source, hint=HINT)

    def accept(self, fingerprint: str) -> None:
        """Make and own the folder, and write config.json: nothing was refused.

        Raises:
            CheckpointError: another process writes to it, or has begun another run in it meanwhile.
            OSError: the folder cannot be made or written.
        """
        from_first(lambda: self._accept(fingerprint))

    def _accept(self, fingerprint: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if not self._owned:
            self._held.enter_context(owned(self.path))
            self._compare()
        self._record["fingerprint"] = fingerprint
        if self._record != self._there:
            write_text(self.path / "config.json", report.to_json(self._record))

    def _compare(self) -> None:
        """Read config.json, and refuse options that differ from it."""
        if self.path.exists() and not self.path.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self.path))
        path = self.path / "config.json"
        self._there = read_json(path) if path.exists() else {}
        if not self._there:
            return
        old, new = ({"task": c.get("task"), **_options(c)} for c in (self._there, self._record))
        names = [n for n in differing(old, new) if n not in FREE]
        if not set(old.get("rivals") or ()) <= set(new["rivals"]):
            names.append("rivals")
        if names:
            raise CheckpointError(f"the run in {self.path} has other options",
                                  got=", ".join(f"--{n} {_at(new, n)} (there {_at(old, n)})" for n in names), hint=HINT)


def digest_of_table(experiment: Experiment) -> str | None:
    """What stands for the latency table where options are compared: the digest of what it says; None where there is none."""
    table = experiment.subnetworks.read_table()
    return None if table is None else table.digest()


def _options(config: Mapping[str, Any]) -> dict[str, Any]:
    options = config.get("options")
    if not isinstance(options, dict):
        return {}
    before = {"pretrain": {"compute_dtype": "float32"},  # a run from before there was a choice
              "nested": {"norms": "shared", "distill_average": 0.0, "compute_dtype": "float32"}}
    options = {**options, **{name: {**chosen, **found} for name, chosen in before.items()
                             if isinstance(found := options.get(name), dict)}}
    if isinstance(chosen := options.get("subnetworks"), dict):
        options["subnetworks"] = {**chosen, "latency_table": config.get("latency_table")}
    return options


def _at(options: Any, name: str) -> Any:
    """The value under a dotted name; None where there is none."""
    return reduce(lambda tree, part: tree.get(part) if isinstance(tree, dict) else None, name.split("."), options)
