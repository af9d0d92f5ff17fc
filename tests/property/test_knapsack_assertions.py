"""`assert_nested_guarantee` passes every solver of the library and catches each kind of broken one."""

from fractions import Fraction

import pytest
from hypothesis import Phase, Verbosity, assume, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from reds_jax.errors import InvalidArgumentError
from reds_jax.testing.knapsack_strategies import Case, assert_nested_guarantee, check_nested_guarantee
from reds_jax.testing.solver_runs import settings_for
from reds_jax.testing.width_solvers import assert_width_solver
from reds_jax.theory import (
    Instance,
    best_of_both,
    bottom_up,
    bounds,
    certificate,
    joint_optimum,
    optimum,
    tight_instance,
    top_down,
)

FIXED = settings(max_examples=200, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
FEW = settings(FIXED, max_examples=40)


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
    assert_nested_guarantee(bottom_up, settings=FEW)
    assert_nested_guarantee(bottom_up, stages=3, settings=FEW)
    assert_nested_guarantee(top_down, promise="top_down", stages=3, settings=FEW)
    assert_nested_guarantee(best_of_both, promise="total", settings=FEW)
    assert_nested_guarantee(joint_optimum, promise="total", settings=FEW)
    assert_nested_guarantee(lambda *case: best_of_both(*case, by="min_ratio"), promise="min_ratio", settings=FEW)
    assert_nested_guarantee(careless, approximate=Fraction(1, 4), settings=FEW)
    assert_nested_guarantee(careless_down, promise="top_down", stages=3, approximate=Fraction(1, 4), settings=FEW)


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
        assert_nested_guarantee(solver, promise=promise, settings=FIXED)


def test_cases_of_ones_own():
    seen = []

    def solver(instance, capacities):
        seen.append(capacities)
        return bottom_up(instance, capacities)

    assert_nested_guarantee(solver, cases=st.just(Case(Instance.of((1, 1)), (1, 9))), settings=FEW)
    assert set(seen) == {(1, 9)}


def test_errors():
    with pytest.raises(InvalidArgumentError, match="unknown promise"):
        assert_nested_guarantee(bottom_up, promise="wealth")
    with pytest.raises(InvalidArgumentError, match="two exact stages"):
        assert_nested_guarantee(bottom_up, promise="total", stages=3)
    with pytest.raises(InvalidArgumentError, match="unknown promise"):
        check_nested_guarantee([[]], Instance.of((1, 1)), (1,), promise="wealth")
    with pytest.raises(InvalidArgumentError, match="two exact stages"):
        check_nested_guarantee([[]], Instance.of((1, 1)), (1,), promise="total")
    with pytest.raises(InvalidArgumentError, match="strictly ascending"):
        check_nested_guarantee([[], []], Instance.of((1, 1)), (2, 2))
    with pytest.raises(InvalidArgumentError, match=r"not in \[0, 1\)"):
        assert_nested_guarantee(bottom_up, approximate=1)
    tight = Instance.of((3, 101), (2, 100), (2, 100), (2, 100))
    assert check_nested_guarantee([[0], [0, 1]], tight, (3, 6)).ratios[1] == Fraction(67, 100)


def claims(value):
    return lambda limits, **_: (value,) * len(limits)


@pytest.mark.parametrize(("solver", "promise", "stages", "bound", "claim"), [
    (bottom_up, "bottom_up", 2, "bottom_up_ratio", lambda limits, **_: Fraction(1)),
    (bottom_up, "bottom_up", 3, "granular_ratios", claims(Fraction(1))),
    (bottom_up, "bottom_up", 3, "pieces", lambda *_: 1),
    (top_down, "top_down", 2, "top_down_ratios", claims(Fraction(1))),
    (top_down, "top_down", 4, "top_down_ratios", claims(Fraction(1))),
])
def test_every_stage_is_held_against_the_bound_of_the_library(solver, promise, stages, bound, claim, monkeypatch):
    """A solver that is right breaks a bound that claims too much: so the bounds that are in force are what is asked for."""
    monkeypatch.setattr(bounds, bound, claim)
    with pytest.raises(AssertionError, match=r"stage \d keeps .*, the theorems promise"):
        assert_nested_guarantee(solver, promise=promise, stages=stages, settings=FIXED)


@pytest.mark.parametrize("theorem", ["T1", "T2", "T5"])
def test_a_chain_has_no_error_in_its_own_order(theorem):
    """Bottom-up adds the best it could add, top-down keeps the best of what it has; here each errs in the other."""
    tight = tight_instance(theorem, **({"stages": 3} if theorem == "T5" else {}))
    grown, shrunk = (certificate(tight.instance, order(tight.instance, tight.capacities)) for order in (bottom_up, top_down))
    assert grown.bottom_up_error == shrunk.top_down_error == 0
    assert grown.chain.sets != shrunk.chain.sets
    assert shrunk.bottom_up_error > 0
    assert grown.top_down_error > 0


def nothing(instance, capacities):
    return None


def one_for_all(instance, capacities):
    return [()]


def beyond(instance, capacities):
    return [(len(instance),)] * len(capacities)


def negative(instance, capacities):
    return [(-1,)] * len(capacities)


def twice(instance, capacities):
    return [(0, 0)] * len(capacities)


def names(instance, capacities):
    return [("first", 2)] * len(capacities)


def numbers(instance, capacities):
    return list(range(len(capacities)))


def broken(instance, capacities):
    return 1 // len(range(0))


def broken_late(instance, capacities):
    yield ()
    raise KeyError("no such item")


@pytest.mark.parametrize("stages", [2, 3])
@pytest.mark.parametrize(("solver", "match", "cause"), [
    (nothing, "the answer None is no sequence of sets of items", TypeError),
    (one_for_all, "a chain needs one set for each capacity", InvalidArgumentError),
    (beyond, "a set names an unknown item", InvalidArgumentError),
    (negative, "a set names an unknown item", InvalidArgumentError),
    (twice, "a set names an (item twice|unknown item)", InvalidArgumentError),
    (names, "is no sequence of sets of items", TypeError),
    (numbers, "is no sequence of sets of items", TypeError),
    (broken, "the solver raised ZeroDivisionError: ", ZeroDivisionError),
    (broken_late, "is no sequence of sets of items", KeyError),
])
def test_no_answer_is_told_with_the_instance_and_its_cause(solver, match, cause, stages):
    with pytest.raises(AssertionError, match=f"{match}.* on weights .*, profits .*, capacities ") as caught:
        assert_nested_guarantee(solver, stages=stages, settings=FIXED)
    assert isinstance(caught.value.__cause__, cause)


def test_a_solver_may_say_that_a_case_is_not_for_it():
    def solver(instance, capacities):
        assume(len(instance) > 1)
        return bottom_up(instance, capacities)

    assert_nested_guarantee(solver, settings=FEW)


def test_a_solver_that_answers_otherwise_the_second_time():
    calls = []

    def solver(instance, capacities):
        calls.append(instance)
        return None if len(calls) == 1 else bottom_up(instance, capacities)

    with pytest.raises(AssertionError, match="answer None is no .* on weights .* called again with the same"):
        assert_nested_guarantee(solver, settings=settings(FIXED, phases=[Phase.generate, Phase.shrink]))


@pytest.fixture
def profile():
    """A profile in force as a user has one, with a database of its own."""
    before = settings.get_current_profile_name()
    mine = settings(max_examples=7, deadline=123456, database=InMemoryExampleDatabase(), derandomize=False,
                    verbosity=Verbosity.quiet)  # fmt: skip
    settings.register_profile("mine", mine)
    settings.load_profile("mine")
    yield mine
    settings.load_profile(before)


def test_the_profile_in_force_is_obeyed_unless_it_is_overridden(profile):
    kept = ("max_examples", "deadline", "database", "derandomize", "verbosity", "phases", "stateful_step_count", "print_blob")
    assert [getattr(settings_for(None, None), name) for name in kept] == [getattr(profile, name) for name in kept]
    assert settings_for(None, 3).max_examples == 3
    assert settings_for(None, 3).deadline == profile.deadline
    assert settings_for(FEW, None).max_examples == 40
    assert settings_for(FEW, None).derandomize
    assert settings_for(FEW, 2).max_examples == 2


@pytest.mark.parametrize("run", [
    lambda solver, **more: assert_nested_guarantee(solver, **more),
    lambda solver, **more: assert_width_solver(solver, promise="feasible", **more),
], ids=["knapsacks", "widths"])
def test_runs_are_those_of_the_profile(profile, run):
    """As many calls as it says; a failure is stored and comes first in the next run, of this solver and of no other."""
    calls = []

    def right(problem, capacities):
        calls.append((problem, capacities))
        if hasattr(problem, "smallest_widths"):
            return [problem.smallest_widths] * len(capacities)
        return bottom_up(problem, capacities)

    run(right)
    assert len(calls) == 7
    run(right, max_examples=3)
    assert len(calls) == 10

    def wrong(problem, capacities):
        calls.append(repr((problem, capacities)))

    with pytest.raises(AssertionError):
        run(wrong)
    stored = {len(values) for values in profile.database.data.values()}
    assert stored
    smallest = calls[-1]
    first = len(calls)
    with pytest.raises(AssertionError):
        run(wrong)
    assert calls[first] == smallest
    first = len(calls)
    run(right)
    assert len(calls) - first == 7
