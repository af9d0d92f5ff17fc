"""The exact solver against enumeration, against a table over budgets, and in its own words."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from width_problems import budget_table, limited, random_capacities, random_chain, random_problem

from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import Table, WidthProblem, layered, solve
from reds_jax.knapsack.brute import solve_brute
from reds_jax.knapsack.exact import dual, labels, smallest_cost, solver
from reds_jax.testing.width_strategies import width_chains


def check_feasible(problem, capacities, answer):
    """Costs re-evaluated by Python from the widths, entry by entry."""
    index = [w.index(n) for w, n in zip(problem.widths, answer.widths, strict=True)]
    for name, limit in capacities.items():
        tables = problem.resources.get(name, problem.peaks.get(name))
        entries = [t.array[tuple(index[g] for g in t.groups)].item() for t in tables]
        cost = sum(entries) if name in problem.resources else max(entries)
        if isinstance(cost, int):
            assert cost <= limit
            assert answer.costs[name] == cost
        else:
            assert cost <= limit + 1e-9
            assert answer.costs[name] == pytest.approx(cost, abs=1e-9)
    assert answer.value == problem.evaluate(answer.widths)


def agree(problem, capacities):
    """Exact and brute give the same value, or the same resource that cannot be met."""
    if solve_brute(problem, capacities) is None:
        with pytest.raises(InfeasibleError):
            solve(problem, capacities)
        return None
    expected = solve(problem, capacities, method="brute")
    answer = solve(problem, capacities)
    check_feasible(problem, capacities, answer)
    check_feasible(problem, capacities, expected)
    assert answer.proven_optimal
    if isinstance(answer.value, int):
        assert answer.value == expected.value == answer.bound
    else:
        assert answer.value == pytest.approx(expected.value, rel=1e-11, abs=1e-9)
        assert answer.value <= answer.bound <= answer.value + 1e-9 * max(1, abs(answer.value))
    return answer


@pytest.mark.parametrize("resources", [0, 1, 2, 3])
@pytest.mark.parametrize("peaks", [False, True])
@pytest.mark.parametrize("residual", [False, True])
def test_equals_enumeration_on_random_tables(resources, peaks, residual):
    rng = np.random.default_rng([resources, peaks, residual])
    solved = 0
    for trial in range(200):
        problem = random_problem(rng, resources=resources, peaks=peaks, floats=trial % 4 == 3, residual=residual)
        solved += agree(problem, random_capacities(rng, problem)) is not None
    assert solved >= 90


@given(limited(width_chains()))
@settings(max_examples=250, deadline=None)
def test_equals_enumeration_on_chains(case):
    agree(*case)


@given(limited(width_chains(floats=True)))
@settings(max_examples=80, deadline=None)
def test_equals_enumeration_on_chains_of_floats(case):
    agree(*case)


def triangles(rng, side):
    """Two residual stages: tables over (s1, m1), (m1, s1), (s1, m2), (m2, s2), (s1, s2), values on pairs and triples."""
    groups = ("s1", "m1", "m2", "s2", "m3")
    widths = [tuple(range(1, side + 1))] * 5

    def table(*names, top=40):
        return Table(names, np.sort(rng.integers(0, top, size=[side] * len(names)), axis=0))

    pairs = [("s1", "m1"), ("m1", "s1"), ("s1", "m2"), ("m2", "s2"), ("s1", "s2"), ("s2", "m3"), ("m3", "s2")]
    return WidthProblem(
        groups, tuple(widths), (*(table(g) for g in groups), table("s1", "m2", "s2")),
        {"macs": tuple(table(*p) for p in pairs), "bytes": tuple(table(*p) for p in pairs)},
        {"peak": (table("s1", "m1"), table("s1", "m2", "s2"), table("s2", "m3"))},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_equals_enumeration_on_residual_graphs(seed):
    rng = np.random.default_rng(seed)
    problem = triangles(rng, 5)
    agree(problem, {"macs": int(rng.integers(20, 200)), "peak": int(rng.integers(20, 40))})
    agree(problem, {"macs": int(rng.integers(60, 200)), "bytes": int(rng.integers(60, 200))})


@pytest.mark.parametrize("shape", ["gamma", "flat", "equal"])
@pytest.mark.parametrize("seed", range(6))
def test_equals_the_table_over_budgets_on_larger_chains(seed, shape):
    rng = np.random.default_rng([seed, 7])
    problem = random_chain(rng, [12, 30, 24, 30, 16], top=[9, 1000, 10**6][seed % 3], shape=shape)
    full = problem.cost("macs", problem.full_widths)
    for percent in (8, 30, 60):
        capacity = full * percent // 100
        answer = solve(problem, {"macs": capacity})
        check_feasible(problem, {"macs": capacity}, answer)
        assert answer.proven_optimal
        assert answer.value == answer.bound == budget_table(problem, capacity)


@pytest.mark.parametrize("resources", [1, 2, 3])
@pytest.mark.parametrize(
    ("scales", "slices", "beams", "window"),
    [
        pytest.param((0.0,), (1.0,), (10**6,), 24, id="dominance alone, no bound"),
        pytest.param((1.0,), (1 / 4096, 0.5), (1,), 0, id="a beam of one, no dominance in several resources"),
        pytest.param((1.3, 0.8), (1 / 64, 1.0), (2, 3), 3, id="other multipliers"),
    ],
)
def test_the_optimum_does_not_depend_on_the_heuristics(monkeypatch, resources, scales, slices, beams, window):
    monkeypatch.setattr(dual, "SCALES", scales)
    monkeypatch.setattr(solver, "SLICES", slices)
    monkeypatch.setattr(solver, "BEAMS", beams)
    monkeypatch.setattr(labels, "WINDOW", window)
    monkeypatch.setattr(labels, "CHUNK", 50)
    rng = np.random.default_rng([resources, beams[0]])
    for trial in range(60):
        sums = {f"r{r}": ([0, *rng.integers(0, 5, 3).tolist()], rng.integers(0, 9, 4).tolist()) for r in range(1, resources)}
        units = rng.integers(4, 10, size=4).tolist()
        problem = random_chain(rng, units, top=[3, 30, 1000][trial % 3], shape=["flat", "gamma"][trial % 2], resources=sums)
        agree(problem, problem.costs([int(rng.choice(w)) for w in problem.widths]))  # met without slack by some widths


@given(st.integers(0, 10**6), st.integers(0, 3), st.sampled_from([1, 2**40, 2**59]))
@settings(max_examples=150, deadline=None)
def test_dominance_drops_only_what_a_kept_label_beats(seed, resources, factor):
    """Also with values and costs so large that they do not fit into one key with the state."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 40))
    node, value = rng.integers(0, 4, size=count), rng.integers(-3, 4, size=count) * factor
    cost = rng.integers(-2, 4, size=(resources, count)) * factor
    kept = labels.undominated(node, value, cost, rng.normal(size=count))
    assert len(set(kept.tolist())) == len(kept)
    for i in range(count):
        same = kept[node[kept] == node[i]]
        assert ((value[same] >= value[i]) & (cost[:, same] <= cost[:, [i]]).all(axis=0)).any()
    if resources <= 1 and factor == 1:
        for i in kept:
            others = kept[(kept != i) & (node[kept] == node[i])]
            assert not ((value[others] >= value[i]) & (cost[:, others] <= cost[:, [i]]).all(axis=0)).any()


