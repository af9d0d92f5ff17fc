"""What nested widths of any number of layers keep when costs are products of widths: about the square root of the budget.

Multiply all widths by r <= 1 and round down. Products of widths fall with r^2, and each layer keeps at least the share of
its units that is left, since its units are sorted by profit. So stages over c_1 < c_2 keep sqrt(c_1 / c_2) - 1/g where the
widths of the optimum are at least g, in every graph of layers. No larger root holds (`scaling_instance`).

``reds_jax.knapsack.solve_nested`` says what this promises for a problem at hand, with its fixed ends, floors and steps.

Proof: proofs/scaling.md and proofs/coq/Scale.v. Tests: tests/property/test_scaling.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, prefix_sum
from reds_jax.theory.chains import Order
from reds_jax.theory.items import Number, check_capacities, check_integer, exact_number
from reds_jax.theory.quadratic import Quadratic


def scaling_ratios(capacities: Iterable[Number], least_width: int, order: Order = "bottom_up") -> tuple[Quadratic, ...]:
    """Bottom-up: p(stage j) >= (sqrt(c_1/c_j) - 1/g) OPT(c_j). Top-down: p(stage i) >= (sqrt(c_i/c_N) - (N-i)/g) OPT(c_i).

    Assumptions: the cost is a sum of products of two widths, over any pairs of layers (a layer may be paired with itself); the
    units of each layer are sorted by profit; every width from 1 on is allowed. g is the least width of the optimum at c_j;
    top-down of every stage above i. The same holds of each layer's profit divided by g, hence for the product of what the
    layers keep, and for the means behind `reds_jax.knapsack.ces`, in place of the sum.

    With g -> infinity, tight for two stages in either order.

    Args:
        capacities: c_1 < ... < c_N.
        least_width: g >= 1.
        order: "bottom_up" or "top_down".

    Returns:
        one exact number for each stage, 0 where nothing is promised.

    Raises:
        InvalidArgumentError: for wrong arguments.

    Source: derived here; ``scale_bottom_up_products``, ``scale_top_down`` and ``scale_bottom_up_sharp`` in Coq. Tests:
    test_scaling_bottom_up, test_scaling_top_down, test_a_larger_root_fails.

    >>> [round(float(r), 2) for r in scaling_ratios((25, 50, 75, 100), 1000, "top_down")]
    [0.5, 0.71, 0.87, 1.0]
    """
    limits = check_capacities(capacities)
    check_integer("least_width", least_width, 1)
    if order not in ("bottom_up", "top_down"):
        raise InvalidArgumentError("unknown order", got=order, allowed="'bottom_up' or 'top_down'")
    last, count = limits[-1], len(limits)
    if order == "bottom_up":
        found = [_root(Fraction(limits[0]) / c) + (-Fraction(min(j, 1), least_width)) for j, c in enumerate(limits)]
    else:
        found = [_root(Fraction(c) / last) + (-Fraction(count - 1 - i, least_width)) for i, c in enumerate(limits)]
    return tuple(r if r.sign() > 0 else Quadratic(0, 0, 0) for r in found)


def scale_within(products: Number, singles: Number, fixed: Number, capacity: Number) -> Quadratic:
    """The largest r <= 1 with ``A r^2 + B r + K <= C``: what all widths may be multiplied by to meet a capacity.

    A is what the products of two widths cost before, B the multiples of single widths (a fixed input or output, biases,
    depthwise layers), K what depends on no width. r lies between C / (A + B) and its root, for K = 0.

    Args:
        products, singles, fixed, capacity: A, B, K, C >= 0.

    Raises:
        InvalidArgumentError: if K > C, or for wrong arguments.

    Source: derived here; ``scale_cost`` in Coq. Test: test_fixed_ends.

    >>> str(scale_within(4, 0, 0, 1)), str(scale_within(0, 4, 0, 1)), round(float(scale_within(2, 2, 0, 1)), 3)
    ('0 + 1/8 sqrt(16)', '1/4 + 0 sqrt(0)', 0.366)
    """
    a, b, k, c = (Fraction(exact_number(n, name)) for n, name in
                  ((products, "products"), (singles, "singles"), (fixed, "fixed"), (capacity, "capacity")))
    if min(a, b, k) < 0 or c < k:
        raise InvalidArgumentError("no widths fit, or a cost is negative", got=(products, singles, fixed, capacity),
                                   allowed="costs >= 0, and a capacity of at least what is fixed")
    if a + b + k <= c:
        return Quadratic(1, 0, 0)
    if a == 0:
        return Quadratic((c - k) / b, 0, 0)
    return _root(b * b + 4 * a * (c - k)) * (1 / (2 * a)) + (-b / (2 * a))


def divided_widths(widths: Sequence[int], scale: Number, floors: Sequence[int] | None = None) -> tuple[int, ...]:
    """Every width times r, rounded down, but not below its floor; all floors are 1 by default.

    Args:
        widths: positive integers.
        scale: r in [0, 1].
        floors: for each width the least allowed, at most the width.

    Raises:
        InvalidArgumentError: for wrong arguments.

    >>> divided_widths((7, 64, 2), Fraction(1, 3)), divided_widths((7, 64, 2), Fraction(1, 3), (4, 4, 2))
    ((2, 21, 1), (4, 21, 2))
    """
    r, least = Fraction(exact_number(scale, "scale")), [1] * len(widths) if floors is None else list(floors)
    for n in (*widths, *least):
        check_integer("a width", n, 1)
    if not 0 <= r <= 1:
        raise InvalidArgumentError("the scale is out of range", got=scale, allowed="0 <= scale <= 1")
    if len(least) != len(widths) or any(f > n for f, n in zip(least, widths, strict=True)):
        raise InvalidArgumentError("the floors do not fit the widths", got=(tuple(widths), tuple(least)),
                                   allowed="for each width one of at most the width")
    return tuple(max(f, math.floor(r * n)) for f, n in zip(least, widths, strict=True))


def above_floor(capacities: Iterable[Number], floor_cost: Number) -> Fraction:
    """What holds with any floors: of OPT(c_2) - V(f) the share (c_1 - F)/(c_2 - F), less rounding, is kept on top of V(f).

    F is what the floors f cost and V(f) what they are worth. Of what every width has above its floor the share r is kept; from
    the floors up a product is convex, so that costs at most (1 - r) F + r c_2 = c_1. Rounding: if every layer keeps the share q
    of its units above the floor, q takes the place of r.

    Raises:
        InvalidArgumentError: if F > c_1, so that nothing fits, or for wrong arguments.

    Source: derived here; ``scale_above_floor`` in Coq. Test: test_above_the_floors.

    >>> above_floor((25, 100), 10)
    Fraction(1, 6)
    """
    c1, c2 = check_capacities(capacities, 2)
    cost = Fraction(exact_number(floor_cost, "floor_cost"))
    if not 0 <= cost <= c1:
        raise InvalidArgumentError("the floors do not fit the smallest capacity", got=floor_cost, allowed=f"0 to {c1}")
    return (c1 - cost) / (c2 - cost)


def scaling_instance(
    kind: Literal["bottom_up", "top_down", "floor"], *, root: int = 2, units: int = 40, least_width: int = 1
) -> tuple[WidthProblem, tuple[int, int]]:
    """Width problems on which an order keeps no more than the root: 1/t of the optimum, for capacities K^2 and (t K)^2.

    "bottom_up": layer x reads and writes a group of t K units, layer y has K^2 - 1 units on top: cost x^2 + x y. The units of
    x are worth K, those of y 1, and the first g of y K g more. At K^2 all of y on one unit of x is the best, and at (t K)^2
    there is room for fewer than t^2 units of x beside it; the optimum has about t K.

    "top_down": the same cost; the units of x are worth K^2, those of y t K - t^2 - g - 1, and the first g of y K^2 g more. At
    (t K)^2 about t K units of x are the best; about K of them are left at K^2, where all of y is the best.

    "floor": two layers with cost a b, floors g: layer a has t^2 g units worth t^2 g + 1 each, layer b t^4 g units worth
    t^2 g, capacities (t g)^2 and (t^2 g)^2: the family of `bilinear_instance` for K = j = t^2, with every width times g.
    Bottom-up keeps about 2/t^2, although the optimum's widths are at least g: divided they are below their floors.

    Args:
        kind: which.
        root: t >= 2.
        units: K > 2 g, and K > 2 t: the ratio tends to 1/t as it grows. Of no account for "floor".
        least_width: g.

    Returns:
        the problem, with the resource "macs", and the capacities.

    Source: derived here; ``scale_ladder`` and ``floor_breaks_scaling`` in Coq. Tests: test_a_larger_root_fails,
    test_floors_break_it.

    >>> problem, capacities = scaling_instance("bottom_up", units=5)
    >>> capacities, problem.widths[0][-1], problem.widths[1][-1], problem.cost("macs", (1, 24))
    ((25, 100), 10, 24, 25)
    """
    check_integer("root", root, 2)
    check_integer("least_width", least_width, 1)
    t, g = root, least_width
    if kind == "floor":
        k = t * t
        problem = WidthProblem.chain(scores=[[k * g + 1] * (k * g), [k * g] * (k * k * g)], pair_macs=[0, 1], unit_macs=[0, 0],
                                     min_width=g)
        return problem, (k * g * g, k * k * g * g)
    if kind not in ("bottom_up", "top_down"):
        raise InvalidArgumentError("unknown kind", got=kind, allowed="'bottom_up', 'top_down' or 'floor'")
    check_integer("units", units, 2 * max(t, g) + 1)
    wide, top = t * units, units * units - 1
    one, two = (units, 1) if kind == "bottom_up" else (units * units, wide - t * t - g - 1)
    x, y = np.arange(1, wide + 1), np.arange(1, top + 1)
    values = (Table("x", prefix_sum([one] * wide)), Table("y", prefix_sum([two + one * g] * g + [two] * (top - g))))
    macs = (Table("x", x * x), Table.of_products(("x", "y"), [(x, y)]))
    problem = WidthProblem(("x", "y"), (tuple(x.tolist()), tuple(y.tolist())), values, {"macs": macs})
    return problem, (units * units, wide * wide)


def _root(square: Fraction) -> Quadratic:
    """sqrt(p / q) = sqrt(p q) / q."""
    return Quadratic(0, Fraction(1, square.denominator), square.numerator * square.denominator)
