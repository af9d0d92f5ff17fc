"""The int8 arithmetic a second time, from the formulas of c/runtime/reds_kernels.h, in NumPy's 64 bits.

Whatever a device keeps in 32 bits is checked to fit them. `steps_from_exact` compares with real arithmetic.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from reds_jax.deploy.int8.joined import Move, Moves
from reds_jax.deploy.int8.quantize import Mean, Product, QuantizedProgram, Requantize, Sum, Table
from reds_jax.deploy.lowering.program import Operation, Program, Window


def mulhi(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a.astype(np.int64) * np.asarray(b, np.int64) + (1 << 31)) >> 32


def fits(a: np.ndarray) -> np.ndarray:
    """The same numbers; an error if they leave 32 bits."""
    assert np.all((a >= -(1 << 31)) & (a < 1 << 31)), "an intermediate leaves 32 bits"
    return a


def windows(x: np.ndarray, window: Window, fill: int) -> np.ndarray:
    """[N, C, H', W', k_h, k_w]: what every window covers, ``fill`` outside of the image."""
    x = np.pad(x, ((0, 0), (0, 0), *window.padding), constant_values=fill)
    (s_h, s_w), (d_h, d_w) = window.strides, window.dilation
    return sliding_window_view(x, window.reach, (2, 3))[:, :, ::s_h, ::s_w, ::d_h, ::d_w]


def products(program: Program, op: Operation, k: int, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``sum_i w[o][i] x[i]`` of a weighted operation, at the width of subnetwork k; x [N, C, H, W]."""
    w = weights[np.ix_(program.tensors[op.output].kept(k), program.columns(op, k))]
    if op.kind == "dense":
        flat = x if program.tensors[op.inputs[0]].channel_first else x.transpose(0, 2, 3, 1)
        return (flat.reshape(len(x), -1) @ w.T)[:, :, None, None]
    assert op.window is not None
    seen = windows(x, op.window, 0)
    if op.kind == "depthwise":
        return np.einsum("nchwij,cij->nchw", seen, w.reshape(-1, *op.window.kernel))
    groups = op.groups[k] if op.groups else 1
    return np.concatenate([np.einsum("nchwij,ocij->nohw", part, rows.reshape(len(rows), -1, *op.window.kernel))
                           for part, rows in zip(np.split(seen, groups, 1), np.split(w, groups), strict=True)], 1)


def leaky(t: np.ndarray, slope: int) -> np.ndarray:
    return np.where(t < 0, mulhi(fits(2 * t), np.int64(slope)), t) if slope else t


def saturate(t: np.ndarray, shift: int) -> np.ndarray:
    return np.clip(fits(t) >> shift, -128, 127)


def run(quantized: QuantizedProgram, k: int, x: np.ndarray) -> list[np.ndarray]:
    """All tensors [N, C, H, W] of subnetwork k, for int8 inputs [N, ...]."""
    program = quantized.program
    first = program.tensors[0]
    values = {0: x.astype(np.int64).reshape(len(x), first.height, first.width, -1).transpose(0, 3, 1, 2)}
    for i, op in enumerate(program.operations):
        values[op.output] = _step(quantized, i, k, [values[t] for t in op.inputs])
        assert values[op.output].shape[1:] == (program.tensors[op.output].channels[k], program.tensors[op.output].height,
                                               program.tensors[op.output].width)
    return [values[t] for t in range(len(program.tensors))]


def outputs(quantized: QuantizedProgram, k: int, x: np.ndarray) -> np.ndarray:
    return run(quantized, k, x)[quantized.program.output].reshape(len(x), -1)


