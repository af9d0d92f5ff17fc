"""Batch norm with the statistics of the batch, and its gradient in closed form: two passes over the input each.

Automatic differentiation keeps several arrays of the input's size and writes the gradient in three steps; here the
input alone is kept, and value and gradient are both an affine map per channel, which XLA fuses with what is around them.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.array_types import Array, Float


def _over(vector: jax.Array, x: jax.Array, axis: int) -> jax.Array:
    return vector.reshape(tuple(-1 if i == axis else 1 for i in range(x.ndim)))


def _rest(x: jax.Array, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(x.ndim) if i != axis)


def moments(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Shift s, mean - s, and biased variance, [C] each, over all axes but ``axis``, in one pass.

    ``mean - s = E[d]`` and ``var = max(E[d^2] - E[d]^2, 0)`` with ``d = x - s`` and s the value in the middle of every
    channel. With s = 0, as frameworks write it, nothing is left of the variance in float32 where the mean is 1000 times the
    standard deviation; s is one of the n values, so ``(mean - s)^2 <= n var``.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", section 4 (shifted data).
    """
    shift = x
    for i in _rest(x, axis):
        shift = lax.slice_in_dim(shift, x.shape[i] // 2, x.shape[i] // 2 + 1, axis=i)
    shifted, n = x - shift, x.size // x.shape[axis]
    mean = shifted.sum(_rest(x, axis)) / n
    return shift.reshape(-1), mean, jnp.maximum((shifted * shifted).sum(_rest(x, axis)) / n - mean * mean, 0)


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, axis: int, epsilon: float):
    shift, rest, var = moments(x, axis)
    mean, inverse = shift + rest, lax.rsqrt(var + epsilon)
    factor = scale * inverse
    y = x * _over(factor, x, axis) + _over(bias - mean * factor, x, axis)
    return (y, mean, var), (x, scale, shift, rest, inverse)


def normalise_batch(
    x: Float[Array | np.ndarray, "*shape"], scale: Float[Array | np.ndarray, " channels"],
    bias: Float[Array | np.ndarray, " channels"], axis: int, epsilon: float,
) -> tuple[Float[Array, "*shape"], Float[Array, " channels"], Float[Array, " channels"]]:
    """``y = scale * (x - mean) / sqrt(var + epsilon) + bias`` with mean and variance over all axes but ``axis`` [C].

    Returns (y, mean, biased variance), see `moments`. With ``h = (x - mean) / sqrt(var + epsilon)``
    and a batch of n values a channel, ``dx = scale / sqrt(var + epsilon) * (g - sum(g) / n - h * sum(g * h) / n)``
    (Ioffe and Szegedy 2015, section 3).
    """
    return _normalise_batch(x, scale, bias, axis, epsilon)


def _value(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axis: int, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    return _forward(x, scale, bias, axis, epsilon)[0]


def _backward(axis: int, epsilon: float, saved: tuple[jax.Array, ...], cotangents: tuple[jax.Array, ...]):
    (x, scale, shift, rest, inverse), (g, d_mean, d_var) = saved, cotangents
    n = math.prod(x.shape) // x.shape[axis]
    sum_g = g.sum(_rest(x, axis))
    d_scale = ((g * (x - _over(shift, x, axis))).sum(_rest(x, axis)) - rest * sum_g) * inverse  # sum(g * h)
    factor = scale * inverse
    slope = (2 * d_var - factor * inverse * d_scale) / n
    offset = (d_mean - factor * sum_g) / n - slope * (shift + rest)
    dx = g * _over(factor, x, axis) + (x * _over(slope, x, axis) + _over(offset, x, axis))
    return dx, d_scale, sum_g


_normalise_batch = jax.custom_vjp(_value, nondiff_argnums=(3, 4))
_normalise_batch.defvjp(_forward, _backward)
