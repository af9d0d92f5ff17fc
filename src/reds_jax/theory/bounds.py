"""What nested chains are guaranteed to be worth, as exact numbers.

Notation: ``chains.py``. Every theorem assumes that every weight is at most c_1; given the instance, the functions check
it. k = floor(c_2 / c_1). T1 for c_2 = 2 c_1 and T2 are the paper's (appendix, arXiv 2311.13349); the rest is derived here.
Tests: tests/property/test_nested_knapsack.py (each bound holds) and test_bounds_are_sharp.py (no larger one does).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.items import Instance, Number, check_capacities, exact_number
from reds_jax.theory.quadratic import Quadratic


def bottom_up_ratio(capacities: Iterable[Number], *, instance: Instance | None = None, approximate: Number = 0) -> Fraction:
    """T1: two stages bottom-up keep p(A_2) >= k / (k + 1) OPT(c_2), k = floor(c_2 / c_1). Tight for all c_1 < c_2.

    2/3 at c_1 = c_2 / 2, and 1/2 between: it does not grow with c_1.

    Args:
        capacities: c_1 < c_2.
        instance: if given, the assumption (every weight <= c_1) is checked.
        approximate: T4: stages solved to (1 - e) keep (1 - e) k / (k + 1). Tight as well.

    Raises:
        InvalidArgumentError: if the assumption does not hold, or for wrong arguments.

    Source: the paper, appendix (arXiv 2311.13349), for c_2 = 2 c_1 and e = 0; else derived here. Tests: test_t1, test_t4.

    >>> bottom_up_ratio((3, 6)), bottom_up_ratio((4, 6)), bottom_up_ratio((3, 6), approximate=Fraction(1, 10))
    (Fraction(2, 3), Fraction(1, 2), Fraction(3, 5))
    """
    k = stages_inside(_check(capacities, instance, stages=2))
    return (1 - check_error(approximate)) * Fraction(k, k + 1)


def top_down_ratio(capacities: Iterable[Number], *, instance: Instance | None = None, approximate: Number = 0) -> Fraction:
    """T2: two stages top-down keep p(D_1) >= 1/2 OPT(c_1). Tight for all c_1 < c_2.

    With stages solved to (1 - e), T4: (1 - e)^2 / (2 (1 - e) + M e), M = 2 ceil(c_2 / c_1) - 1; not known to be tight. It is at
    least (1 - e) (1 - M e) / 2 for every e in [0, 1) and M >= 1, as M e (e (M - 2) + 1) >= 0.

    Arguments and errors are those of ``bottom_up_ratio``.

    Source: the paper, appendix (arXiv 2311.13349), for c_2 = 2 c_1 and e = 0; else derived here. Tests: test_t2, test_t4.

    >>> top_down_ratio((3, 6)), top_down_ratio((3, 6), approximate=Fraction(1, 10))
    (Fraction(1, 2), Fraction(27, 70))
    """
    c1, c2 = _check(capacities, instance, stages=2)
    error = check_error(approximate)
    return (1 - error) ** 2 / (2 * (1 - error) + pieces(c1, c2) * error)


def granular_ratios(
    capacities: Iterable[Number],
    *,
    instance: Instance | None = None,
    granularity: int | None = None,
    approximate: Number = 0,
) -> tuple[Fraction, ...]:
    """T3: N stages bottom-up keep p(A_j) >= a j / (a j + j - 1) OPT(c_j), if a w_max <= c_i - c_{i-1} for i <= j, c_0 = 0.

    Tight for c_i = i d. With stages solved to (1 - e): (1 - e) times that (T4).

    Args:
        capacities: c_1 < ... < c_N.
        instance: if given, a is the granularity of its items up to stage j, which may shrink with j.
        granularity: a, where no instance is given; default 1.
        approximate: e.

    Returns:
        one ratio for each stage; the first is 1 - e.

    Raises:
        InvalidArgumentError: if an item is heavier than an increment (a = 0), or for wrong arguments.

    Source: derived here. Test: test_t3.

    >>> [str(ratio) for ratio in granular_ratios((1, 2, 3, 4))]
    ['1', '2/3', '3/5', '4/7']
    >>> str(granular_ratios((25, 50, 75, 100), granularity=25)[-1])
    '100/103'
    """
    limits = _check(capacities, instance)
    if instance is not None and granularity is not None:
        raise InvalidArgumentError("an instance has its own granularity", got=granularity, allowed="one of the two")
    if granularity is not None and (isinstance(granularity, bool) or not isinstance(granularity, int) or granularity < 1):
        raise InvalidArgumentError("the granularity is not a positive integer", got=granularity, allowed="1, 2, ...")
    keep = 1 - check_error(approximate)
    ratios = []
    for j in range(1, len(limits) + 1):
        a = (granularity or 1) if instance is None else granularity_of(instance, limits[:j])
        if a == 0:
            raise InvalidArgumentError(
                f"an item is heavier than an increment of the capacities up to stage {j - 1}", got=limits[:j],
                allowed="increments of at least the largest weight", hint="See certificate for what holds without.",
            )  # fmt: skip
        ratios.append(keep * Fraction(a * j, a * j + j - 1))
    return tuple(ratios)


def top_down_ratios(
    capacities: Iterable[Number], *, instance: Instance | None = None, approximate: Number = 0
) -> tuple[Fraction, ...]:
    """T5: N stages top-down keep p(D_i) >= OPT(c_i) / (N - i + 1). Tight for every N: no more than 1/N is kept at c_1.

    With stages solved to (1 - e), T4: (1 - e) (1 - e - e (M_{i+2} + ... + M_N)) / ((N - i + 1) (1 - e) + e M_{i+1}) with M_j =
    2 ceil(c_j / c_i) - 1, or 0 where this is negative; not known to be tight. For N = 2 it is ``top_down_ratio``.

    Args:
        capacities: c_1 < ... < c_N; N - i + 1 does not depend on them.
        instance: if given, the assumption (every weight <= c_1) is checked.
        approximate: e.

    Returns:
        one ratio for each stage, from c_1 on; the last is 1 - e.

    Raises:
        InvalidArgumentError: if an item is heavier than c_1, or for wrong arguments.

    Source: derived here; proofs/stages_and_granularity.md and ``top_down_stages_exact``, ``top_down_stages_sharp`` and
    ``top_down_stages_near`` in proofs/coq. Tests: test_t5, test_t5_is_sharp, test_t4_in_several_stages_down.

    >>> [str(ratio) for ratio in top_down_ratios((1, 2, 3))]
    ['1/3', '1/2', '1']
    >>> [str(ratio) for ratio in top_down_ratios((1, 2, 3), approximate=Fraction(1, 100))]
    ['1551/5000', '3267/6700', '99/100']
    """
    limits, error = _check(capacities, instance), check_error(approximate)
    keep, ratios = 1 - error, []
    for i, c in enumerate(limits):
        first, *rest = [pieces(c, larger) for larger in limits[i + 1 :]] or [0]
        ratios.append(keep * max(keep - error * sum(rest), Fraction(0)) / ((len(limits) - i) * keep + error * first))
    return tuple(ratios)


def nesting_ratio(capacities: Iterable[Number], *, instance: Instance | None = None) -> Fraction:
    """T6: max(p(A_1) + p(A_2), p(D_1) + p(D_2)) >= (2k + 4) / (2k + 5) (OPT(c_1) + OPT(c_2)).

    No nested pair, however found, does better in the worst case: the price of nesting. 8/9 at c_1 = c_2 / 2.

    Raises:
        InvalidArgumentError: if an item is heavier than c_1, or for wrong arguments.

    Source: derived here. Test: test_t6.

    >>> nesting_ratio((3, 6))
    Fraction(8, 9)
    """
    k = stages_inside(_check(capacities, instance, stages=2))
    return Fraction(2 * k + 4, 2 * k + 5)


def min_ratio(capacities: Iterable[Number], *, instance: Instance | None = None) -> Quadratic:
    """T7: max(p(D_1) / OPT(c_1), p(A_2) / OPT(c_2)) >= rho_k = ((k - 1) + sqrt(k^2 + 2k + 5)) / (2 (k + 1)).

    1/sqrt(2) = .7071 for k = 1, (1 + sqrt(13)) / 6 = .7676 for k = 2: an exact number, to be compared with fractions.
    It is the price of nesting in the worse stage: for every r above rho_k there are items of which no nested pair X in Y,
    however found, keeps p(X) >= r OPT(c_1) and p(Y) >= r OPT(c_2).

    Raises:
        InvalidArgumentError: if an item is heavier than c_1, or for wrong arguments.

    Source: derived here; proofs/price_of_nesting.md, ``min_ratio`` and ``min_ratio_price`` in proofs/coq. Tests: test_t7,
    test_no_nested_pair_is_better_than_t7.

    >>> rho = min_ratio((3, 6))
    >>> str(rho), Fraction(7675, 10000) < rho < Fraction(7676, 10000)
    ('1/6 + 1/6 sqrt(13)', True)
    """
    k = stages_inside(_check(capacities, instance, stages=2))
    return Quadratic(Fraction(k - 1, 2 * (k + 1)), Fraction(1, 2 * (k + 1)), k * k + 2 * k + 5)


def granularity_of(instance: Instance, capacities: Iterable[Number]) -> int:
    """The largest a with a w_max <= c_i - c_{i-1} for all i (c_0 = 0); the number of items if all weights are 0.

    >>> granularity_of(Instance.of((2, 1), (3, 1)), (6, 12, 20))
    2
    """
    heaviest = max(instance.weights, default=0)
    steps = [b - a for a, b in pairwise((0, *check_capacities(capacities)))]
    return min(step // heaviest for step in steps) if heaviest else max(len(instance), 1)


def stages_inside(capacities: tuple[Number, ...]) -> int:
    """k = floor(c_2 / c_1)."""
    return int(capacities[1] // capacities[0])


def pieces(c1: Number, c2: Number) -> int:
    """M = 2 ceil(c_2 / c_1) - 1: a set that fits c_2 splits into M that fit c_1, so OPT(c_2) <= M OPT(c_1).

    Packed one after the other, two consecutive sets weigh more than c_1 together.
    """
    return int(2 * -(-c2 // c1) - 1)


def check_light(instance: Instance, capacities: tuple[Number, ...]) -> None:
    """The standing assumption: every weight is at most c_1.

    Raises:
        InvalidArgumentError: names the heaviest item.
    """
    heaviest = max(range(len(instance)), key=lambda i: instance.weights[i], default=None)
    if heaviest is not None and instance.weights[heaviest] > capacities[0]:
        raise InvalidArgumentError(
            f"no guarantee holds: item {heaviest} is heavier than the smallest capacity", got=instance.weights[heaviest],
            allowed=f"weights of at most {capacities[0]}", hint="Leave such items out, or raise the smallest capacity.",
        )  # fmt: skip


def check_error(approximate: Number) -> Fraction:
    """The error e of a stage, in [0, 1)."""
    error = Fraction(exact_number(approximate, "the error of a stage"))
    if not 0 <= error < 1:
        raise InvalidArgumentError("the error of a stage is not in [0, 1)", got=error, allowed="0 <= approximate < 1")
    return error


def _check(capacities: Iterable[Number], instance: Instance | None, *, stages: int | None = None) -> tuple[Number, ...]:
    limits = check_capacities(capacities, stages)
    if instance is not None:
        check_light(instance, limits)
    return limits
