"""Arc fixing: an arc stays only if a path through it may still reach the value that is needed.

For any multipliers, value(path) <= forward + arc + backward + multipliers . capacity over the paths through an arc that
meet the capacities. Each further choice of multipliers cuts off more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph


@dataclass
class Arcs:
    """The surviving arcs of one layer, ascending by tail: flat numbers, end states, integer values (m,) and costs (K, m)."""

    flat: np.ndarray
    tail: np.ndarray
    head: np.ndarray
    value: np.ndarray
    cost: np.ndarray
    tails: int
    heads: int

    def keep(self, mask: np.ndarray) -> Arcs:
        """The arcs selected by a mask."""
        return Arcs(
            self.flat[mask], self.tail[mask], self.head[mask], self.value[mask], self.cost[:, mask], self.tails, self.heads
        )


def fix_dense(graph: DenseGraph, multipliers: np.ndarray, reach: list, ahead: list, need: float) -> list[Arcs]:
    """The arcs that may lie on a path of value >= need: forward + arc + backward + multipliers . capacity >= need."""
    threshold = need - float(multipliers @ graph.capacity.astype(np.float64)) - graph.rounding(multipliers)
    kept: list[Arcs] = []
    for t, layer in enumerate(graph.layers):
        dropped, held, wide = layer.shape
        alive = np.flatnonzero(reach[t] + ahead[t] >= threshold)
        priced, extra = graph.priced(t, multipliers)
        rest = layer.ahead_block(ahead[t + 1])
        rest = np.broadcast_to(rest if extra is None else rest + extra, (1, held, wide))
        if held == 1 and priced.shape[0] in (1, dropped) and priced.shape[2] == wide:
            columns = np.flatnonzero(rest[0, 0] > -np.inf)
            if layer.stays:
                back = reach[t + 1] + ahead[t + 1] >= threshold
                back = back if layer.scatter is None else back[layer.scatter]
                columns = np.flatnonzero(back)
            rows = priced[:, 0, :] if priced.shape[0] == 1 else priced[alive, 0, :]
            total = rows[:, columns] + reach[t][alive][:, None] + rest[0, 0, columns]
            row, col = np.nonzero(total >= threshold)
            flat = alive[row] * wide + columns[col]
        else:
            total = priced + reach[t].reshape(dropped, held, 1) + rest
            flat = np.flatnonzero(np.broadcast_to(total, layer.shape).reshape(-1) >= threshold)
        tail, _, head = layer.ends(flat)
        cost = [layer.at(c, flat) for c in graph.costs[t]]
        cost = np.array(cost, dtype=np.int64).reshape(len(graph.names), len(flat))
        kept.append(Arcs(flat, tail, head, layer.at(graph.value[t], flat), cost, len(reach[t]), layer.targets))
    return kept


def sparse_bounds(arcs: list[Arcs], multipliers: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Forward, arc and backward values at the multipliers, over the surviving arcs."""
    reach = [np.zeros(1)]
    gains: list[np.ndarray] = []
    for layer in arcs:
        gain = layer.value - multipliers @ layer.cost if len(multipliers) else layer.value.astype(np.float64)
        gains.append(gain)
        best = np.full(layer.heads, -np.inf)
        np.maximum.at(best, layer.head, reach[-1][layer.tail] + gain)
        reach.append(best)
    ahead = [np.zeros(1)]
    for layer, gain in zip(reversed(arcs), reversed(gains), strict=True):
        best = np.full(layer.tails, -np.inf)
        np.maximum.at(best, layer.tail, ahead[-1][layer.head] + gain)
        ahead.append(best)
    return reach, gains, ahead[::-1]


@dataclass(frozen=True)
class Bounds:
    """Upper bounds on the completion of a path, at several multipliers, and the value that a path needs.

    Attributes:
        many: the multipliers, each of shape (K,).
        completions: for each of them and each layer, by state: the largest value - multipliers . cost of the rest of a path,
            plus what the capacity pays.
        need: the value that a path must reach, in the integer units of the graph.
    """

    many: list[np.ndarray]
    completions: list[list[np.ndarray]]
    need: float


def fix_sparse(
    graph: DenseGraph, arcs: list[Arcs], many: list[np.ndarray], need: float, *, rounds: int = 1
) -> tuple[list[Arcs], Bounds]:
    """Fix arcs further, at several multipliers in turn; also returns the bounds for the label pass."""
    paid = graph.capacity.astype(np.float64)
    completions = []
    for number in range(rounds * len(many)):
        multipliers = many[number % len(many)]
        bonus = float(multipliers @ paid) + graph.rounding(multipliers)
        reach, gains, ahead = sparse_bounds(arcs, multipliers)
        kept = []
        for t, layer in enumerate(arcs):
            mask = reach[t][layer.tail] + gains[t] + ahead[t + 1][layer.head] + bonus >= need
            kept.append(layer if mask.all() else layer.keep(mask))
        arcs = kept
        completions.append([b + bonus for b in ahead])
    return arcs, Bounds(many, completions[-len(many) :], need)
