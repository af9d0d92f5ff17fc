"""The problem: one width for each group, and tables of value, cost and peak memory over the widths of a few groups each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.chain import chain_tables
from reds_jax.knapsack.layered import Layered, largest_layer
from reds_jax.knapsack.table import Table, exact_sum

LARGEST_SUM = 2**61


@dataclass(frozen=True, eq=False)
class WidthProblem:
    """Choose one width per group: maximise a sum of value tables under capacities on sums, or maxima, of tables.

    maximise sum_t value_t(n)  subject to  sum_t resource_t(n) <= capacity,  max_t peak_t(n) <= capacity

    Args:
        groups: the names of the groups.
        widths: for each group its allowed widths, ascending positive integers.
        values: the value tables; a table may span several groups.
        resources: for each resource its tables; the cost is their sum.
        peaks: for each peak resource its tables; the cost is their MAXIMUM (each table is, for example, the bytes alive at
            one operation), so a capacity forbids the entries above it.
        gamma: None where values are numbers that add up; for `ces` values of retained shares their gamma, 0 for logarithms:
            those are compared as means of the shares (see ``NestedSolution``).

    Raises:
        InvalidArgumentError: for names, widths or tables that do not fit together, or integers beyond 2**61 in a sum.

    >>> problem = WidthProblem(("a", "b"), ((1, 2), (1, 2)), (Table("a", [3, 5]), Table("b", [2, 4])),
    ...                        {"macs": (Table(("a", "b"), [[1, 2], [2, 4]]),)})
    >>> problem.evaluate((2, 1)), problem.cost("macs", (2, 1))
    (7, 2)
    """

    groups: tuple[str, ...]
    widths: tuple[tuple[int, ...], ...]
    values: tuple[Table, ...]
    resources: Mapping[str, tuple[Table, ...]] = field(default_factory=dict)
    peaks: Mapping[str, tuple[Table, ...]] = field(default_factory=dict)
    gamma: float | None = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("groups", tuple(self.groups))
        if not self.groups or len(set(self.groups)) != len(self.groups):
            raise InvalidArgumentError("the groups need distinct names, at least one", got=self.groups)
        if not all(isinstance(name, str) for name in self.groups):
            raise InvalidArgumentError("the names of the groups are not all strings", got=self.groups)
        if len(self.widths) != len(self.groups):
            raise InvalidArgumentError(
                "one tuple of allowed widths is needed for each group", got=len(self.widths), allowed=str(len(self.groups))
            )
        put("widths", tuple(_check_widths(name, w) for name, w in zip(self.groups, self.widths, strict=True)))
        put("values", self._check_tables("the values", self.values))
        for kind in ("resources", "peaks"):
            tables = {name: self._check_tables(repr(name), given) for name, given in getattr(self, kind).items()}
            put(kind, MappingProxyType(tables))
        both = set(self.resources) & set(self.peaks)
        if both:
            raise InvalidArgumentError("a name is used for a resource and for a peak", got=min(both))
        for name, tables in self.peaks.items():
            if not tables:
                raise InvalidArgumentError(f"the peak {name!r} has no table", got=tables, allowed="at least one table")

    def _check_tables(self, owner: str, tables: Sequence[Table]) -> tuple[Table, ...]:
        if isinstance(tables, Table):
            tables = (tables,)
        checked = []
        for table in tables:
            if not isinstance(table, Table):
                raise InvalidArgumentError(f"{owner} must be a sequence of Table", got=type(table).__name__)
            axes = tuple(self._axis(owner, group) for group in table.groups)
            shape = tuple(len(self.widths[axis]) for axis in axes)
            if len(set(axes)) != len(axes) or table.shape != shape:
                raise InvalidArgumentError(
                    f"a table of {owner} over {table.groups!r} does not match the allowed widths",
                    got=table.shape, allowed=f"shape {shape}",
                )  # fmt: skip
            checked.append(table.over(axes))
        if all(t.whole for t in checked):
            total = sum(max(map(abs, t.extent())) for t in checked)
            if total >= LARGEST_SUM:
                raise InvalidArgumentError(
                    f"the sum over the tables of {owner} may leave the 64-bit integers", got=total,
                    allowed="below 2**61", hint="Divide by a common factor, or give floats.",
                )  # fmt: skip
        return tuple(checked)

    def _axis(self, owner: str, group: int | str) -> int:
        if isinstance(group, str) and group in self.groups:
            return self.groups.index(group)
        if isinstance(group, (int, np.integer)) and not isinstance(group, bool) and 0 <= group < len(self.groups):
            return int(group)
        raise InvalidArgumentError(f"a table of {owner} names an unknown group", got=group, allowed=f"{self.groups}")

    @property
    def full_widths(self) -> tuple[int, ...]:
        """The largest allowed width of every group."""
        return tuple(w[-1] for w in self.widths)

    @property
    def smallest_widths(self) -> tuple[int, ...]:
        """The smallest allowed width of every group."""
        return tuple(w[0] for w in self.widths)

    @cached_property
    def layered(self) -> Layered:
        """The problem as a layered graph of states, built once."""
        return Layered([len(w) for w in self.widths], self.values, self.resources, self.peaks)

    def arcs(self, sizes: Sequence[int] | None = None) -> int:
        """Arcs in the largest layer of ``layered``, which is not built; with other numbers of widths of the groups if given."""
        sizes = [len(w) for w in self.widths] if sizes is None else sizes
        return largest_layer(sizes, self.values, self.resources, self.peaks)

    def smallest_costs(self) -> dict[str, int | float]:
        """The smallest possible cost of each resource and peak, each on its own."""

        def least(name: str) -> int | float:
            if all(t.grows() for t in self.resources.get(name, self.peaks.get(name, ()))):
                return self.cost(name, self.smallest_widths)
            widths = tuple(w[i] for w, i in zip(self.widths, self.layered.cheapest(name), strict=True))
            return self.cost(name, widths)

        return {name: least(name) for name in (*self.resources, *self.peaks)}

    def index(self, widths: Sequence[int]) -> tuple[int, ...]:
        """The position of each width among the allowed widths of its group.

        Raises:
            InvalidArgumentError: for a wrong number of widths, or a width that is not allowed.
        """
        widths = tuple(widths)
        if len(widths) != len(self.groups):
            raise InvalidArgumentError("one width for each group is needed", got=widths, allowed=f"{self.groups}")
        found = []
        for name, width, allowed in zip(self.groups, widths, self.widths, strict=True):
            if width not in allowed:
                raise InvalidArgumentError(
                    f"the width of group {name!r} is not allowed", got=width, allowed=_show_widths(allowed)
                )
            found.append(allowed.index(width))
        return tuple(found)

    def evaluate(self, widths: Sequence[int]) -> int | float:
        """The value of a choice of widths: exact for integers, correctly rounded for floats."""
        index = self.index(widths)
        return exact_sum(t.entry([index[axis] for axis in t.groups]) for t in self.values)  # type: ignore[index]

    def cost(self, resource: str, widths: Sequence[int]) -> int | float:
        """The cost of a choice of widths, from the tables: the sum for a resource, the maximum for a peak."""
        if resource not in self.resources and resource not in self.peaks:
            raise unknown_resource(self, resource)
        index = self.index(widths)
        tables = self.resources.get(resource, self.peaks.get(resource, ()))
        entries = [t.entry([index[axis] for axis in t.groups]) for t in tables]  # type: ignore[index]
        return exact_sum(entries) if resource in self.resources else max(entries)

    def costs(self, widths: Sequence[int]) -> dict[str, int | float]:
        """The cost of every resource and peak."""
        return {name: self.cost(name, widths) for name in (*self.resources, *self.peaks)}

    def restrict(self, *, lower: Sequence[int] | None = None, upper: Sequence[int] | None = None) -> WidthProblem:
        """The same problem with every width between ``lower`` and ``upper``; what nesting needs.

        Raises:
            InvalidArgumentError: if a group is left without a width.
        """
        low = self.smallest_widths if lower is None else tuple(lower)
        high = self.full_widths if upper is None else tuple(upper)
        if len(low) != len(self.groups) or len(high) != len(self.groups):
            raise InvalidArgumentError("one bound for each group is needed", got=(low, high), allowed=f"{self.groups}")
        kept = []
        for name, allowed, a, b in zip(self.groups, self.widths, low, high, strict=True):
            inside = np.flatnonzero((np.array(allowed) >= a) & (np.array(allowed) <= b))
            if not len(inside):
                raise InvalidArgumentError(
                    f"no width of group {name!r} lies between the bounds", got=(a, b), allowed=_show_widths(allowed)
                )
            kept.append(inside)
        return self.only(kept)

    def only(self, kept: Sequence[np.ndarray]) -> WidthProblem:
        """The same problem with some of its widths: for each group their positions, ascending."""
        widths = tuple(tuple(np.array(w)[k].tolist()) for w, k in zip(self.widths, kept, strict=True))
        return self._each_table(widths, lambda table, _: table.at([kept[g] for g in table.groups]))  # type: ignore[index]

    def relaxed(self, starts: Sequence[np.ndarray]) -> WidthProblem:
        """A smaller problem over blocks of neighbouring widths, each named by its largest; its optimum is an upper bound.

        A block has the largest value and the smallest cost of its widths, in every table. So the blocks of any widths within
        the capacities cost at most as much as these, and are worth at least as much.

        Args:
            starts: for each group the position of the first width of every block, ascending from 0.
        """
        last = [np.append(at[1:], len(w)) - 1 for at, w in zip(starts, self.widths, strict=True)]
        widths = tuple(tuple(np.array(w)[k].tolist()) for w, k in zip(self.widths, last, strict=True))
        return self._each_table(widths, lambda table, value: table.blocks([starts[g] for g in table.groups], largest=value))  # type: ignore[index]

    def _each_table(self, widths: tuple[tuple[int, ...], ...], change: Callable[[Table, bool], Table]) -> WidthProblem:
        """The problem over other widths, with every table changed; ``change`` is told whether it is one of the values."""

        def costs(kind: Mapping[str, tuple[Table, ...]]) -> dict[str, tuple[Table, ...]]:
            return {name: tuple(change(t, False) for t in tables) for name, tables in kind.items()}

        values = tuple(change(t, True) for t in self.values)
        return WidthProblem(self.groups, widths, values, costs(self.resources), costs(self.peaks), self.gamma)

    @staticmethod
    def chain(
        *,
        scores: Sequence[Sequence[float] | np.ndarray],
        pair_macs: Sequence[float],
        unit_macs: Sequence[float],
        value: Literal["sum", "log_retention", "ces"] = "sum",
        cost: Literal["true", "full_fan_in"] = "true",
        min_width: int | Sequence[int] = 1,
        step: int | Sequence[int] = 1,
        kernel_scores: Sequence[np.ndarray | None] | None = None,
        kernel_score: Literal["first", "best"] = "first",
        resources: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
        peaks: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
        groups: Sequence[str] | None = None,
    ) -> WidthProblem:
        """A chain of groups, each fed by the one before: see ``reds_jax.knapsack.chain.chain_tables``.

        >>> WidthProblem.chain(scores=[[3, 2], [5, 1]], pair_macs=[0, 1], unit_macs=[1, 0]).cost("macs", (2, 2))
        6
        """
        tables = chain_tables(
            scores=scores, pair_macs=pair_macs, unit_macs=unit_macs, value=value, cost=cost, min_width=min_width,
            step=step, kernel_scores=kernel_scores, kernel_score=kernel_score, resources=resources, peaks=peaks,
            groups=groups,
        )  # fmt: skip
        return WidthProblem(*tables)


def unknown_resource(problem: WidthProblem, name: object) -> InvalidArgumentError:
    """The error for a resource that the problem does not have."""
    known = ", ".join(repr(n) for n in (*problem.resources, *problem.peaks)) or "none"
    return InvalidArgumentError("the problem has no such resource", got=name, allowed=known)


def _show_widths(allowed: Sequence[int]) -> str:
    return str(tuple(allowed)) if len(allowed) <= 12 else f"{len(allowed)} widths from {allowed[0]} to {allowed[-1]}"


def _check_widths(name: str, widths: Sequence[int]) -> tuple[int, ...]:
    array = np.asarray(widths)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise InvalidArgumentError(f"the allowed widths of group {name!r} are not integers", got=widths)
    if array[0] < 1 or (array[1:] <= array[:-1]).any():
        raise InvalidArgumentError(
            f"the allowed widths of group {name!r} are not positive and ascending", got=tuple(array.tolist())
        )
    return tuple(array.tolist())
