"""Loss and metric of every subnetwork, exact over all examples, in inference mode."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from reds_jax.adapters import PureModel
from reds_jax.array_types import Float
from reds_jax.checks import integer
from reds_jax.data.normalise import read
from reds_jax.data.split import Split
from reds_jax.data.stream import Stream
from reds_jax.data.tree import Tree, filled, rows
from reds_jax.errors import MetricError
from reds_jax.lowering import traced_as
from reds_jax.private import variables_of
from reds_jax.run import run
from reds_jax.run.nested import check_statistics
from reds_jax.training.feed import Check, read_ahead
from reds_jax.training.inputs import (
    Model,
    Normalisation,
    check_examples,
    check_finite,
    check_same_batches,
    check_split,
    pure_model,
    target_check,
)
from reds_jax.training.losses import AnyArray
from reds_jax.training.mesh import divided_over, evaluation_mesh, gathered, in_parts, replicated
from reds_jax.training.metric import Metric
from reds_jax.training.objective import Objective
from reds_jax.widths import Width, check_widths


@dataclass(frozen=True)
class Evaluation:
    """The result for one subnetwork.

    Args:
        metric: mean over the examples of what the objective reports.
        loss: mean of its loss.
        examples: all of them.
        reported: name, unit and direction of the metric.
    """

    metric: float
    loss: float
    examples: int
    reported: Metric

    @property
    def accuracy(self) -> float:
        """The metric, if that is an accuracy; an error otherwise."""
        if self.reported.name != "accuracy":
            raise MetricError("the accuracy was not measured", got=self.reported.name, hint="Read .metric.")
        return self.metric


def evaluate(
    model: Model,
    params: Any,
    batch_stats: Sequence[Any],
    widths: Sequence[Width],
    inputs: Any,
    targets: Any = None,
    *,
    objective: Objective | None = None,
    normalise: Normalisation | None = None,
    batch_size: int = 500,
    devices: int | None = None,
) -> tuple[Evaluation, ...]:
    """Run every subnetwork with its own statistics over all examples; the last batch is filled up and the filling not counted.

    Args:
        model: the network; compiled once a width, and not again for the same model, form of the examples and batch size.
        params: the full parameters; where there is a `reds_jax.Private`, each subnetwork has its own.
        batch_stats: of each subnetwork; empty dicts without batch norm.
        widths: of the subnetworks.
        inputs: [N, ...], an array or a tree; or a `Split`, or a `Stream` with batches of its own, which has the targets.
        targets: [N, ...]; None: the inputs as they are read.
        objective: by default `classification` for integer targets [N].
        normalise: as in training.
        batch_size: examples a batch; it does not change the result (but for the rounding of the sums). One that the devices do
            not divide is rounded up.
        devices: that share the examples of every batch; None: one, or all of all processes where there are several processes,
            each of which then calls this with the same arguments and gets the same result. 1 is this process alone. The result
            does not depend on it, but for rounding.

    Raises:
        InvalidArgumentError: no examples, examples that do not suit model and objective
            (`reds_jax.training.inputs.check_examples`), or more devices than there are.
    """
    integer("batch_size", batch_size, 1)
    mesh = evaluation_mesh(devices)
    widths = check_widths(widths)
    check_statistics(batch_stats, len(widths))
    variables = variables_of(params, batch_stats, 0)
    model = pure_model(model, variables)
    if isinstance(inputs, Split):
        inputs, targets = inputs.inputs, inputs.targets
    check_finite({"params": params, "batch_stats": tuple(batch_stats[1:])})
    if isinstance(inputs, Stream):
        found = check_split(objective, model, variables, inputs, normalise, "{} of the stream")
        if mesh is not None:
            check_same_batches(inputs)
    else:
        found, inputs = check_examples(objective, model, variables, inputs, targets, normalise, "{}")
    return measure(model, params, batch_stats, widths, inputs, targets, found, normalise, batch_size, mesh)


def measure(
    model: PureModel, params: Any, batch_stats: Sequence[Any], widths: Sequence[Width], inputs: Any, targets: Any,
    objective: Objective, normalise: Normalisation | None, batch_size: int, mesh: Mesh | None = None,
) -> tuple[Evaluation, ...]:
    """`evaluate` of examples that were checked before, on the devices of a mesh."""
    losses, metrics, total = np.zeros(len(widths)), np.zeros(len(widths)), 0
    if isinstance(inputs, Stream):
        check = target_check(objective, model, variables_of(params, batch_stats, 0), inputs.example[0], normalise)
        batches = _stream_batches(inputs, check, mesh)
    else:
        batches = _batches(inputs, targets, batch_size, mesh)
    if mesh is not None:
        params, batch_stats = replicated((params, tuple(batch_stats)), mesh)
    for x, y, real in batches:
        total += real
        for i, width in enumerate(widths):
            with divided_over(mesh):
                loss, metric = _batch(variables_of(params, batch_stats, i), x, y, model=model, width=width, objective=objective,
                                      normalise=normalise, mesh=mesh, lowering=traced_as())
            losses[i] += np.asarray(loss, np.float64)[:real].sum()
            metrics[i] += np.asarray(metric, np.float64)[:real].sum()
    return tuple(Evaluation(float(m / total), float(loss / total), total, objective.reported)
                 for m, loss in zip(metrics, losses, strict=True))


def _batches(inputs: Tree, targets: Tree, batch_size: int, mesh: Mesh | None) -> Iterator[tuple[Tree, Tree, int]]:
    """Batches of one size with the number of examples that count; the last is filled up with the last example."""
    total = rows(inputs)
    size = _divisible(min(batch_size, total), mesh)
    for start in range(0, total, size):
        indices = np.minimum(np.arange(start, start + size), total - 1)
        x, y = (None if tree is None else in_parts(tree, indices, mesh) for tree in (inputs, targets))
        yield x, y, min(size, total - start)


def _stream_batches(stream: Stream, check: Check, mesh: Mesh | None) -> Iterator[tuple[Tree, Tree, int]]:
    size = _divisible(stream.batch_size, mesh)
    for inputs, targets in read_ahead(stream, check=check):
        x, y = (None if tree is None else in_parts(filled(tree, size), slice(None), mesh) for tree in (inputs, targets))
        yield x, y, rows(inputs)


def _divisible(batch_size: int, mesh: Mesh | None) -> int:
    """The smallest batch of that size or more that the devices share equally."""
    return batch_size if mesh is None else -(-batch_size // mesh.size) * mesh.size


@partial(jax.jit, static_argnames=("model", "width", "objective", "normalise", "mesh", "lowering"))
def _batch(
    variables: Any, inputs: Tree, targets: Tree, *, model: PureModel, width: Width, objective: Objective,
    normalise: Normalisation | None, mesh: Mesh | None, lowering: Hashable,
) -> tuple[Float[AnyArray, " batch"], Float[AnyArray, " batch"]]:
    """Loss and metric of each example; one compilation serves splits of every size."""
    del lowering  # the trace reads the form itself; as an argument it keeps the forms apart
    x = read(inputs, normalise)
    outputs, _ = run(model, variables, x, width)
    y = x if targets is None else targets
    return gathered((objective.loss(outputs, y), objective.metric(outputs, y)), mesh)
