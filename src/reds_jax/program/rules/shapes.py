"""Operations that move, repeat, join and take positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from reds_jax.program.flat import Constant, Operation
from reds_jax.program.units import FIXED, Labels
from reds_jax.program.walk import WHOLE, AxesLabels, Rule, Walk, fixed

VIEWS = frozenset(["broadcast_in_dim", "expand_dims", "reshape", "squeeze", "transpose"])


def broadcast_in_dim(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    shape = operation.outputs[0].shape
    result: list[Labels] = [None] * len(shape)
    x = operation.inputs[0]
    for labels, old, axis in zip(state.of(x), x.shape, operation.params["broadcast_dimensions"], strict=True):
        result[axis] = labels if old == shape[axis] else None
    return [tuple(result)]


def transpose(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    labels = state.of(operation.inputs[0])
    return [tuple(labels[i] for i in operation.params["permutation"])]


def squeeze(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    gone = operation.params["dimensions"]
    return [tuple(a for i, a in enumerate(state.of(operation.inputs[0])) if i not in gone)]


def expand_dims(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    labels = list(state.of(operation.inputs[0]))
    for axis in sorted(operation.params["dimensions"]):
        labels.insert(axis, None)
    return [tuple(labels)]


def blocks(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[range, range]]:
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


def reshape(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    x, shape = operation.inputs[0], operation.outputs[0].shape
    labels = state.of(x)
    result: list[Labels] = [None] * len(shape)
    for old_axes, new_axes in blocks(x.shape, shape):
        carrying = [a for a in old_axes if not state.units.is_fixed(labels[a])]
        if not carrying:
            if any(labels[a] is not None for a in old_axes):
                for a in new_axes:
                    result[a] = None if shape[a] == 1 else np.full(shape[a], FIXED)
        elif len(carrying) > 1 and _are_stand_ins(state, [labels[a] for a in carrying]):
            for a in new_axes:
                result[a] = None if shape[a] == 1 else _stand_in(state, shape[a])
        else:
            for a in carrying[:-1]:
                state.pin(labels[a], operation, "merges two axes that both carry channels")
            _one_carrier(state, operation, labels, carrying[-1], old_axes, new_axes, result)
    return [tuple(result)]


def _stand_in(state: Walk, size: int) -> np.ndarray:
    units = state.units.new(size)
    state.stand_ins.update(units.tolist())
    return units


def _are_stand_ins(state: Walk, axes: Sequence[Labels]) -> bool:
    return all(labels is not None and state.stand_ins.issuperset(state.units.component(labels).tolist()) for labels in axes)


def _one_carrier(
    state: Walk, operation: Operation, labels: AxesLabels, axis: int, old_axes: range, new_axes: range, result: list[Labels]
) -> None:
    """One old axis carries channels: find the new axis that does."""
    old, shape = operation.inputs[0].shape, operation.outputs[0].shape
    index = np.broadcast_to(np.asarray(labels[axis]).reshape([-1 if a == axis else 1 for a in old_axes]),
                            [old[a] for a in old_axes])
    index = index.reshape([shape[a] for a in new_axes])
    varies = [k for k in range(index.ndim) if np.any(np.diff(index, axis=k))]
    if len(varies) > 1:
        number = operation.outputs[0].number
        if number not in state.decided:
            stand_ins: list[Labels] = [_stand_in(state, index.shape[k]) if k in varies else None for k in range(index.ndim)]
            state.splits[number] = stand_ins
            for k, a in enumerate(new_axes):
                result[a] = stand_ins[k] if k in varies or shape[a] == 1 else np.full(shape[a], FIXED)
            return
        if state.decided[number] == WHOLE:
            state.pin(labels[axis], operation, "splits the channels over several axes, none of which can be cut")
            for a in new_axes:
                result[a] = None if shape[a] == 1 else np.full(shape[a], FIXED)
            return
        carrier = state.decided[number]
        rows = np.moveaxis(index, carrier, 0).reshape(index.shape[carrier], -1)
        for column in rows.T[1:]:
            state.units.unite(rows[:, 0], column)
        varies = [carrier]
    k = varies[0] if varies else int(np.argmax(index.shape))
    for j, a in enumerate(new_axes):
        if j == k:
            result[a] = np.moveaxis(index, k, 0).reshape(index.shape[k], -1)[:, 0].copy()
        else:
            result[a] = None if shape[a] == 1 else np.full(shape[a], FIXED)


def pad(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    labels, shape = list(state.of(operation.inputs[0])), operation.outputs[0].shape
    for axis, (low, high, interior) in enumerate(operation.params["padding_config"]):
        found = labels[axis]
        if (low, high, interior) == (0, 0, 0):
            continue
        if found is None or interior or low < 0 or high < 0:
            labels[axis] = state.stays(found, shape[axis], operation, "pads channels")
        else:
            labels[axis] = np.concatenate([np.full(low, FIXED), found, np.full(high, FIXED)])
    return [tuple(labels)]


def slice_(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A part of an axis has the units of its positions."""
    x, shape, p = operation.inputs[0], operation.outputs[0].shape, operation.params
    labels = list(state.of(x))
    strides = p.get("strides") or (1,) * len(shape)
    for axis, found in enumerate(labels):
        if x.shape[axis] == shape[axis] or found is None:
            continue
        if _are_stand_ins(state, [found]):
            state.pin(found, operation, "takes a part by fixed positions")
        part = found[p["start_indices"][axis] : p["limit_indices"][axis] : strides[axis]]
        if len(part) == 1:  # one position is no axis of channels any more
            state.pin(part, operation, "takes one channel by its position")
        labels[axis] = None if len(part) == 1 else part
    return [tuple(labels)]


