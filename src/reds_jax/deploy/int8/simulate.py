"""The int8 arithmetic of the C runtime in JAX, bit for bit, in 32-bit integers: a device's answers for a whole data set.

The formulas are those of c/runtime/reds_kernels.h. Sums of products are computed exactly: in float32 while they stay below 2^24
(any order of adding is then exact), otherwise from two halves of the weights, or in integers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from reds_jax.array_types import Array, Int8, Int32, Shaped
from reds_jax.deploy.int8.joined import Move, Moves
from reds_jax.deploy.int8.quantize import PRODUCT_BITS, Mean, Product, QuantizedProgram, Requantize, Sum, Table
from reds_jax.deploy.lowering.examples import floats
from reds_jax.deploy.lowering.program import Operation, Program, Tensor
from reds_jax.deploy.lowering.simulate import image, joined, linear, padded, pool, resize, shuffled

_EXACT = 1 << 24


@lru_cache(maxsize=16)
def simulate_int8(quantized: QuantizedProgram, k: int) -> Callable[[jax.Array], list[jax.Array]]:
    """A compiled function from int8 inputs [N, ...] to all tensors of subnetwork k (int8; [N, C, H, W])."""

    program = quantized.program

    @jax.jit
    def run(x: jax.Array, constants: tuple[Constants, ...]) -> list[jax.Array]:
        values: dict[int, jax.Array] = {0: image(program, x)}
        for i, (op, known) in enumerate(zip(program.operations, constants, strict=True)):
            inputs = [values[j].astype(jnp.int32) for j in op.inputs]
            values[op.output] = _step(quantized, i, k, inputs, known).astype(jnp.int8)
        return [values[t] for t in range(len(program.tensors))]

    constants = tuple(_constants(quantized, i, k) for i in range(len(program.operations)))  # arguments: XLA would fold them
    return lambda x: run(x, constants)


Constants = tuple[np.ndarray | jax.Array, ...]
"""Multiplier and offset of an operation, and the parts that its weights are summed in; nothing where it has no weights."""


def _constants(quantized: QuantizedProgram, i: int, k: int) -> Constants:
    step, stored = quantized.steps[k][i], quantized.weights[i]
    if not isinstance(step, Requantize) or stored is None:
        return ()
    program, op = quantized.program, quantized.program.operations[i]
    w = program.kept(op, k, stored).astype(np.int32)
    if 255 * int(np.abs(w).sum(axis=1).max()) < _EXACT:
        parts = [w.astype(np.float32)]
    elif 255 * 15 * w.shape[1] < _EXACT:
        parts = [(w >> 4).astype(np.float32), (w & 15).astype(np.float32)]
    else:
        parts = [w]
    return (step.multiplier, step.offset, *parts)


def outputs_int8(quantized: QuantizedProgram, k: int, x: Shaped[np.ndarray, "batch ..."]) -> Int8[np.ndarray, "batch outputs"]:
    """The int8 outputs [N, classes] of subnetwork k for float inputs, which are put on the input's grid first."""
    given = quantized.input_scale.quantize(floats(x, quantized.program.input_shape, "the inputs"))
    return np.asarray(simulate_int8(quantized, k)(jnp.asarray(given))[quantized.program.output]).reshape(len(given), -1)


def mulhi(a: ArrayLike, b: ArrayLike) -> Int32[Array, "..."]:
    """``(a * b + 2^31) >> 32`` of 32-bit integers, from 16-bit halves: no intermediate leaves 32 bits.

    With a = 2^16 p + q and b = 2^16 r + s (q, s unsigned): a b = 2^32 p r + 2^16 (p s + q r) + q s.
    """
    a, b = jnp.asarray(a, jnp.int32), jnp.asarray(b, jnp.int32)
    p, r = a >> 16, b >> 16
    q, s = a & 0xFFFF, b & 0xFFFF
    low = (q.astype(jnp.uint32) * s.astype(jnp.uint32)) >> 16
    t = p * s + low.astype(jnp.int32)
    u = q * r + (t & 0xFFFF)
    return p * r + (t >> 16) + (u >> 16) + ((u >> 15) & 1)