def test_a_larger_capacity_never_loses_value():
    problem = random_chain(np.random.default_rng(3), [20, 30, 25], top=50)
    full = problem.cost("macs", problem.full_widths)
    least = problem.smallest_costs()["macs"]
    values = [solve(problem, {"macs": c}).value for c in range(least, full + 1, 41)] + [solve(problem, {"macs": full}).value]
    assert values == sorted(values)
    assert values[-1] == problem.evaluate(problem.full_widths)


@pytest.mark.parametrize("seed", range(240))
def test_the_smallest_cost_of_each_resource_alone(seed):
    """By a shortest path, by enumeration, and by the solver without capacities."""
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, resources=2, peaks=True, floats=seed % 3 == 0, residual=seed % 2 == 0)
    found = problem.smallest_costs()
    assert list(found) == [*problem.resources, *problem.peaks]
    choices = list(itertools.product(*problem.widths))
    for name, least in found.items():
        exactly = least if seed % 3 else pytest.approx(least, rel=1e-12)
        assert min(problem.cost(name, widths) for widths in choices) == exactly
        assert smallest_cost(problem, name, {}) == exactly


def test_the_smallest_peak_may_be_negative_and_may_skip_layers():
    peaks = {"p": (Table(("a", "c"), [[-5, -3], [-9, -2]]),), "q": (Table("b", [2**60 + 1, 2**60]),)}
    problem = WidthProblem(("a", "b", "c"), ((1, 2),) * 3, (Table(("b", "c"), [[0, 1], [1, 0]]),), {}, peaks)
    assert problem.smallest_costs() == {"p": -9, "q": 2**60}


