"""Reductions, windows, and what runs along an axis: channels that are reduced over stay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reds_jax.program.flat import Atom, Operation
from reds_jax.program.walk import AxesLabels, Rule, Walk, opaque

NORM = ("reduces over channels (a layer norm or group norm, or a softmax over hidden channels, is not the same for a prefix "
        "of them)")


def reduce(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    return [_reduced(state, operation, operation.inputs[0])] * len(operation.outputs)


def psum(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A sum over a named axis, which `jax.vmap` has turned into axes by number (a batch norm written for one example)."""
    if any(isinstance(axis, str) for axis in operation.params["axes"]):
        return opaque(state, operation)
    return [_reduced(state, operation, x) for x in operation.inputs]


def _reduced(state: Walk, operation: Operation, x: Atom) -> AxesLabels:
    gone = operation.params["axes"]
    labels = state.of(x)
    together = sum(x.shape[axis] > 1 for axis in gone) > 1
    for axis in gone:
        if together:
            _whole_split(state, labels[axis])
        state.pin(labels[axis], operation, NORM)
    return tuple(a for i, a in enumerate(labels) if i not in gone)


def _whole_split(state: Walk, labels: np.ndarray | None) -> None:
    """A reduction over positions and the last part of split channels (a group norm) keeps all of them, not only that part.

    Over the first parts alone it is a batch norm behind a dense layer that makes an image.
    """
    if labels is None or not state.splits:
        return
    units = set(state.units.component(labels).tolist())
    for axes in state.splits.values():
        parts = [a for a in axes if a is not None]
        if units & set(state.units.component(parts[-1]).tolist()):
            for a in parts:
                state.units.fix(a)


def reduce_window(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    p = operation.params
    labels = list(state.of(operation.inputs[0]))
    shape = operation.outputs[0].shape
    for axis, window in enumerate(p["window_dimensions"]):
        if window != 1 or p["window_strides"][axis] != 1 or shape[axis] != operation.inputs[0].shape[axis]:
            labels[axis] = state.stays(labels[axis], shape[axis], operation, "pools over channels")
    return [tuple(labels)]


def along_axis(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A cumulative sum, a sort: the units of that axis stay, the others pass."""
    p, rank = operation.params, len(operation.inputs[0].shape)
    axis = p["axis"] if "axis" in p else p.get("dimension", rank - 1)
    result: list = [None] * rank
    for x in operation.inputs:
        for i, labels in enumerate(state.of(x)):
            if i == axis:
                result[i] = state.stays(labels, x.shape[i], operation, "orders or accumulates channels")
            else:
                result[i] = state.merge(result[i], labels, operation)
    axis_size = operation.outputs[0].shape[axis]
    result[axis] = None if axis_size == 1 else np.zeros(axis_size, np.int64)
    return [tuple(result)] * len(operation.outputs)


RULES: dict[str, Rule] = {
    **dict.fromkeys(["reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "reduce_xor",
                     "argmax", "argmin"], reduce),
    "psum": psum,
    **dict.fromkeys(["reduce_window_sum", "reduce_window_max", "reduce_window_min"], reduce_window),
    **dict.fromkeys(["cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp", "sort", "top_k"], along_axis),
}
