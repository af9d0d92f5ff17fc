"""The best widths of all budgets under products of widths: nested, of one shape, uniform (proofs/one_shape.md).

What is about a pair of choices is checked in fractions on random networks, what is about optima by `real_widths` and by the
exact solver on whole widths. The twins: a worth that stays level, exponents that differ, a worth that is 1 % off, the sum.
"""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from reds_jax.knapsack import Table, WidthProblem, ces, solve
from reds_jax.theory import ProductCost, real_widths

SHARES = st.fractions(Fraction(1, 9), 2, max_denominator=9)
COSTS = st.integers(0, 9)
WIDE = 1e6  # an upper end that no choice comes near


def several(of, n):
    return st.lists(of, min_size=n, max_size=n)


@st.composite
def networks(draw, *, fixed=True):
    """Pairs of any graph with a path through all groups, products of a group with itself among them, and fixed costs."""
    m = draw(st.integers(2, 5))
    pairs = [[0] * m for _ in range(m)]
    for i in range(m):
        for j in range(i, m):
            pairs[i][j] = pairs[j][i] = draw(COSTS) + (j == i + 1)
    return pairs, draw(several(COSTS, m)) if fixed else [0] * m


def touched(pairs, fixed, r):
    return [x * (f + sum(c * y for c, y in zip(row, r, strict=True))) for x, f, row in zip(r, fixed, pairs, strict=True)]


def macs(pairs, fixed, r):
    return sum(t + f * x for t, f, x in zip(touched(pairs, fixed, r), fixed, r, strict=True)) / Fraction(2)


@settings(max_examples=80, deadline=None)
@given(networks(), st.data(), st.fractions(Fraction(1, 3), 1))
def test_two_prices_of_a_mac(network, data, ratio):
    """If some group is narrower where MACs are cheaper, then the worth of one that grew has not fallen, or of one that shrank
    has not risen: `nested_budgets` read backwards, with worth = price times MACs touched."""
    r, s = (data.draw(several(SHARES, len(network[1]))) for _ in range(2))
    assume(any(y < x for x, y in zip(r, s, strict=True)))
    before, after = touched(*network, r), [ratio * t for t in touched(*network, s)]
    assert any((y < x and a >= b) or (y > x and b >= a) for x, y, a, b in zip(r, s, before, after, strict=True))


def test_a_worth_that_stays_level_is_not_enough():
    """Along a see-saw nothing changes: with >= of no use the claim fails, and with it nesting for the logarithm."""
    pair = ([[0, 1], [1, 0]], [0, 0])
    r, s = [Fraction(1), Fraction(1)], [Fraction(1, 2), Fraction(2)]
    assert touched(*pair, r) == touched(*pair, s) == [1, 1]


def losses(r, worth, exponents):
    return float(np.sum(worth / exponents * (r**-exponents - 1)))


FLOATS = st.floats(0.2, 5)


@settings(max_examples=20, deadline=None)
@given(networks(), st.data(), st.sampled_from([(1e-6, WIDE), (0.04, 1.0), (1e-6, 1.0)]))
def test_budgets_are_nested(network, data, ends):
    """Any graph, fixed costs, exponents that differ, floors and upper ends: every group is at least as wide at more MACs."""
    cost, m = ProductCost(*network), len(network[1])
    worth, exponents = (np.array(data.draw(several(FLOATS, m))) for _ in range(2))
    full = cost.macs(np.ones(m))
    found = [real_widths(cost, b * full, worth=worth, exponents=exponents, floor=ends[0], upper=ends[1])
             for b in (0.05, 0.2, 0.3, 0.9)]  # fmt: skip
    for b, r in zip((0.05, 0.2, 0.3, 0.9), found, strict=True):
        assert cost.macs(r) == pytest.approx(b * full, rel=1e-9)
        assert cost.macs(r) <= b * full
    for r, s in pairwise(found):
        assert (s >= r * (1 - 1e-9)).all()
        assert (s[s < ends[1]] > r[s < ends[1]]).all() or (r == ends[0]).any()


