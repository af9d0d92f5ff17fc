"""The ``"dot"`` form: convolution and pooling in the layout [C, *positions, N], with shifted products and matrix products.

A kernel reads one shifted view of the padded input for each of its positions. A depthwise convolution is the sum of the views
times one weight per channel; a convolution stacks the views and multiplies once by the kernel; a pool adds or compares the
views, one spatial axis at a time. No `lax.conv` appears, whose CPU form is slow for grouped convolutions and inside loops
(jax-ml/jax issues 23713 and 12868). Any number of spatial axes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from reds_jax.array_types import Array, Float
from reds_jax.lowering import is_divided

Ints = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Window:
    """How a kernel moves: strides, (before, after) padding and dilation of the kernel for every spatial axis."""

    strides: Ints
    pads: Pads
    dilation: Ints

    def out(self, size: Sequence[int], kernel: Sequence[int]) -> Ints:
        """Positions of the result."""
        return tuple((n + sum(p) - (k - 1) * d - 1) // s + 1
                     for n, k, s, p, d in zip(size, kernel, self.strides, self.pads, self.dilation, strict=True))


def _positions(kernel: Sequence[int]) -> Iterator[Ints]:
    return itertools.product(*map(range, kernel))


def _view(x: jax.Array, position: Ints, out: Ints, w: Window) -> jax.Array:
    """What one kernel position sees of the padded ``x`` [C, *S, N]: [C, *out, N]."""
    start = [i * d for i, d in zip(position, w.dilation, strict=True)]
    limit = [a + (n - 1) * s + 1 for a, n, s in zip(start, out, w.strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *limit, x.shape[-1]), (1, *w.strides, 1))


def _pad(x: jax.Array, pads: Pads) -> jax.Array:
    """Zeros around the positions; negative padding crops."""
    if not any(map(any, pads)):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *((a, b, 0) for a, b in pads), (0, 0, 0)))


def _undo_view(g: jax.Array, position: Ints, padded: Ints, w: Window) -> jax.Array:
    """The transpose of `_view`: cotangents [C, *out, N] put back at their places in the padded input."""
    config = [(0, 0, 0)]
    for i, d, n, s, total in zip(position, w.dilation, g.shape[1:-1], w.strides, padded, strict=True):
        config.append((i * d, total - i * d - (n - 1) * s - 1, s - 1))
    return lax.pad(g, jnp.zeros((), g.dtype), (*config, (0, 0, 0)))


def _along_channels(vector: jax.Array, x: jax.Array) -> jax.Array:
    return vector.reshape(-1, *(1,) * (x.ndim - 1))


def _shift_sum(x: jax.Array, kernel: jax.Array, w: Window) -> jax.Array:
    out = w.out(x.shape[1:-1], kernel.shape[:-1])
    x = _pad(x, w.pads)
    return reduce(jnp.add, (_view(x, p, out, w) * _along_channels(kernel[p], x) for p in _positions(kernel.shape[:-1])))


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(
    x: Float[Array, "channels *positions batch"], kernel: Float[Array, "*taps channels"], w: Window
) -> Float[Array, "channels *out batch"]:
    """Depthwise convolution ``y[c] = sum_p kernel[p, c] * view_p(x)[c]``; x [C, *S, N], kernel [*k, C].

    The gradient of the kernel is one sum over a product for every position, taken in a single variadic reduction: one pass.
    """
    return _shift_sum(x, kernel, w)


def _depthwise_forward(x: jax.Array, kernel: jax.Array, w: Window):
    return _shift_sum(x, kernel, w), (x, kernel)


def _depthwise_backward(w: Window, saved: tuple[jax.Array, jax.Array], g: jax.Array):
    x, kernel = saved
    *size, channels = kernel.shape
    out, xp = g.shape[1:-1], _pad(x, w.pads)
    positions = list(_positions(size))
    products = tuple(_view(xp, p, out, w) * g for p in positions)
    zeros = tuple(jnp.zeros((), x.dtype) for _ in positions)
    sums = lax.reduce(products, zeros, lambda a, b: tuple(p + q for p, q in zip(a, b, strict=True)), range(1, x.ndim))
    d_kernel = jnp.stack(sums).reshape(*size, channels)
    if set(w.strides) == {1}:  # the input's gradient is the same convolution with the kernel turned round
        back = tuple(((k - 1) * d - a, (k - 1) * d - b) for k, d, (a, b) in zip(size, w.dilation, w.pads, strict=True))
        if min(map(min, back)) >= 0:
            turned = jnp.flip(kernel, tuple(range(len(size))))
            return _shift_sum(g, turned, Window(w.strides, back, w.dilation)), d_kernel
    d_xp = reduce(jnp.add, (_undo_view(g * _along_channels(kernel[p], g), p, xp.shape[1:-1], w) for p in positions))
    return _pad(d_xp, tuple((-a, -b) for a, b in w.pads)), d_kernel


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def conv(
    x: Float[Array, "inputs *positions batch"], kernel: Float[Array, "*taps inputs_a_group outputs"], w: Window, groups: int
) -> Float[Array, "outputs *out batch"]:
    """Convolution as one matrix product; x [I, *S, N], kernel [*k, I / groups, O] -> [O, *out, N]."""
    *size, per_group, features = kernel.shape
    out = w.out(x.shape[1:-1], size)
    x = _pad(x, w.pads)
    batch, taps = x.shape[-1], math.prod(size)
    # One axis of positions and batch takes half the time of two, and cannot be divided by examples.
    rest = (*out, batch) if is_divided() else (-1,)
    if groups == 1:
        if taps == 1:
            views = _view(x, (0,) * len(size), out, w)
        else:
            views = jnp.concatenate([_view(x, p, out, w) for p in _positions(size)])
        rows = kernel.reshape(-1, features).T
        y = lax.dot_general(rows, views.reshape(taps * per_group, *rest), (((1,), (0,)), ((), ())))
    else:
        views = jnp.stack([_view(x, p, out, w) for p in _positions(size)]).reshape(taps, groups, per_group, *rest)
        y = jnp.einsum("kigo,kgi...->go...", kernel.reshape(taps, per_group, groups, -1), views)
    return y.reshape(features, *out, batch)


def pool(
    x: jax.Array, window: Ints, strides: Ints, pads: Pads, empty: float, combine: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """Combine the views of a window, one axis after the other; padding counts as ``empty``. Any layout, an entry an axis."""
    if any(map(any, pads)):
        x = jnp.pad(x, pads, constant_values=empty)
    for axis, (k, s) in enumerate(zip(window, strides, strict=True)):
        if k > 1 or s > 1:
            n = (x.shape[axis] - k) // s + 1
            x = reduce(combine, (lax.slice_in_dim(x, i, i + (n - 1) * s + 1, s, axis) for i in range(k)))
    return x
