"""One order of all items such that every capacity is served by a prefix of it: the longest one that fits.

Standing assumption, as for every theorem here: no item is heavier than the smallest capacity c_1. Then, for every capacity
c >= c_1 and the longest prefix F(c) that fits,

    any_budget_order   p(F(c)) >= 1/2 OPT(c)    one item, then by density; no optimum has to be computed
    head_order         p(F(c)) >= 1/3 OPT(c)    an optimal set for c_1, then by density

and neither constant can be raised for these orders. On some items no order at all
keeps more than 35/61 = .5738, so the best constant lies between 1/2 and that; ``best_order`` finds the best order of a few.

Proofs: proofs/any_budget.md, and ``any_budget_half`` and ``head_density_third`` in proofs/coq/AnyBudget.v.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory.bounds import check_light
from reds_jax.theory.items import Instance, Items, Number, Selection, check_capacities, exact_number
from reds_jax.theory.optimum import optimum
from reds_jax.theory.solvers import Method

MAX_ITEMS = 16


class OrderRatio(NamedTuple):
    """How far an order falls below the optima.

    Args:
        ratio: min over c >= c_1 of p(F(c)) / OPT(c), at most 1.
        capacity: where it is reached, None if every capacity is served optimally.
    """

    ratio: Fraction
    capacity: Number | None


def any_budget_order(instance: Instance) -> Items:
    """The order with p(F(c)) >= 1/2 OPT(c) at every capacity c that holds each single item: one item, then by density.

    The item in front is the last one, in the order of falling density p/w, that is worth at least all items before it
    together. Without it the densest items may be a few light ones, after which no heavy item fits.

    Args:
        instance: the items.

    Returns:
        all items, each once.

    Cost: sorting. Source: derived here; the nearest we know is Disser, Klimm, Megow and Stiller, *Packing a Knapsack of
    Unknown Capacity* (arXiv 1307.2806), whose fixed order skips what does not fit, so that its sets are not nested.
    Tests: test_half_at_every_capacity.

    >>> any_budget_order(Instance.of((1, 2), (5, 9), (5, 5)))
    (1, 0, 2)
    """
    dense = by_density(instance)
    front, before = 0, 0
    for place, item in enumerate(dense):
        if instance.profits[item] >= before:
            front = place
        before += instance.profits[item]
    return tuple(dense[front : front + 1] + dense[:front] + dense[front + 1 :])


def head_order(instance: Instance, smallest: Number, *, method: Method = "auto") -> Items:
    """An optimal set for the smallest capacity first, then by density: exact at c_1, and p(F(c)) >= 1/3 OPT(c) for c >= c_1.

    Args:
        instance: the items, each at most as heavy as c_1.
        smallest: c_1.
        method: as in ``optimum``.

    Raises:
        InvalidArgumentError: for an item heavier than c_1, or a wrong argument.

    Source: derived here. Tests: test_a_third_after_an_optimal_head.

    >>> head_order(Instance.of((1, 2), (5, 9), (5, 5)), 6)
    (0, 1, 2)
    """
    _check(instance, smallest)
    dense = by_density(instance)
    head = set(optimum(instance, smallest, method=method).items)
    return tuple([i for i in dense if i in head] + [i for i in dense if i not in head])


def by_density(instance: Instance) -> list[int]:
    """The items by falling p/w, weightless ones first, and of these the valuable ones; ties by number."""
    weights, profits = instance.weights, instance.profits
    return sorted(range(len(instance)), key=lambda i: (weights[i] > 0, -Fraction(profits[i]) / (weights[i] or 1)))


def longest_prefix(instance: Instance, order: Sequence[int], capacity: Number) -> Selection:
    """F(c): the longest prefix of the order that fits.

    Args:
        instance: the items.
        order: all items, each once.
        capacity: c >= 0.

    Raises:
        InvalidArgumentError: if the order is none, or for a wrong capacity.

    >>> longest_prefix(Instance.of((1, 2), (5, 9), (5, 5)), (1, 0, 2), 6)
    Selection(items=(0, 1), value=11, weight=6)
    """
    _check_order(instance, order)
    room = exact_number(capacity, "the capacity")
    if room < 0:
        raise InvalidArgumentError("the capacity is negative", got=room, allowed="numbers >= 0")
    taken = 0
    for item in order:
        room -= instance.weights[item]
        if room < 0:
            break
        taken += 1
    return instance.select(order[:taken])


def order_ratio(instance: Instance, order: Sequence[int], smallest: Number, *, method: Method = "auto") -> OrderRatio:
    """The least p(F(c)) / OPT(c) over ALL capacities c >= c_1, exactly.

    F(c) changes only where another item fits, and OPT never falls, so the ratio is least just below these weights:
    at the largest weight below that a set of items may have.

    Args:
        instance: the items.
        order: all items, each once.
        smallest: c_1 > 0; items may be heavier.
        method: as in ``optimum``.

    Raises:
        InvalidArgumentError: for a wrong argument.

    >>> order_ratio(Instance.of((4, 4), (4, 4), (3, 3)), (1, 0, 2), 4)
    OrderRatio(ratio=Fraction(4, 7), capacity=7)
    """
    _check_order(instance, order)
    (limit,) = check_capacities([smallest])
    unit = instance.scaled.weight_unit
    worst = OrderRatio(Fraction(1), None)
    weight, value = Fraction(0), Fraction(0)
    for item in order:
        weight += instance.weights[item]
        if instance.weights[item] and weight > limit:
            below = max((math.ceil(weight / unit) - 1) * unit, Fraction(limit))
            best = optimum(instance, below, method=method).value
            if best and Fraction(value) / best < worst.ratio:
                worst = OrderRatio(Fraction(value) / best, exact_number(below, "the capacity"))
        value += instance.profits[item]
    return worst


def best_order(instance: Instance, smallest: Number) -> tuple[Items, OrderRatio]:
    """An order of the largest ``order_ratio``, of all there are: over sets of items, the last item first.

    Args:
        instance: at most 16 items, each at most as heavy as c_1.
        smallest: c_1.

    Raises:
        InvalidArgumentError: for more items, an item heavier than c_1, or a wrong argument.

    >>> best_order(Instance.of((4, 4), (4, 4), (3, 3)), 4)[1].ratio
    Fraction(7, 8)
    """
    _check(instance, smallest)
    count = len(instance)
    if count > MAX_ITEMS:
        raise InvalidArgumentError("too many items to look at all orders", got=count, allowed=f"at most {MAX_ITEMS} items")
    scaled = instance.scaled
    room = scaled.room(smallest)
    weights, values = list(_sums(scaled.weights)), list(_sums(scaled.profits))
    best = [0] * (weights[-1] + 1)  # OPT by weight
    for w, p in zip(scaled.weights, scaled.profits, strict=True):
        for c in range(weights[-1], w - 1, -1):
            best[c] = max(best[c], best[c - w] + p)
    full = (1 << count) - 1
    reach = [Fraction(1)] * (full + 1)  # the best that can be kept from this set on
    follow = [0] * (full + 1)
    for done in range(full - 1, -1, -1):
        reach[done] = Fraction(-1)
        for i in range(count):
            after = done | 1 << i
            if after == done:
                continue
            kept, top = reach[after], max(weights[after] - 1, 0)
            if scaled.weights[i] and weights[after] > room and best[top]:
                kept = min(kept, Fraction(values[done], best[top]))
            if kept > reach[done]:
                reach[done], follow[done] = kept, i
    order: list[int] = []
    done = 0
    while done != full:
        order.append(follow[done])
        done |= 1 << follow[done]
    return tuple(order), order_ratio(instance, order, smallest)


def _sums(numbers: Sequence[int]) -> Iterator[int]:
    """The sum over every set of positions, sets as the bits of their index."""
    sums = [0] * (1 << len(numbers))
    for done in range(1, len(sums)):
        low = (done & -done).bit_length() - 1
        sums[done] = sums[done & (done - 1)] + numbers[low]
    return iter(sums)


def _check(instance: Instance, smallest: Number) -> None:
    check_light(instance, check_capacities([smallest]))


def _check_order(instance: Instance, order: Iterable[int]) -> None:
    given = instance.select(order).items
    if len(given) != len(instance):
        missing = min(set(range(len(instance))) - set(given))
        raise InvalidArgumentError("the order lacks an item", got=missing, allowed="every item once")
