"""A table of numbers over the widths of a few groups: what values, costs and peaks of a problem are made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.values import as_exact

TOLERANCE = 1e-12
"""Float capacities are met, and float values proven optimal, up to this fraction of the ``table_scale`` of their tables."""


@dataclass(frozen=True, eq=False, init=False)
class Table:
    """A table over the allowed widths of one or more groups; axis j runs over the widths of group j, ascending.

    Args:
        groups: the groups of the axes, by name or by index in the problem.
        array: one number for each combination of widths: value, cost, or bytes alive. Integers stay exact (int64).

    >>> Table(("a", "b"), [[1, 2, 3], [2, 4, 6]]).array.shape
    (2, 3)
    """

    groups: tuple[int | str, ...]
    array: np.ndarray

    def __init__(self, groups: int | str | Sequence[int | str], array: ArrayLike) -> None:
        groups = (groups,) if isinstance(groups, (int, str)) else tuple(groups)
        array = np.array(array)
        if array.ndim != len(groups) or not groups or len(set(groups)) != len(groups):
            raise InvalidArgumentError(
                f"a table over the groups {groups!r} needs one axis for each, and each group once", got=array.shape,
                allowed=f"{len(groups)} axes",
            )  # fmt: skip
        if array.dtype.kind not in "iuf" or array.size == 0:
            raise InvalidArgumentError(
                f"the table over {groups!r} does not hold numbers", got=f"{array.dtype} {array.shape}",
                allowed="integers or floats",
            )  # fmt: skip
        if not np.isfinite(array).all():
            raise InvalidArgumentError(
                f"the table over {groups!r} has an entry that is not finite", got=float(array[~np.isfinite(array)][0]),
                allowed="finite numbers", hint="To forbid widths, use a peak resource and its capacity.",
            )  # fmt: skip
        array = as_exact(array, f"the entries of the table over {groups!r}")
        array.setflags(write=False)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "array", array)


def exact_sum(numbers: Iterable[int | float]) -> int | float:
    """The sum: exact for integers, correctly rounded for floats."""
    entries = list(numbers)
    return sum(entries) if all(isinstance(e, int) for e in entries) else math.fsum(entries)


def table_scale(tables: list[np.ndarray]) -> float:
    """The sum over tables of the largest absolute entry: no choice of widths has a larger absolute total."""
    return float(sum(max(abs(t.max().item()), abs(t.min().item())) for t in tables))
