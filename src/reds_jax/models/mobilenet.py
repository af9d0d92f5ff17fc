"""MobileNetV1 of any width multiplier and resolution (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np

from reds_jax.checks import number
from reds_jax.errors import InvalidArgumentError
from reds_jax.models.layers import BatchNorm, Conv, leaky_relu, widened
from reds_jax.slimmable import Slimmable

# output channels and depthwise stride of every block at alpha = 1
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


class MobileNetV1(nn.Module):
    """Images [N, H, W, 3] -> logits [N, classes]; every layer but the last has batch norm and an activation.

    The convolutions have no bias: batch norm would take it away again.

    Args:
        classes: outputs.
        stem: channels of the first convolution.
        blocks: pairs (channels, stride).
        activation: behind every batch norm.
    """

    classes: int
    stem: int
    blocks: tuple[tuple[int, int], ...]
    activation: Callable[[jax.Array], jax.Array] = leaky_relu

    @nn.compact
    def __call__(self, x: jax.Array | np.ndarray, *, train: bool = False) -> jax.Array:
        x = Conv(self.stem, (3, 3), (2, 2), use_bias=False, name="conv")(x)
        x = self.activation(BatchNorm(not train, name="conv_norm")(x))
        for i, (features, stride) in enumerate(self.blocks):
            c = x.shape[-1]
            x = Conv(c, (3, 3), (stride, stride), feature_group_count=c, use_bias=False, name=f"depthwise_{i}")(x)
            x = self.activation(BatchNorm(not train, name=f"depthwise_{i}_norm")(x))
            x = Conv(features, (1, 1), use_bias=False, name=f"pointwise_{i}")(x)
            x = self.activation(BatchNorm(not train, name=f"pointwise_{i}_norm")(x))
        return nn.Dense(self.classes, name="logits")(x.mean((1, 2)))


def mobilenet_v1(
    classes: int = 2, alpha: float = 0.25, *, activation: Callable[[jax.Array], jax.Array] = leaky_relu, widen: float = 1.0
) -> Slimmable:
    """MobileNetV1 whose layers have ``floor(alpha * c)`` of the original channels; RGB images from 32 x 32 up.

    Args:
        classes: outputs.
        alpha: the width multiplier.
        activation: behind every batch norm.
        widen: how many times as many channels as that every hidden layer has.
    """
    if int(32 * number("alpha", alpha, 0)) < 1:
        raise InvalidArgumentError("a width multiplier leaves the first layer empty", got=alpha, allowed="1/32 or more")
    blocks = tuple((widened(int(c * alpha), widen), s) for c, s in BLOCKS)
    return Slimmable(MobileNetV1(classes, widened(int(32 * alpha), widen), blocks, activation))
