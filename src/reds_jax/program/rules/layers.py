"""Products: dense layers, convolutions, and products of two activations. What they make are the channels of a network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from reds_jax.program.flat import Atom, Operation, Value
from reds_jax.program.rules import shapes
from reds_jax.program.units import FIXED, Labels
from reds_jax.program.walk import INSIDE, AxesLabels, LayerUse, Rule, Sized, Walk


def parameter_of(state: Walk, operation: Operation, x: Atom) -> str:
    """The path of the kernel of a layer; an array made from several parameters has the module's name."""
    if isinstance(x, Value) and x.number in state.origin:
        return state.origin[x.number]
    return f"params/{operation.module or operation.primitive.name}/kernel"


def record(
    state: Walk, operation: Operation, kind: str, factor: int, reads: Sequence[Sized], makes: Sequence[Sized], parameter: str,
    others: Sequence[Sized] = (),
) -> None:
    """Remember a layer of the network."""
    if state.counting:
        state.layers.append(
            LayerUse(operation, kind, factor * state.repeats, tuple(reads), tuple(makes), tuple(others), parameter))


def _filled(labels: Labels, size: int) -> np.ndarray:
    return np.full(size, FIXED) if labels is None else labels


def dot_general(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    (contract_l, contract_r), (batch_l, batch_r) = operation.params["dimension_numbers"]
    lhs, rhs = operation.inputs
    a, b = state.of(lhs), state.of(rhs)
    contracted = [(state.merge(_filled(a[i], lhs.shape[i]), _filled(b[j], rhs.shape[j]), operation), lhs.shape[i])
                  for i, j in zip(contract_l, contract_r, strict=True)]
    batch = [(state.merge(a[i], b[j], operation), lhs.shape[i]) for i, j in zip(batch_l, batch_r, strict=True)]
    left = [(a[i], lhs.shape[i]) for i in range(len(a)) if i not in (*contract_l, *batch_l)]
    right = [(b[j], rhs.shape[j]) for j in range(len(b)) if j not in (*contract_r, *batch_r)]
    if state.is_active(lhs) and state.is_active(rhs):
        _product(state, operation, contracted, batch, left, right)
    elif state.is_active(lhs) or state.is_active(rhs):
        kernel, makes, others = (rhs, right, left) if state.is_active(lhs) else (lhs, left, right)
        if state.is_learned(kernel):
            record(state, operation, "dense", 1, contracted, makes, parameter_of(state, operation, kernel), [*others, *batch])
        else:
            _record_product(state, operation, contracted, [*batch, *left, *right])
    return [tuple(labels for labels, _ in (*batch, *left, *right))]


def _product(
    state: Walk, operation: Operation, contracted: Sequence[Sized], batch: Sequence[Sized], left: Sequence[Sized],
    right: Sequence[Sized],
) -> None:
    """Two activations, as in an attention: the axes that go along with both (heads) may carry channels, and no others.

    Without such an axis, channels that only one of them has pass (a gate, a pooling by attention).
    """
    for labels, _ in contracted:
        state.pin(labels, operation, "multiplies two activations over these channels (the size of a head of an attention)")
    heads = any(not state.units.is_fixed(labels) for labels, _ in batch)
    several = all(any(not state.units.is_fixed(labels) for labels, _ in side) for side in (left, right))
    if heads or (several and not state.deriving):  # the gradient of a kernel is a product with channels on both sides
        for labels, _ in (*left, *right):
            state.pin(labels, operation, "belongs to the heads of an attention, which are cut whole")
    _record_product(state, operation, contracted, [*batch, *left, *right])


def _record_product(state: Walk, operation: Operation, reads: Sequence[Sized], others: Sequence[Sized]) -> None:
    record(state, operation, "product", 1, reads, (), _product_of(operation), others)


def _product_of(operation: Operation) -> str:
    return f"params/{operation.module or 'top'}/product"


def conv(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    p, (x, kernel) = operation.params, operation.inputs
    numbers, groups = p["dimension_numbers"], p["feature_group_count"]
    a, k, shape = state.of(x), state.of(kernel), operation.outputs[0].shape
    transposed = set(p["lhs_dilation"]) != {1}
    over = [x.shape[i] for i in numbers.lhs_spec[2:]] if transposed else [shape[i] for i in numbers.out_spec[2:]]
    if p["batch_group_count"] != 1 or state.is_active(kernel) or not state.is_active(x):
        for labels in (*a, *k):
            state.pin(labels, operation, "is not a convolution of an activation with a parameter")
        if state.is_active(kernel) or state.is_active(x):
            record(state, operation, "product", math.prod(over) * math.prod(kernel.shape), (), (), _product_of(operation))
        return [tuple(None if n == 1 else np.full(n, FIXED) for n in shape)]
    (batch, channel, *spatial), (out_axis, in_axis, *window) = numbers.lhs_spec, numbers.rhs_spec
    for labels in (a[batch], *(a[i] for i in spatial), *(k[i] for i in window)):
        state.pin(labels, operation, "slides over channels")
    inputs, outputs, per_group = x.shape[channel], kernel.shape[out_axis], kernel.shape[in_axis]
    makes, read = _filled(k[out_axis], outputs), _filled(a[channel], inputs)
    taps = math.prod(over) * math.prod(kernel.shape[i] for i in window)
    path = parameter_of(state, operation, kernel)
    if groups == 1:
        reads = state.merge(read, _filled(k[in_axis], per_group), operation)
        record(state, operation, "transposed_conv" if transposed else "conv", taps,
               [(reads, inputs)], [(makes, outputs)], path)
    else:
        kind = "depthwise_conv" if per_group == 1 and outputs == groups else "grouped_conv"
        blocks_in, blocks_out = read.reshape(groups, per_group), makes.reshape(groups, outputs // groups)
        if state.decided.get(operation.outputs[0].number) == INSIDE:
            _cut_inside(state, operation, blocks_in, blocks_out, k[in_axis])
            record(state, operation, kind, taps, [(k[in_axis], per_group)], [(makes, outputs)], path)
        else:  # whole groups move together: all inputs and all outputs of a group are one unit
            state.units.fix(k[in_axis])
            for block in (*blocks_in.T[1:], *blocks_out.T):
                state.merge(blocks_in[:, 0], block, operation)
            if per_group > 1:
                state.grouped[operation.outputs[0].number] = read
            record(state, operation, kind, taps * per_group, [], [(makes, outputs)], path)
    result: list[Labels] = [None if n == 1 else np.full(n, FIXED) for n in shape]
    result[numbers.out_spec[1]] = None if outputs == 1 else makes
    return [tuple(result)]


def _cut_inside(state: Walk, operation: Operation, inputs: np.ndarray, outputs: np.ndarray, kernel: Labels) -> None:
    """Channel j of each group goes along with channel j of every other group; [groups, channels of a group] both."""
    for block in inputs:
        state.merge(block, kernel, operation)
    for block in outputs[1:]:
        state.merge(outputs[0], block, operation)


def gather(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A look-up in a learned table makes the channels of its rows."""
    table = operation.inputs[0]
    labels = shapes.gather(state, operation)
    if state.is_learned(table) and not state.is_active(table) and state.is_active(operation.inputs[1]):
        offsets = operation.params["dimension_numbers"].offset_dims
        makes = [(labels[0][i], operation.outputs[0].shape[i]) for i in offsets]
        record(state, operation, "embedding", 0, [], makes, parameter_of(state, operation, table))
    return labels


RULES: dict[str, Rule] = {"dot_general": dot_general, "conv_general_dilated": conv, "gather": gather}
