"""`ProductCost` against the MACs of traced networks, `real_widths` against other choices and its own conditions."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.cost import width_problem
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.experiments.theory_cases import traced
from reds_jax.graph.channels import Layer, Size
from reds_jax.theory import ProductCost, real_widths

PAIR = ([[0, 1], [1, 0]], [0, 0])


@pytest.mark.parametrize("name", ["dnn_s", "cnn_s", "ds_cnn_s", "resnet8"])
def test_the_cost_is_that_of_the_network(name):
    """At whole widths the MACs; their derivative in log r is what a group touches."""
    graph = traced(name)
    cost, dice = ProductCost.of(graph), np.random.default_rng(0)
    sizes = np.array([g.size for g in graph.groups])
    problem = width_problem(graph, {g.name: np.ones(g.size) for g in graph.groups})
    for _ in range(5):
        widths = dice.integers(1, sizes + 1)
        assert cost.macs(widths / sizes) == pytest.approx(graph.macs(widths.tolist()), rel=1e-12)
        assert cost.macs(widths / sizes) == pytest.approx(problem.cost("macs", widths.tolist()), rel=1e-12)
        r, one = widths / sizes, 1e-6
        slopes = [(cost.macs(r * np.exp(one * e)) - cost.macs(r * np.exp(-one * e))) / (2 * one) for e in np.eye(len(r))]
        np.testing.assert_allclose(slopes, cost.touched(r), rtol=1e-5, atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0.25, 1.1), st.sampled_from([(1e-9, 1.0), (0.2, 1.0), (1e-9, 1e6)]))
def test_real_widths_are_best(seed, m, share, ends):
    """No other choice within the budget and the range loses less, and the shares are in balance at one price."""
    dice = np.random.default_rng(seed)
    pairs = dice.uniform(0, 5, (m, m)) * (dice.random((m, m)) < 0.6)
    cost = ProductCost(pairs + pairs.T, dice.uniform(0.1, 3, m), dice.uniform(0, 2))
    w, g = dice.uniform(0.2, 5, m), dice.uniform(0.1, 5, m)
    budget = cost.constant + share * (cost.macs(np.ones(m)) - cost.constant)
    r = real_widths(cost, budget, worth=w, exponents=g, floor=ends[0], upper=ends[1])
    assert cost.macs(r) <= budget
    assert ((r >= ends[0]) & (r <= ends[1])).all()
    if cost.macs(np.full(m, ends[1])) <= budget:
        assert (r == ends[1]).all()
        return
    assert cost.macs(r) == pytest.approx(budget, rel=1e-9)
    prices = w * r**-g / cost.touched(r)
    inside = (r > ends[0]) & (r < ends[1])
    price = prices[inside].mean() if inside.any() else (prices[r == ends[0]].max(initial=0) + prices[r == ends[1]].min()) / 2
    np.testing.assert_allclose(prices[inside], price, rtol=1e-8)
    assert (prices[r == ends[0]] <= price * (1 + 1e-8)).all()
    assert (prices[r == ends[1]] >= price * (1 - 1e-8)).all()
    lost = lambda s: float((w / g * s**-g).sum())  # noqa: E731
    for _ in range(20):
        s = np.clip(r * np.exp(dice.normal(0, 0.2, m)), *ends)
        for _ in range(200):
            if cost.macs(s) <= budget:
                break
            s = np.clip(s * 0.99, *ends)
        if cost.macs(s) <= budget:
            assert lost(s) >= lost(r) * (1 - 1e-9)


def test_what_no_width_changes_costs_too():
    """A layer between two pinned ones: 42 MACs at every width, and so much less is left of a budget."""
    graph = traced("dnn_s")
    still = ProductCost.of(replace(graph, layers=(*graph.layers, Layer("still", "dense", 7, (Size(2, ()), Size(3, ()))))))
    assert still.macs([0.5] * 3) == ProductCost.of(graph).macs([0.5] * 3) + 42
    assert real_widths(ProductCost([[0]], [3], 4), 5.5, worth=[1], exponents=[1]).tolist() == pytest.approx([0.5])


def test_a_group_at_its_floor():
    """Without it (1/4, 1): the first group is worth next to nothing."""
    best = real_widths(ProductCost(*PAIR), 0.25, worth=[0.01, 1], exponents=[1, 1], floor=0.4)
    assert best.tolist() == pytest.approx([0.4, 0.625])


def test_a_group_that_multiplies_itself():
    """r^2 = 1/4; and a layer from the first group to itself, 144 units of which 72 stay."""
    graph = traced("dnn_s")
    square = Layer("square", "dense", 2, (Size(0, ((0, 1),)),) * 2)
    more = ProductCost.of(replace(graph, layers=(*graph.layers, square))).macs([0.5] * 3)
    assert more == ProductCost.of(graph).macs([0.5] * 3) + 2 * 72**2
    assert real_widths(ProductCost([[2]], [0]), 0.25, worth=[1], exponents=[1]).tolist() == pytest.approx([0.5])


def test_wrong_costs_are_refused():
    pair = [0, 0]
    for pairs, fixed in (([[0, 1]], pair), ([[0, 1], [2, 0]], pair), ([[0, -1], [-1, 0]], pair), ([[0]], [np.nan]), ([], [])):
        with pytest.raises(InvalidArgumentError):
            ProductCost(pairs, fixed)
    with pytest.raises(InvalidArgumentError, match="constant"):
        ProductCost(*PAIR, -1)


def test_wrong_arguments_are_refused():
    cost = ProductCost(*PAIR)
    for changed in ({"worth": [1]}, {"worth": [1, 0]}, {"exponents": [1, np.inf]}, {"floor": 0}, {"floor": 0.5, "upper": 0.4}):
        with pytest.raises(InvalidArgumentError):
            real_widths(cost, 0.5, **{"worth": [1, 1], "exponents": [1, 1], **changed})
    with pytest.raises(InvalidArgumentError, match="costs nothing"):
        real_widths(ProductCost([[0, 0], [0, 0]], [1, 0]), 0.5, worth=[1, 1], exponents=[1, 1])
    with pytest.raises(InfeasibleError, match="floor"):
        real_widths(cost, 0.2, worth=[1, 1], exponents=[1, 1], floor=0.5)


def test_a_product_of_three_widths_is_refused():
    graph = traced("dnn_s")
    cube = Layer("cube", "einsum", 1, (Size(0, ((0, 1),)),) * 3)
    with pytest.raises(InvalidArgumentError, match="more than two widths.*cube"):
        ProductCost.of(replace(graph, layers=(*graph.layers, cube)))
