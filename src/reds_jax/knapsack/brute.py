"""Enumeration of every choice of widths, alone and nested: the oracle that the other solvers are tested against."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    feasible, price = _within(problem, capacities)
    if not feasible.any():
        return None
    value = _spread(problem.values, feasible.shape, np.add)
    best = feasible & (value == value[feasible].max())
    choices = np.argwhere(best)
    chosen = choices[int(np.argmin(price[best]))]
    return tuple(w[i] for w, i in zip(problem.widths, chosen.tolist(), strict=True))


def brute_nested(problem: WidthProblem, capacities: Sequence[Mapping[str, Limit]]) -> int | float | None:
    """The best total value of nested widths, n^1 <= n^2 <= ..., stage s within ``capacities[s]``; None if there are none.

    By T_s(n) = value(n) + max of T_(s-1)(m) over the widths m <= n, over all n within the capacities of stage s. Exact for
    integers; floats are added in the order of the stages.

    Raises:
        InvalidArgumentError: if there are more than ``MAX_CHOICES`` choices for one stage.

    >>> problem = WidthProblem.chain(scores=[[101] * 5, [100] * 10], pair_macs=[0, 1], unit_macs=[0, 0])
    >>> brute_nested(problem, [{"macs": 5}, {"macs": 10}])
    1702
    """
    inside, reached = None, None
    for limits in capacities:
        feasible, _ = _within(problem, limits)
        value = _spread(problem.values, feasible.shape, np.add)
        exact = value.astype(object) if value.dtype.kind == "i" else value  # many stages may leave 64 bits
        if inside is not None:
            feasible, exact = feasible & reached, exact + inside
        if not feasible.any():
            return None
        inside, reached = np.where(feasible, exact, exact[feasible].min()), feasible
        for axis in range(feasible.ndim):
            inside = np.maximum.accumulate(inside, axis=axis)
            reached = np.logical_or.accumulate(reached, axis=axis)
    return None if inside is None else inside.flat[-1]


def _within(problem: WidthProblem, capacities: Mapping[str, Limit]) -> tuple[np.ndarray, np.ndarray]:
    """For every choice of widths whether it meets the capacities, and the sum of its costs."""
    shape = tuple(len(w) for w in problem.widths)
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
    return feasible, price


def _spread(tables: tuple[Table, ...], shape: tuple[int, ...], join: np.ufunc) -> np.ndarray:
    """The sum or maximum of tables over every choice."""
    total = None
    for table in tables:
        axes = [int(g) for g in table.groups]
        array = table.array.transpose(np.argsort(axes))
        array = array.reshape([n if g in axes else 1 for g, n in enumerate(shape)])
        total = array if total is None else join(total, array)
    return np.broadcast_to(np.zeros(1, dtype=np.int64) if total is None else total, shape)
