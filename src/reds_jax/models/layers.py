"""What the networks have in common: batch norm and initialisation as Keras has them, and the activations by name."""

from __future__ import annotations

import math
from functools import partial

import flax.linen as nn
import jax
from jax import lax

from reds_jax.checks import number

EPSILON = 1e-3
BatchNorm = partial(nn.BatchNorm, momentum=0.99, epsilon=EPSILON)
Conv = partial(nn.Conv, kernel_init=nn.initializers.he_normal())


def widened(channels: int, widen: float) -> int:
    """``floor(widen * channels)``, at least one.

    >>> widened(28, 1.5), widened(10, 1.1), widened(3, 0.1)
    (42, 11, 1)
    """
    return max(1, math.floor(number("widen", widen, 0, above=True) * channels + 1e-9))


def avg_pool(x: jax.Array, window: tuple[int, ...]) -> jax.Array:
    """`flax.linen.avg_pool` in steps of 1, which divides by a NumPy integer and so fails under strict dtype promotion."""
    return nn.pool(x, 0.0, lax.add, window, None, "VALID") / math.prod(window)


def leaky_relu(x: jax.Array) -> jax.Array:
    """``x`` where positive, ``0.3 x`` elsewhere (0.3 is Keras's default)."""
    return nn.leaky_relu(x, 0.3)


ACTIVATIONS = {"relu": nn.relu, "relu6": nn.relu6, "leaky_relu": leaky_relu}
