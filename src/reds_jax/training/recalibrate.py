"""The batch statistics of each subnetwork, exact over given inputs instead of a moving average.

A subnetwork sees other sums in every layer than the full network, so the full network's statistics ruin it. Here
each layer is normalised by the statistics of the batch, as in training, and those are pooled over all batches.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from reds_jax.adapters import PureModel, adapt
from reds_jax.adapters.pure import typed_key
from reds_jax.adapters.trees import batch_stats_of
from reds_jax.checks import integer
from reds_jax.data.normalise import read
from reds_jax.data.split import Split
from reds_jax.data.stream import Stream
from reds_jax.data.tree import Tree, rows, take
from reds_jax.errors import DataError
from reds_jax.lowering import traced_as
from reds_jax.private import among, private_paths, variables_of
from reds_jax.run import run_nested
from reds_jax.training.feed import read_ahead
from reds_jax.training.inputs import (
    Model,
    Normalisation,
    check_finite,
    check_inputs,
    check_same_batches,
    in_32_bits,
    output_shapes,
    outputs_of,
)
from reds_jax.training.mesh import divided_over, evaluation_mesh, gathered, in_parts, replicated
from reds_jax.training.moving import MovingStatistics, filled, pool
from reds_jax.training.sandwich import widest_first
from reds_jax.widths import Width, check_widths

MANY = 2**30
"""A number of batches after which a moving average is free of where it started, whatever its momentum."""


def recalibrate(
    model: Model,
    variables: Any,
    widths: Sequence[Width],
    inputs: Any,
    *,
    key: jax.Array,
    batch_size: int = 100,
    batches: int | None = None,
    normalise: Normalisation | None = None,
    devices: int | None = None,
) -> tuple[Any, ...]:
    """The batch statistics of every subnetwork, pooled over batches b = 1..B by the law of total variance.

    ``mean = avg_b mean_b`` and ``var = avg_b var_b + avg_b (mean_b - mean)^2``: the mean and the (biased) variance over all
    positions of all B batches. Channels that a subnetwork does not keep get 0 and are never read. Which array is the variance
    of which mean is told by their names (`reds_jax.training.moving`); any other moving average is averaged over the batches.

    It does not matter which layer keeps the statistics, as long as its update is ``new = m old + (1 - m) batch``: ``m`` is
    measured, dropout is off. What does not move (a constant of a preprocessing layer, a batch norm that is frozen) and what
    is no float (a counter) stays as it is given; but a counter of batches that inference divides by, to make up for a start
    at 0 (equinox), is set so high that nothing is left to make up for.

    Args:
        model: the network.
        variables: "params" and "batch_stats"; the values of moving statistics do not matter. Where there is a
            `reds_jax.Private`, each subnetwork has its own.
        widths: of the subnetworks, in any order; the result follows it. All run in one trace and share what they can.
        inputs: [N, ...] of the training split, an array or a tree, or the `Split`; of a `Stream` the first B batches are read.
        key: draws which examples, without replacement; not used with a stream.
        batch_size: examples a batch; at most N are used.
        batches: B; by default all N examples, but for the rest that fills no batch.
        normalise: as in training.
        devices: that share the examples of every batch, as in `reds_jax.training.evaluate`.

    Returns:
        For every width the statistics in the form of ``variables["batch_stats"]``; empty dicts without batch norm.

    Raises:
        InvalidArgumentError: no inputs, an option out of range, a batch that the devices do not divide (it cannot be filled up:
            the statistics are of all its examples), a statistic that is no moving average, or parameters or statistics that are
            not finite, by their path.

    Source: "post-statistics of batch norm", US-Nets (Yu and Huang 2019, arXiv 1903.05134), with the exact variance.
    """
    widths = check_widths(widths)
    order = widest_first(widths)
    private = private_paths(variables)
    own = variables_of(variables["params"], [batch_stats_of(variables)] * len(widths), order[0]) if private else variables
    pure, first = adapt(model, own)
    integer("batch_size", batch_size, 1)
    if batches is not None:
        integer("batches", batches, 1)
    inputs = inputs.inputs if isinstance(inputs, Split) else inputs
    if not isinstance(inputs, Stream):
        inputs = check_inputs(inputs, "inputs to recalibrate with", normalise)
        size = min(batch_size, rows(inputs))
    else:
        check_inputs(inputs.example[0], f"inputs of the stream {inputs.name!r}", normalise)
        size = inputs.batch_size
    if (mesh := evaluation_mesh(devices, size)) is not None and isinstance(inputs, Stream):
        check_same_batches(inputs)
    params = among(variables["params"], order) if private else first["params"]
    given = jax.tree.map(in_32_bits, batch_stats_of(first))
    check_finite({"params": params})
    chosen = tuple(widths[i] for i in order)
    output_shapes(pure, first, inputs.example[0] if isinstance(inputs, Stream) else inputs, normalise)
    key = typed_key(key)
    if not jax.tree.leaves(given):
        return ({},) * len(widths)

    def observe(stats: Sequence[Any], x: Tree) -> tuple[Any, tuple[Any, ...]]:
        with divided_over(mesh):
            return _observe(params, tuple(stats), x, model=pure, widths=chosen, normalise=normalise, mesh=mesh,
                            lowering=traced_as())

    def probe(stats: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
        return observe(stats if mesh is None else replicated(tuple(stats), mesh), x)

    params = params if mesh is None else replicated(params, mesh)
    source = _streamed(inputs, batches) if isinstance(inputs, Stream) else _drawn(inputs, key, size, batches)
    moving, zeroed, found, held, indices = None, (), [], None, None
    for held, indices in source:
        x = in_parts(held, indices, mesh)
        if moving is None:
            moving = MovingStatistics.measure(probe, given, len(widths))
            zeroed = moving.zeroed if mesh is None else replicated(moving.zeroed, mesh)
        found.append(jax.tree.map(np.asarray, observe(zeroed, x)[1]))
    if moving is None:  # arrays have at least one batch
        raise DataError(f"the stream {inputs.name!r} has no whole batch to recalibrate with",
                        hint="Can its source be started again?")
    if moving.counters:
        few, many = (filled(given, dict.fromkeys(moving.counters, n)) for n in (1, MANY))
        batch = take(held, indices)
        a, b = (outputs_of(pure, {**first, "batch_stats": stats}, batch, normalise) for stats in (few, many))
        if not all(np.allclose(p, q, rtol=1e-6) for p, q in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)):
            given = many
    pooled = [pool([moving.of_batch(i, stats[i]) for stats in found], given) for i in range(len(widths))]
    check_finite({"batch_stats": tuple(pooled)})
    return tuple(pooled[order.index(i)] for i in range(len(widths)))


def _drawn(inputs: Tree, key: jax.Array, size: int, batches: int | None) -> Iterator[tuple[Tree, np.ndarray]]:
    """Inputs, and the rows of batches drawn without replacement."""
    total = rows(inputs)
    count = total // size if batches is None else min(batches, total // size)
    for indices in np.asarray(jax.random.permutation(key, total))[: count * size].reshape(count, size):
        yield inputs, indices


def _streamed(stream: Stream, batches: int | None) -> Iterator[tuple[Tree, slice]]:
    """The inputs of the first batches of a pass, all rows of each, but for a smaller one at its end."""
    for inputs, _ in read_ahead(stream, batches):
        if rows(inputs) == stream.batch_size:
            yield inputs, slice(None)


@partial(jax.jit, static_argnames=("model", "widths", "normalise", "mesh", "lowering"))
def _observe(
    params: Any, stats: tuple[Any, ...], inputs: Tree, *, model: PureModel, widths: tuple[Width, ...],
    normalise: Normalisation | None, mesh: Mesh | None, lowering: Hashable,
) -> tuple[Any, tuple[Any, ...]]:
    """Outputs, and statistics after one batch, for every width, the widest first; dropout is off."""
    del lowering  # the trace reads the form itself; as an argument it keeps the forms apart
    results = run_nested(model, params, stats, read(inputs, normalise), widths, train=True, dropout=False)
    return gathered((tuple(outputs for outputs, _ in results), tuple(new for _, new in results)), mesh)
