"""Which values have an optimum inside when costs are products of neighbours (proofs/values_and_bottlenecks.md).

The see-saw and the spread are checked in fractions on random chains, and the solver against enumeration in exact numbers. The
twins: a spread that is 1 % smaller fails, and so does the spread without its factor for fixed costs.
"""

import math
from fractions import Fraction
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reds_jax.knapsack import Table, WidthProblem, ces, log_retention, prefix_sum, solve

SHARES = st.fractions(Fraction(1, 20), 1, max_denominator=20)
AMOUNTS = st.integers(1, 9)


class Chain(NamedTuple):
    """Shares r of the units that are kept, full costs of the pairs of neighbours, fixed costs of a unit, and amplitudes."""

    shares: list[Fraction]
    pairs: list[int]
    fixed: list[int]
    amplitudes: list[int]

    def cost(self, shares):
        pairs = sum(c * a * b for c, a, b in zip(self.pairs, shares, shares[1:], strict=False))
        return pairs + sum(c * r for c, r in zip(self.fixed, shares, strict=True))

    def touched(self, i, shares):
        """The cost of what group i takes part in."""
        left = self.pairs[i - 1] * shares[i - 1] if i else 0
        right = self.pairs[i] * shares[i + 1] if i + 1 < len(shares) else 0
        return shares[i] * (left + right + self.fixed[i])


@st.composite
def chains(draw, *, fixed=False):
    m = draw(st.integers(2, 6))
    several = lambda of, n: draw(st.lists(of, min_size=n, max_size=n))  # noqa: E731
    return Chain(several(SHARES, m), several(AMOUNTS, m - 1), several(st.integers(0, 9), m) if fixed else [0] * m,
                 several(AMOUNTS, m))  # fmt: skip


def seesaw(shares, t):
    return [r * t if i % 2 == 0 else r / t for i, r in enumerate(shares)]


def loss(chain, shares, gamma):
    """Minus the CES value, gamma a whole number other than 0, up to a constant: ``sum A R^-gamma / gamma``."""
    return sum(a / r**gamma for a, r in zip(chain.amplitudes, shares, strict=True)) / Fraction(gamma)


@settings(max_examples=150, deadline=None)
@given(chains(), st.fractions(Fraction(1, 9), 9).filter(lambda t: t != 1), st.integers(1, 4))
def test_the_see_saw(chain, t, gamma):
    """It keeps the cost; along it the sum is convex, the log linear and CES concave (the loss convex)."""
    up, down = seesaw(chain.shares, t), seesaw(chain.shares, 1 / t)
    assert chain.cost(up) == chain.cost(down) == chain.cost(chain.shares)
    worth = [-loss(chain, shares, -1) for shares in (up, chain.shares, down)]
    assert worth[0] + worth[2] > 2 * worth[1]
    lost = [loss(chain, shares, gamma) for shares in (up, chain.shares, down)]
    assert lost[0] + lost[2] > 2 * lost[1]
    powers = [math.prod(r**a for r, a in zip(shares, chain.amplitudes, strict=True)) for shares in (up, chain.shares, down)]
    even, odd = sum(chain.amplitudes[::2]), sum(chain.amplitudes[1::2])
    assert powers[0] * powers[2] == powers[1] ** 2
    assert powers[0] == powers[1] * t ** (even - odd)


def spread(chain, gamma, *, margin=Fraction(1), for_fixed=True):
    """Whether ``(R_i / R_j)^gamma <= (D_j / w_j) / (D_i / w_i)`` at the widest i and the narrowest j.

    The amplitudes are those for which the shares are stationary: ``w = touched * r^gamma``. With fixed costs it is divided by
    the widest share.
    """
    r, everything = chain.shares, [Fraction(1)] * len(chain.shares)
    of = [chain.touched(k, everything) / (chain.touched(k, r) * r[k] ** gamma) for k in range(len(r))]
    i, j = r.index(max(r)), r.index(min(r))
    return (r[i] / r[j]) ** gamma <= margin * of[j] / of[i] / (r[i] if for_fixed and any(chain.fixed) else 1)


@settings(max_examples=150, deadline=None)
@given(st.booleans().flatmap(lambda fixed: chains(fixed=fixed)), st.integers(1, 4))
def test_the_spread_of_a_stationary_point(chain, gamma):
    assert spread(chain, gamma)


def test_a_smaller_spread_fails():
    """Three alike layers, gamma = 1: 2 : 1 : 2 is stationary, and 2 is reached; fixed costs need their factor."""
    r = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 2)]
    alike = Chain(r, [1, 1], [0] * 3, [1] * 3)
    assert len({alike.touched(i, r) * r[i] for i in range(3)}) == 1  # all amplitudes are the same
    assert spread(alike, 1)
    assert not spread(alike, 1, margin=Fraction(99, 100))
    entrance = Chain([Fraction(1, 4), Fraction(1, 8)], [1], [0, 9], [1] * 2)
    assert spread(entrance, 1)
    assert not spread(entrance, 1, for_fixed=False)


