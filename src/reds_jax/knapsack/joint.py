"""The joint optimum of nested subnetworks, among the few choices of widths that can still beat the best known.

With D = sum over subnetworks of an upper bound on its value - total of the best known, a better nested choice loses less
than D in all its subnetworks together, so each of them loses less than D. Where the choices that lose so little can be
listed, a dynamic program over the lists decides: the least loss of a choice is its own plus that of the best smaller
subnetwork inside it. Otherwise a MILP over the widths that are left decides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from reds_jax.knapsack.exact.dense import DenseGraph
from reds_jax.knapsack.exact.hopeful import hopeful
from reds_jax.knapsack.exact.remainder import Remainder, remainder
from reds_jax.knapsack.exact.wide import WIDE, narrow
from reds_jax.knapsack.layered import MAX_ARCS
from reds_jax.knapsack.milp.flow import FlowModel
from reds_jax.knapsack.milp.highs import import_cvxpy, run_highs
from reds_jax.knapsack.milp.solver import MAX_CUTS, over_budget, value_gap
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Stages
from reds_jax.knapsack.table import exact_sum

MOST_CHOICES = 200_000
SHARES = tuple(2.0**-k for k in range(8, -1, -1))
BLOCK = 64


def improve_joint(
    problem: WidthProblem,
    limits: Sequence[Mapping[str, float]],
    bounds: Sequence[float | int],
    best: Stages | None,
    *,
    time_limit: float | None = None,
) -> tuple[Stages | None, float | int | None, bool]:
    """Nested widths of larger total value than ``best``, if there are any.

    Args:
        problem: the width problem.
        limits: capacities, from the smallest subnetwork to the largest.
        bounds: an upper bound on the value of each subnetwork, such as its separate optimum.
        best: nested widths to improve on, or None (then a MILP over all widths decides).
        time_limit: seconds.

    Returns:
        the better widths, or ``best``; an upper bound on the total if it is not proven, else None; proven or not.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    if best is None:
        return _milp(problem, limits, None, None, deadline)
    spare = exact_sum(bounds) - exact_sum([problem.evaluate(w) for w in best])  # a better choice loses less in each subnetwork
    problem = hopeful(problem, float(min(bounds) - spare)) or problem
    if problem.arcs() > WIDE:
        kept = [narrow(problem, limit, bound - spare, deadline)[0] for limit, bound in zip(limits, bounds, strict=True)]
        left = [k for k in kept if k is not None]
        if len(left) == len(kept):
            problem = problem.only([np.unique(np.concatenate(parts)) for parts in zip(*left, strict=True)])
        if problem.arcs() > MAX_ARCS:
            return best, None, False
    graphs = [DenseGraph(problem, limit) for limit in limits]
    unit, layers = graphs[0].value_unit, len(graphs[0].layers)
    slack = 0 if graphs[0].exact_values else 2 * layers
    tops = [math.ceil(b / unit) + slack if slack else int(b) for b in bounds]
    known = sum(_whole_value(graphs[0], w) for w in best)
    margin = 1 if not slack else 8 * layers * len(limits)
    most = sum(tops) - known - margin  # the largest total loss of a better choice
    if most < 0:
        return best, None, True
    rests = [remainder(graph, top - most) for graph, top in zip(graphs, tops, strict=True)]
    excluded = -1  # every nested choice loses more than this
    for share in SHARES:
        loss = math.floor(most * share)
        lists = _lists(rests, tops, loss, deadline)
        if lists is None:
            break
        found = _least_loss(lists, loss)
        if found is not None:
            stages = tuple(tuple(w[i] for w, i in zip(problem.widths, row, strict=True)) for row in found)
            return stages, None, True
        excluded = loss
        if loss == most:
            return best, None, True
    stages, bound, proven = _milp(problem, limits, best, [rest.masks() for rest in rests], deadline)
    ceiling = (sum(tops) - excluded) * unit if slack else sum(tops) - excluded - 1
    return stages, None if bound is None else min(bound, ceiling), proven


def _whole_value(graph: DenseGraph, widths: Sequence[int]) -> int:
    """The value in the integer units of the graph."""
    index = graph.problem.index(widths)
    total = 0
    for layer, value in zip(graph.layers, graph.value, strict=True):
        at = []
        for block, size in zip(layer.blocks, value.shape, strict=True):
            flat = 0
            for g in block:
                flat = flat * len(graph.problem.widths[g]) + index[g]
            at.append(flat if size > 1 else 0)
        total += int(value[tuple(at)])
    return total


