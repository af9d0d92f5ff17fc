"""The model: tables, chains, values and allowed widths, and what their errors say."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, allowed_widths, ces, log_retention, pair_sum, prefix_sum, solve
from reds_jax.knapsack.values import LEAST_SHARE
from reds_jax.testing.width_strategies import width_chains

SCORES = [[9, 5, 2], [7, 7, 1, 0]]


def small(**more):
    return WidthProblem.chain(scores=SCORES, pair_macs=[4, 3], unit_macs=[2, 5], **more)


def test_cost_of_a_chain_is_the_formula_in_integers():
    problem = small()
    for a in (1, 2, 3):
        for b in (1, 2, 3, 4):
            assert problem.cost("macs", (a, b)) == 4 * 1 * a + 2 * a + 3 * a * b + 5 * b
            assert problem.evaluate((a, b)) == sum(SCORES[0][:a]) + sum(SCORES[1][:b])
    assert isinstance(problem.cost("macs", (1, 1)), int)
    assert isinstance(problem.evaluate((1, 1)), int)


def test_full_fan_in_charges_the_full_width_before():
    problem = small(cost="full_fan_in")
    for a in (1, 2, 3):
        for b in (1, 2, 3, 4):
            assert problem.cost("macs", (a, b)) == (4 + 2) * a + (3 * 3 + 5) * b
    assert problem.cost("macs", (3, 4)) == small().cost("macs", (3, 4))


def test_peak_is_the_maximum_and_masks():
    problem = small(peaks={"bytes": ([10, 3], [1, 2])})
    assert problem.cost("bytes", (1, 1)) == max(10 + 1, 3 + 2)
    assert problem.cost("bytes", (3, 4)) == max(10 + 3, 9 + 8)
    answer = solve(problem, {"bytes": 13})
    assert answer.costs["bytes"] <= 13
    assert answer.widths == (3, 2)


def test_kernel_scores_first_and_best():
    kernels = np.array([[1, 6, 2], [3, 0, 0], [1, 1, 0], [0, 0, 0]])
    for a in (1, 2, 3):
        for b in (1, 2, 3, 4):
            first = sum(int(kernels[j, i]) for j in range(b) for i in range(a))
            best = sum(sum(sorted(kernels[j].tolist(), reverse=True)[:a]) for j in range(b))
            assert small(kernel_scores=[None, kernels]).evaluate((a, b)) == sum(SCORES[0][:a]) + first
            assert small(kernel_scores=[None, kernels], kernel_score="best").evaluate((a, b)) == sum(SCORES[0][:a]) + best
    assert pair_sum(kernels, previous_widths=[2], widths=[1, 4]).tolist() == [[7, 12]]


def test_kernel_scores_of_the_first_group_have_one_kernel_each():
    problem = WidthProblem.chain(scores=[[3, 2]], pair_macs=[0], unit_macs=[1], kernel_scores=[np.array([[5], [4]])])
    assert [problem.evaluate((n,)) for n in (1, 2)] == [5, 9]


def test_log_retention():
    values = log_retention([4.0, 3.0, 1.0])
    assert values == pytest.approx([math.log(4 / 8), math.log(7 / 8), 0.0])
    assert values[-1] == 0.0
    assert log_retention([0, 0]).tolist() == [0.0, 0.0]
    assert log_retention([3, 0]).tolist() == [0.0, 0.0]
    assert log_retention([1e308, 1e308, 0]) == pytest.approx([math.log(0.5), 0, 0])
    assert np.isfinite(log_retention([5e-324, 5e-324])).all()
    assert log_retention([2, 1, 1], widths=[2, 3]) == pytest.approx([math.log(3 / 4), 0])
    with pytest.raises(InvalidArgumentError, match=r"negative scores is not defined; got -1"):
        log_retention([2, -1])


def test_log_retention_ignores_the_scale_of_a_group():
    rng = np.random.default_rng(0)
    a, b = np.sort(rng.gamma(1, size=9))[::-1], np.sort(rng.gamma(1, size=7))[::-1]
    costs = {"pair_macs": [0, 1], "unit_macs": [1, 0], "value": "log_retention"}
    one = solve(WidthProblem.chain(scores=[a, b], **costs), {"macs": 30})
    two = solve(WidthProblem.chain(scores=[a * 1e6, b * 1e-3], **costs), {"macs": 30})
    assert one.widths == two.widths
    assert one.value == pytest.approx(two.value)


def test_prefix_sum_is_exact():
    assert prefix_sum([2**60, 1, 1]).tolist() == [2**60, 2**60 + 1, 2**60 + 2]
    assert prefix_sum([3, 1], widths=(2,)).tolist() == [4]
    assert prefix_sum(np.array([200, 100], dtype=np.uint8)).tolist() == [200, 300]


@pytest.mark.parametrize(
    ("size", "step", "floor", "expected"),
    [
        (8, 1, None, (2, 3, 4, 5, 6, 7, 8)),
        (9, 1, None, (3, 4, 5, 6, 7, 8, 9)),
        (30, 8, 1, (8, 16, 24, 30)),
        (32, 8, 9, (16, 24, 32)),
        (5, 8, 1, (5,)),
        (1, 1, None, (1,)),
        (64, 16, None, (16, 32, 48, 64)),
    ],
)
def test_allowed_widths(size, step, floor, expected):
    assert allowed_widths(size, step, floor) == expected


def test_steps_and_floors_of_a_chain():
    problem = WidthProblem.chain(
        scores=[np.arange(12)[::-1], np.arange(20)[::-1]], pair_macs=[0, 1], unit_macs=[1, 1], step=[4, 8], min_width=[5, 1]
    )
    assert problem.widths == ((8, 12), (8, 16, 20))
    assert problem.full_widths == (12, 20)
    assert problem.smallest_widths == (8, 8)
    assert problem.evaluate((8, 8)) == sum(range(4, 12)) + sum(range(12, 20))
    assert problem.smallest_costs() == {"macs": 8 + 64 + 8}


@given(width_chains(), st.data())
@settings(max_examples=60, deadline=None)
def test_restriction_keeps_values_and_costs(problem, data):
    low = [data.draw(st.sampled_from(w)) for w in problem.widths]
    high = [data.draw(st.sampled_from([x for x in w if x >= a])) for w, a in zip(problem.widths, low, strict=True)]
    part = problem.restrict(lower=low, upper=high)
    for allowed, left, a, b in zip(problem.widths, part.widths, low, high, strict=True):
        assert left == tuple(w for w in allowed if a <= w <= b)
    widths = [data.draw(st.sampled_from(w)) for w in part.widths]
    assert all(a <= n <= b for a, n, b in zip(low, widths, high, strict=True))
    assert part.evaluate(widths) == problem.evaluate(widths)
    assert part.costs(widths) == problem.costs(widths)
    assert part.gamma == problem.gamma


def test_a_float_cost_is_correctly_rounded():
    tables = tuple(Table(("a",), [0.1]) for _ in range(10))
    problem = WidthProblem(("a",), ((1,),), (), {"us": tables})
    assert problem.cost("us", (1,)) == float(sum(Fraction(0.1) for _ in range(10)))


def test_tables_cannot_be_changed():
    array = np.array([1, 2])
    problem = WidthProblem(("a",), ((1, 2),), (Table("a", array),))
    array[0] = 100
    assert problem.evaluate((1,)) == 1
    with pytest.raises(ValueError, match="read-only"):
        problem.values[0].array[0] = 3
    with pytest.raises(AttributeError):
        problem.groups = ("b",)
    with pytest.raises(TypeError):
        problem.resources["x"] = ()


def build(**more):
    return WidthProblem(**{"groups": ("a", "b"), "widths": ((1, 2), (1, 2, 3)), "values": (), **more})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: small(value="product"), "unknown value; got 'product'; allowed: 'sum', 'log_retention' or 'ces'"),
        (lambda: small(cost="flops"), "unknown cost; got 'flops'; allowed: 'true' or 'full_fan_in'"),
        (lambda: small(step=0), "step is not a positive integer; got 0"),
        (lambda: small(min_width=4), "smallest width is above the full width; got 4; allowed: 1 to 3"),
        (lambda: small(min_width=[1]), "min_width needs one entry for each group; got 1; allowed: 2"),
        (lambda: small(resources={"macs": ([1, 1], [1, 1])}), "'macs' is given by pair_macs and unit_macs"),
        (lambda: small(resources={"x": ([1], [1, 1])}), "pair coefficients of 'x' needs one entry for each group"),
        (lambda: small(kernel_scores=[None, np.ones((3, 4))]), "do not match the groups; got (3, 4); allowed: shape (4, 3)"),
        (lambda: small(kernel_scores=[None, None], value="log_retention"), "kernel scores are summed"),
        (lambda: small(groups=["a"]), "groups needs one entry for each group"),
        (lambda: WidthProblem.chain(scores=[], pair_macs=[], unit_macs=[]), "at least one group"),
        (
            lambda: WidthProblem.chain(scores=[[1, 2]], pair_macs=[0], unit_macs=[1]),
            "the scores of group 'group0' are not in descending order; got (1, 2); allowed: score[1] <= score[0]. Sort the",
        ),
        (lambda: WidthProblem.chain(scores=[[]], pair_macs=[0], unit_macs=[1]), "one number for each unit"),
        (lambda: WidthProblem.chain(scores=[[1.0, math.nan]], pair_macs=[0], unit_macs=[1]), "not finite; got nan"),
        (lambda: WidthProblem.chain(scores=[["x"]], pair_macs=[0], unit_macs=[1]), "are not numbers"),
        (lambda: WidthProblem.chain(scores=[[1]], pair_macs=[0], unit_macs=[math.inf]), "not all finite numbers; got inf"),
        (lambda: WidthProblem.chain(scores=[[2**61, 2**61]], pair_macs=[0], unit_macs=[1]), "64-bit integers"),
        (lambda: WidthProblem.chain(scores=[[1, 1]], pair_macs=[0], unit_macs=[2**61]), "64-bit integers"),
        (lambda: build(groups=("a", "a")), "distinct names"),
        (lambda: build(groups=("a", 3)), "not all strings"),
        (lambda: build(widths=((1, 2),)), "one tuple of allowed widths is needed for each group; got 1; allowed: 2"),
        (lambda: build(widths=((1, 2), (2, 1, 3))), "group 'b' are not positive and ascending; got (2, 1, 3)"),
        (lambda: build(widths=((0, 2), (1, 2, 3))), "group 'a' are not positive and ascending"),
        (lambda: build(widths=((1.5, 2), (1, 2, 3))), "group 'a' are not integers"),
        (lambda: build(values=(Table("c", [1, 2]),)), "unknown group; got 'c'; allowed: ('a', 'b')"),
        (lambda: build(values=(Table((2,), [1, 2]),)), "unknown group; got 2"),
        (lambda: build(values=(Table(("a", 0), [[1, 2], [1, 2]]),)), "does not match the allowed widths"),
        (lambda: build(values=(Table("a", [1, 2, 3]),)), "got (3,); allowed: shape (2,)"),
        (lambda: build(values=([1, 2],)), "must be a sequence of Table; got 'list'"),
        (lambda: build(resources={"r": ()}, peaks={"r": (Table("a", [1, 2]),)}), "for a resource and for a peak; got 'r'"),
        (lambda: build(peaks={"p": ()}), "the peak 'p' has no table"),
        (lambda: build(values=(Table("a", [2**60, 0]), Table("b", [2**60, 0, 0]))), "may leave the 64-bit integers"),
        (lambda: Table(("a", "b"), [1, 2]), "one axis for each"),
        (lambda: Table("a", [1, math.inf]), "not finite; got inf; allowed: finite numbers. To forbid widths, use a peak"),
        (lambda: Table("a", [True, False]), "does not hold numbers"),
        (lambda: build().evaluate((1,)), "one width for each group is needed; got (1,)"),
        (lambda: build().evaluate((1, 7)), "width of group 'b' is not allowed; got 7; allowed: (1, 2, 3)"),
        (lambda: build().cost("macs", (1, 1)), "no such resource; got 'macs'; allowed: none"),
        (lambda: build().restrict(lower=(3, 1)), "no width of group 'a' lies between the bounds; got (3, 2)"),
        (lambda: build().restrict(lower=(1,)), "one bound for each group is needed"),
        (lambda: allowed_widths(0), "size is not a positive integer; got 0"),
        (lambda: allowed_widths(8, floor=9), "smallest width is above the full width"),
        (lambda: pair_sum(np.ones(3)), "must be a finite matrix"),
        (lambda: pair_sum(np.ones((2, 2)), kernel_score="last"), "unknown kernel_score; got 'last'"),
        (lambda: prefix_sum([3, 2], widths=[3]), "widths do not fit the scores; got (3,); allowed: integers from 1 to 2"),
    ],
)
def test_errors_say_what_was_given_and_what_is_allowed(call, text):
    with pytest.raises(InvalidArgumentError) as caught:
        call()
    assert text in str(caught.value)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).map(lambda s: sorted(s, reverse=True)), st.floats(-1, 8))
def test_ces_is_finite_rises_with_the_width_and_is_nothing_lost_at_full_width(scores, gamma):
    values = ces(scores, gamma=gamma)
    assert np.isfinite(values).all()
    assert values[-1] == 0
    assert (np.diff(values) >= 0).all()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8).map(lambda s: sorted(s, reverse=True)))
def test_ces_is_the_sum_the_logarithm_and_the_least_share_at_its_ends(scores):
    share = np.cumsum(scores) / sum(scores)
    np.testing.assert_allclose(ces(scores, gamma=-1), share - 1, atol=1e-12)
    np.testing.assert_array_equal(ces(scores, gamma=0), log_retention(scores))
    np.testing.assert_allclose(ces(scores, gamma=1e-9), log_retention(scores), atol=1e-6)
    np.testing.assert_allclose((1 - 50 * ces(scores, gamma=50)) ** (-1 / 50), np.maximum(share, LEAST_SHARE), rtol=1e-9)


@pytest.mark.parametrize("gamma", [-1.5, 61, float("nan"), True, "2"])
def test_a_gamma_that_is_not_allowed_is_refused(gamma):
    with pytest.raises(InvalidArgumentError, match="gamma"):
        ces([2, 1], gamma=gamma)
