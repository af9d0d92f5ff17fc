"""The flow form of the MILP: a binary for each width, and a flow over each combination that a table spans."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reds_jax.knapsack.milp.highs import import_cvxpy
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import TOLERANCE, Table, table_scale

Masks = Mapping[tuple[int, ...], np.ndarray]


class FlowModel:
    """The flow form of one problem under its capacities.

    Args:
        problem: the width problem.
        limits: name -> capacity.
        masks: for some tuples of groups (ascending) the combinations that need to be considered; others are left out.
    """

    def __init__(self, problem: WidthProblem, limits: Mapping[str, float], masks: Masks | None = None) -> None:
        cp = import_cvxpy()
        sizes = [len(w) for w in problem.widths]
        limited = {n: v for n, v in limits.items() if not math.isinf(v)}
        allowed: dict[tuple[int, ...], np.ndarray] = {}
        sums = {"": problem.values} | {n: problem.resources[n] for n in limited if n in problem.resources}
        merged = {name: _merge(tables) for name, tables in sums.items()}
        for name, tables in problem.peaks.items():
            if name in limited:
                for span, array in _merge(tables, np.maximum).items():
                    inside = array <= limited[name]
                    allowed[span] = allowed.get(span, np.True_) & inside
        for span, mask in (masks or {}).items():
            allowed[span] = allowed.get(span, np.True_) & mask
        spans = sorted({s for m in merged.values() for s in m} | set(allowed))
        self.x = [cp.Variable(n, boolean=True) for n in sizes]
        self.constraints: list[Any] = [cp.sum(x) == 1 for x in self.x]
        parts: dict[tuple[int, ...], tuple[Any, np.ndarray]] = {}
        for span in spans:
            shape = [sizes[g] for g in span]
            inside = np.broadcast_to(allowed.get(span, np.True_), shape)
            kept = np.flatnonzero(inside)
            if len(span) == 1:
                parts[span] = (self.x[span[0]], np.arange(sizes[span[0]]))
                if len(kept) < sizes[span[0]]:
                    self.constraints.append(self.x[span[0]][np.flatnonzero(~inside)] == 0)
                continue
            if not len(kept):
                self.constraints.append(cp.sum(self.x[span[0]]) == 0)
                continue
            y = cp.Variable(len(kept), nonneg=True)
            for axis, index in enumerate(np.unravel_index(kept, shape)):
                self.constraints.append(_incidence(index, shape[axis]) @ y == self.x[span[axis]])
            parts[span] = (y, kept)
        self.offset = 0.0
        self.scale = max(table_scale([t.array for t in problem.values]), 1e-300) / 1e4

        def total(name: str, unit: float) -> Any:
            terms = [(a.ravel()[parts[s][1]] / unit) @ parts[s][0] for s, a in merged[name].items() if s in parts]
            return cp.sum(cp.hstack(terms)) if terms else cp.Constant(0.0)

        self.value = total("", self.scale)
        for name, limit in limited.items():
            if name in problem.resources:
                unit = max(abs(limit), 1.0)
                slack = TOLERANCE * table_scale([t.array for t in problem.resources[name]])
                whole = all(t.array.dtype.kind == "i" for t in problem.resources[name])
                self.constraints.append(total(name, unit) <= (math.floor(limit) if whole else limit + slack) / unit)
        self.widths = {
            name: np.asarray(w, dtype=np.float64) @ x for name, w, x in zip(problem.groups, problem.widths, self.x, strict=True)
        }
        self.problem, self.limits = problem, limits

    def chosen(self) -> tuple[int, ...] | None:
        """The widths of the solver's solution, or None if it has none."""
        found = []
        for x, widths in zip(self.x, self.problem.widths, strict=True):
            if x.value is None or len(x.value) != len(widths):
                return None
            level = np.asarray(x.value)
            best = int(np.argmax(level))
            if abs(level[best] - 1) > 1e-3 or abs(level.sum() - 1) > 1e-3:
                return None
            found.append(widths[best])
        return tuple(found)

    def exclude(self, widths: Sequence[int]) -> tuple[Any, int]:
        """How many groups have these widths, as an expression, and the number of groups."""
        return sum(x[w.index(n)] for x, w, n in zip(self.x, self.problem.widths, widths, strict=True)), len(widths)

    def at_least(self, group: int, width: int) -> Any:
        """The binary expression "the group has at least this width"."""
        return sum((self.x[group][i] for i, w in enumerate(self.problem.widths[group]) if w >= width), start=0)


def _merge(tables: Sequence[Table], join: np.ufunc = np.add) -> dict[tuple[int, ...], np.ndarray]:
    """Tables by the ascending tuple of their groups, those over the same groups joined."""
    merged: dict[tuple[int, ...], np.ndarray] = {}
    for table in tables:
        order = np.argsort([int(g) for g in table.groups])
        span = tuple(int(table.groups[i]) for i in order)
        array = table.array.transpose(order)
        merged[span] = join(merged[span], array) if span in merged else array
    return merged


def _incidence(index: np.ndarray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(index)), (index, np.arange(len(index)))), shape=(rows, len(index)))