def test_the_sum_is_not_nested():
    """By hand: 2x + y within x y + x/2 <= budget is best at (1/6, 1) for 1/4, and at (1, 0) for 1/2 (a width of at
    least 1 takes a little more). CES is nested there."""
    plain = WidthProblem.chain(scores=[[2] * 24, [1] * 24], pair_macs=[0, 1], unit_macs=[12, 0])
    small, large = (solve(plain, {"macs": int(b * 24 * 24)}).widths for b in (0.25, 0.55))
    assert small[1] == 24 > large[1]
    assert small[0] < large[0] == 24
    cost = ProductCost([[0, 1], [1, 0]], [0.5, 0])
    found = [real_widths(cost, b, worth=[4, 2], exponents=[2, 2]) for b in (0.25, 0.55)]
    assert (found[1] > found[0]).all()


@settings(max_examples=20, deadline=None)
@given(networks(fixed=False), st.data(), st.floats(0.3, 3), st.floats(0.3, 4))
def test_one_shape(network, data, exponent, t):
    """Equal exponents, no fixed costs, any worth: the best shares at t^2 times the MACs are t times as large."""
    cost, m = ProductCost(*network), len(network[1])
    worth, full = np.array(data.draw(several(FLOATS, m))), cost.macs(np.ones(m))
    same = {"worth": worth, "exponents": np.full(m, exponent), "floor": 1e-9, "upper": WIDE}
    np.testing.assert_allclose(real_widths(cost, t * t * full, **same), t * real_widths(cost, full, **same), rtol=1e-6)


def test_other_exponents_and_fixed_costs_change_the_shape():
    """1/n and 1/(2 n^2) under n0 n1: (1, 1) at 1, (4, 2) at 8. With fixed costs 4 of the second group: other shapes too."""
    pair = ProductCost([[0, 1], [1, 0]], [0, 0])
    for budget, best in ((1, [1, 1]), (8, [4, 2])):
        np.testing.assert_allclose(real_widths(pair, budget, worth=[1, 1], exponents=[1, 2], upper=9), best, rtol=1e-9)
    fixed = ProductCost([[0, 1], [1, 0]], [0, 4])
    shapes = [np.divide(*real_widths(fixed, b, worth=[1, 1], exponents=[1, 1], upper=99)) for b in (1, 100)]
    assert shapes[0] > 2 * shapes[1] > 2


@settings(max_examples=80, deadline=None)
@given(st.integers(2, 5), st.data(), SHARES, st.integers(1, 3))
def test_scaling_keeps_the_order_of_the_values(m, data, t, e):
    """The sum of powers and CES with one exponent, the product of powers with any: V(r) <= V(s) as V(tr) <= V(ts)."""
    r, s = (data.draw(several(SHARES, m)) for _ in range(2))
    amplitudes, powers = (data.draw(several(st.integers(1, 4), m)) for _ in range(2))
    worths = (lambda n: sum(a * x**e for a, x in zip(amplitudes, n, strict=True)),
              lambda n: -sum(a / x**e for a, x in zip(amplitudes, n, strict=True)),
              lambda n: math.prod(x**p for x, p in zip(n, powers, strict=True)))  # fmt: skip
    for worth in worths:
        assert (worth(r) <= worth(s)) == (worth([t * x for x in r]) <= worth([t * x for x in s]))


def test_other_exponents_do_not_keep_the_order():
    worth = lambda r: -1 / r[0] - 1 / r[1] ** 2  # noqa: E731
    r, s = (Fraction(1), Fraction(2)), (Fraction(2), Fraction(1))
    assert worth(r) > worth(s)
    assert worth([x * 8 for x in r]) < worth([x * 8 for x in s])


@settings(max_examples=20, deadline=None)
@given(networks(fixed=False), st.floats(0.3, 4), st.floats(0.05, 0.9))
def test_uniform_is_best_where_the_macs_touched_are_in_proportion(network, exponent, share):
    """At every budget, whatever gamma e; a worth that is 1 % off is enough for other widths."""
    cost, m = ProductCost(*network), len(network[1])
    full = cost.touched(np.ones(m))
    budget, same = share**2 * cost.macs(np.ones(m)), {"exponents": np.full(m, exponent), "upper": WIDE}
    np.testing.assert_allclose(real_widths(cost, budget, worth=3 * full, **same), share, rtol=1e-7)
    off = real_widths(cost, budget, worth=full * ([1.01] + [1] * (m - 1)), **same)
    assert np.ptp(off) > 1e-4 * share


