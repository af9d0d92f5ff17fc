"""Pre-trained Keras networks as variables of the models here.

``weights`` maps names as Keras saves them to arrays, ``conv2d_1/conv2d_1/kernel:0`` or ``conv2d_1/kernel``: one
network. Keras and the networks here agree on HWIO kernels, on ``"same"`` padding, on a flatten over H, W, C and on epsilon
0.001. They differ in one place: a depthwise kernel is [k_h, k_w, C, 1] in Keras.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError

Weights = Mapping[str, np.ndarray]
Variables = dict[str, dict[str, Any]]


class _Keras:
    """Takes layers out of ``weights`` in the order in which Keras numbered them, and collects our variables."""

    def __init__(self, weights: Weights) -> None:
        self.weights = {_short(name): np.asarray(value) for name, value in weights.items() if value.dtype.kind == "f"}
        self.taken: set[str] = set()
        self.variables: Variables = {"params": {}, "batch_stats": {}}

    def _take(self, kind: str, number: int, array: str) -> np.ndarray:
        name = f"{kind}_{number}/{array}" if number else f"{kind}/{array}"
        if name not in self.weights:
            raise InvalidArgumentError(f"the weights have no array {name!r}", got=sorted(self.weights)[:6],
                                       hint="Pass the arrays of one network, named as Keras names them.")
        self.taken.add(name)
        return self.weights[name].astype(np.float32)

    def conv(self, ours: str, number: int) -> None:
        self.variables["params"][ours] = {a: self._take("conv2d", number, a) for a in ("kernel", "bias")}

    def depthwise(self, ours: str, number: int) -> None:
        kernel, bias = (self._take("depthwise_conv2d", number, a) for a in ("depthwise_kernel", "bias"))
        self.variables["params"][ours] = {"kernel": kernel.swapaxes(2, 3), "bias": bias}

    def norm(self, ours: str, number: int) -> None:
        gamma, beta, mean, variance = (self._take("batch_normalization", number, a)
                                       for a in ("gamma", "beta", "moving_mean", "moving_variance"))
        self.variables["params"][ours] = {"scale": gamma, "bias": beta}
        self.variables["batch_stats"][ours] = {"mean": mean, "var": variance}

    def logits(self) -> None:
        self.variables["params"]["logits"] = {a: self._take("dense", 0, a) for a in ("kernel", "bias")}

    def done(self) -> Variables:
        rest = sorted(set(self.weights) - self.taken)
        if rest:
            raise InvalidArgumentError("the weights have arrays that the network does not", got=rest[:6],
                                       hint="They belong to another network.")
        return self.variables


def _short(name: str) -> str:
    """``conv2d_1/conv2d_1/kernel:0`` -> ``conv2d_1/kernel``."""
    return "/".join(name.removesuffix(":0").split("/")[-2:])


def _separable(weights: Weights) -> Variables:
    """A convolution, blocks of depthwise and pointwise convolutions, one dense layer; batch norm behind each but it."""
    keras = _Keras(weights)
    blocks = sum(name.endswith("/depthwise_kernel") for name in keras.weights)
    keras.conv("conv", 0)
    keras.norm("conv_norm", 0)
    for i in range(blocks):
        keras.depthwise(f"depthwise_{i}", i)
        keras.norm(f"depthwise_{i}_norm", 2 * i + 1)
        keras.conv(f"pointwise_{i}", i + 1)
        keras.norm(f"pointwise_{i}_norm", 2 * i + 2)
    keras.logits()
    return keras.done()


def load_mlperf_mobilenet(weights: Weights) -> Variables:
    """Variables of ``mobilenet_v1(2, 0.25, activation=relu)`` from MLPerf Tiny's visual wake words net; pixels / 255.

    Its convolutions have biases, ours do not: each goes into the mean that batch norm subtracts, ``mean - bias``.

    Args:
        weights: the Keras arrays by name.
    """
    variables = _separable(weights)
    for name, statistics in variables["batch_stats"].items():
        statistics["mean"] = statistics["mean"] - variables["params"][name.removesuffix("_norm")].pop("bias")
    return variables


def load_ds_cnn(weights: Weights) -> Variables:
    """Variables of a `DSCNN` from a Keras DS-CNN of the same sizes.

    Args:
        weights: the Keras arrays by name.
    """
    return _separable(weights)


def load_mlperf_resnet8(weights: Weights) -> Variables:
    """Variables of ``resnet8()`` from MLPerf Tiny's image classification net; pixels 0 to 255, unscaled.

    Args:
        weights: the Keras arrays by name.
    """
    keras = _Keras(weights)
    keras.conv("conv", 0)
    keras.norm("conv_norm", 0)
    number = 1  # Keras numbers the two convolutions of a block first, then its shortcut
    for i in range(3):
        for j in range(2):
            keras.conv(f"block_{i}_conv_{j}", number)
            keras.norm(f"block_{i}_norm_{j}", 2 * i + j + 1)
            number += 1
        if i > 0:
            keras.conv(f"block_{i}_shortcut", number)
            number += 1
    keras.logits()
    return keras.done()
