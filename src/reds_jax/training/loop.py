"""The training loop: epochs over shuffled data, validation of every subnetwork, early stop, log, checkpoints, resume.

A run is a chain of `Progress` values, each a pure function of the one before and of the configuration: the order of the
images comes from the key and the epoch, the randomness of a step from the key and the step. A checkpoint is such a value, so
a run that was killed at any moment and resumed ends like one that was not. (Bit for bit where the compiled step is
deterministic: on a CPU with the same number of threads; on a GPU with XLA's deterministic operations.)
"""

from __future__ import annotations

import dataclasses
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.training.arrays import digest, flatten
from reds_jax.training.checkpoint import Checkpoints
from reds_jax.training.config import FitConfig
from reds_jax.training.evaluate import evaluate
from reds_jax.training.inputs import Examples, Model, Normalisation
from reds_jax.training.log import Display, JsonLines, Record
from reds_jax.training.progress import Best, Progress, restore, save
from reds_jax.training.recalibrate import recalibrate
from reds_jax.training.schedule import learning_rate_of
from reds_jax.training.step import TrainState, make_train_step
from reds_jax.widths import Width


class DivergedError(RedsError, ArithmeticError):
    """The loss or its gradient is not finite; ``step`` is the first such step."""

    def __init__(self, what: str, *, step: int, **kwargs: Any) -> None:
        super().__init__(what, **kwargs)
        self.step = step


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Args:
        state: after the last step.
        params, batch_stats: of the best epoch; the statistics are those that it was validated with.
        best_epoch: counted from 0.
        best_accuracy: mean validation accuracy over the subnetworks, 0..1.
        history: a record for each epoch.
    """

    state: TrainState
    params: Any
    batch_stats: tuple[Any, ...]
    best_epoch: int
    best_accuracy: float
    history: tuple[Record, ...]


def fit(
    model: Model,
    variables: Any,
    widths: Sequence[Width],
    train: Examples,
    validation: Examples,
    config: FitConfig,
    *,
    sizes: Sequence[float] | None = None,
    normalise: Normalisation | None = None,
    folder: str | Path | None = None,
    resume: bool = True,
    console: Console | None = None,
) -> FitResult:
    """Train the nested subnetworks, and choose the best epoch on the validation split alone.

    Args:
        model: the network.
        variables: what to start from: "params" and, with batch norm, "batch_stats".
        widths: of the subnetworks, in any order; ``[1.0]`` is ordinary training.
        train: images [N, H, W, C], uint8 or floats, and labels [N].
        validation: the same; read after each epoch by every subnetwork with its own statistics.
        config: how to train.
        sizes: number of parameters of each subnetwork, see `make_train_step`.
        normalise: pixels to floats, see `make_train_step`.
        folder: for config.json, metrics.jsonl and checkpoints; None: nothing is written.
        resume: continue the run in ``folder``, if there is one; otherwise that is an error.
        console: where to show progress; `rich.console.Console(quiet=True)` is silent.

    Raises:
        InvalidArgumentError: an option that is not allowed, or fewer images than one batch.
        DivergedError: the loss, its gradient or a parameter is not finite; the last checkpoint is from before that.
        CheckpointError: the folder holds a run with another configuration, or a damaged one.
    """
    if len(train.images) < config.batch_size:
        raise InvalidArgumentError("the training split is smaller than a batch", got=len(train.images),
                                   allowed=f"{config.batch_size} images or more")
    if len(validation.images) == 0:
        raise InvalidArgumentError("the validation split is empty", allowed="at least one image")
    optimizer = config.optimizer.build()
    step = make_train_step(
        model, optimizer, widths, weights=config.weights, sizes=sizes, distill=config.distill, sandwich=config.sandwich,
        normalise=normalise, augment=config.augment, share=config.share)
    start = Progress(TrainState.create(variables, optimizer, len(widths), jax.random.key(config.seed)))
    run = _Run(model, tuple(widths), config, normalise, step, jnp.asarray(train.images), jnp.asarray(train.labels),
               np.asarray(validation.images), np.asarray(validation.labels))
    console = Console() if console is None else console
    if folder is None:
        return run.finish(start, None, None, console)
    description = _description(model, start.state, widths, train, validation, config, sizes, normalise)
    with Checkpoints(Path(folder), description, resume=resume) as checkpoints:
        found = checkpoints.latest()
        return run.finish(start if found is None else restore(start, *found), checkpoints, Path(folder), console)


@dataclass(frozen=True, eq=False)
class _Run:
    """The parts of a run that do not change."""

    model: Model
    widths: tuple[Width, ...]
    config: FitConfig
    normalise: Normalisation | None
    step: Callable[..., Any]
    images: jax.Array
    labels: jax.Array
    validation_images: np.ndarray
    validation_labels: np.ndarray

    @property
    def steps_per_epoch(self) -> int:
        return len(self.images) // self.config.batch_size

    @property
    def dispatches(self) -> int:
        return -(-self.steps_per_epoch // self.config.steps_per_dispatch)

    def finish(
        self, progress: Progress, checkpoints: Checkpoints | None, folder: Path | None, console: Console
    ) -> FitResult:
        """Go on from ``progress`` to the end of the run."""
        config, path = self.config, None if folder is None else folder / "metrics.jsonl"
        total, done = config.epochs * self.steps_per_epoch, int(progress.state.step)
        with JsonLines(path, progress.lines) as log, Display(console, total, done) as display:
            try:
                while not progress.done:
                    progress = self.advance(progress, log, display)
                    every = config.checkpoint_dispatches
                    if checkpoints and (progress.dispatch == 0 or (every and progress.dispatch % every == 0)):
                        save(checkpoints, progress, log)
            except KeyboardInterrupt:
                if checkpoints and (progress.epoch or progress.dispatch):
                    save(checkpoints, progress, log)
                raise
        best = progress.best
        assert best is not None
        return FitResult(progress.state, best.params, best.batch_stats, best.epoch, best.accuracy, progress.history)

    def advance(self, progress: Progress, log: JsonLines, display: Display) -> Progress:
        """One dispatch, and the validation if it was the last one of the epoch."""
        begin = time.perf_counter()
        state, metrics = self.step(progress.state, self.images, self.labels, self.indices(progress))
        record = self.train_record(progress, state, metrics)
        record["seconds"] = time.perf_counter() - begin
        log.append(record)
        display.steps(record)
        steps = int(state.step) - int(progress.state.step)
        progress = replace(
            progress, state=state, dispatch=progress.dispatch + 1, lines=log.lines,
            objective=progress.objective + steps * record["objective"], seconds=progress.seconds + record["seconds"])
        if progress.dispatch < self.dispatches:
            return progress
        return self.validate(progress, record["learning_rate"], log, display)

    def indices(self, progress: Progress) -> np.ndarray:
        """The rows [steps_per_dispatch, batch] of this dispatch; a short rest is filled up with -1."""
        order = np.random.default_rng((self.config.seed, progress.epoch)).permutation(len(self.images)).astype(np.int32)
        k, batch = self.config.steps_per_dispatch, self.config.batch_size
        rows = order[: self.steps_per_epoch * batch].reshape(-1, batch)[progress.dispatch * k : (progress.dispatch + 1) * k]
        return np.concatenate([rows, np.full((k - len(rows), batch), -1, np.int32)])

    def train_record(self, before: Progress, state: TrainState, metrics: dict[str, jax.Array]) -> Record:
        """The log line of a dispatch; an error if a step was not finite."""
        first, last = int(before.state.step), int(state.step)
        objective = np.asarray(metrics["objective"])[: last - first]
        gradient = np.asarray(metrics["grad_norm"])[: last - first]
        bad = np.flatnonzero(~(np.isfinite(objective) & np.isfinite(gradient)))
        if bad.size or not bool(metrics["finite"]):
            step = first + int(bad[0]) if bad.size else last - 1
            raise DivergedError(f"training diverged in step {step}: the loss, its gradient or a parameter is not finite",
                                step=step, hint="Lower the learning rate, or check the images and their normalisation.")
        return {
            "kind": "train", "epoch": before.epoch, "step": last, "objective": float(objective.mean()),
            "grad_norm": float(gradient.mean()), "loss": np.asarray(metrics["loss"]).tolist(),
            "accuracy": np.asarray(metrics["accuracy"]).tolist(), "learning_rate": learning_rate_of(state.opt_state)}

    def validate(self, progress: Progress, learning_rate: float | None, log: JsonLines, display: Display) -> Progress:
        """Close an epoch: statistics, accuracy of each subnetwork on the validation split, best so far, stop or not."""
        config, state, begin = self.config, progress.state, time.perf_counter()
        stats = state.batch_stats
        if config.recalibrate_batches:
            stats = recalibrate(
                self.model, {"params": state.params, "batch_stats": stats[0]}, self.widths, self.images,
                key=jax.random.fold_in(state.key, 2**31 - 2), batch_size=config.batch_size,
                batches=config.recalibrate_batches, normalise=self.normalise)
        results = evaluate(self.model, state.params, stats, self.widths, self.validation_images, self.validation_labels,
                           normalise=self.normalise, batch_size=config.evaluate_batch_size)
        mean = math.fsum(r.accuracy for r in results) / len(results)
        best, epoch = progress.best, progress.epoch
        better = best is None or mean > best.accuracy
        if best is None or better:
            best = Best(state.params, stats, epoch, mean)
        record: Record = {
            "kind": "epoch", "epoch": epoch, "step": int(state.step),
            "objective": progress.objective / self.steps_per_epoch, "learning_rate": learning_rate,
            "validation_loss": [r.loss for r in results],
            "validation_accuracy": [r.accuracy for r in results], "validation_mean": mean, "best": better,
            "seconds": progress.seconds + time.perf_counter() - begin}
        log.append(record)
        display.epoch(record)
        stop = config.patience is not None and epoch - best.epoch >= config.patience
        return replace(progress, best=best, epoch=epoch + 1, dispatch=0, objective=0.0, seconds=0.0, lines=log.lines,
                       history=(*progress.history, record), done=stop or epoch + 1 == config.epochs)


def _description(
    model: Model, state: TrainState, widths: Sequence[Width], train: Examples, validation: Examples, config: FitConfig,
    sizes: Sequence[float] | None, normalise: Normalisation | None,
) -> dict[str, Any]:
    """All that the result depends on, as JSON: options in words, arrays as digests."""
    data = {name: digest({"images": split.images, "labels": split.labels})
            for name, split in (("train", train), ("validation", validation))}
    return {
        "fit": dataclasses.asdict(config), "model": _name(model), "widths": [repr(w) for w in widths],
        "sizes": None if sizes is None else [float(s) for s in sizes], "normalise": _name(normalise), "data": data,
        "initial": digest(flatten({"params": state.params, "batch_stats": state.batch_stats[0]}))}


def _name(value: object) -> str:
    """``repr`` without addresses in memory, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
