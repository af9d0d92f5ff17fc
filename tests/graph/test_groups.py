"""The channel groups, costs and memory of networks whose answer is known."""

import flax.linen as nn
import jax
import numpy as np
import pytest
import user_nets as nets
from user_nets import built

from reds_jax import models
from reds_jax.graph.channels import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.testing import assert_counts, assert_permutation_invariant, assert_prefix_is_mask, interpret
from reds_jax.testing.networks import random_variables

GROUPS = {
    nets.residual: {"stem": 8, "inner_0": 6, "inner_1": 6},
    nets.concatenated: {"branch_4": 4, "branch_3": 3, "branch_5": 5, "mix": 6},
    nets.concatenated_and_added: {"whole[0]": 4, "whole[1]": 5},
    nets.grouped: {"conv": 3},
    nets.one_channel: {"conv": 4, "last": 5},
    nets.tied_to_the_input: {"inner": 4},
    nets.shared: {"conv": 4},
    nets.nested_modules: {"inner/conv": 4, "inner/dense": 6},
}


@pytest.mark.parametrize("body", GROUPS, ids=lambda f: f.__name__)
def test_groups_of_known_networks(body) -> None:
    net, variables, x, graph = built(body)
    assert {g.name: g.size for g in graph.groups} == GROUPS[body]
    assert_permutation_invariant(net, variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)
    assert_prefix_is_mask(net, variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)
    for width in (1.0, 0.5, 0.01):
        assert_counts(net, variables, x, width, graph=graph)


def kept(graph: ChannelGraph, path: str, axis: int, widths: tuple[int, ...]) -> list[int]:
    found = next(p for p in graph.parameters if p.path == path).axes[axis]
    assert found is not None
    return found.kept(widths).tolist()


def test_what_a_concatenation_keeps() -> None:
    graph = built(nets.concatenated)[-1]
    assert [g.name for g in graph.groups] == ["branch_4", "branch_3", "branch_5", "mix"]
    for path, axis in (("params/norm/scale", 0), ("batch_stats/norm/mean", 0), ("params/depthwise/kernel", 3),
                       ("params/mix/kernel", 2)):
        assert kept(graph, path, axis, (2, 1, 5, 6)) == [0, 1, 4, 7, 8, 9, 10, 11]
    kernel = next(p for p in graph.parameters if p.path == "params/mix/kernel")
    assert kernel.size(2)((2, 1, 5, 6)) == 8


def test_what_a_tied_concatenation_keeps() -> None:
    graph = built(nets.concatenated_and_added)[-1]
    assert kept(graph, "params/whole/kernel", 3, (3, 1)) == [0, 1, 2, 4]
    assert kept(graph, "params/right/kernel", 3, (3, 1)) == [0]


def test_kinds_and_costs_of_the_layers() -> None:
    kinds = {layer.path: layer.kind for layer in built(nets.one_channel)[-1].layers}
    assert kinds == {"conv": "conv", "single": "conv", "depthwise": "conv", "last": "conv", "logits": "dense"}
    graph = built(nets.grouped)[-1]
    assert {layer.path: layer.kind for layer in graph.layers} == {
        "conv": "conv", "grouped": "grouped_conv", "logits": "dense"}
    # 20 positions and 9 places of the kernel; a group has 2 inputs and 4 outputs
    assert graph.macs((2,)) == 180 * (3 * 4 + 2 * 8) + 8 * 2
    kinds = {layer.path: layer.kind for layer in built(nets.concatenated)[-1].layers}
    assert kinds["depthwise"] == "depthwise_conv"
    assert [layer.path for layer in built(nets.shared)[-1].layers] == ["conv", "twice", "twice", "logits"]


LIBRARY = {
    "ds_cnn": (models.DSCNN(3, 5, (3, 2), (2, 2), ((1, 1), (2, 1))), ["conv", "pointwise_0", "pointwise_1"], 5),
    "cnn": (models.CNN(3, (4, 5), 3, 6), ["conv_0", "conv_1", "linear", "hidden"], None),
    "dnn": (models.DNN(3, (4, 5, 6)), ["dense_0", "dense_1", "dense_2"], None),
    "mobilenet": (models.MobileNetV1(2, 4, ((5, 1), (6, 2))), ["conv", "pointwise_0", "pointwise_1"], None),
    "resnet": (models.ResNet(3, (4, 5, 6)), ["conv", "block_0_conv_0", "block_1_conv_0", "block_1_conv_1", "block_2_conv_0",
                                             "block_2_conv_1"], None),
}


