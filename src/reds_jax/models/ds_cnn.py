"""DS-CNN: a convolution and blocks of depthwise and pointwise convolutions (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax

from reds_jax.nn import BatchNorm, Conv, Dense, DepthwiseConv, avg_pool, flatten, leaky_relu, relu
from reds_jax.widths import Width


class DSCNN(nn.Module):
    """Images [N, H, W, I] -> logits [N, classes]; every layer but the last has batch norm and an activation."""

    classes: int
    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int]
    depthwise_strides: tuple[tuple[int, int], ...]
    pool: tuple[int, int] | None = None  # None: over all positions
    activation: Callable[[jax.Array], jax.Array] = relu

    @nn.compact
    def __call__(self, x: jax.Array, width: Width = 1.0, *, train: bool = False) -> jax.Array:
        x = Conv(self.features, self.kernel_size, self.strides, name="conv")(x, width)
        x = self.activation(BatchNorm(name="conv_norm")(x, width, train=train))  # [N, H', W', C]
        for i, strides in enumerate(self.depthwise_strides):
            x = DepthwiseConv((3, 3), strides, name=f"depthwise_{i}")(x, width)
            x = self.activation(BatchNorm(name=f"depthwise_{i}_norm")(x, width, train=train))
            x = Conv(self.features, (1, 1), name=f"pointwise_{i}")(x, width)
            x = self.activation(BatchNorm(name=f"pointwise_{i}_norm")(x, width, train=train))
        x = avg_pool(x, self.pool or (x.shape[1], x.shape[2]), (1, 1))
        return Dense(self.classes, name="logits")(flatten(x))  # no width: all classes


def ds_cnn_s(classes: int = 12) -> DSCNN:
    """DS-CNN S for keyword spotting on 49 x 10 MFCC."""
    return DSCNN(classes, 64, (10, 4), (2, 2), ((1, 1),) * 4)


def ds_cnn_l(classes: int = 12) -> DSCNN:
    """DS-CNN L for keyword spotting on 49 x 10 MFCC."""
    return DSCNN(classes, 276, (10, 4), (2, 1), ((2, 2), *((1, 1),) * 4))


def vision_ds_cnn_s(classes: int = 10, *, pool: tuple[int, int] = (13, 5)) -> DSCNN:
    """DS-CNN S for images: Fashion-MNIST (28 x 28, pool 13 x 5) and CIFAR-10 (32 x 32, pool 16 x 5)."""
    return DSCNN(classes, 64, (3, 3), (2, 2), ((1, 1),) * 4, pool, leaky_relu)
