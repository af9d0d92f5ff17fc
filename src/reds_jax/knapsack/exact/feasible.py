"""What is the least that a resource can cost, and which one makes a problem infeasible."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reds_jax.errors import InfeasibleError
from reds_jax.knapsack.exact.wide import solve_exact
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import Table


def smallest_cost(problem: WidthProblem, name: str, capacities: Mapping[str, float]) -> int | float | None:
    """The smallest cost of a resource or peak while the OTHER capacities are met; None if they cannot be.

    Args:
        problem: the width problem.
        name: of a resource or peak.
        capacities: name -> limit; that of ``name`` is not looked at.
    """
    if all(t.grows() for kind in (problem.resources, problem.peaks) for tables in kind.values() for t in tables):
        problem = problem.restrict(upper=problem.smallest_widths)  # which cost least in everything
    others = {other: limit for other, limit in capacities.items() if other != name}
    if name in problem.resources:
        cheap = _with_values(problem, tuple(Table(t.groups, -t.array) for t in problem.resources[name]))
        outcome = solve_exact(cheap, others)
        return None if outcome.widths is None else problem.cost(name, outcome.widths)
    plain = _with_values(problem, ())
    levels = np.unique(np.concatenate([t.array.ravel() for t in problem.peaks[name]]))
    if solve_exact(plain, others).widths is None:
        return None
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if solve_exact(plain, {**others, name: levels[middle].item()}).widths is None:
            low = middle + 1
        else:
            high = middle
    return levels[low].item()


def explain(problem: WidthProblem, capacities: Mapping[str, float]) -> InfeasibleError:
    """The error for an infeasible problem: the resource that cannot be met, and the smallest capacity that could be.

    First comes a resource that cannot be met even alone. If each could alone, it is the first one whose capacity would be
    enough to change, the others as given.

    Args:
        problem: the width problem.
        capacities: name -> limit, which no widths meet.
    """
    blamed = None
    for name, limit in capacities.items():
        alone = smallest_cost(problem, name, {})
        if alone is not None and alone > limit:
            blamed = name
            break
    for name in [blamed] if blamed is not None else list(capacities):
        smallest = smallest_cost(problem, name, capacities)
        if smallest is not None:
            others = " with the other capacities as given" if len(capacities) > 1 else ""
            return _error(name, capacities[name], smallest, others)
    name = blamed if blamed is not None else next(iter(capacities))
    kept: dict[str, float] = {}
    smallest = smallest_cost(problem, name, {})
    for other, limit in capacities.items():
        if other == name:
            continue
        trial = smallest_cost(problem, name, {**kept, other: limit})
        if trial is not None:
            kept[other], smallest = limit, trial
    assert smallest is not None
    kept_names = ", ".join(repr(k) for k in kept)
    return _error(name, capacities[name], smallest, f" with the capacities of {kept_names} as given" if kept else
                  " with the other resources unlimited", hint="More than one capacity has to grow.")  # fmt: skip


def _error(name: str, limit: float, smallest: int | float, others: str, hint: str = "") -> InfeasibleError:
    return InfeasibleError(
        f"no allowed widths meet the capacity of {name!r}", got=limit,
        allowed=f"{smallest} or more{others}", resource=name, smallest=smallest,
        hint=hint or "Raise the capacity, or allow smaller widths.",
    )  # fmt: skip


def _with_values(problem: WidthProblem, values: tuple[Table, ...]) -> WidthProblem:
    return WidthProblem(problem.groups, problem.widths, values, problem.resources, problem.peaks)
