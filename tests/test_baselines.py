"""Uniform widths within every bound: checked on random small graphs against all uniform fractions."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.baselines import uniform_widths
from reds_jax.choice import Subnetworks, choose_widths
from reds_jax.cost import RESOURCES, width_problem
from reds_jax.errors import InfeasibleError
from reds_jax.graph.channels import Axis, ChannelGraph, Group, Layer, Parameter, Size, Step
from reds_jax.knapsack import Table


def chain(sizes, factors, positions):
    """Dense layers from 2 inputs to 3 outputs; layer i runs at ``positions[i]`` places and each makes 4 bytes a unit there."""
    axes = [None, *(Axis(np.full(n, i, np.int32), np.arange(n, dtype=np.int32)) for i, n in enumerate(sizes)), None]
    lengths = [2, *sizes, 3]
    forms = [Size(2), *(Size(0, ((i, 1),)) for i in range(len(sizes))), Size(3)]
    alive = [form * (4 * at) for form, at in zip(forms, positions, strict=True)]
    layers = range(len(sizes) + 1)
    return ChannelGraph(
        tuple(Group(f"layer_{i}", n) for i, n in enumerate(sizes)),
        tuple(Parameter(f"params/layer_{i}/kernel", (lengths[i], lengths[i + 1]), 4, (axes[i], axes[i + 1])) for i in layers),
        tuple(Layer(f"layer_{i}", "dense", factors[i], (forms[i], forms[i + 1])) for i in layers),
        tuple(Step(f"layer_{i}", alive[i] + alive[i + 1]) for i in layers))


@st.composite
def graphs(draw):
    count = draw(st.integers(1, 4))
    numbers = lambda low, high, n: draw(st.lists(st.integers(low, high), min_size=n, max_size=n))  # noqa: E731
    return chain(numbers(1, 9, count), numbers(1, 5, count + 1), numbers(1, 6, count + 2))


def costs(graph, widths):
    return {"macs": graph.macs(widths), "param_bytes": graph.param_bytes(widths),
            "peak_memory_bytes": graph.peak_memory_bytes(widths)}


def problem_of(graph, **options):
    return width_problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, resources=RESOURCES, **options)


@settings(max_examples=200, deadline=None)
@given(graphs(), st.lists(st.floats(0, 1), min_size=1, max_size=3), st.floats(0, 1.1), st.floats(0, 1.1))
def test_no_wider_uniform_fraction_meets_every_bound(graph, shares, of_bytes, of_memory):
    """Against every fraction that makes a difference; what does not exist costs, at its least, what the error says."""
    sizes = [g.size for g in graph.groups]
    least, full = costs(graph, [1] * len(sizes)), costs(graph, sizes)
    shares_of = {"param_bytes": of_bytes, "peak_memory_bytes": of_memory}
    bounds = {name: int(share * full[name]) for name, share in shares_of.items()}
    limits = [{"macs": int(share * full["macs"]), **bounds} for share in sorted(shares)]
    if impossible := [(name, cost) for name, cost in least.items() if cost > limits[0][name]]:
        with pytest.raises(InfeasibleError) as error:
            uniform_widths(problem_of(graph), limits)
        assert (error.value.resource, error.value.smallest) == impossible[0]
        return
    found = uniform_widths(problem_of(graph), limits)
    fractions = {Fraction(n, size) for size in sizes for n in range(1, size + 1)}
    below = [1] * len(sizes)
    for widths, limit in zip(found, limits, strict=True):
        fits = lambda w, limit=limit: all(cost <= limit[name] for name, cost in costs(graph, w).items())  # noqa: E731
        assert fits(widths)
        assert all(a <= b for a, b in zip(below, widths, strict=True))
        for t in fractions:
            uniform = [max(n, int(t * size)) for n, size in zip(below, sizes, strict=True)]
            assert not fits(uniform) or all(a <= b for a, b in zip(uniform, widths, strict=True))
        below = widths


@settings(max_examples=100, deadline=None)
@given(graphs(), st.floats(0.3, 1), st.data())
def test_groups_that_a_peak_stops_do_not_stop_the_others(graph, share, data):
    """A peak of one group alone forbids its larger widths, and nothing else."""
    sizes = [g.size for g in graph.groups]
    at = data.draw(st.integers(0, len(sizes) - 1))
    most = data.draw(st.integers(1, sizes[at]))
    alone = ChannelGraph(graph.groups, graph.parameters, graph.layers, (Step("one", Size(0, ((at, 8),))),))
    budget = max(int(share * graph.macs()), graph.macs([1] * len(sizes)))
    forbidden = uniform_widths(problem_of(graph, rules=[f"layer_{at}:at_most={most}"]), [{"macs": budget}],
                               units={g.name: g.size for g in graph.groups})
    assert uniform_widths(problem_of(alone), [{"macs": budget, "peak_memory_bytes": 8 * most + 7}]) == forbidden


def test_of_several_groups_at_one_fraction_only_those_that_raise_the_peak_stop():
    """By hand: 4 n_0 + 4 n_1 <= 40 stops the first two of three alike groups at 5, one more does not fit; the third is full."""
    graph = chain([8, 8, 8], [1] * 4, [1, 1, 1, 1, 1])
    peaks = ChannelGraph(graph.groups, graph.parameters, graph.layers, (Step("two", Size(0, ((0, 4), (1, 4)))),))
    for limit, expected in ((40, (5, 5, 8)), (44, (6, 5, 8)), (48, (6, 6, 8))):
        assert uniform_widths(problem_of(peaks), [{"macs": graph.macs(), "peak_memory_bytes": limit}]) == [expected]


def test_a_group_that_shares_a_peak_goes_on_as_long_as_its_own_steps_fit():
    """By hand: 8 n_0 + n_1 <= 48 forbids the fifth of n_0 at n_1 = 10, and n_1 goes on to 16."""
    graph = chain([8, 16], [1] * 3, [1] * 4)
    peaks = ChannelGraph(graph.groups, graph.parameters, graph.layers, (Step("two", Size(0, ((0, 8), (1, 1)))),))
    assert uniform_widths(problem_of(peaks), [{"macs": graph.macs(), "peak_memory_bytes": 48}]) == [(4, 16)]


def test_a_measured_cost_bounds_like_any_other():
    """By hand: at 1.5 us a unit of the first layer and 1 us of the second, 13.5 us are 5 each and one more of the second."""
    graph = chain([8, 8], [1] * 3, [1] * 4)
    units = np.arange(1, 9)
    measured = (Table("layer_0", 1.5 * units), Table("layer_1", 1.0 * units))
    problem = width_problem(graph, {g.name: np.ones(8) for g in graph.groups}, extra_resources={"latency_us": measured})
    assert uniform_widths(problem, [{"macs": graph.macs(), "latency_us": 13.5}]) == [(5, 6)]
    with pytest.raises(InfeasibleError) as error:
        uniform_widths(problem, [{"macs": graph.macs(), "latency_us": 2.0}])
    assert (error.value.resource, error.value.smallest) == ("latency_us", 2.5)


def test_a_subnetwork_meets_the_bounds_of_those_that_contain_it():
    graph = chain([8, 8], [1] * 3, [1] * 4)
    small, large = uniform_widths(problem_of(graph), [{"macs": graph.macs() // 2, "param_bytes": graph.param_bytes()},
                                                      {"macs": graph.macs(), "param_bytes": graph.param_bytes() // 4}])
    assert small == large
    assert graph.param_bytes(large) <= graph.param_bytes() // 4


def test_budgets_are_fractions_of_the_full_network_whatever_the_rules_and_the_floor_is_not_for_uniform_widths():
    graph = chain([10, 10], [1] * 3, [1] * 4)
    scores = {g.name: np.ones(10) for g in graph.groups}
    options = Subnetworks(budgets=(0.5, 1.0), rules=("layer_0:at_most=5",))
    for method in ("reds", "uniform_sorted"):  # 5 n_1 + 2 * 5 + 3 n_1 of 150
        assert choose_widths(graph, scores, options, method).widths == ((5, 8), (5, 10))
    narrow = Subnetworks(budgets=(0.2, 1.0), floor=0.4)
    assert choose_widths(graph, scores, narrow, "uniform_sorted").widths[0] == (4, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.floats(0.2, 1), st.sampled_from(["reds", "uniform_sorted"]),
       st.data())
def test_a_wider_network_within_its_base_costs_no_more(sizes, budget, method, data):
    """Twice as wide, exactly half of every group is the base: that is what uniform widths are at a budget of all of it."""
    factors = data.draw(st.lists(st.integers(1, 5), min_size=len(sizes) + 1, max_size=len(sizes) + 1))
    base, wide = (chain([k * n for n in sizes], factors, [1] * (len(sizes) + 2)) for k in (1, 2))
    options = Subnetworks(budgets=(budget, 1.0) if budget < 1 else (1.0,)).within(base)
    scores = {g.name: np.sort(data.draw(st.randoms()).sample(range(1, 99), g.size))[::-1].astype(float) for g in wide.groups}
    if budget * base.macs() < wide.macs([1] * len(sizes)):
        return
    choice = choose_widths(wide, scores, options, method)
    assert choice.whole_macs == base.macs()
    for share, widths in zip(options.budgets, choice.widths, strict=True):
        assert wide.macs(widths) <= share * base.macs()
        assert wide.param_bytes(widths) <= base.param_bytes()
    if method == "uniform_sorted":
        assert choice.widths[-1] == tuple(sizes)


def test_a_smaller_bound_of_the_users_own_stays():
    base = chain([4, 4], [1] * 3, [1] * 4)
    for given_bytes, expected in ((None, base.param_bytes()), (50, 50), (10**6, base.param_bytes())):
        found = Subnetworks(weight_bytes=given_bytes).within(base)
        assert (found.base_macs, found.weight_bytes) == (base.macs(), expected)


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("method", ["reds", "uniform_sorted", "uniform_live"])
def test_each_resource_binds_in_turn(resource, method):
    """The largest subnetwork meets the bound, one unit more of any group would not, and without it the full network stays."""
    graph = chain([12, 20, 8], [3, 1, 2, 4], [1, 9, 2, 5, 1])
    rng = np.random.default_rng(0)
    scores = {g.name: np.sort(rng.random(g.size))[::-1] for g in graph.groups}
    full = costs(graph, [12, 20, 8])
    limit = full[resource] // 2
    bound = {"macs": {"budgets": (0.3, 0.5)}, "param_bytes": {"weight_bytes": limit},
             "peak_memory_bytes": {"peak_memory_bytes": limit}}[resource]
    *_, widths = choose_widths(graph, scores, Subnetworks(**{"budgets": (0.3, 1.0), **bound}), method).widths
    assert costs(graph, widths)[resource] <= limit
    wider = [tuple(n + (i == g) for i, n in enumerate(widths)) for g in range(3) if widths[g] < graph.groups[g].size]
    assert wider
    assert all(costs(graph, w)[resource] > limit for w in wider)
    free = Subnetworks(budgets=(0.3, 1.0), weight_bytes=full["param_bytes"], peak_memory_bytes=full["peak_memory_bytes"])
    assert choose_widths(graph, scores, free, method).widths[-1] == (12, 20, 8)
