"""How units pass through each operation: one rule a primitive; an operation without a rule is an error."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reds_jax.errors import TraceError
from reds_jax.graph.flat import Constant, Operation, Program, Value
from reds_jax.graph.units import FIXED, Labels, Units

AxesLabels = tuple[Labels, ...]

ELEMENTWISE = frozenset(
    "abs add and atan2 cbrt ceil clamp convert_element_type copy copy_p cos div eq erf erf_inv erfc exp exp2 expm1 floor ge "
    "gt integer_pow is_finite le log log1p logistic lt max min mul ne neg nextafter not optimization_barrier or pow "
    "reduce_precision rem round rsqrt select_n sign sin sqrt square stop_gradient sub tan tanh xor add_any".split())
VIEWS = frozenset(["broadcast_in_dim", "expand_dims", "reshape", "squeeze", "transpose"])


@dataclass(frozen=True)
class LayerUse:
    """A dense or convolutional operation between an activation and a parameter."""

    operation: Operation
    kind: str
    factor: int
    reads: Labels  # units on the contracted axis (None: a fixed number of channels, in `read_size`)
    read_size: int
    makes: Labels
    make_size: int
    parameter: str  # path of the kernel


@dataclass
class Walk:
    """The state of one pass: labels of every value, what must turn out to be fixed, and the layers found."""

    units: Units = field(default_factory=Units)
    labels: dict[int, AxesLabels] = field(default_factory=dict)
    origin: dict[int, str] = field(default_factory=dict)  # value -> the parameter that it is a form of
    active: set[int] = field(default_factory=set)  # values that depend on the network's input
    pinned: list[tuple[Labels, Operation, str]] = field(default_factory=list)
    layers: list[LayerUse] = field(default_factory=list)

    def of(self, x: Value | Constant) -> AxesLabels:
        if isinstance(x, Constant):
            return tuple(None if n == 1 else np.full(n, FIXED) for n in x.shape)
        return self.labels[x.number]

    def is_active(self, x: Value | Constant) -> bool:
        return isinstance(x, Value) and x.number in self.active

    def pin(self, labels: Labels, operation: Operation, why: str) -> None:
        """These units must be fixed at the end, or the network cannot be followed."""
        if labels is not None:
            self.pinned.append((labels, operation, why))


def walk(program: Program, full: Collection[str] = ()) -> Walk:
    """Pass the units of every parameter axis through the program; the layers at the paths ``full`` keep all their outputs."""
    state = Walk()
    for path, value in program.leaves.items():
        state.labels[value.number] = tuple(None if n == 1 else state.units.new(n) for n in value.shape)
        state.origin[value.number] = path
    for value in program.inputs:
        state.labels[value.number] = tuple(None if n == 1 else np.full(n, FIXED) for n in value.shape)
        state.active.add(value.number)
    for operation in program.operations:
        name = operation.primitive.name
        if any(state.is_active(x) for x in operation.inputs):
            state.active.update(v.number for v in operation.outputs)
        if name in ELEMENTWISE:
            labels = _elementwise(state, operation)
        elif name in _RULES:
            labels = _RULES[name](state, operation)
        elif not any(isinstance(x, Value) for x in operation.inputs):
            labels = tuple(None if n == 1 else np.full(n, FIXED) for n in operation.outputs[0].shape)
        else:
            raise error(operation, "has no rule",
                        "Use the operations of reds_jax.nn or jax.lax equivalents (dense, convolution, batch norm, "
                        "elementwise, add, pooling, mean, reshape, concatenate, transpose).")
        for value in operation.outputs:
            state.labels[value.number] = labels
        if name in VIEWS or name == "convert_element_type":
            source = operation.inputs[0]
            if isinstance(source, Value) and source.number in state.origin:
                state.origin[operation.outputs[0].number] = state.origin[source.number]
    for value in program.outputs:
        for labels in state.of(value):
            state.units.fix(labels)
    for use in state.layers:
        if module_of(use.parameter) in full:
            state.units.fix(use.makes)
    for labels, operation, why in state.pinned:
        if not state.units.is_fixed(labels):
            raise error(operation, why, "Leave these channels at full width: call the layers that make them without a "
                        "width, or use the operation that reds_jax.nn has for this.")
    return state


def module_of(path: str) -> str:
    """``params/block/conv/kernel`` -> ``block/conv``."""
    return path.split("/", 1)[1].rsplit("/", 1)[0] if path.count("/") >= 2 else path


def _pinned(state: Walk, labels: Labels, size: int, operation: Operation, why: str) -> Labels:
    """The labels of an axis that loses its units here: they must be fixed, and so is what becomes of them."""
    state.pin(labels, operation, why)
    return None if labels is None or size == 1 else np.full(size, FIXED)


def error(operation: Operation, why: str, hint: str) -> TraceError:
    """The error for an operation that cannot be followed: what, shapes, module, the user's line, what to do."""
    shapes = ", ".join(str(list(x.shape)) for x in operation.inputs)
    return TraceError(f"the channel graph cannot follow {operation.primitive.name!r} of shapes {shapes} in module "
                      f"{operation.module or '(top)'!r} ({operation.line}): it {why}", hint=hint)