def test_uniform_with_other_exponents_is_best_at_one_budget():
    """MACs touched in proportion to A_i e_i s^(-gamma e_i) for one s, and for no other."""
    cost, exponents = ProductCost([[0, 1, 0], [1, 0, 3], [0, 3, 0]], [0, 0, 0]), np.array([1.0, 2.0, 3.0])
    worth = cost.touched(np.ones(3)) * 0.5**exponents
    at = [real_widths(cost, s**2 * cost.macs(np.ones(3)), worth=worth, exponents=exponents, upper=9) for s in (0.3, 0.5, 0.8)]
    np.testing.assert_allclose(at[1], 0.5, rtol=1e-9)
    assert min(np.ptp(at[0]), np.ptp(at[2])) > 0.02


@settings(max_examples=80, deadline=None)
@given(networks(), st.data(), SHARES)
@example(([[0, 1], [1, 0]], [0, 0]), None, Fraction(1))
def test_uniform_is_max_min(network, data, s):
    """Whatever costs no more than uniform shares s has a group that keeps at most s; s and no less."""
    m = len(network[1])
    r = [s] * m if data is None else data.draw(several(SHARES, m))
    if macs(*network, r) <= macs(*network, [s] * m):
        assert min(r) <= s
    if r == [s] * m:
        assert min(r) > s * Fraction(99, 100)


@settings(max_examples=15, deadline=None)
@given(networks(fixed=False), st.floats(20, 60))
def test_a_large_gamma_is_uniform(network, gamma):
    """The spread is at most (largest / least of the MACs touched) ^ (1/gamma), e = 1."""
    cost, m = ProductCost(*network), len(network[1])
    full = cost.touched(np.ones(m))
    r = real_widths(cost, 0.25 * cost.macs(np.ones(m)), worth=np.ones(m), exponents=np.full(m, gamma))
    assert r.max() / r.min() <= (full.max() / full.min()) ** (1 / gamma) * (1 + 1e-9)


CHAIN = {m: ProductCost(np.eye(m, k=1) + np.eye(m, k=-1), np.zeros(m)) for m in range(2, 8)}


@pytest.mark.parametrize("gamma", [0.125, 0.25, 0.5, 1, 2, 8])
def test_three_and_four_alike_layers(gamma):
    """Outer to inner layers: 2^(1/gamma) for three, the root of x^gamma = 1 + 1/x for four: to infinity as gamma falls to 0."""
    three, four = (real_widths(CHAIN[m], 0.1, worth=np.ones(m), exponents=np.full(m, gamma), upper=WIDE) for m in (3, 4))
    assert three[0] / three[1] == pytest.approx(2 ** (1 / gamma), rel=1e-6)
    ratio = four[0] / four[1]
    assert ratio**gamma == pytest.approx(1 + 1 / ratio, rel=1e-6)


def widest(groups, share, gamma):
    cost = ProductCost(np.eye(groups, k=1) + np.eye(groups, k=-1), np.zeros(groups))
    return real_widths(cost, share * (groups - 1), worth=np.ones(groups), exponents=np.full(groups, gamma), upper=WIDE).max()


@pytest.mark.parametrize("groups", [2, 3, 4, 5, 7])
@pytest.mark.parametrize("share", [0.125, 0.25, 0.5, 0.75, 0.9])
def test_from_which_gamma_on_a_chain_is_inside(groups, share):
    """No group of alike ones is full from gamma = 2 / log2(1 / share) on, whatever the length."""
    assert widest(groups, share, 2 / math.log2(1 / share)) < 1


def test_a_smaller_gamma_is_not_enough():
    """Three layers need half of it, exactly; long chains at large shares come near it: 2 (m-2) / (m-1) of the same."""
    for share in (0.25, 0.75):
        half = 1 / math.log2(1 / share)
        assert widest(3, share, 0.999 * half) > 1 > widest(3, share, 1.001 * half)
    assert widest(24, 0.95, 1.8 / math.log2(1 / 0.95)) > 1


