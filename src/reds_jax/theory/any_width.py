"""Two layers, cost n1 * n2: one way from the narrowest widths to the full ones, good at every capacity from K to R K.

No constant is kept. With m = ceil(sqrt(R)), widening one layer alone, the one that is worth more at the capacity m K in the
middle, keeps 1/(m + 1) of every optimum; no order, not even a nested pair for the two ends, keeps more than 1/sqrt(R).

Proof: proofs/any_budget.md, and ``one_layer_first`` and ``no_nested_pair`` in proofs/coq/AnyWidth.v.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import WidthOrder, WidthProblem
from reds_jax.theory.items import Number, check_capacities, check_integer


def any_width_ratio(smallest: Number, largest: Number) -> Fraction:
    """What `one_layer_first` keeps of every OPT(c), K <= c <= R K: 1/(m + 1), m = ceil(sqrt(R)). Tight for R = m^2, m >= 2.

    Args:
        smallest: K >= 1, in units of the cost of the widths (1, 1).
        largest: R K >= K.

    Raises:
        InvalidArgumentError: if K < 1, so that no widths fit, or R < 1.

    Source: derived here. Tests: test_one_layer_first.

    >>> any_width_ratio(5, 20), any_width_ratio(5, 21)
    (Fraction(1, 3), Fraction(1, 4))
    """
    return Fraction(1, _middle(smallest, largest)[1] + 1)


def one_layer_first(scores: Sequence[Sequence[int]], smallest: Number, largest: Number) -> WidthOrder:
    """Widen one layer unit by unit until it is full, then the other.

    Args:
        scores: for both layers the profits of their units, falling, none negative.
        smallest: K >= 1.
        largest: R K >= K; which layer comes first is decided at m K, where it is worth at least as much as the other.

    Raises:
        InvalidArgumentError: for other than two layers, a negative profit, or wrong arguments, as for ``any_width_ratio``.

    Source: derived here. Tests: test_one_layer_first.

    >>> one_layer_first([[3, 2], [5, 5, 1]], 1, 4).rows.tolist()
    [[1, 1], [1, 2], [1, 3], [2, 3]]
    """
    if len(scores) != 2:
        raise InvalidArgumentError("one layer first needs two layers", got=len(scores), allowed="the scores of two layers")
    problem = WidthProblem.chain(scores=scores, pair_macs=[0, 1], unit_macs=[0, 0])
    if min(layer[-1] for layer in scores) < 0:
        raise InvalidArgumentError("a unit has a negative profit", got=min(layer[-1] for layer in scores), allowed=">= 0")
    base, m = _middle(smallest, largest)
    worth = [sum(layer[: m * base]) for layer in scores]
    first = 0 if worth[0] >= worth[1] else 1
    rows = np.ones((len(scores[0]) + len(scores[1]) - 1, 2), dtype=np.int64)
    rows[:, first] = np.minimum(np.arange(len(rows)) + 1, len(scores[first]))
    rows[:, 1 - first] += np.arange(len(rows)) + 1 - rows[:, first]
    return WidthOrder(problem, rows, {"macs": rows.prod(axis=1)})


def any_width_instance(root: int, precision: int = 1) -> tuple[WidthProblem, tuple[int, int]]:
    """A width problem and K < m^2 K such that no nested pair keeps more than (1 + 1/q)/m of both optima, so no order does.

    Layer 1 has K = 2 m^2 q units worth m each, layer 2 has m^2 K units worth 1 each.

    Args:
        root: m >= 2.
        precision: q >= 1.

    Returns:
        the problem, with the resource "macs", and the two capacities.

    Source: derived here. Tests: test_no_nested_pair.

    >>> problem, capacities = any_width_instance(2)
    >>> capacities, problem.evaluate((8, 1)), problem.evaluate((1, 32)), problem.evaluate((8, 4))
    ((8, 32), 17, 34, 20)
    """
    check_integer("root", root, 2)
    check_integer("precision", precision, 1)
    units = 2 * root * root * precision
    scores = [[root] * units, [1] * (root * root * units)]
    problem = WidthProblem.chain(scores=scores, pair_macs=[0, 1], unit_macs=[0, 0])
    return problem, (units, root * root * units)


def _middle(smallest: Number, largest: Number) -> tuple[int, int]:
    """K and m = ceil(sqrt(R)), the least m with R K <= m^2 K; products of widths are whole numbers."""
    least, most = (math.floor(check_capacities([c])[0]) for c in (smallest, largest))
    if least < 1:
        raise InvalidArgumentError("no widths fit the smallest capacity", got=smallest, allowed="at least 1, which is (1, 1)")
    if most < least:
        raise InvalidArgumentError("the largest capacity is below the smallest", got=(smallest, largest))
    return least, math.isqrt(-(-most // least) - 1) + 1
