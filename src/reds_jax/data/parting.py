"""Splits parted by a seed: a share of every class, or of all examples."""

from __future__ import annotations

import numpy as np

from ..checks import number
from ..errors import InvalidArgumentError
from .split import Split


def split_off(split: Split, fraction: float, seed: int, *, stratify: bool | None = None) -> tuple[Split, Split]:
    """Part a split in two, ``(rest, taken)``: every class gives its share, the choice depends on ``seed`` alone.

    Of a class with n examples, floor or ceil of ``n * fraction`` are taken (largest remainders first, so that the
    total is ``round(N * fraction)``), but never all of them. Without classes all examples are one class. Both parts keep the
    order of ``split``.

    Args:
        split: what is parted.
        fraction: the share that is taken, in (0, 1).
        seed: a non-negative integer.
        stratify: whether the targets are classes; by default integers [N] are.

    Raises:
        InvalidArgumentError: the fraction is not in (0, 1), or so small that nothing is taken.
    """
    if not 0 < number("the fraction to split off", fraction, 0) < 1:
        raise InvalidArgumentError("the fraction to split off is out of range", got=fraction, allowed="in (0, 1)")
    labels = split.labels if (split.is_labelled if stratify is None else stratify) else np.zeros(len(split), np.int32)
    classes, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    exact = counts * fraction
    quota = np.floor(exact).astype(int)
    missing = int(np.floor(len(split) * fraction + 0.5)) - int(quota.sum())
    room = (quota < exact) & (quota < counts - 1)
    by_remainder = np.argsort(np.where(room, quota - exact, 1.0), kind="stable")
    quota[by_remainder[: min(missing, int(room.sum()))]] += 1
    if quota.sum() == 0:
        raise InvalidArgumentError("the fraction takes no example at all", got=fraction,
                                   hint=f"The split has {len(split)} examples of {len(classes)} classes.")
    order = np.argsort(np.random.default_rng(seed).random(len(split)), kind="stable")
    taken = np.zeros(len(split), bool)
    for index, share in enumerate(quota):
        taken[order[inverse[order] == index][:share]] = True
    return split.take(np.flatnonzero(~taken)), split.take(np.flatnonzero(taken))


def at_most(split: Split, limit: int | None, seed: int) -> Split:
    """The split, or ``limit`` of its examples chosen by ``seed`` with every class in its share; None takes all.

    Args:
        split: any examples.
        limit: at least 1, or None.
        seed: of the choice.

    Raises:
        InvalidArgumentError: the limit is below 1.
    """
    if limit is None:
        return split
    if limit < 1:
        raise InvalidArgumentError("the limit of examples is too small", got=limit, allowed="1 and up, or None for all")
    return split if limit >= len(split) else split_off(split, limit / len(split), seed)[1]
