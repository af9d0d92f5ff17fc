"""Every small integer instance: the least ratios that exist, ties broken for the worst.

n items with weights 1 .. c and profits 1 .. P, capacities (c, 2c), every multiset once. For all 2^n sets at a time,
best_above[A] = max { p(B) : B contains A, w(B) <= 2c } and best_below[B] = max { p(A) : A inside B, w(A) <= c } follow from
n steps, one an item; whole batches of instances are NumPy arrays [instances, 2^n].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement, islice

import numpy as np

from reds_jax.errors import InvalidArgumentError

BATCH = 20_000
MOST_ITEMS = 8
MOST = 1000
MOST_INSTANCES = 200_000_000
RATIOS = {
    "bottom_up": ("p(A2) / OPT(c2)", Fraction(2, 3)),
    "top_down": ("p(D1) / OPT(c1)", Fraction(1, 2)),
    "best_total": ("better total of both / (OPT(c1) + OPT(c2))", Fraction(8, 9)),
    "joint_total": ("best nested total / (OPT(c1) + OPT(c2))", Fraction(8, 9)),
}


@dataclass(frozen=True)
class Minimum:
    """The least value of a ratio over all instances, and the first instance that has it."""

    ratio: str
    least: Fraction
    proved: Fraction
    weights: tuple[int, ...]
    profits: tuple[int, ...]
    capacities: tuple[int, int]


def count_instances(items: int, capacity: int, profit: int) -> int:
    """How many multisets of ``items`` items there are, over the capacities c = 1 .. ``capacity``."""
    return sum(math.comb(c * profit + items - 1, items) for c in range(1, capacity + 1))


def check_sizes(items: int, capacity: int, profit: int) -> None:
    """Refuse a search that cannot be finished, as `search` does."""
    if not (1 <= items <= MOST_ITEMS and 1 <= capacity <= MOST and 1 <= profit <= MOST):
        raise InvalidArgumentError("the exhaustive search is out of range", got=(items, capacity, profit),
                                   allowed=f"1 to {MOST_ITEMS} items, a capacity and a profit of 1 to {MOST}")
    if (total := count_instances(items, capacity, profit)) > MOST_INSTANCES:
        raise InvalidArgumentError("the exhaustive search has too many instances", got=total,
                                   allowed=f"at most {MOST_INSTANCES}", hint="Take fewer items, or smaller numbers.")


def search(
    items: int, *, capacity: int, profit: int, progress: Callable[[int], object] = lambda done: None
) -> tuple[Minimum, ...]:
    """The minima of all ``RATIOS`` over every instance.

    Args:
        items: n, at most 8.
        capacity: the largest c; c_1 = c, c_2 = 2c for c = 1 .. capacity.
        profit: the largest profit P, at most 1000 as the capacity.
        progress: called with the number of instances of each batch.

    Raises:
        InvalidArgumentError: for sizes out of range, or more than 200 million instances.

    >>> [str(m.least) for m in search(4, capacity=3, profit=2)]
    ['2/3', '1/2', '8/9', '8/9']
    """
    check_sizes(items, capacity, profit)
    least: dict[str, Minimum] = {}
    for c in range(1, capacity + 1):
        for weights, profits in _batches(items, c, profit):
            for name, ratios in _ratios(weights, profits, c).items():
                at = int(ratios[0].argmin())  # floats of small fractions: equal if and only if the fractions are
                value = Fraction(int(ratios[1][at]), int(ratios[2][at]))
                if name not in least or value < least[name].least:
                    found = tuple(weights[at].tolist()), tuple(profits[at].tolist())
                    least[name] = Minimum(name, value, RATIOS[name][1], *found, (c, 2 * c))
            progress(len(weights))
    return tuple(least[name] for name in RATIOS)


def _batches(items: int, capacity: int, profit: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Weights and profits [instances, items] of all multisets."""
    kinds = np.array([(w, p) for w in range(1, capacity + 1) for p in range(1, profit + 1)])
    every = combinations_with_replacement(range(len(kinds)), items)
    while chosen := list(islice(every, BATCH)):
        found = kinds[np.array(chosen)]
        yield found[..., 0], found[..., 1]


def _ratios(weights: np.ndarray, profits: np.ndarray, c: int) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For every ratio its value, numerator and denominator [instances], each the worst over all ties."""
    count = weights.shape[1]
    member = (np.arange(2**count) >> np.arange(count)[:, None] & 1).astype(np.int32)
    weight, profit = weights.astype(np.int32) @ member, profits.astype(np.int32) @ member
    first, second = np.where(weight <= c, profit, -1), np.where(weight <= 2 * c, profit, -1)
    above, below = second.copy(), first.copy()
    for i in range(count):
        bit = 1 << i
        low = np.flatnonzero(~np.arange(2**count) & bit)
        above[:, low] = np.maximum(above[:, low], above[:, low | bit])
        below[:, low | bit] = np.maximum(below[:, low | bit], below[:, low])
    one, two = first.max(1), second.max(1)
    far = np.iinfo(np.int32).max
    up = np.where(first == one[:, None], above, far).min(1)
    down = np.where(second == two[:, None], below, far).min(1)
    joint = np.where(first >= 0, first + above, -1).max(1)
    pairs = {"bottom_up": (up, two), "top_down": (down, one), "best_total": (np.maximum(one + up, down + two), one + two),
             "joint_total": (joint, one + two)}
    return {name: (a / b, a, b) for name, (a, b) in pairs.items()}
