"""Architectures in plain Keras 3: functional, sequential and subclassed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from case import Built, Case, array, varied
from keras import layers

from reds_jax.adapters import adapt


def ds_cnn() -> keras.Model:
    """A separable network with a flatten over H, W, C."""
    x = inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="conv_norm")(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="depthwise_norm")(x))
    x = layers.Conv2D(12, 1, name="pointwise")(x)
    x = layers.AveragePooling2D(2)(layers.ReLU()(x))
    x = layers.Dropout(0.4, name="dropout")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax", name="classes")(x))


def unet() -> keras.Model:
    x = inputs = keras.Input((8, 8, 3))
    skip = layers.Conv2D(6, 3, padding="same", activation="relu", name="down")(x)
    x = layers.Conv2D(10, 3, padding="same", activation="relu", name="bottom")(layers.MaxPooling2D()(skip))
    x = layers.Concatenate()([skip, layers.UpSampling2D()(x)])
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="up")(x)
    return keras.Model(inputs, layers.Conv2DTranspose(2, 3, strides=2, padding="same", name="out")(x))


def two_inputs() -> keras.Model:
    a, b = keras.Input((5,), name="a"), keras.Input((3,), name="b")
    left = layers.Dense(8, activation="relu", name="left")(a)
    x = layers.concatenate([left, layers.Dense(6, activation="tanh", name="right")(b)])
    x = layers.Dense(10, activation="gelu", name="joint")(x)
    return keras.Model([a, b], [layers.Dense(2, name="first")(x), layers.Dense(1, activation="sigmoid", name="second")(x)])


class Gated(keras.Model):
    """A subclass with squeeze-excite."""

    def __init__(self) -> None:
        super().__init__(name="gated")
        self.conv = layers.Conv2D(12, 3, activation="swish", name="conv")
        self.pool = layers.GlobalAveragePooling2D(keepdims=True)
        self.squeeze = layers.Dense(4, activation="relu", name="squeeze")
        self.excite = layers.Dense(12, activation="hard_sigmoid", name="excite")
        self.norm = layers.BatchNormalization(name="norm")
        self.out = layers.Dense(3, name="out")

    def call(self, x: Any, training: bool = False) -> Any:
        x = self.norm(self.conv(x), training=training)
        x = x * self.excite(self.squeeze(self.pool(x)))
        return self.out(self.pool(x)[:, 0, 0])


def gated() -> keras.Model:
    model = Gated()
    model(array(1, 8, 8, 3))
    return model


def keras_case(name: str, made: Callable[[], keras.Model], inputs: Any, cut: tuple[str, ...]) -> Case:
    def build() -> Built:
        keras.utils.set_random_seed(0)
        model = made()
        return model, varied(adapt(model)[1]), inputs

    return Case(name, build, cut)


ZOO = [
    keras_case("Keras DS-CNN", ds_cnn, array(2, 8, 8, 1), ("conv/kernel", "pointwise/kernel")),
    keras_case("Keras U-Net", unet, array(2, 8, 8, 3), ("down/kernel", "bottom/kernel", "up/kernel")),
    keras_case("Keras, two inputs", two_inputs, (array(2, 5), array(2, 3)), ("left/kernel", "right/kernel", "joint/kernel")),
    keras_case("Keras, subclassed", gated, array(2, 8, 8, 3), ("gated/conv/kernel", "gated/squeeze/kernel")),
]
