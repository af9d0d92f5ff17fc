"""What is known about chosen widths: from one solver, for one subnetwork, and for nested subnetworks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from reds_jax.knapsack.table import exact_sum
from reds_jax.knapsack.values import NO_GAMMA

Method = Literal["exact", "fptas", "milp", "brute"]
Order = Literal["joint", "bottom_up", "top_down"]
Stages = tuple[tuple[int, ...], ...]


@dataclass
class Outcome:
    """Widths (None if no choice was found), an upper bound on the value (exact integers stay so), proven or not."""

    widths: tuple[int, ...] | None
    bound: float | int | None
    proven: bool


@dataclass(frozen=True)
class Solution:
    """Chosen widths and what is known about them.

    Attributes:
        widths: one for each group.
        value: re-evaluated from the tables; an integer if they hold integers.
        costs: the cost of every resource and peak, limited or not, re-evaluated from the tables.
        bound: no choice of widths within the capacities has a larger value. Equal to ``value`` when that is proven optimal
            and the values are integers; for floats it exceeds it by the rounding allowed for (about 1e-12 of their sum).
        proven_optimal: the value is the optimum (for floats: within that rounding).
        seconds: wall time.
        method: "exact", "fptas", "milp" or "brute".
    """

    widths: tuple[int, ...]
    value: int | float
    costs: dict[str, int | float] = field(hash=False)
    bound: int | float
    proven_optimal: bool
    seconds: float = field(compare=False)
    method: Method


@dataclass(frozen=True)
class Promise:
    """What nested widths keep because all widths of an optimum can be divided: proofs/scaling.md.

    It follows from the costs, the capacities, and the widths of the optima and what each group keeps in them, whatever the
    scores inside a group are. It is never above what is measured.

    Attributes:
        certificate: ``NestedSolution.certificate`` is at least this; None where nothing is promised.
        certificates: the same of each subnetwork; None for the joint order, which promises the total of the better of
            bottom-up and top-down, and where nothing is promised.
        scales: what the widths of each subnetwork's optimum (top-down: of the next larger subnetwork) are multiplied by.
        reason: why nothing is promised; empty otherwise.

    >>> str(Promise(0.5, (1.0, 0.5), (1.0, 0.5))), str(Promise(None, None, None, "two groups share a value"))
    ('scaling promises 0.5000', 'scaling promises nothing, because two groups share a value')
    """

    certificate: float | None
    certificates: tuple[float, ...] | None
    scales: tuple[float, ...] | None
    reason: str = ""

    def __str__(self) -> str:
        if self.certificate is None:
            return f"scaling promises nothing, because {self.reason}"
        return f"scaling promises {self.certificate:.4f}"


@dataclass(frozen=True)
class NestedSolution:
    """Nested widths, from the smallest subnetwork to the largest, and what is known about them.

    Attributes:
        solutions: one for each subnetwork; ``bound`` and ``proven_optimal`` refer to its separate optimum.
        optima: the separate optimum of each subnetwork, nesting ignored: an upper bound on what nesting allows.
        capacities: the capacities in the same order.
        bound: no nested choice has a larger total value (the sum of the separate optima, or better).
        proven_optimal: no nested choice has a larger total value (for floats: up to their rounding).
        gamma: see ``certificate``.
        order: how the widths were found: "joint", "bottom_up" or "top_down".
        seconds: wall time.
        promise: what ``certificate`` and ``certificates`` are at least, because widths can be divided; or why not.
    """

    solutions: tuple[Solution, ...]
    optima: tuple[Solution, ...]
    capacities: tuple[dict[str, float], ...] = field(hash=False)
    bound: int | float
    proven_optimal: bool
    gamma: float | None
    order: Order
    seconds: float = field(compare=False)
    promise: Promise

    @property
    def widths(self) -> Stages:
        """The widths of each subnetwork; each is at least as wide as the one before in every group."""
        return tuple(s.widths for s in self.solutions)

    @property
    def values(self) -> tuple[int | float, ...]:
        """The value of each subnetwork."""
        return tuple(s.value for s in self.solutions)

    @property
    def costs(self) -> tuple[dict[str, int | float], ...]:
        """The costs of each subnetwork."""
        return tuple(s.costs for s in self.solutions)

    @property
    def gap(self) -> int | float:
        """The bound minus the total value: what a better nested choice could gain at most; 0 if proven for integers."""
        return max(self.bound - exact_sum(self.values), 0)

    @property
    def certificates(self) -> tuple[float, ...]:
        """For each subnetwork how close it is to its separate optimum, as in ``certificate``."""
        groups = len(self.solutions[0].widths)
        return tuple(
            ratio(s.value, o.bound, groups, self.gamma) for s, o in zip(self.solutions, self.optima, strict=True)
        )

    @property
    def certificate(self) -> float:
        """How close the total is to the sum of the separate optima, which no nested choice can exceed; at most 1.

        Sums: total value / sum of the optima (1 if both are equal, nan if the optima do not add up to a positive number).
        Shares of the importance kept, valued with gamma: the ratio of their means over subnetworks and groups, of which the
        total is a function: ``(1 - gamma * total / (subnetworks * groups))^(-1 / gamma)`` is the power mean with exponent
        -gamma, ``exp(total / (subnetworks * groups))`` (gamma = 0) the geometric mean.
        """
        groups = len(self.solutions) * len(self.solutions[0].widths)
        return ratio(exact_sum(self.values), exact_sum([o.bound for o in self.optima]), groups, self.gamma)


def ratio(value: int | float | Fraction, optimum: int | float, groups: int, gamma: float | None) -> float:
    """The certificate of a value against an optimum, see ``NestedSolution``; ``groups`` are those of all subnetworks in it."""
    if value == optimum:
        return 1.0
    if gamma is not None and abs(gamma) < NO_GAMMA:
        return math.exp((value - optimum) / groups)
    if gamma is not None:
        least, most = (-math.log1p(-gamma * min(v, 0) / groups) / gamma for v in (value, optimum))
        return math.exp(least - most)
    return float(value / optimum) if optimum > 0 else math.nan
