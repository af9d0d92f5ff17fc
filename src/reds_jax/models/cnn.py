"""CNN: two convolutions, a low-rank linear layer and a fully-connected one (Zhang et al. 2017, arXiv 1711.07128)."""

from __future__ import annotations

import flax.linen as nn
import jax

from reds_jax.nn import BatchNorm, Conv, Dense, flatten, relu
from reds_jax.widths import Width


class CNN(nn.Module):
    """Images [N, H, W, I] -> logits [N, classes]; batch norm and ReLU behind all but ``linear``."""

    classes: int
    convolutions: tuple[int, int]
    linear: int
    hidden: int = 128

    @nn.compact
    def __call__(self, x: jax.Array, width: Width = 1.0, *, train: bool = False) -> jax.Array:
        for i, (features, strides) in enumerate(zip(self.convolutions, ((1, 1), (2, 1)), strict=True)):
            x = Conv(features, (10, 4), strides, "VALID", name=f"conv_{i}")(x, width)
            x = relu(BatchNorm(name=f"conv_{i}_norm")(x, width, train=train))
        x = Dense(self.linear, name="linear")(flatten(x), width)
        x = Dense(self.hidden, name="hidden")(x, width)
        x = relu(BatchNorm(name="hidden_norm")(x, width, train=train))
        return Dense(self.classes, name="logits")(x)  # no width: all classes


def cnn_s(classes: int = 12) -> CNN:
    """CNN S for keyword spotting on 49 x 10 MFCC."""
    return CNN(classes, (28, 30), 16)


def cnn_l(classes: int = 12) -> CNN:
    """CNN L for keyword spotting on 49 x 10 MFCC."""
    return CNN(classes, (60, 76), 58)
