"""Where a run is: one immutable value, which a checkpoint stores and restores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reds_jax.training.arrays import flatten, unflatten
from reds_jax.training.checkpoint import Checkpoints
from reds_jax.training.log import JsonLines, Record
from reds_jax.training.step import TrainState


@dataclass(frozen=True)
class Best:
    """The best epoch by the mean validation metric over the subnetworks; of equal ones the first."""

    params: Any
    batch_stats: tuple[Any, ...]
    epoch: int
    metric: float


@dataclass(frozen=True)
class Progress:
    """Where a run is: all that the rest of it depends on.

    Args:
        state: of the training.
        best: None before the first validation.
        epoch: epochs finished.
        dispatch: dispatches made in the current epoch.
        steps: steps made in the current epoch.
        position: in the stream that is trained on, as JSON; None for arrays, and before the first dispatch.
        objective: sum of the losses of the steps in the current epoch.
        seconds: wall time of the current epoch.
        history: the records of the finished epochs.
        done: whether the run is over.
    """

    state: TrainState
    best: Best | None = None
    epoch: int = 0
    dispatch: int = 0
    steps: int = 0
    position: dict[str, Any] | None = None
    objective: float = 0.0
    seconds: float = 0.0
    history: tuple[Record, ...] = ()
    done: bool = False


_COUNTERS = ("epoch", "dispatch", "steps", "position", "objective", "seconds", "done")


def save(checkpoints: Checkpoints, progress: Progress, log: JsonLines) -> None:
    """Commit a checkpoint of ``progress``; the log is on the disk before it."""
    log.sync()
    arrays: dict[str, Any] = {"state": progress.state}
    meta: dict[str, Any] = {name: getattr(progress, name) for name in _COUNTERS}
    meta |= {"history": list(progress.history), "best": None}
    if progress.best is not None:
        arrays["best"] = {"params": progress.best.params, "batch_stats": progress.best.batch_stats}
        meta["best"] = {"epoch": progress.best.epoch, "metric": progress.best.metric}
    position = 2 * int(progress.state.step) + (progress.dispatch == 0)  # the end of an epoch follows its last step
    checkpoints.save(position, flatten(arrays), meta)


def restore(start: Progress, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> Progress:
    """The progress that was saved; ``start`` gives the form of its state.

    Raises:
        CheckpointError: the arrays have another form.
    """
    like: dict[str, Any] = {"state": start.state}
    if meta["best"] is not None:
        like["best"] = {"params": start.state.params, "batch_stats": start.state.batch_stats}
    tree = unflatten(like, arrays)
    best = meta["best"] and Best(tree["best"]["params"], tree["best"]["batch_stats"], **meta["best"])
    return Progress(tree["state"], best, history=tuple(meta["history"]), **{name: meta[name] for name in _COUNTERS})
