"""How much of what the units of a group feed is there without them: where the results of their readers are added to others.

In a residual block ``t = b + s`` the units inside the block make b, and s goes around them. What the layers behind read is t,
and s alone explains a share of it,

    beta = tr(Cov(t, s) Cov(s)^+ Cov(s, t)) / tr(Cov(t)),

the coefficient of determination of the best linear map from s to t over examples and positions. It is the trace that a prefix
explains (`reds_jax.explained`), of a prefix that is there at every width. A prefix of the units that retains the share R of b
retains ``beta + (1 - beta) R`` of t. A group has a bypass if every one of its readers ends in such a sum, and the smallest
beta counts; a residual stream has none, since every block reads it. Between a reader and the sum there may be what acts on
each entry linearly: a bias, a scale, a batch norm with frozen statistics, a change of shape.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters import PureModel
from reds_jax.graph.trace import INFERENCE, Traced, traced
from reds_jax.lowering import traced_as
from reds_jax.program.flat import Operation, Value, opened
from reds_jax.program.norms import AFFINE
from reds_jax.run.contributions import ROWS, Moments, joined
from reds_jax.run.readers import Consumer, consumers, some_of, watch

CHANNELS = 2048
"""Channels of the largest sum that is looked at: beta of one with more counts as 0."""


def bypass_shares(
    model: PureModel, variables: Any, batches: Iterable[Any], *, read: Callable[[Any], Any] = lambda x: x, seed: int = 0
) -> dict[str, float]:
    """The share beta in [0, 1) of every group that has a bypass: {group name: beta}; adjusted for the number of rows.

    Args:
        model: as `reds_jax.adapters.adapt` returns it.
        variables: the full variables; statistics are frozen.
        batches: inputs, [N, ...] each.
        read: what the model reads of a batch, inside the compiled function; the same function is compiled once.
        seed: of the rows that are looked at.

    Source: that a residual network hardly needs a single block, Veit, Wilber and Belongie 2016, arXiv 1605.06431.
    """
    found: list[Consumer] = []
    sums: list[Moments] = []

    for i, inputs in enumerate(batches):
        found = found or sums_behind(traced(model, variables, jax.eval_shape(read, inputs)))
        if not found:
            return {}
        seen = _look(variables, inputs, jax.random.fold_in(jax.random.key(seed), i), model=model, read=read,
                     lowering=traced_as())
        new = [Moments(*(np.asarray(a, np.float64) for a in one)) for one in seen]
        sums = [joined(a, b) for a, b in zip(sums, new, strict=True)] if sums else new
    shares: dict[str, float] = {}
    for end, moments in zip(found, sums, strict=True):
        shares[end.group] = min(explained_share(moments), shares.get(end.group, 1.0))
    return shares


@partial(jax.jit, static_argnames=("model", "read", "lowering"))
def _look(
    variables: Any, inputs: Any, key: jax.Array, *, model: PureModel, read: Callable[[Any], Any], lowering: Hashable
) -> list[Moments]:
    """The moments of what goes around and of the sum, at every end in one batch."""
    del lowering  # the trace reads the form itself; as an argument it keeps the forms apart
    x = read(inputs)
    network = traced(model, variables, x)
    return watch(network, sums_behind(network), lambda i, end, b, s: _moments(network, end, b, s, jax.random.fold_in(key, i)),
                 variables, x, _pooled)


def explained_share(moments: Moments) -> float:
    """beta from the moments of [s, t]: the adjusted coefficient of determination, 0 where rows are too few for it."""
    channels, rows = len(moments.gram) // 2, float(moments.rows)
    s, st, t = moments.gram[:channels, :channels], moments.gram[:channels, channels:], moments.gram[channels:, channels:]
    trace = float(np.trace(t))
    if trace <= 0 or rows <= channels + 1:
        return 0.0
    unexplained = 1 - float(np.sum(st * (np.linalg.pinv(s, rcond=1e-6, hermitian=True) @ st))) / trace
    return float(np.clip(1 - unexplained * (rows - 1) / (rows - channels - 1), 0.0, 1 - 1e-6))


def sums_behind(network: Traced) -> list[Consumer]:
    """The sum behind every reader, of the groups whose readers all end in one; ``active`` is the side of the reader."""
    program, users = network.programs[INFERENCE], dict[int, list[Operation | None]]()
    operations = list(_everywhere(program.operations))
    results = [*program.outputs, *(x for op in operations if op.body is not None for x in op.body.outputs)]
    for user, inputs in [*((op, op.inputs) for op in operations), (None, results)]:
        for x in inputs:
            if isinstance(x, Value):
                users.setdefault(x.number, []).append(user)
    found: dict[str, list[Consumer | None]] = {}
    for reader in consumers(network):
        end = _sum_behind(reader.operation, users, network)
        found.setdefault(reader.group, []).append(end and Consumer(end[0], reader.group, reader.size, end[1], reader.unit))
    return [end for ends in found.values() if all(ends) for end in ends if end]


def _sum_behind(op: Operation, users: dict[int, list[Operation | None]], network: Traced) -> tuple[Operation, int] | None:
    """The sum with another activation that the output of an operation ends in, and its side there; None if in none.

    ``users`` are the operations that read a value, and None where it is a result.
    """
    while True:
        (output,) = op.outputs
        using = users.get(output.number, [])
        user = using[0] if len(using) == 1 else None
        if user is None or user.primitive.name not in AFFINE:
            return None
        op = user
        active = [i for i, x in enumerate(op.inputs) if network.state.is_active(x)]
        if len(active) > 1:
            sides = [i for i in active if op.inputs[i] is output]
            whole = len(sides) == 1 and op.inputs[0].shape == op.inputs[1].shape
            narrow = np.prod(_channels(network, op)[1]) <= CHANNELS
            return (op, sides[0]) if op.primitive.name in ("add", "sub") and whole and narrow else None
        if op.primitive.name == "div" and active != [0]:  # one over it
            return None


def _channels(network: Traced, op: Operation) -> tuple[list[int], list[int]]:
    """The axes of a sum that carry units, or the last one, and their lengths."""
    shape = op.outputs[0].shape
    found = [network.numbering.axis(labels) for labels in network.state.of(op.outputs[0])]
    axes = [i for i, axis in enumerate(found) if axis is not None] or [len(shape) - 1]
    return axes, [shape[i] for i in axes]


def _moments(network: Traced, end: Consumer, b: Any, s: Any, key: jax.Array) -> Moments:
    """Of what goes around and of the sum, as 2 C channels."""
    axes, lengths = _channels(network, end.operation)
    t = end.operation.primitive.bind(*((b, s) if end.active == 0 else (s, b)), **end.operation.params)
    rest = [i for i in range(t.ndim) if i not in axes]
    channels = int(np.prod(lengths))
    both = [a.astype(jnp.float32).transpose(*rest, *axes).reshape(-1, channels) for a in (s, t)]
    rows = jnp.concatenate(both, axis=1)[some_of(len(both[0]), key, ROWS)]
    mean = rows.mean(0)
    centred = rows - mean
    return Moments(jnp.float32(len(rows)), mean[:, None], jnp.einsum("ri,rj->ij", centred, centred, precision="highest"))


def _pooled(turns: Moments) -> Moments:
    """The turns of a loop as one set of rows."""
    each = [Moments(*(a[i] for a in turns)) for i in range(turns.rows.shape[0])]
    total = each[0]
    for one in each[1:]:
        total = joined(total, one)
    return total


def _everywhere(operations: Iterable[Operation]) -> Iterator[Operation]:
    """The operations, and those in the bodies of loops."""
    for op in operations:
        yield op
        if op.body is not None:
            yield from _everywhere(opened(op.body.items))
