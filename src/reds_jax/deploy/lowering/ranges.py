"""Which channels of an array every subnetwork has, as few ranges of which each has the first: from sets, and from units.

A condition is a pair (group, unit): the channel is there at the rows of widths with ``row[group] > unit``; (-1, -1) is there at
every row.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np

from reds_jax.deploy.lowering.program import Range, Tensor
from reds_jax.graph.channels import Axis, Size

MOST = 64
"""An array of more ranges is refused: a device has a table entry for each."""


def conditions(axis: Axis) -> np.ndarray:
    """(group, unit) of every position, [length, 2]."""
    pairs = np.stack([axis.group, axis.unit], -1)
    return np.where(pairs[:, :1] < 0, -1, pairs)


def stored(tensor: Tensor, channels: int) -> np.ndarray:
    """The conditions of the channels of an array: in every range fixed ones, then the units of one group, ascending."""
    pairs = np.full((channels, 2), -1)
    for part, end in zip(tensor.parts, [*(p.first for p in tensor.parts[1:]), channels], strict=True):
        assert part.size is not None
        begin = part.first + part.size.constant
        for group, each in part.size.terms:
            pairs[begin:end, 0] = group
            pairs[begin:end, 1] = np.arange(end - begin) // each
    return pairs


def tensor(kept: np.ndarray, of: np.ndarray | None, height: int = 1, width: int = 1) -> Tensor | None:
    """The array of which subnetwork k keeps the channels ``kept[k]``; None if they are too many ranges.

    Args:
        kept: booleans [subnetworks, channels].
        of: the conditions of the channels, [channels, 2], if every row of widths is asked for; else None.
        height, width: of the array.
    """
    begins = np.any(kept[:, 1:] & ~kept[:, :-1], axis=0)
    if of is not None:  # a channel that some row has without the one before it
        begins |= (of[:-1, 0] >= 0) & ((of[:-1, 0] != of[1:, 0]) | (of[:-1, 1] > of[1:, 1]))
    firsts = [0, *(np.flatnonzero(begins) + 1).tolist()]
    ends = [*firsts[1:], kept.shape[1]]
    if len(firsts) > MOST:
        return None
    sizes = [None if of is None else _size(of[a:b]) for a, b in zip(firsts, ends, strict=True)]
    ranges = tuple(Range(a, tuple(kept[:, a:b].sum(axis=1).tolist()), size)
                   for a, b, size in zip(firsts, ends, sizes, strict=True))
    if of is not None and any(size is None for size in sizes):
        return None
    total = Size(0)
    for size in sizes:
        total = total + (size or Size(0))
    return Tensor(tuple(kept.sum(axis=1).tolist()), height, width, size=None if of is None else total,
                  ranges=ranges if len(ranges) > 1 else ())


def _size(of: np.ndarray) -> Size | None:
    """How many channels of a range there are at any row; None if it does not begin with the first unit of its group."""
    fixed = int(np.sum(of[:, 0] < 0))
    units = of[fixed:, 1]
    each = int(np.sum(units == 0))
    if not len(units):
        return Size(fixed)
    if not each or len(units) % each or not np.array_equal(units, np.arange(len(units)) // each):
        return None
    return Size(fixed, ((int(of[fixed, 0]), each),))


def compact(tensor: Tensor) -> Tensor:
    """The array without the channels that the largest subnetwork lacks."""
    firsts = accumulate((part.channels[-1] for part in tensor.ranges), initial=0)
    return replace(tensor, ranges=tuple(replace(part, first=first) for part, first in zip(tensor.ranges, firsts, strict=False)))