@pytest.mark.parametrize("name", LIBRARY)
def test_the_networks_of_the_library(name: str) -> None:
    net, groups, size = LIBRARY[name]
    x = np.random.default_rng(0).normal(size=(2, 14, 12, 1)).astype(np.float32)
    if name == "cnn":
        x = np.concatenate([x, x], 1)
    variables = random_variables(net, x)
    graph = trace(net, variables, x)
    assert [g.name for g in graph.groups] == groups
    assert size is None or {g.size for g in graph.groups} == {size}
    assert_permutation_invariant(net, variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)
    assert_prefix_is_mask(net, variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)
    for width in (1.0, 0.5, 0.1):
        assert_counts(net, variables, x, width, graph=graph)


def test_peak_memory_of_a_chain_and_of_a_residual() -> None:
    def chain(x):
        return nets.conv(8, "b")(jax.nn.relu(nets.norm("norm")(nets.conv(4, "a")(x))))

    positions, item = 20, 4
    graph = built(chain)[-1]
    assert graph.peak_memory_bytes() == positions * (4 + 8) * item  # batch norm and activation work in place
    assert graph.peak_memory_bytes((1, 2)) == positions * (3 + 1) * item  # now the first layer is the largest
    graph = built(nets.residual)[-1]
    assert graph.peak_memory_bytes() == positions * (8 + 6 + 8) * item  # the stem waits for the add
    assert max(graph.schedule, key=lambda s: s.alive_bytes((8, 6, 6))).name.endswith("conv_general_dilated")


def test_an_output_that_is_ready_waits_for_the_others() -> None:
    class TwoOutputs(nn.Module):
        @nn.compact
        def __call__(self, x):
            early = nets.conv(2, "early")(x)
            return early, nets.conv(3, "late")(nets.conv(4, "hidden")(x))

    x = np.ones((2, 4, 5, 3), np.float32)
    variables = random_variables(TwoOutputs(), x)
    graph = trace(TwoOutputs(), variables, x)
    assert graph.peak_memory_bytes() == 20 * (2 + 4 + 3) * 4  # early, input and hidden; or early, hidden and late
    assert_counts(TwoOutputs(), variables, x, 0.5, graph=graph)


def test_the_outputs_of_the_network_stay() -> None:
    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(4, name="logits")(jax.nn.relu(nn.Dense(6, name="hidden")(x)))

    x = np.ones((2, 3), np.float32)
    variables = random_variables(Classifier(), x)
    graph = trace(Classifier(), variables, x)
    assert [g.name for g in graph.groups] == ["hidden"]
    assert [(p.path, p.channels, p.size, p.reason) for p in graph.pinned] == [("logits", 4, 4, "is an output of the network")]
    assert_prefix_is_mask(Classifier(), variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)


def up(x: jax.Array) -> jax.Array:
    """A transposed convolution: every input position times every weight."""
    return nn.ConvTranspose(6, (3, 2), (2, 2), name="up")(nets.conv(4, "conv", (1, 1))(x))


def heads(x: jax.Array) -> jax.Array:
    """Two heads of two over twenty positions: scores and weighted sums are MACs."""
    x = nets.conv(5, "conv", (1, 1))(x).reshape(len(x), 20, 5)
    return nn.MultiHeadDotProductAttention(2, qkv_features=4, out_features=5, name="attention")(x).mean(1)


def loop(x: jax.Array) -> jax.Array:
    """A GRU over four rows of each of five columns."""
    return nn.RNN(nn.GRUCell(6, name="cell"))(x.swapaxes(1, 2)).mean((1, 2))


COSTS = {  # by hand, for the whole network and for half of every group
    up: ({"conv": 4, "up": 6}, 20 * (3 * 4 + 4 * 6 * 6) + 6 * 2, 20 * (3 * 2 + 6 * 2 * 3) + 3 * 2),
    heads: ({"attention/query": 2, "attention/out": 5, "conv": 5},
            20 * (3 * 5 + 4 * 5 * 4) + 2 * 2 * 20 * 20 * 2 + 5 * 2,
            20 * (3 * 3 + 3 * 3 * 2 + 2 * 3) + 2 * 1 * 20 * 20 * 2 + 3 * 2),
    loop: ({"cell/ir": 6}, 20 * 3 * (3 * 6 + 6 * 6) + 6 * 2, 20 * 3 * (3 * 3 + 3 * 3) + 3 * 2),
}


@pytest.mark.parametrize("body", COSTS, ids=lambda f: f.__name__)
def test_costs_of_what_is_no_plain_layer(body) -> None:
    net, variables, x, graph = built(body)
    groups, full, half = COSTS[body]
    assert {g.name: g.size for g in graph.groups} == groups
    assert (graph.macs(), graph.macs(0.5)) == (full, half)
    for width in (1.0, 0.5):
        assert_counts(net, variables, x, width, graph=graph)
