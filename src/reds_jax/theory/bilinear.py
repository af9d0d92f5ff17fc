"""What nested widths of two layers keep when the cost is a product of widths, n1 * n2: exactly 1/j, and the worst cases.

The bounds of ``bounds.py`` are for additive costs and do not hold here (``bilinear_instance``). What holds: inside any
widths (a, b) with a b <= j K there are widths that cost at most K and are worth at least 1/j of them, namely (K, 1) if a > K,
(1, K) if b > K, and else the better of (a, 1) and (1, b).

Proof: proofs/the_gap.md, and ``bilinear_lower_bound`` and ``bilinear_top_down_lower_bound`` in proofs/coq/Bilinear.v.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import WidthProblem
from reds_jax.theory.chains import Order
from reds_jax.theory.items import Number, check_capacities, check_integer


def bilinear_ratios(capacities: Iterable[Number], order: Order = "bottom_up") -> tuple[Fraction, ...]:
    """Two layers, cost n1 * n2: p(stage i) >= OPT(c_i) / j, bottom-up with j = ceil(c_i / c_1), tight for c_i = i c_1.

    Top-down a stage keeps 1 / ceil(c_{i+1} / c_i) of the stage after it, and what is promised is the product of these: tight
    for two capacities with c_2 = j c_1; for more it is not known to be.

    Assumptions: the units of both layers are sorted by profit, every width from 1 to the full one is allowed, and nothing else
    costs anything. Profits may be any numbers >= 0.

    Args:
        capacities: c_1 < ... < c_N in units of the cost of the widths (1, 1). Products of widths are whole numbers, so a
            capacity counts with its integer part.
        order: "bottom_up" or "top_down".

    Raises:
        InvalidArgumentError: if c_1 < 1, so that no widths fit, or for wrong arguments.

    Source: derived here. Tests: test_bilinear_bottom_up, test_bilinear_top_down.

    >>> [str(ratio) for ratio in bilinear_ratios((5, 10, 15))], [str(ratio) for ratio in bilinear_ratios((5, 15), "top_down")]
    (['1', '1/2', '1/3'], ['1/3', '1'])
    """
    limits = [math.floor(c) for c in check_capacities(capacities)]
    if order not in ("bottom_up", "top_down"):
        raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
    if limits[0] < 1:
        raise InvalidArgumentError("no widths fit the smallest capacity", got=limits[0], allowed="at least 1, which is (1, 1)")
    if order == "bottom_up":
        return tuple(Fraction(1, -(-c // limits[0])) for c in limits)
    steps = [Fraction(1, -(-after // before)) for before, after in pairwise(limits)]
    return tuple(math.prod(steps[i:], start=Fraction(1)) for i in range(len(limits)))


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
