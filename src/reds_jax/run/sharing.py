"""What nested subnetworks have in common is computed once.

Run together, two subnetworks share every value whose entries depend on the same widths (`reds_jax.run.dependence`): the first
convolution, its batch norm (batch statistics are per channel), its activation, the depthwise convolution behind it, and all
behind two layers of equal width. The narrower value is a slice of the wider one, in exact arithmetic and in floats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from reds_jax.program.flat import Atom, Operation, Value
from reds_jax.run.dependence import NOTHING, Dependence
from reds_jax.run.held import Held


@runtime_checkable
class Cut(Protocol):
    """A subnetwork: `reds_jax.run.interpreter.Narrow`."""

    @property
    def integers(self) -> tuple[int, ...]: ...

    @property
    def own(self) -> dict[int, int]: ...

    def kept(self, x: Atom, axis: int) -> np.ndarray | None: ...

    def shape(self, x: Atom) -> tuple[int, ...]: ...

    def groups(self, x: Value) -> frozenset[int]: ...


@dataclass(eq=False)
class Result:
    """What one subnetwork computed, and the parts that others have read."""

    value: Value
    by: Cut
    held: Held
    parts: dict[tuple[int, ...], Held] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Part:
    """The part of a result that a narrower subnetwork keeps; cut when it is read, once for each width."""

    result: Result
    narrow: Cut

    def cut(self) -> Held:
        result, value = self.result, self.result.value
        key = tuple(self.narrow.integers[g] for g in sorted(self.narrow.groups(value)))
        if key not in result.parts:
            h = result.held
            for axis, n in enumerate(value.shape):
                if (kept := self.narrow.kept(value, axis)) is not None:
                    wide = result.by.kept(value, axis)
                    h = h.take(axis, np.searchsorted(np.arange(n) if wide is None else wide, kept))
            result.parts[key] = h
        return result.parts[key]


Env = dict[int, Held | Part]
"""The values of a running program by their numbers."""


class Shared:
    """The results of one trace, by operation.

    Args:
        dependences: of every value.
        subnetworks: of the trace, in the order in which they run: the widest first.
    """

    def __init__(self, dependences: dict[int, Dependence], subnetworks: Sequence[Cut]) -> None:
        self._dependences, self._subnetworks = dependences, subnetworks
        self._found: dict[int, list[tuple[tuple[int, ...], tuple[Result, ...]]]] = {}

    def _signature(self, narrow: Cut, x: Value) -> tuple[int, ...]:
        of = self._dependences.get(x.number, NOTHING)
        return (*(narrow.integers[g] for g in sorted(of.groups)), *(narrow.own[n] for n in sorted(of.own)))

    def has(self, narrow: Cut, op: Operation, env: Env) -> bool:
        """Whether the operation's results are parts of what a wider subnetwork computed; then ``env`` gets them."""
        if not op.outputs:
            return False
        signature = self._signature(narrow, op.outputs[0])
        groups = frozenset().union(*(narrow.groups(v) for v in op.outputs))
        for known, results in self._found.get(op.outputs[0].number, ()):
            if known == signature and all(results[0].by.integers[g] >= narrow.integers[g] for g in groups):
                env.update({r.value.number: Part(r, narrow) for r in results})
                return True
        return False

    def keep(self, narrow: Cut, op: Operation, env: Env) -> None:
        """Remember the results of an operation."""
        if op.outputs:
            results = tuple(Result(v, narrow, h) for v in op.outputs if isinstance(h := env[v.number], Held))
            self._found.setdefault(op.outputs[0].number, []).append((self._signature(narrow, op.outputs[0]), results))

    def behind(self, narrow: Cut, op: Operation) -> list[Cut]:
        """The subnetworks that run later and whose operands are parts of this one's, but not their results; one of a kind."""
        values = [x for x in (*op.inputs, *op.outputs) if isinstance(x, Value)]
        groups = frozenset().union(*(narrow.groups(v) for v in values))
        found: dict[tuple[int, ...], Cut] = {self._signature(narrow, op.outputs[0]): narrow}
        at = next(i for i, cut in enumerate(self._subnetworks) if cut is narrow)
        for cut in self._subnetworks[at + 1 :]:
            if (all(self._signature(cut, x) == self._signature(narrow, x) for x in op.inputs if isinstance(x, Value))
                    and all(cut.integers[g] <= narrow.integers[g] for g in groups)):
                found.setdefault(self._signature(cut, op.outputs[0]), cut)
        return list(found.values())[1:]

    def keep_sums(self, wide: Cut, op: Operation, narrower: Cut, sums: Held) -> None:
        """Remember what a narrower subnetwork's results are parts of: its sums at the outputs of the wider one."""
        (value,) = op.outputs
        entry = self._signature(narrower, value), (Result(value, wide, sums),)
        self._found.setdefault(value.number, []).append(entry)
