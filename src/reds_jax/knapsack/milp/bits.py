"""The bits form of the MILP: widths in binary, products of two widths linearised bit by bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from reds_jax.knapsack.milp.highs import import_cvxpy
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import TOLERANCE, Table, table_scale


def bilinear(table: Table, widths: Sequence[Sequence[int]]) -> tuple[float, float, float, float] | None:
    """Coefficients (f, u, w, c) with table(a, b) = f a b + u a + w b + c exactly, or None; for one group f = w = 0."""
    array = table.array
    first = np.asarray(widths[int(table.groups[0])], dtype=array.dtype)
    if array.ndim == 1:
        u = (array[-1] - array[0]) / max(first[-1] - first[0], 1)
        c = array[0] - u * first[0]
        return (0.0, float(u), 0.0, float(c)) if _close(array, u * first + c) else None
    if array.ndim != 2:
        return None
    second = np.asarray(widths[int(table.groups[1])], dtype=array.dtype)
    da, db = max(first[-1] - first[0], 1), max(second[-1] - second[0], 1)
    f = (array[-1, -1] - array[-1, 0] - array[0, -1] + array[0, 0]) / (da * db)
    u = (array[-1, 0] - array[0, 0]) / da - f * second[0]
    w = (array[0, -1] - array[0, 0]) / db - f * first[0]
    c = array[0, 0] - f * first[0] * second[0] - u * first[0] - w * second[0]
    a, b = first[:, None], second[None, :]
    return (float(f), float(u), float(w), float(c)) if _close(array, f * a * b + u * a + w * b + c) else None


def _close(array: np.ndarray, fit: np.ndarray) -> bool:
    return bool(np.abs(array - fit).max() <= 1e-12 * max(float(np.abs(array).max()), 1.0))


def _even(widths: Sequence[int]) -> bool:
    return len({b - a for a, b in pairwise(widths)}) <= 1


def fits_bits(problem: WidthProblem, limits: Mapping[str, float]) -> bool:
    """Whether the bits form holds: even widths, unary concave values, linear or bilinear costs, no peak limited."""
    if any(name in problem.peaks for name in limits) or not all(_even(w) for w in problem.widths):
        return False
    for table in problem.values:
        if table.array.ndim != 1 or (np.diff(table.array, 2) > 0).any():
            return False
    return all(bilinear(t, problem.widths) is not None for name in limits for t in problem.resources[name])


class BitsModel:
    """The bits form of one problem under its capacities; the attributes are those of ``FlowModel``."""

    def __init__(self, problem: WidthProblem, limits: Mapping[str, float]) -> None:
        cp = import_cvxpy()
        self.problem, self.limits = problem, limits
        self.constraints: list[Any] = []
        self.bits: list[tuple[Any, np.ndarray]] = []
        self.n: list[Any] = []
        for widths in problem.widths:
            steps = len(widths) - 1
            weights = 2.0 ** np.arange(max(steps.bit_length(), 1))
            beta = cp.Variable(len(weights), boolean=True)
            self.constraints.append(weights @ beta <= steps)
            stride = widths[1] - widths[0] if steps else 0
            self.bits.append((beta, weights * stride))
            self.n.append(widths[0] + (weights * stride) @ beta)
        self.widths = dict(zip(problem.groups, self.n, strict=True))
        self.scale = max(table_scale([t.array for t in problem.values]), 1e-300) / 1e4
        gains: list[np.ndarray] = [np.zeros(len(w)) for w in problem.widths]
        for table in problem.values:
            gains[int(table.groups[0])] = gains[int(table.groups[0])] + table.array
        base = sum(float(g[0]) for g in gains) / self.scale
        terms = [cp.Constant(base)]
        self.offset = base
        for gain, n, widths in zip(gains, self.n, problem.widths, strict=True):
            if len(widths) > 1:
                z = cp.Variable(len(widths) - 1, bounds=[0, 1])
                self.constraints.append(cp.sum(z) * (widths[1] - widths[0]) == n - widths[0])
                terms.append((np.diff(gain) / self.scale) @ z)
        self.value = cp.sum(cp.hstack(terms))
        products: dict[tuple[int, int], Any] = {}
        for name, limit in limits.items():
            if math.isinf(limit):
                continue
            unit, total = max(abs(limit), 1.0), 0.0
            whole = all(t.array.dtype.kind == "i" for t in problem.resources[name])
            for table in problem.resources[name]:
                found = bilinear(table, problem.widths)
                assert found is not None
                f, u, w, c = (v / unit for v in found)
                i = int(table.groups[0])
                total = total + u * self.n[i] + c
                if table.array.ndim == 2:
                    j = int(table.groups[1])
                    total = total + w * self.n[j]
                    if f:
                        key = (min(i, j), max(i, j))
                        if key not in products:
                            products[key] = self._product(cp, *key)
                        total = total + f * products[key]
            slack = TOLERANCE * table_scale([t.array for t in problem.resources[name]])
            self.constraints.append(total <= (math.floor(limit) if whole else limit + slack) / unit)

    def _product(self, cp: Any, i: int, j: int) -> Any:
        """n_i n_j = n_i lo_j + sum_k weight_k n_i beta_jk."""
        beta, weights = self.bits[j]
        low, high = self.problem.widths[i][0], self.problem.widths[i][-1]
        r = cp.Variable(len(weights), nonneg=True)
        self.constraints += [r <= high * beta, r >= low * beta, r <= self.n[i] - low * (1 - beta),
                             r >= self.n[i] - high * (1 - beta)]  # fmt: skip
        return self.problem.widths[j][0] * self.n[i] + weights @ r

    def chosen(self) -> tuple[int, ...] | None:
        """The widths of the solver's solution, or None if it has none."""
        found = []
        for (beta, weights), widths in zip(self.bits, self.problem.widths, strict=True):
            if beta.value is None or np.abs(beta.value - np.rint(beta.value)).max() > 1e-3:
                return None
            width = widths[0] + round(float(weights @ np.rint(beta.value)))
            if width not in widths:
                return None
            found.append(width)
        return tuple(found)

    def exclude(self, widths: Sequence[int]) -> tuple[Any, int]:
        """How many bits agree with these widths, as an expression, and the number of bits."""
        terms, count = [], 0
        for (beta, weights), allowed, width in zip(self.bits, self.problem.widths, widths, strict=True):
            index = allowed.index(width)
            for k in range(len(weights)):
                terms.append(beta[k] if index >> k & 1 else 1 - beta[k])
                count += 1
        return sum(terms), count