def _elementwise(state: Walk, operation: Operation) -> AxesLabels:
    rank = len(operation.outputs[0].shape)
    result: list[Labels] = [None] * rank
    for x in operation.inputs:
        if len(x.shape) == rank:
            result = [state.units.merge(a, b) for a, b in zip(result, state.of(x), strict=True)]
    return tuple(result)


def _broadcast_in_dim(state: Walk, operation: Operation) -> AxesLabels:
    shape = operation.outputs[0].shape
    result: list[Labels] = [None] * len(shape)
    x = operation.inputs[0]
    for labels, old, axis in zip(state.of(x), x.shape, operation.params["broadcast_dimensions"], strict=True):
        result[axis] = labels if old == shape[axis] else None
    return tuple(result)


def _transpose(state: Walk, operation: Operation) -> AxesLabels:
    labels = state.of(operation.inputs[0])
    return tuple(labels[i] for i in operation.params["permutation"])


def _squeeze(state: Walk, operation: Operation) -> AxesLabels:
    gone = operation.params["dimensions"]
    return tuple(a for i, a in enumerate(state.of(operation.inputs[0])) if i not in gone)


def _expand_dims(state: Walk, operation: Operation) -> AxesLabels:
    labels = list(state.of(operation.inputs[0]))
    for axis in sorted(operation.params["dimensions"]):
        labels.insert(axis, None)
    return tuple(labels)


def _blocks(old: tuple[int, ...], new: tuple[int, ...]):
    """Pair runs of axes with equal products: the parts of a reshape that are independent."""
    i = j = 0
    while i < len(old) or j < len(new):
        i0, j0 = i, j
        a, i = (old[i], i + 1) if i < len(old) else (1, i)
        b, j = (new[j], j + 1) if j < len(new) else (1, j)
        while a != b:
            if a < b:
                a, i = a * old[i], i + 1
            else:
                b, j = b * new[j], j + 1
        yield range(i0, i), range(j0, j)


def _reshape(state: Walk, operation: Operation) -> AxesLabels:
    if operation.params.get("dimensions") is not None:
        raise error(operation, "reorders while it reshapes", "Transpose first.")
    x, shape = operation.inputs[0], operation.outputs[0].shape
    labels = state.of(x)
    result: list[Labels] = [None] * len(shape)
    for old_axes, new_axes in _blocks(x.shape, shape):
        carrying = [a for a in old_axes if not state.units.is_fixed(labels[a])]
        if not carrying:
            if any(labels[a] is not None for a in old_axes):
                for a in new_axes:
                    result[a] = None if shape[a] == 1 else np.full(shape[a], FIXED)
            continue
        if len(carrying) > 1:
            for a in carrying[:-1]:
                state.pin(labels[a], operation, "merges two axes that both carry channels")
        axis = carrying[-1]
        sizes = [x.shape[a] for a in old_axes]
        index = np.broadcast_to(
            np.asarray(labels[axis]).reshape([-1 if a == axis else 1 for a in old_axes]), sizes)
        index = index.reshape([shape[a] for a in new_axes])
        varies = [k for k in range(index.ndim) if np.any(np.diff(index, axis=k))]
        if len(varies) > 1:
            for a in new_axes:
                result[a] = _pinned(state, labels[axis], shape[a], operation, "splits the channels over several axes")
            continue
        k = varies[0] if varies else int(np.argmax(index.shape))
        result[new_axes[k]] = np.moveaxis(index, k, 0).reshape(index.shape[k], -1)[:, 0].copy()
    return tuple(result)


