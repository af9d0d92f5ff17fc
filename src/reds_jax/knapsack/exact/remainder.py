"""What is left of a problem once every choice below a value is given up: few enough choices to list, or a smaller MILP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph
from reds_jax.knapsack.exact.dual import Dual, multiplier_set, solve_dual
from reds_jax.knapsack.exact.fixing import Arcs, Bounds, fix_dense, fix_sparse
from reds_jax.knapsack.exact.labels import all_paths


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


def remainder(graph: DenseGraph, need: int, dual: Dual | None = None) -> Remainder:
    """Fix the arcs of a feasible graph that are not part of any choice of value >= need (in its integer units)."""
    dual = dual or solve_dual(graph)
    many = multiplier_set(dual.multipliers)
    arcs = fix_dense(graph, many[0], graph.forward(many[0]), graph.backward(many[0]), need)
    return Remainder(graph, *fix_sparse(graph, arcs, many, need, rounds=2))
