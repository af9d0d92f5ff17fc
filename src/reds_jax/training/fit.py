"""`fit`: the examples are checked, the step is built, and the run goes on from where its folder says."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console

from reds_jax.adapters import PureModel, adapt
from reds_jax.console import console as default_console
from reds_jax.data.stream import Stream
from reds_jax.data.tree import rows
from reds_jax.errors import InvalidArgumentError, MetricError
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.private import variables_of
from reds_jax.processes import agree, arrays_of_first, is_first
from reds_jax.program.norms import norm_parameters
from reds_jax.training.arrays import digest, flatten, unflatten
from reds_jax.training.averaged import averaged
from reds_jax.training.checkpoint import Checkpoints
from reds_jax.training.config import FitConfig
from reds_jax.training.inputs import Examples, Model, Normalisation, check_same_batches, check_split, output_shapes
from reds_jax.training.log import Record
from reds_jax.training.loop import Run
from reds_jax.training.mesh import batch_mesh
from reds_jax.training.metric import Metric
from reds_jax.training.objective import Objective
from reds_jax.training.progress import Progress, restore
from reds_jax.training.step import Draw, TrainState, step_builder
from reds_jax.widths import Width, check_widths


@dataclass(frozen=True)
class FitResult:
    """What `fit` returns.

    Args:
        state: after the last step.
        params, batch_stats: of the best epoch; the statistics are those that it was validated with. Parameters that each
            subnetwork has of its own are `reds_jax.Private`.
        best_epoch: counted from 0.
        best_metric: mean validation metric over the subnetworks, in the best epoch.
        reported: name, unit and direction of the metric.
        history: a record for each epoch.
    """

    state: TrainState
    params: Any
    batch_stats: tuple[Any, ...]
    best_epoch: int
    best_metric: float
    reported: Metric
    history: tuple[Record, ...]

    @property
    def best_accuracy(self) -> float:
        """The best metric, if that is an accuracy (0..1); an error otherwise."""
        if self.reported.name != "accuracy":
            raise MetricError("the accuracy was not measured", got=self.reported.name, hint="Read .best_metric.")
        return self.best_metric


def fit(
    model: Model,
    variables: Any,
    widths: Sequence[Width],
    train: Examples | Stream,
    validation: Examples | Stream,
    config: FitConfig,
    *,
    objective: Objective | None = None,
    sizes: Sequence[float] | None = None,
    normalise: Normalisation | None = None,
    folder: str | Path | None = None,
    resume: bool = True,
    console: Console | None = None,
    draw: Draw | None = None,
    after: TrainState | None = None,
    devices: int | None = None,
) -> FitResult:
    """Train the nested subnetworks, and choose the best epoch on the validation split alone.

    Args:
        model: the network.
        variables: what to start from: "params" and, with batch norm, "batch_stats"; None where the model holds them itself.
        widths: of the subnetworks, in any order; ``[1.0]`` is ordinary training.
        train: inputs and targets [N, ...] (a `Split`), or a `Stream` of batches.
        validation: the same; read after each epoch by every subnetwork with its own statistics.
        config: how to train.
        objective: what is learnt and reported; by default `classification` for integer targets [N].
        sizes: number of parameters of each subnetwork, see `make_train_step`.
        normalise: inputs as the model reads them, see `make_train_step`.
        folder: for config.json, metrics.jsonl and checkpoints; None: nothing is written.
        resume: continue the run in ``folder``, if there is one; otherwise that is an error. A run on a stream goes on at the
            same batch if the source can tell its state or is deterministic; otherwise its epoch starts again, which is said.
        console: where to show progress; ``rich.console.Console(quiet=True)`` is silent.
        draw: makes further subnetworks in every step, of widths that need not be known when it is compiled:
            ``draw(params, key)`` returns their parameters, zeros where they are cut. Each runs like the widest subnetwork, and
            its loss counts as much as the others do on average.
        after: where another run ended, whose number of steps and optimizer (so its learning rates) go on; the parameters are
            those of ``variables``.
        devices: that share the examples of every batch, in training and in validation; None: one, or all of all processes where
            there are several processes. The result does not depend on it, but for the rounding of sums, and a run may go on
            with another number. Of several processes, each of which calls this, the first one alone reads and writes ``folder``
            and shows its progress.

    Raises:
        InvalidArgumentError: an option that is not allowed, fewer examples than one batch, or examples that do not suit model
            and objective (`reds_jax.training.inputs.check_examples`).
        DataError: a batch of a stream that cannot be used.
        DivergedError: the loss, its gradient or a parameter is not finite; the last checkpoint is from before that.
        CheckpointError: the folder holds a run with another configuration, or a damaged one, or another process writes to it.
        ProcessError: several processes were started with different options or data, or the first one cannot use the folder.
        KeyboardInterrupt: by Ctrl-C, and in the main thread by SIGTERM and SIGHUP (`reds_jax.interrupt`): a checkpoint of the
            last dispatch is in the folder.
        OSError: the folder cannot be written; the last checkpoint stays.
    """
    run, start = prepare(model, variables, widths, train, validation, config, objective=objective, sizes=sizes,
                         normalise=normalise, draw=draw, after=after, devices=devices)
    if jax.process_count() > 1:
        start = Progress(unflatten(start.state, arrays_of_first(flatten(start.state))))
        agree("options or data", _description(run, start.state, sizes, draw, after))
    console = Console(quiet=True) if not is_first() else default_console() if console is None else console
    if folder is None:
        return _result(run.finish(start, None, None, console), run.objective)
    description = _description(run, start.state, sizes, draw, after)
    with Checkpoints(Path(folder), description, resume=resume) as checkpoints:
        found = checkpoints.latest()
        progress = start if found is None else restore(start, *found)
        return _result(run.finish(progress, checkpoints, Path(folder) if is_first() else None, console), run.objective)


def prepare(
    model: Model, variables: Any, widths: Sequence[Width], train: Examples | Stream, validation: Examples | Stream,
    config: FitConfig, *, objective: Objective | None = None, sizes: Sequence[float] | None = None,
    normalise: Normalisation | None = None, test: Examples | Stream | None = None, draw: Draw | None = None,
    after: TrainState | None = None, devices: int | None = None,
) -> tuple[Run, Progress]:
    """The run of `fit` and where it starts, all that can be refused refused; nothing is compiled, run or written.

    Args:
        test: is asked what the other splits are asked; the rest is that of `fit`.

    Raises:
        InvalidArgumentError: as `fit`.
    """
    model, variables = adapt(model, variables)
    widths = check_widths(widths)
    mesh = batch_mesh(devices, config.batch_size)
    optimizer = config.optimizer.build()
    if config.distill_average:
        optimizer = averaged(optimizer, config.distill_average)
    build = step_builder(
        model, optimizer, widths, weights=config.weights, sizes=sizes, distill=config.distill, sandwich=config.sandwich,
        normalise=normalise, augment=config.augment, share=config.share, draw=draw, mesh=mesh,
        compute_dtype=config.compute_dtype)
    key = jax.random.key(config.seed)
    state = TrainState.create(variables, optimizer, len(widths), key)
    splits = {"training": train, "validation": validation} | ({} if test is None else {"test": test})
    objective = _checked(objective, model, state, splits, config, normalise)
    if config.norms == "private":
        inputs = train.example[0] if isinstance(train, Stream) else train.inputs
        state = TrainState.create(variables, optimizer, len(widths), key, private=_norms(model, variables, inputs, normalise))
    if after is not None:
        if jax.tree.map(jnp.shape, after.opt_state) != jax.tree.map(jnp.shape, state.opt_state):
            raise InvalidArgumentError("the optimizer of the run to go on from has another state",
                                       hint="Give the same optimizer, model and norms.")
        state = dataclasses.replace(state, opt_state=after.opt_state, step=after.step)
    return Run(model, widths, config, objective, normalise, build(objective), train, validation, mesh), Progress(state)


def _norms(model: PureModel, variables: Any, inputs: Any, normalise: Normalisation | None) -> frozenset[str]:
    """The paths of the scale and the offset of every batch norm; an error if there are none."""
    _, x = output_shapes(model, variables, inputs, normalise)
    found = norm_parameters(traced(model, variables, x).programs[INFERENCE])
    if not found:
        raise InvalidArgumentError("the network has no batch norm with a scale or an offset that could be private",
                                   got="norms='private'", allowed="norms='shared'")
    return found


def _result(progress: Progress, objective: Objective) -> FitResult:
    best = progress.best
    assert best is not None  # every epoch ends with a validation
    return FitResult(progress.state, best.params, best.batch_stats, best.epoch, best.metric, objective.reported,
                     progress.history)


def _checked(
    objective: Objective | None, model: PureModel, state: TrainState, splits: Mapping[str, Examples | Stream],
    config: FitConfig, normalise: Normalisation | None,
) -> Objective:
    """The objective, if all examples (of a stream the first batch) suit it and the model."""
    variables = variables_of(state.params, state.batch_stats, 0)
    for name, split in splits.items():
        objective = check_split(objective, model, variables, split, normalise, f"{name} {{}}")
        if isinstance(split, Stream):
            check_same_batches(split)
    train = splits["training"]
    if isinstance(train, Stream):
        if train.batch_size != config.batch_size:
            raise InvalidArgumentError("the batches of the stream have another size than the configuration says",
                                       got=train.batch_size, allowed=f"batch_size={config.batch_size}",
                                       hint=f"Give FitConfig(batch_size={train.batch_size}).")
    elif rows(train.inputs) < config.batch_size:
        raise InvalidArgumentError("the training split is smaller than a batch", got=rows(train.inputs),
                                   allowed=f"{config.batch_size} examples or more")
    assert objective is not None
    return objective


def _description(
    run: Run, state: TrainState, sizes: Sequence[float] | None, draw: Draw | None = None, after: TrainState | None = None,
) -> dict[str, Any]:
    """All that the result depends on, as JSON: options in words, arrays as digests, streams by what they are."""
    data = {name: f"{split.describe()}, {split.steps} steps" if isinstance(split, Stream)
            else digest(flatten({"inputs": split.inputs, "targets": split.targets}))
            for name, split in (("train", run.train), ("validation", run.validation))}
    options = dataclasses.asdict(dataclasses.replace(run.config, augment="none"))
    before_choice = {"norms": "shared", "distill_average": 0.0, "compute_dtype": "float32"}  # such a run goes on
    for name, before in before_choice.items():
        if options[name] == before:
            del options[name]
    more = {} if draw is None else {"draw": _name(draw)}
    if after is not None:
        more["after"] = digest(flatten({"opt_state": state.opt_state, "step": state.step}))
    return {
        "fit": {**options, "augment": augment if isinstance(augment := run.config.augment, str) else _name(augment)},
        "model": _name(run.model), "widths": [repr(w) for w in run.widths],
        "objective": _name(run.objective), "sizes": None if sizes is None else [float(s) for s in sizes],
        "normalise": _name(run.normalise), "data": data,
        "initial": digest(flatten({"params": state.params, "batch_stats": state.batch_stats[0]})), **more}


def _name(value: object) -> str:
    """``repr`` without addresses in memory, which differ from run to run."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
