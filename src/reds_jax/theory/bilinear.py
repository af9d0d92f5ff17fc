"""What nested widths of two layers keep when the cost is a product of widths, n1 * n2: exactly 1/j, and the worst cases.

The bounds of ``bounds.py`` are for additive costs and do not hold here (``bilinear_instance``). What holds: inside any
widths (a, b) with a b <= j K there are widths that cost at most K and are worth at least 1/j of them, namely (K, 1) if a > K,
(1, K) if b > K, and else the better of (a, 1) and (1, b). What no nesting can avoid: ``bilinear_nesting_ratio``.

Proof: proofs/the_gap.md, and Bilinear.v, BilinearStages.v and Price.v in proofs/coq.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import WidthProblem
from reds_jax.theory.chains import Order
from reds_jax.theory.items import Number, check_capacities, check_integer
from reds_jax.theory.quadratic import Quadratic


def bilinear_ratios(capacities: Iterable[Number], order: Order = "bottom_up") -> tuple[Fraction, ...]:
    """Two layers, cost n1 * n2: p(stage i) >= OPT(c_i) / j, bottom-up with j = ceil(c_i / c_1), top-down with ceil(c_N / c_i).

    Top-down it is even 1/j of OPT(c_N), however many capacities lie between. Tight for both orders: bottom-up for c_i = i c_1,
    top-down where c_N is a multiple of c_i.

    Assumptions: the units of both layers are sorted by profit, every width from 1 to the full one is allowed, and nothing else
    costs anything. Profits may be any numbers >= 0.

    Args:
        capacities: c_1 < ... < c_N in units of the cost of the widths (1, 1). Products of widths are whole numbers, so a
            capacity counts with its integer part.
        order: "bottom_up" or "top_down".

    Raises:
        InvalidArgumentError: if c_1 < 1, so that no widths fit, or for wrong arguments.

    Source: derived here; proofs/the_gap.md, ``bilinear_lower_bound`` and ``bilinear_top_down_stages`` in proofs/coq. Tests:
    test_bilinear_bottom_up, test_bilinear_top_down, test_top_down_over_several_capacities.

    >>> [str(ratio) for ratio in bilinear_ratios((5, 10, 15))], [str(r) for r in bilinear_ratios((5, 10, 15), "top_down")]
    (['1', '1/2', '1/3'], ['1/3', '1/2', '1'])
    """
    limits = _whole(capacities)
    if order not in ("bottom_up", "top_down"):
        raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
    if order == "bottom_up":
        return tuple(Fraction(1, -(-c // limits[0])) for c in limits)
    return tuple(Fraction(1, -(-limits[-1] // c)) for c in limits)


def bilinear_nesting_ratio(capacities: Iterable[Number]) -> Fraction:
    """Two layers, cost n1 * n2: the better of bottom-up and top-down keeps 2 (j + 1) / (3 j + 1) of OPT(c_1) + OPT(c_2).

    j = ceil(c_2 / c_1): 6/7, 4/5, 10/13, ..., to 2/3. For c_2 = j c_1 it is the price of nesting: no nested pair, however
    found, keeps more in the worst case. That is K units worth (j + 1) / 2 in layer 1 and j K units worth 1 in layer 2, at K and
    j K: optima (j + 1) K / 2 + 1 and j K + (j + 1) / 2, and exactly (j + 1) (K + 1) for the best pair.

    Args:
        capacities: c_1 < c_2, as for `bilinear_ratios`, with its assumptions.

    Raises:
        InvalidArgumentError: if c_1 < 1, so that no widths fit, or for wrong arguments.

    Source: derived here; proofs/the_gap.md, ``bilinear_price_total``, ``bilinear_price_family`` and
    ``bilinear_price_total_sharp`` in proofs/coq. Tests: test_bilinear_price, test_no_nested_widths_beat_the_price.

    >>> bilinear_nesting_ratio((5, 10)), bilinear_nesting_ratio((5, 15))
    (Fraction(6, 7), Fraction(4, 5))
    """
    c1, c2 = _whole(capacities, stages=2)
    j = -(-c2 // c1)
    return Fraction(2 * (j + 1), 3 * j + 1)


def bilinear_min_ratio(capacities: Iterable[Number]) -> Quadratic:
    """Two layers, cost n1 * n2: bottom-up or top-down keeps 1/sqrt(j) of OPT(c_1) and of OPT(c_2), j = ceil(c_2 / c_1).

    For c_2 = j c_1 it is the price of nesting in the worse stage: for every r > 1/sqrt(j) there are layers of which no nested
    pair, however found, keeps r of both optima. Those of `bilinear_nesting_ratio`, with sqrt(j) in the place of (j + 1) / 2.

    Args:
        capacities: c_1 < c_2, as for `bilinear_ratios`, with its assumptions.

    Raises:
        InvalidArgumentError: if c_1 < 1, so that no widths fit, or for wrong arguments.

    Source: derived here; proofs/the_gap.md, ``bilinear_price_min_ratio`` and ``bilinear_price_min_ratio_sharp`` in
    proofs/coq. Tests: test_bilinear_price, test_no_nested_widths_beat_the_price.

    >>> ratio = bilinear_min_ratio((5, 10))
    >>> str(ratio), Fraction(7071, 10000) < ratio < Fraction(7072, 10000)
    ('0 + 1/2 sqrt(2)', True)
    """
    c1, c2 = _whole(capacities, stages=2)
    j = -(-c2 // c1)
    return Quadratic(0, Fraction(1, j), j)


def _whole(capacities: Iterable[Number], stages: int | None = None) -> list[int]:
    """The integer parts of the capacities, from 1 on."""
    limits = [math.floor(c) for c in check_capacities(capacities, stages)]
    if limits[0] < 1:
        raise InvalidArgumentError("no widths fit the smallest capacity", got=limits[0], allowed="at least 1, which is (1, 1)")
    return limits


def bilinear_instance(
    order: Literal["bottom_up", "top_down"], *, stages: int = 2, units: int = 5, profit: int = 100
) -> tuple[WidthProblem, tuple[int, ...]]:
    """A width problem with cost n1 * n2 on which an order falls to 1/j: the guarantees need additive costs.

    Bottom-up, capacities K, 2K, ..., jK: layer 1 has K units worth P + 1, layer 2 has jK units worth P. The first stage is
    (K, 1), so stage j is (K, j), worth K(P + 1) + jP, and the optimum (1, jK) is worth P + 1 + jKP.

    Top-down, the same capacities: layer 1 has jK units worth P + 1, layer 2 has K units worth jP. The last stage is (jK, 1),
    so the first is (K, 1), worth K(P + 1) + jP, and the optimum (1, K) is worth P + 1 + jKP.

    Args:
        order: "bottom_up" or "top_down".
        stages: j >= 2; for top-down only the first and the last capacity matter.
        units: K > j, so that the stages are as above.
        profit: P >= 1.

    Returns:
        the problem, with the resource "macs", and the capacities.

    What is promised instead: ``bilinear_ratios``, 1/j.

    Source: derived here. Test: test_additive_costs_are_needed.

    >>> problem, capacities = bilinear_instance("bottom_up")
    >>> capacities, problem.evaluate((5, 2)), problem.evaluate((1, 10))
    ((5, 10), 705, 1101)
    """
    if order not in ("bottom_up", "top_down"):
        raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
    check_integer("stages", stages, 2)
    check_integer("units", units, stages + 1)
    check_integer("profit", profit, 1)
    if order == "bottom_up":
        scores = [[profit + 1] * units, [profit] * (stages * units)]
    else:
        scores = [[profit + 1] * (stages * units), [stages * profit] * units]
    problem = WidthProblem.chain(scores=scores, pair_macs=[0, 1], unit_macs=[0, 0])
    return problem, tuple(units * (i + 1) for i in range(stages))
