"""Two layers, cost n1 * n2: both orders keep exactly 1/j, and what nesting costs (proofs/the_gap.md, theorems and assumptions).

Everything is in integers, and the optima are those of enumeration. The twins: 1 % more fails, and so does the bound as soon as
one of its assumptions is dropped.
"""

import math
import random
from fractions import Fraction
from itertools import accumulate, product
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack import WidthProblem, solve_nested
from reds_jax.theory import Quadratic, bilinear_min_ratio, bilinear_nesting_ratio, bilinear_ratios

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


class Layers(NamedTuple):
    """The profits of the units of both layers, K and j."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    k: int
    j: int

    def best(self, capacity, *, inside=None, around=(1, 1), fixed=0):
        """Every optimal pair of widths with a b + fixed <= capacity, and the optimum; ([], 0) if nothing fits."""
        v1, v2 = ((0, *accumulate(units)) for units in self[:2])
        most = inside or (len(self.first), len(self.second))
        found, value = [], 0
        for a in range(around[0], most[0] + 1):
            for b in range(around[1], most[1] + 1):
                if a * b + fixed > capacity:
                    break
                if not found or v1[a] + v2[b] > value:
                    found, value = [], v1[a] + v2[b]
                if v1[a] + v2[b] == value:
                    found.append((a, b))
        return found, value

    def worst_grown(self):
        """The last of j bottom-up stages, ties broken against us stage by stage."""
        states = {(1, 1)}
        for i in range(1, self.j + 1):
            states = {w for state in states for w in self.best(i * self.k, around=state)[0]}
        return min(sum(self.first[:a]) + sum(self.second[:b]) for a, b in states)

    def worst_shrunk(self, capacities=None):
        """The first of the top-down stages for these capacities, default K and jK, ties broken against us stage by stage."""
        states = {(len(self.first), len(self.second))}
        for c in reversed(capacities or (self.k, self.j * self.k)):
            states = {w for state in states for w in self.best(c, inside=state)[0]}
        return min(sum(self.first[:a]) + sum(self.second[:b]) for a, b in states)

    def nested_pairs(self):
        """The values of all nested pairs at K and jK that are not inside another pair with the same widths of layer 1."""
        v1, v2 = ((0, *accumulate(units)) for units in self[:2])
        for a in range(1, min(len(self.first), self.k) + 1):
            for wider in range(a, min(len(self.first), self.j * self.k) + 1):
                b = min(len(self.second), self.j * self.k // wider)
                yield v1[a] + v2[min(b, self.k // a)], v1[wider] + v2[b]


def many(n):
    return settings(max_examples=n, deadline=None, suppress_health_check=SLOW, print_blob=True)


def look(strategy, violates):
    quick = settings(max_examples=2000, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=SLOW)
    return find(strategy, violates, settings=quick, random=random.Random(0))


def families(k, j, p):
    """Where bottom-up over K, 2K, ..., jK, and top-down over K and jK, go to 1/j."""
    return Layers((p + 1,) * k, (p,) * (j * k), k, j), Layers((p + 1,) * (j * k), (j * p,) * k, k, j)


@st.composite
def two_layers(draw, *, ordered=True):
    """Random units, or all alike; or (one time in four) a member of a family, with a few or 400 units."""
    j = draw(st.integers(1, 4))
    if ordered and j > 1 and draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(families(draw(st.sampled_from([j + 1, 10, 400])), j, draw(st.sampled_from([1, 10, 1000])))))
    alike = st.builds(lambda unit, n: [unit] * n, st.sampled_from([0, 1, 9]), st.integers(1, 12))
    units = st.one_of(alike, *(st.lists(st.integers(0, most), min_size=1, max_size=8) for most in (1, 9, 1000)))
    layers = [tuple(sorted(draw(units), reverse=True) if ordered else draw(units)) for _ in range(2)]
    return Layers(*layers, draw(st.integers(1, 8)), j)


@many(300)
@given(two_layers())
def test_bilinear_bottom_up(case):
    """OPT(jK) <= j p(x) for the last stage x, and for every x that contains an optimum at K, whatever the ties."""
    best = case.best(case.j * case.k)[1]
    assert bilinear_ratios([case.k * (i + 1) for i in range(case.j)])[-1] == Fraction(1, case.j)
    assert case.best(case.k)[1] * case.j >= best  # x1 alone: whatever contains it is worth no less
    if len(case.first) * len(case.second) < 1000:
        assert case.worst_grown() * case.j >= best


@many(300)
@given(two_layers(), st.data())
def test_bilinear_top_down(case, data):
    """p(a, b) <= j p(y) for the best part y at K of any (a, b) within jK; so OPT(K) <= OPT(jK) <= j TD."""
    if case.j > 1:
        assert bilinear_ratios([case.k, case.j * case.k], "top_down")[0] == Fraction(1, case.j)
    a = data.draw(st.integers(1, min(len(case.first), case.j * case.k)))
    b = data.draw(st.integers(1, min(len(case.second), case.j * case.k // a)))
    assert sum(case.first[:a]) + sum(case.second[:b]) <= case.j * case.best(case.k, inside=(a, b))[1]
    assert case.worst_shrunk() * case.j >= case.best(case.j * case.k)[1] >= case.best(case.k)[1]


@many(60)
@given(two_layers(), st.sampled_from(["bottom_up", "top_down"]))
def test_the_solver_keeps_the_bilinear_bound(case, order):
    """`solve_nested` on the same problem, several stages, in both orders."""
    if len(case.first) * len(case.second) > 1000:
        return
    problem = WidthProblem.chain(scores=case[:2], pair_macs=[0, 1], unit_macs=[0, 0])
    capacities = [case.k * (i + 1) for i in range(case.j)]
    answer = solve_nested(problem, capacities, order=order)
    for value, capacity, ratio in zip(answer.values, capacities, bilinear_ratios(capacities, order), strict=True):
        assert Fraction(value) >= ratio * case.best(capacity)[1]


@many(60)
@given(two_layers(), st.integers(1, 20), st.integers(0, 20))
def test_capacities_that_are_no_multiples(case, c1, more):
    best = [case.best(c)[1] for c in (c1, c1 + more)]
    assert best[0] >= (bilinear_ratios((c1, c1 + more))[1] if more else 1) * best[1]


@pytest.mark.parametrize("order", ["bottom_up", "top_down"])
def test_a_stronger_bilinear_bound_fails(order):
    """1 % more than 1/j fails, at j >= 2, on an instance that keeps 1/j."""
    reached = Layers.worst_grown if order == "bottom_up" else Layers.worst_shrunk
    target = (lambda case: case.best(case.j * case.k)[1]) if order == "bottom_up" else (lambda case: case.best(case.k)[1])
    large = two_layers().filter(lambda case: case.j > 1)
    found = look(large, lambda case: 100 * case.j * reached(case) < 101 * target(case))
    assert found.j * reached(found) >= target(found)


@pytest.mark.parametrize("j", [2, 3])
def test_the_bilinear_families_are_tight(j):
    """Within 1 % of 1/j in both orders; and the first stage alone keeps exactly 1/j where layer 2 is worth nothing."""
    grown, shrunk = families(400, j, 1000)
    assert j * grown.worst_grown() < grown.best(j * 400)[1] * Fraction(101, 100)
    assert j * shrunk.worst_shrunk() < shrunk.best(400)[1] * Fraction(101, 100)
    plain = Layers((1,) * (7 * j), (0,), 7, j)
    assert plain.best(7)[1] * j == plain.best(7 * j)[1]


@many(40)
@given(st.data(), st.integers(2, 3), st.integers(4, 20))
def test_more_layers_lose_a_unit_of_each(data, j, k):
    """Three layers, cost ab + bc: OPT(jK) <= j OPT(K) + (j-1) (the best units), if the optimum at jK is at least j wide."""
    layers = [sorted(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)), reverse=True) for _ in range(3)]
    value, widths = best_of_three(layers, j * k)
    if min(widths) >= j:
        assert value <= j * best_of_three(layers, k)[0] + (j - 1) * sum(units[0] for units in layers)


def test_three_layers_may_keep_less_than_one_over_j():
    """The exact 1/j is for two layers: a unit of the middle one costs 2, so half of 10 buys 2 of them, and 10 buys 5."""
    layers = [[0], [9] * 5, [0]]
    assert best_of_three(layers, 5) == (18, (1, 2, 1))
    assert best_of_three(layers, 10) == (45, (1, 5, 1))


def best_of_three(layers, capacity):
    """The optimum for cost ab + bc by enumeration, and its widths."""
    worth = [(0, *accumulate(units)) for units in layers]
    return max(((sum(v[n] for v, n in zip(worth, w, strict=True)), w)
                for w in product(*(range(1, len(units) + 1) for units in layers))
                if w[0] * w[1] + w[1] * w[2] <= capacity), default=(0, (0, 0, 0)))  # fmt: skip


DROPPED = {
    "the units are sorted": (
        two_layers(ordered=False), lambda c: c.best(c.k)[1], lambda c: c.best(c.j * c.k)[1]),
    "every width from 1 on is allowed: 2 is the smallest": (
        two_layers().filter(lambda c: c.k >= 4), lambda c: c.best(c.k, around=(2, 2))[1],
        lambda c: c.best(c.j * c.k, around=(2, 2))[1]),
    "the optimum keeps a unit of every layer, too": (
        two_layers(), lambda c: c.best(c.k)[1], lambda c: c.best(c.j * c.k, around=(0, 0))[1]),
    "nothing else costs: 1 is fixed": (
        two_layers().filter(lambda c: c.k >= 2), lambda c: c.best(c.k, fixed=1)[1], lambda c: c.best(c.j * c.k, fixed=1)[1]),
    "K is a whole number: 1/2 more": (
        two_layers(), lambda c: c.best(math.floor(c.k + 0.5))[1], lambda c: c.best(math.floor(c.j * (c.k + 0.5)))[1]),
    "the first stage is optimal: it is (1, 1)": (
        two_layers(), lambda c: c.first[0] + c.second[0], lambda c: c.best(c.j * c.k)[1]),
}  # fmt: skip


@pytest.mark.parametrize("assumption", DROPPED)
def test_every_assumption_of_the_bilinear_bound_is_needed(assumption):
    """Without it the first stage, which may stay as it is, falls below 1/j of the optimum at jK."""
    cases, first, last = DROPPED[assumption]
    found = look(cases, lambda case: case.j * first(case) < last(case))
    assert found.j >= 1


@many(300)
@given(two_layers(), st.data())
def test_top_down_over_several_capacities(case, data):
    """Stage i keeps 1/j of OPT(c_N), j = ceil(c_N / c_i), whatever lies between. Coq: bilinear_top_down_stages."""
    limits = sorted(data.draw(st.sets(st.integers(1, 40), min_size=1, max_size=6)))
    best = case.best(limits[-1])[1]
    for i, ratio in enumerate(bilinear_ratios(limits, "top_down")):
        assert ratio == Fraction(1, math.ceil(Fraction(limits[-1], limits[i])))
        assert case.worst_shrunk(limits[i:]) >= ratio * best >= ratio * case.best(limits[i])[1]


@pytest.mark.parametrize("between", [(), (401,), (799,), (500, 600, 700), (800,), (410, 830, 1199)])
@pytest.mark.parametrize("j", [2, 3])
def test_top_down_over_several_capacities_is_sharp(j, between):
    """1 % more than 1/j fails at c_1, and so at every stage of which c_N is a multiple."""
    limits = sorted({400, *(c for c in between if c < 400 * j), 400 * j})
    _, shrunk = families(400, j, 1000)
    reached = Fraction(shrunk.worst_shrunk(limits), shrunk.best(400)[1])
    assert bilinear_ratios(limits, "top_down")[0] <= reached < bilinear_ratios(limits, "top_down")[0] * Fraction(101, 100)


def test_the_ratios_top_down():
    """ceil(15 / 2) = 8, ceil(15 / 5) = 3 and ceil(15 / 11) = 2; the last stage is the optimum."""
    assert bilinear_ratios((2, 5, 11, 15), "top_down") == (Fraction(1, 8), Fraction(1, 3), Fraction(1, 2), 1)


@many(200)
@given(two_layers(), st.integers(0, 7))
def test_bilinear_price(case, less):
    """At K and any c <= jK the better order keeps 2(j+1)/(3j+1) of the sum of the optima, and 1/sqrt(j) of both."""
    if case.j == 1:
        return
    c = case.j * case.k - min(less, case.k - 1)
    (starts, small), (ends, large) = case.best(case.k), case.best(c)
    grown = min(case.best(c, around=start)[1] for start in starts)
    shrunk = min(case.best(case.k, inside=end)[1] for end in ends)
    assert bilinear_nesting_ratio((case.k, c)) == Fraction(2 * (case.j + 1), 3 * case.j + 1)
    assert (3 * case.j + 1) * max(small + grown, shrunk + large) >= 2 * (case.j + 1) * (small + large)
    if large:
        kept = max(Fraction(grown, large), Fraction(shrunk, small))
        assert case.j * kept**2 >= 1
        assert bilinear_min_ratio((case.k, c)) <= kept


@pytest.mark.parametrize("j", [1, 2, 3, 4, 7])
def test_no_nested_widths_beat_the_price(j):
    """Of all nested pairs none keeps 1 % more, in total or in the worse stage. Coq: bilinear_price_family and _sharp."""
    k, more = 400, Fraction(101, 100)
    case = Layers((j + 1,) * k, (2,) * (j * k), k, j)
    optima = [case.best(k)[1], case.best(j * k)[1]]
    assert optima == [(j + 1) * k + 2, 2 * j * k + j + 1]
    best = max(map(sum, case.nested_pairs()))
    assert best == 2 * (j + 1) * (k + 1)
    price = Fraction(2 * (j + 1), 3 * j + 1)
    assert price <= Fraction(best, sum(optima)) < price * more
    case = Layers((math.isqrt(j * 10**6),) * k, (1000,) * (j * k), k, j)
    optima = [case.best(k)[1], case.best(j * k)[1]]
    kept = max(min(Fraction(v, o) for v, o in zip(pair, optima, strict=True)) for pair in case.nested_pairs())
    assert Quadratic(0, Fraction(1, j), j) <= kept < Quadratic(0, Fraction(1, j), j) * more
    if j > 1:
        assert (bilinear_nesting_ratio((k, j * k)), bilinear_min_ratio((k, j * k))) == (price, Quadratic(0, Fraction(1, j), j))


@many(60)
@given(two_layers())
def test_the_pairs_that_are_looked_at_are_enough(case):
    """The largest total, and the largest of the smaller values, are those over all nested pairs."""
    if len(case.first) * len(case.second) > 400:
        return
    v1, v2 = ((0, *accumulate(units)) for units in case[:2])
    sizes = [(a, b) for a, b in product(range(1, len(v1)), range(1, len(v2))) if a * b <= case.j * case.k]
    pairs = [(v1[a] + v2[b], v1[wider] + v2[longer]) for (a, b), (wider, longer) in product(sizes, sizes)
             if a * b <= case.k and a <= wider and b <= longer]  # fmt: skip
    for measure in (sum, min):
        assert max(map(measure, pairs)) == max(map(measure, case.nested_pairs()))


def test_errors():
    with pytest.raises(InvalidArgumentError, match="no widths fit the smallest capacity; got 0"):
        bilinear_ratios((Fraction(1, 2), 4))
    with pytest.raises(InvalidArgumentError, match="unknown order"):
        bilinear_ratios((1, 4), "sideways")
    with pytest.raises(InvalidArgumentError, match="strictly ascending"):
        bilinear_ratios((4, 2))
    assert bilinear_ratios((Fraction(7, 4), Fraction(7, 2))) == (1, Fraction(1, 3))  # 1 and 3: not 1/2
    for price in (bilinear_nesting_ratio, bilinear_min_ratio):
        with pytest.raises(InvalidArgumentError, match="no widths fit the smallest capacity; got 0"):
            price((Fraction(1, 2), 4))
        with pytest.raises(InvalidArgumentError, match="capacities"):
            price((1, 2, 4))
