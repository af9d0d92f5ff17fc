"""The MILP against the exact solver and enumeration, and extra constraints."""

import numpy as np
import pytest
from width_problems import random_capacities, random_chain, random_problem

from reds_jax.errors import InfeasibleError
from reds_jax.knapsack import Table, WidthProblem, solve
from reds_jax.knapsack.milp import solve_milp, solver
from reds_jax.knapsack.milp.bits import bilinear, fits_bits


@pytest.mark.parametrize("seed", range(12))
def test_flow_equals_exact_on_random_tables(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, resources=seed % 4, peaks=seed % 2 == 0, floats=seed % 3 == 2)
    capacities = random_capacities(rng, problem)
    try:
        expected = solve(problem, capacities)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            solve(problem, capacities, method="milp")
        return
    answer = solve(problem, capacities, method="milp")
    assert answer.proven_optimal
    assert answer.value == pytest.approx(expected.value, rel=1e-9, abs=1e-9)
    assert answer.bound >= answer.value


@pytest.mark.parametrize("form", ["flow", "bits"])
@pytest.mark.parametrize("value", ["sum", "log_retention"])
def test_both_forms_equal_exact_on_chains(form, value):
    rng = np.random.default_rng(5)
    problem = random_chain(rng, [9, 14, 12, 10], top=1000, value=value, resources={"bytes": ([0, 1, 1, 1], [4, 0, 0, 3])})
    capacities = {name: cost // 3 for name, cost in problem.costs(problem.full_widths).items()}
    expected = solve(problem, capacities)
    outcome = solve_milp(problem, capacities, form=form)
    assert outcome.proven
    assert outcome.widths is not None
    assert problem.evaluate(outcome.widths) == pytest.approx(expected.value, rel=1e-9)
    assert all(problem.cost(name, outcome.widths) <= limit for name, limit in capacities.items())


def test_mid_size_chain_in_bits():
    problem = random_chain(np.random.default_rng(8), [40, 64, 64], top=10**6)
    capacities = {"macs": problem.cost("macs", problem.full_widths) // 4}
    assert fits_bits(problem, capacities)
    assert solve(problem, capacities, method="milp").value == solve(problem, capacities).value


def test_bits_with_steps_and_one_width():
    problem = random_chain(np.random.default_rng(2), [16, 4, 24], top=100, step=[4, 4, 8], min_width=[5, 4, 1])
    capacities = {"macs": problem.cost("macs", problem.full_widths) // 2}
    assert fits_bits(problem, capacities)
    outcome = solve_milp(problem, capacities, form="bits")
    assert outcome.widths is not None
    assert problem.evaluate(outcome.widths) == solve(problem, capacities).value


def test_bits_are_not_used_where_they_do_not_hold():
    rng = np.random.default_rng(0)
    chain = {"scores": [[3, 2, 1]] * 2, "pair_macs": [0, 2], "unit_macs": [1, 0]}
    assert fits_bits(WidthProblem.chain(**chain), {"macs": 3})
    assert not fits_bits(WidthProblem.chain(**chain, peaks={"p": ([1, 1], [1, 1])}), {"macs": 3, "p": 3})
    assert not fits_bits(WidthProblem.chain(**chain, kernel_scores=[None, rng.integers(0, 5, (3, 3))]), {"macs": 3})
    uneven = WidthProblem.chain(scores=[[5, 4, 3, 2, 1]], pair_macs=[0], unit_macs=[1], step=2)
    assert uneven.widths == ((2, 4, 5),)
    assert not fits_bits(uneven, {"macs": 3})
    table = Table((0, 1), [[0, 0], [0, 1]])
    assert bilinear(table, ((1, 2), (1, 2))) == (1.0, -1.0, -1.0, 1.0)
    assert bilinear(Table((0, 1), [[0, 0, 0], [0, 1, 5]]), ((1, 2), (1, 2, 3))) is None


def test_extra_constraints():
    problem = WidthProblem.chain(scores=[[9, 8, 7], [6, 5, 4]], pair_macs=[0, 1], unit_macs=[1, 1], groups=["a", "b"])
    free = solve(problem, {"macs": 9}, method="milp")
    assert free.widths == (3, 1)
    equal = solve(problem, {"macs": 9}, method="milp", constraints=lambda n, value: [n["a"] == n["b"]])
    assert equal.widths == (2, 2)
    assert equal.proven_optimal
    capped = solve(problem, {"macs": 9}, method="milp", constraints=lambda n, value: [value <= 29])
    assert capped.value == 28  # (2, 2)
    with pytest.raises(InfeasibleError, match="together with the extra constraints"):
        solve(problem, {"macs": 9}, method="milp", constraints=lambda n, value: [n["a"] + n["b"] >= 6])


def test_infeasible_by_milp_names_the_resource():
    problem = WidthProblem.chain(scores=[[9, 8]], pair_macs=[0], unit_macs=[5], min_width=2)
    with pytest.raises(InfeasibleError) as caught:
        solve(problem, {"macs": 9}, method="milp")
    assert (caught.value.resource, caught.value.smallest) == ("macs", 10)


def test_costs_far_beyond_the_tolerance_of_the_solver_are_met_in_integers():
    rng = np.random.default_rng(4)
    scores = [np.sort(rng.integers(1, 1000, size=12))[::-1] for _ in range(3)]
    problem = WidthProblem.chain(scores=scores, pair_macs=[0, 10**12 + 1, 10**12 + 3], unit_macs=[10**12 - 1, 1, 7])
    capacity = problem.cost("macs", (6, 5, 7)) - 1
    answer = solve(problem, {"macs": capacity}, method="milp")
    assert answer.costs["macs"] <= capacity
    assert answer.value == solve(problem, {"macs": capacity}).value


@pytest.mark.parametrize("form", ["flow", "bits"])
def test_widths_over_a_capacity_are_cut_off(monkeypatch, form):
    """If the solver's tolerance lets the best widths through although they cost too much, the next best are found."""
    problem = WidthProblem.chain(scores=[[9, 8, 7], [6, 5, 4]], pair_macs=[0, 1], unit_macs=[1, 1])
    rejected = [(3, 1), (2, 2)]
    monkeypatch.setattr(solver, "over_budget", lambda problem, limits, widths: widths in rejected)
    choices = {w: problem.evaluate(w) for w in ((1, 1), (1, 2), (1, 3), (2, 1)) if problem.cost("macs", w) <= 9}
    outcome = solve_milp(problem, {"macs": 9}, form=form)
    assert outcome.widths == max(choices, key=lambda w: choices[w])
    assert outcome.proven


def test_a_time_limit_gives_an_honest_bound():
    problem = random_chain(np.random.default_rng(1), [60, 60, 60], top=1000, shape="flat")
    capacities = {"macs": problem.cost("macs", problem.full_widths) // 4}
    best = solve(problem, capacities).value
    try:
        hasty = solve(problem, capacities, method="milp", time_limit=0.05)
    except TimeoutError:
        return
    assert hasty.value <= best <= hasty.bound * (1 + 1e-9)
