"""How many epochs fit into a time: what a stage costs is measured in a trial of a few steps, compilation apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

MARGIN = 0.9  # of the time is planned with: checkpoints, and epochs that take longer than those of the trial


@dataclass(frozen=True)
class Cost:
    """Seconds of a stage: ``fixed + epochs * (steps * step + rest)``.

    Args:
        fixed: before and after the epochs, compilation above all.
        step: of one training step.
        rest: of an epoch beside its steps: validation.
    """

    fixed: float
    step: float
    rest: float

    def epoch(self, steps: int) -> float:
        """Seconds of an epoch of so many steps."""
        return steps * self.step + self.rest


def measured(log: Sequence[dict[str, Any]], wall: float) -> Cost:
    """The cost of a stage from the log of a trial, whose last epoch compiles nothing, and from all its seconds on the clock."""
    before, last = [record for record in log if record["kind"] == "epoch"][-2:]
    trained = sum(r["seconds"] for r in log if r["kind"] == "train" and r["epoch"] == last["epoch"])
    epochs = last["epoch"] + 1
    return Cost(max(0.0, wall - epochs * last["seconds"]), trained / (last["step"] - before["step"]), last["seconds"] - trained)


def step_seconds(log: Sequence[dict[str, Any]]) -> float | None:
    """Seconds of a training step: the median over the dispatches but the first, which compiles; None if there is no other."""
    train = [record for record in log if record["kind"] == "train"]
    later = [b["seconds"] / (b["step"] - a["step"]) for a, b in pairwise(train)]
    return median(later) if later else None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The records of a training run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def epochs_that_fit(costs: Sequence[Cost], steps: int, seconds: float, *, most: int) -> int:
    """The most epochs, the same for each of the stages, that all of them take within the time; at least 1.

    Args:
        costs: of the stages, one after the other.
        steps: of an epoch.
        seconds: for all of them.
        most: more are never needed.
    """
    room = MARGIN * seconds - sum(cost.fixed for cost in costs)
    return max(1, min(most, int(room / sum(cost.epoch(steps) for cost in costs))))
