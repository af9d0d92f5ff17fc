"""What dividing all widths promises of nested widths: the theorem of proofs/scaling.md for a problem at hand.

Multiply the widths x of an optimum by r and round down to allowed widths w. Sorted units lose the least valuable first, so
group l keeps at least ``w_l / x_l`` of what it kept. Where w is within a smaller capacity, the optimum there is worth no
less. The largest such r is searched with the problem's own cost tables, so pair terms, fixed ends, floors and steps count as
they are.

Proof: ``scale_floor``, ``scale_group`` and ``scale_top_down`` in proofs/coq/Scale.v. Tests: tests/property/test_promise.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Promise, Solution, Stages, ratio
from reds_jax.knapsack.table import TOLERANCE, exact_sum, table_scale
from reds_jax.knapsack.values import NO_GAMMA

ROUNDING = 1e-12
"""Averages of float tables may rise by this share from one width to the next, and losses are rounded by it."""


class Spread(NamedTuple):
    """Nested widths that grew from subnetwork ``start`` upwards and shrank from it downwards; 0 is bottom-up."""

    start: int
    stages: Stages


def promise(
    problem: WidthProblem, limits: Sequence[Mapping[str, float]], optima: Sequence[Solution], spreads: Sequence[Spread], *,
    order: str, proven: bool,
) -> Promise:
    """What the better of these nested choices is worth at least: see `Promise`.

    Subnetwork j at or above the start s of a spread contains the optimum at the capacities of s, which is worth no less than
    the optimum at the capacities of j divided until it fits there. Subnetwork i below s is the best part of subnetwork i + 1,
    and worth no less than that one divided.

    Args:
        problem: the width problem.
        limits: the capacities of each subnetwork, each at most those of the next where costs grow.
        optima: the separate optima.
        spreads: bottom-up and top-down, those that were found; one where ``order`` is not "joint".
        order: of the answer.
        proven: whether every stage was solved to a proven optimum.
    """
    if not proven:
        return Promise(None, None, None, "a stage was not solved to a proven optimum")
    if not spreads:
        return Promise(None, None, None, "neither bottom-up nor top-down found nested widths")
    groups = _groups(problem)
    if isinstance(groups, str):
        return Promise(None, None, None, groups)
    found = [_spread(problem, groups, limits, optima, spread) for spread in spreads]
    held = [one for one in found if not isinstance(one, str)]
    if not held:
        return Promise(None, None, None, next(one for one in found if isinstance(one, str)))
    values, scales = max(held, key=lambda one: _sum(one[0]))
    size, gamma = len(problem.groups), problem.gamma

    def certificate(value: Fraction | float, optimum: float, groups: int) -> float:
        nothing = gamma is not None and gamma < 0 and 1 - gamma * value / groups <= 0  # the mean of the shares
        return 0.0 if nothing else ratio(value, optimum, groups, gamma)

    bounds = [o.bound for o in optima]
    each = tuple(certificate(v, b, size) for v, b in zip(values, bounds, strict=True))
    whole = certificate(_sum(values), exact_sum(bounds), size * len(values))
    if whole != whole or any(c != c for c in each):  # nan
        return Promise(None, None, None, "an optimum is not worth more than nothing")
    return Promise(whole, None, None) if order == "joint" else Promise(whole, each, scales)


def divided(
    problem: WidthProblem, widths: Sequence[int], limits: Mapping[str, float]
) -> tuple[float, tuple[int, ...]] | None:
    """The largest r whose divided widths are within the limits, and these widths; None if even the smallest are not.

    ``w_l(r)`` is the largest allowed width up to ``r x_l``, or the smallest allowed one: it never falls below a floor. Only 0
    and the ratios of allowed widths to x_l are tried, since the widths are the same in between. Where a cost does not grow
    with the widths, a larger r may exist.

    >>> problem = WidthProblem.chain(scores=[[1] * 8, [1] * 8], pair_macs=[0, 1], unit_macs=[0, 0], min_width=[3, 1])
    >>> divided(problem, (8, 8), {"macs": 16}), divided(problem, (4, 8), {"macs": 8})
    ((0.5, (4, 4)), (0.25, (3, 2)))
    """
    allowed = [np.array(w)[: i + 1] for w, i in zip(problem.widths, problem.index(widths), strict=True)]
    shares = [a / a[-1] for a in allowed]
    steps = np.unique(np.concatenate([np.zeros(1), *shares]))

    def at(r: float) -> tuple[int, ...]:
        return tuple(int(a[max(int(np.searchsorted(s, r, side="right")) - 1, 0)]) for a, s in zip(allowed, shares, strict=True))

    def fits(r: float) -> bool:
        chosen = at(r)
        return all(problem.cost(name, chosen) <= limit for name, limit in limits.items())

    low, high = 0, len(steps)
    if not fits(steps[0]):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(steps[middle]) else (low, middle)
    return float(steps[low]), at(steps[low])


class _Group(NamedTuple):
    """The value of one group at each of its allowed widths, and the amplitude of its loss (0 where values add up)."""

    values: np.ndarray
    amplitude: float


def _groups(problem: WidthProblem) -> list[_Group] | str:
    """The value of each group, if the share of units bounds the share that is kept; else what stands in the way.

    ``v(w) >= q^-gamma v(x) - a (q^-gamma - 1) / gamma`` with q = w / x is what the share q of everything is worth: for the sum
    (gamma = -1, a = 0) the average value must not rise; for shares of importance it holds with a = 1, the amplitude of `ces`;
    a larger amplitude, as of learned values, is read off the table.
    """
    tables = [np.zeros(len(w), np.int64) for w in problem.widths]
    for table in problem.values:
        at = [int(g) for g in table.groups]
        if len(at) > 1:
            names = ", ".join(problem.groups[g] for g in at)
            return f"a value depends on the widths of several groups together ({names})"
        tables[at[0]] = tables[at[0]] + table.array
    found = []
    for name, widths, values in zip(problem.groups, problem.widths, tables, strict=True):
        n = np.array(widths, np.float64)
        if problem.gamma is None:
            if (at := _rise(widths, values)) is not None:
                return f"the average value of a unit of {name} rises up to width {widths[at]}: the units are not sorted"
            found.append(_Group(values, 0.0))
            continue
        q = n[:-1] / n[1:]
        kept = q**-problem.gamma * values[1:] - values[:-1]
        found.append(_Group(values, max(1.0, float((kept / _loss(q, problem.gamma)).max(initial=0.0)))))
    return found


def _rise(widths: Sequence[int], values: np.ndarray) -> int | None:
    """The first position whose average value is above that of a smaller width."""
    if values.dtype.kind == "i":
        pairs = list(zip(widths, values.tolist(), strict=True))
        return next((i for i, ((m, v), (n, u)) in enumerate(pairwise(pairs), 1) if u * m > v * n), None)
    averages = values / np.array(widths)
    least = np.minimum.accumulate(averages)
    above = averages[1:] > least[:-1] + ROUNDING * np.abs(least[:-1])
    return int(np.argmax(above)) + 1 if above.any() else None


def _loss(q: np.ndarray, gamma: float) -> np.ndarray:
    """(q^-gamma - 1) / gamma, -log q for gamma = 0."""
    return -np.log(q) if abs(gamma) < NO_GAMMA else np.expm1(-gamma * np.log(q)) / gamma


def _spread(
    problem: WidthProblem, groups: Sequence[_Group], limits: Sequence[Mapping[str, float]], optima: Sequence[Solution],
    spread: Spread,
) -> tuple[list[Fraction | float], tuple[float, ...]] | str:
    """The least value of each subnetwork, and what the widths were multiplied by; or why there is none."""
    values, scales = [], []
    for j in range(len(limits)):
        above = j < spread.start
        if j > spread.start and not _within(problem, spread.stages[j - 1], limits[j]):
            return f"subnetwork {j - 1} does not fit the capacities of subnetwork {j}"
        wide = spread.stages[j + 1] if above else optima[j].widths
        found = divided(problem, wide, limits[j if above else spread.start])
        if found is None:
            return f"the smallest widths do not fit the capacities of subnetwork {j if above else spread.start}"
        scales.append(found[0])
        values.append(_least(problem, groups, wide, found[1], len(limits)))
    return values, tuple(scales)


def _within(problem: WidthProblem, widths: Sequence[int], limits: Mapping[str, float]) -> bool:
    return all(problem.cost(name, widths) <= limit for name, limit in limits.items())


def _least(
    problem: WidthProblem, groups: Sequence[_Group], wide: Sequence[int], narrow: Sequence[int], stages: int
) -> Fraction | float:
    """What the narrow widths are worth at least, from the wide ones and the shares of units alone."""
    at = problem.index(wide)
    if problem.gamma is None:
        parts = [Fraction(w, x) * g.values[i].item() for g, i, w, x in zip(groups, at, narrow, wide, strict=True)]
        total = _sum(parts)
    else:
        q = np.array(narrow) / np.array(wide)
        kept = np.array([g.values[i] for g, i in zip(groups, at, strict=True)])
        total = float(np.sum(q**-problem.gamma * kept - np.array([g.amplitude for g in groups]) * _loss(q, problem.gamma)))
    if problem.gamma is None and all(t.whole for t in problem.values):
        return total
    scale = table_scale([g.values for g in groups])  # floats are optimal up to TOLERANCE of it in every stage
    return float(total) - 2 * (stages + 2) * TOLERANCE * scale - ROUNDING * abs(float(total))


def _sum(numbers: Sequence[Fraction | float]) -> Fraction | float:
    if any(isinstance(n, float) for n in numbers):
        return math.fsum(numbers)
    return sum([Fraction(n) for n in numbers], Fraction(0))
