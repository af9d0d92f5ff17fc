"""One entrance for every method."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.brute import solve_brute
from reds_jax.knapsack.capacities import Limit, check_capacities
from reds_jax.knapsack.exact import explain, solve_exact
from reds_jax.knapsack.fptas import solve_fptas
from reds_jax.knapsack.milp import solve_milp
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Method, Outcome, Solution


def solve(
    problem: WidthProblem,
    capacities: Mapping[str, Limit],
    *,
    method: Method = "exact",
    epsilon: float | None = None,
    time_limit: float | None = None,
    constraints: Callable[[dict[str, Any], Any], list[Any]] | None = None,
) -> Solution:
    """The widths of largest value within the capacities.

    maximise sum_t value_t(n)  subject to  cost_r(n) <= capacities[r] for every resource r that has a capacity

    Args:
        problem: the width problem.
        capacities: name of a resource or peak -> its limit, in the unit of its tables; what is left out is unlimited but
            still reported in ``costs``.
        method: "exact" (bounded label setting, NumPy alone), "fptas" (the same with a promise of ``epsilon`` and polynomial
            time: one resource), "milp" (cvxpy with HiGHS; takes extra constraints), or "brute" (enumeration, for tests).
        epsilon: of "fptas" alone, from 1e-9 to 1: ``value >= OPT - epsilon |OPT|``; so where values are losses (``ces``,
            logarithms) at most 1 + epsilon times the least is lost.
        time_limit: seconds after which the best widths so far are returned with a bound, not proven; not for "brute".
        constraints: only with "milp": receives a dict group name -> cvxpy expression of its width, and the expression of the
            value; returns a list of cvxpy constraints, linear in these.

    With "exact" groups of thousands of widths are narrowed first, with the same proof. Only where very many choices are nearly
    as good as the best, as with the plain sum over nearly equal scores, may memory end before: then the widths are the best
    found, ``proven_optimal`` is False, and ``bound`` says what a better choice could be worth at most.

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
    if method not in ("exact", "fptas", "milp", "brute"):
        raise InvalidArgumentError("unknown method", got=method, allowed="'exact', 'fptas', 'milp' or 'brute'")
    if (epsilon is None) == (method == "fptas"):
        raise InvalidArgumentError(
            "epsilon belongs to the approximation scheme, which needs it", got=(method, epsilon),
            allowed='method="fptas" with epsilon from 1e-9 to 1, or neither',
        )  # fmt: skip
    if constraints is not None and method != "milp":
        raise InvalidArgumentError("extra constraints need the MILP", got=method, allowed='method="milp"')
    if time_limit is not None and (method == "brute" or isinstance(time_limit, bool) or not time_limit > 0):
        raise InvalidArgumentError(
            "the time limit is not a positive number of seconds for a method that takes one",
            got=(method, time_limit), allowed='seconds > 0, with method="exact", "fptas" or "milp"',
        )  # fmt: skip
    if method == "exact":
        outcome = solve_exact(problem, limits, time_limit=time_limit)
    elif method == "fptas":
        outcome = solve_fptas(problem, limits, epsilon, time_limit=time_limit)
    elif method == "milp":
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
