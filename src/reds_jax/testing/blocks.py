"""Blocks of the literature in plain flax.linen, small: loops, an attention, a channel shuffle, a gate."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

ZEROS = nn.initializers.zeros_init()


class Decaying(nn.Module):
    """A hand-written loop over the rows of [N, H, W, C]: ``h_t = x_t + clip(decay * h_{t-1}, -4, 4)``."""

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        decay = self.param("decay", ZEROS, (x.shape[-1],))

        def turn(h: jax.Array, row: jax.Array) -> tuple[jax.Array, jax.Array]:
            h = row + jnp.clip(jnp.broadcast_to(decay, h.shape) * h, -4, 4)
            return h, h

        rows = x.swapaxes(0, 1)
        return lax.scan(turn, jnp.zeros_like(rows[0]), rows)[1].swapaxes(0, 1)


class Recurrent(nn.Module):
    """A GRU over the rows of [N, H, W, C], the columns side by side as in a batch (Cho et al. 2014, arXiv 1406.1078)."""

    features: int

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        cell = nn.GRUCell(self.features, kernel_init=ZEROS, recurrent_kernel_init=ZEROS)
        return jnp.asarray(nn.RNN(cell)(x.swapaxes(1, 2))).swapaxes(1, 2)


class _Turn(nn.Module):
    """``x + relu(dense(x))``, as `nn.scan` repeats it."""

    @nn.compact
    def __call__(self, x: Any, _: None) -> tuple[jax.Array, None]:
        return x + nn.relu(nn.Dense(x.shape[-1], kernel_init=ZEROS)(x)), None


class Stack(nn.Module):
    """Two equal blocks with their parameters on top of each other."""

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        turns = nn.scan(_Turn, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
        return turns()(x, None)[0]


class Twice(nn.Module):
    """One layer that is called twice."""

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        layer = nn.Dense(x.shape[-1], kernel_init=ZEROS)
        return layer(nn.relu(layer(x)))


class Gate(nn.Module):
    """Squeeze and excite (Hu et al. 2018, arXiv 1709.01507): ``x * sigmoid(W2 relu(W1 mean(x)))``."""

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        hidden = nn.relu(nn.Dense(3, kernel_init=ZEROS)(x.mean((1, 2))))
        return x * nn.sigmoid(nn.Dense(x.shape[-1], kernel_init=ZEROS)(hidden))[:, None, None, :]


class Attention(nn.Module):
    """Two heads over the positions of [N, H, W, C] (Vaswani et al. 2017, arXiv 1706.03762)."""

    @nn.compact
    def __call__(self, x: Any) -> jax.Array:
        n, h, w, channels = x.shape
        layer = nn.MultiHeadDotProductAttention(2, qkv_features=4, out_features=channels, kernel_init=ZEROS)
        return layer(x.reshape(n, h * w, channels)).reshape(n, h, w, channels)


def shuffle(x: Any, groups: int) -> Any:
    """Channel c of group g moves to place ``c * groups + g`` (Zhang et al. 2018, arXiv 1707.01083)."""
    *positions, channels = x.shape
    return x.reshape(*positions, groups, channels // groups).swapaxes(-1, -2).reshape(x.shape)
