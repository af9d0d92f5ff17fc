"""Tables of true costs: the problem's cost of any widths is the graph's, and the graph's is the paper's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import reds_jax
from reds_jax import models
from reds_jax.baselines import live_units, uniform_widths
from reds_jax.cost import RESOURCES, width_problem
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import solve
from reds_jax.layer_rules import LayerRule

INPUTS = {"dnn_s": (250,), "dnn_l": (250,), "cnn_s": (49, 10, 1), "cnn_l": (49, 10, 1), "ds_cnn_s": (49, 10, 1),
          "ds_cnn_l": (49, 10, 1), "resnet8": (32, 32, 3), "mobilenet_v1": (96, 96, 3)}


def traced(name):
    model, x = models.build(name), jnp.zeros((1, *INPUTS[name]))
    return reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)


GRAPHS = {name: traced(name) for name in INPUTS}


def falling(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {g.name: np.sort(rng.exponential(size=g.size))[::-1] for g in graph.groups}


def uniform(graph, budgets, scores=None, **options):
    """Uniform widths at budgets of MACs; with scores those of the live units."""
    units = {g.name: g.size for g in graph.groups} | live_units(scores or {})
    return uniform_widths(width_problem(graph, falling(graph), **options), budgets, units=units)


# widths that the authors' solver found, and the share of the true MACs that they cost (paper.md, 5)
PUBLISHED = [
    ("dnn_s", (99, 132, 99), 65.8), ("dnn_s", (51, 116, 63), 33.8), ("dnn_s", (15, 75, 33), 9.8),
    ("dnn_l", (436, 356, 235), 70.9), ("dnn_l", (302, 88, 19), 21.0),
    ("cnn_s", (28, 21, 16, 128), 73.8), ("cnn_s", (23, 5, 16, 128), 22.4), ("cnn_l", (58, 56, 58, 128), 72.7),
    ("ds_cnn_s", (31, 63, 64, 42, 42), 63.4), ("ds_cnn_s", (9, 22, 48, 12, 63), 17.7),
    ("ds_cnn_l", (90, 243, 265, 276, 69, 276), 50.5), ("ds_cnn_l", (44, 139, 114, 276, 17, 274), 17.2),
]


@pytest.mark.parametrize(("name", "widths", "percent"), PUBLISHED)
def test_published_widths_cost_what_the_paper_page_says(name, widths, percent):
    graph = GRAPHS[name]
    assert 100 * graph.macs(widths) / graph.macs() == pytest.approx(percent, abs=0.06)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(INPUTS)), st.data())
def test_the_tables_cost_what_the_graph_costs(name, data):
    graph = GRAPHS[name]
    step = 8 if max(g.size for g in graph.groups) > 128 else 1
    problem = width_problem(graph, falling(graph), step=step, resources=RESOURCES)
    widths = tuple(data.draw(st.sampled_from(w)) for w in problem.widths)
    assert problem.cost("macs", widths) == graph.macs(widths)
    assert problem.cost("param_bytes", widths) == graph.param_bytes(widths)
    assert problem.cost("peak_memory_bytes", widths) == graph.peak_memory_bytes(widths)


def test_full_fan_in_charges_the_full_width_of_the_layer_before():
    """On DNN S: 250 a unit of the first layer, 144 of the others, 12 more of the last for the classifier."""
    graph = GRAPHS["dnn_s"]
    problem = width_problem(graph, falling(graph), cost="full_fan_in", floor=0.0)
    widths = (99, 132, 99)
    assert problem.cost("macs", widths) == 250 * 99 + 144 * 132 + 144 * 99 + 12 * 99
    assert problem.cost("macs", problem.full_widths) == graph.macs()
    assert problem.cost("macs", widths) > graph.macs(widths)


def test_values_by_hand():
    graph, scores = GRAPHS["dnn_s"], falling(GRAPHS["dnn_s"])
    widths = (40, 50, 144)
    sums = [scores[g.name][:n].sum() for g, n in zip(graph.groups, widths, strict=True)]
    totals = [scores[g.name].sum() for g in graph.groups]
    logs = width_problem(graph, scores, value="log_retention").evaluate(widths)
    assert logs == pytest.approx(sum(np.log(s / t) for s, t in zip(sums, totals, strict=True)))
    assert width_problem(graph, scores, value="sum").evaluate(widths) == pytest.approx(sum(sums))
    own = {g.name: np.arange(g.size) for g in graph.groups}
    assert width_problem(graph, scores, value=own).evaluate(widths) == 39 + 49 + 143


def test_pair_values_from_kernels():
    """Value of a width is the importance of the kernels that it deploys; the first group keeps its unit scores."""
    graph, scores = GRAPHS["dnn_s"], falling(GRAPHS["dnn_s"])
    rng = np.random.default_rng(1)
    names = [g.name for g in graph.groups]
    kernels = {(a, b): rng.random((144, 144)) for a, b in itertools.pairwise(names)}
    problem = width_problem(graph, scores, value="sum", kernel_scores=kernels)
    widths = (40, 50, 60)
    expected = scores[names[0]][:40].sum() + kernels[names[0], names[1]][:50, :40].sum() + kernels[
        names[1], names[2]][:60, :50].sum()
    assert problem.evaluate(widths) == pytest.approx(expected)
    best = width_problem(graph, scores, value="sum", kernel_scores=kernels, kernel_score="best")
    assert best.evaluate(widths) > problem.evaluate(widths)


@pytest.mark.parametrize(("floor", "least"), [(0.25, 36), (0.0, 1), (7, 7), ({"dense_0": 3}, None)])
def test_floor(floor, least):
    graph = GRAPHS["dnn_s"]
    floor = floor if least else {graph.groups[0].name: 3}
    problem = width_problem(graph, falling(graph), floor=floor)
    assert problem.smallest_widths == ((least,) * 3 if least else (3, 1, 1))


def test_a_residual_network_is_solved_under_three_constraints():
    graph = GRAPHS["resnet8"]
    problem = width_problem(graph, falling(graph), resources=RESOURCES, floor=2)
    limits = {"macs": graph.macs() // 3, "param_bytes": graph.param_bytes() // 3, "peak_memory_bytes": 130_000}
    found = solve(problem, limits)
    assert found.proven_optimal
    assert graph.macs(found.widths) == found.costs["macs"] <= limits["macs"]
    assert graph.param_bytes(found.widths) <= limits["param_bytes"]
    assert graph.peak_memory_bytes(found.widths) <= limits["peak_memory_bytes"]


def test_errors():
    graph, scores = GRAPHS["dnn_s"], falling(GRAPHS["dnn_s"])
    with pytest.raises(InvalidArgumentError, match="unknown resource; got .*joules.*; allowed: macs, param_bytes"):
        width_problem(graph, scores, resources=("macs", "joules"))
    with pytest.raises(InvalidArgumentError, match="needs 144 numbers"):
        width_problem(graph, {**scores, graph.groups[1].name: np.ones(3)})
    with pytest.raises(InvalidArgumentError, match="floor is out of range; got 1.5"):
        width_problem(graph, scores, floor=1.5)


@settings(max_examples=40, deadline=None)
@example("cnn_s", [0.328125, 0.33203125], 1)  # budgets so near that both would fill the same group
@given(st.sampled_from(sorted(INPUTS)), st.lists(st.floats(0.05, 1.0), min_size=1, max_size=4), st.sampled_from([1, 4]))
def test_uniform_widths_fill_their_budgets_and_nest(name, fractions, step):
    graph = GRAPHS[name]
    budgets = sorted(int(f * graph.macs()) for f in fractions)
    least = graph.macs([step] * len(graph.groups))
    if budgets[0] < least:
        with pytest.raises(InfeasibleError) as error:
            uniform(graph, budgets, step=step)
        assert error.value.smallest == least
        budgets = [max(budget, least) for budget in budgets]
    found = uniform(graph, budgets, step=step)
    sizes = np.array([g.size for g in graph.groups])
    for narrow, wide in itertools.pairwise(found):
        assert all(a <= b for a, b in zip(narrow, wide, strict=True))
    for budget, widths in zip(budgets, found, strict=True):
        assert graph.macs(widths) <= budget
        shares = np.array(widths) / sizes
        assert np.all(np.abs(shares - np.median(shares)) <= step / sizes + step / sizes.min() + 1e-9)
        if step == 1:  # what is left would not pay for one more unit in every group
            assert graph.macs(np.minimum(np.array(widths) + 1, sizes).tolist()) > budget or tuple(sizes) == widths
    assert uniform(graph, [graph.macs()])[0] == tuple(sizes)


def test_uniform_widths_that_do_not_exist():
    with pytest.raises(InfeasibleError, match="no uniform widths meet the capacity of 'macs'; got 3"):
        uniform(GRAPHS["dnn_s"], [3])


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["cnn_s", "ds_cnn_s", "mobilenet_v1"]), st.sampled_from([1, 8]), st.data())
def test_uniform_widths_of_what_lives(name, step, data):
    """Never a dead unit below the full network, a share of the live ones that is alike, and all of them before the rest."""
    graph = GRAPHS[name]
    live = {g.name: data.draw(st.integers(1, g.size)) for g in graph.groups}
    dead = data.draw(st.sampled_from([0.0, 4e-6]))
    scores = {g.name: np.where(np.arange(g.size) < live[g.name], 5.0, dead) for g in graph.groups}
    up = [min(-(-live[g.name] // step) * step, g.size) for g in graph.groups]
    budgets = [max(int(f * graph.macs(up)), graph.macs([step] * len(up))) for f in (0.3, 0.6)]
    *found, all_live, everything = uniform(graph, [*budgets, graph.macs(up), graph.macs()], scores, step=step)
    for budget, widths in zip(budgets, found, strict=True):
        assert graph.macs(widths) <= budget
        assert all(n <= most for n, most in zip(widths, up, strict=True))
        if step == 1:  # what is left would not pay for one more live unit in every group
            assert widths == tuple(up) or graph.macs(np.minimum(np.array(widths) + 1, up).tolist()) > budget
    assert all_live == tuple(up)
    assert everything == tuple(g.size for g in graph.groups)


def test_without_dead_units_they_are_uniform_widths():
    graph = GRAPHS["cnn_s"]
    budgets = [graph.macs() // 4, graph.macs() // 2]
    for scores in ({}, falling(graph), {g.name: np.zeros(g.size) for g in graph.groups}):
        assert uniform(graph, budgets, scores) == uniform(graph, budgets)


def test_rules_by_path_pattern_bound_the_widths() -> None:
    """Tied layers follow one rule: depthwise_3 has the channels of pointwise_2."""
    graph = GRAPHS["ds_cnn_s"]
    rules = ["pointwise_0:exclude", LayerRule("pointwise_[12]", floor=0.5, multiple_of=8), "depthwise_3:at_most=50"]
    problem = width_problem(graph, falling(graph), floor=1, rules=rules)
    by_group = dict(zip((g.name for g in graph.groups), problem.widths, strict=True))
    assert by_group == {"conv": tuple(range(1, 65)), "pointwise_0": (64,), "pointwise_1": (32, 40, 48, 56, 64),
                        "pointwise_2": (32, 40, 48), "pointwise_3": tuple(range(1, 65))}
    for widths in uniform(graph, [graph.macs() // 2, graph.macs()], rules=rules):
        assert widths[1] == 64
        assert widths[3] <= 48
    assert LayerRule.parse("a/*:floor=0.5,at_most=7") == LayerRule("a/*", floor=0.5, at_most=7)


@pytest.mark.parametrize(("rule", "message"), [
    ("nothing_*:exclude", "matches no layer"), ("conv", "no pattern"), ("conv:width=3", "cannot be read"),
    ("conv:floor=x", "cannot be read"), ("conv:floor=1.5", "out of range"), ("conv:at_most=4,multiple_of=8", "no width"),
])
def test_wrong_rules_are_named(rule, message) -> None:
    graph = GRAPHS["ds_cnn_s"]
    with pytest.raises(InvalidArgumentError, match=message):
        width_problem(graph, falling(graph), floor=1, rules=[rule])
