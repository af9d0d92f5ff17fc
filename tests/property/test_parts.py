"""The three-parts lemma and the blocks lemma (proofs/three_parts_lemma.md), exactly; their twins; and what they assume."""

import random
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.testing.knapsack_strategies import capacities_for, heavy_cases, knapsack_instances
from reds_jax.theory import Instance, blocks, bounds, optimum, three_parts


class Cut(NamedTuple):
    """O, A and c on an instance, as `three_parts` takes them."""

    instance: Instance
    outer: frozenset
    inner: frozenset
    capacity: int

    @property
    def shared(self):
        return self.instance.weight(self.outer & self.inner)


@st.composite
def cuts(draw):
    instance = draw(st.booleans().flatmap(lambda exact: knapsack_instances(fractions=exact)))
    some = st.frozensets(st.sampled_from(range(len(instance)))) if len(instance) else st.just(frozenset())
    return Cut(instance, draw(some), draw(some), draw(st.integers(1, 20)))


def many(n):
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.filter_too_much], print_blob=True)


def look(strategy, violates):
    return find(strategy, violates, settings=settings(max_examples=2000, deadline=None, database=None, phases=[Phase.generate]),
                random=random.Random(0))


def splits(cut, *, worth=1):
    """Every partition of O that the lemma promises, by enumeration: b, s, f. ``worth``: items of f are worth so many s."""
    item, outer = cut.instance, cut.outer
    for s in outer - cut.inner:
        for count in range(len(outer)):
            for before in map(frozenset, combinations(sorted(outer - {s}), count)):
                after = outer - before - {s}
                if (item.weight(before) <= cut.capacity < item.weight(before | {s}) and not after & cut.inner
                        and all(worth * item.profits[s] <= item.profits[i] for i in after)):  # fmt: skip
                    yield before, s, after


@many(300)
@given(cuts().filter(lambda cut: cut.shared <= cut.capacity))
def test_the_three_parts_lemma(cut):
    """O fits c, or O = b + {s} + f as stated, and then f fits on top of A wherever O fits: w(A) + w(f) < w(O)."""
    item, outer, inner, capacity = cut
    parts = three_parts(*cut)
    assert (parts is None) == (item.weight(outer) <= capacity)
    if parts is None:
        return
    before, s, after = set(parts.before), parts.split, set(parts.after)
    assert before | {s} | after == outer
    assert len(before) + 1 + len(after) == len(outer)
    assert item.weight(before) <= capacity < item.weight(before) + item.weights[s]
    assert s not in inner
    assert not after & inner
    assert all(item.profits[s] <= item.profits[i] for i in after)
    assert (frozenset(before), s, frozenset(after)) in list(splits(cut))
    if item.weight(inner) <= capacity:
        assert item.weight(inner) + item.weight(after) < item.weight(outer)


def test_the_lemma_needs_that_the_shared_part_fits():
    """The twin: as soon as what O and A share does not fit c, there is no such partition at all, and the function refuses."""
    found = look(cuts(), lambda cut: cut.shared > cut.capacity and not list(splits(cut)))
    with pytest.raises(InvalidArgumentError, match="what the two sets share does not fit the capacity"):
        three_parts(*found)
    inside = look(cuts(), lambda cut: cut.shared <= cut.capacity and three_parts(*cut) is not None)
    assert list(splits(inside))


def test_a_stronger_lemma_fails():
    """No item of f is worth less than s: 1 % more cannot be promised, whatever the partition."""
    found = look(cuts(), lambda cut: cut.shared <= cut.capacity and three_parts(*cut) is not None
                 and not list(splits(cut, worth=Fraction(101, 100))))  # fmt: skip
    assert list(splits(found))


@many(200)
@given(st.data())
def test_the_blocks_lemma(data):
    """At most 2m - 1 sets that fit c, where w(O) <= m c; so OPT(m c) <= (2m - 1) OPT(c)."""
    instance = data.draw(knapsack_instances(max_items=8))
    capacity, _ = data.draw(capacities_for(instance))
    found = blocks(instance, range(len(instance)), capacity)
    assert sorted(i for block in found for i in block) == list(range(len(instance)))
    assert all(instance.weight(block) <= capacity for block in found)
    m = max(1, -(-instance.weight(range(len(instance))) // capacity))
    assert len(found) <= 2 * m - 1
    large = m * capacity
    assert optimum(instance, large).value <= (2 * m - 1) * optimum(instance, capacity).value
    assert bounds.pieces(capacity, large) == 2 * m - 1


def test_fewer_blocks_do_not_suffice():
    """The twin: 2m - 2 sets are not enough; m + (m - 1) items just over c/2 need one each."""
    cases = knapsack_instances(min_items=1, max_items=8).flatmap(
        lambda items: st.tuples(st.just(items), capacities_for(items)))

    def needs(case):
        instance, (capacity, _) = case
        m = -(-instance.weight(range(len(instance))) // capacity)
        return m >= 2 and optimum(instance, m * capacity).value > (2 * m - 2) * optimum(instance, capacity).value

    instance, (capacity, _) = look(cases, needs)
    assert len(blocks(instance, range(len(instance)), capacity)) >= 3


@many(50)
@given(heavy_cases())
def test_the_blocks_lemma_needs_light_items(case):
    instance, (capacity, _) = case
    with pytest.raises(InvalidArgumentError, match="does not fit the capacity"):
        blocks(instance, range(len(instance)), capacity)
    assert max(instance.weights) > capacity  # so no set that fits c has this item
