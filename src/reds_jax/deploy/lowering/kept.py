"""What every subnetwork keeps of every value, read off the units, and whether what a device stores agrees with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reds_jax.deploy.lowering import ranges
from reds_jax.deploy.lowering.forms import Affine
from reds_jax.deploy.lowering.program import Tensor
from reds_jax.deploy.lowering.refusal import name_of, refusal
from reds_jax.errors import TraceError
from reds_jax.graph.channels import Size
from reds_jax.graph.trace import Traced
from reds_jax.program.flat import Atom, Operation, Value
from reds_jax.program.walk import module_of


class Kept:
    """The units of a traced model at the widths of several subnetworks.

    A device reads the first channels of every array, or of few ranges of it. So the channels that a layer makes must be such,
    and whatever an operation makes of them must be cut by `reds_jax.run` at the same entries; anything else is refused. The
    first refusal is kept and raised by `refuse`, for an operation behind that no device runs (a slice) says more.

    Args:
        traced: the model.
        integers: the rows of widths of the subnetworks.
        every_row: whether the same is to hold at every row of widths, not only at these. It does where every range of the
            channels that a layer makes has fixed ones and behind them the units of one group, ascending (each row then keeps
            the first ``size(row)`` of them), and every entry of every value is of the unit of the channel that stores it.
    """

    def __init__(self, traced: Traced, integers: Sequence[tuple[int, ...]], *, every_row: bool = False) -> None:
        self._numbering, self._integers, self.every_row = traced.numbering, integers, every_row
        self._names = {id(use.operation): module_of(use.parameter) for use in traced.state.layers}
        self._pinned = {p.path: f": of {p.size}, {p.channels} stay, because {p.reason} ({p.line or 'the end'})"
                        for p in traced.graph.pinned}
        self._refusal: TraceError | None = None
        self._agreeing: set[tuple[int, ...]] = set()
        self._checked: list[object] = []  # what the ids above belong to

    def name(self, op: Operation, fallback: str = "") -> str:
        """The layer, as the graph calls it; of another operation its module."""
        return self._names.get(id(op)) or name_of(op, fallback)

    def made(self, op: Operation, axis: int, height: int = 1, width: int = 1) -> Tensor:
        """The array [channels, height, width] that a layer makes; ``axis`` of its output has the channels."""
        units, length = self._numbering.axes(op.outputs[0])[axis], op.outputs[0].shape[axis]
        kept = np.zeros((len(self._integers), length), bool)
        for row, positions in zip(kept, self._positions(op.outputs[0]), strict=True):
            row[positions[axis]] = True
        of = None
        if self.every_row:
            of = np.full((length, 2), -1) if units is None else ranges.conditions(units)
        made = ranges.tensor(kept, of, height, width)
        if made is None:
            self._refuse(op, "makes channels of which " + ("not every row of widths" if self.every_row else "a subnetwork") + (
                " keeps a prefix, or few ranges" if self.every_row else " keeps no prefix, and no few ranges") + (
                self._pinned.get(self.name(op)) or ": they belong to several groups, or are tied to each other"))
            return Tensor(tuple(kept.sum(axis=1).tolist()), height, width, size=Size(length) if self.every_row else None)
        return made

    def cut(self, x: Atom, axes: Sequence[int]) -> bool:
        """Whether one of these axes loses positions in a smaller subnetwork."""
        return isinstance(x, Value) and any(self._numbering.axes(x)[axis] is not None for axis in axes)

    def check(self, op: Operation, form: Affine) -> None:
        """Find whether the entries of the output that stay are those of the channels that are stored."""
        value, source = op.outputs[0], form.source
        axes = self._numbering.axes(value)
        key = (id(form.index), source.number, *map(id, axes))
        if key in self._agreeing:
            return
        assert form.index.shape == value.shape
        for k, kept in enumerate(self._positions(value)):
            entries, stored = form.index[np.ix_(*kept)], np.zeros(source.full, bool)
            stored[source.tensor.kept(k)] = True
            if entries.size != source.tensor.items(k) or not np.all(stored[source.channel(entries)]):
                self._refuse(op, "keeps other channels than the array that it is made of")
                break
        if self.every_row and not self._same_units(value, form):
            self._refuse(op, "keeps at some row of widths other channels than the array that it is made of")
        self._agreeing.add(key)
        self._checked.append((form.index, axes))

    def _same_units(self, value: Value, form: Affine) -> bool:
        """Whether every entry is of the unit that the channel which stores it is of, or stays as that does."""
        size = form.source.tensor.size
        if size is None:
            return False
        needed = np.full((*form.index.shape, 2), -1)
        for number, axis in enumerate(self._numbering.axes(value)):
            if axis is not None:
                of = np.expand_dims(ranges.conditions(axis), [i for i in range(form.index.ndim) if i != number])
                if np.any((of[..., :1] >= 0) & (needed[..., :1] >= 0)):
                    return False  # an entry with units on two axes
                needed = np.where(of[..., :1] >= 0, of, needed)
        return np.array_equal(needed, ranges.stored(form.source.tensor, form.source.full)[form.source.channel(form.index)])

    def refuse(self) -> None:
        """Raise what has been found."""
        if self._refusal is not None:
            raise self._refusal

    def _refuse(self, op: Operation, why: str) -> None:
        self._refusal = self._refusal or refusal(op, why)

    def _positions(self, value: Value) -> list[list[np.ndarray]]:
        """For every subnetwork the positions of every axis that stay."""
        axes = self._numbering.axes(value)
        return [[np.arange(n) if axis is None else axis.kept(widths) for axis, n in zip(axes, value.shape, strict=True)]
                for widths in self._integers]