def _reduce(state: Walk, operation: Operation) -> AxesLabels:
    gone = operation.params["axes"]
    labels = state.of(operation.inputs[0])
    for axis in gone:
        state.pin(labels[axis], operation, "reduces over channels (a layer norm, or a softmax over hidden channels, is not "
                  "the same for a prefix of them)")
    return tuple(a for i, a in enumerate(labels) if i not in gone)


def _reduce_window(state: Walk, operation: Operation) -> AxesLabels:
    p = operation.params
    labels = list(state.of(operation.inputs[0]))
    shape = operation.outputs[0].shape
    for axis, window in enumerate(p["window_dimensions"]):
        if window != 1 or p["window_strides"][axis] != 1 or shape[axis] != operation.inputs[0].shape[axis]:
            labels[axis] = _pinned(state, labels[axis], shape[axis], operation, "pools over channels")
    return tuple(labels)


def _pad(state: Walk, operation: Operation) -> AxesLabels:
    labels, shape = list(state.of(operation.inputs[0])), operation.outputs[0].shape
    for axis, config in enumerate(operation.params["padding_config"]):
        if tuple(config) != (0, 0, 0):
            labels[axis] = _pinned(state, labels[axis], shape[axis], operation, "pads channels")
    return tuple(labels)


def _slice(state: Walk, operation: Operation) -> AxesLabels:
    x, shape = operation.inputs[0], operation.outputs[0].shape
    labels = list(state.of(x))
    steps = operation.params.get("strides") or (1,) * len(shape)
    for axis, (old, new) in enumerate(zip(x.shape, shape, strict=True)):
        if old != new or steps[axis] != 1:
            labels[axis] = _pinned(state, labels[axis], new, operation, "takes a part of the channels by fixed positions")
    return tuple(labels)


def _split(state: Walk, operation: Operation) -> AxesLabels:
    labels, axis = list(state.of(operation.inputs[0])), operation.params["axis"]
    if len(operation.outputs) > 1:
        state.pin(labels[axis], operation, "takes a part of the channels by fixed positions")
        labels[axis] = None
    return tuple(labels)


def _rev(state: Walk, operation: Operation) -> AxesLabels:
    labels = list(state.of(operation.inputs[0]))
    for axis in operation.params["dimensions"]:
        found = labels[axis]
        labels[axis] = None if found is None else found[::-1]
    return tuple(labels)


def _concatenate(state: Walk, operation: Operation) -> AxesLabels:
    axis = operation.params["dimension"]
    result: list[Labels] = [None] * len(operation.outputs[0].shape)
    parts = []
    for x in operation.inputs:
        labels = state.of(x)
        parts.append(np.full(x.shape[axis], FIXED) if labels[axis] is None else labels[axis])
        result = [state.units.merge(a, b) if i != axis else None
                  for i, (a, b) in enumerate(zip(result, labels, strict=True))]
    result[axis] = np.concatenate(parts)
    return tuple(result)


def _parameter(state: Walk, operation: Operation, x: Value | Constant) -> str:
    """The path of the kernel of a layer; an inactive array made from several parameters has the module's name."""
    if isinstance(x, Value) and x.number in state.origin:
        return state.origin[x.number]
    return f"params/{operation.module or operation.primitive.name}/kernel"