def alike(groups, units, gamma):
    """A chain of alike layers with the value CES, from its tables."""
    plain = WidthProblem.chain(scores=[[1] * units] * groups, pair_macs=[0] + [1] * (groups - 1), unit_macs=[0] * groups)
    values = tuple(Table((name,), ces([1] * units, gamma=gamma)) for name in plain.groups)
    return WidthProblem(plain.groups, plain.widths, values, plain.resources)


def enumerated(groups, units, capacity, worth):
    """All optimal widths of alike layers, in exact numbers."""
    fits = [n for n in product(range(1, units + 1), repeat=groups)
            if sum(a * b for a, b in pairwise(n)) <= capacity]
    best = max(map(worth, fits))
    return [n for n in fits if worth(n) == best], best


@settings(max_examples=150, deadline=None)
@given(st.lists(AMOUNTS, min_size=3, max_size=3), st.integers(0, 9), st.integers(0, 9), SHARES, SHARES, SHARES)
def test_of_two_neighbours_one_is_at_its_end(amounts, a, b, x, y, step):
    """The sum of x and y on a line of constant cost c xy + ax + by: both directions together gain, so one does."""
    c, worth_x, worth_y = amounts
    cost = c * x * y + a * x + b * y
    ends = [(z, (cost - a * z) / (c * z + b)) for z in (x * (1 + step / 2), x * (1 - step / 2))]
    assert all(c * z * v + a * z + b * v == cost for z, v in ends)
    assert max(worth_x * z + worth_y * v for z, v in ends) > worth_x * x + worth_y * y


EXACT = {-1: sum, 0: math.prod, 1: lambda n: -sum(Fraction(1, k) for k in n), 2: lambda n: -sum(Fraction(1, k * k) for k in n)}


@pytest.mark.parametrize("gamma", EXACT)
@pytest.mark.parametrize(("groups", "units"), [(3, 16), (4, 8), (5, 5)])
def test_the_solver_has_the_optimum_of_enumeration_inside_for_ces_alone(groups, units, gamma):
    """Quarter of the MACs: sum and log have a group at a bound in every optimum, CES with gamma 2 none."""
    capacity = (groups - 1) * units**2 // 4
    optima, best = enumerated(groups, units, capacity, EXACT[gamma])
    assert EXACT[gamma](solve(alike(groups, units, gamma), {"macs": capacity}).widths) == best
    inside = [n for n in optima if all(1 < k < units for k in n)]
    if gamma <= 0:
        assert not inside
    if gamma == 2:
        assert inside == optima
        assert all((max(n) - 1) ** 2 <= 2 * (min(n) + 1) ** 2 for n in optima)  # the spread, up to rounding


@pytest.mark.parametrize(("share", "least"), [(0.125, 0.333), (0.25, 0.5), (0.5, 1.0), (0.75, 2.409)])
def test_from_which_gamma_on_three_alike_layers_are_inside(share, least):
    """1 / log2(1 / share): the outer layers are full below it, and not above."""
    assert least == pytest.approx(1 / math.log2(1 / share), abs=1e-3)
    limit = {"macs": int(share * 2 * 64**2)}
    below, above = (solve(alike(3, 64, least * f), limit).widths for f in (0.8, 2))
    assert below[0] == below[2] == 64
    assert max(above) < 64


def test_a_large_gamma_is_max_min():
    """From gamma > log(groups) / log(12 / 11) on no gain elsewhere pays for the narrowest group."""
    gamma = 40.0
    assert gamma > math.log(3) / math.log(12 / 11)
    for capacity in (30, 75, 133, 200):
        _, best = enumerated(3, 12, capacity, min)
        assert min(solve(alike(3, 12, gamma), {"macs": capacity}).widths) == best


SCORES = st.lists(st.integers(0, 1000), min_size=1, max_size=12).map(lambda units: sorted(units, reverse=True))


@settings(max_examples=100, deadline=None)
@given(SCORES.filter(any), st.floats(-1, 30))
@example([3, 2], 5e-324)  # the smallest number of float64
def test_ces_and_its_limits(scores, gamma):
    value = ces(scores, gamma=gamma)
    assert np.isfinite(value).all()
    assert value[-1] == 0
    assert (np.diff(value) >= 0).all()
    total = prefix_sum(scores)
    np.testing.assert_allclose(ces(scores, gamma=-1.0), total / total[-1] - 1, atol=1e-12)
    logarithm = log_retention(scores)
    np.testing.assert_allclose(ces(scores, gamma=0.0), logarithm, atol=1e-12)
    near = ces(scores, gamma=1e-6)  # off by gamma log(R)^2 / 2 at first order
    np.testing.assert_allclose(near, logarithm, atol=1e-5 * (1 + logarithm.min() ** 2))
    assert (ces(scores, gamma=gamma + 1) <= value + 1e-9 * abs(value)).all()  # falls with gamma
