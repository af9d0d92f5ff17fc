"""A width solver of yours under test: its widths are allowed, nested and affordable, and as good as it promises.

What is best is found by enumeration, so the problems must be small; integers are compared exactly, floats up to rounding.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, get_args

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import NestedSolution, WidthProblem, solve
from reds_jax.knapsack.brute import brute_nested
from reds_jax.knapsack.capacities import Limit, sorted_capacities
from reds_jax.knapsack.solution import Stages, ratio
from reds_jax.knapsack.table import TOLERANCE, Table, exact_sum, table_scale
from reds_jax.optional import needs
from reds_jax.testing.solver_runs import Settings, settings_for, try_solver
from reds_jax.testing.width_strategies import WidthCase, width_cases

with needs("hypothesis", "a strategy"):
    from hypothesis import strategies as st

WidthPromise = Literal["feasible", "bottom_up", "top_down", "joint"]
Capacities = tuple[dict[str, Any], ...]
WidthSolver = Callable[[WidthProblem, Capacities], "NestedSolution | Iterable[Iterable[int]]"]
Guarantee = Callable[[WidthProblem, Capacities], Sequence[float | Fraction]]

ROUNDING = 1e-11
"""Float values may differ by this fraction of the ``table_scale`` of their tables."""


def assert_width_solver(
    solver: WidthSolver,
    *,
    promise: WidthPromise = "joint",
    guarantee: Guarantee | None = None,
    stages: int = 2,
    cases: st.SearchStrategy[WidthCase] | None = None,
    max_examples: int | None = None,
    settings: Settings | None = None,
) -> None:
    """Puts a solver for nested widths under test, on small random and near-tight problems.

    Its widths n^1, ..., n^N must be allowed (every group at one of its widths), nested (n^1 <= ... <= n^N in every group),
    within the capacities of their stage, and keep the promise.

    Args:
        solver: called with a ``WidthProblem`` and its capacities, one dict for each subnetwork, ascending; returns for each of
            them one width per group, or a ``NestedSolution``.
        promise: "joint": no nested choice has a larger total value, for one stage the optimum; "bottom_up": each stage is the
            best that contains the stage before; "top_down": each is the best inside the stage after; "feasible": nothing more.
        guarantee: from the problem and the capacities the least share of its separate optimum that each stage keeps, such as
            ``bilinear_ratios``; a share of values with a gamma is that of ``NestedSolution.certificates``.
        stages: the number of subnetworks.
        cases: a strategy of your own for ``WidthCase``; default ``width_cases(stages=stages)``.
        max_examples: how many are tried; default that of the settings.
        settings: of hypothesis; default the profile in force, with its deadline, database and seed.

    Raises:
        AssertionError: with the smallest problem that was found on which the solver raises, returns no widths, or breaks
            what it promises.
        InvalidArgumentError: for an unknown promise.

    >>> from reds_jax.knapsack import solve_nested
    >>> assert_width_solver(lambda problem, limits: solve_nested(problem, limits, order="bottom_up"), promise="bottom_up",
    ...                     max_examples=10)
    """
    _check_promise(promise)

    def check(answer: Any, case: WidthCase) -> None:
        check_nested_widths(answer, *case, promise=promise, guarantee=guarantee)

    drawn = width_cases(stages=stages) if cases is None else cases
    try_solver(solver, drawn, check, lambda case: _where(*case), settings_for(settings, max_examples))


def check_nested_widths(
    answer: NestedSolution | Iterable[Iterable[int]],
    problem: WidthProblem,
    capacities: Sequence[Mapping[str, Limit]],
    *,
    promise: WidthPromise = "joint",
    guarantee: Guarantee | None = None,
) -> tuple[int | float, ...]:
    """The same for one answer.

    Args:
        answer: for each subnetwork, from the smallest to the largest, one width per group; or a ``NestedSolution``.
        problem: the width problem.
        capacities: one mapping for each subnetwork, ascending.
        promise, guarantee: see `assert_width_solver`.

    Returns:
        the value of each stage.

    Raises:
        AssertionError: if the answer is none, or breaks the promise; it names the problem and the capacities.
        InvalidArgumentError: for an unknown promise, capacities that are not ascending, or a problem that is too large to be
            enumerated.
    """
    _check_promise(promise)
    limits: Capacities = tuple(dict(limit) for limit in capacities)
    if sorted_capacities(problem, limits) != list(limits):
        raise InvalidArgumentError("the capacities are not ascending", got=limits, allowed="the smallest subnetwork first")
    where = _where(problem, limits)
    widths = _widths(answer, problem, limits, where)
    slack = _slack(problem.values, ROUNDING)
    _check_feasible(widths, problem, limits, where)
    values = tuple(problem.evaluate(w) for w in widths)
    shown = f"{where}: the widths {widths} are worth {values}"
    if promise in ("bottom_up", "top_down"):
        for i, value in enumerate(values):
            best = _best_beside(i, widths, problem, limits, promise)
            missed = f"stage {i} misses {best - value} of its optimum {best} in the order {promise}"
            assert value >= best - slack, f"{missed} {shown}"
    elif promise == "joint":
        best = brute_nested(problem, limits)
        total = exact_sum(values)
        assert best is not None
        assert total >= best - slack * len(values), f"the total {total} is no joint optimum, which is {best} {shown}"
    if guarantee is not None:
        promised = tuple(guarantee(problem, limits))
        for i, (value, limit, least) in enumerate(zip(values, limits, promised, strict=True)):
            best = solve(problem, limit, method="brute").value
            kept = _keeps(value, best, least, problem, slack)
            assert kept, f"stage {i} keeps less than {least} of its separate optimum {best} {shown}"
    return values


def _check_promise(promise: str) -> None:
    if promise not in get_args(WidthPromise):
        raise InvalidArgumentError("unknown promise", got=promise, allowed=str(get_args(WidthPromise)))


def _widths(answer: Any, problem: WidthProblem, limits: Capacities, where: str) -> Stages:
    """The answer as tuples of integers, one width per group and stage."""
    try:
        found = answer.widths if isinstance(answer, NestedSolution) else answer
        widths = tuple(tuple(stage) for stage in found)
    except Exception as error:
        raise AssertionError(f"the answer {answer!r} is no sequence of widths {where}") from error
    if len(widths) != len(limits):
        raise AssertionError(f"there are widths for {len(widths)} subnetworks, not for {len(limits)}: {widths} {where}")
    for i, stage in enumerate(widths):
        if not all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in stage):
            raise AssertionError(f"the widths of stage {i} are not integers: {stage} {where}")
        try:
            problem.index(stage)
        except InvalidArgumentError as error:
            raise AssertionError(f"stage {i}: {error} {where}") from error
    return tuple(tuple(int(n) for n in stage) for stage in widths)


def _check_feasible(widths: Stages, problem: WidthProblem, limits: Capacities, where: str) -> None:
    """Nested, and within the capacities: exactly for integers."""
    for i, (inner, outer) in enumerate(pairwise(widths)):
        for group, a, b in zip(problem.groups, inner, outer, strict=True):
            assert a <= b, f"group {group!r} shrinks from {a} in stage {i} to {b} in stage {i + 1}: {widths} {where}"
    for i, (stage, limit) in enumerate(zip(widths, limits, strict=True)):
        for name, most in limit.items():
            cost = problem.cost(name, stage)
            slack = _slack(problem.resources.get(name, ()), TOLERANCE)
            assert cost <= most + slack, f"stage {i} costs {cost} of {name!r}, more than {most}: {stage} {where}"


def _best_beside(i: int, widths: Stages, problem: WidthProblem, limits: Capacities, order: str) -> int | float:
    """The best value of stage i beside the stage that is solved before it."""
    lower = widths[i - 1] if order == "bottom_up" and i else None
    upper = widths[i + 1] if order == "top_down" and i + 1 < len(widths) else None
    return solve(problem.restrict(lower=lower, upper=upper), limits[i], method="brute").value


def _keeps(value: int | float, best: int | float, least: float | Fraction, problem: WidthProblem, slack: float) -> bool:
    """Whether a stage keeps a share of its optimum: exactly for integers, by the shares retained for values with a gamma."""
    if problem.gamma is not None:
        return ratio(value, best, len(problem.groups), problem.gamma) >= float(least) - 1e-9
    return Fraction(value) + Fraction(slack) >= Fraction(least) * Fraction(best)


def _slack(tables: Sequence[Table], rounding: float) -> float | int:
    """What rounding may do to a sum over tables: nothing for integers."""
    return 0 if all(t.whole for t in tables) else rounding * table_scale([t.array for t in tables])


def _where(problem: WidthProblem, capacities: Capacities) -> str:
    """The case as Python would build it again."""

    def tables(several: Iterable[Table]) -> str:
        return "(" + "".join(f"Table({t.groups}, {t.array.tolist()}), " for t in several) + ")"

    def named(costs: Mapping[str, tuple[Table, ...]]) -> str:
        return "{" + ", ".join(f"{name!r}: {tables(several)}" for name, several in costs.items()) + "}"

    return (f"on WidthProblem({problem.groups}, {problem.widths}, {tables(problem.values)}, {named(problem.resources)}, "
            f"{named(problem.peaks)}, {problem.gamma}), capacities {list(capacities)}")
