"""Nested widths: contained in each other, within every capacity, certified; the joint optimum against enumeration."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from width_problems import random_chain

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, joint, nested, solve, solve_nested
from reds_jax.knapsack.solution import ratio
from reds_jax.testing.width_strategies import width_chains

ORDERS = ("bottom_up", "top_down", "joint")


def total(answer):
    """Exact for integers, the nearest float for floats: added one by one they may end a bit above a bound that is met."""
    return sum(answer.values) if all(isinstance(v, int) for v in answer.values) else math.fsum(answer.values)


def check(problem, capacities, answer):
    for small, large in itertools.pairwise(answer.widths):
        assert all(a <= b for a, b in zip(small, large, strict=True))
    for limits, widths, value, costs in zip(capacities, answer.widths, answer.values, answer.costs, strict=True):
        for name, limit in limits.items():
            assert problem.cost(name, widths) <= limit
        assert value == problem.evaluate(widths)
        assert costs == problem.costs(widths)
    assert answer.bound >= total(answer)
    assert all(c <= 1 or math.isnan(c) for c in answer.certificates)
    for solution, optimum in zip(answer.solutions, answer.optima, strict=True):
        assert solution.value <= optimum.value
        assert solution.bound == optimum.bound


def brute_joint(problem, capacities):
    """The best total over all nested choices, or None."""
    choices = []
    for limits in capacities:
        inside = [
            w for w in itertools.product(*problem.widths) if all(problem.cost(n, w) <= c for n, c in limits.items())
        ]  # fmt: skip
        choices.append(inside)
    best = {w: problem.evaluate(w) for w in choices[0]}
    for inside in choices[1:]:
        now = {}
        for large in inside:
            below = [v for small, v in best.items() if all(a <= b for a, b in zip(small, large, strict=True))]
            if below:
                now[large] = max(below) + problem.evaluate(large)
        best = now
    return max(best.values(), default=None)


def test_the_gap_in_the_paper():
    """Cost n1 * n2: bottom-up ends at 705 of 1101, below the 2/3 that holds for the additive knapsack."""
    problem = WidthProblem.chain(scores=[[101] * 5, [100] * 10], pair_macs=[0, 1], unit_macs=[0, 0])
    grown = solve_nested(problem, [5, 10], order="bottom_up")
    assert grown.widths == ((5, 1), (5, 2))
    assert grown.values == (605, 705)
    assert [o.value for o in grown.optima] == [605, 1101]
    assert grown.optima[1].widths == (1, 10)
    assert grown.certificates == (1.0, 705 / 1101)
    assert 3 * 705 < 2 * 1101
    best = solve_nested(problem, [5, 10], exact_joint=True)
    assert best.widths == ((1, 5), (1, 10))
    assert best.values == (601, 1101)
    assert best.proven_optimal
    assert best.bound == 1702
    assert best.gap == 0
    assert best.certificate == 1702 / 1706


@given(width_chains(max_groups=3, max_units=4), st.lists(st.floats(0, 1), min_size=2, max_size=4))
@settings(max_examples=120, deadline=None)
def test_nested_within_capacities_and_joint_is_best(problem, fractions):
    least, full = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)
    capacities = [{n: int(least[n] + f * (full[n] - least[n])) for n in full} for f in sorted(fractions)]
    answers = {order: solve_nested(problem, capacities, order=order) for order in ORDERS}
    exact = solve_nested(problem, capacities, exact_joint=True)
    for answer in (*answers.values(), exact):
        check(problem, capacities, answer)
    assert total(answers["joint"]) >= max(total(answers["bottom_up"]), total(answers["top_down"]))
    best = brute_joint(problem, capacities)
    assert exact.proven_optimal
    assert total(exact) == pytest.approx(best, rel=1e-11, abs=1e-9)
    for answer in answers.values():
        if answer.proven_optimal:
            assert total(answer) == pytest.approx(best, rel=1e-11, abs=1e-9)
        assert answer.bound >= best - 1e-9


@pytest.mark.parametrize("seed", range(25))
def test_joint_optimum_where_the_heuristics_miss(seed, monkeypatch):
    """Two capacities that pull in different directions; by lists, and by the MILP instead of the lists."""
    rng = np.random.default_rng(seed)
    size = 4
    widths = tuple(range(1, size + 1))
    groups = ("a", "b", "c")

    def unary(name):
        return Table(name, np.cumsum(rng.integers(0, 30, size=size)))

    pairs = (("a", "b"), ("b", "c"))
    macs = tuple(Table(p, np.multiply.outer(widths, widths) * int(rng.integers(1, 4))) for p in pairs)
    problem = WidthProblem(groups, (widths,) * 3, tuple(unary(g) for g in groups), {"macs": macs})
    full = problem.cost("macs", problem.full_widths)
    capacities = [{"macs": int(full * f)} for f in (0.25, 0.5, 0.8)]
    best = brute_joint(problem, capacities)
    by_lists = solve_nested(problem, capacities, exact_joint=True)
    assert (total(by_lists), by_lists.proven_optimal, by_lists.bound) == (best, True, best)
    if seed < 6:
        optima = [o.value for o in by_lists.optima]
        smallest = tuple(problem.smallest_widths for _ in capacities)
        stages, bound, proven = joint.improve_joint(problem, capacities, optima, smallest)
        assert stages is not None
        assert (sum(problem.evaluate(w) for w in stages), bound, proven) == (best, None, True)
        monkeypatch.setattr(joint, "MOST_CHOICES", 0)
        for start in (smallest, by_lists.widths, None):
            stages, bound, proven = joint.improve_joint(problem, capacities, optima, start)
            assert stages is not None
            assert (sum(problem.evaluate(w) for w in stages), bound, proven) == (best, None, True)


@pytest.mark.parametrize("seed", range(12))
def test_least_loss_of_a_chain_of_lists(seed):
    """Against all chains; a limit of one less finds none. The lists are longer than a block of comparisons."""
    rng = np.random.default_rng(seed)
    lists = []
    for count in (150, 200, 130):
        index = rng.integers(0, 12, size=(count, 3))
        wide = index.sum(axis=1) * 3 if seed % 2 else 0  # wide choices lose little, as in earnest
        lists.append((index, 100 - wide + rng.integers(0, 40, size=count)))
    best = lists[0][1].copy()
    for (inner, _), (outer, loss) in itertools.pairwise(lists):
        inside = (inner[None] <= outer[:, None]).all(axis=2)
        best = loss + np.where(inside, best[None], 10**6).min(axis=1)
    least = int(best.min())
    found = joint._least_loss(lists, least)
    assert found is not None
    for small, large in itertools.pairwise(found):
        assert all(a <= b for a, b in zip(small, large, strict=True))
    total_loss = 0
    for row, (index, loss) in zip(found, lists, strict=True):
        total_loss += int(loss[(index == row).all(axis=1)].min())
    assert total_loss == least
    assert joint._least_loss(lists, least - 1) is None


def test_one_short_of_the_separate_optima_is_not_proven():
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table(("a", "b"), [[0, 6], [5, 5]]),), {"macs": (Table("b", [1, 2]),)}
    )  # fmt: skip
    answer = solve_nested(problem, [1, 2])
    assert [o.value for o in answer.optima] == [5, 6]
    assert (answer.values, answer.gap, answer.proven_optimal) == ((5, 5), 1, False)
    exact = solve_nested(problem, [1, 2], exact_joint=True)
    assert (exact.values, exact.gap, exact.proven_optimal, exact.bound) == ((5, 5), 0, True, 10)


def test_an_improvement_by_one_is_found():
    problem = WidthProblem.chain(scores=[[3, 2, 1]], pair_macs=[0], unit_macs=[1])
    limits = [{"macs": 2}, {"macs": 3}]
    assert joint.improve_joint(problem, limits, [5, 6], ((2,), (2,))) == (((2,), (3,)), None, True)
    assert joint.improve_joint(problem, limits, [5, 6], ((2,), (3,))) == (((2,), (3,)), None, True)
    assert joint.improve_joint(problem, limits, [5, 7], ((2,), (2,))) == (((2,), (3,)), None, True)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("count", [1, 4, 10])
def test_many_subnetworks_of_a_larger_chain(order, count):
    problem = random_chain(np.random.default_rng(6), [24, 32, 32, 24], top=1000)
    full = problem.cost("macs", problem.full_widths)
    capacities = [{"macs": full * (s + 1) // count} for s in range(count)]
    answer = solve_nested(problem, capacities, order=order)
    check(problem, capacities, answer)
    assert answer.widths[-1] == problem.full_widths
    assert answer.certificate >= 0.95
    assert answer == solve_nested(problem, capacities, order=order)
    if order == "joint":
        assert answer.certificate >= 0.995


def test_capacities_in_any_order_and_as_numbers():
    problem = random_chain(np.random.default_rng(6), [8, 9], top=10)
    one = solve_nested(problem, [60, 20, 100])
    two = solve_nested(problem, [{"macs": 20}, {"macs": 60}, {"macs": 100}])
    assert one == two
    assert one.capacities == ({"macs": 20}, {"macs": 60}, {"macs": 100})


def test_certificate_of_logarithms_is_a_ratio_of_geometric_means():
    rng = np.random.default_rng(0)
    problem = random_chain(rng, [10, 12, 9], top=1000, value="log_retention")
    full = problem.cost("macs", problem.full_widths)
    answer = solve_nested(problem, [full // 8, full // 3], order="bottom_up")
    kept = [math.exp(v / 3) for v in answer.values]
    could = [math.exp(o.bound / 3) for o in answer.optima]
    assert answer.certificates == pytest.approx([k / c for k, c in zip(kept, could, strict=True)])
    assert answer.certificate == pytest.approx(math.sqrt(kept[0] * kept[1] / (could[0] * could[1])))


def test_certificates_of_logarithms_below_one():
    """One nat lost by the second of two subnetworks of two groups: e^(-1/2) of its own mean, e^(-1/4) of that of both."""
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table(("a", "b"), [[0, 6], [5, 5]]),), {"macs": (Table("b", [1, 2]),)}, gamma=0.0
    )  # fmt: skip
    answer = solve_nested(problem, [1, 2])
    assert (answer.values, [o.bound for o in answer.optima]) == ((5, 5), [5, 6])
    assert answer.certificates == pytest.approx((1, math.exp(-1 / 2)))
    assert answer.certificate == pytest.approx(math.exp(-1 / 4))


def test_certificates_of_ces_values_are_ratios_of_power_means():
    """Two groups: one keeps all, the other 1/2 where 2/3 were possible; gamma = 1 is the harmonic mean."""
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table(("a", "b"), [[0.0, -1 / 2], [-1.0, -1.0]]),), {"macs": (Table("b", [1, 2]),)},
        gamma=1.0,
    )  # fmt: skip
    answer = solve_nested(problem.restrict(lower=(2, 1)), [1])
    assert answer.certificate == pytest.approx(1)
    solution = answer.solutions[0]
    worse = replace(answer, solutions=(solution,), optima=(replace(solution, bound=1 - 3 / 2),))
    assert worse.certificate == worse.certificates[0] == pytest.approx((1 / (1 + 2) * 2) / (1 / (1 + 3 / 2) * 2))


def test_capacities_that_pull_apart():
    """One resource grows while the other shrinks: each subnetwork must meet the capacities of those that contain it."""
    problem = WidthProblem.chain(
        scores=[[5, 4, 3], [6, 5, 1]], pair_macs=[0, 1], unit_macs=[0, 0], resources={"bytes": ([0, 0], [1, 2])}
    )
    capacities = [{"macs": 4, "bytes": 9}, {"macs": 9, "bytes": 5}]
    assert solve(problem, capacities[0]).costs["bytes"] == 6  # bottom-up must not start there
    for order in ORDERS:
        check(problem, capacities, solve_nested(problem, capacities, order=order))
    exact = solve_nested(problem, capacities, exact_joint=True)
    assert total(exact) == brute_joint(problem, capacities)


def test_nesting_that_fails_in_one_order_is_an_error_there_and_repaired_jointly():
    """The bytes of the larger subnetwork fall with a width, so no bound on the smaller one follows from its capacity."""
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table("a", [0, 9]), Table("b", [0, 5])),
        {"x": (Table(("a", "b"), [[5, 0], [0, 9]]),), "y": (Table(("a", "b"), [[0, 1], [5, 4]]),)},
    )  # fmt: skip
    capacities = [{"x": 0, "y": 5}, {"x": 9, "y": 1}]
    with pytest.raises(InfeasibleError, match=r"each capacity can be met, but not by nested widths in the order 'bottom_up'"):
        solve_nested(problem, capacities, order="bottom_up")
    assert solve_nested(problem, capacities).widths == ((1, 2), (1, 2))


def test_the_ascent_ends_where_no_single_subnetwork_can_gain():
    problem = random_chain(np.random.default_rng(9), [12, 14, 12], top=1000)
    full = problem.cost("macs", problem.full_widths)
    limits = [{"macs": full * s // 5} for s in (1, 2, 3, 4)]
    optima = [solve(problem, limit) for limit in limits]
    search = nested._Nesting(problem, limits, optima, solve)
    start = (problem.smallest_widths,) * 4
    stages = search.ascend(start, None)
    assert search.total(stages) > search.total(start)
    for s, (limit, widths) in enumerate(zip(limits, stages, strict=True)):
        part = problem.restrict(
            lower=stages[s - 1] if s else None, upper=stages[s + 1] if s + 1 < len(stages) else None
        )  # fmt: skip
        assert solve(part, limit).value == problem.evaluate(widths)


def test_a_capacity_that_cannot_be_met_at_all():
    problem = random_chain(np.random.default_rng(6), [8, 9], top=10, min_width=4)
    least = problem.smallest_costs()["macs"]
    with pytest.raises(InfeasibleError) as caught:
        solve_nested(problem, [least - 1, 10 * least])
    assert caught.value.smallest == least


def test_nested_by_the_other_methods():
    problem = WidthProblem.chain(scores=[[9, 7, 2], [5, 3, 1]], pair_macs=[0, 2], unit_macs=[1, 1])
    answers = [solve_nested(problem, [6, 12], method=method) for method in ("exact", "milp", "brute")]
    assert {total(a) for a in answers} == {brute_joint(problem, [{"macs": 6}, {"macs": 12}])}


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"order": "sideways"}, "unknown order; got 'sideways'; allowed: 'joint', 'bottom_up' or 'top_down'"),
        ({"order": "top_down", "exact_joint": True}, "exact_joint needs the joint order"),
        ({"capacities": []}, "must be a sequence, one entry for each subnetwork"),
        ({"capacities": {"macs": 3}}, "must be a sequence, one entry for each subnetwork"),
        ({"capacities": [{"flops": 3}]}, "no such resource; got 'flops'"),
        ({"capacities": ["3"]}, "capacity of 'macs' is not a number; got '3'"),
    ],
)
def test_wrong_arguments(arguments, text):
    problem = WidthProblem.chain(scores=[[3, 2]], pair_macs=[0], unit_macs=[1])
    arguments = {"capacities": [1, 2], **arguments}
    with pytest.raises(InvalidArgumentError) as caught:
        solve_nested(problem, arguments.pop("capacities"), **arguments)
    assert text in str(caught.value)


def test_numbers_need_one_resource():
    problem = WidthProblem.chain(scores=[[3, 2]], pair_macs=[0], unit_macs=[1], resources={"bytes": ([0], [1])})
    with pytest.raises(InvalidArgumentError, match="a number as capacity needs a problem with one resource"):
        solve_nested(problem, [1, 2])


def test_a_subnetwork_alone_is_solve():
    problem = random_chain(np.random.default_rng(1), [8, 9, 7], top=10)
    assert solve_nested(problem, [80]).widths == (solve(problem, {"macs": 80}).widths,)


@pytest.mark.parametrize("power", [2, 40])
def test_the_joint_optimum_is_told_from_a_start_beside_a_ruinous_width(power):
    """Values -(8 / n)^power: at 40 one unit is worth -8^40, and the start loses three times what the optimum does."""
    chain = WidthProblem.chain(scores=[[1] * 8] * 3, pair_macs=[0, 1, 1], unit_macs=[1] * 3)
    worth = -((8.0 / np.arange(1, 9)) ** power)
    problem = WidthProblem(chain.groups, chain.widths, tuple(Table((g,), worth) for g in range(3)), chain.resources)
    limits = [{"macs": 40.0}, {"macs": 80.0}]
    bounds = [solve(problem, limit).bound for limit in limits]
    best = solve_nested(problem, limits, exact_joint=True)
    stages, _, proven = joint.improve_joint(problem, limits, bounds, ((3, 3, 3), (5, 5, 5)))
    assert proven
    assert sum(map(problem.evaluate, stages)) == pytest.approx(sum(best.values), rel=1e-9)
    assert sum(best.values) > sum(map(problem.evaluate, ((3, 3, 3), (5, 5, 5))))


@pytest.mark.parametrize("gamma", [5e-324, 1e-300, 1e-200, 1e-17, 1e-9, -1e-17])
def test_the_certificate_of_a_small_gamma_is_that_of_the_logarithm(gamma):
    value, optimum, groups = -0.7, -0.5, 2
    assert ratio(value, optimum, groups, gamma) == pytest.approx(math.exp((value - optimum) / groups), rel=1e-8)
