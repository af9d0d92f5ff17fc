"""The multipliers: the Lagrangian dual of the capacities, solved by column generation.

The dual of min over multipliers of max over paths is a linear program over convex combinations of paths with one row for
each resource. Its simplex basis has K + 1 columns, and the next column is a longest path at the current prices. With one
resource this is the method of chords: from two paths, the slope dV / dC, until no new path appears.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph

SCALES = (1.0, 0.9, 1.1, 0.7, 1.4)


@dataclass
class Dual:
    """What the dual gives: multipliers, an upper bound (in units of the integer values), and feasible paths met."""

    multipliers: np.ndarray
    bound: float
    paths: list[tuple[int, np.ndarray, list[int]]] = field(default_factory=list)


def solve_dual(graph: DenseGraph, *, max_columns: int = 60) -> Dual:
    """Multipliers that (nearly) minimise the Lagrangian bound; the bound is valid wherever the iteration stops."""
    count = len(graph.names)
    capacity = graph.capacity.astype(np.float64)
    zero = np.zeros(count)
    dual = Dual(zero, np.inf)
    seen: set[tuple[int, ...]] = set()

    def price(multipliers: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Bound at these multipliers; the column of the path if it is new."""
        reach = graph.forward(multipliers)
        bound = float(reach[-1][0] + multipliers @ capacity + graph.rounding(multipliers))
        if bound < dual.bound:
            dual.multipliers, dual.bound = multipliers, bound
        arcs = graph.trace(multipliers, reach)
        if tuple(arcs) in seen:
            return None
        seen.add(tuple(arcs))
        value, cost = graph.totals(arcs)
        if (cost <= graph.capacity).all():
            dual.paths.append((value, cost, arcs))
        return float(value), cost.astype(np.float64)

    first = price(zero)
    if count == 0 or dual.paths:  # the longest path of all meets the capacities
        return dual
    least = np.array([c[0][0] for c in graph.cheapest], dtype=np.float64)
    scale = np.maximum(capacity - least, 1.0)
    room = np.append((capacity - least) / scale, 1.0)

    def column(value: float, cost: np.ndarray) -> tuple[float, np.ndarray]:
        return value, np.append((cost - least) / scale, 1.0)

    spread = 2.0 * graph.value_scale + 1.0
    columns = [(0.0, np.eye(count + 1)[r]) for r in range(count)]  # slacks
    columns.append((-2.0 * spread, np.eye(count + 1)[count]))  # a path that is free and worthless
    basis = list(range(count + 1))
    assert first is not None
    columns.append(column(*first))
    entering = len(columns) - 1
    for _ in range(4 * max_columns):
        matrix = np.stack([columns[j][1] for j in basis], axis=1)
        level = np.linalg.solve(matrix, room)
        if entering >= 0:
            step = np.linalg.solve(matrix, columns[entering][1])
            limit = np.where(step > 1e-9, np.maximum(level, 0.0) / np.where(step > 1e-9, step, 1.0), np.inf)
            leaving = int(np.argmin(limit))
            if not np.isfinite(limit[leaving]):
                break
            basis[leaving] = entering
            matrix = np.stack([columns[j][1] for j in basis], axis=1)
        prices = np.linalg.solve(matrix.T, np.array([columns[j][0] for j in basis]))
        gains = np.array([value - prices @ body for value, body in columns])
        gains[basis] = 0.0
        entering = int(np.argmax(gains))
        if gains[entering] > 1e-9 * spread:
            continue
        if len(seen) >= max_columns:
            break
        multipliers = np.maximum(prices[:-1], 0.0) / scale
        new = price(multipliers)
        if new is None:
            break
        columns.append(column(*new))
        entering = len(columns) - 1
        if columns[-1][0] - prices @ columns[-1][1] <= 1e-9 * spread:
            break
    return dual


def multiplier_set(multipliers: np.ndarray) -> list[np.ndarray]:
    """Multipliers around the best ones; bounds at several of them cut off what one alone cannot."""
    many = [multipliers * scale for scale in SCALES]
    if len(multipliers) > 1:
        for r in np.flatnonzero(multipliers):
            for scale in (0.7, 1.4):
                other = multipliers.copy()
                other[r] *= scale
                many.append(other)
    return many if multipliers.any() else many[:1]
