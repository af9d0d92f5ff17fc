r"""Post-training quantisation of a device program to int8, with ONE copy of the weights for all subnetworks.

Weights are symmetric with one scale per output channel, taken over the full row: every subnetwork reads a prefix of the same
bytes. What differs between subnetworks (ranges of the activations, batch norm) is in a multiplier and an offset per output
channel and subnetwork:

.. math:: q_{out} = \mathrm{sat}\big((\mathrm{mulhi}(\sum_i w_i (q_i - z_{in}), m_o) + b_o) \gg s\big)

with mulhi(a, b) = floor((a b + 2^31) / 2^32). The arithmetic is stated in full in c/runtime/reds_kernels.h; `simulate_int8`
repeats it bit for bit. Per-channel weights and zero points: Jacob et al. 2018, arXiv 1712.05877.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reds_jax.array_types import Float, Int8, Int32
from reds_jax.deploy.int8.calibrate import Ranges, Scale
from reds_jax.deploy.int8.joined import KEEP_THE_GRID, Move, Moves, joined_ranges
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program
from reds_jax.errors import InvalidArgumentError

_SHIFTS = range(22, -1, -1)
PRODUCT_BITS = 14
"""By how many bits a product of two differences of 8-bit numbers is moved up before it is multiplied and its high word kept."""
"""The operations whose outputs are some of their inputs, on the same grid."""
_LIMIT = 1 << 30  # what an intermediate stays below, so that twice it fits 32 bits


@dataclass(frozen=True, eq=False)
class Requantize:
    """How the sums of a weighted operation become int8 in one subnetwork."""

    multiplier: Int32[np.ndarray, " outputs"]
    offset: Int32[np.ndarray, " outputs"]
    in_zero: int
    round: int  # with a leaky ReLU only
    shift: int


@dataclass(frozen=True)
class Sum:
    """How a residual add is computed in one subnetwork."""

    a_zero: int
    a_multiplier: int
    b_zero: int
    b_multiplier: int
    round: int
    shift: int


@dataclass(frozen=True)
class Mean:
    """How an average pool is computed in one subnetwork."""

    in_zero: int
    multiplier: int
    offset: int
    shift: int


@dataclass(frozen=True)
class Product:
    """How a product of two arrays is computed in one subnetwork."""

    a_zero: int
    b_zero: int
    multiplier: int
    round: int
    shift: int


@dataclass(frozen=True, eq=False)
class Table:
    """What every 8-bit value becomes in one subnetwork, from -128 on."""

    entries: Int8[np.ndarray, "256"]


Step = Requantize | Sum | Mean | Product | Table | Moves | None


@dataclass(frozen=True, eq=False)
class QuantizedProgram:
    """A device program in int8.

    Args:
        program: the structure (without a softmax, which needs no integers: it is applied to the dequantised logits).
        scales: ``scales[k][t]``, the grid of tensor t in subnetwork k; the input's is the same for all.
        weights: int8 weights by operation, shared.
        weight_scales: one per output channel, by operation.
        steps: ``steps[k][i]``, the arithmetic of operation i in subnetwork k (None where nothing is computed).
        slopes: the slope of a leaky ReLU in 1/2^31 by operation (0: none).
    """

    program: Program
    scales: tuple[tuple[Scale, ...], ...]
    weights: tuple[Int8[np.ndarray, "_outputs _inputs"] | None, ...]
    weight_scales: tuple[Float[np.ndarray, " _outputs"] | None, ...]
    steps: tuple[tuple[Step, ...], ...]
    slopes: tuple[int, ...]

    @property
    def input_scale(self) -> Scale:
        return self.scales[0][0]

    def output_scale(self, k: int) -> Scale:
        """The grid of the outputs of subnetwork k."""
        return self.scales[k][self.program.output]


def quantize(program: Program, ranges: Ranges) -> QuantizedProgram:
    """The int8 form of a program, with activations on the grids that ``ranges`` asks for (`calibrate`).

    Raises:
        InvalidArgumentError: a layer whose sums could leave 32 bits.
    """
    ops = program.operations
    if ops and ops[-1].kind == "softmax":
        ranges = Ranges(np.delete(ranges.low, ops[-1].output, 1), np.delete(ranges.high, ops[-1].output, 1))
        program = program.without_softmax()
        ops = program.operations
    if any(op.kind == "softmax" for op in ops):
        raise InvalidArgumentError("a softmax that is not at the end cannot be quantised")
    ranges = joined_ranges(program, ranges)
    pairs = [_weights(op) if op.kind in WEIGHTED else (None, None) for op in ops]
    slopes = tuple(max(1, round(op.slope * 2**31)) if op.activation == "leaky_relu" else 0 for op in ops)
    scales, steps = [], []
    for k in range(program.subnetworks):
        grids = [Scale.of_range(ranges.low[k, t], ranges.high[k, t]) for t in range(len(program.tensors))]
        row: list[Step] = []
        for op, (weights, weight_scale), slope in zip(ops, pairs, slopes, strict=True):
            grids[op.output] = _output_grid(op, grids, ranges.high[k, op.output])
            if weights is not None and weight_scale is not None:
                grids[op.output], step = _requantize(program, op, k, grids, weights, weight_scale, slope)
            elif op.kind == "add":
                grids[op.output], step = _sum(op, grids, slope)
            elif op.kind == "avg_pool":
                grids[op.output], step = _mean(op, grids)
            elif op.kind == "mul":
                grids[op.output], step = _product(op, grids)
            elif op.kind == "map":
                step = _table(op, k, grids)
            elif op.kind == "concat":
                grids[op.output], step = _moves(op, grids)
            else:
                step = None
            row.append(step)
        scales.append(tuple(grids))
        steps.append(tuple(row))
    return QuantizedProgram(program, tuple(scales), tuple(w for w, _ in pairs), tuple(s for _, s in pairs), tuple(steps),
                            slopes)


def _weights(op: Operation) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 weights and their scale per output channel, over the full row."""
    assert op.weights is not None
    if not np.isfinite(op.weights).all():
        raise InvalidArgumentError(f"the weights of {op.name!r} are not finite")
    largest = np.abs(op.weights).max(axis=1).astype(np.float64)
    scale = np.where(largest > 0, largest, 1.0) / 127
    return np.rint(op.weights / scale[:, None]).astype(np.int8), scale


