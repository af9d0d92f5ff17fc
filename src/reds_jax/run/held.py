"""An array of a running program, which may lie in another order than the program thinks: [C, H, W, N] for NHWC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.array_types import Int

Order = tuple[int, ...]

Lying = Any
"""An array of jax, or of NumPy: the constants of a program stay as they are."""


class Held(NamedTuple):
    """A value of the program; ``array = transpose(value, order)``, or the value itself where ``order`` is None."""

    array: Lying
    order: Order | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the program sees."""
        lying = np.shape(self.array)
        return lying if self.order is None else tuple(lying[self.order.index(i)] for i in range(len(lying)))

    def plain(self) -> Lying:
        """The value as the program sees it."""
        return self.array if self.order is None else jnp.transpose(self.array, np.argsort(self.order).tolist())

    def turned(self, order: Order | None) -> Lying:
        """The value with its axes in ``order``."""
        if order == self.order:
            return self.array
        target = tuple(range(np.ndim(self.array))) if order is None else order
        return jnp.transpose(self.array, [self.axis(axis) for axis in target])

    def axis(self, axis: int) -> int:
        """Where an axis of the value lies."""
        return axis if self.order is None else self.order.index(axis)

    def take(self, axis: int, kept: np.ndarray) -> Held:
        """The positions ``kept`` of an axis of the value."""
        return Held(take(self.array, self.axis(axis), kept), self.order)


def held(array: Lying, order: Sequence[int]) -> Held:
    """An array that lies in ``order``, which is forgotten if it is the usual one."""
    return Held(array, None if list(order) == sorted(order) else tuple(order))


def take(array: Lying, axis: int, kept: Int[np.ndarray, " kept"]) -> Lying:
    """Static positions of an axis: a slice, a slice of every period (channels behind a reshape of H, W, C), or a gather."""
    length, n = array.shape[axis], len(kept)
    if n == length:
        return array
    if n == 0 or kept[-1] - kept[0] == n - 1:
        start = int(kept[0]) if n else 0
        return lax.slice_in_dim(array, start, start + n, axis=axis)
    run = int(np.argmax(np.diff(kept) != 1)) + 1
    period = int(kept[run] - kept[0])
    if kept[0] == 0 and length % period == 0 and n == run * (length // period):
        rows = np.arange(length // period)[:, None] * period + np.arange(run)
        if np.array_equal(rows.ravel(), kept):
            shape = array.shape
            parts = array.reshape(*shape[:axis], length // period, period, *shape[axis + 1 :])
            return lax.slice_in_dim(parts, 0, run, axis=axis + 1).reshape(*shape[:axis], n, *shape[axis + 1 :])
    return array.take(kept, axis=axis)
