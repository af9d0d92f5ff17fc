"""Permutation invariance, prefix = mask, true costs: on random architectures (theorems: permutation, prefix = mask)."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from reds_jax import Slimmable
from reds_jax.graph.channels import ChannelGraph
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.lowering import lowering
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import (
    LayerSpec,
    NothingChecked,
    RandomNet,
    assert_counts,
    assert_permutation_invariant,
    assert_prefix_is_mask,
    in_jax,
    interpret,
    masked_apply,
    random_variables,
)
from reds_jax.testing import strategies as draws
from reds_jax.testing.assertions import _difference

EXACT = {"evaluate": interpret, "tolerance": 1e-9}  # NumPy, float64


def many(n: int) -> settings:
    return settings(max_examples=n, deadline=None, print_blob=True,
                    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def build(network: tuple[RandomNet, tuple[int, ...]], *, integers: bool = False, n: int = 1):
    net, shape = network
    rng = np.random.default_rng(1)
    x = (rng.integers(-2, 3, (n, *shape)) if integers else rng.normal(size=(n, *shape))).astype(np.float32)
    variables = random_variables(net, x, seed=2, integers=integers)
    return net, variables, x, trace(net, variables, x)


def check(
    net: RandomNet, variables: dict, x: np.ndarray, graph: ChannelGraph, widths: tuple[int, ...], tolerance: float
) -> None:
    """All three; networks that nothing can be said about are not counted."""
    exact = {"evaluate": interpret, "tolerance": tolerance}
    try:
        assert_prefix_is_mask(net, variables, x, graph=graph, widths=[widths], **exact)
        assert assert_permutation_invariant(net, variables, x, graph=graph, **exact) == graph.pinned
        assert_counts(net, variables, x, widths, graph=graph)
    except NothingChecked:
        reject()


@pytest.mark.slow
@many(50)
@given(st.data())
def test_random_networks_have_every_property(data: st.DataObject) -> None:
    built = build(data.draw(draws.networks()))
    check(*built, data.draw(draws.widths(built[-1])), 1e-9)


@many(12)
@given(st.data())
def test_integer_networks_have_them_exactly(data: st.DataObject) -> None:
    built = build(data.draw(draws.networks(integers=True)), integers=True, n=2)
    check(*built, data.draw(draws.widths(built[-1])), 0)


@pytest.mark.slow
@many(60)
@given(st.data())
def test_more_integer_networks_have_them_exactly(data: st.DataObject) -> None:
    built = build(data.draw(draws.networks(integers=True)), integers=True, n=2)
    check(*built, data.draw(draws.widths(built[-1])), 0)


@many(25)
@given(st.data())
def test_any_permutation_can_be_undone(data: st.DataObject) -> None:
    _, variables, _, graph = build(data.draw(draws.networks()))
    orders = data.draw(draws.permutations(graph))
    there = reorder(variables, graph, orders)
    back = reorder(there, graph, {name: np.argsort(order) for name, order in orders.items()})
    jax.tree.map(np.testing.assert_array_equal, back, variables)


@many(15)
@given(st.data())
def test_a_fraction_is_right_everywhere(data: st.DataObject) -> None:
    """``apply(variables, x, width=fraction)`` is the masked network, behind concatenations and reshapes as well."""
    net, variables, x, graph = build(data.draw(draws.networks()))
    fraction = data.draw(st.floats(0.01, 1) | st.sampled_from([0.25, 0.5, 0.75]))
    found = interpret(lambda v, x: Slimmable(net).apply(v, x, width=fraction), variables, x)
    assert _difference(masked_apply(net, variables, x, graph, graph.widths(fraction)), found) < 1e-9


def layers_of(net: RandomNet) -> list[LayerSpec]:
    """All layers, inside of branches too."""
    def inside(layers: tuple[LayerSpec, ...]) -> list[LayerSpec]:
        return [found for layer in layers for found in (layer, *(y for part in layer.parts for y in inside(part)))]

    return inside((*net.trunk, *(layer for head in net.heads for layer in head)))


@many(25)
@given(st.data())
def test_a_subnetwork_of_a_subnetwork_is_a_subnetwork(data: st.DataObject) -> None:
    """(net | m) | n = net | n for n <= m, the first one extracted and traced as a network of its own."""
    net, variables, x, graph = build(data.draw(draws.networks()))
    m = data.draw(draws.widths(graph))
    subnetwork, small = extract(net, variables, graph, m)
    again = trace(subnetwork, small, x)
    sizes = [g.size for g in again.groups]
    if [k for k in sizes if k > 1] != [k for k in m if k > 1]:
        # one group that is left of several can be cut further, channel by channel
        assert any(layer.groups > 1 or layer.kind == "attention" for layer in layers_of(net))
        reject()
    inner = data.draw(draws.widths(again))
    rest = iter(k for k, size in zip(inner, sizes, strict=True) if size > 1)
    n = tuple(next(rest) if k > 1 else 1 for k in m)
    twice, smaller = extract(subnetwork, small, again, inner)
    once, direct = extract(net, variables, graph, n)
    jax.tree.map(np.testing.assert_array_equal, smaller, direct)
    expected = interpret(once.apply, direct, x)
    assert _difference(expected, interpret(twice.apply, smaller, x)) < 1e-12
    sliced = replace(twice, small=subnetwork.small)  # reads the medium arrays
    assert _difference(expected, interpret(sliced.apply, small, x)) < 1e-12
    assert (again.macs(inner), again.peak_memory_bytes(inner)) == (graph.macs(n), graph.peak_memory_bytes(n))


@many(25)
@given(st.lists(st.tuples(st.sampled_from(["conv", "dense"]), st.integers(1, 6), st.booleans()), min_size=1, max_size=5),
       st.sampled_from(["reshape", "flatten", "mean", "none"]))
def test_chains_tie_nothing(layers: list[tuple[str, int, bool]], head: str) -> None:
    """Without an add or a gate there is one group for every layer, in its order: no needless ties."""
    trunk = tuple(LayerSpec(kind, n, (2, 1), norm=norm, act="sigmoid") for kind, n, norm in layers)
    graph = build((RandomNet(trunk, ((LayerSpec(head),) if head != "none" else (),)), (3, 2, 2)))[-1]
    assert [g.size for g in graph.groups] == [n for _, n, _ in layers if n > 1]


@pytest.mark.parametrize("form", ["dot", "lax"])
@settings(max_examples=3, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(network=draws.networks(max_layers=3))
def test_jax_agrees_with_numpy_in_every_form(form: str, network: tuple[RandomNet, tuple[int, ...]]) -> None:
    net, variables, x, _ = build(network)

    def half(variables: dict, x: np.ndarray) -> object:
        return run(net, variables, x, 0.5)[0]

    with lowering(form):
        assert _difference(interpret(half, variables, x), in_jax(half, variables, x)) < 1e-4


@pytest.mark.slow
def test_the_largest_network_of_the_strategies_in_jax() -> None:
    """Every kind of layer once, as JAX runs it."""
    conv = LayerSpec("conv", 4, (3, 3), norm=True, act="sigmoid")
    net = RandomNet(
        (conv, LayerSpec("depthwise", 4, (3, 3), norm=True, act="shifted_relu"), LayerSpec("gate", 4), LayerSpec("twice", 4),
         LayerSpec("concat", 7, parts=((), (LayerSpec("conv", 3, act="relu"),))), LayerSpec("conv", 6),
         LayerSpec("shuffle", 6, groups=2),
         LayerSpec("conv", 6, (3, 3), groups=3, act="softplus"), LayerSpec("residual", 6, parts=((), (LayerSpec("dense", 6),))),
         LayerSpec("max_pool", 6, (2, 2), (2, 2)), LayerSpec("scan", 6), LayerSpec("gru", 5), LayerSpec("stack", 5),
         LayerSpec("attention", 5), LayerSpec("split", 6, parts=((LayerSpec("conv", 4),), ())), LayerSpec("conv", 4, (3, 3))),
        ((LayerSpec("reshape"), LayerSpec("dense", 5, norm=True, act="leaky_relu")), (LayerSpec("mean"),)))
    net, variables, x, graph = build((net, (5, 4, 3)))
    assert {"Conv_0", "Conv_2", "Conv_3", "Recurrent_0/GRUCell_0/ir", "Dense_1"} < {g.name for g in graph.groups}
    assert {"Dense_2", "Dense_3"} < {p.path for p in graph.pinned}  # of the heads
    assert_permutation_invariant(net, variables, x, **EXACT)
    assert_prefix_is_mask(net, variables, x, widths=[0.5])
    assert_counts(net, variables, x, 0.5)
