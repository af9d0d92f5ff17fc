"""DS-CNN: a convolution and blocks of depthwise and pointwise convolutions (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from reds_jax.models.layers import BatchNorm, Conv, avg_pool, leaky_relu, widened
from reds_jax.slimmable import Slimmable


class DSCNN(nn.Module):
    """Images [N, H, W, I] -> logits [N, classes]; every layer but the last has batch norm and an activation.

    Args:
        classes: outputs.
        features: channels of every layer.
        kernel_size: of the first convolution.
        strides: of the first convolution.
        depthwise_strides: of every block.
        pool: window of the average behind the blocks; None: over all positions.
        activation: behind every batch norm.
    """

    classes: int
    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int]
    depthwise_strides: tuple[tuple[int, int], ...]
    pool: tuple[int, int] | None = None  # None: over all positions
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(self, x: jax.Array | np.ndarray, *, train: bool = False) -> jax.Array:
        c = self.features
        x = Conv(c, self.kernel_size, self.strides, name="conv")(x)
        x = self.activation(BatchNorm(not train, name="conv_norm")(x))  # [N, H', W', C]
        for i, strides in enumerate(self.depthwise_strides):
            x = Conv(c, (3, 3), strides, feature_group_count=c, name=f"depthwise_{i}")(x)
            x = self.activation(BatchNorm(not train, name=f"depthwise_{i}_norm")(x))
            x = Conv(c, (1, 1), name=f"pointwise_{i}")(x)
            x = self.activation(BatchNorm(not train, name=f"pointwise_{i}_norm")(x))
        x = x.mean((1, 2)) if self.pool is None else avg_pool(x, self.pool)
        return nn.Dense(self.classes, name="logits")(x.reshape(len(x), -1))


def ds_cnn_s(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """DS-CNN S for keyword spotting on 49 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return Slimmable(DSCNN(classes, widened(64, widen), (10, 4), (2, 2), ((1, 1),) * 4))


def ds_cnn_l(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """DS-CNN L for keyword spotting on 49 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return Slimmable(DSCNN(classes, widened(276, widen), (10, 4), (2, 1), ((2, 2), *((1, 1),) * 4)))


def vision_ds_cnn_s(classes: int = 10, *, pool: tuple[int, int] = (13, 5), widen: float = 1.0) -> Slimmable:
    """DS-CNN S for images: Fashion-MNIST (28 x 28, pool 13 x 5) and CIFAR-10 (32 x 32, pool 16 x 5).

    Args:
        classes: outputs.
        pool: window of the average behind the blocks.
        widen: how many times as many channels every hidden layer has.
    """
    return Slimmable(DSCNN(classes, widened(64, widen), (3, 3), (2, 2), ((1, 1),) * 4, pool, leaky_relu))
