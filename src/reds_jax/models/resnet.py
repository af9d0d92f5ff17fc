"""ResNet-8 for CIFAR-10 as in MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597; He et al. 2016, arXiv 1512.03385)."""

from __future__ import annotations

import flax.linen as nn
import jax

from reds_jax.nn import BatchNorm, Conv, Dense, add, global_avg_pool, relu
from reds_jax.widths import Width


class ResNet(nn.Module):
    """Images [N, H, W, 3] -> logits [N, classes]; one residual block a stage, a 1 x 1 convolution where shapes differ.

    The outputs of both branches of a block share one width: what is added must match.
    """

    classes: int
    features: tuple[int, ...] = (16, 32, 64)

    @nn.compact
    def __call__(self, x: jax.Array, width: Width = 1.0, *, train: bool = False) -> jax.Array:
        x = Conv(self.features[0], name="conv")(x, width)
        x = relu(BatchNorm(name="conv_norm")(x, width, train=train))
        for i, features in enumerate(self.features):
            strides = (1, 1) if i == 0 else (2, 2)
            y = Conv(features, (3, 3), strides, name=f"block_{i}_conv_0")(x, width)
            y = relu(BatchNorm(name=f"block_{i}_norm_0")(y, width, train=train))
            y = Conv(features, (3, 3), name=f"block_{i}_conv_1")(y, width)
            y = BatchNorm(name=f"block_{i}_norm_1")(y, width, train=train)
            if i > 0:
                x = Conv(features, (1, 1), strides, name=f"block_{i}_shortcut")(x, width)
            x = relu(add(x, y))
        return Dense(self.classes, name="logits")(global_avg_pool(x))  # no width: all classes


def resnet8(classes: int = 10) -> ResNet:
    """ResNet-8 for 32 x 32 images."""
    return ResNet(classes)
