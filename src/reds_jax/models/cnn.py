"""CNN: two convolutions, a low-rank linear layer and a fully-connected one (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np

from reds_jax.models.layers import BatchNorm, Conv, widened
from reds_jax.slimmable import Slimmable


class CNN(nn.Module):
    """Images [N, H, W, I] -> logits [N, classes]; batch norm and ReLU behind all but ``linear``.

    Args:
        classes: outputs.
        convolutions: channels of the two convolutions.
        linear: units of the layer without activation behind the flatten.
        hidden: units of the last hidden layer.
    """

    classes: int
    convolutions: tuple[int, int]
    linear: int
    hidden: int = 128

    @nn.compact
    def __call__(self, x: jax.Array | np.ndarray, *, train: bool = False) -> jax.Array:
        for i, (features, strides) in enumerate(zip(self.convolutions, ((1, 1), (2, 1)), strict=True)):
            x = Conv(features, (10, 4), strides, padding="VALID", name=f"conv_{i}")(x)
            x = nn.relu(BatchNorm(not train, name=f"conv_{i}_norm")(x))
        x = nn.Dense(self.linear, name="linear")(x.reshape(len(x), -1))
        x = nn.Dense(self.hidden, name="hidden")(x)
        x = nn.relu(BatchNorm(not train, name="hidden_norm")(x))
        return nn.Dense(self.classes, name="logits")(x)


def cnn_s(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """CNN S for keyword spotting on 49 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return _cnn(classes, widen, 28, 30, 16)


def cnn_l(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """CNN L for keyword spotting on 49 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return _cnn(classes, widen, 60, 76, 58)


def _cnn(classes: int, widen: float, *units: int) -> Slimmable:
    first, second, linear, hidden = (widened(n, widen) for n in (*units, 128))
    return Slimmable(CNN(classes, (first, second), linear, hidden))
