"""Networks as users write them: plain JAX between the layers. Each takes images [N, 4, 5, 3]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.nn import BatchNorm, Conv, Dense, DepthwiseConv
from reds_jax.testing import random_variables
from reds_jax.widths import Width


class Net(nn.Module):
    """A body between the images and two logits."""

    body: Callable[[jax.Array, Width], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array, width: Width = 1.0) -> jax.Array:
        x = self.body(x, width)
        x = jnp.mean(x, (1, 2)) if x.ndim == 4 else x
        return Dense(2, name="logits")(x, reads=width)


def built(body: Callable[[jax.Array, Width], jax.Array]) -> tuple[Net, Any, np.ndarray, ChannelGraph]:
    """The network, random variables, inputs and the graph."""
    net = Net(body)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    variables = random_variables(net, x)
    return net, variables, x, trace(net, variables, x)


def residual(x: jax.Array, width: Width) -> jax.Array:
    """Two blocks on one stem: all that is added is one group."""
    x = jax.nn.relu(Conv(8, name="stem")(x, width))
    for i in range(2):
        y = jax.nn.relu(BatchNorm(name=f"norm_{i}")(Conv(6, name=f"inner_{i}")(x, width), width))
        x = jax.nn.relu(x + Conv(8, name=f"outer_{i}")(y, width))
    return x


def concatenated(x: jax.Array, width: Width) -> jax.Array:
    """Three groups side by side, read by a batch norm, a depthwise and an ordinary convolution."""
    branches = [Conv(n, name=f"branch_{n}")(x, width) for n in (4, 3, 5)]
    x = jnp.concatenate(branches, -1)
    x = jax.nn.sigmoid(BatchNorm(name="norm")(x, width))
    x = DepthwiseConv(name="depthwise")(x, width)
    return Conv(6, (1, 1), name="mix")(x, width)


def concatenated_and_added(x: jax.Array, width: Width) -> jax.Array:
    """A convolution that runs first and is tied to two others, part by part."""
    y = Conv(9, name="whole")(x, width)
    parts = jnp.concatenate([Conv(4, name="left")(x, width), Conv(5, name="right")(x, width)], -1)
    return jax.nn.softplus(y + parts)


def grouped(x: jax.Array, width: Width) -> jax.Array:
    """Whole groups of a grouped convolution move together: three of them, of 2 inputs and 4 outputs."""
    x = Conv(6, name="conv")(x, width)
    x = Conv(12, groups=3, name="grouped")(x, width)
    return jnp.tanh(BatchNorm(name="norm")(x, width))


def one_channel(x: jax.Array, width: Width) -> jax.Array:
    """Convolutions with one output are no depthwise convolutions, and one channel is no group."""
    x = Conv(4, name="conv")(x, width)
    x = Conv(1, name="single")(x, width)
    x = BatchNorm(name="norm")(x, width)
    x = DepthwiseConv(name="depthwise")(x, width)
    return Conv(5, name="last")(x, width)


def fixed(x: jax.Array, width: Width) -> jax.Array:
    """A layer without a width keeps its channels, and so does what is added to it."""
    x = Conv(6, name="kept")(x)
    y = Conv(4, name="inner")(x, width)
    return x + Conv(6, name="tied")(y, width)


def tied_to_the_input(x: jax.Array, width: Width) -> jax.Array:
    """A residual around the first layers: the channels of the image cannot go."""
    return x + Conv(3, name="outer")(jax.nn.relu(Conv(4, name="inner")(x, width)), width)


def shared(x: jax.Array, width: Width) -> jax.Array:
    """One layer that is called twice."""
    layer = Conv(4, (1, 1), name="twice")
    return layer(jax.nn.relu(layer(Conv(4, name="conv")(x, width), width)), width)


def nested_modules(x: jax.Array, width: Width) -> jax.Array:
    return Inner(name="inner")(x, width)


class Inner(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, width: Width) -> jax.Array:
        x = Conv(4, name="conv")(x, width)
        y = x.reshape(x.shape[0], -1)
        return jax.nn.relu(Dense(6, name="dense")(y, width))
