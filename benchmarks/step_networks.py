"""The networks whose nested training step is timed, with the images and the batch that each is trained on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax import models, trace
from reds_jax.graph import ChannelGraph

USERS_EPSILON = 1e-5


class ResidualNet(nn.Module):
    """What a user of flax.linen writes, with nothing of this library in it: residual blocks, norm and activation first."""

    classes: int = 10
    features: tuple[int, ...] = (24, 48, 96)

    @nn.compact
    def __call__(self, x, train: bool = False):
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=USERS_EPSILON)
        x = nn.Conv(self.features[0], (3, 3), use_bias=False)(x)
        for i, features in enumerate(self.features):
            strides = (1, 1) if i == 0 else (2, 2)
            y = nn.relu(norm()(x))
            if i > 0:
                x = nn.Conv(features, (1, 1), strides, use_bias=False, name=f"shortcut_{i}")(y)
            y = nn.Conv(features, (3, 3), strides, use_bias=False)(y)
            y = nn.Conv(features, (3, 3), use_bias=False)(nn.relu(norm()(y)))
            x = x + y
        return nn.Dense(self.classes)(nn.relu(norm()(x)).mean((1, 2)))


class ViT(nn.Module):
    """A vision transformer as a user writes it: learned positions, norm first, the mean over the patches.

    Source: Dosovitskiy et al. 2021, arXiv 2010.11929.
    """

    classes: int = 1000
    layers: int = 12
    dim: int = 384
    heads: int = 6
    patch: int = 16

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.dim, (self.patch, self.patch), (self.patch, self.patch), padding="VALID", name="patches")(x)
        x = x.reshape(x.shape[0], -1, self.dim)
        x = x + self.param("positions", nn.initializers.normal(0.02), (1, x.shape[1], self.dim))
        for i in range(self.layers):
            y = nn.LayerNorm(epsilon=USERS_EPSILON, name=f"attention_{i}_norm")(x)
            x = x + nn.MultiHeadDotProductAttention(self.heads, name=f"attention_{i}")(y)
            y = nn.LayerNorm(epsilon=USERS_EPSILON, name=f"up_{i}_norm")(x)
            x = x + nn.Dense(self.dim, name=f"down_{i}")(nn.gelu(nn.Dense(4 * self.dim, name=f"up_{i}")(y)))
        return nn.Dense(self.classes, name="logits")(nn.LayerNorm(epsilon=USERS_EPSILON, name="norm")(x).mean(1))


class ResNet18(nn.Module):
    """He et al. 2016 (arXiv 1512.03385, table 1) as a user of flax.linen writes it: basic blocks, activation behind the sum."""

    classes: int = 1000
    features: int = 64
    blocks: tuple[int, ...] = (2, 2, 2, 2)

    @nn.compact
    def __call__(self, x, train: bool = False):
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=USERS_EPSILON)
        x = nn.relu(norm()(nn.Conv(self.features, (7, 7), (2, 2), use_bias=False)(x)))
        x = nn.max_pool(x, (3, 3), (2, 2), "SAME")
        for i, blocks in enumerate(self.blocks):
            features = self.features * 2**i
            for j in range(blocks):
                strides = (2, 2) if i > 0 and j == 0 else (1, 1)
                y = nn.relu(norm()(nn.Conv(features, (3, 3), strides, use_bias=False)(x)))
                y = norm()(nn.Conv(features, (3, 3), use_bias=False)(y))
                if x.shape != y.shape:
                    x = norm()(nn.Conv(features, (1, 1), strides, use_bias=False)(x))
                x = nn.relu(x + y)
        return nn.Dense(self.classes)(x.mean((1, 2)))


@dataclass(frozen=True)
class Case:
    """A network as `reds_jax.models` or a user builds it, its images [H, W, C], classes, batch, and the steps of a dispatch.

    Uniform widths are whole numbers of ``1 / grid``: of 16ths where a device wants numbers of channels that 4 or 8 divide.
    """

    build: Callable[[], nn.Module]
    image: tuple[int, int, int]
    classes: int
    batch: int
    steps: int = 10
    grid: int = 100

    @cached_property
    def model(self) -> nn.Module:
        return self.build()

    @cached_property
    def graph(self) -> ChannelGraph:
        """Traced once."""
        x = jax.ShapeDtypeStruct((1, *self.image), jnp.float32)
        return trace(self.model, jax.eval_shape(self.model.init, jax.random.key(0), x), x)

    def fractions(self, subnetworks: int) -> list[float]:
        """Uniform widths with at most 1, (n - 1) / n .. 1 / n of the MACs, the widest first."""
        return [fraction_for(self.graph, 1 - i / subnetworks, self.grid) for i in range(subnetworks)]

    def examples(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Batches of noise: images float32 [steps, N, H, W, C] and labels [steps, N]."""
        rng = np.random.default_rng(seed)
        images = rng.normal(size=(self.steps, self.batch, *self.image)).astype(np.float32)
        return images, rng.integers(0, self.classes, (self.steps, self.batch)).astype(np.int32)

    def variables(self, seed: int) -> Any:
        """What every variant starts from: scales and variances 1, the rest 0 where it has one axis; where it has more, normal,
        with variance 2 / (product of all axes but the last), which is 2 / fan-in of a dense or convolution kernel.

        Nothing is compiled for it.
        """
        rng, x = np.random.default_rng(seed), jax.ShapeDtypeStruct((1, *self.image), jnp.float32)

        def value(path: Any, like: jax.ShapeDtypeStruct) -> jax.Array:
            if len(like.shape) > 1:
                return jnp.asarray(rng.normal(0, (2 / np.prod(like.shape[:-1])) ** 0.5, like.shape), like.dtype)
            return jnp.full(like.shape, float(path[-1].key in ("scale", "var")), like.dtype)

        return jax.tree_util.tree_map_with_path(value, jax.eval_shape(self.model.init, jax.random.key(seed), x))