def test_the_same_answer_twice():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        problem = random_chain(rng, [15, 20, 15], top=2, resources={"bytes": ([0, 1, 1], [3, 1, 2])})
        limits = {"macs": problem.cost("macs", problem.full_widths) // 3, "bytes": 200}
        assert solve(problem, limits) == solve(problem, limits)


def test_a_resource_without_capacity_is_reported_and_does_not_bind():
    problem = random_chain(np.random.default_rng(0), [4, 5], top=9, resources={"bytes": ([0, 1], [1, 1])})
    answer = solve(problem, {"bytes": math.inf})
    assert answer.value == problem.evaluate(problem.full_widths)
    assert answer.costs == problem.costs(answer.widths)
    assert set(answer.costs) == {"macs", "bytes"}


@pytest.mark.parametrize("capacity", [11, np.int64(11), 11.0, 11.99])
def test_fractions_of_a_capacity_do_not_matter_for_integer_costs(capacity):
    problem = WidthProblem.chain(scores=[[3, 2, 1], [9, 5]], pair_macs=[1, 2], unit_macs=[0, 1])
    assert solve(problem, {"macs": capacity}).costs["macs"] <= 11
    assert solve(problem, {"macs": capacity}).value == solve(problem, {"macs": 11}).value


def test_integers_beyond_the_precision_of_floats_stay_exact():
    big = 2**55
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table("a", [big, big + 1]), Table("b", [0, 1])),
        {"r": (Table("a", [big, big + 1]), Table("b", [0, 1]))},
    )  # fmt: skip
    assert solve(problem, {"r": big + 1}).value == big + 1
    assert solve(problem, {"r": big + 2}).value == big + 2
    with pytest.raises(InfeasibleError) as caught:
        solve(problem, {"r": big - 1})
    assert caught.value.smallest == big


def test_float_capacity_met_exactly_is_feasible():
    problem = WidthProblem(
        ("a", "b"), ((1, 2), (1, 2)), (Table("a", [0.0, 1.0]), Table("b", [0.0, 1.0])),
        {"us": (Table("a", [0.05, 0.1]), Table("b", [0.1, 0.2]))},
    )  # fmt: skip
    assert solve(problem, {"us": 0.3}).widths == (2, 2)
    assert solve(problem, {"us": 0.2999}).widths != (2, 2)


@given(st.integers(0, 10**6))
@settings(max_examples=120, deadline=None)
def test_infeasible_names_the_smallest_capacity_that_could_be_met(seed):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, resources=2, peaks=bool(rng.integers(2)))
    capacities = random_capacities(rng, problem)
    tight = list(capacities)[int(rng.integers(len(capacities)))]
    capacities[tight] = float(problem.smallest_costs()[tight]) + float(rng.integers(-2, 2))
    try:
        solve(problem, capacities, method="brute")
        return
    except InfeasibleError as error:
        name, smallest, text = error.resource, error.smallest, str(error)
    assert repr(name) in text
    assert str(smallest) in text
    if "as given" in text and "More than one" not in text:
        assert solve(problem, {**capacities, name: smallest}, method="brute").costs[name] == smallest
    else:
        assert problem.cost(name, problem.smallest_widths) is not None
    with pytest.raises(InfeasibleError):
        solve(problem, {**capacities, name: smallest - 1}, method="brute")


def test_infeasible_together_though_each_capacity_alone_can_be_met():
    problem = WidthProblem(
        ("a",), ((1, 2),), (), {"x": (Table("a", [1, 5]),), "y": (Table("a", [5, 1]),)}
    )  # fmt: skip
    with pytest.raises(InfeasibleError, match=r"'x'; got 2; allowed: 5 or more with the other capacities as given"):
        solve(problem, {"x": 2, "y": 2})


