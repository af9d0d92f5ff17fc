"""DNN: a stack of fully-connected layers on MFCC features (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

import flax.linen as nn
import jax
import numpy as np

from reds_jax.models.layers import widened
from reds_jax.slimmable import Slimmable


class DNN(nn.Module):
    """Features [N, I] or images [N, H, W, 1] -> logits [N, classes]; ReLU behind every layer but the last.

    Args:
        classes: outputs.
        features: units of the hidden layers.
    """

    classes: int
    features: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array | np.ndarray) -> jax.Array:
        x = x.reshape(len(x), -1)
        for i, features in enumerate(self.features):
            x = nn.relu(nn.Dense(features, name=f"dense_{i}")(x))
        return nn.Dense(self.classes, name="logits")(x)


def dnn_s(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """DNN S for keyword spotting on 25 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return Slimmable(DNN(classes, (widened(144, widen),) * 3))


def dnn_l(classes: int = 12, *, widen: float = 1.0) -> Slimmable:
    """DNN L for keyword spotting on 25 x 10 MFCC.

    Args:
        classes: outputs.
        widen: how many times as many channels or units every hidden layer has.
    """
    return Slimmable(DNN(classes, (widened(436, widen),) * 3))
