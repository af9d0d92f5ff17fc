"""One order of all items: its longest fitting prefix keeps half of OPT at every capacity (proofs/any_budget.md).

`any_budget_half`, `head_density_third` and their sharp twins in proofs/coq/AnyBudget.v. Everything is exact, and the
optima are those of enumeration.
"""

from fractions import Fraction
from itertools import combinations, permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.theory import Instance, any_budget_order, best_order, head_order, longest_prefix, order_ratio

UPPER = Instance((24, 26, 25, 30, 30, 24, 9, 7, 27), (70, 86, 80, 100, 100, 70, 14, 8, 89))


def many(n):
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


@st.composite
def items(draw, *, most=6):
    """A few items, some of weight or profit 0, often of equal weight or density, or each heavier than all before; and c_1."""
    small = st.sampled_from([(6, 9), (3, 3), (20, 100)])
    weight, profit = draw(small)
    one = st.one_of(
        st.tuples(st.integers(0, weight), st.integers(0, profit)),
        st.integers(weight // 2, weight).map(lambda w: (w, w)),
        st.integers(weight // 2, weight).map(lambda w: (w, profit)),
        st.integers(0, 3).map(lambda k: (4**k, 4**k)),
    )
    found = draw(st.lists(one, min_size=1, max_size=most))
    heaviest = max(w for w, _ in found)
    return Instance.of(*found), max(heaviest, 1) + draw(st.sampled_from([0, 0, 1, Fraction(1, 2)]))


def optimum_at(instance, capacity):
    sets = (s for k in range(len(instance) + 1) for s in combinations(range(len(instance)), k))
    return max(instance.profit(s) for s in sets if instance.weight(s) <= capacity)


def least_ratio(instance, order, smallest):
    """By the definition, at every capacity at which something changes, halves included."""
    total = int(instance.weight(range(len(instance)))) + 1
    steps = {smallest, *(Fraction(c, 2) for c in range(2 * total + 1))}
    found = Fraction(1)
    for c in (c for c in steps if c >= smallest):
        best = optimum_at(instance, c)
        taken, weight = [], 0
        for i in order:
            weight += instance.weights[i]
            if weight > c:
                break
            taken.append(i)
        assert longest_prefix(instance, order, c) == instance.select(taken)
        if best:
            found = min(found, Fraction(instance.profit(taken), best))
    return found


@many(100)
@given(items())
def test_half_at_every_capacity(case):
    """any_budget_half: p(F(c)) >= 1/2 OPT(c) at every c that holds each single item."""
    instance, smallest = case
    order = any_budget_order(instance)
    assert sorted(order) == list(range(len(instance)))
    assert order_ratio(instance, order, smallest).ratio >= Fraction(1, 2)


@many(100)
@given(items())
def test_a_third_after_an_optimal_head(case):
    """head_density_third: an optimal head at c_1, p(F(c)) >= 1/3 OPT(c) from there on."""
    instance, smallest = case
    order = head_order(instance, smallest)
    assert order_ratio(instance, order, smallest).ratio >= Fraction(1, 3)
    assert longest_prefix(instance, order, smallest).value == optimum_at(instance, smallest)


@many(40)
@given(items(most=4))
def test_the_ratio_is_that_of_the_definition(case):
    instance, smallest = case
    for order in (any_budget_order(instance), head_order(instance, smallest), tuple(range(len(instance)))):
        found = order_ratio(instance, order, smallest)
        assert found.ratio == least_ratio(instance, order, smallest)
        if found.capacity is not None:
            assert found.capacity >= smallest
            served = longest_prefix(instance, order, found.capacity).value
            assert found.ratio == Fraction(served, optimum_at(instance, found.capacity))


@many(25)
@given(items(most=4))
def test_the_best_order_is_that_of_enumeration(case):
    instance, smallest = case
    order, found = best_order(instance, smallest)
    orders = permutations(range(len(instance)))
    assert found == order_ratio(instance, order, smallest)
    assert found.ratio == max(least_ratio(instance, o, smallest) for o in orders) >= Fraction(1, 2)


@pytest.mark.parametrize("q", [1, 10, 1000])
def test_half_is_all_that_the_order_keeps(q):
    """any_budget_half_tight: weights and profits q+1, q+1, q; the best order keeps (2q+1)/(2q+2)."""
    instance = Instance((q + 1, q + 1, q), (q + 1, q + 1, q))
    order = any_budget_order(instance)
    assert order_ratio(instance, order, q + 1) == (Fraction(q + 1, 2 * q + 1), 2 * q + 1)
    assert order_ratio(instance, order, q + 1).ratio - Fraction(1, 2) == Fraction(1, 2 * (2 * q + 1))


@pytest.mark.parametrize("m", [4, 10, 1000])
def test_a_third_is_all_that_an_optimal_head_keeps(m):
    """head_density_third_tight, with profits that leave no ties: (2m+10)/(6m+3) at 3m+3."""
    instance = Instance((m + 4, *[m + 1] * 3, 2 * m), (2 * m + 9, *[2 * m + 1] * 3, 2 * m + 10))
    order = head_order(instance, 2 * m)
    assert order == (4, 0, 1, 2, 3)
    assert order_ratio(instance, order, 2 * m) == (Fraction(2 * m + 10, 6 * m + 3), 3 * m + 3)


def test_behind_the_head_the_densest_come_first():
    instance = Instance([10] * 7, (0, 0, 0, 100, 100, 100, 100))
    order = head_order(instance, 10)
    assert {instance.profits[i] for i in order[:4]} == {100}
    assert order_ratio(instance, order, 10).ratio == 1
    assert order_ratio(instance, (3, 0, 1, 2, 4, 5, 6), 10).ratio < Fraction(1, 3)


def test_density_alone_keeps_nothing():
    """Without the item in front: a light dense item, after which the heavy one does not fit."""
    instance = Instance((1, 1000), (2, 1000))
    assert order_ratio(instance, (0, 1), 1000).ratio == Fraction(2, 1000)
    assert any_budget_order(instance) == (1, 0)


def test_the_last_that_outweighs_all_before_it_goes_first():
    """Any other item in front, the first of these for one, leaves no room for the heaviest."""
    instance = Instance((1, 4, 16, 64), (1, 4, 16, 64))
    assert any_budget_order(instance) == (3, 0, 1, 2)
    assert order_ratio(instance, (1, 0, 2, 3), 64) == (Fraction(21, 84), 84)


def test_light_items_are_needed():
    """With an item heavier than c_1 in front nothing fits."""
    assert order_ratio(Instance((1, 2), (1, 5)), any_budget_order(Instance((1, 2), (1, 5))), 1) == (0, 1)


def test_no_order_keeps_more_than_35_of_61():
    """The best of all orders of nine items, by dynamic programming over sets; and .6049 by looking at all 5040 of seven."""
    assert best_order(UPPER, 30)[1].ratio == Fraction(35, 61)
    seven = Instance((2, 2, 2, 14, 7, 13, 13), (31, 10, 3, 37, 8, 31, 3))
    found = best_order(seven, 14)[1].ratio
    assert found == Fraction(49, 81)
    weights, profits = seven.scaled.weights, seven.scaled.profits
    optima = [optimum_at(seven, c) for c in range(sum(weights) + 1)]
    best = Fraction(0)
    for order in permutations(range(7)):
        weight = value = 0
        kept = Fraction(1)
        for i in order:
            weight += weights[i]
            if weight > 14:
                kept = min(kept, Fraction(value, optima[weight - 1]))
            if kept <= best:
                break
            value += profits[i]
        best = max(best, kept)
    assert best == found


def test_errors():
    instance = Instance((1, 2), (1, 5))
    with pytest.raises(InvalidArgumentError, match="heavier than the smallest capacity"):
        head_order(instance, 1)
    with pytest.raises(InvalidArgumentError, match="heavier than the smallest capacity"):
        best_order(instance, 1)
    with pytest.raises(InvalidArgumentError, match="lacks an item"):
        order_ratio(instance, (1,), 2)
    with pytest.raises(InvalidArgumentError, match="names an item twice"):
        longest_prefix(instance, (1, 1), 2)
    with pytest.raises(InvalidArgumentError, match="negative"):
        longest_prefix(instance, (1, 0), -1)
    with pytest.raises(InvalidArgumentError, match="not positive"):
        order_ratio(instance, (0, 1), 0)
    with pytest.raises(InvalidArgumentError, match="too many items"):
        best_order(Instance([1] * 17, [1] * 17), 1)
