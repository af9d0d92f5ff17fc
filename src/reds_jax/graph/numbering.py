"""Units numbered by (group, unit): the partition of the free units of a walk by the axes that they appear on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from reds_jax.graph.channels import Axis, Group, Size
from reds_jax.program.flat import Program, Value
from reds_jax.program.units import FIXED, Labels
from reds_jax.program.walk import Walk, module_of


class Numbering:
    """What every axis of every value means in groups. Making one fixes units that cannot be channels:

    those that no layer makes (a position of a learned embedding), those of a set that is all of an axis, and those on the
    second of two axes of one activation.
    """

    def __init__(self, state: Walk, program: Program) -> None:
        self._state = state
        self._axes: dict[bytes, Axis | None] = {}
        self._fix_what_is_no_channel(program)
        signature = self._signatures(program)
        self._of: dict[int, tuple[int, int]] = {FIXED: (-1, 0)}
        by_signature: dict[tuple[tuple[int, int], ...], int] = {}
        names: list[str] = []
        sizes: list[int] = []
        for use in state.layers:
            for labels, _ in use.makes:
                if labels is None:
                    continue
                for unit in dict.fromkeys(state.units.find(labels).tolist()):
                    if unit in self._of:
                        continue
                    key = tuple(signature[unit])
                    if key not in by_signature:
                        by_signature[key] = len(names)
                        names.append(module_of(use.parameter))
                        sizes.append(0)
                    group = by_signature[key]
                    self._of[unit] = (group, sizes[group])
                    sizes[group] += 1
        layers: list[dict[str, None]] = [{} for _ in names]
        for use in state.layers:
            for labels, _ in use.makes:
                for group in set() if (axis := self.axis(labels)) is None else {int(g) for g in axis.group if g >= 0}:
                    layers[group][module_of(use.parameter)] = None
        self.groups = tuple(Group(n, s, tuple(tied)) for n, s, tied in zip(_distinct(names), sizes, layers, strict=True))

    def _fix_what_is_no_channel(self, program: Program) -> None:
        state = self._state
        made = {unit for use in state.layers for labels, _ in use.makes if labels is not None
                for unit in state.units.find(labels).tolist()}
        for axes in state.leaves.values():
            for labels in axes:
                if labels is not None:
                    found = state.units.find(labels)
                    state.pin(labels[np.array([u != FIXED and u not in made for u in found.tolist()], bool)], None,
                              "is made by no layer (a learned position, or a parameter that is not read)")
        for operation in program.operations:
            for value in operation.outputs:
                free = [a for a in state.labels[value.number] if not state.units.is_fixed(a)]
                for labels in free[:-1]:
                    state.pin(labels, operation, "makes an array with channels on two axes")
        for use in state.layers:
            for labels, size in use.makes:
                if labels is not None and size > 1 and len(np.unique(state.units.component(labels))) == 1:
                    state.pin(labels, use.operation, "has one channel, or ties all of its channels to each other")

    def _signatures(self, program: Program) -> dict[int, list[tuple[int, int]]]:
        """For every unit the axes that it appears on, of parameters and activations, and how often."""
        state = self._state
        signature: dict[int, list[tuple[int, int]]] = defaultdict(list)
        seen: dict[bytes, int] = {}
        values = [state.labels[v.number] for op in program.operations for v in op.outputs]
        for number, axes in enumerate((*state.leaves.values(), *values)):
            for labels in axes:
                if labels is None or state.units.is_fixed(labels):
                    continue
                found = state.units.find(labels)
                key = found.tobytes()
                if number >= len(state.leaves) and key in seen:
                    continue  # another activation with the same channels says nothing new
                index = len(seen) if key not in seen else seen[key]
                seen.setdefault(key, index)
                units, counts = np.unique(found, return_counts=True)
                for unit, n in zip(units.tolist(), counts.tolist(), strict=True):
                    signature[unit].append((index, n))
        return signature

    def axis(self, labels: Labels) -> Axis | None:
        """The units of an axis, or None if it carries none."""
        if labels is None:
            return None
        found = self._state.units.find(labels)
        key = found.tobytes()
        if key not in self._axes:
            pairs = np.array([self._of.get(u, (-1, 0)) for u in found.tolist()], np.int32).reshape(-1, 2)
            self._axes[key] = Axis(pairs[:, 0], pairs[:, 1]) if (pairs[:, 0] >= 0).any() else None
        return self._axes[key]

    def axes(self, value: Value) -> tuple[Axis | None, ...]:
        """The units of all axes of a value of the program."""
        return tuple(self.axis(labels) for labels in self._state.labels[value.number])

    def size(self, labels: Labels, length: int) -> Size:
        axis = self.axis(labels)
        return Size(length) if axis is None else axis.size


def _distinct(names: Sequence[str]) -> list[str]:
    """Names that occur several times get a number: ``conv[0]``, ``conv[1]``."""
    counts: dict[str, int] = defaultdict(int)
    found = []
    for name in names:
        found.append(f"{name}[{counts[name]}]" if names.count(name) > 1 else name)
        counts[name] += 1
    return found