def _saturate(t: jax.Array, shift: int) -> jax.Array:
    return jnp.clip(t >> shift, -128, 127)


def _leaky(t: jax.Array, slope: int) -> jax.Array:
    return jnp.where(t < 0, mulhi(2 * t, jnp.int32(slope)), t) if slope else t


def _step(quantized: QuantizedProgram, i: int, k: int, inputs: list[jax.Array], known: Constants) -> jax.Array:
    program, op, step, slope = quantized.program, quantized.program.operations[i], quantized.steps[k][i], quantized.slopes[i]
    x = inputs[0]
    if isinstance(step, Requantize):
        multiplier, offset = (jnp.asarray(v).reshape(1, -1, 1, 1) for v in known[:2])
        sums = _sums(program, op, x - step.in_zero, known[2:])
        return _saturate(_leaky(mulhi(sums, multiplier) + offset, slope) + step.round, step.shift)
    if isinstance(step, Sum):
        t = (x - step.a_zero) * step.a_multiplier + (inputs[1] - step.b_zero) * step.b_multiplier
        return _saturate(_leaky(t, slope) + step.round, step.shift)
    if isinstance(step, Product):
        t = mulhi((x - step.a_zero) * (inputs[1] - step.b_zero) << PRODUCT_BITS, jnp.int32(step.multiplier))
        return _saturate(_leaky(t, slope) + step.round, step.shift)
    if isinstance(step, Table):
        return jnp.asarray(step.entries, jnp.int32)[x + 128]
    if isinstance(step, Mean):
        total = _window_sums(op, program.tensors[op.output], x - step.in_zero)
        return _saturate(mulhi(total, jnp.int32(step.multiplier)) + step.offset, step.shift)
    if isinstance(step, Moves):
        return joined(program, op, [_moved(a, move, slope) for a, move in zip(inputs, step.of, strict=True)])
    if op.kind == "max_pool":
        assert op.window is not None
        return pool(x, op.window, -128, lax.max)
    if op.kind == "resize":
        return resize(program, op, x)
    if op.kind == "pad":
        return padded(op, x, quantized.scales[k][op.output].zero)
    if op.kind == "shuffle":
        return shuffled(op, x)
    assert op.kind == "channel_first", f"{op.kind} has no int8 form in {program}"
    return x


def _moved(x: jax.Array, move: Move, slope: int) -> jax.Array:
    """The entries of an array on another grid; as they are if it is the same."""
    return _saturate(_leaky((x - move.zero) * move.multiplier, slope) + move.round, move.shift) if move.multiplier else x


def _sums(program: Program, op: Operation, x: jax.Array, parts: Constants) -> jax.Array:
    """``sum_i w[o][i] x[i]`` exactly, x = stored - zero in [-255, 255] as int32 [N, C, H, W]."""
    if parts[0].dtype == np.int32:
        return linear(program, op, x, parts[0])
    with jax.default_matmul_precision("highest"):
        high, *low = (linear(program, op, x.astype(jnp.float32), part).astype(jnp.int32) for part in parts)
    return 16 * high + low[0] if low else high


def _window_sums(op: Operation, out: Tensor, x: jax.Array) -> jax.Array:
    """Sums over windows; where padding cuts a window from n to m positions, times n / m, rounded half away from zero."""
    window = op.window
    assert window is not None
    total = pool(x, window, 0, lax.add)
    if not window.padded:
        return total
    m = jnp.asarray(window.counts((x.shape[2], x.shape[3]), (out.height, out.width)), jnp.int32)[None, None]
    scaled = total * window.taps
    rounded = jnp.sign(scaled) * ((jnp.abs(scaled) + m // 2) // m)
    return jnp.where(m == window.taps, total, rounded)
