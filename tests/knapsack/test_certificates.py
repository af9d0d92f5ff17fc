"""Certificates of values of shares are ratios of means: of a share alone, of one subnetwork, and of all of them together."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.knapsack import Table, WidthProblem, solve_nested
from reds_jax.knapsack.solution import ratio

GAMMAS = (0.0, 0.5, 1.0, 2.0, 3.0)
SHARES = st.lists(st.floats(0.1, 1), min_size=1, max_size=5)


def value(shares, gamma):
    """The sum over groups of the logarithm, or of (1 - R^-gamma) / gamma."""
    return sum(math.log(r) if gamma == 0 else (1 - r**-gamma) / gamma for r in shares)


def mean(shares, gamma):
    """The power mean with exponent -gamma; the geometric mean for gamma = 0."""
    if gamma == 0:
        return math.prod(shares) ** (1 / len(shares))
    return (sum(r**-gamma for r in shares) / len(shares)) ** (-1 / gamma)


@given(SHARES, SHARES, st.sampled_from(GAMMAS))
@settings(max_examples=300, deadline=None)
def test_the_ratio_is_that_of_the_power_means(kept, best, gamma):
    """Of as many groups on both sides; a lower sum is a lower mean, so it is at most 1 where the optimum is one."""
    size = min(len(kept), len(best))
    kept, best = kept[:size], best[:size]
    found = ratio(value(kept, gamma), value(best, gamma), size, gamma)
    assert found == pytest.approx(mean(kept, gamma) / mean(best, gamma), rel=1e-9)
    assert (found <= 1) == (value(kept, gamma) <= value(best, gamma))


@given(st.lists(st.lists(st.floats(0.1, 1), min_size=2, max_size=2), min_size=2, max_size=2), st.sampled_from(GAMMAS))
@settings(max_examples=100, deadline=None)
def test_a_certificate_is_the_ratio_of_the_means_over_subnetworks_and_groups(shares, gamma):
    """Two subnetworks of two groups, whose optima keep everything: means of two shares each, and of all four."""
    problem = WidthProblem(("a", "b"), ((1,), (1,)), (Table("a", [0.0]), Table("b", [0.0])), {"macs": (Table("a", [1]),)},
                           gamma=gamma)  # fmt: skip
    answer = solve_nested(problem, [1, 2])
    stages = tuple(replace(s, value=value(r, gamma)) for s, r in zip(answer.solutions, shares, strict=True))
    worse = replace(answer, solutions=stages)
    assert worse.certificates == pytest.approx([mean(r, gamma) for r in shares], rel=1e-9)
    assert worse.certificate == pytest.approx(mean([x for r in shares for x in r], gamma), rel=1e-9)
