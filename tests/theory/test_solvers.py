"""The exact solvers of the 0/1 knapsack against enumeration, its limits, and its errors."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.testing.knapsack_strategies import knapsack_instances
from reds_jax.theory import (
    Chain,
    Instance,
    Quadratic,
    best_of_both,
    bilinear_instance,
    bottom_up,
    bounds,
    every_chain,
    joint_optimum,
    optimal_sets,
    optimum,
    solvers,
    tight_instance,
    top_down,
)

METHODS = ("states", "by_weight", "by_profit", "auto")
LARGE = st.integers(0, 10**40)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.booleans())
def test_every_method_finds_the_sets_of_enumeration(data, fractions):
    instance = data.draw(knapsack_instances(max_items=7, fractions=fractions))
    capacity = data.draw(st.fractions(0, 40, max_denominator=12) if fractions else st.integers(0, 40))
    expected = sorted(optimal_sets(instance, capacity, method="enumeration"))
    for method in METHODS:
        if fractions and method.startswith("by"):  # common denominators can make the tables too large
            continue
        found = list(optimal_sets(instance, capacity, method=method))
        assert sorted(found) == expected
        assert len(set(found)) == len(found)
        assert optimum(instance, capacity, method=method).value == instance.profit(expected[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LARGE, LARGE), max_size=7), LARGE)
def test_numbers_of_any_size(items, capacity):
    """Python integers all the way: nothing overflows."""
    instance = Instance.of(*items)
    assert sorted(optimal_sets(instance, capacity)) == sorted(optimal_sets(instance, capacity, method="enumeration"))


@pytest.mark.parametrize("shift", [31, 62, 70])
@pytest.mark.parametrize("method", ["by_weight", "by_profit"])
def test_tables_at_the_borders_of_the_integer_types(shift, method):
    """Profits (or weights) around 2^31, 2^62 and beyond, the other numbers small."""
    rng = random.Random(shift)
    large = [rng.randrange(2**shift - 3, 2**shift) for _ in range(8)]
    small = [rng.randrange(1, 6) for _ in range(8)]
    instance = Instance(tuple(small), tuple(large)) if method == "by_weight" else Instance(tuple(large), tuple(small))
    capacity = 11 if method == "by_weight" else 4 * 2**shift - 5
    expected = optimum(instance, capacity, method="enumeration").value
    assert optimum(instance, capacity, method=method).value == expected
    assert sorted(optimal_sets(instance, capacity, method=method)) == sorted(
        optimal_sets(instance, capacity, method="enumeration"))  # fmt: skip


def random_items(n, most_weight, most_profit, seed):
    rng = random.Random(seed)
    return Instance(tuple(rng.randint(1, most_weight) for _ in range(n)), tuple(rng.randint(1, most_profit) for _ in range(n)))


@pytest.mark.parametrize(("most_weight", "most_profit", "capacities"), [
    (1000, 10**6, (5_000, 10_000, 20_000)),  # by weight
    (10**9, 20, (5 * 10**8, 10**9, 2 * 10**9)),  # by profit
])  # fmt: skip
def test_two_thousand_items(most_weight, most_profit, capacities):
    instance = random_items(2000, most_weight, most_profit, seed=0)
    best = [optimum(instance, c).value for c in capacities]
    grown, shrunk = bottom_up(instance, capacities), top_down(instance, capacities)
    assert grown.values[0] == best[0]
    assert shrunk.values[-1] == best[-1]
    assert 2 * grown.values[1] >= best[1]
    assert sum(best) >= best_of_both(instance, capacities).total >= Fraction(9, 10) * sum(best)
    scaled = Instance(tuple(Fraction(w, 7) for w in instance.weights), tuple(Fraction(p, 3) for p in instance.profits))
    assert optimum(scaled, Fraction(capacities[0], 7)).value == Fraction(best[0], 3)


def test_both_tables_agree_on_hundreds_of_items():
    instance = random_items(300, 60, 60, seed=1)
    values = {optimum(instance, 1000, method=method).value for method in ("by_weight", "by_profit", "states")}
    assert len(values) == 1


def test_the_joint_optimum_of_forty_items_lies_between_the_orders_and_the_optima():
    instance = random_items(40, 30, 30, seed=2)
    limits = (60, 120, 240)
    joint = joint_optimum(instance, limits)
    assert best_of_both(instance, limits).total <= joint.total <= sum(optimum(instance, c).value for c in limits)


def test_a_tight_family_scaled_to_many_items():
    """T3 with a = 20 and four stages: 142 items, exactly the ratio of the family."""
    tight = tight_instance("T3", stages=4, granularity=20, profit=10**30)
    chain = bottom_up(tight.instance, tight.capacities)
    assert Fraction(chain.values[-1]) / optimum(tight.instance, tight.capacities[-1]).value == tight.ratio


def test_errors_say_what_to_do():
    items = Instance.of((1, 1), (1, 1))
    for wrong, match in [
        (lambda: Instance((1, 2), (1,)), "one profit for each weight; got \\(2, 1\\)"),
        (lambda: Instance((1.5,), (1,)), "entry 0 of the weights is not an exact number; got 1.5.* fractions.Fraction"),
        (lambda: Instance((1,), (np.float64(0.1),)), "entry 0 of the profits is not an exact number"),
        (lambda: Instance((True,), (1,)), "is not a number"),
        (lambda: Instance((1, -1), (1, 1)), "entry 1 of the weights is negative; got -1"),
        (lambda: Instance("12", (1, 1)), "must be a sequence of numbers"),
        (lambda: Instance.of((1, 2, 3)), "item 0 is not a pair"),
        (lambda: items.select([0, 0]), "names an item twice"),
        (lambda: items.select([2]), "unknown item; got \\[2\\]; allowed: integers from 0 to 1"),
        (lambda: Chain(items, (1, 2), ((0,),)), "one set for each capacity"),
        (lambda: Chain(items, (1, 2), ((0, 1), (0, 1))), "stage 0 does not fit its capacity; got 2; allowed: at most 1"),
        (lambda: Chain(items, (1, 2), ((0,), (1,))), "stage 1 does not contain stage 0"),
        (lambda: optimum(items, -1), "capacity is negative"),
        (lambda: optimum(items, 1, method="magic"), "unknown method; got 'magic'"),
        (lambda: optimum(random_items(21, 5, 5, 0), 9, method="enumeration"), "too many items to enumerate"),
        (lambda: optimum(random_items(9, 10**12, 5, 0), 10**12, method="by_weight"), "table by_weight is too large"),
        (lambda: bottom_up(items, (2, 1)), "not positive and strictly ascending; got \\(2, 1\\)"),
        (lambda: bottom_up(items, ()), "not positive and strictly ascending"),
        (lambda: bottom_up(items, (1,), ties="best"), "unknown way to break ties"),
        (lambda: bottom_up(items, (1,), approximate=1), r"not in \[0, 1\)"),
        (lambda: bottom_up(Instance((1,) * 40, (1,) * 40), (20, 30), ties="kind"), 'more than 100000.*ties="first"'),
        (lambda: next(every_chain(items, (1,), "sideways")), "unknown order"),
        (lambda: best_of_both(items, (1, 2), by="luck"), "unknown measure"),
        (lambda: bounds.bottom_up_ratio((1, 2, 3)), "number of capacities does not fit.*2 capacities"),
        (lambda: bounds.granular_ratios((1, 2), granularity=0), "granularity is not a positive integer"),
        (lambda: bounds.granular_ratios((1, 2), instance=items, granularity=1), "its own granularity"),
        (lambda: tight_instance("T8"), "unknown theorem; got 'T8'; allowed: 'T1' to 'T7'"),
        (lambda: tight_instance("T1", stages=3), "family of T1 has no parameter stages"),
        (lambda: tight_instance("T3", capacities=(1, 2)), "family of T3 has no parameter capacities"),
        (lambda: tight_instance("T1", profit=1), "profit is not an integer of at least 2"),
        (lambda: bilinear_instance("bottom_up", units=2), "units is not an integer of at least 3"),
        (lambda: Quadratic(0, 1, -1), "under the root"),
        (lambda: Quadratic(0.5, 1, 2), "a is not rational"),
    ]:  # fmt: skip
        with pytest.raises(InvalidArgumentError, match=match):
            wrong()


def test_too_many_states_are_an_error(monkeypatch):
    monkeypatch.setattr(solvers, "MAX_STATES", 50)
    with pytest.raises(InvalidArgumentError, match="too large for an exact solution.*coarser unit"):
        optimum(random_items(12, 10**9, 10**9, 3), 10**10, method="states")


SMALL = st.fractions(-5, 5, max_denominator=6)


@settings(max_examples=200, deadline=None)
@given(SMALL, SMALL, st.integers(0, 9), SMALL)
def test_quadratic_numbers_compare_exactly(a, b, d, q):
    """Against 60 digits of the root; equality by squares."""
    from decimal import Decimal, localcontext

    number = Quadratic(a, b, d)
    with localcontext(prec=60):
        root = Decimal(d).sqrt()
        exact = [Decimal(x.numerator) / Decimal(x.denominator) for x in (a, b, q)]
        difference = exact[0] + exact[1] * root - exact[2]
    equal = abs(difference) < Decimal(10) ** -40
    assert (number == q) == equal
    assert (number < q) == (q > number) == (not equal and difference < 0)
    assert (number >= q) == (q <= number) == (equal or difference > 0)
    assert number + q == Quadratic(a + q, b, d)
    assert float(2 * number) == pytest.approx(2 * float(number))
    if equal:
        assert hash(number) == hash(q)


def test_the_golden_bound_of_t7():
    """rho_1 = 1 / sqrt(2): its square is 1/2, exactly."""
    rho = bounds.min_ratio((2, 3))
    assert rho == Quadratic(0, Fraction(1, 4), 8)
    assert Fraction(7071, 10000) < rho < Fraction(7072, 10000)
    assert rho != bounds.min_ratio((3, 6))
    with pytest.raises(TypeError):
        assert rho < bounds.min_ratio((3, 6))
