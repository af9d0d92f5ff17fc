"""Exact solvers of one 0/1 knapsack in integers, and all its sets that are worth at least a given profit.

A table answers best(i, room) = the largest profit of the first i items within a room. Three tables:

- by weight:  B_i[c] = max(B_{i-1}[c], B_{i-1}[c - w_i] + p_i), for every capacity c;
- by profit:  W_i[q] = min(W_{i-1}[q], W_{i-1}[max(q - p_i, 0)] + w_i), the least weight worth at least q;
- states:     the (weight, profit) pairs of the first i items that no other pair beats (Nemhauser and Ullmann 1969), for
  numbers of any size.

``sets_worth`` walks a table backwards. ``enumerate_sets`` looks at all 2^n sets, and is the oracle in the tests.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from reds_jax.errors import InvalidArgumentError

Method = Literal["auto", "enumeration", "states", "by_weight", "by_profit"]
Items = tuple[int, ...]

MAX_ENUMERATED = 20
MAX_CELLS = 50_000_000
MAX_STATES = 2_000_000
SMALL = 12


@runtime_checkable
class Table(Protocol):
    """best(i, room): the largest profit of the first ``i`` items within ``room >= 0``."""

    def best(self, count: int, room: int) -> int: ...


def solve_sets(
    weights: Sequence[int], profits: Sequence[int], room: int, least: Callable[[int], int], *, method: Method = "auto"
) -> tuple[int, Iterator[Items]]:
    """The optimum of a knapsack, and every set within the room that is worth at least ``least(optimum)``.

    Args:
        weights: integers >= 0.
        profits: integers >= 0.
        room: the capacity, an integer >= 0.
        least: the profit that a set needs, as a function of the optimum.
        method: "auto" chooses by the sizes of the tables.

    Raises:
        InvalidArgumentError: for an unknown method, or an instance that is too large for it.
    """
    if method == "enumeration":
        return enumerate_sets(weights, profits, room, least)
    table = make_table(weights, profits, room, method)
    optimum = table.best(len(weights), room)
    return optimum, sets_worth(table, weights, profits, room, least(optimum))


def make_table(weights: Sequence[int], profits: Sequence[int], room: int, method: Method = "auto") -> Table:
    """The table for ``best(i, r)`` with r <= room."""
    count, top = len(weights), min(room, sum(weights))
    cells = {"by_weight": (count + 1) * (top + 1), "by_profit": (count + 1) * (profit_bound(weights, profits, room) + 1)}
    if method == "auto":
        small = min(cells, key=lambda name: cells[name])
        method = "states" if count <= SMALL or cells[small] > MAX_CELLS else small  # type: ignore[assignment]
    if method == "states":
        return States(weights, profits, room)
    if method not in cells:
        raise InvalidArgumentError(
            "unknown method", got=method, allowed="'auto', 'enumeration', 'states', 'by_weight' or 'by_profit'"
        )
    if cells[method] > MAX_CELLS:
        raise InvalidArgumentError(
            f"the table {method} is too large", got=cells[method], allowed=f"at most {MAX_CELLS} cells",
            hint='Use method="auto".',
        )  # fmt: skip
    return ByWeight(weights, profits, top) if method == "by_weight" else ByProfit(weights, profits, room)


def profit_bound(weights: Sequence[int], profits: Sequence[int], room: int) -> int:
    """An upper bound on the optimum: fill by profit per weight, the last item in part, rounded down (Dantzig 1957)."""
    order = sorted(range(len(weights)), key=lambda i: Fraction(profits[i], weights[i]) if weights[i] else -1, reverse=True)
    total = sum(p for w, p in zip(weights, profits, strict=True) if w == 0)
    for i in order:
        if weights[i] > room:
            return total + profits[i] * room // weights[i]
        if weights[i]:
            room -= weights[i]
            total += profits[i]
    return total


class ByWeight:
    """B_i[c] for c = 0 .. capacity."""

    def __init__(self, weights: Sequence[int], profits: Sequence[int], capacity: int) -> None:
        self.capacity = capacity
        self.rows = np.zeros((len(weights) + 1, capacity + 1), dtype=_dtype(sum(profits)))
        for i, (weight, profit) in enumerate(zip(weights, profits, strict=True)):
            before, row = self.rows[i], self.rows[i + 1]
            row[:] = before
            if weight <= capacity:
                np.maximum(before[weight:], before[: capacity + 1 - weight] + profit, out=row[weight:])

    def best(self, count: int, room: int) -> int:
        return int(self.rows[count, min(room, self.capacity)])


class ByProfit:
    """W_i[q] for q = 0 .. an upper bound on the optimum; weights beyond the room count as room + 1."""

    def __init__(self, weights: Sequence[int], profits: Sequence[int], room: int) -> None:
        top = profit_bound(weights, profits, room)
        self.rows = np.full((len(weights) + 1, top + 1), room + 1, dtype=_dtype(2 * room + 2))
        self.rows[:, 0] = 0
        for i, (weight, profit) in enumerate(zip(weights, profits, strict=True)):
            before, row = self.rows[i], self.rows[i + 1]
            row[:] = before
            if weight <= room:
                cut = min(profit, top + 1)
                row[:cut] = np.minimum(before[:cut], weight)
                row[cut:] = np.minimum(before[cut:], before[: top + 1 - cut] + weight)
                np.minimum(row, room + 1, out=row)

    def best(self, count: int, room: int) -> int:
        return int(np.searchsorted(self.rows[count], room, side="right")) - 1


class States:
    """For each i the weights and the profits of the undominated sets of the first i items, both strictly ascending."""

    def __init__(self, weights: Sequence[int], profits: Sequence[int], room: int) -> None:
        self.rows: list[tuple[list[int], list[int]]] = [([0], [0])]
        stored = 1
        for weight, profit in zip(weights, profits, strict=True):
            before = list(zip(*self.rows[-1], strict=True))
            added = [(w + weight, p + profit) for w, p in before if w + weight <= room]
            row: tuple[list[int], list[int]] = ([], [])
            for w, p in sorted(before + added, key=lambda state: (state[0], -state[1])):
                if not row[1] or p > row[1][-1]:
                    row[0].append(w)
                    row[1].append(p)
            self.rows.append(row)
            stored += len(row[0])
            if stored > MAX_STATES:
                raise InvalidArgumentError(
                    "the instance is too large for an exact solution: its numbers are too large for a table, and it has too "
                    "many undominated sets", got=f"{len(weights)} items", allowed=f"at most {MAX_STATES} states",
                    hint="Round the weights up or the profits down to multiples of a coarser unit.",
                )  # fmt: skip

    def best(self, count: int, room: int) -> int:
        weights, profits = self.rows[count]
        return profits[bisect_right(weights, room) - 1]


def sets_worth(table: Table, weights: Sequence[int], profits: Sequence[int], room: int, need: int) -> Iterator[Items]:
    """Every set of items within the room that is worth at least ``need``, each once, in a fixed order.

    The first one leaves out the last item if it can, then the last but one, and so on.
    """
    if table.best(len(weights), room) < need:
        return
    stack: list[tuple[int, int, int, tuple]] = [(len(weights), room, need, ())]
    while stack:
        count, left, still, chosen = stack.pop()
        while count:
            count -= 1
            weight, profit = weights[count], profits[count]
            take = weight <= left and table.best(count, left - weight) >= still - profit
            if table.best(count, left) >= still:
                if take:
                    stack.append((count, left - weight, still - profit, (count, chosen)))
            else:
                left, still, chosen = left - weight, still - profit, (count, chosen)
        found = []
        while chosen:
            found.append(chosen[0])
            chosen = chosen[1]
        yield tuple(found)


def enumerate_sets(
    weights: Sequence[int], profits: Sequence[int], room: int, least: Callable[[int], int]
) -> tuple[int, Iterator[Items]]:
    """The same answer as ``solve_sets`` from a look at every set of items."""
    if len(weights) > MAX_ENUMERATED:
        raise InvalidArgumentError(
            "there are too many items to enumerate all sets", got=len(weights), allowed=f"at most {MAX_ENUMERATED}",
            hint='Use method="auto".',
        )  # fmt: skip
    sums = [(0, 0)]
    for weight, profit in zip(weights, profits, strict=True):
        sums += [(w + weight, p + profit) for w, p in sums]
    optimum = max(p for w, p in sums if w <= room)
    need = least(optimum)
    chosen = (mask for mask, (w, p) in enumerate(sums) if w <= room and p >= need)
    return optimum, (tuple(i for i in range(len(weights)) if mask >> i & 1) for mask in chosen)


def _dtype(largest: int) -> type:
    return np.int32 if largest < 2**31 else np.int64 if largest < 2**62 else object
