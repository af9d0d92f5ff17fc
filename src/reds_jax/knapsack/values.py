"""Value tables from sorted importance scores, and the widths that are allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reds_jax.array_types import Float, Num
from reds_jax.checks import number
from reds_jax.errors import InvalidArgumentError

LEAST_SHARE = 1e-4
"""A retained share below this counts as this in `ces`: the value of a prefix that keeps nothing is finite by intention."""
NO_GAMMA = 1e-290
"""A gamma below this is 0: products with it have lost their digits in float64."""
LOG_FLOOR = float(np.log(np.finfo(np.float64).tiny))
"""The value of a prefix that keeps nothing of a positive total score: about -708, finite by intention."""


def allowed_widths(size: int, step: int = 1, floor: int | None = None) -> tuple[int, ...]:
    """The widths that a group of ``size`` units may take: multiples of ``step`` from ``floor`` on, and ``size``.

    Args:
        size: number of units U of the full group.
        step: granularity, 1 for any width; the full width is allowed even if it is no multiple.
        floor: smallest width; None means ceil(U / 4), which keeps every layer alive whatever the value.

    Raises:
        InvalidArgumentError: for a size, step or floor below 1, or a floor above the size.

    >>> allowed_widths(30, step=8, floor=1)
    (8, 16, 24, 30)
    >>> allowed_widths(6)
    (2, 3, 4, 5, 6)
    """
    if floor is None:
        floor = -(-size // 4)
    for name, given in (("size", size), ("step", step), ("floor", floor)):
        if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
            raise InvalidArgumentError(f"{name} is not a positive integer", got=given, allowed="1, 2, 3, ...")
    if floor > size:
        raise InvalidArgumentError("the smallest width is above the full width", got=floor, allowed=f"1 to {size}")
    first = -(-int(floor) // int(step)) * int(step)
    widths = list(range(first, int(size) + 1, int(step)))
    if not widths or widths[-1] != size:
        widths.append(int(size))
    return tuple(widths)


def sorted_scores(scores: Sequence[float] | np.ndarray, group: object = None) -> Num[np.ndarray, " units"]:
    """Check unit scores: one dimension, finite, descending; int64 if they are integers, else float64.

    Raises:
        InvalidArgumentError: if the scores are empty, not finite, or not in descending order.
    """
    array = np.asarray(scores)
    where = "" if group is None else f" of group {group!r}"
    if array.ndim != 1 or array.size == 0:
        raise InvalidArgumentError(
            f"the scores{where} must be one number for each unit", got=array.shape, allowed="a shape (units,)"
        )
    if array.dtype == np.bool_ or array.dtype.kind not in "iuf":
        raise InvalidArgumentError(f"the scores{where} are not numbers", got=str(array.dtype), allowed="integers or floats")
    if not np.isfinite(array).all():
        bad = float(array[~np.isfinite(array)][0])
        raise InvalidArgumentError(f"a score{where} is not finite", got=bad, allowed="finite numbers")
    array = as_exact(array, f"the scores{where}")
    rise = np.flatnonzero(array[1:] > array[:-1])
    if rise.size:
        at = int(rise[0])
        raise InvalidArgumentError(
            f"the scores{where} are not in descending order",
            got=(array[at].item(), array[at + 1].item()),
            allowed=f"score[{at + 1}] <= score[{at}]",
            hint="Sort the units by importance first: a subnetwork is a prefix of them.",
        )
    return array


def as_exact(array: np.ndarray, what: str) -> np.ndarray:
    """Integers as int64 (an error if they do not fit), anything else as float64."""
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise InvalidArgumentError(f"{what} do not fit into 64-bit integers", got=int(array.max()), allowed="at most 2**63 - 1")
    return array.astype(np.int64)


def prefix_sum(
    scores: Sequence[float] | np.ndarray, widths: Sequence[int] | np.ndarray | None = None
) -> Num[np.ndarray, " widths"]:
    """The importance of each prefix: S(n) = sum_{j <= n} score_j, for n in ``widths`` (default 1 .. U).

    Args:
        scores: of the units of one group, descending.
        widths: at which widths; 1 to U by default.

    Source: the paper's objective, restricted to prefixes.

    >>> prefix_sum([5, 3, 1]).tolist()
    [5, 8, 9]
    """
    array = sorted_scores(scores)
    if array.dtype.kind == "i" and array.size * max(abs(int(array[0])), abs(int(array[-1]))) >= 2**62:
        raise InvalidArgumentError(
            "the sum of the scores does not fit into 64-bit integers",
            got=int(array[0]),
            allowed="sums below 2**62",
            hint="Divide the scores by a common factor, or give floats.",
        )
    return _pick(np.cumsum(array), widths)


def log_retention(
    scores: Sequence[float] | np.ndarray, widths: Sequence[int] | np.ndarray | None = None, *, bypass: float = 0.0
) -> Float[np.ndarray, " widths"]:
    """The logarithm of the share that a prefix keeps, see `retained_share`: 0 at full width, negative below.

    It ignores the scale of a group's scores and punishes starving a group. A group whose scores are all zero has
    the value 0 at every width. A prefix that keeps nothing of a positive total (possible only where a score underflows)
    has the value ``LOG_FLOOR``, about -708, never minus infinity.

    Args:
        scores: of the units of one group, descending.
        widths: at which widths; 1 to U by default.
        bypass: see `retained_share`.

    Raises:
        InvalidArgumentError: for a negative score, besides the errors of ``sorted_scores``.

    >>> log_retention([2, 1, 1]).round(4).tolist()
    [-0.6931, -0.2877, 0.0]
    """
    share = retained_share(scores, widths, bypass=bypass)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(share), LOG_FLOOR)


def retained_share(
    scores: Sequence[float] | np.ndarray, widths: Sequence[int] | np.ndarray | None = None, *, bypass: float = 0.0
) -> Float[np.ndarray, " widths"]:
    """The share of the importance that a prefix keeps: R(n) = S(n) / S(U), in [0, 1]; 1 where all scores are zero.

    With a bypass, ``beta + (1 - beta) S(n) / S(U)``.

    Args:
        scores: of the units of one group, descending, none negative.
        widths: at which widths; 1 to U by default.
        bypass: beta in [0, 1), the share that is there without any of the units (`reds_jax.run.bypass`).

    Raises:
        InvalidArgumentError: for a negative score, besides the errors of ``sorted_scores``.

    >>> retained_share([2, 1, 1]).tolist()
    [0.5, 0.75, 1.0]
    """
    number("bypass", bypass, 0, 1)
    array = sorted_scores(scores).astype(np.float64)
    if array[-1] < 0:
        raise InvalidArgumentError("a share of negative scores is not defined", got=float(array[-1]), allowed="scores >= 0")
    if array[0] == 0.0:
        return _pick(np.ones_like(array), widths)
    total = np.cumsum(array / array[0])  # divided first: a sum of huge or tiny scores stays finite
    return _pick(bypass + (1 - bypass) * (total / total[-1]) if bypass else total / total[-1], widths)


def ces(
    scores: Sequence[float] | np.ndarray, widths: Sequence[int] | np.ndarray | None = None, *, gamma: float = 2.0,
    bypass: float = 0.0,
) -> Float[np.ndarray, " widths"]:
    """Constant elasticity of substitution: ``V(n) = (1 - R(n)^-gamma) / gamma`` with the retained share R, 0 at full width.

    ``gamma = -1`` is R - 1, the sum with every group scaled to 1; ``gamma -> 0`` is the logarithm; ``gamma -> infinity``
    counts the group that keeps least and nothing else. What a group loses is the dearer the less it keeps, the more so the
    larger gamma. A share below ``LEAST_SHARE`` counts as that.

    Args:
        scores: of the units of one group, descending.
        widths: at which widths; 1 to U by default.
        gamma: from -1 up, finite; the elasticity of substitution between two groups is 1 / (1 + gamma).
        bypass: see `retained_share`.

    Raises:
        InvalidArgumentError: for a gamma out of range, or a negative score, besides the errors of ``sorted_scores``.

    Source: Arrow, Chenery, Minhas and Solow 1961, *Capital-labor substitution and economic efficiency*.

    >>> ces([2, 1, 1], gamma=1).round(4).tolist()
    [-1.0, -0.3333, 0.0]
    """
    check_gamma(gamma)
    share = np.maximum(retained_share(scores, widths, bypass=bypass), LEAST_SHARE)
    return np.log(share) if abs(gamma) < NO_GAMMA else -np.expm1(-gamma * np.log(share)) / gamma


def check_gamma(gamma: float) -> None:
    """Raise unless gamma of `ces` is a number from -1 to 60, where ``LEAST_SHARE`` still has a finite value."""
    if isinstance(gamma, bool) or not isinstance(gamma, (int, float, np.number)) or not -1 <= gamma <= 60:
        raise InvalidArgumentError("gamma is out of range", got=gamma, allowed="a number from -1 (the sum) to 60")


def pair_sum(
    kernel_scores: Num[np.ndarray, "units previous_units"],
    *,
    kernel_score: Literal["first", "best"] = "first",
    previous_widths: Sequence[int] | np.ndarray | None = None,
    widths: Sequence[int] | np.ndarray | None = None,
) -> Num[np.ndarray, "previous_widths widths"]:
    """The value of b filters with a kernels each: V(a, b) = sum_{j <= b} sum of a kernel scores of filter j.

    Args:
        kernel_scores: shape (U, U_previous): row j is filter j, column i its kernel over channel i of the group before;
            both sorted by importance of the whole filter or channel.
        kernel_score: "first" counts the first a kernels, which are those that a prefix deploys; "best" counts the best
            a kernels of each filter (the objective of the paper's DS-CNN, which promises more than a prefix keeps).
        previous_widths: the rows a of the table, default 1 .. U_previous.
        widths: the columns b of the table, default 1 .. U.

    Returns:
        shape (len(previous_widths), len(widths)): a table over (width of the group before, width of this group).

    >>> pair_sum(np.array([[1, 5], [2, 2]])).tolist()
    [[1, 3], [6, 10]]
    >>> pair_sum(np.array([[1, 5], [2, 2]]), kernel_score="best").tolist()
    [[5, 7], [6, 10]]
    """
    array = np.asarray(kernel_scores)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise InvalidArgumentError(
            "kernel scores must be a finite matrix", got=array.shape, allowed="a shape (filters, kernels of a filter)"
        )
    if kernel_score not in ("first", "best"):
        raise InvalidArgumentError("unknown kernel_score", got=kernel_score, allowed="'first' or 'best'")
    array = as_exact(array, "the kernel scores")
    if array.dtype.kind == "i" and sum(abs(int(v)) for v in (array.max(), array.min())) * array.size >= 2**62:
        raise InvalidArgumentError(
            "the sum of the kernel scores does not fit into 64-bit integers", got=int(array.max()),
            allowed="sums below 2**62", hint="Divide the scores by a common factor, or give floats.",
        )  # fmt: skip
    if kernel_score == "best":
        array = -np.sort(-array, axis=1, kind="stable")
    table = array.cumsum(axis=0).cumsum(axis=1).T
    return _pick(_pick(table, previous_widths).T, widths).T


def _pick(table: np.ndarray, widths: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """Rows of a table over the widths 1 .. U."""
    if widths is None:
        return table
    index = np.asarray(widths)
    if index.ndim != 1 or index.size == 0 or index.dtype.kind not in "iu" or index.min() < 1 or index.max() > len(table):
        raise InvalidArgumentError(
            "the widths do not fit the scores", got=tuple(index.tolist()), allowed=f"integers from 1 to {len(table)}"
        )
    return table[index - 1]
