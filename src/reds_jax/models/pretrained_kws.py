"""Pre-trained keyword spotters as variables of the models here: ARM's ML-KWS-for-MCU, and Keras networks of the same layers.

Three ways to name the arrays are known: ARM's of TensorFlow 1, ``fc1/W``, ``Variable_2``, ``MobileNet/conv_ds_1/...``;
Keras's by the number of the layer, ``layer_with_weights-3/kernel``, and by its kind, ``conv2d_1/kernel``. Kernels are HWIO in
all, a depthwise one is [k_h, k_w, C, 1] there; a flatten goes over H, W, C; epsilon is 0.001; ARM's DS-CNN has no scale in
its batch norm: a scale of 1 here.

What they read: ARM's networks and those of Corti et al. (arXiv 2311.13349) the coefficients of `reds_jax.data.MFCC`, unscaled,
of waveforms from -1 to 1; 25 x 10 for the DNN (``stride_ms=40``), 49 x 10 for the others; classes as in
`reds_jax.data.clips.CLASS_NAMES`. The reference network of MLPerf Tiny reads ``MFCC(window_ms=30)`` of waveforms divided by
their largest sample; its classes are down go left no off on right stop up yes _silence_ _unknown_.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError

Weights = Mapping[str, np.ndarray]
_DENSE = {"kernel": "kernel", "bias": "bias"}
_DEPTHWISE = {"kernel": "depthwise_kernel", "bias": "bias"}
_NORM = {"scale": "gamma", "bias": "beta", "mean": "moving_mean", "var": "moving_variance"}


def load_kws(weights: Weights) -> dict[str, dict[str, Any]]:
    """Variables of a `DNN`, `CNN` or `DSCNN`, of any sizes, from a trained network of the same layers.

    Args:
        weights: the arrays of one network by name; which of the three it is, is seen from them.

    Raises:
        InvalidArgumentError: an array is missing, one is left, or two that meet have other sizes; the message has all of
            them, with their shapes.

    Source: Zhang et al. 2017, arXiv 1711.07128.
    """
    arrays = _by_layer({name.removesuffix(":0"): np.asarray(a) for name, a in weights.items() if a.dtype.kind == "f"})
    names = _names(arrays)
    missing = sorted(theirs for _, _, _, theirs in names if theirs not in arrays and not theirs.endswith("gamma"))
    left = sorted(set(arrays) - {theirs for _, _, _, theirs in names})
    if missing or left:
        raise InvalidArgumentError(
            "the weights are not those of one keyword spotter", got={name: list(arrays[name].shape) for name in left[:6]},
            allowed=f"{len(missing)} arrays more: {', '.join(missing[:6])}" if missing else "none of these",
            hint="Pass the arrays of one network, with the names that the file gives them.")
    variables: dict[str, dict[str, Any]] = {"params": {}, "batch_stats": {}}
    for collection, layer, array, theirs in names:
        value = arrays[theirs] if theirs in arrays else np.ones_like(arrays[theirs.replace("gamma", "beta")])
        depthwise = layer.startswith("depthwise") and array == "kernel"
        variables[collection].setdefault(layer, {})[array] = (value.swapaxes(2, 3) if depthwise else value).astype(np.float32)
    _check_sizes(variables["params"], names)
    return variables if variables["batch_stats"] else {"params": variables["params"]}


def _by_layer(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays that Keras names by the kind of their layer, ``conv2d_1/kernel``, by its number; others as they are."""
    short = {"/".join(name.split("/")[-2:]): array for name, array in arrays.items()}
    if "dense/kernel" not in short:
        return arrays
    depthwise = sum(name.endswith("/depthwise_kernel") for name in short)
    norm = "batch_normalization"
    if depthwise:
        blocks = ((f"depthwise_conv2d_{i}", f"{norm}_{2 * i + 1}", f"conv2d_{i + 1}", f"{norm}_{2 * i + 2}")
                  for i in range(depthwise))
        order = ["conv2d", norm, *(layer for block in blocks for layer in block), "dense"]
    elif "conv2d/kernel" in short:
        order = ["conv2d", norm, "conv2d_1", f"{norm}_1", "dense", "dense_1", f"{norm}_2", "dense_2"]
    else:
        order = [f"dense_{i}" for i in range(sum(name.endswith("/kernel") for name in short))]
    numbers = {layer.removesuffix("_0"): number for number, layer in enumerate(order)}
    return {f"layer_with_weights-{numbers[layer]}/{array}" if layer in numbers else name: value
            for name, value in short.items() for layer, _, array in [name.partition("/")]}


