"""The best real widths under products of widths, for CES: one choice for every budget, each inside the next.

Group i keeps the share r_i of its units, the MACs are ``constant + sum_i r_i (fixed_i + sum_j pairs_ij r_j / 2)``, and the loss
is ``sum_i A_i R_i^-gamma / gamma`` with R_i = r_i^e_i. Best are the shares that are in balance: for one price l of a MAC

    l r_i (fixed_i + sum_j pairs_ij r_j) = A_i e_i R_i^-gamma,

with <= for a group at its upper end and >= at its floor. The larger the budget the wider is every group, so whole widths
that are rounded down from them are nested, and what they lose is what is lost by rounding.

Proof: proofs/one_shape.md, and ``nested_budgets`` and ``balanced_is_best`` in proofs/coq/Balance.v.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reds_jax.array_types import Float
from reds_jax.checks import number
from reds_jax.errors import InfeasibleError, InvalidArgumentError

if TYPE_CHECKING:
    from reds_jax.graph.channels import ChannelGraph

SMALLEST_SHARE = 1e-9
"""No share is looked for below this."""
DIGITS = 1e-13
"""Prices and shares are found up to this relative change."""


@dataclass(frozen=True, eq=False)
class ProductCost:
    """MACs as a polynomial of degree 2 in the shares of the units that are kept.

    Args:
        pairs: shape (groups, groups), symmetric, none negative: what two groups cost together at full width; on the
            diagonal twice what a group costs with itself.
        fixed: shape (groups,), none negative: what a group costs alone at full width (with the input, a classifier, or in a
            depthwise convolution).
        constant: MACs that no width changes.

    Raises:
        InvalidArgumentError: for shapes that do not fit, negative or infinite numbers, or pairs that are not symmetric.

    >>> chain = ProductCost([[0, 100, 0], [100, 0, 100], [0, 100, 0]], [0, 0, 0])
    >>> chain.macs([1, 0.25, 1]), chain.touched([1, 0.25, 1]).tolist()
    (50.0, [25.0, 50.0, 25.0])
    """

    pairs: Any
    fixed: Any
    constant: float = 0.0

    def __post_init__(self) -> None:
        pairs, fixed = np.array(self.pairs, np.float64), np.array(self.fixed, np.float64)
        if fixed.ndim != 1 or not fixed.size or pairs.shape != (len(fixed), len(fixed)):
            raise InvalidArgumentError("the costs do not fit together", got=(pairs.shape, fixed.shape),
                                       allowed="pairs (groups, groups) and fixed (groups,)")
        for name, array in (("pairs", pairs), ("fixed", fixed)):
            if not (np.isfinite(array).all() and (array >= 0).all()):
                raise InvalidArgumentError(f"a cost of {name} is negative or not finite", got=array.min(), allowed="from 0 up")
        if not (pairs == pairs.T).all():
            raise InvalidArgumentError("the pairs are not symmetric", hint="Each pair stands at (i, j) and at (j, i).")
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "fixed", fixed)
        number("constant", self.constant, 0)

    @classmethod
    def of(cls, graph: ChannelGraph) -> ProductCost:
        """The true MACs of a network, from its layers; shares are of the sizes of ``graph.groups``.

        Raises:
            InvalidArgumentError: for a layer that multiplies more than two widths.
        """
        for layer in graph.layers:
            if sum(bool(size.terms) for size in layer.sizes) > 2:
                raise InvalidArgumentError("a layer multiplies more than two widths", got=layer.path, allowed="one or two")
        full, count = [g.size for g in graph.groups], len(graph.groups)

        def at(*groups: int) -> int:
            return sum(layer.macs([groups.count(g) * size for g, size in enumerate(full)]) for layer in graph.layers)

        pairs = np.array([[at(i, j) - at(i) - at(j) + at() for j in range(count)] for i in range(count)])
        return cls(pairs, [at(i) - at() - pairs[i, i] / 2 for i in range(count)], at())

    def macs(self, shares: np.ndarray | Sequence[float]) -> float:
        """The MACs at these shares."""
        r = np.asarray(shares, np.float64)
        return float(self.constant + r @ (self.fixed + self.pairs @ r / 2))

    def touched(self, shares: np.ndarray | Sequence[float]) -> Float[np.ndarray, " groups"]:
        """For each group the MACs that it takes part in; a product with itself counts twice."""
        r = np.asarray(shares, np.float64)
        return r * (self.fixed + self.pairs @ r)


def real_widths(
    cost: ProductCost,
    budget: float,
    *,
    worth: np.ndarray | Sequence[float],
    exponents: np.ndarray | Sequence[float],
    floor: float = SMALLEST_SHARE,
    upper: float = 1.0,
) -> Float[np.ndarray, " groups"]:
    """The shares of least CES loss within a budget of MACs: ``minimise sum_i worth_i r_i^-exponents_i / exponents_i``.

    Args:
        cost: of the network; every group costs something.
        budget: MACs at most.
        worth: w_i = A_i e_i > 0 for each group.
        exponents: gamma e_i > 0 for each group.
        floor: smallest share.
        upper: largest share; may be above 1.

    Returns:
        The shares; their MACs are at most the budget, and less only if all groups are at the upper end.

    Raises:
        InfeasibleError: the floor costs more than the budget.
        InvalidArgumentError: for a worth or exponent that is not positive, a group that costs nothing, an empty range.

    Source: derived here, proofs/one_shape.md. Tests: test_real_widths_are_best, test_budgets_are_nested.

    >>> chain = ProductCost([[0, 100, 0], [100, 0, 100], [0, 100, 0]], [0, 0, 0])
    >>> real_widths(chain, 50, worth=[1, 1, 1], exponents=[1, 1, 1]).round(4).tolist()
    [0.7071, 0.3536, 0.7071]
    """
    w, g = (_positive(name, given, len(cost.fixed)) for name, given in (("worth", worth), ("exponents", exponents)))
    number("floor", floor, 0, above=True)
    number("upper", upper, floor)
    if not (cost.fixed + cost.pairs.sum(1) > 0).all():
        raise InvalidArgumentError("a group costs nothing", hint="Keep it whole, and leave it out here.")
    narrowest, widest = np.full(len(w), float(floor)), np.full(len(w), float(upper))
    if cost.macs(widest) <= budget:
        return widest
    if cost.macs(narrowest) > budget:
        raise InfeasibleError("the floor costs more than the budget", got=budget, resource="macs",
                              smallest=cost.macs(narrowest))
    price = lambda r: np.log(w) - g * np.log(r) - np.log(cost.touched(r))  # noqa: E731  (logarithms) that balances each group
    low, high = price(widest).min(), price(narrowest).max()
    best = r = narrowest
    while high - low > DIGITS * max(1.0, abs(high)):  # a dearer MAC makes every group narrower
        middle = (low + high) / 2
        r = _balance(cost, np.log(w) - middle, g, r, floor, upper)
        if cost.macs(r) > budget:
            low = middle
        else:
            high, best = middle, r
    return best


def _balance(cost: ProductCost, worth: np.ndarray, g: np.ndarray, start: np.ndarray, floor: float, upper: float) -> np.ndarray:
    """The shares in balance where ``worth`` is log(w / price): convex in their logarithms, one group after the other."""
    r, own, tops, exponents = start.copy(), np.diag(cost.pairs).tolist(), worth.tolist(), g.tolist()
    fixed, others = cost.fixed.tolist(), cost.pairs - np.diag(np.diag(cost.pairs))
    for _ in range(100_000):
        before = r.copy()
        for i in range(len(r)):
            linear = fixed[i] + float(others[i] @ r)
            r[i] = min(max(_share(linear, own[i], tops[i], exponents[i], float(r[i])), floor), upper)
        if (abs(r - before) <= DIGITS * r).all():
            break
    return r


def _share(linear: float, square: float, worth: float, g: float, start: float) -> float:
    """The r of log(linear + square r) + (1 + g) log r = worth: by Newton, the left side is convex in log r and rises."""
    x = math.log(start)
    for _ in range(100):
        grown = square * math.exp(x)
        step = (math.log(linear + grown) + (1 + g) * x - worth) / (1 + g + grown / (linear + grown))
        x -= step
        if abs(step) < DIGITS / 10 or not square:  # without a square the equation is linear in x
            break
    return math.exp(x)


def _positive(name: str, given: np.ndarray | Sequence[float], count: int) -> np.ndarray:
    array = np.asarray(given, np.float64)
    if array.shape != (count,) or not np.isfinite(array).all() or not (array > 0).all():
        raise InvalidArgumentError(f"{name} is not one positive number for each group", got=given,
                                   allowed=f"{count} numbers > 0")
    return array
