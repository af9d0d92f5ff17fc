"""One pass of units through a program: labels of every axis of every value, the layers found, and what had to stay and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from reds_jax.program.flat import Atom, Call, Constant, Item, Operation, Program, Value
from reds_jax.program.units import FIXED, Labels, Units

AxesLabels = tuple[Labels, ...]
Sized = tuple[Labels, int]
"""Labels of an axis and its full length."""
Rule = Callable[["Walk", Operation], Sequence[AxesLabels]]
"""From the labels of the inputs to those of every output."""

WHOLE = -1
"""Decision on a reshape that splits channels: no axis carries them, they stay."""
INSIDE = -2
"""Decision on a grouped convolution: the groups stay, and each of them loses the same channels."""


@dataclass(frozen=True, eq=False)
class LayerUse:
    """A product of an activation with a parameter, or of two activations.

    Args:
        operation: of the program.
        kind: "dense", "conv", "grouped_conv", "depthwise_conv", "transposed_conv", "embedding", or "product".
        factor: multiply-accumulates for one example are this times the lengths of all axes below.
        reads: labels and full length of the axes that are summed over.
        makes: of the axes that the parameter makes; empty for a product of two activations.
        others: of further axes of the result (positions, heads).
        parameter: path of the kernel.
    """

    operation: Operation
    kind: str
    factor: int
    reads: tuple[Sized, ...]
    makes: tuple[Sized, ...]
    others: tuple[Sized, ...]
    parameter: str


@dataclass(frozen=True, eq=False)
class Fixing:
    """Units that stay from here on, and why."""

    units: np.ndarray
    operation: Operation | None
    why: str


@dataclass
class Walk:
    """The state of a pass.

    ``decided`` says which axis carries the channels behind a reshape that splits them, and which grouped convolutions are cut
    inside of their groups.
    """

    rules: dict[str, Rule]
    decided: dict[int, int] = field(default_factory=dict)
    units: Units = field(default_factory=Units)
    labels: dict[int, AxesLabels] = field(default_factory=dict)
    leaves: dict[str, AxesLabels] = field(default_factory=dict)  # of parameters and statistics
    origin: dict[int, str] = field(default_factory=dict)  # value -> the parameter that it is a form of
    active: set[int] = field(default_factory=set)  # values that depend on the network's input
    learned: set[int] = field(default_factory=set)  # values that depend on a parameter
    fixings: list[Fixing] = field(default_factory=list)
    layers: list[LayerUse] = field(default_factory=list)
    splits: dict[int, list[Labels]] = field(default_factory=dict)  # undecided reshapes -> stand-ins for their axes
    stand_ins: set[int] = field(default_factory=set)
    grouped: dict[int, np.ndarray] = field(default_factory=dict)  # grouped convolutions cut by whole groups -> their inputs
    repeats: int = 1  # how often the operations run: the length of the loops around them
    counting: bool = True  # whether layers are collected (not inside rules of derivatives, nor in a second program)
    deriving: bool = False  # inside of a rule of a derivative

    def of(self, x: Atom) -> AxesLabels:
        """The labels of the axes of a value; a constant is fixed."""
        return fixed(x.shape) if isinstance(x, Constant) else self.labels[x.number]

    def is_active(self, x: Atom) -> bool:
        return isinstance(x, Value) and x.number in self.active

    def is_learned(self, x: Atom) -> bool:
        return isinstance(x, Value) and x.number in self.learned

    def pin(self, labels: Labels, operation: Operation | None, why: str) -> None:
        """These units stay."""
        if labels is None:
            return
        found = self.units.find(labels)
        if found.any():
            self.fixings.append(Fixing(found[found != FIXED], operation, why))
            self.units.fix(labels)

    def merge(self, a: Labels, b: Labels, operation: Operation, why: str = "meets channels that stay") -> Labels:
        """The labels of an axis that two arrays meet on; what was fixed by it is remembered with the reason."""
        if a is None or b is None:
            return b if a is None else a
        x, y = self.units.find(a), self.units.find(b)
        newly = np.concatenate([x[(y == FIXED) & (x != FIXED)], y[(x == FIXED) & (y != FIXED)]])
        if newly.size:
            self.fixings.append(Fixing(newly, operation, why))
        self.units.unite(a, b)
        return a

    def stays(self, labels: Labels, size: int, operation: Operation, why: str) -> Labels:
        """The labels of an axis that loses its units here: they stay, and so does what becomes of them."""
        self.pin(labels, operation, why)
        return None if size == 1 else np.full(size, FIXED)

    def run(self, items: Iterable[Item]) -> None:
        """Pass the units through the items in order."""
        for item in items:
            if isinstance(item, Call):
                self.run(item.items)
                self.rules["custom derivative"](self, item)  # type: ignore[arg-type]
            else:
                self._operation(item)

    def _operation(self, operation: Operation) -> None:
        if any(self.is_active(x) for x in operation.inputs):
            self.active.update(v.number for v in operation.outputs)
        if any(self.is_learned(x) for x in operation.inputs):
            self.learned.update(v.number for v in operation.outputs)
            self._same_parameter(operation)
        rule = self.rules.get(operation.primitive.name, opaque)
        labels = rule(self, operation)
        for value, axes in zip(operation.outputs, labels, strict=True):
            self.labels[value.number] = axes

    def _same_parameter(self, operation: Operation) -> None:
        """What is computed from one parameter alone (a standardised kernel) is a form of it."""
        inputs = [x for x in operation.inputs if isinstance(x, Value)]
        paths = {self.origin.get(x.number) for x in inputs if self.is_learned(x)}
        if len(paths) == 1 and (path := paths.pop()) is not None and not any(self.is_active(x) for x in inputs):
            self.origin.update((v.number, path) for v in operation.outputs)


def module_of(path: str) -> str:
    """``params/block/conv/kernel`` -> ``block/conv``."""
    return path.split("/", 1)[1].rsplit("/", 1)[0] if path.count("/") >= 2 else path


def fixed(shape: Sequence[int]) -> AxesLabels:
    """Labels of an array that stays; an axis of length 1 carries nothing."""
    return tuple(None if n == 1 else np.full(n, FIXED) for n in shape)


def opaque(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """An operation without a rule: everything that it touches stays."""
    for x in operation.inputs:
        for labels in state.of(x):
            state.pin(labels, operation, "is an operation whose channels cannot be followed")
    return [fixed(v.shape) for v in operation.outputs]


def walk(programs: Sequence[Program], rules: dict[str, Rule]) -> Walk:
    """Pass the units of every parameter axis through the programs of one model (inference first, then training).

    A reshape that splits channels over several axes (heads of an attention, a channel shuffle) is decided by what happens
    behind it: a first pass puts stand-ins on the new axes, and the largest axis whose stand-ins are free in the end carries
    the channels in the next pass, tied along the others.

    A grouped convolution is cut by whole groups. Where that ties all groups to each other (a channel shuffle between two of
    them does) there is nothing left to cut, and a further pass cuts it inside of its groups.
    """
    decided: dict[int, int] = {}
    while True:
        state = Walk(rules, dict(decided))
        for i, program in enumerate(programs):
            state.counting = i == 0
            _leaves(state, program)
            state.run(program.items)
            _results(state, program)
        if not state.splits:
            tied = {number for number, units in state.grouped.items()
                    if not state.units.is_fixed(units) and len(np.unique(state.units.component(units))) == 1}
            if not tied:
                return state
            decided = dict.fromkeys([*(n for n, choice in decided.items() if choice == INSIDE), *tied], INSIDE)
        for number, axes in state.splits.items():
            free = [k for k, labels in enumerate(axes) if labels is not None and not state.units.is_fixed(labels)]
            decided[number] = max(free, key=lambda k: len(axes[k]), default=WHOLE)  # type: ignore[arg-type]


def _leaves(state: Walk, program: Program) -> None:
    for path, value in program.leaves.items():
        if path not in state.leaves:
            state.leaves[path] = tuple(None if n == 1 else state.units.new(n) for n in value.shape)
        state.labels[value.number] = state.leaves[path]
        state.origin[value.number] = path
        state.learned.add(value.number)
    for value in program.inputs:
        state.labels[value.number] = fixed(value.shape)
        state.active.add(value.number)


def _results(state: Walk, program: Program) -> None:
    for x in program.outputs:
        for labels in state.of(x):
            state.pin(labels, None, "is an output of the network")
    for path, x in program.states.items():  # a new statistic belongs to its old one
        for a, b in zip(state.of(x), state.leaves[path], strict=True):
            if a is not None and b is not None:
                state.units.unite(a, b)