def fraction_for(graph: ChannelGraph, share: float, grid: int = 100) -> float:
    """The largest uniform width, in parts of ``grid``, with at most this share of the MACs; at least one part."""
    found = bisect_right(range(1, grid + 1), share * graph.macs(), key=lambda parts: graph.macs(parts / grid))
    return max(found, 1) / grid


CASES = {
    "DNN L": Case(models.dnn_l, (25, 10, 1), 12, 100),
    "CNN S": Case(models.cnn_s, (49, 10, 1), 12, 100),
    "DS-CNN S": Case(models.ds_cnn_s, (49, 10, 1), 12, 100),
    "vision DS-CNN S": Case(models.vision_ds_cnn_s, (28, 28, 1), 10, 100),
    "DS-CNN L": Case(models.ds_cnn_l, (49, 10, 1), 12, 100, 5),
    "MobileNetV1 0.25": Case(models.mobilenet_v1, (96, 96, 3), 2, 32),
    "ResNet-8": Case(models.resnet8, (32, 32, 3), 10, 32),
    "a user's ResNet": Case(ResidualNet, (32, 32, 3), 10, 32),
}
ON_GPU = {
    "MobileNetV1 1.0": Case(partial(models.mobilenet_v1, 1000, 1.0), (224, 224, 3), 1000, 128, 4, 16),
    "DS-CNN L": Case(models.ds_cnn_l, (49, 10, 1), 12, 1000, 10),
    "ViT-S": Case(ViT, (224, 224, 3), 1000, 128, 4, 16),
    "ViT, small": Case(partial(ViT, 10, 2, 48, 3, 8), (32, 32, 3), 10, 8, 2),
}
"""The networks of `gpu_step.py`; the last is for whether its variants agree."""
LARGE = {
    "MobileNetV1 1.0": Case(partial(models.mobilenet_v1, 1000, 1.0), (224, 224, 3), 1000, 8, 1),
    "a user's ResNet-18": Case(ResNet18, (224, 224, 3), 1000, 8, 1),
}
"""What runs on phones: too large for many rounds of training steps on a CPU."""
