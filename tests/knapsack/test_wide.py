"""Groups of many widths: narrowed block by block, with the same optimum as the solver of small problems."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from width_problems import random_capacities, random_problem

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, joint, layered, solve, solve_nested
from reds_jax.knapsack.exact import wide
from reds_jax.knapsack.exact.solver import solve_dense
from reds_jax.testing.width_strategies import width_chains


@pytest.fixture(scope="module", autouse=True)
def small_is_wide():
    """A problem with more than 4 arcs in a layer counts as wide: coarse grids of few widths, then blocks of several sizes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in {"WIDE": 4, "COARSE": 2, "REACH": 1, "FIRST_ARCS": 8}.items():
            patch.setattr(wide, name, number)
        patch.setattr(joint, "WIDE", 4)
        yield


def wide_chain(units: list[int], value: Literal["sum", "ces"], seed: int = 0) -> WidthProblem:
    """A chain with true MACs a b + 9 b, and sorted random scores."""
    rng = np.random.default_rng(seed)
    scores = [np.rint(1000 * np.sort(rng.gamma(2.0, size=n))[::-1]).astype(np.int64) for n in units]
    return WidthProblem.chain(scores=scores, pair_macs=[0] + [1] * (len(units) - 1), unit_macs=[9] * len(units), value=value)


def agree(problem: WidthProblem, capacities: dict[str, float]) -> bool:
    """Assert the optimum of the dense solver, with a proof; whether the problem counted as wide and had a solution."""
    best = solve_dense(problem, capacities)
    try:
        found = wide.solve_exact(problem, capacities)
    except InvalidArgumentError:
        tables = [t for kind in (problem.resources, problem.peaks) for ts in kind.values() for t in ts]
        assert not all(t.grows() for t in tables)
        return False
    assert found.proven
    assert (found.widths is None) == (best.widths is None)
    if found.widths is None or best.widths is None:
        return False
    value, expected = problem.evaluate(found.widths), problem.evaluate(best.widths)
    if isinstance(value, int):
        assert value == expected == found.bound
    else:
        assert value == pytest.approx(expected, rel=1e-11, abs=1e-9)
        assert found.bound is not None
        assert value <= found.bound <= value + 1e-9 * (1 + sum(max(map(abs, t.extent())) for t in problem.values))
    for name, limit in capacities.items():
        assert problem.cost(name, found.widths) <= limit + 1e-9 * abs(limit)
    return problem.arcs() > wide.WIDE


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_chains_have_the_optimum_of_the_dense_solver(data):
    problem = data.draw(width_chains(max_units=9, floats=data.draw(st.booleans())))
    agree(problem, random_capacities(np.random.default_rng(data.draw(st.integers(0, 2**16))), problem))


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_random_tables_have_the_optimum_of_the_dense_solver(residual, floats):
    """Values and costs that rise and fall, peaks, three groups in a table, up to three resources."""
    rng = np.random.default_rng([residual, floats])
    taken = 0
    for number in range(18):
        problem = random_problem(rng, resources=number % 4, peaks=number % 3 == 0, residual=residual, floats=floats)
        taken += agree(problem, random_capacities(rng, problem))
    assert taken > 6