def test_between_the_sum_and_the_log_fixed_costs_can_keep_an_optimum_inside():
    """gamma = -1/2, three layers, x y + y z + (x + z) / 5 <= 3/10, by hand at (5/8, 1/25, 5/8): better than either end of y."""
    value = lambda y: 2 * math.sqrt(min(1, 0.15 / (0.2 + y))) + math.sqrt(y)  # noqa: E731  (x = z is best, as V is concave)
    assert value(1 / 25) > max(value(0), value(1)) + 0.04
    ends = WidthProblem.chain(scores=[[1] * 100] * 3, pair_macs=[0, 1, 1], unit_macs=[20, 0, 20])
    values = tuple(Table((name,), ces([1] * 100, gamma=-0.5)) for name in ends.groups)
    for fixed in (True, False):
        plain = ends if fixed else WidthProblem.chain(scores=[[1] * 100] * 3, pair_macs=[0, 1, 1], unit_macs=[0] * 3)
        widths = solve(WidthProblem(plain.groups, plain.widths, values, plain.resources), {"macs": 3000}).widths
        assert (max(widths) < 100 and min(widths) > 1) == fixed


def bregman(r, best, worth, exponents):
    """What a choice within the budget loses at least against the best one, in terms of how far its widths are away."""
    u = exponents * np.log(r / best)
    return float(np.sum(worth / exponents * best**-exponents * (np.exp(-u) - 1 + u)))


def whole(cost, units, worth, exponents, budget):
    """The exact solver's choice among whole widths, as shares."""
    m, values = len(units), []
    tables = [Table((i, j), cost.pairs[i, j] * np.outer(np.arange(1, units[i] + 1) / units[i], np.arange(1, units[j] + 1)
                                                         / units[j])) for i in range(m) for j in range(i) if cost.pairs[i, j]]
    tables += [Table((i,), np.arange(1, n + 1) / n * cost.fixed[i]) for i, n in enumerate(units)]
    values = [Table((i,), w / g * (1 - (np.arange(1, n + 1) / n) ** -g))
              for i, (n, w, g) in enumerate(zip(units, worth, exponents, strict=True))]
    problem = WidthProblem(tuple("abcdefg"[:m]), tuple(tuple(range(1, n + 1)) for n in units), tuple(values),
                           {"macs": tuple(tables)})  # fmt: skip
    return np.divide(solve(problem, {"macs": budget}).widths, units)


@pytest.mark.parametrize("seed", range(6))
def test_whole_widths_are_within_the_rounding(seed):
    """The solver's loss lies between that of the real widths and of these rounded down, which is near it; how far its widths
    are from the real ones is bounded by the difference. Chains of unlike layers of 150 to 400 units, with unlike exponents."""
    dice = np.random.default_rng(seed)
    m = int(dice.integers(2, 4))
    pairs = np.diag(dice.uniform(0.2, 5, m - 1), 1)
    cost = ProductCost(pairs + pairs.T, dice.uniform(0, 1, m) * (seed % 2))
    units, worth, exponents = dice.integers(150, 400, m), dice.uniform(0.5, 2, m), dice.uniform(0.5, 3, m)
    budget = float(dice.uniform(0.1, 0.6)) * cost.macs(np.ones(m))
    best = real_widths(cost, budget, worth=worth, exponents=exponents, floor=1e-3)
    down = np.floor(units * best) / units
    found = whole(cost, units, worth, exponents, budget)
    least, most, at = (losses(r, worth, exponents) for r in (best, down, found))
    assert cost.macs(found) <= budget * (1 + 1e-12)
    assert least - 1e-9 <= at <= most + 1e-9
    most_of = (1 - 1 / (units * best).min()) ** -exponents.max()
    assert most + (worth / exponents).sum() <= most_of * (least + (worth / exponents).sum())
    assert bregman(found, best, worth, exponents) <= at - least + 1e-9


def test_a_stronger_rounding_bound_fails():
    """Two groups, along the see-saw: the bound is reached, and 0.1 % more fails."""
    worth, exponents = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    cost = ProductCost([[0, 1], [1, 0]], [0, 0])
    best = real_widths(cost, 0.1, worth=worth, exponents=exponents)
    r = best * np.array([1.3, 1 / 1.3])
    gap = losses(r, worth, exponents) - losses(best, worth, exponents)
    assert bregman(r, best, worth, exponents) == pytest.approx(gap, rel=1e-7)
    assert 1.001 * bregman(r, best, worth, exponents) > gap
