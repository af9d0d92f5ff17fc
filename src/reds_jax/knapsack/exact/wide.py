"""Problems of any size: groups of thousands of widths are narrowed to the few that may matter, and those are solved.

1. ``climb``: widths found on a coarse grid, then on finer and finer grids around them.
2. ``narrow``: neighbouring widths are put together into blocks, each with its largest value and its smallest cost. That smaller
   problem is a relaxation, so a block in which its Lagrangian bound falls short of the widths known holds nothing better,
   and is dropped. The blocks left are halved, until they are single widths.
3. The widths left, a few in each group, are a problem for ``solve_dense``, whose optimum is that of the whole.

Nothing is assumed of the tables: the bounds of a block are the true extremes in it (``Table.blocks``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import layered
from reds_jax.knapsack.exact.dense import DenseGraph
from reds_jax.knapsack.exact.dual import solve_dual
from reds_jax.knapsack.exact.hopeful import hopeful
from reds_jax.knapsack.exact.remainder import remainder
from reds_jax.knapsack.exact.solver import solve_dense
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Outcome

WIDE = 140_000
"""Problems with more arcs than this in a layer are narrowed first."""
COARSE = 32
"""Steps from the smallest width to the largest on the coarse grid."""
REACH = 6
"""Steps on either side on the grids around known widths; each grid is four times as fine as the one before."""
FIRST_ARCS = 20_000
"""Arcs in the largest layer over the first, largest blocks."""

Kept = list[np.ndarray]


def solve_exact(problem: WidthProblem, capacities: Mapping[str, float], *, time_limit: float | None = None) -> Outcome:
    """The best widths under the capacities, proven, unless the time limit ends the search.

    Args:
        problem: the width problem.
        capacities: name -> limit.
        time_limit: seconds; None for as long as it takes.

    Raises:
        InvalidArgumentError: if the widths are too many and no start was found on a coarse grid of them, which can happen only
            if some cost falls as widths grow.
    """
    if problem.arcs() <= WIDE:
        return solve_dense(problem, capacities, time_limit=time_limit)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    known = climb(problem, capacities, deadline)
    if known is None:
        return _none(problem, capacities, deadline)
    value = problem.evaluate(known)
    problem = hopeful(problem, float(value)) or problem
    kept, bound = narrow(problem, capacities, value, deadline)
    if kept is None:
        return Outcome(known, max(bound, value), bound <= value)
    found = solve_dense(problem.only(kept), capacities, time_limit=_left(deadline))
    if found.widths is not None and problem.evaluate(found.widths) >= value:
        known = found.widths
    if found.bound is not None:
        bound = min(bound, max(found.bound, value))  # what was left out is worth less than the widths known
    return Outcome(known, bound, found.proven)


def climb(problem: WidthProblem, capacities: Mapping[str, float], deadline: float | None) -> tuple[int, ...] | None:
    """Good widths within the capacities: the best on a coarse grid, then on finer ones around those; None if there are none."""
    step = -(-max(len(w) for w in problem.widths) // COARSE)
    grid = [np.unique(np.append(np.arange(0, len(w), step), len(w) - 1)) for w in problem.widths]
    best = None
    while True:
        found = solve_dense(problem.only(grid), capacities, time_limit=_left(deadline), proof=False).widths
        better = found is not None and (best is None or problem.evaluate(found) > problem.evaluate(best))
        best = found if better else best
        if best is None or (step == 1 and not better) or _late(deadline):
            return best
        step = max(step // 4, 1)
        around = np.arange(-REACH, REACH + 1) * step
        grid = [np.unique(np.clip(i + around, 0, len(w) - 1)) for i, w in zip(problem.index(best), problem.widths, strict=True)]


def narrow(
    problem: WidthProblem, capacities: Mapping[str, float], least: float, deadline: float | None
) -> tuple[Kept | None, float]:
    """For each group the positions of the widths that can be part of a choice worth ``least`` or more.

    Args:
        problem: the width problem; some widths within the capacities are worth ``least``.
        capacities: name -> limit.
        least: a value.
        deadline: ``time.monotonic()`` after which it gives up.

    Returns:
        the positions, or None if time or memory ended before, or nothing is worth more; and an upper bound on the value.
    """
    kept = [np.arange(len(w)) for w in problem.widths]
    sizes = _first_sizes(problem)
    bound = np.inf
    while True:
        starts = [_starts(k, size) for k, size in zip(kept, sizes, strict=True)]
        graph = DenseGraph(problem.only(kept).relaxed(starts), capacities)
        dual = solve_dual(graph)
        slack = 0 if graph.exact_values else len(graph.layers) + 1
        top = int(np.floor(dual.bound)) if graph.exact_values else (dual.bound + slack) * graph.value_unit
        bound = min(bound, top)
        if bound <= least:
            return None, bound
        need = int(least) if graph.exact_values else int(np.floor(least / graph.value_unit)) - slack
        masks = remainder(graph, need, dual).masks()
        lengths = [np.diff(np.append(s, len(k))) for s, k in zip(starts, kept, strict=True)]
        kept = [k[np.repeat(masks[(g,)], n)] for g, (k, n) in enumerate(zip(kept, lengths, strict=True))]
        if max(sizes) == 1:
            return kept, bound
        smaller = _halved(problem, kept, sizes)
        if smaller == sizes or _late(deadline):
            return None, bound
        sizes = smaller


def _starts(kept: np.ndarray, size: int) -> np.ndarray:
    """Where in the kept positions the blocks of ``size`` positions of the whole begin."""
    block = kept // size
    return np.flatnonzero(np.append(True, block[1:] != block[:-1]))


def _first_sizes(problem: WidthProblem) -> list[int]:
    """Blocks as large in every group, so that few arcs lead from block to block."""
    size = 1
    while problem.arcs([-(-len(w) // size) for w in problem.widths]) > FIRST_ARCS:
        size *= 2
    return [size] * len(problem.widths)


def _halved(problem: WidthProblem, kept: Kept, sizes: list[int]) -> list[int]:
    """Blocks half as large in as many groups as memory allows, the largest blocks first."""
    sizes = list(sizes)
    counts = [len(_starts(k, size)) for k, size in zip(kept, sizes, strict=True)]
    for g in sorted(range(len(sizes)), key=lambda g: (-sizes[g], counts[g])):
        more = counts.copy()
        more[g] = len(_starts(kept[g], max(sizes[g] // 2, 1)))
        if problem.arcs(more) <= layered.MAX_ARCS:
            counts, sizes[g] = more, max(sizes[g] // 2, 1)
    return sizes


def _none(problem: WidthProblem, capacities: Mapping[str, float], deadline: float | None) -> Outcome:
    """No widths of the coarse grid meet the capacities. If those of no block could, there are none."""
    if _late(deadline):
        return Outcome(None, None, False)
    blocks = [np.arange(0, len(w), size) for w, size in zip(problem.widths, _first_sizes(problem), strict=True)]
    found = solve_dense(problem.relaxed(blocks), capacities, time_limit=_left(deadline))
    if found.widths is None:
        return found
    raise InvalidArgumentError(
        "the widths are too many for the exact solver where costs fall as widths grow and the capacities are as tight as this",
        got=f"{problem.arcs()} arcs in a layer", allowed=f"at most {WIDE}",
        hint="Use a larger step between the allowed widths.",
    )  # fmt: skip


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - time.monotonic(), 1e-3)
