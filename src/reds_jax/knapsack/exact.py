"""The exact solver: Lagrangian bounds fix almost every arc, and label setting decides among the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.dense import DenseGraph
from reds_jax.knapsack.dual import solve_dual
from reds_jax.knapsack.labels import Arcs, fix_dense, fix_sparse, search
from reds_jax.knapsack.problem import WidthProblem

SCALES = (1.0, 0.9, 1.1, 0.7, 1.4)
SLICES = (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
BEAM = 40


@dataclass
class Outcome:
    """Widths (None if no choice was found), an upper bound on the value (exact integers stay so), proven or not."""

    widths: tuple[int, ...] | None
    bound: float | int | None
    proven: bool


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


def solve_exact(problem: WidthProblem, capacities: Mapping[str, float], *, time_limit: float | None = None) -> Outcome:
    """The best widths under the capacities, proven, unless the time limit ends the search.

    1. ``solve_dual``: multipliers whose Lagrangian bound is (nearly) the smallest.
    2. For a value ``need`` just below that bound, keep only the arcs on which a path of such a value may run; a label pass
       over them either finds the best path, or proves that the bound is lower. The slice below the bound grows until a path
       is found.
    3. A last pass over the arcs that may beat the path found proves it best, or finds the best.

    Every step uses integers for values and costs, and allows for the rounding of the floats in its bounds.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    graph = DenseGraph(problem, capacities)
    if not graph.connected() or any(c[0][0] > limit for c, limit in zip(graph.cheapest, graph.capacity, strict=True)):
        return Outcome(None, None, True)
    dual = solve_dual(graph)
    best = max(dual.paths, key=lambda p: (p[0], *(-p[1]).tolist()), default=None)
    gap = 1 if graph.exact_values else 4 * len(graph.layers)
    top = int(np.floor(dual.bound))
    bottom = best[0] if best is not None else -int(graph.value_scale) - 1
    many = multiplier_set(dual.multipliers)
    if top >= bottom + gap:
        reach, ahead = graph.forward(dual.multipliers), graph.backward(dual.multipliers)
        best, top = _slices(graph, many, reach, ahead, best, bottom, top, gap, deadline)
    return _outcome(problem, graph, best, top, gap)


def _slices(graph, many, reach, ahead, best, bottom, top, gap, deadline):  # noqa: ANN001, ANN202
    """Slices below the upper bound, each searched by a beam, until one holds a path; then the exact pass."""
    start, low, found = top, bottom, False
    for share in SLICES:
        need = max(low + gap, start - int(share * (start - bottom)))
        if need > top:
            continue
        arcs = fix_dense(graph, many[0], reach, ahead, need)
        arcs, completions = fix_sparse(graph, arcs, many, need)
        result = search(graph, arcs, many, completions, need, cap=BEAM, deadline=deadline)
        if result.path is not None:
            best, low, found = result.path, result.path[0], True
        if result.complete:
            top = max(need - 1, low)
        if found or result.timed_out:
            break
    need = low + gap
    while top >= need:
        if deadline is not None and time.monotonic() > deadline:
            break
        arcs = fix_dense(graph, many[0], reach, ahead, need)
        arcs, completions = fix_sparse(graph, arcs, many, need)
        arcs, completions = fix_sparse(graph, arcs, many, need)
        result = search(graph, arcs, many, completions, need, deadline=deadline)
        if result.path is not None:
            best, low = result.path, result.path[0]
        if result.complete:
            top = max(low, need - 1)
        break
    return best, top


def _outcome(problem: WidthProblem, graph: DenseGraph, best, top: int, gap: int) -> Outcome:  # noqa: ANN001
    if best is None:
        return Outcome(None, None, top < -graph.value_scale)
    widths = graph.widths(best[2])
    proven = top < best[0] + gap
    if graph.exact_values:
        return Outcome(widths, max(top, best[0]), proven)
    value = problem.evaluate(widths)
    rounding = (gap + len(graph.layers)) * graph.value_unit
    return Outcome(widths, value + max(top - best[0], 0) * graph.value_unit + rounding, proven)
