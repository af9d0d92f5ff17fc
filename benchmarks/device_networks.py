"""The networks that `device.py` runs, each as a program for a device with four subnetworks of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax import models
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.widths import Widths

FRACTIONS = (0.25, 0.5, 0.75, 1.0)


class Lines(nn.Module):
    """Windows of one row or one column, as networks for sound have them: 1x5, 5x1 and a depthwise 1x7."""

    classes: int = 12
    features: int = 64

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        for kernel, strides, depthwise in (((1, 5), (1, 2), False), ((5, 1), (2, 1), False), ((1, 7), (1, 1), True),
                                           ((1, 1), (1, 1), False), ((5, 1), (2, 1), False)):
            groups = self.features if depthwise else 1
            x = nn.Conv(self.features, kernel, strides, feature_group_count=groups, use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(not train)(x))
        return nn.Dense(self.classes, name="logits")(x.mean((1, 2)))


@dataclass(frozen=True)
class Network:
    """A network, the shape of its input, and the number formats that it is exported in."""

    name: str
    model: Any
    shape: tuple[int, ...]
    formats: tuple[str, ...] = ("int8",)


def networks() -> tuple[Network, ...]:
    build = models.build
    return (
        Network("mlp", models.DNN(12, (128, 128)), (250,), ("int8", "float32")),
        Network("dnn_s", build("dnn_s", {}), (25, 10, 1), ("int8", "float32")),
        Network("cnn_s", build("cnn_s", {}), (49, 10, 1)),
        Network("ds_cnn_s", build("ds_cnn_s", {}), (49, 10, 1), ("int8", "float32")),
        Network("lines", Lines(), (49, 10, 1)),
        Network("resnet8", build("resnet8", {}), (32, 32, 3)),
        Network("mobilenet_v1_025", build("mobilenet_v1", {"alpha": 0.25, "activation": "relu"}), (96, 96, 3)),
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A traced network, a tree of variables for each subnetwork, its widths, and inputs."""

    network: Network
    trees: list[Any]
    graph: ChannelGraph
    widths: list[Widths]
    batch: np.ndarray


def prepare(network: Network, seed: int) -> Prepared:
    """Trace a network with random variables: the same parameters in every subnetwork, statistics of its own."""
    shapes = network.model.init(jax.random.key(seed), jnp.zeros((1, *network.shape)))

    def near(rng: np.random.Generator, a: Any) -> Any:
        """Statistics beside the initial ones (mean 0, variance 1)."""
        return jnp.asarray(a + rng.uniform(-0.2, 0.2, a.shape), a.dtype)

    def of_subnetwork(k: int) -> Any:
        rng = np.random.default_rng((seed, k))
        return {name: jax.tree.map(partial(near, rng), tree) if name == "batch_stats" else tree
                for name, tree in shapes.items()}

    trees = [of_subnetwork(k) for k in range(len(FRACTIONS))]
    batch = np.random.default_rng(seed).normal(size=(16, *network.shape)).astype(np.float32)
    graph = trace(network.model, trees[0], jnp.asarray(batch))
    return Prepared(network, trees, graph, [graph.widths(f) for f in FRACTIONS], batch)
