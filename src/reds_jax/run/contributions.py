"""What the units of every group contribute to the layers that read them: second moments, from a run of the program.

A consumer is a product of an activation with a parameter: ``y[r, o] = sum_p x[r, p] k[p, o]`` over rows r (examples, positions)
and outputs o. Unit u of a group owns some of the positions p and contributes

    z_u[r, o] = sum over its positions p of x[r, p] k[p, o],      so that      y = sum_u z_u + what others contribute.

The Gram matrix of a group is ``G_uv = sum over consumers of E_r sum_o (z_u - E z_u)[r, o] (z_v - E z_v)[r, o]``: constants are
left to the biases and to batch norm. Where every unit owns one position, ``G = Cov(x) o (K K^T)``, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters import PureModel
from reds_jax.array_types import Float64
from reds_jax.graph.trace import traced
from reds_jax.lowering import traced_as
from reds_jax.run.readers import Consumer, consumers, some_of, watch

ROWS = 4096
"""Rows of one consumer that are looked at in one batch: examples times positions, a random part of them if there are more."""
ENTRIES = 1 << 24
"""Entries of the largest array that a consumer may need for them; fewer rows are looked at instead."""


class Moments(NamedTuple):
    """Of the contributions of U units to O outputs: rows, means [U, O], and the sum of squares about them [U, U]."""

    rows: Any
    mean: Any
    gram: Any


def gram_matrices(
    model: PureModel, variables: Any, batches: Iterable[Any], *, read: Callable[[Any], Any] = lambda x: x, seed: int = 0
) -> dict[str, Float64[np.ndarray, "_units _units"]]:
    """The Gram matrix of what the units of every group contribute to their consumers, in float64: {group name: [U, U]}.

    Args:
        model: as `reds_jax.adapters.adapt` returns it.
        variables: the full variables; statistics are frozen.
        batches: inputs, [N, ...] each.
        read: what the model reads of a batch, inside the compiled function; the same function is compiled once.
        seed: of the rows that are looked at.
    """
    readers: list[Consumer] = []
    sums: list[Moments] = []
    for i, inputs in enumerate(batches):
        readers = readers or consumers(traced(model, variables, jax.eval_shape(read, inputs)))
        found = _look(variables, inputs, jax.random.fold_in(jax.random.key(seed), i), model=model, read=read,
                      most=ROWS, lowering=traced_as())
        new = [Moments(*(np.asarray(a, np.float64) for a in one)) for one in found]
        sums = [joined(a, b) for a, b in zip(sums, new, strict=True)] if sums else new
    grams: dict[str, np.ndarray] = {}
    for j, reader in enumerate(readers):
        grams[reader.group] = grams.get(reader.group, 0) + sums[j].gram / sums[j].rows
    return grams


@partial(jax.jit, static_argnames=("model", "read", "most", "lowering"))
def _look(
    variables: Any, inputs: Any, key: jax.Array, *, model: PureModel, read: Callable[[Any], Any], most: int, lowering: Hashable
) -> list[Moments]:
    """The moments of every consumer in one batch, from at most so many rows."""
    del lowering  # the trace reads the form itself; as an argument it keeps the forms apart
    x = read(inputs)
    found = traced(model, variables, x)

    def look(i: int, reader: Consumer, x: Any, kernel: Any) -> Moments:
        return _moments(reader, x, kernel, jax.random.fold_in(key, i), most)

    return watch(found, consumers(found), look, variables, x, _together)


def joined(a: Moments, b: Moments) -> Moments:
    """The moments of the rows of both (Chan, Golub and LeVeque 1983, equation 2.1)."""
    rows, apart = a.rows + b.rows, b.mean - a.mean
    return Moments(rows, a.mean + apart * (b.rows / rows), a.gram + b.gram + (apart @ apart.T) * (a.rows * b.rows / rows))


def _together(turns: Moments) -> Moments:
    """The layers of a loop have weights of their own: each is a consumer, and their Gram matrices add up."""
    rows = turns.rows[0]
    size, outputs = turns.mean.shape[1], turns.mean.shape[2]
    return Moments(rows, jnp.moveaxis(turns.mean, 0, 1).reshape(size, -1 if outputs else 0), turns.gram.sum(0))


def _moments(reader: Consumer, x: Any, kernel: Any, key: jax.Array, most: int) -> Moments:
    """The moments of one consumer from its activation and its kernel."""
    k = reader.kernel(kernel.astype(jnp.float32))  # [B, T, J, O]
    at = reader.positions(k.shape[1])
    copies = max(k.shape[1], 1 if at.shape[1] == 1 else k.shape[3])  # of a channel: its taps, or what becomes of it
    x = reader.rows(x.astype(jnp.float32), k.shape[1],  # [B, R, T, J]
                    lambda count, channels: some_of(count, key, min(most, ENTRIES // (channels * copies))))
    b, r, t, j = x.shape
    mine = x.reshape(b, r, t * j)[:, :, at]  # [B, R, U, positions of a unit]
    weights = k.reshape(b, t * j, -1)[:, at]  # [B, U, positions, O]
    if at.shape[1] == 1:
        a, w = mine[..., 0], weights[:, :, 0]
        middle = a.mean(1, keepdims=True)
        covariance = jnp.einsum("bru,brv->buv", a - middle, a - middle, precision="highest")
        gram = (covariance * jnp.einsum("buo,bvo->buv", w, w, precision="highest")).sum(0)
        mean = jnp.einsum("bu,buo->ubo", middle[:, 0], w)
    else:
        z = jnp.einsum("brup,bupo->bruo", mine, weights, precision="highest")
        middle = z.mean(1, keepdims=True)
        gram = jnp.einsum("bruo,brvo->uv", z - middle, z - middle, precision="highest")
        mean = jnp.moveaxis(middle[:, 0], 0, 1)
    return Moments(jnp.float32(r), mean.reshape(len(at), -1), gram)
