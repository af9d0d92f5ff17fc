"""DNN: a stack of fully-connected layers on MFCC features (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

import flax.linen as nn
import jax

from reds_jax.nn import Dense, flatten, relu
from reds_jax.widths import Width


class DNN(nn.Module):
    """Features [N, I] or images [N, H, W, 1] -> logits [N, classes]; ReLU behind every layer but the last."""

    classes: int
    features: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, width: Width = 1.0, *, train: bool = False) -> jax.Array:
        x = flatten(x)
        for i, features in enumerate(self.features):
            x = relu(Dense(features, name=f"dense_{i}")(x, width))
        return Dense(self.classes, name="logits")(x)  # no width: all classes


def dnn_s(classes: int = 12) -> DNN:
    """DNN S for keyword spotting on 25 x 10 MFCC."""
    return DNN(classes, (144,) * 3)


def dnn_l(classes: int = 12) -> DNN:
    """DNN L for keyword spotting on 25 x 10 MFCC."""
    return DNN(classes, (436,) * 3)
