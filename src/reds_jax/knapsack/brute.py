"""Enumeration of every choice of widths: the oracle that the other solvers are tested against."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.capacities import Limit
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import TOLERANCE, Table, table_scale

MAX_CHOICES = 5_000_000


def solve_brute(problem: WidthProblem, capacities: Mapping[str, Limit]) -> tuple[int, ...] | None:
    """The best widths by enumeration, or None if none meet the capacities.

    Raises:
        InvalidArgumentError: if there are more than ``MAX_CHOICES`` choices.
    """
    shape = [len(w) for w in problem.widths]
    if math.prod(shape) > MAX_CHOICES:
        raise InvalidArgumentError(
            "there are too many choices of widths to enumerate", got=math.prod(shape),
            allowed=f"at most {MAX_CHOICES}", hint='Use method="exact".',
        )  # fmt: skip
    feasible = np.ones(shape, dtype=bool)
    price = np.zeros(shape)
    for name, limit in capacities.items():
        if name in problem.resources:
            cost = _spread(problem.resources[name], shape, np.add)
            slack = 0.0 if cost.dtype.kind == "i" else TOLERANCE * table_scale([t.array for t in problem.resources[name]])
            if not math.isinf(limit):
                feasible &= cost <= (math.floor(limit) if cost.dtype.kind == "i" else limit + slack)
            price = price + cost
        else:
            feasible &= _spread(problem.peaks[name], shape, np.maximum) <= limit
    if not feasible.any():
        return None
    value = _spread(problem.values, shape, np.add)
    best = feasible & (value == value[feasible].max())
    choices = np.argwhere(best)
    chosen = choices[int(np.argmin(price[best]))]
    return tuple(w[i] for w, i in zip(problem.widths, chosen.tolist(), strict=True))


def _spread(tables: tuple[Table, ...], shape: list[int], join: np.ufunc) -> np.ndarray:
    """The sum or maximum of tables over every choice."""
    total = None
    for table in tables:
        axes = [int(g) for g in table.groups]
        array = table.array.transpose(np.argsort(axes))
        array = array.reshape([n if g in axes else 1 for g, n in enumerate(shape)])
        total = array if total is None else join(total, array)
    return np.broadcast_to(np.zeros(1, dtype=np.int64) if total is None else total, shape)
