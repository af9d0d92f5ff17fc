"""The exact solver: Lagrangian bounds fix almost every arc, and label setting decides among the rest."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.dense import DenseGraph
from reds_jax.knapsack.dual import Dual, solve_dual
from reds_jax.knapsack.fixing import Arcs, Bounds, fix_dense, fix_sparse
from reds_jax.knapsack.labels import all_paths, search
from reds_jax.knapsack.problem import WidthProblem

SCALES = (1.0, 0.9, 1.1, 0.7, 1.4)
SLICES = (1 / 256, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
BEAMS = (20, 400)
MAX_EFFORT = 4_000_000


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
    bottom = best[0] if best is not None else -int(graph.value_scale) - 1 - gap
    if top >= bottom + gap:
        best, top = _slices(graph, dual, best, bottom, top, gap, deadline)
    return _outcome(problem, graph, best, top, gap)


Path = tuple[int, np.ndarray, list[int]]


def _slices(
    graph: DenseGraph, dual: Dual, best: Path | None, bottom: int, top: int, gap: int, deadline: float | None
) -> tuple[Path | None, int]:
    """Slices below the upper bound, searched by beams until one holds a path; then the exact pass above that path.

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
    if top >= need and (deadline is None or time.monotonic() < deadline):
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


@dataclass
class Remainder:
    """What is left of a problem once every choice of value below ``need`` (in integer units) is given up."""

    graph: DenseGraph
    arcs: list[Arcs]
    bounds: Bounds

    def tighten(self, need: int) -> Remainder:
        """The same for a higher need."""
        return Remainder(self.graph, *fix_sparse(self.graph, self.arcs, self.bounds.many, need))

    def choices(self, most: int, deadline: float | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Every choice left: positions of the widths (choices, groups) and integer values; None if above ``most``."""
        found = all_paths(self.graph, self.arcs, self.bounds, most=most, deadline=deadline)
        if found is None:
            return None
        paths, values = found
        index = np.zeros_like(paths)
        for layer, arcs in zip(self.graph.layers, paths.T, strict=True):
            index[:, layer.group] = arcs % layer.shape[2]
        return index, values

    def masks(self) -> dict[tuple[int, ...], np.ndarray]:
        """For each set of groups that share a table, and each group, the combinations of widths that are left."""
        problem = self.graph.problem
        sizes = [len(w) for w in problem.widths]
        masks: dict[tuple[int, ...], np.ndarray] = {}
        tables = [*problem.values, *(t for ts in problem.resources.values() for t in ts)]
        spans = {tuple(sorted(int(g) for g in t.groups)) for t in tables}
        for layer, left in zip(self.graph.layers, self.arcs, strict=True):
            groups = [g for block in layer.blocks for g in block]
            index = dict(zip(groups, np.unravel_index(left.flat, [sizes[g] for g in groups]), strict=True))
            inside = {s for s in spans if layer.group in s and set(s) <= set(groups)}
            for span in sorted(inside | {(layer.group,)}):
                mask = np.zeros([sizes[g] for g in span], dtype=bool)
                mask[tuple(index[g] for g in span)] = True
                masks[span] = mask
        return masks


def remainder(graph: DenseGraph, need: int) -> Remainder:
    """Fix the arcs of a feasible graph that are not part of any choice of value >= need (in its integer units)."""
    dual = solve_dual(graph)
    many = multiplier_set(dual.multipliers)
    arcs = fix_dense(graph, many[0], graph.forward(many[0]), graph.backward(many[0]), need)
    return Remainder(graph, *fix_sparse(graph, arcs, many, need, rounds=2))