def _names(arrays: Weights) -> list[tuple[str, str, str, str]]:
    """(collection, our layer, our array, their name) of every array that a network of that kind has."""
    by_number = any(name.startswith("layer_with_weights-") for name in arrays)
    found: list[tuple[str, str, str, str]] = []
    for number, (layer, prefix) in enumerate(_layers(arrays, by_number)):
        kinds = _NORM if layer.endswith("_norm") else _DEPTHWISE if layer.startswith("depthwise") else _DENSE
        for ours, keras in kinds.items():
            collection = "batch_stats" if ours in ("mean", "var") else "params"
            theirs = f"layer_with_weights-{number}/{keras}" if by_number else _arm(prefix, keras)
            found.append((collection, layer, ours, theirs))
    return found


def _layers(arrays: Weights, by_number: bool) -> Iterator[tuple[str, Any]]:
    """Our layers in their order, each with ARM's name of it: a prefix, or the names of kernel and bias."""
    depthwise = sum("depthwise_" in name and name.endswith(("weights", "kernel")) for name in arrays)
    if depthwise:
        yield from (("conv", "MobileNet/conv_1"), ("conv_norm", "MobileNet/conv_1/batch_norm"))
        for i in range(depthwise):
            block = f"MobileNet/conv_ds_{i + 1}"
            yield from ((f"depthwise_{i}", f"{block}/depthwise_conv"), (f"depthwise_{i}_norm", f"{block}/dw_batch_norm"),
                        (f"pointwise_{i}", f"{block}/pointwise_conv"), (f"pointwise_{i}_norm", f"{block}/pw_batch_norm"))
        yield "logits", "MobileNet/fc1"
    elif any(a.ndim == 4 for a in arrays.values()):
        yield from (("conv_0", ("Variable", "Variable_1")), ("conv_0_norm", "bn1"),
                    ("conv_1", ("Variable_2", "Variable_3")), ("conv_1_norm", "bn2"), ("linear", ("W", "b")),
                    ("hidden", ("Variable_4", "Variable_5")), ("hidden_norm", "bn3"), ("logits", ("Variable_6", "Variable_7")))
    else:
        hidden = sum(bool(re.fullmatch(r"fc\d+/W" if not by_number else r".*/kernel", name)) for name in arrays) - by_number
        yield from ((f"dense_{i}", (f"fc{i + 1}/W", f"fc{i + 1}/b")) for i in range(hidden))
        yield "logits", ("final_fc", "Variable")


def _arm(prefix: Any, keras: str) -> str:
    """ARM's name of an array."""
    if isinstance(prefix, tuple):
        return prefix[keras == "bias"]
    names = {"kernel": "weights", "depthwise_kernel": "depthwise_weights", "bias": "biases"}
    return f"{prefix}/{names.get(keras, keras)}"


def _check_sizes(params: Mapping[str, Any], names: list[tuple[str, str, str, str]]) -> None:
    """An `InvalidArgumentError` that names each array that does not have as many entries as its layer has units."""
    wrong, units = {}, 0
    for _, layer, array, theirs in names:
        if array == "kernel":
            units = params[layer]["kernel"].shape[-1]
        elif array in params[layer] and params[layer][array].shape != (units,):
            wrong[theirs] = list(params[layer][array].shape)
    if wrong:
        raise InvalidArgumentError("arrays have other sizes than the kernels in front of them", got=wrong)
