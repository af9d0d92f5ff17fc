"""Nested subnetworks: widths for several capacities, each contained in the next larger, with a certificate."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack.capacities import Limit, sorted_capacities, tightened
from reds_jax.knapsack.joint import improve_joint
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.promise import Spread, promise
from reds_jax.knapsack.solution import Method, NestedSolution, Order, Solution, Stages
from reds_jax.knapsack.solve import solve
from reds_jax.knapsack.table import exact_sum


def solve_nested(
    problem: WidthProblem,
    capacities: Sequence[Mapping[str, Limit] | Limit],
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
    not hold. ``promise`` says what holds instead (proofs/scaling.md); the certificate is computed for the answer at hand. It
    is relative to a bound on each separate optimum, so it also holds where an optimum was not proven. For groups of thousands
    of widths ``exact_joint`` looks at those that may be part of a better nested choice; if they are too many,
    ``proven_optimal`` is False.

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
    limits = sorted_capacities(problem, capacities)

    def run(part: WidthProblem, limit: Mapping[str, float]) -> Solution:
        left = None if deadline is None or method == "brute" else max(deadline - time.monotonic(), 0.01)
        return solve(part, limit, method=method, time_limit=left)

    optima = tuple(run(problem, limit) for limit in limits)
    tight = tightened(problem, limits)
    search = _Nesting(problem, tight, optima, run)
    count = len(limits)
    starts = {"bottom_up": [0], "top_down": [count - 1]}.get(order) or _spaced(count)
    best: Stages | None = None
    spreads: list[Spread] = []
    failure: InfeasibleError | None = None
    for start in starts:
        if best is not None and (search.total(best) == search.ceiling or _late(deadline)):
            break
        try:
            found = search.spread(start)
        except InfeasibleError as error:
            failure = failure or error
            continue
        if start in (0, count - 1):
            spreads.append(Spread(start, found))
        if best is None or search.total(found) > search.total(best):
            best = found
    promised = promise(problem, tight, optima, spreads, order=order, proven=search.proven)
    if best is not None and order == "joint":
        best = search.ascend(best, deadline)
    bound, proven = search.ceiling, best is not None and search.closed(best)
    if exact_joint and not proven:
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
        solutions, optima, tuple(limits), max(bound, search.total(best)), proven, problem.gamma, order,
        time.perf_counter() - started, promised,
    )  # fmt: skip


class _Nesting:
    """Greedy nestings from a start, and the ascent between neighbours."""

    def __init__(self, problem: WidthProblem, limits: list[dict[str, float]], optima: Sequence[Solution], run) -> None:
        self.problem, self.limits, self.optima, self.run = problem, limits, optima, run
        self.ceiling = exact_sum([o.bound for o in optima])
        self.proven = all(o.proven_optimal for o in optima)

    def total(self, stages: Stages) -> int | float:
        return exact_sum([self.problem.evaluate(w) for w in stages])

    def closed(self, stages: Stages) -> bool:
        """Whether the total meets the sum of proven separate optima."""
        if not all(o.proven_optimal for o in self.optima):
            return False
        return self.total(stages) >= exact_sum([o.value for o in self.optima])

    def between(self, stage: int, lower: tuple[int, ...] | None, upper: tuple[int, ...] | None) -> tuple[int, ...]:
        """The best widths of one subnetwork between two bounds."""
        free = self.optima[stage]
        inside = (lower is None or _below(lower, free.widths)) and (upper is None or _below(free.widths, upper))
        if inside and not _exceeds(self.problem, free.costs, self.limits[stage]):
            return free.widths
        found = self.run(self.problem.restrict(lower=lower, upper=upper), self.limits[stage])
        self.proven &= found.proven_optimal
        return found.widths

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


def _not_nested(order: str, error: InfeasibleError) -> InfeasibleError:
    return InfeasibleError(
        f"each capacity can be met, but not by nested widths in the order {order!r}: {error.what}", got=error.got,
        allowed=error.allowed, resource=error.resource, smallest=error.smallest,
        hint="Make the capacities grow together in every resource, or use order='joint' with exact_joint=True.",
    )  # fmt: skip
