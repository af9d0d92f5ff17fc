"""Nested subnetworks: widths for several capacities, each contained in the next larger, with a certificate."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solve import Method, Solution, check_capacities, solve

Order = Literal["joint", "bottom_up", "top_down"]
Stages = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class NestedSolution:
    """Nested widths, from the smallest subnetwork to the largest, and what is known about them.

    Attributes:
        solutions: one for each subnetwork; ``bound`` and ``proven_optimal`` refer to its separate optimum.
        optima: the separate optimum of each subnetwork, nesting ignored: an upper bound on what nesting allows.
        capacities: the capacities in the same order.
        bound: no nested choice has a larger total value (the sum of the separate optima, or better).
        proven_optimal: no nested choice has a larger total value (for floats: up to their rounding).
        log_values: see ``certificate``.
        order: how the widths were found: "joint", "bottom_up" or "top_down".
        seconds: wall time.
    """

    solutions: tuple[Solution, ...]
    optima: tuple[Solution, ...]
    capacities: tuple[dict[str, float], ...] = field(hash=False)
    bound: int | float
    proven_optimal: bool
    log_values: bool
    order: Order
    seconds: float = field(compare=False)

    @property
    def widths(self) -> Stages:
        """The widths of each subnetwork; each is at least as wide as the one before in every group."""
        return tuple(s.widths for s in self.solutions)

    @property
    def values(self) -> tuple[int | float, ...]:
        """The value of each subnetwork."""
        return tuple(s.value for s in self.solutions)

    @property
    def costs(self) -> tuple[dict[str, int | float], ...]:
        """The costs of each subnetwork."""
        return tuple(s.costs for s in self.solutions)

    @property
    def gap(self) -> int | float:
        """The bound minus the total value: what a better nested choice could gain at most; 0 if proven for integers."""
        return max(self.bound - _sum(self.values), 0)

    @property
    def certificates(self) -> tuple[float, ...]:
        """For each subnetwork how close it is to its separate optimum, as in ``certificate``."""
        groups = len(self.solutions[0].widths)
        return tuple(
            _ratio(s.value, o.bound, groups, self.log_values) for s, o in zip(self.solutions, self.optima, strict=True)
        )

    @property
    def certificate(self) -> float:
        """How close the total is to the sum of the separate optima, which no nested choice can exceed; at most 1.

        Sums: total value / sum of the optima (1 if both are equal, nan if the optima do not add up to a positive number).
        Logarithms: exp((total value - sum of the optima) / (subnetworks * groups)), the ratio of the geometric means, over
        subnetworks and groups, of the importance kept.
        """
        groups = len(self.solutions) * len(self.solutions[0].widths)
        return _ratio(_sum(self.values), _sum([o.bound for o in self.optima]), groups, self.log_values)


def _sum(numbers: Sequence[int | float]) -> int | float:
    return sum(numbers) if all(isinstance(n, int) for n in numbers) else math.fsum(numbers)


def _ratio(value: int | float, optimum: int | float, groups: int, logarithms: bool) -> float:
    if value == optimum:
        return 1.0
    if logarithms:
        return math.exp((value - optimum) / groups)
    return value / optimum if optimum > 0 else math.nan


def solve_nested(
    problem: WidthProblem,
    capacities: Sequence[Mapping[str, float] | float],
    *,
    order: Order = "joint",
    method: Method = "exact",
    time_limit: float | None = None,
    exact_joint: bool = False,
) -> NestedSolution:
    """Widths for several capacities such that every subnetwork is contained in the next larger one.

    maximise sum_s value(n^s)  subject to  cost(n^s) <= capacities[s],  n^1 <= n^2 <= ... in every group

    Args:
        problem: the width problem.
        capacities: for each subnetwork its capacities (as for ``solve``), or a number if there is one resource; in any
            order. The answer goes from the smallest to the largest.
        order: "bottom_up" solves the smallest first, and its widths are lower bounds for the next; "top_down" solves the
            largest first, and its widths are upper bounds; "joint" takes the best of these two and of starts in between,
            and improves one subnetwork at a time between its neighbours until none gains.
        method: the method for each subnetwork.
        time_limit: seconds for everything.
        exact_joint: with "joint", if the total falls short of the sum of the separate optima, decide by a MILP over the
            widths left whether a better nested choice exists, and take it.

    Raises:
        InfeasibleError: if a capacity cannot be met, alone or nested in this order.
        InvalidArgumentError: for wrong arguments.
        TimeoutError: if the time limit passed before nested widths were found.

    With costs that are products of widths the guarantees known for the additive knapsack (2/3 bottom-up, 1/2 top-down) do
    not hold; the certificate is computed for the answer at hand.

    >>> problem = WidthProblem.chain(scores=[[3, 2, 1], [9, 5]], pair_macs=[1, 2], unit_macs=[0, 1])
    >>> answer = solve_nested(problem, [9, 5], order="joint")
    >>> answer.widths, answer.values, answer.certificate, answer.proven_optimal
    (((1, 1), (1, 2)), (12, 17), 1.0, True)
    """
    started = time.perf_counter()
    deadline = None if time_limit is None else time.monotonic() + time_limit
    if order not in ("joint", "bottom_up", "top_down"):
        raise InvalidArgumentError("unknown order", got=order, allowed="'joint', 'bottom_up' or 'top_down'")
    if exact_joint and order != "joint":
        raise InvalidArgumentError("exact_joint needs the joint order", got=order, allowed="order='joint'")
    limits = _sorted_limits(problem, capacities)

    def run(part: WidthProblem, limit: Mapping[str, float]) -> Solution:
        left = None if deadline is None or method == "brute" else max(deadline - time.monotonic(), 0.01)
        return solve(part, limit, method=method, time_limit=left)

    optima = tuple(run(problem, limit) for limit in limits)
    tight = _tightened(problem, limits)
    search = _Nesting(problem, tight, optima, run)
    count = len(limits)
    starts = {"bottom_up": [0], "top_down": [count - 1]}.get(order) or _spaced(count)
    best: Stages | None = None
    failure: InfeasibleError | None = None
    for start in starts:
        if best is not None and (search.total(best) == search.ceiling or _late(deadline)):
            break
        try:
            found = search.spread(start)
        except InfeasibleError as error:
            failure = failure or error
            continue
        if best is None or search.total(found) > search.total(best):
            best = found
    if best is not None and order == "joint":
        best = search.ascend(best, deadline)
    bound, proven = search.ceiling, best is not None and search.closed(best)
    if exact_joint and not proven:
        from reds_jax.knapsack.joint import improve_joint

        left = None if deadline is None else max(deadline - time.monotonic(), 0.01)
        uppers = [o.bound for o in optima]
        best, joint_bound, proven = improve_joint(problem, limits, uppers, best, time_limit=left)
        if best is not None and proven:
            bound = search.total(best)
        elif joint_bound is not None:
            bound = min(bound, joint_bound)
    if best is None:
        if exact_joint and not proven:
            raise TimeoutError("no nested widths were found within the time limit; give more time")
        assert failure is not None
        raise _not_nested(order, failure)
    solutions = tuple(
        Solution(w, problem.evaluate(w), problem.costs(w), o.bound, problem.evaluate(w) >= o.value and o.proven_optimal,
                 o.seconds, method)
        for w, o in zip(best, optima, strict=True)
    )  # fmt: skip
    return NestedSolution(
        solutions, optima, tuple(limits), max(bound, search.total(best)), proven, problem.log_values, order,
        time.perf_counter() - started,
    )  # fmt: skip


class _Nesting:
    """Greedy nestings from a start, and the ascent between neighbours."""

    def __init__(self, problem: WidthProblem, limits: list[dict[str, float]], optima: Sequence[Solution], run) -> None:
        self.problem, self.limits, self.optima, self.run = problem, limits, optima, run
        self.ceiling = _sum([o.bound for o in optima])

    def total(self, stages: Stages) -> int | float:
        return _sum([self.problem.evaluate(w) for w in stages])

    def closed(self, stages: Stages) -> bool:
        """Whether the total meets the sum of proven separate optima."""
        if not all(o.proven_optimal for o in self.optima):
            return False
        return self.total(stages) >= _sum([o.value for o in self.optima])

    def between(self, stage: int, lower: tuple[int, ...] | None, upper: tuple[int, ...] | None) -> tuple[int, ...]:
        """The best widths of one subnetwork between two bounds."""
        free = self.optima[stage]
        inside = (lower is None or _below(lower, free.widths)) and (upper is None or _below(free.widths, upper))
        if inside and not _exceeds(self.problem, free.costs, self.limits[stage]):
            return free.widths
        return self.run(self.problem.restrict(lower=lower, upper=upper), self.limits[stage]).widths

    def spread(self, start: int) -> Stages:
        """Start at one subnetwork; grow upwards from it, and restrict downwards."""
        stages: dict[int, tuple[int, ...]] = {start: self.between(start, None, None)}
        for s in range(start + 1, len(self.limits)):
            stages[s] = self.between(s, stages[s - 1], None)
        for s in range(start - 1, -1, -1):
            stages[s] = self.between(s, None, stages[s + 1])
        return tuple(stages[s] for s in range(len(self.limits)))

    def ascend(self, stages: Stages, deadline: float | None) -> Stages:
        """Improve one subnetwork at a time between its neighbours until a whole round brings nothing."""
        now = list(stages)
        quiet = 0
        s = 0
        while quiet < len(now) and not _late(deadline):
            value = self.problem.evaluate(now[s])
            quiet += 1
            if value < self.optima[s].value:
                lower = now[s - 1] if s else None
                upper = now[s + 1] if s + 1 < len(now) else None
                found = self.between(s, lower, upper)
                if self.problem.evaluate(found) > value:
                    now[s], quiet = found, 1
            s = (s + 1) % len(now)
        return tuple(now)


def _below(a: Sequence[int], b: Sequence[int]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True))


def _exceeds(problem: WidthProblem, costs: Mapping[str, float], limits: Mapping[str, float]) -> bool:
    return any(costs[name] > limit for name, limit in limits.items())


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _spaced(count: int) -> list[int]:
    """Bottom-up, top-down, then up to three starts in between."""
    inner = sorted({round(i * (count - 1) / 4) for i in (1, 2, 3)} - {0, count - 1})
    return list(dict.fromkeys([0, count - 1, *inner]))


def _sorted_limits(problem: WidthProblem, capacities: Sequence[Mapping[str, float] | float]) -> list[dict[str, float]]:
    """Checked capacities, from the smallest subnetwork to the largest (by the first resource, then the second, ...)."""
    if isinstance(capacities, (Mapping, str)) or not isinstance(capacities, (Sequence, np.ndarray)) or not len(capacities):
        raise InvalidArgumentError(
            "capacities must be a sequence, one entry for each subnetwork", got=capacities, allowed="[...], at least one"
        )
    names = (*problem.resources, *problem.peaks)
    found = []
    for entry in capacities:
        if isinstance(entry, Mapping):
            found.append(check_capacities(problem, entry))
        elif len(names) == 1:
            found.append(check_capacities(problem, {names[0]: entry}))
        else:
            raise InvalidArgumentError(
                "a number as capacity needs a problem with one resource", got=entry,
                allowed=f"a dict with names among {names}",
            )  # fmt: skip
    return sorted(found, key=lambda limit: tuple(limit.get(name, math.inf) for name in names))


def _tightened(problem: WidthProblem, limits: list[dict[str, float]]) -> list[dict[str, float]]:
    """Where costs grow with the widths, a subnetwork must also meet the capacities of the larger ones that contain it."""
    tight = [dict(limit) for limit in limits]
    for name in (*problem.resources, *problem.peaks):
        tables = problem.resources.get(name, problem.peaks.get(name, ()))
        if all((np.diff(t.array, axis=a) >= 0).all() for t in tables for a in range(t.array.ndim)):
            least = math.inf
            for limit in reversed(tight):
                least = min(least, limit.get(name, math.inf))
                if least < math.inf:
                    limit[name] = least
    return tight


def _not_nested(order: str, error: InfeasibleError) -> InfeasibleError:
    return InfeasibleError(
        f"each capacity can be met, but not by nested widths in the order {order!r}: {error.what}", got=error.got,
        allowed=error.allowed, resource=error.resource, smallest=error.smallest,
        hint="Make the capacities grow together in every resource, or use order='joint' with exact_joint=True.",
    )  # fmt: skip
