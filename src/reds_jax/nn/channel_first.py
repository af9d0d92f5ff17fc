"""The ``"dot"`` form: convolution and pooling in the layout [C, H, W, N], with shifted products and matrix products.

A kernel of k_h x k_w positions reads k_h * k_w shifted views of the padded input. A depthwise convolution is the sum of the
views times one weight per channel; a convolution stacks the views and multiplies once by the kernel; a pool adds or
compares the views, one spatial axis at a time. No `lax.conv` appears, whose CPU form is slow for grouped convolutions
and inside loops (jax-ml/jax issues 23713 and 12868).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax

from reds_jax.errors import InvalidArgumentError

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]


def spatial_padding(padding: str, size: Pair, window: Pair, strides: Pair) -> Pads:
    """Rows and columns of padding that ``"SAME"`` or ``"VALID"`` adds before and after; both agree with `jax.lax`."""
    if padding == "VALID":
        if size[0] < window[0] or size[1] < window[1]:
            raise InvalidArgumentError("a window does not fit into its input", got={"input": size, "window": window},
                                       allowed="a window that is not larger than the input, or padding='SAME'")
        return (0, 0), (0, 0)
    if padding != "SAME":
        raise InvalidArgumentError("unknown padding", got=padding, allowed="'SAME', 'VALID'")

    def one(n: int, k: int, s: int) -> Pair:
        total = max((-(-n // s) - 1) * s + k - n, 0)
        return total // 2, total - total // 2

    return one(size[0], window[0], strides[0]), one(size[1], window[1], strides[1])


def _out(n: int, pads: Pair, k: int, s: int) -> int:
    return (n + sum(pads) - k) // s + 1


def _view(x: jax.Array, i: int, j: int, out: Pair, strides: Pair) -> jax.Array:
    """What kernel position (i, j) sees of the padded ``x`` [C, H, W, N]: [C, H_out, W_out, N]."""
    (h, w), (sh, sw) = out, strides
    return lax.slice(x, (0, i, j, 0), (x.shape[0], i + (h - 1) * sh + 1, j + (w - 1) * sw + 1, x.shape[3]), (1, sh, sw, 1))


def _pad(x: jax.Array, pads: Pads, value: float = 0.0) -> jax.Array:
    if pads == ((0, 0), (0, 0)):
        return x
    return jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=value)


def _undo_view(g: jax.Array, i: int, j: int, padded: Pair, strides: Pair) -> jax.Array:
    """The transpose of `_view`: cotangents [C, H_out, W_out, N] put back at their places in the padded input."""
    (sh, sw), (h, w) = strides, g.shape[1:3]
    low = (i, j)
    high = (padded[0] - i - (h - 1) * sh - 1, padded[1] - j - (w - 1) * sw - 1)
    config = ((0, 0, 0), (low[0], high[0], sh - 1), (low[1], high[1], sw - 1), (0, 0, 0))
    return lax.pad(g, jnp.zeros((), g.dtype), config)


def _shift_sum(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads) -> jax.Array:
    kh, kw, _ = kernel.shape
    out = _out(x.shape[1], pads[0], kh, strides[0]), _out(x.shape[2], pads[1], kw, strides[1])
    x = _pad(x, pads)
    terms = (_view(x, i, j, out, strides) * kernel[i, j][:, None, None, None] for i in range(kh) for j in range(kw))
    return reduce(jnp.add, terms)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads) -> jax.Array:
    """Depthwise convolution ``y[c] = sum_ij kernel[i, j, c] * view_ij(x)[c]``; x [C, H, W, N], kernel [k_h, k_w, C].

    The gradient of the kernel is k_h * k_w sums over one product each, taken in a single variadic reduction: one pass.
    """
    return _shift_sum(x, kernel, strides, pads)


def _depthwise_forward(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads):
    return _shift_sum(x, kernel, strides, pads), (x, kernel)


def _depthwise_backward(strides: Pair, pads: Pads, saved: tuple[jax.Array, jax.Array], g: jax.Array):
    x, kernel = saved
    kh, kw, c = kernel.shape
    out, (h, w) = (g.shape[1], g.shape[2]), x.shape[1:3]
    padded = h + sum(pads[0]), w + sum(pads[1])
    xp = _pad(x, pads)
    positions = [(i, j) for i in range(kh) for j in range(kw)]
    products = tuple(_view(xp, i, j, out, strides) * g for i, j in positions)
    zeros = tuple(jnp.zeros((), x.dtype) for _ in positions)
    sums = lax.reduce(products, zeros, lambda a, b: tuple(p + q for p, q in zip(a, b, strict=True)), (1, 2, 3))
    d_kernel = jnp.stack(sums).reshape(kh, kw, c)
    if strides == (1, 1):  # the input's gradient is the same convolution with the kernel turned round
        back = (kh - 1 - pads[0][0], kh - 1 - pads[0][1]), (kw - 1 - pads[1][0], kw - 1 - pads[1][1])
        if min(min(p) for p in back) >= 0:
            return _shift_sum(g, kernel[::-1, ::-1], (1, 1), back), d_kernel
    d_xp = reduce(jnp.add, (_undo_view(g * kernel[i, j][:, None, None, None], i, j, padded, strides) for i, j in positions))
    return d_xp[:, pads[0][0] : pads[0][0] + h, pads[1][0] : pads[1][0] + w], d_kernel


depthwise.defvjp(_depthwise_forward, _depthwise_backward)


def conv(x: jax.Array, kernel: jax.Array, strides: Pair, pads: Pads, groups: int) -> jax.Array:
    """Convolution as one matrix product; x [I, H, W, N], kernel [k_h, k_w, I / groups, O] -> [O, H_out, W_out, N]."""
    kh, kw, per_group, features = kernel.shape
    out = _out(x.shape[1], pads[0], kh, strides[0]), _out(x.shape[2], pads[1], kw, strides[1])
    x = _pad(x, pads)
    batch = x.shape[3]
    if groups == 1:
        if (kh, kw) == (1, 1):
            views = _view(x, 0, 0, out, strides)
        else:
            views = jnp.concatenate([_view(x, i, j, out, strides) for i in range(kh) for j in range(kw)])
        y = kernel.reshape(-1, features).T @ views.reshape(kh * kw * per_group, -1)
    else:
        views = jnp.stack([_view(x, i, j, out, strides) for i in range(kh) for j in range(kw)])
        views = views.reshape(kh * kw, groups, per_group, -1)
        y = jnp.einsum("kigo,kgim->gom", kernel.reshape(kh * kw, per_group, groups, -1), views)
    return y.reshape(features, *out, batch)


def pool(
    x: jax.Array, window: Pair, strides: Pair, pads: Pads, value: float, combine: Callable[[jax.Array, jax.Array], jax.Array]
) -> jax.Array:
    """Combine the views of a window, rows first and then columns; padding counts as ``value``. x [C, H, W, N]."""
    x = _pad(x, pads, value)
    h, w = _out(x.shape[1], (0, 0), window[0], strides[0]), _out(x.shape[2], (0, 0), window[1], strides[1])
    x = reduce(combine, (_view(x, i, 0, (h, x.shape[2]), (strides[0], 1)) for i in range(window[0])))
    return reduce(combine, (_view(x, 0, j, (h, w), (1, strides[1])) for j in range(window[1])))
