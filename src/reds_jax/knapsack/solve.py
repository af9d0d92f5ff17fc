"""One entrance for every method, and the answer with what is known about it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.brute import solve_brute
from reds_jax.knapsack.exact import Outcome, solve_exact
from reds_jax.knapsack.feasible import explain
from reds_jax.knapsack.problem import WidthProblem, unknown_resource

Method = Literal["exact", "milp", "brute"]


@dataclass(frozen=True)
class Solution:
    """Chosen widths and what is known about them.

    Attributes:
        widths: one for each group.
        value: re-evaluated from the tables; an integer if they hold integers.
        costs: the cost of every resource and peak, limited or not, re-evaluated from the tables.
        bound: no choice of widths within the capacities has a larger value. Equal to ``value`` when that is proven optimal
            and the values are integers; for floats it exceeds it by the rounding allowed for (about 1e-12 of their sum).
        proven_optimal: the value is the optimum (for floats: within that rounding).
        seconds: wall time.
        method: "exact", "milp" or "brute".
    """

    widths: tuple[int, ...]
    value: int | float
    costs: dict[str, int | float] = field(hash=False)
    bound: int | float
    proven_optimal: bool
    seconds: float = field(compare=False)
    method: Method


def check_capacities(problem: WidthProblem, capacities: Mapping[str, float]) -> dict[str, float]:
    """The capacities as Python numbers, in the order of the problem's resources and peaks.

    Raises:
        InvalidArgumentError: if it is no mapping, names an unknown resource, or holds something that is not a number.
    """
    if not isinstance(capacities, Mapping):
        known = ", ".join(repr(n) for n in (*problem.resources, *problem.peaks))
        raise InvalidArgumentError(
            "capacities must map the name of a resource to its limit", got=capacities, allowed=f"names: {known}"
        )
    for name, limit in capacities.items():
        if name not in problem.resources and name not in problem.peaks:
            raise unknown_resource(problem, name)
        number = isinstance(limit, (int, float, np.integer, np.floating)) and not isinstance(limit, bool)
        if not number or math.isnan(limit):
            raise InvalidArgumentError(f"the capacity of {name!r} is not a number", got=limit, allowed="a number")
    given = {name: capacities[name] for name in (*problem.resources, *problem.peaks) if name in capacities}
    if not given and (problem.resources or problem.peaks):
        known = ", ".join(repr(n) for n in (*problem.resources, *problem.peaks))
        raise InvalidArgumentError(
            "no capacity is given", got=dict(capacities), allowed=f"a limit for at least one of {known}",
            hint="Give math.inf to leave a resource unlimited.",
        )  # fmt: skip
    return {name: v.item() if isinstance(v, (np.integer, np.floating)) else v for name, v in given.items()}


def solve(
    problem: WidthProblem,
    capacities: Mapping[str, float],
    *,
    method: Method = "exact",
    time_limit: float | None = None,
    constraints: Callable[[dict[str, Any], Any], list[Any]] | None = None,
) -> Solution:
    """The widths of largest value within the capacities.

    maximise sum_t value_t(n)  subject to  cost_r(n) <= capacities[r] for every resource r that has a capacity

    Args:
        problem: the width problem.
        capacities: name of a resource or peak -> its limit, in the unit of its tables; what is left out is unlimited but
            still reported in ``costs``.
        method: "exact" (bounded label setting, NumPy alone), "milp" (cvxpy with HiGHS; takes extra constraints), or
            "brute" (enumeration, for tests).
        time_limit: seconds after which the best widths so far are returned with a bound, not proven; not for "brute".
        constraints: only with "milp": receives a dict group name -> cvxpy expression of its width, and the expression of the
            value; returns a list of cvxpy constraints, linear in these.

    Raises:
        InfeasibleError: no widths meet the capacities; it names the resource and the smallest capacity that could be met.
        InvalidArgumentError: for unknown names, wrong types, or a problem that is too large for the method.
        TimeoutError: the time limit passed before any widths were found.

    Source: bounded label setting for the resource-constrained path; the problem is that of the paper, with true costs.

    >>> problem = WidthProblem.chain(scores=[[3, 2, 1], [9, 5]], pair_macs=[1, 2], unit_macs=[0, 1])
    >>> answer = solve(problem, {"macs": 9})
    >>> answer.widths, answer.value, answer.costs["macs"], answer.bound, answer.proven_optimal
    ((1, 2), 17, 7, 17, True)
    """
    started = time.perf_counter()
    limits = check_capacities(problem, capacities)
    if method not in ("exact", "milp", "brute"):
        raise InvalidArgumentError("unknown method", got=method, allowed="'exact', 'milp' or 'brute'")
    if constraints is not None and method != "milp":
        raise InvalidArgumentError("extra constraints need the MILP", got=method, allowed='method="milp"')
    if time_limit is not None and (method == "brute" or isinstance(time_limit, bool) or not time_limit > 0):
        raise InvalidArgumentError(
            "the time limit is not a positive number of seconds for a method that takes one",
            got=(method, time_limit), allowed='seconds > 0, with method="exact" or "milp"',
        )  # fmt: skip
    if method == "exact":
        outcome = solve_exact(problem, limits, time_limit=time_limit)
    elif method == "milp":
        from reds_jax.knapsack.milp import solve_milp

        outcome = solve_milp(problem, limits, time_limit=time_limit, constraints=constraints)
    else:
        widths = solve_brute(problem, limits)
        outcome = Outcome(widths, None if widths is None else problem.evaluate(widths), True)
    if outcome.widths is None:
        if outcome.proven and constraints is None:
            raise explain(problem, limits)
        raise TimeoutError(f"no widths were found within {time_limit} s; give more time, or larger capacities")
    value = problem.evaluate(outcome.widths)
    bound = value if outcome.bound is None else max(outcome.bound, value)
    return Solution(
        outcome.widths, value, problem.costs(outcome.widths), bound, outcome.proven,
        time.perf_counter() - started, method,
    )  # fmt: skip
