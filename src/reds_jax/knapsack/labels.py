"""Arc fixing and label setting on the arcs that a bound has left over."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.dense import DenseGraph

CHUNK = 2_000_000
WINDOW = 24


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
        priced, extra = graph._priced(t, multipliers)
        rest = graph._ahead(t, ahead[t + 1])
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


def fix_sparse(graph: DenseGraph, arcs: list[Arcs], many: list[np.ndarray], need: float) -> tuple[list[Arcs], list[list[np.ndarray]]]:
    """Fix arcs at several multipliers in turn; also returns the backward values of each, raised by what the capacity pays."""
    paid = graph.capacity.astype(np.float64)
    completions = []
    for multipliers in many:
        bonus = float(multipliers @ paid) + graph.rounding(multipliers)
        reach, gains, ahead = sparse_bounds(arcs, multipliers)
        kept = []
        for t, layer in enumerate(arcs):
            mask = reach[t][layer.tail] + gains[t] + ahead[t + 1][layer.head] + bonus >= need
            kept.append(layer if mask.all() else layer.keep(mask))
        arcs = kept
        completions.append([b + bonus for b in ahead])
    return arcs, completions


@dataclass
class Search:
    """The outcome of a label pass: the best path (or None), whether every path >= need was covered, what was open if not."""

    path: tuple[int, np.ndarray, list[int]] | None
    complete: bool
    timed_out: bool = False


def search(
    graph: DenseGraph,
    arcs: list[Arcs],
    many: list[np.ndarray],
    completions: list[list[np.ndarray]],
    need: float,
    *,
    cap: int | None = None,
    deadline: float | None = None,
) -> Search:
    """Label setting for the best path of value >= need, pruned by cheapest completion, by the bounds and by dominance.

    Args:
        cap: keep at most this many labels a state (a beam); None for an exact pass.
        deadline: ``time.monotonic()`` after which the pass gives up.
    """
    count = len(graph.names)
    node = np.zeros(1, dtype=np.int64)
    value = np.zeros(1, dtype=np.int64)
    cost = np.zeros((count, 1), dtype=np.int64)
    parents: list[np.ndarray] = []
    taken: list[np.ndarray] = []
    complete = True
    for t, layer in enumerate(arcs):
        starts = np.searchsorted(layer.tail, node)
        fan = np.searchsorted(layer.tail, node, side="right") - starts
        ends = np.cumsum(fan)
        if not len(ends) or ends[-1] == 0:
            return Search(None, complete)
        parts = []
        low = 0
        while low < len(node):
            offset = ends[low - 1] if low else 0
            high = max(int(np.searchsorted(ends, offset + CHUNK, side="right")), low + 1)
            if deadline is not None and time.monotonic() > deadline:
                return Search(None, False, timed_out=True)
            size = fan[low:high]
            parent = np.repeat(np.arange(low, high), size)
            shift = starts[low:high] - (ends[low:high] - size - offset)
            arc = np.arange(int(size.sum())) + np.repeat(shift, size)
            parts.append(_extend(graph, t, layer, value, cost, parent, arc, many, completions, need))
            low = high
        parent, arc, value, cost, upper = (np.concatenate([p[i] for p in parts], axis=-1) for i in range(5))
        node = layer.head[arc]
        kept = undominated(node, value, cost, upper)
        if cap is not None and len(kept) > cap:
            kept, cut = _beam(node, upper, kept, cap)
            complete &= not cut
        node, value, cost = node[kept], value[kept], cost[:, kept]
        parents.append(parent[kept])
        taken.append(layer.flat[arc[kept]])
    if not len(node):
        return Search(None, complete)
    best = int(np.lexsort((*cost[::-1], -value))[0])
    path, at = [], best
    for parent, flat in zip(reversed(parents), reversed(taken), strict=True):
        path.append(int(flat[at]))
        at = int(parent[at])
    return Search((int(value[best]), cost[:, best], path[::-1]), complete)


def _extend(graph, t, layer, value, cost, parent, arc, many, completions, need):  # noqa: ANN001, ANN202
    """Labels over the given arcs that can still meet every capacity and reach the value that is needed."""
    head = layer.head[arc]
    new_cost = cost[:, parent] + layer.cost[:, arc]
    fits = np.ones(len(arc), dtype=bool)
    for r, limit in enumerate(graph.capacity):
        fits &= new_cost[r] + graph.cheapest[r][t + 1][head] <= limit
    new_value = value[parent] + layer.value[arc]
    upper = np.full(len(arc), np.inf)
    for multipliers, ahead in zip(many, completions, strict=True):
        bound = new_value + ahead[t + 1][head]
        for r, price in enumerate(multipliers):
            bound -= price * new_cost[r]
        upper = np.minimum(upper, bound)
    fits &= upper >= need
    return parent[fits], arc[fits], new_value[fits], new_cost[:, fits], upper[fits]


def undominated(node: np.ndarray, value: np.ndarray, cost: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Labels that no other label at the same state beats: at most its cost in every resource, at least its value.

    With one resource the test is complete: sort by (state, cost, -value) and compare with the cumulative maximum of the
    value. With more it is a comparison with the neighbours in the order of the bound, so some dominated labels stay:
    that costs time, never correctness.
    """
    if len(node) <= 1:
        return np.arange(len(node))
    if len(cost) <= 1:
        price = cost[0] if len(cost) else np.zeros_like(value)
        order = _order(node, price, value)
        nodes, values = node[order], value[order]
        first = np.append(True, nodes[1:] != nodes[:-1])
        span = int(values.max()) - int(values.min()) + 1
        group = np.cumsum(first) - 1
        if span * (int(group[-1]) + 2) >= 2**62:
            values = np.unique(values, return_inverse=True)[1].reshape(-1)
            span = len(values) + 1
        level = values - values.min() + group * span
        best = np.maximum.accumulate(level)
        return order[np.append(True, level[1:] > best[:-1])]
    order = np.lexsort((-value, -upper, node))
    for _ in range(2):
        order = _windowed(node, value, cost, order)
        order = order[np.lexsort((-value[order], cost[0][order], node[order]))]
    return _windowed(node, value, cost, order)


def _order(node: np.ndarray, price: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Ascending by (node, price), then descending by value where that fits in one 64-bit key."""
    low, high = int(price.min()), int(price.max())
    if (high - low + 1) * (int(node.max()) + 1) < 2**62:
        return np.argsort(node * (high - low + 1) + (price - low), kind="stable")
    return np.lexsort((-value, price, node))


def _windowed(node: np.ndarray, value: np.ndarray, cost: np.ndarray, order: np.ndarray) -> np.ndarray:
    nodes, values, costs = node[order], value[order], cost[:, order]
    beaten = np.zeros(len(order), dtype=bool)
    for shift in range(1, min(WINDOW, len(order) - 1) + 1):
        worse = (nodes[shift:] == nodes[:-shift]) & (values[shift:] <= values[:-shift])
        for row in costs:
            worse &= row[shift:] >= row[:-shift]
        beaten[shift:] |= worse
    return order[~beaten]


def _beam(node: np.ndarray, upper: np.ndarray, kept: np.ndarray, cap: int) -> tuple[np.ndarray, bool]:
    """The ``cap`` labels with the largest bound at each state, and whether any was cut."""
    order = kept[np.lexsort((-upper[kept], node[kept]))]
    nodes = node[order]
    rank = np.arange(len(order)) - np.searchsorted(nodes, nodes)
    inside = rank < cap
    return order[inside], not inside.all()
