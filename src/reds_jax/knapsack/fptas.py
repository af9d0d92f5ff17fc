"""A fully polynomial approximation scheme for one resource: values are rounded to a unit, so that few labels stay at a state.

1. The values are counted in a unit, rounded down, and that problem is solved exactly. At a state at most one label stays for
   each rounded value. Each of the T value tables loses less than one unit, so the best rounded choice is at most T units from
   the best, and no choice is worth more than that: a bound.
2. If the bound proves the share that was asked for, this is the answer; else again, with a smaller unit.

Source: Ibarra and Kim 1975 for the knapsack, Hassin 1992 for paths; here the loop ends by its own bound, so it needs no
estimate of the optimum before. Proofs, and how much work it is: ``proofs/complexity.md``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from reds_jax.checks import number
from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.exact.solver import solve_dense
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Outcome
from reds_jax.knapsack.table import Table, exact_sum

LEAST_EPSILON = 1e-9
"""A smaller epsilon is refused: the rounded values would need as many digits as the values have."""


def solve_fptas(
    problem: WidthProblem, capacities: Mapping[str, float], epsilon: float | None, *, time_limit: float | None = None
) -> Outcome:
    """Widths whose value is at least ``OPT - epsilon |OPT|``, in time polynomial in the arcs and in 1 / epsilon.

    Gains, no entry of a value table below 0 (sums of scores): value >= (1 - epsilon) OPT. Losses, no entry above 0 (``ces``,
    ``log_retention``): the loss -value is at most 1 + epsilon times the least. Integers are compared exactly, floats up to the
    rounding of their sum.

    Args:
        problem: the width problem; any layered graph with at most ``layered.MAX_ARCS`` arcs in a layer.
        capacities: name -> limit: of one resource, and of any number of peaks.
        epsilon: from ``LEAST_EPSILON`` to 1.
        time_limit: seconds after which the best widths so far are returned, with a bound that may prove less.

    Raises:
        InvalidArgumentError: for an epsilon out of range, several limited resources, values of both signs, or too many arcs.
    """
    share = Fraction(number("epsilon", epsilon, LEAST_EPSILON, 1))
    gains = _gains(problem, capacities)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    tables = [t.array for t in problem.values]
    whole = all(t.whole for t in problem.values)
    least = min((abs(a[a != 0]).min().item() for a in tables if a.any()), default=math.inf)
    value, bound = (exact_sum(end(a).item() for a in tables) for end in (np.min, np.max))
    widths, power = None, math.inf
    while True:
        largest = bound if gains else -value  # no less than |OPT|
        unit = _power_below(share * Fraction(largest) / len(tables)) if largest else 0
        power = int(min(unit, power - 1))
        power = max(power, 0) if whole else power
        left = None if deadline is None else max(deadline - time.monotonic(), 1e-3)
        found = solve_dense(rounded(problem, power, largest), capacities, time_limit=left)
        if found.widths is None and found.proven:
            return found
        if found.widths is not None and (widths is None or problem.evaluate(found.widths) > value):
            widths, value = found.widths, problem.evaluate(found.widths)
        if found.bound is not None:
            bound = min(bound, upper_bound(int(found.bound), power, len(tables), whole=whole))
        if gains and bound < least:  # no gain lies between 0 and the least entry
            bound = 0
        if not found.proven or (widths is not None and proves(value, bound, share)):
            return Outcome(widths, bound, widths is not None and bound <= value)


def proves(value: float, bound: float, share: Fraction) -> bool:
    """Whether ``value >= bound - share |bound|``, so that it is as near to an optimum, which is at most the bound; exactly."""
    return Fraction(value) >= Fraction(bound) - share * abs(Fraction(bound))


def rounded(problem: WidthProblem, power: int, largest: float) -> WidthProblem:
    """The problem with every value counted in units of 2^power, rounded down.

    Args:
        problem: the width problem, its values gains or losses.
        power: of the unit, which makes rounding exact: a shift of integers, a change of exponent of floats.
        largest: no feasible widths are worth more, or (losses) some feasible widths lose no more. Entries beyond are part of no
            optimum; they are cut to the next integer that is not, so that all stay small.
    """
    most = math.floor(Fraction(largest) / Fraction(2) ** power) + len(problem.values) + 1
    whole = all(t.whole for t in problem.values)

    def of(table: Table) -> Table:
        if whole:
            return Table(table.groups, np.clip(table.array >> min(power, 63), -most, most))
        with np.errstate(over="ignore", under="ignore"):
            counted = np.floor(np.ldexp(table.array.astype(np.float64), -power))
        return Table(table.groups, np.clip(counted, -most, most).astype(np.int64))

    values = tuple(of(t) for t in problem.values)
    return WidthProblem(problem.groups, problem.widths, values, problem.resources, problem.peaks)


def upper_bound(best: int, power: int, tables: int, *, whole: bool) -> int | float:
    """What no choice is worth more than: the best rounded value in units, and what rounding takes from each table at most.

    Integers lose at most one less than a unit, so with a unit of 1 nothing is lost.
    """
    if whole:
        return (best << power) + tables * ((1 << power) - 1)
    return math.nextafter(math.ldexp(best + tables, power), math.inf)


def _power_below(number: Fraction) -> int:
    """The largest k with 2^k <= number."""
    k = number.numerator.bit_length() - number.denominator.bit_length()
    return k if Fraction(2) ** k <= number else k - 1


def _gains(problem: WidthProblem, capacities: Mapping[str, float]) -> bool:
    """Whether the values are gains, not losses; an error if they are neither, or several resources are limited."""
    limited = [name for name in capacities if name in problem.resources and not math.isinf(capacities[name])]
    if len(limited) > 1:
        raise InvalidArgumentError(
            "the approximation scheme takes one limited resource", got=limited, allowed="one resource, and any peaks",
            hint='For several there is no such scheme unless P = NP; use method="exact".',
        )  # fmt: skip
    low = min((t.array.min().item() for t in problem.values), default=0)
    high = max((t.array.max().item() for t in problem.values), default=0)
    if low < 0 < high:
        raise InvalidArgumentError(
            "a share of the optimum has no meaning where values of both signs may cancel", got=(low, high),
            allowed="no value below 0, or none above 0", hint='Use method="exact".',
        )  # fmt: skip
    return low >= 0
