"""`brute_nested`, the oracle of nested solvers, against all chains of widths."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from width_problems import random_capacities, random_problem

from reds_jax.knapsack.brute import brute_nested
from reds_jax.testing.width_strategies import width_cases, width_chains, width_graphs


def within(problem, widths, limit):
    return all(problem.cost(name, widths) <= most for name, most in limit.items())


def check_enumeration(problem, limits):
    """Stage by stage from all pairs of widths."""
    best = {w: problem.evaluate(w) for w in product(*problem.widths) if within(problem, w, limits[0])}
    for limit in limits[1:]:
        now = {}
        for large in product(*problem.widths):
            below = [v for small, v in best.items() if all(a <= b for a, b in zip(small, large, strict=True))]
            if below and within(problem, large, limit):
                now[large] = max(below) + problem.evaluate(large)
        best = now
    found = brute_nested(problem, limits)
    if not best:
        assert found is None
    else:
        assert found == pytest.approx(max(best.values()), rel=1e-12, abs=1e-9)
        assert not isinstance(found, int) or found == max(best.values())


@given(width_cases(st.one_of(width_graphs(max_units=4), width_chains(max_groups=3, max_units=4)), stages=3))
@settings(max_examples=60, deadline=None)
def test_nested_enumeration_is_that_of_all_chains(case):
    """With the capacities ascending, and descending."""
    for limits in (case.capacities, case.capacities[::-1]):
        check_enumeration(case.problem, limits)


@pytest.mark.parametrize("seed", range(40))
def test_nested_enumeration_where_costs_fall(seed):
    """Where a width that costs less is no smaller one, widths may be affordable that contain none of the stage before."""
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, resources=2, peaks=False)
    check_enumeration(problem, [random_capacities(rng, problem) for _ in range(3)])
