"""One way from the narrowest widths to the full ones: every budget is served by the widest widths on it that fit.

``solve_nested`` answers for the budgets that it is given. Here the budget is not known before: the widths are a list, each
one step wider in one group than those before it, and at run time the last that fits is taken. The next step is that of best
value per cost; the list may be made to pass through the nested widths of a few budgets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from reds_jax.array_types import Int
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack.capacities import Limit, sorted_capacities
from reds_jax.knapsack.nested import solve_nested
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import ratio
from reds_jax.knapsack.solve import solve


@dataclass(frozen=True, eq=False)
class WidthOrder:
    """Widths that grow one step at a time, and what they cost.

    Attributes:
        problem: the width problem that they are for.
        rows: int64 array of shape (steps + 1, groups): row 0 the smallest widths, the last row the full ones; a row is the
            one before it, with the next allowed width in one group.
        costs: for each resource and peak the cost of every row; none falls.
    """

    problem: WidthProblem
    rows: Int[np.ndarray, "steps groups"]
    costs: Mapping[str, np.ndarray] = field(hash=False)

    def row(self, capacities: Mapping[str, Limit] | Limit) -> int:
        """The index of the last row within the capacities: those of ``solve``, or a number if there is one resource.

        Raises:
            InfeasibleError: if not even the smallest widths fit.
            InvalidArgumentError: for unknown names or wrong types.
        """
        (limits,) = sorted_capacities(self.problem, [capacities])
        last = len(self.rows) - 1
        for name, limit in limits.items():
            fitting = int(np.searchsorted(self.costs[name], limit, side="right")) - 1
            if fitting < 0:
                least = self.costs[name][0].item()
                raise InfeasibleError(
                    f"not even the smallest widths meet the capacity of {name!r}", got=limit, allowed=f"at least {least}",
                    resource=name, smallest=least,
                )  # fmt: skip
            last = min(last, fitting)
        return last

    def widths(self, capacities: Mapping[str, Limit] | Limit) -> tuple[int, ...]:
        """The last widths within the capacities; arguments and errors as for ``row``."""
        return tuple(self.rows[self.row(capacities)].tolist())

    def certificates(
        self, capacities: Sequence[Mapping[str, Limit] | Limit], *, time_limit: float | None = None
    ) -> tuple[float, ...]:
        """For each capacity, in ascending order, how close its widths are to the optimum of `solve`: as in ``NestedSolution``.

        Args:
            capacities: as for ``solve_nested``.
            time_limit: seconds for each optimum; the ratio is then to its bound.

        Raises:
            InfeasibleError, InvalidArgumentError: as for ``row``.
            TimeoutError: if the time limit passed before any widths were found.
        """
        found = []
        for limits in sorted_capacities(self.problem, capacities):
            value = self.problem.evaluate(self.widths(limits))
            optimum = solve(self.problem, limits, time_limit=time_limit)
            best = optimum.value if optimum.proven_optimal else optimum.bound
            found.append(ratio(value, max(best, value), len(self.problem.groups), self.problem.gamma))
        return tuple(found)


def any_budget_order(
    problem: WidthProblem,
    *,
    anchors: int = 0,
    budgets: Sequence[Mapping[str, Limit] | Limit] | None = None,
    time_limit: float | None = None,
) -> WidthOrder:
    """A list of widths from the smallest to the full ones, one step after the other, for budgets that are not known yet.

    Args:
        problem: the width problem; no cost may fall as a width grows.
        anchors: for how many budgets between the smallest and the full widths, spaced by equal factors, `solve_nested` finds
            widths that the list passes through. 0, value per cost alone, takes no solver, and is as good on the library's
            networks (docs/choosing_budgets.md); where one group is cheap early and dear later it may be much worse.
        budgets: instead of ``anchors``, the budgets (as for ``solve_nested``), those that matter most.
        time_limit: seconds for the nested widths.

    Raises:
        InvalidArgumentError: if a cost falls as a width grows, or for a wrong argument.
        InfeasibleError, TimeoutError: as in ``solve_nested``.

    A step costs the sum of its shares, over the resources, of the way from the smallest to the full widths; peaks do not
    count. With costs that are products of widths no list keeps a constant share of every optimum (proofs/any_budget.md): ask
    ``certificates`` what this one keeps.

    >>> problem = WidthProblem.chain(scores=[[3, 2, 1], [9, 5]], pair_macs=[1, 2], unit_macs=[0, 1])
    >>> order = any_budget_order(problem, anchors=2)
    >>> order.rows.tolist(), order.costs["macs"].tolist()
    ([[1, 1], [1, 2], [2, 2], [3, 2]], [4, 7, 12, 17])
    >>> order.widths(11), order.certificates([4, 11, 17])
    ((1, 2), (1.0, 1.0, 1.0))
    """
    names = (*problem.resources, *problem.peaks)
    for name in names:
        if not all(t.grows() for t in problem.resources.get(name, problem.peaks.get(name, ()))):
            raise InvalidArgumentError(
                f"the cost {name!r} falls somewhere as a width grows", got=name, allowed="costs that grow with the widths",
                hint="Then a prefix that fits may follow one that does not: use solve_nested.",
            )  # fmt: skip
    if isinstance(anchors, bool) or not isinstance(anchors, (int, np.integer)) or anchors < 0:
        raise InvalidArgumentError("anchors is not a number of budgets", got=anchors, allowed="0, 1, 2, ...")
    start, end = problem.smallest_widths, problem.full_widths
    if budgets is None:
        budgets = _ladder(problem, int(anchors))
    stages = [start]
    if len(budgets) and names:
        stages += solve_nested(problem, budgets, time_limit=time_limit).widths
    walk = _Walk(problem)
    rows = [problem.index(start)]
    for below, above in pairwise([*stages, end]):
        rows += walk.between(problem.index(below), problem.index(above))
    widths = np.array([[allowed[i] for allowed, i in zip(problem.widths, row, strict=True)] for row in rows], dtype=np.int64)
    costs = [problem.costs(row) for row in widths.tolist()]
    return WidthOrder(problem, widths, {name: np.array([cost[name] for cost in costs]) for name in names})


def _ladder(problem: WidthProblem, count: int) -> list[dict[str, float]]:
    """Budgets between the costs of the smallest and the full widths, by equal factors; by equal steps where a cost is 0."""
    low, high = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)

    def at(name: str, share: float) -> float:
        a, b = low[name], high[name]
        return a * (b / a) ** share if a > 0 else a + (b - a) * share

    return [{name: at(name, k / (count + 1)) for name in low} for k in range(1, count + 1)]


class _Walk:
    """Steps between two choices of widths, given by positions: the best value per cost first."""

    def __init__(self, problem: WidthProblem) -> None:
        low, high = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)
        self.touching = [[t for t in problem.values if axis in t.groups] for axis in range(len(problem.groups))]
        self.costs = [
            (1 / (high[name] - low[name]), [[t for t in tables if axis in t.groups] for axis in range(len(problem.groups))])
            for name, tables in problem.resources.items()
            if high[name] > low[name]
        ]

    def between(self, below: tuple[int, ...], above: tuple[int, ...]) -> list[tuple[int, ...]]:
        now, rows = list(below), []
        while tuple(now) != above:
            open_ = [axis for axis, (a, b) in enumerate(zip(now, above, strict=True)) if a < b]
            now[max(open_, key=lambda axis: self.worth(now, axis))] += 1
            rows.append(tuple(now))
        return rows

    def worth(self, now: list[int], axis: int) -> tuple[float, float]:
        """Value per cost of the next step in a group; where the cost is 0, infinite, and by value."""
        wider = [i + (j == axis) for j, i in enumerate(now)]

        def change(tables) -> float:
            return sum(t.entry([wider[g] for g in t.groups]) - t.entry([now[g] for g in t.groups]) for t in tables)

        gain = change(self.touching[axis])
        cost = sum(scale * change(tables[axis]) for scale, tables in self.costs)
        return (gain / cost, gain) if cost > 0 else (math.inf, gain)