@pytest.mark.parametrize(("value", "percent"), [("ces", 25), ("sum", 75)])
def test_two_groups_of_4096_units_against_every_pair_of_widths(monkeypatch, value, percent):
    for name, number in {"COARSE": 32, "REACH": 6, "FIRST_ARCS": 20_000}.items():
        monkeypatch.setattr(wide, name, number)
    problem = wide_chain([4096, 4096], value)
    limit = problem.cost("macs", problem.full_widths) * percent // 100
    answer = solve(problem, {"macs": limit})
    first, second = (t.array for t in problem.values)
    width = np.arange(1, 4097)
    fits = np.minimum((limit - 9 * width) // (width + 9), 4096)  # a b + 9 a + 9 b <= limit
    best = max(first[a - 1] + second[b - 1] for a, b in zip(width, fits, strict=True) if b >= 1)
    assert answer.proven_optimal
    assert answer.value == pytest.approx(best, rel=1e-12)
    assert answer.costs["macs"] <= limit


@pytest.mark.parametrize("percent", [35, 60, 100])
def test_narrowing_keeps_every_choice_worth_the_least(percent):
    """Blocks are dropped for what no choice in them can reach, never for a choice that reaches it exactly.

    At 100 % the bounds of single widths are exact, so one unit more would drop a choice, and one less in the bound be wrong.
    """
    for seed in range(3):
        problem = wide_chain([6, 7, 5], "sum", seed)
        capacity = {"macs": problem.cost("macs", problem.full_widths) * percent // 100}
        choices = [tuple(i + 1 for i in index) for index in np.ndindex(6, 7, 5)]
        values = {w: problem.evaluate(w) for w in choices if problem.cost("macs", w) <= capacity["macs"]}
        for rank in (2, 4, 7):
            least = sorted(values.values())[-rank]
            kept, bound = wide.narrow(problem, capacity, least, None)
            assert kept is not None
            assert bound >= max(values.values())
            for widths, value in values.items():
                assert value < least or all(w - 1 in k for w, k in zip(widths, kept, strict=True))


def test_narrowing_leaves_few_widths():
    problem = wide_chain([300] * 4, "ces")
    capacity = {"macs": problem.cost("macs", problem.full_widths) // 2}
    best = solve_dense(problem, capacity).widths
    assert best is not None
    kept, _ = wide.narrow(problem, capacity, problem.evaluate(best), None)
    assert kept is not None
    assert max(map(len, kept)) <= 12


def test_nested_widths_of_wide_groups():
    """Every order, and the joint optimum: as for small problems."""
    for seed in (10, 18):
        problem = wide_chain([9, 8, 9], "sum", seed)
        capacities = [problem.cost("macs", problem.full_widths) * k // 4 for k in (1, 2, 3)]
        for order, exact_joint in (("bottom_up", False), ("top_down", False), ("joint", True)):
            found = solve_nested(problem, capacities, order=order, exact_joint=exact_joint)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(wide, "WIDE", 10**6)
                patch.setattr(joint, "WIDE", 10**6)
                expected = solve_nested(problem, capacities, order=order, exact_joint=exact_joint)
            assert [o.value for o in found.optima] == [o.value for o in expected.optima]
            assert all(o.proven_optimal for o in found.optima)
            assert all(a <= b for s, t in zip(found.widths, found.widths[1:], strict=False) for a, b in zip(s, t, strict=True))
            if exact_joint:
                assert (sum(found.values), found.proven_optimal) == (sum(expected.values), True)


@pytest.mark.parametrize("seed", [11, 18, 23])
def test_the_joint_optimum_of_wide_groups_beats_bottom_up(seed):
    """Each subnetwork is narrowed under its own capacity, as far as the loss of a better choice allows."""
    problem = wide_chain([9, 8, 9], "sum", seed)
    limits = [{"macs": problem.cost("macs", problem.full_widths) * k // 4} for k in (1, 2, 3)]
    tops = [solve(problem, limit).value for limit in limits]
    start = solve_nested(problem, limits, order="bottom_up").widths
    found, _, proven = joint.improve_joint(problem, limits, tops, start)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint, "WIDE", 10**6)
        expected, _, _ = joint.improve_joint(problem, limits, tops, start)
    assert found is not None
    assert expected is not None
    assert proven
    assert sum(map(problem.evaluate, start)) < sum(map(problem.evaluate, found)) == sum(map(problem.evaluate, expected))


def test_without_the_memory_for_a_proof_the_bound_is_honest(monkeypatch):
    problem = wide_chain([40, 40, 40], "sum")
    capacity = {"macs": problem.cost("macs", problem.full_widths) // 3}
    best = solve_dense(problem, capacity)
    assert best.widths is not None
    monkeypatch.setattr(layered, "MAX_ARCS", 16)
    answer = solve(problem, capacity)
    assert answer.value <= problem.evaluate(best.widths) <= answer.bound
    assert answer.proven_optimal == (answer.value == answer.bound)
    assert not answer.proven_optimal


def test_without_the_time_for_a_proof_the_bound_is_honest():
    problem = wide_chain([60] * 5, "ces")
    capacity = {"macs": problem.cost("macs", problem.full_widths) // 3}
    best = solve(problem, capacity)
    assert best.proven_optimal
    for seconds in (1e-6, 0.01, 0.05):
        try:
            hasty = solve(problem, capacity, time_limit=seconds)
        except TimeoutError:
            continue
        assert hasty.value <= best.value * (1 - 1e-12) + 1e-9
        assert best.value <= hasty.bound
        assert not hasty.proven_optimal or hasty.value == pytest.approx(best.value, rel=1e-12)


def test_an_infeasible_capacity_of_wide_groups_names_the_smallest():
    problem = wide_chain([3000, 3000], "ces")
    with pytest.raises(InfeasibleError, match="19 or more"):
        solve(problem, {"macs": 18})
    assert problem.smallest_costs() == {"macs": 19}


def test_costs_that_fall_may_be_refused():
    """The only feasible width of 40 lies between those of the coarse grid, and no block is known to hold none."""
    cost = np.full(40, 10)
    cost[13] = 0
    widths = tuple(range(1, 41))
    problem = WidthProblem(("a", "b"), (widths, widths), (Table("a", list(widths)), Table("b", list(widths))),
                           {"time": (Table("a", cost), Table(("a", "b"), np.add.outer(cost, cost)))})  # fmt: skip
    with pytest.raises(InvalidArgumentError, match="too many for the exact solver where costs fall.*larger step"):
        solve(problem, {"time": 5})
    assert solve(problem, {"time": 30}).widths == (40, 40)