def test_infeasible_message():
    problem = WidthProblem.chain(scores=[[3, 2], [5, 1]], pair_macs=[0, 1], unit_macs=[2, 0], min_width=2)
    with pytest.raises(InfeasibleError) as caught:
        solve(problem, {"macs": 7})
    assert str(caught.value) == (
        "no allowed widths meet the capacity of 'macs'; got 7; allowed: 8 or more. Raise the capacity, or allow smaller widths."
    )
    assert (caught.value.resource, caught.value.smallest) == ("macs", 8)


def test_a_time_limit_gives_an_honest_bound():
    rng = np.random.default_rng(1)
    problem = random_chain(rng, [200] * 6, top=1000, shape="flat")
    capacity = problem.cost("macs", problem.full_widths) // 4
    best = solve(problem, {"macs": capacity})
    assert best.proven_optimal
    try:
        hasty = solve(problem, {"macs": capacity}, time_limit=1e-6)
    except TimeoutError:
        return
    assert hasty.value <= best.value <= hasty.bound
    assert hasty.proven_optimal == (hasty.value == hasty.bound)


def test_too_many_states_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(layered, "MAX_ARCS", 100)
    problem = random_chain(np.random.default_rng(0), [12, 12], top=9)
    with pytest.raises(InvalidArgumentError, match=r"144 arcs.*larger step.*milp"):
        solve(problem, {"macs": 50})


def test_the_order_of_the_groups_is_chosen_to_keep_few_states():
    """A chain given in a bad order (a, c, e, b, d) is found to be a chain."""
    size = 30
    names = ("a", "c", "e", "b", "d")
    widths = tuple(range(1, size + 1))
    ones = np.multiply.outer(np.arange(size), np.arange(size))
    tables = tuple(Table(p, ones) for p in (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")))
    problem = WidthProblem(names, (widths,) * 5, (), {"macs": tables})
    assert max(math.prod(layer.shape) for layer in problem.layered.layers) == size**2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"capacities": {"flops": 3}}, "no such resource; got 'flops'; allowed: 'macs'"),
        ({"capacities": {}}, "no capacity is given"),
        ({"capacities": 5}, "must map the name of a resource to its limit; got 5; allowed: names: 'macs'"),
        ({"capacities": {"macs": "5"}}, "capacity of 'macs' is not a number; got '5'"),
        ({"capacities": {"macs": math.nan}}, "capacity of 'macs' is not a number; got nan"),
        ({"capacities": {"macs": True}}, "capacity of 'macs' is not a number; got True"),
        ({"method": "gurobi"}, "unknown method; got 'gurobi'; allowed: 'exact', 'fptas', 'milp' or 'brute'"),
        ({"constraints": lambda widths, value: []}, "extra constraints need the MILP"),
        ({"time_limit": 0}, "time limit is not a positive number"),
        ({"time_limit": 1.0, "method": "brute"}, "time limit is not a positive number of seconds for a method that"),
    ],
)
def test_wrong_arguments(arguments, text):
    problem = WidthProblem.chain(scores=[[3, 2], [5, 1]], pair_macs=[0, 1], unit_macs=[1, 0])
    arguments = {"capacities": {"macs": 5}, **arguments}
    with pytest.raises(InvalidArgumentError) as caught:
        solve(problem, arguments.pop("capacities"), **arguments)
    assert text in str(caught.value)


def test_enumeration_refuses_what_is_too_large():
    problem = random_chain(np.random.default_rng(0), [100] * 4, top=9)
    with pytest.raises(InvalidArgumentError, match=r"too many choices.*got 100000000.*exact"):
        solve(problem, {"macs": 10**6}, method="brute")


@pytest.mark.parametrize("power", [2, 15, 40])
def test_a_width_that_ruins_everything_does_not_decide_how_exactly_the_others_are_told_apart(power):
    """Values -(12 / n)^power: the narrowest is worth -12^40, the best widths about -3 * 2^40."""
    chain = WidthProblem.chain(scores=[[1] * 12] * 3, pair_macs=[0, 1, 1], unit_macs=[0] * 3)
    worth = -((12.0 / np.arange(1, 13)) ** power)
    problem = WidthProblem(chain.groups, chain.widths, tuple(Table((g,), worth) for g in chain.groups), chain.resources)
    for capacity in (30, 75, 133, 200):
        answer = solve(problem, {"macs": capacity})
        assert answer.value == pytest.approx(problem.evaluate(solve_brute(problem, {"macs": capacity})), rel=1e-9)
        assert answer.proven_optimal
        assert answer.bound - answer.value <= 1e-6 * abs(answer.value)
