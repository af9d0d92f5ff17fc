"""The training loop: epochs over data, validation of every subnetwork, early stop, log, checkpoints, resume.

A run is a chain of `Progress` values, each a pure function of the one before and of the configuration: the order of the
images comes from the key and the epoch, the randomness of a step from the key and the step. A checkpoint is such a value, so
a run that was killed at any moment and resumed ends like one that was not. (Bit for bit where the compiled step is
deterministic: on a CPU with the same number of threads; on a GPU with XLA's deterministic operations.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from rich.console import Console

from reds_jax.adapters import PureModel
from reds_jax.data.stream import Stream
from reds_jax.errors import RedsError
from reds_jax.interrupt import signals_interrupt, signals_wait
from reds_jax.private import variables_of
from reds_jax.processes import from_first, is_first
from reds_jax.training.checkpoint import Checkpoints
from reds_jax.training.config import FitConfig
from reds_jax.training.evaluate import measure
from reds_jax.training.feed import ArrayFeed, Feed, open_feed
from reds_jax.training.inputs import (
    Examples,
    Normalisation,
    target_check,
)
from reds_jax.training.log import Display, JsonLines, Record
from reds_jax.training.mesh import local
from reds_jax.training.objective import Objective
from reds_jax.training.progress import Best, Progress, save
from reds_jax.training.recalibrate import recalibrate
from reds_jax.training.schedule import learning_rate_of
from reds_jax.training.step import Step, TrainState
from reds_jax.widths import Width


class DivergedError(RedsError, ArithmeticError):
    """The loss or its gradient is not finite; ``step`` is the first such step.

    Args:
        what: what was wrong.
        step: the first such step.
        kwargs: as for `RedsError`.
    """

    def __init__(self, what: str, *, step: int, **kwargs: Any) -> None:
        super().__init__(what, **kwargs)
        self.step = step


@dataclass(frozen=True, eq=False)
class Run:
    """The parts of a run that do not change."""

    model: PureModel
    widths: tuple[Width, ...]
    config: FitConfig
    objective: Objective
    normalise: Normalisation | None
    step: Step
    train: Examples | Stream
    validation: Examples | Stream
    mesh: Mesh | None = None

    @property
    def resumes_within_epochs(self) -> bool:
        """Whether a checkpoint between two epochs can be gone on from."""
        return not isinstance(self.train, Stream) or self.train.resumes != "epoch"

    def finish(
        self, progress: Progress, checkpoints: Checkpoints | None, folder: Path | None, console: Console
    ) -> Progress:
        """Go on from ``progress`` to the end of the run."""
        path = None if folder is None else folder / "metrics.jsonl"
        with JsonLines(path, int(progress.state.step), progress.history) as log, signals_interrupt():
            return progress if progress.done else self.dispatches(progress, checkpoints, log, console)

    def dispatches(self, progress: Progress, checkpoints: Checkpoints | None, log: JsonLines, console: Console) -> Progress:
        """Dispatch after dispatch to the end of the run, with checkpoints."""
        config, done = self.config, int(progress.state.step)
        feed = open_feed(self.train, config, position=progress.position, epoch=progress.epoch, taken=progress.steps,
                         check=self.target_check(progress.state), mesh=self.mesh)
        with feed as source:
            per_epoch = source.steps_per_epoch
            total = None if per_epoch is None else done - progress.steps + (config.epochs - progress.epoch) * per_epoch
            with Display(console, self.objective.reported, total, done) as display:
                many = f"{len(self.widths)} subnetworks" if len(self.widths) > 1 else "the network"
                together = "" if self.mesh is None else f" on {self.mesh.size} devices"
                display.note(f"training {many}{together}{f', {total} steps' if total else ''}"
                             f"{f', from step {done} on' if done else ''}; compiling comes first")
                if checkpoints and not self.resumes_within_epochs:
                    self.tell(progress, log, display)
                try:
                    while not progress.done:
                        progress = self.advance(progress, source, log, display)
                        every = config.checkpoint_dispatches if self.resumes_within_epochs else None
                        if checkpoints and (progress.dispatch == 0 or (every and progress.dispatch % every == 0)):
                            save(checkpoints, progress, log)
                except (KeyboardInterrupt, SystemExit, OSError) as stop:  # rich exits if nobody reads its output
                    with signals_wait():
                        begun = progress.epoch or progress.dispatch
                        if checkpoints and is_first() and begun and (progress.dispatch == 0 or self.resumes_within_epochs):
                            save(checkpoints, progress, log)
                            stop.add_note(f"The checkpoint of step {int(progress.state.step)} is in {checkpoints.folder}.")
                    raise
        return progress

    def target_check(self, state: TrainState) -> Callable[[Any, str], None]:
        """What every batch of a stream is asked; arrays were checked before."""
        if not isinstance(self.train, Stream):
            return lambda targets, what: None
        variables = variables_of(state.params, state.batch_stats, 0)
        return target_check(self.objective, self.model, variables, self.train.example[0], self.normalise)

    def tell(self, progress: Progress, log: JsonLines, display: Display) -> None:
        """Say that the stream cannot be gone on with where it was."""
        again = f"; epoch {progress.epoch + 1} starts again, at a first batch" if progress.position else ""
        text = ("the stream cannot tell where it is: checkpoints are made after epochs only, and a run that is stopped starts "
                f"its epoch again{again}")
        log.append({"kind": "note", "epoch": progress.epoch, "step": int(progress.state.step), "text": text})
        display.note(text)

    def advance(self, progress: Progress, source: Feed, log: JsonLines, display: Display) -> Progress:
        """One dispatch, and the validation if it was the last one of the epoch."""
        begin = time.perf_counter()
        dispatch = source.next(progress.epoch, progress.dispatch)
        state, metrics = self.step(progress.state, dispatch.inputs, dispatch.targets, dispatch.indices)
        record = self.train_record(progress, state, metrics)
        record["seconds"] = time.perf_counter() - begin
        log.append(record)
        display.steps(record)
        steps = int(state.step) - int(progress.state.step)
        progress = replace(
            progress, state=state, dispatch=progress.dispatch + 1, steps=progress.steps + steps,
            position=dispatch.position, objective=progress.objective + steps * record["objective"],
            seconds=progress.seconds + record["seconds"])
        return self.validate(progress, source, record["learning_rate"], log, display) if dispatch.last else progress

    def train_record(self, before: Progress, state: TrainState, metrics: dict[str, jax.Array]) -> Record:
        """The log line of a dispatch; an error if a step was not finite."""
        first, last = int(before.state.step), int(state.step)
        objective = np.asarray(metrics["objective"])[: last - first]
        gradient = np.asarray(metrics["grad_norm"])[: last - first]
        bad = np.flatnonzero(~(np.isfinite(objective) & np.isfinite(gradient)))
        if bad.size or not bool(metrics["finite"]):
            step = first + int(bad[0]) if bad.size else last - 1
            raise DivergedError(f"training diverged in step {step}: the loss, its gradient or a parameter is not finite",
                                step=step, hint="Lower the learning rate, or check the inputs and their normalisation.")
        return {
            "kind": "train", "epoch": before.epoch, "step": last, "objective": float(objective.mean()),
            "grad_norm": float(gradient.mean()), "loss": np.asarray(metrics["loss"]).tolist(),
            "metric": np.asarray(metrics["metric"]).tolist(), "learning_rate": learning_rate_of(state.opt_state)}

    def validate(
        self, progress: Progress, source: Feed, learning_rate: float | None, log: JsonLines, display: Display
    ) -> Progress:
        """Close an epoch: statistics, metric of each subnetwork on the validation split, best so far, stop or not."""
        config, state, begin = self.config, progress.state, time.perf_counter()
        stats = state.batch_stats
        if config.recalibrate_batches:
            inputs = local(source.inputs) if isinstance(source, ArrayFeed) else self.train
            stats = recalibrate(
                self.model, {"params": state.params, "batch_stats": stats[0]}, self.widths, inputs,
                key=jax.random.fold_in(state.key, 2**31 - 2), batch_size=config.batch_size,
                batches=config.recalibrate_batches, normalise=self.normalise,
                devices=None if self.mesh is None else self.mesh.size)
        held = self.validation
        examples = (held, None) if isinstance(held, Stream) else (held.inputs, held.targets)
        results = measure(self.model, state.params, stats, self.widths, *examples, self.objective, self.normalise,
                          config.evaluate_batch_size, self.mesh)
        mean = from_first(lambda: math.fsum(r.metric for r in results) / len(results))
        best, epoch = progress.best, progress.epoch
        better = best is None or self.objective.reported.better(mean, best.metric)
        if best is None or better:
            best = Best(state.params, stats, epoch, mean)
        record: Record = {
            "kind": "epoch", "epoch": epoch, "step": int(state.step),
            "objective": progress.objective / progress.steps, "learning_rate": learning_rate,
            "validation_loss": [r.loss for r in results], "metric_name": self.objective.metric_name,
            "validation_metric": [r.metric for r in results], "validation_mean": mean, "best": better,
            "seconds": progress.seconds + time.perf_counter() - begin}
        log.append(record)
        display.epoch(record)
        stop = config.patience is not None and epoch - best.epoch >= config.patience
        return replace(progress, best=best, epoch=epoch + 1, dispatch=0, steps=0, objective=0.0, seconds=0.0,
                       history=(*progress.history, record), done=stop or epoch + 1 == config.epochs)
