"""`assert_nested_guarantee` passes every solver of the library and catches each kind of broken one."""

from fractions import Fraction

import pytest
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.testing.knapsack_strategies import Case, assert_nested_guarantee, check_nested_guarantee
from reds_jax.theory import Instance, best_of_both, bottom_up, joint_optimum, optimum, top_down


def greedy(instance, capacities):
    """By profit per weight, and never better than that."""
    density = [Fraction(p) / (w or Fraction(1, 99)) for w, p in zip(instance.weights, instance.profits, strict=True)]
    order = sorted(range(len(instance)), key=lambda i: -density[i])
    inner, sets = [], []
    for limit in capacities:
        inner = inner + [i for i in order if i not in inner and instance.weight([*inner, i]) <= limit][:1]
        sets.append(tuple(inner))
    return sets


def separate(instance, capacities):
    """The separate optima: the best values there are, but not nested."""
    return [optimum(instance, c).items for c in capacities]


def too_heavy(instance, capacities):
    return [range(len(instance))] * len(capacities)


def forgetful(instance, capacities):
    """Bottom-up that fills what is left as if c_i - c_{i-1} were the room."""
    chain = bottom_up(instance, capacities)
    rest = [i for i in range(len(instance)) if i not in chain.sets[0]]
    part = Instance(tuple(instance.weights[i] for i in rest), tuple(instance.profits[i] for i in rest))
    added = optimum(part, capacities[1] - capacities[0]).items
    return chain.sets[0], (*chain.sets[0], *(rest[i] for i in added))


def careless(instance, capacities):
    return bottom_up(instance, capacities, ties="adversarial", approximate=Fraction(1, 4))


def careless_down(instance, capacities):
    return top_down(instance, capacities, ties="adversarial", approximate=Fraction(1, 4))


def test_the_solvers_of_the_library_pass():
    assert_nested_guarantee(bottom_up, max_examples=40)
    assert_nested_guarantee(bottom_up, stages=3, max_examples=40)
    assert_nested_guarantee(top_down, promise="top_down", stages=3, max_examples=40)
    assert_nested_guarantee(best_of_both, promise="total", max_examples=40)
    assert_nested_guarantee(joint_optimum, promise="total", max_examples=40)
    assert_nested_guarantee(lambda *case: best_of_both(*case, by="min_ratio"), promise="min_ratio", max_examples=40)
    assert_nested_guarantee(careless, approximate=Fraction(1, 4), max_examples=40)
    assert_nested_guarantee(careless_down, promise="top_down", stages=3, approximate=Fraction(1, 4), max_examples=40)


@pytest.mark.parametrize(("solver", "promise", "match"), [
    (greedy, "bottom_up", "misses .* of its own optimum"),
    (greedy, "total", "T6 promises"),
    (separate, "top_down", "does not contain stage 0"),
    (too_heavy, "total", "does not fit its capacity"),
    (forgetful, "bottom_up", "misses .* in the order bottom_up"),
    (careless, "bottom_up", "misses"),
    (bottom_up, "total", "T6 promises"),
    (bottom_up, "min_ratio", "T7 promises"),
    (top_down, "min_ratio", "T7 promises"),
    (top_down, "bottom_up", "misses"),
    (careless_down, "top_down", "misses"),
])  # fmt: skip
def test_broken_solvers_are_caught(solver, promise, match):
    with pytest.raises(AssertionError, match=match):
        assert_nested_guarantee(solver, promise=promise, max_examples=200)


def test_cases_of_ones_own():
    seen = []

    def solver(instance, capacities):
        seen.append(capacities)
        return bottom_up(instance, capacities)

    assert_nested_guarantee(solver, cases=st.just(Case(Instance.of((1, 1)), (1, 9))), max_examples=3)
    assert set(seen) == {(1, 9)}


def test_errors():
    with pytest.raises(InvalidArgumentError, match="unknown promise"):
        assert_nested_guarantee(bottom_up, promise="wealth")
    with pytest.raises(InvalidArgumentError, match="two exact stages"):
        assert_nested_guarantee(bottom_up, promise="total", stages=3)
    tight = Instance.of((3, 101), (2, 100), (2, 100), (2, 100))
    assert check_nested_guarantee([[0], [0, 1]], tight, (3, 6)).ratios[1] == Fraction(67, 100)