def _output_grid(op: Operation, grids: list[Scale], high: float) -> Scale:
    """What an operation's output lies on: ReLU has its zero at -128, what moves values keeps their grid."""
    if op.kind in KEEP_THE_GRID:
        return grids[op.inputs[0]]
    if op.activation in ("relu", "relu6"):
        return Scale(max(min(float(high), 6.0 if op.activation == "relu6" else math.inf), 1e-9) / 255, -128)
    return grids[op.output]


def _requantize(
    program: Program, op: Operation, k: int, grids: list[Scale], weights: np.ndarray, weight_scale: np.ndarray, slope: int
) -> tuple[Scale, Requantize]:
    kept = np.abs(program.kept(op, k, weights).astype(np.int64)).sum(axis=1)
    x, y = grids[op.inputs[0]], grids[op.output]
    largest = kept * max(127 - x.zero, x.zero + 128)
    if largest.max(initial=0) >= _LIMIT:
        raise InvalidArgumentError(f"the sums of {op.name!r} may leave 32 bits", got=int(largest.max()), allowed="below 2^30")
    factor = op.scale[k].astype(np.float64) * weight_scale[program.tensors[op.output].kept(k)] * x.scale
    for _ in range(128):  # until the sum is finer than the grid, and no offset is too far outside of it (a dead layer)
        offset = op.offset[k].astype(np.float64) / y.scale
        for shift in _SHIFTS:
            multiplier = np.rint(factor / y.scale * 2.0 ** (32 + shift))
            half = (y.zero << shift) + (1 << shift >> 1)
            offsets = np.rint(offset * 2.0**shift) + (0 if slope else half)
            bound = np.abs(multiplier) / 2**32 * largest + np.abs(offsets) + abs(half) + 1
            if np.abs(multiplier).max(initial=0) < 2**31 and bound.max(initial=0) < _LIMIT:
                return y, Requantize(multiplier.astype(np.int32), offsets.astype(np.int32), x.zero, half if slope else 0, shift)
        y = _coarser(y, op)
    raise InvalidArgumentError(f"the scale or offset of {op.name!r} in subnetwork {k} is not finite",
                               hint="Check the parameters and the batch statistics.")


