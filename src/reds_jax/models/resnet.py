"""ResNet-8 for CIFAR-10 as in MLPerf Tiny (Banbury et al. 2021, arXiv 2106.07597; He et al. 2016, arXiv 1512.03385)."""

from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np

from reds_jax.models.layers import BatchNorm, Conv, widened
from reds_jax.slimmable import Slimmable


class ResNet(nn.Module):
    """Images [N, H, W, 3] -> logits [N, classes]; one residual block a stage, a 1 x 1 convolution where shapes differ.

    The outputs of both branches of a block share one width: what is added must match.

    Args:
        classes: outputs.
        features: channels of every stage.
    """

    classes: int
    features: tuple[int, ...] = (16, 32, 64)

    @nn.compact
    def __call__(self, x: jax.Array | np.ndarray, *, train: bool = False) -> jax.Array:
        x = Conv(self.features[0], (3, 3), name="conv")(x)
        x = nn.relu(BatchNorm(not train, name="conv_norm")(x))
        for i, features in enumerate(self.features):
            strides = (1, 1) if i == 0 else (2, 2)
            y = Conv(features, (3, 3), strides, name=f"block_{i}_conv_0")(x)
            y = nn.relu(BatchNorm(not train, name=f"block_{i}_norm_0")(y))
            y = Conv(features, (3, 3), name=f"block_{i}_conv_1")(y)
            y = BatchNorm(not train, name=f"block_{i}_norm_1")(y)
            if i > 0:
                x = Conv(features, (1, 1), strides, name=f"block_{i}_shortcut")(x)
            x = nn.relu(x + y)
        return nn.Dense(self.classes, name="logits")(x.mean((1, 2)))


def resnet8(classes: int = 10, *, widen: float = 1.0) -> Slimmable:
    """ResNet-8 for 32 x 32 images.

    Args:
        classes: outputs.
        widen: how many times as many channels every stage has.
    """
    return Slimmable(ResNet(classes, tuple(widened(c, widen) for c in (16, 32, 64))))
