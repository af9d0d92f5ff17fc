"""Run a device program in JAX: the float reference of every subnetwork, and what calibration and tests compare with."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.array_types import Float
from reds_jax.deploy.lowering.examples import check_shape, floats
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Window


@lru_cache(maxsize=16)  # a few subnetworks: calibration, the report and the recorded answers run the same
def simulate(program: Program, k: int) -> Callable[[jax.Array | np.ndarray], list[jax.Array]]:
    """A compiled function from inputs [N, H, W, C] (or [N, C]) to all tensors of subnetwork k, in the order of ``tensors``.

    Tensors are [N, C, H, W], but the input, which stays as it is.
    """
    run = jax.jit(partial(_run, program, k))
    constants = _constants(program, k)  # arguments, not constants: XLA would spend its time on folding them
    return lambda x: run(x, constants)


def outputs(program: Program, k: int, x: Any) -> Float[np.ndarray, "batch outputs"]:
    """The outputs [N, classes] of subnetwork k for a batch of inputs, float32."""
    given = floats(x, program.input_shape, "the inputs")
    return np.asarray(simulate(program, k)(jnp.asarray(given))[program.output]).reshape(len(given), -1)


Constants = tuple[tuple[np.ndarray | jax.Array, ...], ...]


def _constants(program: Program, k: int) -> Constants:
    """Weights, scale and offset of every operation, as subnetwork k reads them."""
    return tuple((program.kept_weights(op, k), op.scale[k], op.offset[k]) if op.kind in WEIGHTED else ()
                 for op in program.operations)


def _run(program: Program, k: int, x: jax.Array, constants: Constants | None = None) -> list[jax.Array]:
    values: dict[int, jax.Array] = {0: image(program, x)}
    for op, known in zip(program.operations, constants or _constants(program, k), strict=True):
        values[op.output] = _step(program, op, [values[i] for i in op.inputs], known)
    return [values[i] for i in range(len(program.tensors))]


def image(program: Program, x: jax.Array) -> jax.Array:
    """A batch of inputs as [N, C, H, W], whatever way they lie; an `InvalidArgumentError` for another shape than traced."""
    check_shape(x.shape, program.input_shape, "the inputs")
    tensor = program.tensors[0]
    return x.reshape(len(x), tensor.height, tensor.width, -1).transpose(0, 3, 1, 2)


def _step(program: Program, op: Operation, inputs: list[jax.Array], known: tuple[np.ndarray | jax.Array, ...]) -> jax.Array:
    x = inputs[0]
    if op.kind in WEIGHTED:
        weights, *vectors = known
        scale, offset = (jnp.asarray(v).reshape(1, -1, 1, 1) for v in vectors)
        with jax.default_matmul_precision("highest"):
            return activation(op, scale * linear(program, op, x, weights) + offset)
    if op.kind == "add":
        return activation(op, x + inputs[1])
    if op.kind == "mul":
        return activation(op, x * inputs[1])
    if op.kind == "map":
        assert op.function is not None
        return op.function(x)
    if op.kind == "resize":
        return resize(program, op, x)
    if op.kind == "max_pool":
        assert op.window is not None
        return pool(x, op.window, -jnp.inf, lax.max)
    if op.kind == "avg_pool":
        assert op.window is not None
        out = program.tensors[op.output]
        counts = op.window.counts((x.shape[2], x.shape[3]), (out.height, out.width))
        return pool(x, op.window, 0.0, lax.add) / counts.astype(x.dtype)[None, None]
    if op.kind == "softmax":
        return jax.nn.softmax(x, axis=1)
    if op.kind == "concat":
        return activation(op, joined(program, op, inputs))
    if op.kind == "pad":
        return padded(op, x, 0)
    if op.kind == "shuffle":
        return shuffled(op, x)
    return x  # channel_first: `image` has turned the input already


def linear(program: Program, op: Operation, x: jax.Array, weights: np.ndarray | jax.Array) -> jax.Array:
    """The linear part of an operation: x [N, C, H, W], weights as `Program.kept_weights` (also integers as floats)."""
    w = jnp.asarray(weights)
    if op.kind == "dense":
        if not program.tensors[op.inputs[0]].channel_first:
            x = x.transpose(0, 2, 3, 1)
        return (x.reshape(len(x), -1) @ w.T)[:, :, None, None]
    window = op.window
    assert window is not None
    w = w.reshape(len(w), -1, *window.kernel)
    return lax.conv_general_dilated(x, w, window.strides, window.padding, rhs_dilation=window.dilation,
                                    dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=x.shape[1] // w.shape[1])


def joined(program: Program, op: Operation, inputs: list[jax.Array]) -> jax.Array:
    """The arrays of a concatenation one behind the other; of vectors, all entries of each."""
    out = program.tensors[op.output]
    return jnp.concatenate([x.reshape(len(x), -1, out.height, out.width) for x in inputs], axis=1)


def shuffled(op: Operation, x: jax.Array) -> jax.Array:
    """Channels [groups][each] as [each][groups]; x [N, C, H, W]."""
    return x.reshape(len(x), op.groups[0], -1, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)


def padded(op: Operation, x: jax.Array, value: int) -> jax.Array:
    """An image with a border of ``value``; x [N, C, H, W]."""
    assert op.window is not None
    return jnp.pad(x, ((0, 0), (0, 0), *op.window.padding), constant_values=value)


def pool(x: jax.Array, window: Window, start: float, combine: Callable) -> jax.Array:
    """Combine the positions of every window; x [N, C, H, W]."""
    return lax.reduce_window(x, np.asarray(start, x.dtype), combine, (1, 1, *window.kernel), (1, 1, *window.strides),
                             ((0, 0), (0, 0), *window.padding))


def resize(program: Program, op: Operation, x: jax.Array) -> jax.Array:
    """Rows and columns repeated; x [N, C, H, W]."""
    rows, columns = program.repeats(op)
    return jnp.repeat(jnp.repeat(x, rows, 2), columns, 3)


def activation(op: Operation, y: jax.Array) -> jax.Array:
    functions: dict[str, Callable] = {"linear": lambda y: y, "relu": jax.nn.relu, "relu6": jax.nn.relu6,
                                      "leaky_relu": partial(jax.nn.leaky_relu, negative_slope=op.slope)}
    return functions[op.activation](y)
