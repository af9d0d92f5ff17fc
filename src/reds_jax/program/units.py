"""Units as a union-find: every position of every parameter axis starts as a unit of its own; operations unite them.

A set of units can be FIXED: they meet the network's input or output, a constant, or an operation that cannot be cut. Fixed sets
stay apart from each other, so that it can be said what was fixed and why.
"""

from __future__ import annotations

import numpy as np

FIXED = 0
"""The unit of everything that stays: the network's input and output, constants, spatial positions."""

Labels = np.ndarray | None
"""Unit of every position of an axis (int64 [length]); None for an axis along which nothing varies that matters (broadcast
values, random bits): any part of it serves."""


class Units:
    """Disjoint sets of units, each of them free or fixed. Unit 0 is `FIXED`."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, np.int64)
        self._fixed = np.ones(1, bool)  # of representatives

    def new(self, n: int) -> np.ndarray:
        """``n`` fresh units."""
        start = len(self._parent)
        self._parent = np.append(self._parent, np.arange(start, start + n))
        self._fixed = np.append(self._fixed, np.zeros(n, bool))
        return np.arange(start, start + n)

    def component(self, labels: np.ndarray) -> np.ndarray:
        """The representative of every label's set, fixed or not."""
        roots = self._parent[labels]
        while True:
            above = self._parent[roots]
            if np.array_equal(above, roots):
                break
            roots = above
        self._parent[labels] = roots
        return roots

    def find(self, labels: np.ndarray) -> np.ndarray:
        """The representative of every label's set; `FIXED` for those that are fixed."""
        roots = self.component(labels)
        return np.where(self._fixed[roots], FIXED, roots)

    def unite(self, a: np.ndarray, b: np.ndarray) -> None:
        """Unite position by position; the smaller number represents. What meets `FIXED` becomes fixed."""
        x, y = self.component(a.ravel()), self.component(b.ravel())
        apart = np.flatnonzero(x != y)
        for i in apart.tolist():
            low, high = sorted((self._root(int(x[i])), self._root(int(y[i]))))
            if low == high:
                continue
            if low == FIXED:
                self._fixed[high] = True
            else:
                self._parent[high] = low
                self._fixed[low] |= self._fixed[high]

    def _root(self, x: int) -> int:
        while self._parent[x] != x:
            self._parent[x] = self._parent[self._parent[x]]
            x = int(self._parent[x])
        return x

    def fix(self, labels: Labels) -> None:
        """These units stay."""
        if labels is not None:
            self._fixed[self.component(labels)] = True

    def merge(self, a: Labels, b: Labels) -> Labels:
        """The labels of an axis that two arrays meet on: units unite, an axis without units takes the other's."""
        if a is None or b is None:
            return b if a is None else a
        self.unite(a, b)
        return a

    def is_fixed(self, labels: Labels) -> bool:
        """Whether no unit of the axis is free."""
        return labels is None or bool(self._fixed[self.component(labels)].all())
