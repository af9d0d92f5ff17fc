"""Label setting over the arcs that the bounds have left.

A label is a path from the source to a state, with its exact value and costs. It goes no further if it cannot meet a
capacity (cheapest completion), cannot reach the value that is needed (bound), or is beaten at its state (dominance).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph
from reds_jax.knapsack.exact.fixing import Arcs, Bounds

CHUNK = 2_000_000
WINDOW = 24


@dataclass
class Search:
    """The outcome of a label pass: the best path or None, and whether every path of the value needed was covered."""

    path: tuple[int, np.ndarray, list[int]] | None
    complete: bool
    timed_out: bool = False


def search(
    graph: DenseGraph,
    arcs: list[Arcs],
    bounds: Bounds,
    *,
    cap: int | None = None,
    deadline: float | None = None,
) -> Search:
    """Label setting for the best path of value >= ``bounds.need``: completion, bound and dominance prune it.

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
        extended = _extend_all(graph, t, layer, node, value, cost, bounds, deadline)
        if extended is None:
            return Search(None, False, timed_out=True)
        parent, arc, value, cost, upper = extended
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
    best = np.lexsort((*cost[::-1], -value))[:1]
    path = _backtrack(parents, taken, best)[0].tolist()
    return Search((int(value[best[0]]), cost[:, best[0]], path), complete)


def all_paths(
    graph: DenseGraph,
    arcs: list[Arcs],
    bounds: Bounds,
    *,
    most: int,
    deadline: float | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Every path of value >= ``bounds.need`` within the capacities: arcs (paths, layers), values; None if above ``most``."""
    node = np.zeros(1, dtype=np.int64)
    value = np.zeros(1, dtype=np.int64)
    cost = np.zeros((len(graph.names), 1), dtype=np.int64)
    parents: list[np.ndarray] = []
    taken: list[np.ndarray] = []
    for t, layer in enumerate(arcs):
        extended = _extend_all(graph, t, layer, node, value, cost, bounds, deadline)
        if extended is None or len(extended[0]) > most:
            return None
        parent, arc, value, cost, _ = extended
        node = layer.head[arc]
        parents.append(parent)
        taken.append(layer.flat[arc])
    return _backtrack(parents, taken, np.arange(len(node))), value


def _backtrack(parents: list[np.ndarray], taken: list[np.ndarray], at: np.ndarray) -> np.ndarray:
    """The arcs of the paths that end in the given labels, shape (labels, layers)."""
    found = []
    for parent, flat in zip(reversed(parents), reversed(taken), strict=True):
        found.append(flat[at])
        at = parent[at]
    return np.stack(found[::-1], axis=1)


def _extend_all(
    graph: DenseGraph,
    t: int,
    layer: Arcs,
    node: np.ndarray,
    value: np.ndarray,
    cost: np.ndarray,
    bounds: Bounds,
    deadline: float | None,
) -> tuple[np.ndarray, ...] | None:
    """All labels one layer further, in chunks: parent, arc, value, cost and bound; None if the time is over."""
    starts = np.searchsorted(layer.tail, node)
    fan = np.searchsorted(layer.tail, node, side="right") - starts
    ends = np.cumsum(fan)
    parts = []
    low = 0
    while low < len(node):
        offset = ends[low - 1] if low else 0
        high = max(int(np.searchsorted(ends, offset + CHUNK, side="right")), low + 1)
        if deadline is not None and time.monotonic() > deadline:
            return None
        size = fan[low:high]
        parent = np.repeat(np.arange(low, high), size)
        shift = starts[low:high] - (ends[low:high] - size - offset)
        arc = np.arange(int(size.sum())) + np.repeat(shift, size)
        parts.append(_extend(graph, t, layer, value, cost, parent, arc, bounds))
        low = high
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, value, cost, np.zeros(0)
    return tuple(np.concatenate([p[i] for p in parts], axis=-1) for i in range(5))


def _extend(
    graph: DenseGraph,
    t: int,
    layer: Arcs,
    value: np.ndarray,
    cost: np.ndarray,
    parent: np.ndarray,
    arc: np.ndarray,
    bounds: Bounds,
) -> tuple[np.ndarray, ...]:
    """Labels over the given arcs that can still meet every capacity and reach the value that is needed."""
    head = layer.head[arc]
    new_cost = cost[:, parent] + layer.cost[:, arc]
    fits = np.ones(len(arc), dtype=bool)
    for r, limit in enumerate(graph.capacity):
        fits &= new_cost[r] + graph.cheapest[r][t + 1][head] <= limit
    new_value = value[parent] + layer.value[arc]
    upper = np.full(len(arc), np.inf)
    for multipliers, ahead in zip(bounds.many, bounds.completions, strict=True):
        bound = new_value + ahead[t + 1][head]
        for r, price in enumerate(multipliers):
            bound -= price * new_cost[r]
        upper = np.minimum(upper, bound)
    fits &= (upper if t + 1 < len(graph.layers) else new_value) >= bounds.need
    return parent[fits], arc[fits], new_value[fits], new_cost[:, fits], upper[fits]


def undominated(node: np.ndarray, value: np.ndarray, cost: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Labels that no other label at the same state beats: at most its cost in every resource, at least its value.

    With one resource the test is complete: sort by (state, cost) and compare with the cumulative maximum of the value.
    With more it is a comparison with the neighbours in the orders of bound and costs, so some dominated labels stay: that
    costs time, never correctness.
    """
    if len(node) <= 1:
        return np.arange(len(node))
    if len(cost) <= 1:
        price = cost[0] if len(cost) else np.zeros_like(value)
        order = _order(node, price)
        nodes, values = node[order], value[order]
        first = np.append(True, nodes[1:] != nodes[:-1])
        span = int(values.max()) - int(values.min()) + 1
        group = np.cumsum(first) - 1
        if span * (int(group[-1]) + 2) >= 2**62:
            values = np.unique(values, return_inverse=True)[1].reshape(-1)
            span = len(values) + 1
        level = values - values.min() + group * span
        best = np.maximum.accumulate(level)
        order = order[np.append(True, level[1:] > best[:-1])]  # values now ascend within a state
        tied = (node[order[1:]] == node[order[:-1]]) & (price[order[1:]] == price[order[:-1]])
        return order[np.append(~tied, True)]
    order = np.arange(len(node))
    for key in (-upper, *cost):
        order = order[np.lexsort((-value[order], key[order], node[order]))]
        order = _windowed(node, value, cost, order)
    return order


def _order(node: np.ndarray, price: np.ndarray) -> np.ndarray:
    """Ascending by (node, price), by one 64-bit key where both fit."""
    low, high = int(price.min()), int(price.max())
    if (high - low + 1) * (int(node.max()) + 1) < 2**62:
        return np.argsort(node * (high - low + 1) + (price - low), kind="stable")
    return np.lexsort((price, node))


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
