"""The layers of a device program as CMSIS-NN takes them, at the widths of one subnetwork, and what they compute.

A layer has dense tensors [H, W, C] of exactly those widths, random int8 weights, and factors that spread its outputs over the
8 bits, so that a comparison of outputs says something. `expected` computes with CMSIS-NN's own rounding:

    requantize(v, m, s) = rounded(rounded(v 2^max(s, 0) m / 2^31) / 2^max(-s, 0))

(m in [2^30, 2^31); the first rounds half up, the second half away from zero). An average is rounded half away from zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reds_jax.deploy.lowering.program import Operation, Program, Window
from reds_jax.errors import InvalidArgumentError

LEFT_SHIFT = 20  # of a residual add
KINDS = ("conv", "depthwise", "dense", "max_pool", "avg_pool", "add")


@dataclass(frozen=True)
class Factor:
    """A positive factor as an integer in [2^30, 2^31) and a shift: integer / 2^31 * 2^shift."""

    multiplier: int
    shift: int

    @classmethod
    def of(cls, value: float) -> Factor:
        fraction, shift = math.frexp(value)
        multiplier = round(fraction * 2**31)
        return cls(multiplier // 2, shift + 1) if multiplier == 2**31 else cls(multiplier, shift)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer on dense int8 tensors.

    Args:
        kind: of the operation.
        inputs, output: the tensors by index.
        shapes: (height, width, channels) of the first input and of the output.
        window: of a convolution or a pool.
        weights: [O, k_h, k_w, I] of a convolution, [1, k_h, k_w, C] of a depthwise one, [O, I] of a dense layer.
        bias: for each output.
        factors: for each output (a dense layer has one), of an add: of the inputs and of the sum.
        zeros: of the inputs and, last, of the output.
        low: the smallest output.
    """

    name: str
    kind: str
    inputs: tuple[int, ...]
    output: int
    shapes: tuple[tuple[int, int, int], tuple[int, int, int]]
    zeros: tuple[int, ...]
    low: int
    window: Window | None = None
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    factors: tuple[Factor, ...] = ()


@dataclass(frozen=True, eq=False)
class Net:
    """The layers of a subnetwork, the shapes of all tensors that they touch, and an input."""

    layers: tuple[Layer, ...]
    shapes: dict[int, tuple[int, int, int]]
    x: np.ndarray


def net(program: Program, k: int, seed: int = 0) -> Net:
    """The layers of subnetwork k. What only moves values (channel_first) is none: CMSIS-NN's tensors are [H, W, C]."""
    rng = np.random.default_rng((seed, k))
    shape = _shape(program, 0, k)
    values, zeros = {0: rng.integers(-128, 128, shape).astype(np.int8)}, {0: 3}
    shapes, layers = {0: shape}, []
    same: dict[int, int] = {}  # tensors that are others, only in another order
    for op in program.operations:
        inputs = tuple(same.get(i, i) for i in op.inputs)
        if op.kind in ("channel_first", "softmax"):
            same[op.output] = inputs[0]
            continue
        layer = _layer(program, op, k, inputs, [zeros[i] for i in inputs], [values[i] for i in inputs], rng)
        values[op.output] = expected(layer, [values[i] for i in inputs])
        zeros[op.output], shapes[op.output] = layer.zeros[-1], layer.shapes[1]
        layers.append(layer)
    return Net(tuple(layers), shapes, values[0])


def _shape(program: Program, tensor: int, k: int) -> tuple[int, int, int]:
    t = program.tensors[tensor]
    return t.height, t.width, t.channels[k]


