"""The worst cases: families of instances that come as close to the bounds as one likes.

Each is a handful of regular items that fill the largest capacity, and a few others that lure a greedy stage. A profit of
P + 1 against P makes the choice strict, whatever the solver does with ties, and costs 1/P of sharpness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory import bounds
from reds_jax.theory.items import Instance, Number, check_capacities, check_integer
from reds_jax.theory.quadratic import Quadratic

Theorem = Literal["T1", "T2", "T3", "T4", "T5", "T6", "T7"]


@dataclass(frozen=True)
class Tight:
    """A worst-case instance.

    Attributes:
        instance: the items.
        capacities: c_1 < ... < c_N.
        bound: the ratio that the theorem guarantees.
        ratio: the ratio that is reached here, at least the bound.
    """

    instance: Instance
    capacities: tuple[Number, ...]
    bound: Fraction | Quadratic
    ratio: Fraction


def tight_instance(
    theorem: Theorem,
    *,
    capacities: Iterable[Number] | None = None,
    stages: int | None = None,
    granularity: int | None = None,
    profit: int = 1000,
    approximate: Number | None = None,
    order: Literal["bottom_up", "top_down"] | None = None,
) -> Tight:
    """An instance on which a guarantee of ``bounds.py`` is (nearly) used up.

    ======= ================================================= ==================== =============================
    theorem ratio                                             parameters           reached here
    ======= ================================================= ==================== =============================
    T1      p(A_2) / OPT(c_2)                                 capacities           k/(k+1) + 1/((k+1) P)
    T2      p(D_1) / OPT(c_1)                                 capacities           1/2 + 1/(2P)
    T3      p(A_j) / OPT(c_j), c_i = i d                      stages, granularity  aj/(aj+j-1) + O(1/P)
    T4      as T1, stages solved to (1 - e), worst            capacities, e        (1-e) k/(k+1)
    T4      as T2, stages solved to (1 - e), worst            capacities, e, order (1-e)^2 / (2 + (k-2)e), not the bound
    T5      p(D_1) / OPT(c_1)                                 stages               1/N + 1/(N P)
    T6      best total of a nested pair / sum of the optima   capacities           (2k+4)/(2k+5)
    T7      max(p(D_1) / OPT(c_1), p(A_2) / OPT(c_2))         capacities           rho_k + O(1/P)
    ======= ================================================= ==================== =============================

    Args:
        theorem: "T1" to "T7".
        capacities: c_1 < c_2, default (3, 6); T3 and T5 have their own.
        stages: N, default 2 (T3 and T5 only).
        granularity: a, default 1 (T3 only).
        profit: P, at least 2.
        approximate: e, default 1/10 (T4 only); the worst case needs ties="adversarial".
        order: default "bottom_up" (T4 only).

    Raises:
        InvalidArgumentError: for an unknown theorem, or parameters that it does not have.

    Tests: tests/property/test_bounds_are_sharp.py.

    >>> tight = tight_instance("T1", profit=100)
    >>> tight.instance.weights, tight.instance.profits, str(tight.ratio)
    ((3, 2, 2, 2), (101, 100, 100, 100), '67/100')
    """
    families = {"T1": _t1, "T2": _t2, "T3": _t3, "T4": _t4, "T5": _t5, "T6": _t6, "T7": _t7}
    if theorem not in families:
        raise InvalidArgumentError("unknown theorem", got=theorem, allowed="'T1' to 'T7'")
    several = theorem in ("T3", "T5")
    _check_unused(
        theorem,
        capacities=capacities if several else None,
        stages=None if several else stages,
        granularity=None if theorem == "T3" else granularity,
        approximate=None if theorem == "T4" else approximate,
        order=None if theorem == "T4" else order,
    )
    check_integer("profit", profit, 2)
    if several:
        check_integer("stages", stages or 2, 2)
        check_integer("granularity", granularity or 1, 1)
        return _t3(stages or 2, granularity or 1, profit) if theorem == "T3" else _t5(stages or 2, profit)
    limits = check_capacities((3, 6) if capacities is None else capacities, 2)
    if theorem == "T4":
        if order not in (None, "bottom_up", "top_down"):
            raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
        error = bounds.check_error(Fraction(1, 10) if approximate is None else approximate)
        return (_t4_top_down if order == "top_down" else _t4)(limits, profit, error)
    family: Callable[[tuple[Number, ...], int], Tight] = families[theorem]  # type: ignore[assignment]
    return family(limits, profit)


def _t1(limits: tuple[Number, ...], p: int) -> Tight:
    """k + 1 regular items fill c_2; the blocker fills c_1 and leaves room for k - 1 of them."""
    k, regular = _regular(limits)
    instance = Instance.of((limits[0], p + 1), *[(regular, p)] * (k + 1))
    return Tight(instance, limits, bounds.bottom_up_ratio(limits), Fraction(k * p + 1, (k + 1) * p))


def _t2(limits: tuple[Number, ...], p: int) -> Tight:
    """k + 1 regular items fill c_2, and only one of them fits c_1, where an item of twice the profit would."""
    k, regular = _regular(limits)
    instance = Instance.of((limits[0], 2 * p), *[(regular, p + 1)] * (k + 1))
    return Tight(instance, limits, bounds.top_down_ratio(limits), Fraction(p + 1, 2 * p))


def _t3(stages: int, a: int, p: int) -> Tight:
    """In every stage but the last, a blockers fill the increment exactly, where a regular items would leave some of it."""
    many = (a + 1) * stages - 1
    limits = tuple(a * many * (i + 1) for i in range(stages))
    instance = Instance.of(*[(many, p + 1)] * (a * (stages - 1)), *[(a * stages, p)] * many)
    reached = Fraction(a * (stages - 1) * (p + 1) + a * p, many * p)
    return Tight(instance, limits, bounds.granular_ratios(limits, instance=instance)[-1], reached)


def _t4(limits: tuple[Number, ...], p: int, error: Fraction) -> Tight:
    """T1 with a blocker worth (1 - e) P, and k - 1 items as heavy as the regular ones that are worth (1 - e) P."""
    k, regular = _regular(limits)
    worse = (1 - error) * p
    instance = Instance.of((limits[0], worse), *[(regular, p)] * (k + 1), *[(regular, worse)] * (k - 1))
    bound = bounds.bottom_up_ratio(limits, approximate=error)
    return Tight(instance, limits, bound, bound)


def _t4_top_down(limits: tuple[Number, ...], p: int, error: Fraction) -> Tight:
    """T2 with regular items worth so little that all of them are just within the error, and one of them worth (1 - e) of it."""
    k, regular = _regular(limits)
    worth = 2 * p * (1 - error) / (2 + (k - 2) * error)
    instance = Instance.of((limits[0], 2 * p), *[(regular, worth)] * k, (regular, (1 - error) * worth))
    bound = bounds.top_down_ratio(limits, approximate=error)
    return Tight(instance, limits, bound, (1 - error) * worth / (2 * p))


def _t5(stages: int, p: int) -> Tight:
    """Every stage drops one light item worth P, the last one of two heavy ones; OPT(c_1) has all the light ones and 2P."""
    n = stages
    limits = (2 * n, *(2 * n + 2 + i for i in range(n - 1)))
    instance = Instance.of((n + 2, 2 * p), *[(1, p)] * (n - 2), *[(n + 1, p + 1)] * 2)
    return Tight(instance, limits, bounds.top_down_ratios(limits)[0], Fraction(p + 1, n * p))


def _t6(limits: tuple[Number, ...], p: int) -> Tight:
    """k + 1 regular items worth 2P fill c_2; one worth P fits c_1 beside one of them, and in c_2 only instead of one."""
    k, regular = _regular(limits)
    instance = Instance.of((limits[0] - regular, p), *[(regular, 2 * p)] * (k + 1))
    bound = bounds.nesting_ratio(limits)
    return Tight(instance, limits, bound, bound)


def _t7(limits: tuple[Number, ...], p: int) -> Tight:
    """T6 with the small item worth t P, t = (sqrt(k^2 + 2k + 5) - (k + 1)) / 2: both orders lose the same share."""
    k, regular = _regular(limits)
    near = (math.isqrt((k * k + 2 * k + 5) * p * p) - (k + 1) * p) // 2

    def reached(small: int) -> Fraction:
        return max(Fraction(p, p + small), Fraction(k * p + small, (k + 1) * p))

    small = min((near, near + 1), key=reached)
    instance = Instance.of((limits[0] - regular, small), *[(regular, p)] * (k + 1))
    return Tight(instance, limits, bounds.min_ratio(limits), reached(small))


def _regular(limits: tuple[Number, ...]) -> tuple[int, Number]:
    """k, and the weight of k + 1 items that fill c_2; less than c_1, and two of them are heavier than c_1."""
    k = bounds.stages_inside(limits)
    return k, Fraction(limits[1]) / (k + 1)


def _check_unused(theorem: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise InvalidArgumentError(f"the family of {theorem} has no parameter {name}", got=value, hint="Leave it out.")