def _coarser(grid: Scale, op: Operation) -> Scale:
    """A grid of twice the step that covers at least as much; that of a ReLU6 may not reach beyond 6."""
    if op.activation != "relu6" or 2 * grid.scale <= 6 / 255:
        return Scale(2 * grid.scale, -128 if grid.zero == -128 else grid.zero // 2)
    if grid.scale < 6 / 255:
        return Scale(6 / 255, -128)
    raise InvalidArgumentError(f"the sums or offsets of {op.name!r} are too large for a ReLU6 in 8 bits",
                               hint="Normalise the inputs of the network; check the batch statistics.")


def _largest_shift(fits: Callable[[int], bool], op: Operation) -> int:
    shift = next((s for s in _SHIFTS if fits(s)), None)
    if shift is None:
        raise InvalidArgumentError(f"the inputs and outputs of {op.name!r} have scales too far apart for 8 bits")
    return shift


def _sum(op: Operation, grids: list[Scale], slope: int) -> tuple[Scale, Sum]:
    a, b, y = grids[op.inputs[0]], grids[op.inputs[1]], grids[op.output]

    def at(shift: int) -> tuple[int, int, int]:
        return (round(a.scale / y.scale * 2**shift), round(b.scale / y.scale * 2**shift),
                (y.zero << shift) + (1 << shift >> 1))

    def fits(shift: int) -> bool:
        ma, mb, half = at(shift)
        return 255 * (ma + mb) + abs(half) < _LIMIT

    while not fits(0):  # the sum is far larger than the grid: all of it is cut off
        y = _coarser(y, op)
    shift = _largest_shift(fits, op)
    ma, mb, half = at(shift)
    return y, Sum(a.zero, ma, b.zero, mb, half, shift)


def _mean(op: Operation, grids: list[Scale]) -> tuple[Scale, Mean]:
    x, y = grids[op.inputs[0]], grids[op.output]
    assert op.window is not None
    taps = op.window.taps
    while x.scale / y.scale / taps >= 0.499:  # the sum itself is coarser than the grid
        y = _coarser(y, op)
    ratio, largest = x.scale / y.scale, 255 * taps * (taps if op.window.padded else 1)

    def fits(shift: int) -> bool:
        bound = 255 * ratio * 2**shift + (abs(y.zero) + 1 << shift)
        return round(ratio / taps * 2 ** (32 + shift)) < 2**31 and bound < _LIMIT and largest < _LIMIT

    shift = _largest_shift(fits, op)
    return y, Mean(x.zero, round(ratio / taps * 2 ** (32 + shift)), (y.zero << shift) + (1 << shift >> 1), shift)


def _product(op: Operation, grids: list[Scale]) -> tuple[Scale, Product]:
    a, b, y = grids[op.inputs[0]], grids[op.inputs[1]], grids[op.output]
    largest = max(127 - a.zero, a.zero + 128) * max(127 - b.zero, b.zero + 128)

    def fits(shift: int) -> bool:
        ratio, half = a.scale * b.scale / y.scale * 2.0**shift, (abs(y.zero) + 1) << shift
        return round(ratio * 2 ** (32 - PRODUCT_BITS)) < 2**31 and largest * ratio + half + 1 < _LIMIT

    while not fits(0):  # the product is far larger than the grid: all of it is cut off
        y = _coarser(y, op)
    shift = _largest_shift(fits, op)
    half = (y.zero << shift) + (1 << shift >> 1)
    return y, Product(a.zero, b.zero, round(a.scale * b.scale / y.scale * 2.0 ** (32 - PRODUCT_BITS + shift)), half, shift)


def _table(op: Operation, k: int, grids: list[Scale]) -> Table:
    assert op.function is not None
    x, y = grids[op.inputs[0]], grids[op.output]
    values = op.function.exact(x.scale * (np.arange(-128, 128) - x.zero))
    if np.isnan(values).any():
        raise InvalidArgumentError(f"{op.name!r} has no value at some numbers of its 8-bit input in subnetwork {k}",
                                   got=f"not a number at {x.scale * (int(np.argmax(np.isnan(values))) - 128 - x.zero):.6g}",
                                   allowed="a function with a value at every number from the smallest to the largest input",
                                   hint="Clip its argument to where it is defined.")
    return Table(np.clip(np.rint(values / y.scale) + y.zero, -128, 127).astype(np.int8))
def _moves(op: Operation, grids: list[Scale]) -> tuple[Scale, Moves]:
    """A concatenation; what lies on its grid already stays as it is."""
    y = grids[op.output]

    def at(x: Scale, shift: int) -> tuple[int, int]:
        return max(1, round(x.scale / y.scale * 2**shift)), (y.zero << shift) + (1 << shift >> 1)

    def fits(x: Scale, shift: int) -> bool:
        multiplier, half = at(x, shift)
        return 255 * multiplier + abs(half) < _LIMIT

    while not all(fits(grids[t], 0) for t in op.inputs):  # an array that is far larger than the grid: all of it is cut off
        y = _coarser(y, op)
    found = []
    for x in (grids[t] for t in op.inputs):
        if x == y and op.activation == "linear":
            found.append(Move(0, 0, 0, 0))
        else:
            shift = _largest_shift(lambda s, x=x: fits(x, s), op)
            found.append(Move(x.zero, *at(x, shift), shift))
    return y, Moves(tuple(found))
