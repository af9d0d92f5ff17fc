"""A table of numbers over the widths of a few groups: what values, costs and peaks of a problem are made of."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import cast

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
    factors: tuple[np.ndarray, ...] | None
    """Of a table made by ``of_products``, else None: for each axis an array of shape (products, widths)."""

    def __init__(self, groups: int | str | Sequence[int | str], array: ArrayLike) -> None:
        array = np.array(array)
        groups = _check_groups(groups, array.ndim, array.shape)
        array = _check_numbers(array, groups)
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "factors", None)
        object.__setattr__(self, "array", array)

    @classmethod
    def of_products(cls, groups: int | str | Sequence[int | str], products: Sequence[Sequence[ArrayLike]]) -> Table:
        """A sum of products of one number for each axis, as true costs are.

        ``table[i, j, ...] = sum_k products[k][0][i] * products[k][1][j] * ...``; the array of all combinations is built only
        if it is asked for, so tables over groups of thousands of units fit into memory.

        Args:
            groups: the groups of the axes.
            products: for each product one array for each axis, of the length of that axis.

        >>> Table.of_products(("a", "b"), [([1, 2], [1, 2, 3]), ([1, 1], [10, 10, 10])]).array.tolist()
        [[11, 12, 13], [12, 14, 16]]
        """
        factors = tuple(np.array(axis) for axis in zip(*products, strict=True))
        if not factors or any(f.ndim != 2 for f in factors):
            raise InvalidArgumentError(
                f"a table of products over the groups {groups!r} needs one row of numbers for each of its axes", got=products
            )
        names = _check_groups(groups, len(factors), tuple(f.shape[1] for f in factors))
        factors = tuple(_check_numbers(f, names) for f in factors)
        ends = [[max(abs(row.max().item()), abs(row.min().item())) for row in f] for f in factors]
        largest = sum(math.prod(product) for product in zip(*ends, strict=True))
        if largest >= 2**63 and all(f.dtype.kind == "i" for f in factors):
            raise InvalidArgumentError(
                f"the entries of the table over {names!r} do not fit into 64-bit integers", got=largest,
                allowed="at most 2**63 - 1",
            )  # fmt: skip
        return cls._of_factors(names, factors)

    @classmethod
    def _of_factors(cls, groups: tuple[int | str, ...], factors: tuple[np.ndarray, ...]) -> Table:
        table = object.__new__(cls)
        object.__setattr__(table, "groups", groups)
        object.__setattr__(table, "factors", factors)
        return table

    @cached_property
    def array(self) -> np.ndarray:
        """Every entry, read-only."""
        array = np.asarray(sum(reduce(np.multiply.outer, rows) for rows in zip(*cast(tuple, self.factors), strict=True)))
        array.setflags(write=False)
        return array

    def over(self, groups: tuple[int, ...]) -> Table:
        """The same table, its groups given by index."""
        if groups == self.groups:
            return self
        return Table(groups, self.array) if self.factors is None else self._of_factors(groups, self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of widths on each axis."""
        return self.array.shape if self.factors is None else tuple(f.shape[1] for f in self.factors)

    @property
    def whole(self) -> bool:
        """Whether the entries are integers."""
        return all(f.dtype.kind == "i" for f in ([self.array] if self.factors is None else self.factors))

    def entry(self, index: Sequence[int]) -> int | float:
        """The number at one position on each axis."""
        if self.factors is None:
            return self.array[tuple(index)].item()
        columns = [f[:, i].tolist() for f, i in zip(self.factors, index, strict=True)]
        return reduce(operator.add, map(math.prod, zip(*columns, strict=True)))  # in order, as `array` does; sum() may not

    def extent(self) -> tuple[int | float, int | float]:
        """Bounds on the entries: the smallest and the largest, unless a factor changes its sign or its direction."""
        if self.factors is None:
            return self.array.min().item(), self.array.max().item()
        one = [np.zeros(1, dtype=np.intp)] * len(self.factors)
        return self.blocks(one, largest=False).array.item(), self.blocks(one, largest=True).array.item()

    def at(self, kept: Sequence[np.ndarray]) -> Table:
        """The table over some of the widths: for each axis their positions."""
        if self.factors is None:
            return Table(self.groups, self.array[np.ix_(*kept)])
        return self._of_factors(self.groups, tuple(f[:, k] for f, k in zip(self.factors, kept, strict=True)))

    def blocks(self, starts: Sequence[np.ndarray], *, largest: bool) -> Table:
        """A table over blocks of neighbouring widths: for each of them a number no entry in it is above, or below.

        Args:
            starts: for each axis the position of the first width of every block, ascending from 0.
            largest: bounds from above; else from below. They are attained, unless a factor changes its sign or its direction.
        """
        extreme = np.maximum if largest else np.minimum
        if self.factors is None:
            array = self.array
            for axis, at in enumerate(starts):
                array = extreme.reduceat(array, at, axis=axis)
            return Table(self.groups, array)
        if self._positive():
            axes = zip(self.factors, starts, strict=True)
            return self._of_factors(self.groups, tuple(extreme.reduceat(f, at, axis=1) for f, at in axes))
        total = 0
        for rows in zip(*self.factors, strict=True):
            low = high = np.ones((), dtype=np.int64)
            for row, at in zip(rows, starts, strict=True):
                ends = np.minimum.reduceat(row, at), np.maximum.reduceat(row, at)
                corners = [np.multiply.outer(a, b) for a in (low, high) for b in ends]
                low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
            total = total + (high if largest else low)
        return Table(self.groups, total)

    def grows(self) -> bool:
        """Whether no entry falls as a width grows."""
        if self.factors is not None and self._positive() and all((np.diff(f, axis=1) >= 0).all() for f in self.factors):
            return True
        return all((np.diff(self.array, axis=axis) >= 0).all() for axis in range(len(self.shape)))

    def _positive(self) -> bool:
        """Whether no factor of a table of products is negative."""
        return all((f >= 0).all() for f in cast(tuple, self.factors))


def _check_groups(groups: int | str | Sequence[int | str], axes: int, shape: tuple[int, ...]) -> tuple[int | str, ...]:
    groups = (groups,) if isinstance(groups, (int, str)) else tuple(groups)
    if axes != len(groups) or not groups or len(set(groups)) != len(groups):
        raise InvalidArgumentError(
            f"a table over the groups {groups!r} needs one axis for each, and each group once", got=shape,
            allowed=f"{len(groups)} axes",
        )  # fmt: skip
    return groups


def _check_numbers(array: np.ndarray, groups: tuple[int | str, ...]) -> np.ndarray:
    """The array, read-only: integers as int64, else finite floats."""
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
    return array


def exact_sum(numbers: Iterable[int | float]) -> int | float:
    """The sum: exact for integers, correctly rounded for floats."""
    entries = list(numbers)
    return sum(entries) if all(isinstance(e, int) for e in entries) else math.fsum(entries)


def table_scale(tables: list[np.ndarray]) -> float:
    """The sum over tables of the largest absolute entry: no choice of widths has a larger absolute total."""
    return float(sum(max(abs(t.max().item()), abs(t.min().item())) for t in tables))
