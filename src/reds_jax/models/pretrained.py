"""Pre-trained Keras networks as variables of the models here.

``weights`` maps names as Keras saves them to arrays, ``conv2d_1/conv2d_1/kernel:0`` or ``conv2d_1/kernel``: one
network. Keras and the networks here agree on HWIO kernels, on ``"same"`` padding, on a flatten over H, W, C and on epsilon
0.001. They differ in one place: a depthwise kernel is [k_h, k_w, C, 1] in Keras. Weights without any batch norm, as .tflite
files have them, are those of a network whose batch norm went into the layers before: here it then changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.models.layers import EPSILON

Weights = Mapping[str, np.ndarray]
Variables = dict[str, dict[str, Any]]


class _Keras:
    """Takes layers out of ``weights`` in the order in which Keras numbered them, and collects our variables."""

    def __init__(self, weights: Weights) -> None:
        self.weights = {_short(name): np.asarray(value) for name, value in weights.items() if value.dtype.kind == "f"}
        self.taken: set[str] = set()
        self.missing: list[str] = []
        self.folded = not any(name.startswith("batch_normalization") for name in self.weights)
        self.channels = 0
        self.variables: Variables = {"params": {}, "batch_stats": {}}

    def _take(self, kind: str, number: int, array: str) -> np.ndarray:
        name = f"{kind}_{number}/{array}" if number else f"{kind}/{array}"
        if name not in self.weights:
            self.missing.append(name)
            return np.zeros(0, np.float32)
        self.taken.add(name)
        return self.weights[name].astype(np.float32)

    def conv(self, ours: str, number: int) -> None:
        self._layer(ours, self._take("conv2d", number, "kernel"), self._take("conv2d", number, "bias"))

    def depthwise(self, ours: str, number: int) -> None:
        kernel, bias = (self._take("depthwise_conv2d", number, a) for a in ("depthwise_kernel", "bias"))
        self._layer(ours, kernel.swapaxes(2, 3) if kernel.ndim == 4 else kernel, bias)

    def _layer(self, ours: str, kernel: np.ndarray, bias: np.ndarray) -> None:
        self.variables["params"][ours], self.channels = {"kernel": kernel, "bias": bias}, len(bias)

    def norm(self, ours: str, number: int) -> None:
        if self.folded:
            gamma, beta, mean = (np.full(self.channels, value, np.float32) for value in (1, 0, 0))
            variance = gamma - np.float32(EPSILON)
        else:
            gamma, beta, mean, variance = (self._take("batch_normalization", number, a)
                                           for a in ("gamma", "beta", "moving_mean", "moving_variance"))
        self.variables["params"][ours] = {"scale": gamma, "bias": beta}
        self.variables["batch_stats"][ours] = {"mean": mean, "var": variance}

    def logits(self) -> None:
        self.variables["params"]["logits"] = {a: self._take("dense", 0, a) for a in ("kernel", "bias")}

    def done(self) -> Variables:
        rest = sorted(set(self.weights) - self.taken)
        wrong = [f"the weights have no array {', '.join(map(repr, self.missing))}"] if self.missing else []
        wrong += [f"the weights have arrays that the network does not: {', '.join(map(repr, rest))}"] if rest else []
        if wrong:
            raise InvalidArgumentError("; ".join(wrong), hint="Pass the arrays of one network, named as Keras names them.")
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
