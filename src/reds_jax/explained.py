"""The order of units by what a prefix of them explains: pivoted Cholesky of a Gram matrix. Imports no jax.

``G_uv`` says how much what unit u contributes to the layers that read it goes along with what unit v contributes
(`reds_jax.run.contributions`). A score for each unit alone ignores that units repeat each other; here the unit comes next whose
contribution is explained least by those before it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reds_jax.array_types import Float64, Int64, Num
from reds_jax.errors import InvalidArgumentError

RANK = 1e-7
"""A residual below this share of the largest diagonal entry is rounding of sums in single precision."""


class Order(NamedTuple):
    """The units in their order, [U] each.

    Args:
        order: the unit at every place.
        pivots: ``d_k``, what the units before leave unexplained of the unit at place k; they do not increase.
        explained: ``tr(G_:P G_PP^-1 G_P:)``, the part of the trace of G that the prefix P of k units explains; it increases up
            to ``tr(G)``.
    """

    order: Int64[np.ndarray, " units"]
    pivots: Float64[np.ndarray, " units"]
    explained: Float64[np.ndarray, " units"]


def pivoted_cholesky(gram: Num[np.ndarray, "units units"]) -> Order:
    """Cholesky decomposition of a positive semidefinite matrix that takes the largest residual next.

    Repeat: the unit with the largest diagonal entry comes next, and what it explains is subtracted,
    ``G <- G - G_:i G_i: / G_ii``. The prefixes of the order are nested by construction. Each diagonal entry only falls, so the
    pivots do not increase. The trace that a prefix explains grows by ``||G_:i||^2 / G_ii`` in every step, which is the pivot
    ``G_ii`` plus what the unit explains of those behind it.

    Args:
        gram: symmetric and positive semidefinite, [U, U].

    Raises:
        InvalidArgumentError: no finite symmetric matrix, or one with a negative diagonal entry.

    Source: Higham 1990, *Analysis of the Cholesky decomposition of a semi-definite matrix*.

    >>> pivoted_cholesky(np.array([[4.0, 4.0, 0.0], [4.0, 4.0, 0.0], [0.0, 0.0, 1.0]])).order.tolist()
    [0, 2, 1]
    """
    residual = _checked(gram)
    size = len(residual)
    trace, least = float(np.trace(residual)), RANK * float(residual.diagonal().max(initial=0.0))
    left = np.arange(size)
    order, pivots, gains = np.zeros(size, np.int64), np.zeros(size), np.zeros(size)
    for k in range(size):
        at = int(np.argmax(residual.diagonal()[left]))
        i = order[k] = left[at]
        left = np.delete(left, at)
        if residual[i, i] > least:
            column = residual[:, i].copy()
            pivots[k], gains[k] = column[i], column @ column / column[i]
            residual -= np.outer(column, column) / column[i]
    return Order(order, np.minimum.accumulate(pivots), np.minimum(np.cumsum(gains), trace))


def _checked(gram: np.ndarray) -> Float64[np.ndarray, "units units"]:
    found = np.array(gram, np.float64)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not np.isfinite(found).all():
        raise InvalidArgumentError("a Gram matrix is square and finite", got=list(found.shape), allowed="[units, units]")
    scale = np.abs(found).max(initial=0.0)
    if (np.abs(found - found.T) > 1e-6 * scale).any() or (found.diagonal() < -1e-6 * scale).any():
        raise InvalidArgumentError("the matrix is no Gram matrix", got="not symmetric, or negative on its diagonal",
                                   allowed="symmetric and positive semidefinite")
    return (found + found.T) / 2
