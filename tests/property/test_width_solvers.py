"""`assert_width_solver` passes every solver of the library and catches each kind of broken one; what the strategies draw."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis.errors import NoSuchExample

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, solve, solve_nested
from reds_jax.knapsack.brute import brute_nested
from reds_jax.testing.width_solvers import assert_width_solver, check_nested_widths
from reds_jax.testing.width_strategies import WidthCase, near_tight_widths, width_cases, width_graphs
from reds_jax.theory import bilinear_ratios

FIXED = settings(max_examples=150, deadline=None, database=None, derandomize=True, phases=[Phase.generate])
FEW = settings(FIXED, max_examples=30)
ONE = WidthProblem(("a", "b"), ((1, 2), (2, 4)), (Table("a", [1, 9]), Table("b", [2, 3])), {"macs": (Table("a", [1, 2]),)})


def bottom_up(problem, capacities):
    return solve_nested(problem, capacities, order="bottom_up")


def top_down(problem, capacities):
    return solve_nested(problem, capacities, order="top_down").widths


def joint(problem, capacities):
    return solve_nested(problem, capacities, exact_joint=True).widths


def promised(problem, capacities):
    return bilinear_ratios([limit["macs"] for limit in capacities])


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_solvers_of_the_library_pass(stages):
    assert_width_solver(bottom_up, promise="bottom_up", stages=stages, settings=FEW)
    assert_width_solver(top_down, promise="top_down", stages=stages, settings=FEW)
    assert_width_solver(joint, stages=stages, settings=FEW)


def test_bottom_up_keeps_its_guarantee_on_products_of_widths():
    assert_width_solver(bottom_up, promise="bottom_up", guarantee=promised, cases=near_tight_widths(), settings=FEW)


# Broken solvers


def separate(problem, capacities):
    return [solve(problem, limit).widths for limit in capacities]


def everything(problem, capacities):
    return [problem.full_widths] * len(capacities)


def least(problem, capacities):
    return [problem.smallest_widths] * len(capacities)


def without(kind):
    """Bottom-up that does not see the capacities on a kind of costs: the first resource is "macs", further ones come behind."""

    def solver(problem, capacities):
        seen = {"macs", *problem.peaks} if kind == "resources" else set(problem.resources)
        kept = [{n: c for n, c in limit.items() if n in seen} for limit in capacities]
        if not all(kept):
            return bottom_up(problem, capacities)
        return bottom_up(problem, kept)

    return solver


def second_best(problem, capacities):
    """The best but one value, where there is one."""
    best = solve(problem, capacities[0]).value
    inside = [w for w in product(*problem.widths) if all(problem.cost(n, w) <= c for n, c in capacities[0].items())]
    worse = [w for w in inside if problem.evaluate(w) < best]
    return [max(worse or inside, key=problem.evaluate)]


def every_width(problem, capacities):
    """Smallest widths rounded up to an odd number, which steps and floors do not know."""
    return [[n + (n % 2 == 0) for n in problem.smallest_widths]] * len(capacities)


def backwards(problem, capacities):
    return bottom_up(problem, capacities).widths[::-1]


def conservative(problem, capacities):
    """Stays two units of cost below every capacity of the MACs, where it can."""
    tighter = [{**limit, "macs": limit["macs"] - 2} if "macs" in limit else limit for limit in capacities]
    try:
        return bottom_up(problem, tighter)
    except ValueError:
        return bottom_up(problem, capacities)


def stands_still(problem, capacities):
    """The best widths for the smallest capacity, at every stage."""
    return [solve(problem, capacities[0]).widths] * len(capacities)


def falls_at_once(problem, capacities):
    """The best widths for the largest capacity, and the smallest before."""
    return [problem.smallest_widths] * (len(capacities) - 1) + [solve(problem, capacities[-1]).widths]


@pytest.mark.parametrize(("solver", "promise", "stages", "match"), [
    (separate, "feasible", 2, "shrinks from"),
    (everything, "feasible", 1, "costs .* of '.*', more than"),
    (without("resources"), "feasible", 2, "costs .* of '(r0|r1|param_bytes|memory)', more than"),
    (without("peaks"), "feasible", 2, "costs .* of '(peak|memory)', more than"),
    (every_width, "feasible", 1, "is not allowed"),
    (backwards, "feasible", 2, "shrinks from"),
    (least, "bottom_up", 1, "misses .* in the order bottom_up"),
    (second_best, "joint", 1, "no joint optimum"),
    (second_best, "bottom_up", 1, "stage 0 misses"),
    (second_best, "top_down", 1, "stage 0 misses"),
    (conservative, "bottom_up", 2, "misses"),
    (bottom_up, "joint", 2, "no joint optimum"),
    (top_down, "joint", 2, "no joint optimum"),
    (bottom_up, "top_down", 2, "stage 1 misses .* in the order top_down"),
    (top_down, "bottom_up", 2, "stage 0 misses .* in the order bottom_up"),
    (stands_still, "bottom_up", 2, "stage 1 misses"),
    (falls_at_once, "top_down", 2, "stage 0 misses"),
    (joint, "bottom_up", 2, "stage 0 misses"),
    (joint, "top_down", 2, "misses"),
])  # fmt: skip
def test_broken_solvers_are_caught(solver, promise, stages, match):
    with pytest.raises(AssertionError, match=f"{match}.* on WidthProblem.*capacities"):
        assert_width_solver(solver, promise=promise, stages=stages, settings=FIXED)


def test_a_guarantee_that_is_not_kept_is_caught():
    with pytest.raises(AssertionError, match="stage 0 keeps less than 1 of its separate optimum"):
        assert_width_solver(top_down, promise="top_down", guarantee=promised, cases=near_tight_widths(), settings=FIXED)
    problem = WidthProblem(("a",), ((1, 2),), (Table("a", [1, 3]),), {"macs": (Table("a", [1, 2]),)})
    arguments = {"answer": [[1]], "problem": problem, "capacities": [{"macs": 2}], "promise": "feasible"}
    assert check_nested_widths(**arguments, guarantee=lambda *_: [Fraction(1, 3)]) == (1,)
    with pytest.raises(AssertionError, match="stage 0 keeps less than"):
        check_nested_widths(**arguments, guarantee=lambda *_: [Fraction(1, 3) + Fraction(1, 10**30)])


def test_a_guarantee_on_shares_is_one_on_their_mean():
    """Half of one group of two, all of the other: the geometric mean of the shares is 1/sqrt(2) of what it could be."""
    problem = WidthProblem.chain(scores=[[1, 1], [1, 1]], pair_macs=[0, 1], unit_macs=[0, 0], value="log_retention")
    arguments = {"answer": [[1, 2]], "problem": problem, "capacities": [{"macs": 4}], "promise": "feasible"}
    check_nested_widths(**arguments, guarantee=lambda *_: [0.707])
    with pytest.raises(AssertionError, match=r"stage 0 keeps less than 0\.708"):
        check_nested_widths(**arguments, guarantee=lambda *_: [0.708])


def nothing(problem, capacities):
    return None


def one_for_all(problem, capacities):
    return [problem.smallest_widths]


def names(problem, capacities):
    return [["narrow"] * len(problem.groups)] * len(capacities)


def shares(problem, capacities):
    return [[float(n) for n in problem.smallest_widths]] * len(capacities)


def truth(problem, capacities):
    return [[True] * len(problem.groups)] * len(capacities)


def one_number(problem, capacities):
    return [3] * len(capacities)


def one_group_less(problem, capacities):
    return [problem.smallest_widths[1:]] * len(capacities)


def broken(problem, capacities):
    raise KeyError("no such layer")


def broken_late(problem, capacities):
    yield problem.smallest_widths
    raise KeyError("no such layer")


@pytest.mark.parametrize(("solver", "match", "cause"), [
    (nothing, "the answer None is no sequence of widths", TypeError),
    (one_for_all, "there are widths for 1 subnetworks, not for 2", None),
    (names, "the widths of stage 0 are not integers", None),
    (shares, "the widths of stage 0 are not integers", None),
    (truth, "the widths of stage 0 are not integers", None),
    (one_number, "is no sequence of widths", TypeError),
    (one_group_less, "stage 0: one width for each group is needed", InvalidArgumentError),
    (broken, "the solver raised KeyError: 'no such layer'", KeyError),
    (broken_late, "is no sequence of widths", KeyError),
])  # fmt: skip
def test_no_answer_is_told_with_the_problem_and_its_cause(solver, match, cause):
    with pytest.raises(AssertionError, match=f"{match}.* on WidthProblem.*capacities") as caught:
        assert_width_solver(solver, settings=FIXED)
    assert cause is None or isinstance(caught.value.__cause__, cause)


def test_numpy_integers_are_widths():
    assert_width_solver(lambda p, c: [np.array(w) for w in joint(p, c)], settings=FEW)


def test_the_message_builds_the_problem_again():
    with pytest.raises(AssertionError) as caught:
        check_nested_widths([(1, 2), (2, 2)], ONE, [{"macs": 1}, {"macs": 1}])
    text = str(caught.value).partition(" on ")[2]
    problem, limits = eval("WidthCase(" + text.replace("capacities ", "") + ")", {"WidthProblem": WidthProblem, "Table": Table,
                                                                                  "WidthCase": WidthCase})  # fmt: skip
    assert (problem.groups, problem.widths, list(limits)) == (ONE.groups, ONE.widths, [{"macs": 1}, {"macs": 1}])
    assert [problem.evaluate(w) for w in product(*problem.widths)] == [ONE.evaluate(w) for w in product(*ONE.widths)]


def test_integers_are_compared_exactly():
    """A miss of one in 2^60, which no float shows."""
    problem = WidthProblem(("a",), ((1, 2),), (Table("a", [2**60 - 1, 2**60]),), {"macs": (Table("a", [1, 2]),)})
    for promise in ("joint", "bottom_up", "top_down"):
        assert check_nested_widths([[2]], problem, [{"macs": 2}], promise=promise) == (2**60,)
        with pytest.raises(AssertionError, match=f"misses 1 of|{2**60}"):
            check_nested_widths([[1]], problem, [{"macs": 2}], promise=promise)
    stages = [{"macs": 2}] * 8  # their sum leaves 64 bits
    assert brute_nested(problem, stages) == 8 * 2**60


def test_errors():
    with pytest.raises(InvalidArgumentError, match="unknown promise"):
        assert_width_solver(joint, promise="wealth")
    with pytest.raises(InvalidArgumentError, match="unknown promise"):
        check_nested_widths([(1, 2)], ONE, [{"macs": 1}], promise="wealth")
    with pytest.raises(InvalidArgumentError, match="capacities are not ascending"):
        check_nested_widths([(1, 2), (2, 2)], ONE, [{"macs": 2}, {"macs": 1}])
    with pytest.raises(InvalidArgumentError, match="no such resource"):
        check_nested_widths([(1, 2)], ONE, [{"flops": 2}])


# The oracle and the strategies


def within(problem, widths, limit):
    return all(problem.cost(name, widths) <= most for name, most in limit.items())


@given(width_cases(stages=3))
@settings(FIXED, max_examples=80)
def test_the_cases_can_be_met_and_their_costs_grow(case):
    assert within(case.problem, case.problem.smallest_widths, case.capacities[0])
    for small, large in zip(case.capacities, case.capacities[1:], strict=False):
        assert all(small[name] <= large[name] for name in small)
    tables = [t for kind in (case.problem.resources, case.problem.peaks) for several in kind.values() for t in several]
    assert all(t.grows() for t in tables)


HAVE = {
    "a group that two layers write": lambda p: any(
        a.groups == b.groups[::-1] and len(a.groups) == 2 for a in p.resources["macs"] for b in p.resources["macs"]),
    "a square of a width": lambda p: any(
        len(t.groups) == 1 and len(t.array) > 2 and np.diff(t.array, n=2).any() and not has_gaps(p, t)
        for t in p.resources["macs"]),
    "widths of a step": lambda p: any(has_gaps(p, t) for t in p.values),
    "a floor": lambda p: any(w[0] > 1 and len(w) > 1 for w in p.widths),
    "a table of products": lambda p: any(t.factors is not None for t in p.resources["macs"]),
    "a peak and two resources": lambda p: len(p.resources) == 2 and bool(p.peaks),
    "logarithms": lambda p: p.gamma == 0,
    "ces": lambda p: p.gamma is not None and p.gamma > 0,
    "a value that falls": lambda p: any(t.whole and (np.diff(t.array) < 0).any() for t in p.values),
}  # fmt: skip


def has_gaps(problem, table):
    (group,) = table.groups
    return bool((np.diff(problem.widths[group]) > 1).any())


@pytest.mark.parametrize("what", HAVE)
def test_the_graphs_have(what):
    found = find(width_graphs(max_units=5), HAVE[what], settings=settings(FIXED, max_examples=1000))
    assert HAVE[what](found)


@pytest.mark.parametrize(("order", "stage"), [("bottom_up", 1), ("top_down", 0)])
def test_near_tight_widths_are_near_the_bound(order, stage):
    """Within a quarter of 1/2 for eight units; and below 2/3, which holds for additive costs."""
    def falls(case, share):
        value = solve_nested(*case, order=order).values[stage]
        return value < share * solve(case.problem, case.capacities[stage]).value

    quick = settings(FIXED, max_examples=300)
    assert find(near_tight_widths(noise=False), lambda case: falls(case, Fraction(5, 8)), settings=quick)
    with pytest.raises(NoSuchExample):
        find(near_tight_widths(noise=False), lambda case: falls(case, Fraction(1, 2)), settings=quick)


def test_near_tight_widths_have_a_price_of_nesting():
    """Two subnetworks, cost n1 n2: what every nested choice loses goes to 1/7 of the total; here more than a tenth."""
    def loses(case):
        optima = sum(solve(case.problem, limit).value for limit in case.capacities)
        best = brute_nested(*case)
        return best is not None and best < Fraction(9, 10) * optima

    assert find(near_tight_widths(), loses, settings=settings(FIXED, max_examples=300))