def _step(quantized: QuantizedProgram, i: int, k: int, inputs: list[np.ndarray]) -> np.ndarray:
    op, step, slope = quantized.program.operations[i], quantized.steps[k][i], quantized.slopes[i]
    x = inputs[0]
    if isinstance(step, Requantize):
        weights = quantized.weights[i]
        assert weights is not None
        sums = fits(products(quantized.program, op, k, x - step.in_zero, weights.astype(np.int64)))
        multiplier, offset = (v.astype(np.int64)[:, None, None] for v in (step.multiplier, step.offset))
        return saturate(fits(leaky(fits(mulhi(sums, multiplier) + offset), slope)) + step.round, step.shift)
    if isinstance(step, Sum):
        t = fits((x - step.a_zero) * step.a_multiplier) + fits((inputs[1] - step.b_zero) * step.b_multiplier)
        return saturate(fits(leaky(fits(t), slope)) + step.round, step.shift)
    if isinstance(step, Product):
        t = fits(mulhi(fits((x - step.a_zero) * (inputs[1] - step.b_zero) * 2**14), np.int64(step.multiplier)))
        return saturate(fits(leaky(t, slope)) + step.round, step.shift)
    if isinstance(step, Table):
        return step.entries.astype(np.int64)[x + 128]
    if op.kind == "channel_first":
        return x
    if op.kind == "resize":
        y = quantized.program.tensors[op.output]
        return np.kron(x, np.ones((y.height // x.shape[2], y.width // x.shape[3]), np.int64))
    if isinstance(step, Moves):
        out = quantized.program.tensors[op.output]
        return np.concatenate([_moved(a, move, slope).reshape(len(a), -1, out.height, out.width)
                               for a, move in zip(inputs, step.of, strict=True)], 1)
    if op.kind == "shuffle":
        return np.concatenate([x[:, g :: x.shape[1] // op.groups[k]] for g in range(x.shape[1] // op.groups[k])], 1)
    assert op.window is not None
    if op.kind == "pad":
        return np.pad(x, ((0, 0), (0, 0), *op.window.padding), constant_values=quantized.scales[k][op.inputs[0]].zero)
    if op.kind == "max_pool":
        return windows(x, op.window, -128).max((-1, -2))
    assert isinstance(step, Mean)
    seen = windows(x - step.in_zero, op.window, 0).sum((-1, -2))
    n = op.window.taps
    m = windows(np.ones_like(x), op.window, 0).sum((-1, -2))
    whole = fits(seen * n)
    rounded = np.sign(whole) * ((abs(whole) + m // 2) // m)
    return saturate(mulhi(np.where(m == n, seen, rounded), np.int64(step.multiplier)) + step.offset, step.shift)


def _moved(x: np.ndarray, move: Move, slope: int) -> np.ndarray:
    if move.multiplier == 0:
        return x
    return saturate(fits(leaky(fits((x - move.zero) * move.multiplier), slope)) + move.round, move.shift)


def steps_from_exact(quantized: QuantizedProgram, k: int, values: list[np.ndarray]) -> list[float]:
    """For every operation, how far its outputs are beyond half a step from what real arithmetic makes of its inputs.

    The difference is measured in steps of the output's grid, minus what the fractional bits of the operation leave open; zero
    or less is as exact as the format allows.
    """
    program, excess = quantized.program, []
    for i, op in enumerate(program.operations):
        step, out = quantized.steps[k][i], quantized.scales[k][op.output]
        real = [quantized.scales[k][t].scale * (values[t] - quantized.scales[k][t].zero) for t in op.inputs]
        open_ = 0.0
        if isinstance(step, Requantize):
            weights, scales = quantized.weights[i], quantized.weight_scales[i]
            assert weights is not None
            assert scales is not None
            sums = products(program, op, k, values[op.inputs[0]] - step.in_zero, weights.astype(np.int64))
            kept = program.tensors[op.output].kept(k)
            factor = op.scale[k].astype(np.float64) * scales[kept] * quantized.scales[k][op.inputs[0]].scale
            y = factor[:, None, None] * sums + op.offset[k].astype(np.float64)[:, None, None]
            open_ = (2.5 + float(np.abs(sums).max(initial=0)) * 2.0**-33) * 2.0**-step.shift
        elif isinstance(step, Sum):
            y = real[0] + real[1]
            open_ = 255.0 * 2.0**-step.shift + 2.0**-step.shift
        elif isinstance(step, Product):
            y = real[0] * real[1]
            open_ = (2.5 + 255**2 * 2.0**-19) * 2.0**-step.shift
        elif isinstance(step, Table):
            assert op.function is not None
            y = op.function.exact(real[0])
        elif isinstance(step, Moves):
            tensor = program.tensors[op.output]
            y = np.concatenate([a.reshape(len(a), -1, tensor.height, tensor.width) for a in real], 1)
            open_ = max(128.0 * 2.0**-move.shift for move in step.of)
        elif isinstance(step, Mean):
            assert op.window is not None
            m = windows(np.ones_like(values[op.inputs[0]]), op.window, 0).sum((-1, -2))
            y = windows(real[0], op.window, 0).sum((-1, -2)) / m
            open_ = 2.0**-step.shift * 2 + (0.5 / op.window.taps * quantized.scales[k][op.inputs[0]].scale / out.scale)
        else:
            excess.append(0.0)
            continue
        if op.activation != "linear":
            y = np.where(y < 0, (op.slope if op.activation == "leaky_relu" else 0) * y, y)
            y = np.minimum(y, 6) if op.activation == "relu6" else y
        exact = np.clip(y / out.scale + out.zero, -128, 127)
        excess.append(float(np.abs(values[op.output] - exact).max(initial=0) - 0.5 - open_ - 1e-6))
    return excess
