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


def _forward(x: jax.Array, scale: jax.Array, bias: jax.Array, axis: int, epsilon: float):
    n = x.size // x.shape[axis]
    mean = x.sum(_rest(x, axis)) / n
    var = jnp.maximum((x * x).sum(_rest(x, axis)) / n - mean * mean, 0)
    inverse = lax.rsqrt(var + epsilon)
    factor = scale * inverse
    y = x * _over(factor, x, axis) + _over(bias - mean * factor, x, axis)
    return (y, mean, var), (x, scale, mean, inverse)


def normalise_batch(
    x: Float[Array | np.ndarray, "*shape"], scale: Float[Array | np.ndarray, " channels"],
    bias: Float[Array | np.ndarray, " channels"], axis: int, epsilon: float,
) -> tuple[Float[Array, "*shape"], Float[Array, " channels"], Float[Array, " channels"]]:
    """``y = scale * (x - mean) / sqrt(var + epsilon) + bias`` with mean and variance over all axes but ``axis`` [C].

    ``var = max(E[x^2] - E[x]^2, 0)``. Returns (y, mean, biased variance). With ``h = (x - mean) / sqrt(var + epsilon)``
    and a batch of n values a channel, ``dx = scale / sqrt(var + epsilon) * (g - sum(g) / n - h * sum(g * h) / n)``
    (Ioffe and Szegedy 2015, section 3).
    """
    return _normalise_batch(x, scale, bias, axis, epsilon)


def _value(
    x: jax.Array, scale: jax.Array, bias: jax.Array, axis: int, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
    return _forward(x, scale, bias, axis, epsilon)[0]


def _backward(axis: int, epsilon: float, saved: tuple[jax.Array, ...], cotangents: tuple[jax.Array, ...]):
    (x, scale, mean, inverse), (g, d_mean, d_var) = saved, cotangents
    n = math.prod(x.shape) // x.shape[axis]
    sum_g, sum_gx = g.sum(_rest(x, axis)), (g * x).sum(_rest(x, axis))
    d_scale = (sum_gx - mean * sum_g) * inverse  # sum(g * h)
    factor = scale * inverse
    slope = (2 * d_var - factor * inverse * d_scale) / n
    offset = (d_mean - factor * sum_g) / n - slope * mean
    dx = g * _over(factor, x, axis) + (x * _over(slope, x, axis) + _over(offset, x, axis))
    return dx, d_scale, sum_g


_normalise_batch = jax.custom_vjp(_value, nondiff_argnums=(3, 4))
_normalise_batch.defvjp(_forward, _backward)