def split(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    labels, axis = state.of(operation.inputs[0]), operation.params["axis"]
    found, start, results = labels[axis], 0, []
    if found is not None and len(operation.outputs) > 1 and _are_stand_ins(state, [found]):
        state.pin(found, operation, "takes parts by fixed positions")
    for size in operation.params["sizes"]:
        part = None if found is None else found[start : start + size]
        if part is not None and len(part) == 1:
            state.pin(part, operation, "takes one channel by its position")
            part = None
        results.append(tuple(part if i == axis else a for i, a in enumerate(labels)))
        start += size
    return results


def rev(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    labels = list(state.of(operation.inputs[0]))
    for axis in operation.params["dimensions"]:
        found = labels[axis]
        labels[axis] = None if found is None else found[::-1]
    return [tuple(labels)]


def concatenate(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    axis = operation.params["dimension"]
    result: list[Labels] = [None] * len(operation.outputs[0].shape)
    parts = []
    for x in operation.inputs:
        labels = state.of(x)
        parts.append(np.full(x.shape[axis], FIXED) if labels[axis] is None else labels[axis])
        result = [state.merge(a, b, operation) if i != axis else None
                  for i, (a, b) in enumerate(zip(result, labels, strict=True))]
    result[axis] = np.concatenate(parts)
    return [tuple(result)]


def gather(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """Rows of a table, or positions of an image: axes that are taken whole keep their units."""
    x, indices = operation.inputs
    p, shape = operation.params, operation.outputs[0].shape
    d = p["dimension_numbers"]
    collapsed = (*d.collapsed_slice_dims, *getattr(d, "operand_batching_dims", ()))
    for labels in state.of(indices):
        state.pin(labels, operation, "is used as an index")
    result = list(fixed(shape))
    kept = [a for a in range(len(x.shape)) if a not in collapsed]
    whole = dict(zip(kept, d.offset_dims, strict=True))
    for axis, labels in enumerate(state.of(x)):
        if axis in whole and p["slice_sizes"][axis] == x.shape[axis] and axis not in d.start_index_map:
            result[whole[axis]] = labels
        elif isinstance(x, Constant) or state.is_learned(x) or not state.units.is_fixed(labels):
            state.pin(labels, operation, "takes positions by an index")
    return [tuple(result)]


def dynamic_slice(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    x, shape = operation.inputs[0], operation.outputs[0].shape
    return [tuple(labels if n == m else state.stays(labels, m, operation, "takes a part at a computed position")
                  for labels, n, m in zip(state.of(x), x.shape, shape, strict=True))]


def dynamic_update_slice(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    x, update = operation.inputs[:2]
    result = []
    for a, b, n, m in zip(state.of(x), state.of(update), x.shape, update.shape, strict=True):
        if n == m:
            result.append(state.merge(a, b, operation))
        else:
            state.pin(b, operation, "writes a part at a computed position")
            result.append(state.stays(a, n, operation, "writes a part at a computed position"))
    return [tuple(result)]


RULES: dict[str, Rule] = {
    "broadcast_in_dim": broadcast_in_dim, "transpose": transpose, "squeeze": squeeze, "expand_dims": expand_dims,
    "reshape": reshape, "pad": pad, "slice": slice_, "split": split, "rev": rev, "concatenate": concatenate,
    "gather": gather, "dynamic_slice": dynamic_slice, "dynamic_update_slice": dynamic_update_slice,
}
