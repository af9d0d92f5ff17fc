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
from reds_jax.testing import random_variables


def conv(features: int, name: str, kernel: tuple[int, int] = (3, 3), groups: int = 1) -> nn.Conv:
    return nn.Conv(features, kernel, feature_group_count=groups, name=name)


def norm(name: str) -> nn.BatchNorm:
    return nn.BatchNorm(use_running_average=True, name=name)


class Net(nn.Module):
    """A body between the images and two logits."""

    body: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.body(x)
        x = jnp.mean(x, (1, 2)) if x.ndim == 4 else x
        return nn.Dense(2, name="logits")(x)


def built(body: Callable[[jax.Array], jax.Array]) -> tuple[Net, Any, np.ndarray, ChannelGraph]:
    """The network, random variables, inputs and the graph."""
    net = Net(body)
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype(np.float32)
    variables = random_variables(net, x)
    return net, variables, x, trace(net, variables, x)


def residual(x: jax.Array) -> jax.Array:
    """Two blocks on one stem: all that is added is one group."""
    x = jax.nn.relu(conv(8, "stem")(x))
    for i in range(2):
        y = jax.nn.relu(norm(f"norm_{i}")(conv(6, f"inner_{i}")(x)))
        x = jax.nn.relu(x + conv(8, f"outer_{i}")(y))
    return x


def concatenated(x: jax.Array) -> jax.Array:
    """Three groups side by side, read by a batch norm, a depthwise and an ordinary convolution."""
    branches = [conv(n, f"branch_{n}")(x) for n in (4, 3, 5)]
    x = jnp.concatenate(branches, -1)
    x = jax.nn.sigmoid(norm("norm")(x))
    x = conv(x.shape[-1], "depthwise", groups=x.shape[-1])(x)
    return conv(6, "mix", (1, 1))(x)


def concatenated_and_added(x: jax.Array) -> jax.Array:
    """A convolution that runs first and is tied to two others, part by part."""
    y = conv(9, "whole")(x)
    parts = jnp.concatenate([conv(4, "left")(x), conv(5, "right")(x)], -1)
    return jax.nn.softplus(y + parts)


def grouped(x: jax.Array) -> jax.Array:
    """Whole groups of a grouped convolution move together: three of them, of 2 inputs and 4 outputs."""
    x = conv(6, "conv")(x)
    x = conv(12, "grouped", groups=3)(x)
    return jnp.tanh(norm("norm")(x))


def one_channel(x: jax.Array) -> jax.Array:
    """Convolutions with one output are no depthwise convolutions, and one channel is no group."""
    x = conv(4, "conv")(x)
    x = conv(1, "single")(x)
    x = norm("norm")(x)
    x = conv(x.shape[-1], "depthwise", groups=x.shape[-1])(x)
    return conv(5, "last")(x)


def tied_to_the_input(x: jax.Array) -> jax.Array:
    """A residual around the first layers: the channels of the image cannot go."""
    return x + conv(3, "outer")(jax.nn.relu(conv(4, "inner")(x)))


def shared(x: jax.Array) -> jax.Array:
    """One layer that is called twice."""
    layer = conv(4, "twice", (1, 1))
    return layer(jax.nn.relu(layer(conv(4, "conv")(x))))


def nested_modules(x: jax.Array) -> jax.Array:
    return Inner(name="inner")(x)


class Inner(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = conv(4, "conv")(x)
        y = x.reshape(x.shape[0], -1)
        return jax.nn.relu(nn.Dense(6, name="dense")(y))