def _layer(program: Program, op: Operation, k: int, inputs: tuple[int, ...], zeros: list[int], values: list[np.ndarray],
           rng: np.random.Generator) -> Layer:
    if op.kind not in KINDS or op.activation not in ("linear", "relu", "relu6"):
        raise InvalidArgumentError("CMSIS-NN is not called for this operation", got=f"{op.kind} {op.name!r}, {op.activation}",
                                   allowed=f"{', '.join(KINDS)}; linear, relu, relu6")
    out = _shape(program, op.output, k)
    rectified = op.activation in ("relu", "relu6")
    zero = -128 if rectified else 5
    whole = {"name": op.name, "kind": op.kind, "inputs": inputs, "output": op.output, "low": -128, "window": op.window}
    shapes = (values[0].shape, out)
    if op.kind in ("avg_pool", "max_pool"):
        return Layer(**whole, shapes=shapes, zeros=(zeros[0], zeros[0]))
    if op.kind == "add":
        half = Factor.of(0.5)
        return Layer(**whole, shapes=shapes, zeros=(*zeros, zero), factors=(half, half, Factor.of(2**-LEFT_SHIFT)))
    channels = values[0].shape[-1]
    if op.kind == "dense":
        whole["window"] = None
        weights = rng.integers(-127, 128, (out[2], values[0].size)).astype(np.int8)
    else:
        assert op.window is not None
        depth = (out[2], *op.window.kernel, channels) if op.kind == "conv" else (1, *op.window.kernel, channels)
        weights = rng.integers(-127, 128, depth).astype(np.int8)
    blank = Layer(**whole, shapes=shapes, zeros=(zeros[0], zero), weights=weights)
    sums = _sums(blank, values[0])
    axes = None if op.kind == "dense" else tuple(range(sums.ndim - 1))
    spread, middle = np.maximum(sums.std(axis=axes), 1.0), np.rint(sums.mean(axis=axes))
    centre = np.broadcast_to(middle, out[2:])
    bias = (-centre + np.broadcast_to(spread, out[2:]) * (1.0 if rectified else 0.0)).astype(np.int32)
    factors = tuple(Factor.of(60 / float(s)) for s in np.atleast_1d(spread))
    return Layer(**whole, shapes=shapes, zeros=(zeros[0], zero), weights=weights, bias=bias, factors=factors)


def expected(layer: Layer, values: Sequence[np.ndarray]) -> np.ndarray:
    """What the layer computes of the values of its inputs, int8 [H, W, C]."""
    if layer.kind in ("avg_pool", "max_pool"):
        return _pool(layer, values[0])
    if layer.kind == "add":
        a, b, total = layer.factors
        scaled = [requantize((v.astype(np.int64) - zero) << LEFT_SHIFT, *(np.array(n) for n in (f.multiplier, f.shift)))
                  for v, zero, f in zip(values, layer.zeros, (a, b), strict=False)]
        found = requantize(scaled[0] + scaled[1], np.array(total.multiplier), np.array(total.shift))
    else:
        assert layer.bias is not None
        found = requantize(_sums(layer, values[0]) + layer.bias, np.array([f.multiplier for f in layer.factors]),
                           np.array([f.shift for f in layer.factors]))
    return np.clip(found + layer.zeros[-1], layer.low, 127).astype(np.int8).reshape(layer.shapes[1])


def requantize(v: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """v * multiplier / 2^31 * 2^shift with CMSIS-NN's two roundings."""
    high = ((v.astype(np.int64) << np.maximum(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = np.maximum(-shift, 0)
    half = np.int64(1) << right >> 1
    return np.where(high < 0, -((-high + half) >> right), (high + half) >> right)


def _windows(layer: Layer, x: np.ndarray, fill: int) -> np.ndarray:
    """[out_h, out_w, C, k_h, k_w], with ``fill`` outside of the image."""
    window = layer.window
    assert window is not None
    height, width, _ = layer.shapes[1]
    padded = np.pad(x.astype(np.int64), (*window.padding, (0, 0)), constant_values=fill)
    slid = np.lib.stride_tricks.sliding_window_view(padded, window.kernel, axis=(0, 1))
    return slid[:: window.strides[0], :: window.strides[1]][:height, :width]


def _sums(layer: Layer, x: np.ndarray) -> np.ndarray:
    """The sums of products, exact: below 2^53 in double precision."""
    assert layer.weights is not None
    weights, zero = layer.weights.astype(np.float64), layer.zeros[0]
    if layer.kind == "dense":
        return (weights @ (x.ravel().astype(np.float64) - zero)).astype(np.int64)
    taken = (_windows(layer, x, zero) - zero).astype(np.float64)
    equation = "yxiab,oabi->yxo" if layer.kind == "conv" else "yxiab,abi->yxi"
    return np.einsum(equation, taken, weights if layer.kind == "conv" else weights[0], optimize=True).astype(np.int64)


def _pool(layer: Layer, x: np.ndarray) -> np.ndarray:
    window = layer.window
    assert window is not None
    if layer.kind == "max_pool":
        return _windows(layer, x, -128).max(axis=(3, 4)).astype(np.int8)
    sums = _windows(layer, x, 0).sum(axis=(3, 4))
    counts = window.counts(x.shape[:2], layer.shapes[1][:2])[..., None]
    return (np.sign(sums) * ((np.abs(sums) + counts // 2) // counts)).astype(np.int8)