def _dot_general(state: Walk, operation: Operation) -> AxesLabels:
    (contract_l, contract_r), (batch_l, batch_r) = operation.params["dimension_numbers"]
    lhs, rhs = operation.inputs
    a, b = state.of(lhs), state.of(rhs)
    if state.is_active(lhs) and state.is_active(rhs):
        for labels in (*a, *b):
            state.pin(labels, operation, "multiplies two activations (attention is not supported)")
    contracted = [state.units.merge(_fixed_if_none(a[i], lhs.shape[i]), _fixed_if_none(b[j], rhs.shape[j]))
                  for i, j in zip(contract_l, contract_r, strict=True)]
    batch = [state.units.merge(a[i], b[j]) for i, j in zip(batch_l, batch_r, strict=True)]
    free_l = [i for i in range(len(a)) if i not in (*contract_l, *batch_l)]
    free_r = [j for j in range(len(b)) if j not in (*contract_r, *batch_r)]
    if state.is_active(lhs) != state.is_active(rhs):
        kernel, free_k, free_x, k_labels, x_labels = (
            (rhs, free_r, free_l, b, a) if state.is_active(lhs) else (lhs, free_l, free_r, a, b))
        activation = lhs if kernel is rhs else rhs
        if len(contract_l) != 1 or len(free_k) != 1:
            for labels in (*contracted, *(k_labels[j] for j in free_k)):
                state.pin(labels, operation, "contracts several axes at once")
        for labels in (*batch, *(x_labels[i] for i in free_x)):
            state.pin(labels, operation, "leaves channels of its input beside the ones it multiplies")
        positions = math.prod(activation.shape[i] for i in free_x) * math.prod(lhs.shape[i] for i in batch_l)
        state.layers.append(LayerUse(
            operation, "dense", positions, _only(contracted), math.prod(lhs.shape[i] for i in contract_l),
            _only([k_labels[j] for j in free_k]), math.prod(kernel.shape[j] for j in free_k),
            _parameter(state, operation, kernel)))
    return (*batch, *(a[i] for i in free_l), *(b[j] for j in free_r))


def _fixed_if_none(labels: Labels, size: int) -> np.ndarray:
    return np.full(size, FIXED) if labels is None else labels


def _only(labels: list[Labels]) -> Labels:
    return labels[0] if len(labels) == 1 else None


def _conv(state: Walk, operation: Operation) -> AxesLabels:
    p, (x, kernel) = operation.params, operation.inputs
    numbers = p["dimension_numbers"]
    groups = p["feature_group_count"]
    a, k = state.of(x), state.of(kernel)
    if p["batch_group_count"] != 1 or set(p["lhs_dilation"]) != {1}:
        raise error(operation, "is a transposed or batch-grouped convolution", "Use an ordinary convolution.")
    if state.is_active(kernel) or not state.is_active(x):
        raise error(operation, "does not convolve an activation with a parameter", "Pass the kernel as a parameter.")
    (batch, channel, *spatial), (out_axis, in_axis, *window) = numbers.lhs_spec, numbers.rhs_spec
    for labels in (a[batch], *(a[i] for i in spatial), *(k[i] for i in window)):
        state.pin(labels, operation, "slides over channels")
    for i in window:
        state.units.fix(k[i])
    inputs, outputs = x.shape[channel], kernel.shape[out_axis]
    per_group = kernel.shape[in_axis]
    makes = _fixed_if_none(k[out_axis], outputs)
    read = _fixed_if_none(a[channel], inputs)
    shape = operation.outputs[0].shape
    positions = math.prod(shape[i] for i in numbers.out_spec[2:]) * math.prod(kernel.shape[i] for i in window)
    if groups == 1:
        kind, reads = "conv", state.units.merge(read, _fixed_if_none(k[in_axis], per_group))
    else:  # whole groups move together: all inputs and all outputs of a group are one unit
        kind, reads = ("depthwise_conv" if per_group == 1 and outputs == groups else "grouped_conv"), None
        state.units.fix(k[in_axis])
        blocks_in, blocks_out = read.reshape(groups, per_group), makes.reshape(groups, outputs // groups)
        for block in (*blocks_in.T[1:], *blocks_out.T):
            state.units.unite(blocks_in[:, 0], block)
    state.layers.append(LayerUse(operation, kind, positions, reads, per_group, makes, outputs,
                                 _parameter(state, operation, kernel)))
    result: list[Labels] = [None] * len(shape)
    result[numbers.out_spec[1]] = makes
    return tuple(result)


_RULES: dict[str, Callable[[Walk, Operation], Any]] = {
    "broadcast_in_dim": _broadcast_in_dim, "transpose": _transpose, "squeeze": _squeeze, "expand_dims": _expand_dims,
    "reshape": _reshape, "pad": _pad, "slice": _slice, "rev": _rev, "concatenate": _concatenate, "split": _split,
    "dot_general": _dot_general, "conv_general_dilated": _conv,
    **dict.fromkeys(["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "argmax", "argmin"],
                    _reduce),
    **dict.fromkeys(["reduce_window", "reduce_window_sum", "reduce_window_max", "reduce_window_min"], _reduce_window),
}
