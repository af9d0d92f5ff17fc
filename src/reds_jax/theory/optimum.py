"""The optimum of one 0/1 knapsack with exact numbers: OPT(c) = max { p(S) : w(S) <= c }, and all sets that attain it."""

from __future__ import annotations

from collections.abc import Iterator

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.items import Instance, Items, Number, Selection, exact_number
from reds_jax.theory.solvers import Method, solve_sets


def optimum(instance: Instance, capacity: Number, *, method: Method = "auto") -> Selection:
    """An optimal set for one capacity: OPT(c) = max { p(S) : w(S) <= c }.

    Args:
        instance: the items.
        capacity: an exact number >= 0.
        method: "enumeration" of all sets (up to 20 items), a table "by_weight" or "by_profit", undominated "states", or
            "auto", which chooses by size. The value is the same; the set may be another optimal one.

    Raises:
        InvalidArgumentError: for a wrong argument, or an instance that is too large for the method.

    >>> optimum(Instance.of((3, 101), (2, 100), (2, 100), (2, 100)), 6)
    Selection(items=(1, 2, 3), value=300, weight=6)
    """
    return instance.select(next(optimal_sets(instance, capacity, method=method)))


def optimal_sets(instance: Instance, capacity: Number, *, method: Method = "auto") -> Iterator[Items]:
    """Every optimal set for one capacity, each once. There may be exponentially many.

    Args:
        instance: the items.
        capacity: an exact number.
        method: as for `optimum`.

    >>> sorted(optimal_sets(Instance.of((2, 1), (2, 1), (3, 1)), 3))
    [(0,), (1,), (2,)]
    """
    limit = exact_number(capacity, "the capacity")
    if limit < 0:
        raise InvalidArgumentError("the capacity is negative", got=limit, allowed="numbers >= 0")
    scaled = instance.scaled
    return solve_sets(scaled.weights, scaled.profits, scaled.room(limit), lambda best: best, method=method)[1]
