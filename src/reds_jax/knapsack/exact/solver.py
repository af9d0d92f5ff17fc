"""The exact solver: Lagrangian bounds fix almost every arc, and label setting decides among the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph
from reds_jax.knapsack.exact.dual import Dual, multiplier_set, solve_dual
from reds_jax.knapsack.exact.fixing import fix_dense, fix_sparse
from reds_jax.knapsack.exact.hopeful import hopeful
from reds_jax.knapsack.exact.labels import search
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Outcome

SLICES = (1 / 256, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
BEAMS = (20, 400)
MAX_EFFORT = 4_000_000


def solve_dense(
    problem: WidthProblem, capacities: Mapping[str, float], *, time_limit: float | None = None, proof: bool = True
) -> Outcome:
    """The best widths of a problem whose arcs fit into memory, proven, unless the time limit ends the search.

    1. ``solve_dual``: multipliers whose Lagrangian bound is (nearly) the smallest. Values of very different sizes are cut
       down by ``hopeful`` to those that matter beside the widths found, and solved anew.
    2. For a value ``need`` just below that bound, keep only the arcs on which a path of such a value may run; a label pass
       over them either finds the best path, or proves that the bound is lower. The slice below the bound grows until a path
       is found.
    3. A last pass over the arcs that may beat the path found proves it best, or finds the best.

    Every step uses integers for values and costs, and allows for the rounding of the floats in its bounds.

    Args:
        problem: the width problem.
        capacities: name -> limit.
        time_limit: seconds; None for as long as it takes.
        proof: False leaves out the last pass: good widths, in a fraction of the time.

    Raises:
        InvalidArgumentError: if a layer has more than ``layered.MAX_ARCS`` arcs.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    graph = DenseGraph(problem, capacities)
    if not graph.connected() or any(c[0][0] > limit for c, limit in zip(graph.cheapest, graph.capacity, strict=True)):
        return Outcome(None, None, True)
    dual = solve_dual(graph)
    best = max(dual.paths, key=lambda p: (p[0], *(-p[1]).tolist()), default=None)
    if best is not None:
        narrower = hopeful(problem, float(problem.evaluate(graph.widths(best[2]))))
        if narrower is not None:
            left = None if deadline is None else max(deadline - time.monotonic(), 1e-3)
            return solve_dense(narrower, capacities, time_limit=left, proof=proof)
    gap = 1 if graph.exact_values else 4 * len(graph.layers)
    top = int(np.floor(dual.bound))
    bottom = best[0] if best is not None else -int(graph.value_scale) - 1 - gap
    if top >= bottom + gap:
        best, top = _slices(graph, dual, best, bottom, top, gap, deadline, proof)
    return _outcome(problem, graph, best, top, gap)


Path = tuple[int, np.ndarray, list[int]]


def _slices(
    graph: DenseGraph, dual: Dual, best: Path | None, bottom: int, top: int, gap: int, deadline: float | None, proof: bool
) -> tuple[Path | None, int]:
    """Slices below the upper bound, searched by beams until one holds a path; then (``proof``) the exact pass above that path.

    Returns the best path, and the largest value that is not excluded.
    """
    many = multiplier_set(dual.multipliers)
    reach, ahead = graph.forward(many[0]), graph.backward(many[0])
    ceiling, low = top, bottom
    for share in SLICES:
        need = max(bottom + gap, ceiling - int(share * (ceiling - bottom)))
        if need > top:
            continue
        arcs = fix_dense(graph, many[0], reach, ahead, need)
        arcs, bounds = fix_sparse(graph, arcs, many, need)
        late = False
        for beam in BEAMS:
            if beam * sum(len(layer.flat) for layer in arcs) > MAX_EFFORT and beam > BEAMS[0]:
                break
            result = search(graph, arcs, bounds, cap=beam, deadline=deadline)
            if result.path is not None:
                best, low = result.path, result.path[0]
            if result.complete:
                top = max(need - 1, low)
            late = result.timed_out
            if result.path is not None or result.complete or late:
                break
        if low > bottom or late:
            break
    need = low + gap
    if proof and top >= need and (deadline is None or time.monotonic() < deadline):
        arcs = fix_dense(graph, many[0], reach, ahead, need)
        arcs, bounds = fix_sparse(graph, arcs, many, need, rounds=2)
        result = search(graph, arcs, bounds, deadline=deadline)
        if result.path is not None:
            best, low = result.path, result.path[0]
        if result.complete:
            top = max(low, need - 1)
    return best, top


def _outcome(problem: WidthProblem, graph: DenseGraph, best: Path | None, top: int, gap: int) -> Outcome:
    if best is None:
        return Outcome(None, None, top < -graph.value_scale)
    widths = graph.widths(best[2])
    proven = top < best[0] + gap
    if graph.exact_values:
        return Outcome(widths, max(top, best[0]), proven)
    value = problem.evaluate(widths)
    rounding = (gap + len(graph.layers)) * graph.value_unit
    return Outcome(widths, value + max(top - best[0], 0) * graph.value_unit + rounding, proven)
