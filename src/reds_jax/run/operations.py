"""Every operation at a width: shape-bearing parameters follow the units, the rest is the primitive itself.

On a CPU (`reds_jax.run.lowering`) convolutions and pools take their fast form, and what is between them stays in its layout.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.lowering import form, product_dtype, uses_dot
from reds_jax.program.flat import Atom, Operation
from reds_jax.program.rules.elementwise import ELEMENTWISE
from reds_jax.run import channel_first as cf
from reds_jax.run import kernels
from reds_jax.run.held import Held, Order, held
from reds_jax.run.normalise import moments, normalise_batch


@runtime_checkable
class Cutting(Protocol):
    """Which positions of a value stay at a width."""

    def kept(self, x: Atom, axis: int) -> np.ndarray | None:
        """Positions of an axis that stay; None: all."""
        ...

    def shape(self, x: Atom) -> tuple[int, ...]:
        """The shape at the width."""
        ...


Rule = Callable[[Cutting, Operation, Sequence[Held]], Sequence[Held]]


def as_it_is(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """The primitive with its parameters, on values in their usual order."""
    return _bind(op, [h.plain() for h in ins], op.params)


def _bind(op: Operation, arrays: Sequence[Any], params: dict[str, Any], order: Order | None = None) -> list[Held]:
    result = op.primitive.bind(*arrays, **params)
    return [Held(a, order) for a in (result if op.primitive.multiple_results else [result])]


def aligned(cut: Cutting, x: Atom, h: Held, out: Atom) -> Held:
    """What is left of an operand that is the same along an axis, or random, where the result is cut there."""
    for axis, n in enumerate(x.shape):
        if n > 1 and cut.kept(x, axis) is None and (kept := cut.kept(out, axis)) is not None:
            h = h.take(axis, kept)
    return h


def elementwise(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    out = op.outputs[0]
    whole = [len(x.shape) == len(out.shape) for x in op.inputs]
    order = next((h.order for h, full in zip(ins, whole, strict=True) if full and h.order is not None), None)
    arrays = [aligned(cut, x, h, out).turned(order) if full else h.plain()
              for x, h, full in zip(op.inputs, ins, whole, strict=True)]
    return _bind(op, arrays, op.params, order)


def broadcast_in_dim(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    return _bind(op, [h.plain() for h in ins], {**op.params, "shape": cut.shape(op.outputs[0])})


def reshape(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    h, shape = ins[0], cut.shape(op.outputs[0])
    if h.order is not None and h.order[-1] == 0 and shape and shape[0] == h.shape[0]:  # the batch stays behind
        last = (*range(1, len(h.order)), 0)
        return [held(h.turned(last).reshape(*shape[1:], shape[0]), (*range(1, len(shape)), 0))]
    return _bind(op, [h.plain()], {**op.params, "new_sizes": shape})


Multiply = Callable[[Any, Any, Any], Any]
"""(a, b, type of the result, or None: its own) -> their product."""


def _product(multiply: Multiply, a: Any, b: Any) -> Any:
    """A product whose float32 operands have the type that products are asked to have (`reds_jax.lowering.products`)."""
    dtype = jnp.dtype(product_dtype())
    if dtype == np.float32 or a.dtype != np.float32 or b.dtype != np.float32:
        return multiply(a, b, None)
    return multiply(lax.convert_element_type(a, dtype), lax.convert_element_type(b, dtype), dtype).astype(np.float32)


def _unchanged(multiply: Multiply, a: Any, b: Any) -> Any:
    return multiply(a, b, None)


def _multiply(op: Operation, params: dict[str, Any]) -> Multiply:
    """The primitive with some parameters."""
    def multiply(a: Any, b: Any, dtype: Any) -> Any:
        return op.primitive.bind(a, b, **(params if dtype is None else {**params, "preferred_element_type": dtype}))

    return multiply


def dot_general(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """A product reads its operands as they lie."""
    contract, batch = op.params["dimension_numbers"]
    lying = tuple(tuple(tuple(h.axis(i) for i in axes) for h, axes in zip(ins, pair, strict=True))
                  for pair in (contract, batch))
    result = _product(_multiply(op, {**op.params, "dimension_numbers": lying}), ins[0].array, ins[1].array)
    order, start = list(range(len(batch[0]))), len(batch[0])
    for side, h in enumerate(ins):
        gone = (*contract[side], *batch[side])
        free = [i for i in h.order or range(np.ndim(h.array)) if i not in gone]
        order += [start + sorted(free).index(i) for i in free]
        start += len(free)
    return [held(result, order)]


def transpose(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    h, permutation = ins[0], tuple(op.params["permutation"])
    if h.order is None:
        return as_it_is(cut, op, ins)
    return [held(h.array, [permutation.index(axis) for axis in h.order])]


def slice_(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """The positions that are taken and stay."""
    h, x, p = ins[0], op.inputs[0], op.params
    steps = p["strides"] or (1,) * len(x.shape)
    for axis, (start, stop, step) in enumerate(zip(p["start_indices"], p["limit_indices"], steps, strict=True)):
        if (start, stop, step) != (0, x.shape[axis], 1):
            h = _part(cut, x, h, axis, range(start, stop, step))
    return [h]


def _part(cut: Cutting, x: Atom, h: Held, axis: int, taken: range) -> Held:
    kept = cut.kept(x, axis)
    if kept is not None:
        return h.take(axis, np.flatnonzero(np.isin(kept, taken)))
    where = h.axis(axis)
    stop = taken[-1] + 1 if len(taken) else taken.start
    return Held(lax.slice_in_dim(h.array, taken.start, stop, taken.step, where), h.order)


def split(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    axis, start, results = op.params["axis"], 0, []
    for size in op.params["sizes"]:
        results.append(_part(cut, op.inputs[0], ins[0], axis, range(start, start + size)))
        start += size
    return results


def concatenate(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    dimension = op.params["dimension"]
    order = next((h.order for h in ins if h.order is not None), None)
    arrays = []
    for x, h in zip(op.inputs, ins, strict=True):
        for axis in range(len(x.shape)):
            kept = cut.kept(op.outputs[0], axis)
            if axis != dimension and x.shape[axis] > 1 and kept is not None and cut.kept(x, axis) is None:
                h = h.take(axis, kept)
        arrays.append(h.turned(order))
    where = dimension if order is None else order.index(dimension)
    return [Held(lax.concatenate(arrays, where), order)]


def pad(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    h, config = ins[0], op.params["padding_config"]
    lying = [config[axis] for axis in (h.order or range(len(config)))]
    return [Held(lax.pad(h.array, ins[1].plain(), lying), h.order)]


def gather(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    x, sizes = op.inputs[0], list(op.params["slice_sizes"])
    for axis, n in enumerate(x.shape):
        if sizes[axis] == n:
            sizes[axis] = cut.shape(x)[axis]
    return _bind(op, [h.plain() for h in ins], {**op.params, "slice_sizes": tuple(sizes)})


def dynamic_slice(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    return _bind(op, [h.plain() for h in ins], {**op.params, "slice_sizes": cut.shape(op.outputs[0])})


def dynamic_update_slice(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    x, update, out = op.inputs[0], op.inputs[1], op.outputs[0]
    arrays = [aligned(cut, x, ins[0], out).plain()]
    h = ins[1]
    for axis, n in enumerate(update.shape):
        kept = cut.kept(out, axis)
        if n == x.shape[axis] and n > 1 and kept is not None and cut.kept(update, axis) is None:
            h = h.take(axis, kept)
    return _bind(op, [*arrays, h.plain(), *(i.plain() for i in ins[2:])], op.params)


def reduce(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    h, gone = ins[0], op.params["axes"]
    order = h.order or tuple(range(len(op.inputs[0].shape)))
    lying = tuple(sorted(order.index(axis) for axis in gone))
    left = [axis for axis in order if axis not in gone]
    ranks = sorted(left)
    return [held(r.array, [ranks.index(axis) for axis in left]) for r in _bind(op, [h.array], {**op.params, "axes": lying})]


_POOLS: dict[str, tuple[float, Callable[..., jax.Array]]] = {
    "reduce_window_sum": (0.0, operator.add), "reduce_window_max": (-np.inf, jnp.maximum),
    "reduce_window_min": (np.inf, jnp.minimum)}


def reduce_window(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    h, p = ins[0], op.params
    order = h.order or tuple(range(len(op.inputs[0].shape)))
    lying = {k: tuple(v[i] for i in order) for k, v in p.items() if isinstance(v, tuple)}
    floats = jnp.issubdtype(h.array.dtype, jnp.floating)
    if uses_dot() and floats and set(p["base_dilation"]) == set(p["window_dilation"]) == {1}:
        empty, combine = _POOLS[op.primitive.name]
        pooled = cf.pool(h.array, lying["window_dimensions"], lying["window_strides"], lying["padding"], empty, combine)
        return [Held(pooled, h.order)]
    return _bind(op, [h.array], {**p, **lying}, h.order)


def conv(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    p, x, kernel = op.params, ins[0], ins[1].plain()
    lhs, rhs, out = p["dimension_numbers"].lhs_spec, p["dimension_numbers"].rhs_spec, p["dimension_numbers"].out_spec
    groups = p["feature_group_count"]
    if groups > 1:  # whole groups are cut
        groups = x.shape[lhs[1]] // kernel.shape[rhs[1]]
    depthwise = groups > 1 and kernel.shape[rhs[1]] == 1
    product = _unchanged if depthwise else _product
    simple = set(p["lhs_dilation"]) == {1} and p["batch_group_count"] == 1
    if not (uses_dot() and simple and jnp.issubdtype(kernel.dtype, jnp.floating)):
        return [Held(product(_multiply(op, {**p, "feature_group_count": groups}), x.plain(), kernel))]
    array = x.turned((lhs[1], *lhs[2:], lhs[0]))
    kernel = jnp.transpose(kernel, (*rhs[2:], rhs[1], rhs[0]))
    window = cf.Window(tuple(p["window_strides"]), tuple(map(tuple, p["padding"])), tuple(p["rhs_dilation"]))
    if depthwise and kernel.shape[-1] == groups:
        y: Any = cf.depthwise(array, kernel[..., 0, :], window)
    else:
        y = product(lambda x, kernel, _: _conv(x, kernel, window, groups), array, kernel)
    return [held(y, (out[1], *out[2:], out[0]))]


def _conv(x: Any, kernel: Any, window: cf.Window, groups: int) -> Any:
    if form() == "fused" and groups == 1 and kernels.takes(x, kernel, window):
        return kernels.conv(x, kernel, window)
    return cf.conv(x, kernel, window, groups)


def batch_norm(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """Batch norm with the statistics of the batch, found by `reds_jax.run.fuse`: (y, mean, variance)."""
    x, axis = ins[0], op.params["axis"]
    where, n = x.axis(axis), x.shape[axis]
    ones = jnp.ones(n, x.array.dtype)
    scale = ins[1].plain().reshape(n) if op.params["scale"] else ones
    bias = ins[-1].plain().reshape(n) if op.params["bias"] else 0 * ones
    y, mean, var = normalise_batch(x.array, scale, bias, where, op.params["epsilon"])
    vectors = [Held(v.reshape(cut.shape(value))) for v, value in zip((mean, var), op.outputs[1:], strict=True)]
    return [Held(y, x.order), *vectors]


def batch_variance(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """The variance over all axes but one, found by `reds_jax.run.fuse`."""
    var = moments(ins[0].array, ins[0].axis(op.params["axis"]))[2]
    return [Held(var.reshape(cut.shape(op.outputs[0])))]


def segment(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """A segment, found by `reds_jax.run.segments`: (y, and mean and variance of a batch, twice)."""
    p, rhs = op.params, op.params["kernel"]
    order = (p["axis"], *(i for i in range(1, len(op.inputs[0].shape)) if i != p["axis"]), 0)
    array = ins[0].turned(order)
    kernel = jnp.transpose(ins[4].plain(), (*rhs[2:], rhs[1], rhs[0]))[..., 0, :].astype(array.dtype)
    (bias,) = _vectors(ins[5:6], array)
    y, first, second = kernels.segment(
        array, _vectors(ins[1:4], array), p["activations"], kernel, bias, _vectors(ins[6:9], array), p["window"],
        batch=p["batch"], epsilons=p["epsilons"])
    moments = [Held(v.reshape(cut.shape(value))) for v, value in zip((*first, *second), op.outputs[1:], strict=False)]
    return [held(y, order), *moments]  # without moments where statistics are given


def _vectors(ins: Sequence[Held], like: Any) -> tuple[Any, ...]:
    """Numbers of every channel of ``like`` [C, ...], from vectors that lie along an axis, or from scalars."""
    return tuple(jnp.broadcast_to(jnp.reshape(h.plain(), -1), len(like)).astype(like.dtype) for h in ins)


_REDUCTIONS = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor")
RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE - {"optimization_barrier"}, elementwise), **dict.fromkeys(_POOLS, reduce_window),
    **dict.fromkeys(_REDUCTIONS, reduce), "broadcast_in_dim": broadcast_in_dim, "dot_general": dot_general,
    "reshape": reshape, "transpose": transpose, "slice": slice_, "split": split, "concatenate": concatenate, "pad": pad,
    "gather": gather, "dynamic_slice": dynamic_slice, "dynamic_update_slice": dynamic_update_slice,
    "conv_general_dilated": conv, "batch_norm": batch_norm, "batch_variance": batch_variance,
    "segment": segment,
}


def apply(cut: Cutting, op: Operation, ins: Sequence[Held]) -> Sequence[Held]:
    """The results of an operation at a width; their shapes must be those that the units say."""
    results = RULES.get(op.primitive.name, as_it_is)(cut, op, ins)
    for value, h in zip(op.outputs, results, strict=True):
        assert h.shape == cut.shape(value), f"{op.primitive.name} ({op.line}): {h.shape} is not {cut.shape(value)}"
    return results
