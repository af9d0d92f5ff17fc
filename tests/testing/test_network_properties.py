"""Permutation invariance, prefix = mask, true costs: on random architectures (theorems: permutation, prefix = mask)."""

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reds_jax.graph.extract import Subnetwork, extract
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.nn import lowering
from reds_jax.testing import (
    LayerSpec,
    RandomNet,
    assert_counts,
    assert_permutation_invariant,
    assert_prefix_is_mask,
    in_jax,
    interpret,
    random_variables,
)
from reds_jax.testing import strategies as draws
from reds_jax.testing.assertions import _difference

EXACT = {"evaluate": interpret, "tolerance": 1e-9}  # NumPy, float64


def many(n: int) -> settings:
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


def build(network: tuple[RandomNet, tuple[int, int, int]], *, integers: bool = False):
    net, shape = network
    rng = np.random.default_rng(1)
    x = (rng.integers(-2, 3, (2, *shape)) if integers else rng.normal(size=(2, *shape))).astype(np.float32)
    variables = random_variables(net, x, seed=2, integers=integers)
    return net, variables, x, trace(net, variables, x)


@many(200)
@given(st.data())
def test_random_networks_have_every_property(data: st.DataObject) -> None:
    net, variables, x, graph = build(data.draw(draws.networks()))
    widths = data.draw(draws.widths(graph))
    assert_permutation_invariant(net, variables, x, graph=graph, **EXACT)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[widths], **EXACT)
    assert_counts(net, variables, x, widths, graph=graph)


@many(60)
@given(st.data())
def test_integer_networks_are_exactly_invariant(data: st.DataObject) -> None:
    net, variables, x, graph = build(data.draw(draws.networks(integers=True)), integers=True)
    assert_permutation_invariant(net, variables, x, graph=graph, evaluate=interpret, tolerance=0)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[data.draw(draws.widths(graph))], evaluate=interpret,
                          tolerance=0)


@many(60)
@given(st.data())
def test_any_permutation_can_be_undone(data: st.DataObject) -> None:
    _, variables, _, graph = build(data.draw(draws.networks()))
    orders = data.draw(draws.permutations(graph))
    there = reorder(variables, graph, orders)
    back = reorder(there, graph, {name: np.argsort(order) for name, order in orders.items()})
    jax.tree.map(np.testing.assert_array_equal, back, variables)


@many(50)
@given(st.data())
def test_a_fraction_is_the_widths_of_the_graph(data: st.DataObject) -> None:
    net, variables, x, graph = build(data.draw(draws.networks(fractions=True)))
    fraction = data.draw(st.floats(0.01, 1) | st.sampled_from([0.25, 0.5, 0.75]))
    expected = interpret(lambda v, x: net.apply(v, x, width=graph.widths(fraction)), variables, x)
    found = interpret(lambda v, x: net.apply(v, x, width=fraction), variables, x)
    assert _difference(expected, found) < 1e-12


@many(50)
@given(st.data())
def test_a_subnetwork_of_a_subnetwork_is_a_subnetwork(data: st.DataObject) -> None:
    """(net | m) | n = net | n for n <= m, the first one extracted and traced as a network of its own."""
    net, variables, x, graph = build(data.draw(draws.networks()))
    m = data.draw(draws.widths(graph))
    subnetwork, small = extract(net, variables, graph, m)
    again = trace(subnetwork, small, x)
    sizes = [g.size for g in again.groups]
    assume(sizes == [k for k in m if k > 1])  # one group that is left of a grouped convolution can be cut further
    inner = data.draw(draws.widths(again))
    rest = iter(inner)
    n = tuple(next(rest) if k > 1 else 1 for k in m)
    twice, smaller = extract(subnetwork, small, again, inner)
    once, direct = extract(net, variables, graph, n)
    jax.tree.map(np.testing.assert_array_equal, smaller, direct)
    expected = interpret(once.apply, direct, x)
    assert _difference(expected, interpret(twice.apply, smaller, x)) < 1e-12
    sliced = Subnetwork(net, again.widths(inner))  # of the medium arrays, without a cut
    assert _difference(expected, interpret(sliced.apply, small, x)) < 1e-12
    assert (again.macs(inner), again.peak_memory_bytes(inner)) == (graph.macs(n), graph.peak_memory_bytes(n))


@many(60)
@given(st.data())
def test_chains_tie_nothing(data: st.DataObject) -> None:
    """Without an add or a gate there is one group per layer that takes the width, in its order: no needless ties."""
    net, _ = network = data.draw(draws.networks(fractions=True))
    layers = [*net.trunk, *(layer for head in net.heads for layer in head)]
    assume(not any(layer.kind in ("residual", "gate") for layer in layers))
    graph = build(network)[-1]
    assert [g.size for g in graph.groups] == [s.features for s in layers if s.kind in ("conv", "dense") and s.features > 1]


@pytest.mark.parametrize("form", ["dot", "lax"])
@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(network=draws.networks(max_layers=3))
def test_jax_agrees_with_numpy_in_every_form(form: str, network: tuple[RandomNet, tuple[int, int, int]]) -> None:
    net, variables, x, graph = build(network)
    with lowering(form):
        assert _difference(interpret(net.apply, variables, x), in_jax(net.apply, variables, x)) < 1e-4
        assert_prefix_is_mask(net, variables, x, graph=graph, widths=[0.5])


def test_the_largest_network_of_the_strategies_in_jax() -> None:
    """Every kind of layer once, as JAX runs it, with the defaults of the assertions."""
    conv = LayerSpec("conv", 4, (3, 3), norm=True, act="sigmoid")
    net = RandomNet(
        (conv, LayerSpec("depthwise", 4, (3, 3), norm=True, act="shifted_relu"), LayerSpec("gate", 4, plain=True),
         LayerSpec("concat", 7, parts=((), (LayerSpec("conv", 3, act="relu"),))), LayerSpec("conv", 6, wide=False),
         LayerSpec("conv", 6, (3, 3), groups=3, act="softplus"), LayerSpec("residual", 6, parts=((), (LayerSpec("dense", 6),))),
         LayerSpec("max_pool", 6, (2, 2), (2, 2)), LayerSpec("conv", 1, (3, 3), act="tanh"), LayerSpec("conv", 4, (3, 3))),
        ((LayerSpec("reshape"), LayerSpec("dense", 5, norm=True, act="leaky_relu")), (LayerSpec("mean"),)))
    net, variables, x, graph = build((net, (5, 4, 3)))
    assert {"Conv_0", "Conv_1", "Dense_0"} < {g.name for g in graph.groups}
    assert_permutation_invariant(net, variables, x)
    assert_prefix_is_mask(net, variables, x)
    assert_counts(net, variables, x, 0.5)