def _lists(
    rests: Sequence[Remainder], tops: Sequence[int], loss: int, deadline: float | None
) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """For each subnetwork the choices that lose at most ``loss`` and their losses, ascending; None if too many."""
    lists = []
    for rest, top in zip(rests, tops, strict=True):
        found = rest.tighten(top - loss).choices(MOST_CHOICES, deadline)
        if found is None:
            return None
        index, values = found
        order = np.argsort(-values, kind="stable")
        lists.append((index[order], top - values[order]))
    return lists


def _least_loss(lists: Sequence[tuple[np.ndarray, np.ndarray]], most: int) -> list[list[int]] | None:
    """The nested choice of the least total loss, as positions of widths, or None if every one loses more than ``most``."""
    inner, total = lists[0]
    kept: list[tuple[np.ndarray, np.ndarray]] = [(inner, np.full(len(inner), -1))]
    for outer, loss in lists[1:]:
        order = np.argsort(total, kind="stable")
        inner, total = inner[order], total[order]
        best = np.full(len(outer), -1)
        open_rows = np.arange(len(outer))
        for low in range(0, len(inner), BLOCK):
            open_rows = open_rows[loss[open_rows] + total[low] <= most]
            if not len(open_rows):
                break
            block = inner[low : low + BLOCK]
            fits = np.ones((len(open_rows), len(block)), dtype=bool)
            for g in range(block.shape[1]):
                fits &= block[:, g] <= outer[open_rows, g][:, None]
            first = fits.argmax(axis=1)
            hit = fits[np.arange(len(open_rows)), first]
            best[open_rows[hit]] = low + first[hit]
            open_rows = open_rows[~hit]
        rows = np.flatnonzero(best >= 0)
        rows = rows[loss[rows] + total[best[rows]] <= most]
        kept.append((outer[rows], order[best[rows]]))
        inner, total = outer[rows], loss[rows] + total[best[rows]]
    if not len(total):
        return None
    at = int(np.argmin(total))
    if total[at] > most:
        return None
    chosen = []
    for index, parent in reversed(kept):
        chosen.append(index[at].tolist())
        at = int(parent[at])
    return chosen[::-1]


def _milp(
    problem: WidthProblem,
    limits: Sequence[Mapping[str, float]],
    best: Stages | None,
    masks: Sequence[dict[tuple[int, ...], np.ndarray]] | None,
    deadline: float | None,
) -> tuple[Stages | None, float | int | None, bool]:
    """One flow form for each subnetwork, tied by [n^s >= t] <= [n^(s+1) >= t] for every group and threshold t."""
    cp = import_cvxpy()
    models = [FlowModel(problem, limit, mask) for limit, mask in zip(limits, masks or [None] * len(limits), strict=True)]
    rows = [c for model in models for c in model.constraints]
    for small, large in pairwise(models):
        for a, b in zip(small.x, large.x, strict=True):
            if a.size > 1:
                tail = np.triu(np.ones((a.size, a.size)))[1:]
                rows.append(tail @ a <= tail @ b)
    objective = cp.sum(cp.hstack([model.value for model in models]))
    scale = models[0].scale
    gap = min(value_gap(problem, scale), 0.5)
    if best is not None:
        rows.append(objective >= sum(problem.evaluate(w) for w in best) / scale + gap / 2)
    for _ in range(MAX_CUTS):
        run = run_highs(objective, rows, gap, deadline)
        if run.status == "infeasible":
            return best, None, True
        bound = run.bound * scale
        stages = tuple(w for model in models if (w := model.chosen()) is not None)
        if len(stages) < len(models):
            return best, bound, False
        nested = all(a <= b for s, t in pairwise(stages) for a, b in zip(s, t, strict=True))
        if nested and not any(over_budget(problem, lim, w) for lim, w in zip(limits, stages, strict=True)):
            return stages, None if run.status == "optimal" else bound, run.status == "optimal"
        terms = [model.exclude(w) for model, w in zip(models, stages, strict=True)]
        rows.append(sum(t[0] for t in terms) <= sum(t[1] for t in terms) - 1)
    raise RuntimeError(f"HiGHS returned {MAX_CUTS} choices of widths over a capacity; rescale the costs")
