"""Units as a union-find: every position of every parameter axis starts as a unit of its own; operations unite them."""

from __future__ import annotations

import numpy as np

FIXED = 0
"""The unit of everything that stays: the network's input and output, constants, spatial positions that a rule pins."""

Labels = np.ndarray | None
"""Unit of every position of an axis (int64 [length]); None for an axis without units (batch, positions, broadcast)."""


class Units:
    """Disjoint sets of units. Unit 0 is `FIXED`."""

    def __init__(self) -> None:
        self._parent = np.zeros(1, np.int64)

    def new(self, n: int) -> np.ndarray:
        """``n`` fresh units."""
        start = len(self._parent)
        self._parent = np.append(self._parent, np.arange(start, start + n))
        return np.arange(start, start + n)

    def find(self, labels: np.ndarray) -> np.ndarray:
        """The representative of every label."""
        roots = self._parent[labels]
        while True:
            above = self._parent[roots]
            if np.array_equal(above, roots):
                break
            roots = above
        self._parent[labels] = roots
        return roots

    def unite(self, a: np.ndarray, b: np.ndarray) -> None:
        """Unite position by position; the smaller number represents, so that FIXED wins."""
        for x, y in zip(a.ravel(), b.ravel(), strict=True):
            x, y = self._root(x), self._root(y)
            if x != y:
                self._parent[max(x, y)] = min(x, y)

    def _root(self, x: int) -> int:
        while self._parent[x] != x:
            self._parent[x] = self._parent[self._parent[x]]
            x = self._parent[x]
        return x

    def fix(self, labels: Labels) -> None:
        if labels is not None:
            self.unite(labels, np.full(len(labels), FIXED))

    def merge(self, a: Labels, b: Labels) -> Labels:
        """The labels of an axis that two arrays meet on: units unite, an axis without units takes the other's."""
        if a is None or b is None:
            return b if a is None else a
        self.unite(a, b)
        return a

    def is_fixed(self, labels: Labels) -> bool:
        return labels is None or not self.find(labels).any()
