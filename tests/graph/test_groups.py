"""The channel groups, costs and memory of networks whose answer is known."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import user_nets as nets
from user_nets import built

from reds_jax import models
from reds_jax.errors import TraceError
from reds_jax.graph.trace import trace
from reds_jax.nn import BatchNorm, Conv, Dense
from reds_jax.testing import assert_counts, assert_permutation_invariant, assert_prefix_is_mask, interpret
from reds_jax.testing.networks import random_variables

GROUPS = {
    nets.residual: {"stem": 8, "inner_0": 6, "inner_1": 6},
    nets.concatenated: {"branch_4": 4, "branch_3": 3, "branch_5": 5, "mix": 6},
    nets.concatenated_and_added: {"whole[0]": 4, "whole[1]": 5},
    nets.grouped: {"conv": 3},
    nets.one_channel: {"conv": 4, "last": 5},
    nets.fixed: {"inner": 4},
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


def test_what_a_concatenation_keeps() -> None:
    graph = built(nets.concatenated)[-1]
    widths = graph.widths({"branch_4": 2, "branch_3": 1, "branch_5": 5, "mix": 6})
    assert dict(widths.inputs)["norm"] == ((0, 2), (4, 5), (7, 12))
    assert {"norm", "depthwise", "mix"} == set(dict(widths.inputs))
    kernel = next(p for p in graph.parameters if p.path == "params/mix/kernel")
    assert kernel.size(2)((2, 1, 5, 6)) == 8


def test_what_a_tied_concatenation_keeps() -> None:
    graph = built(nets.concatenated_and_added)[-1]
    assert dict(graph.widths((3, 1)).outputs)["whole"] == ((0, 3), (4, 5))


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
    def chain(x, width):
        return Conv(8, name="b")(jax.nn.relu(BatchNorm(name="norm")(Conv(4, name="a")(x, width), width)), width)

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
        def __call__(self, x, width=1.0):
            early = Conv(2, name="early")(x)
            return early, Conv(3, name="late")(Conv(4, name="hidden")(x, width))

    x = np.ones((2, 4, 5, 3), np.float32)
    variables = random_variables(TwoOutputs(), x)
    graph = trace(TwoOutputs(), variables, x)
    assert graph.peak_memory_bytes() == 20 * (2 + 4 + 3) * 4  # early, input and hidden; or early, hidden and late
    assert_counts(TwoOutputs(), variables, x, 0.5, graph=graph)


def test_the_width_default_of_the_model_does_not_matter() -> None:
    class NoDefault(nn.Module):
        @nn.compact
        def __call__(self, x, width=None):
            return Dense(2, name="logits")(jax.nn.relu(Dense(6, name="hidden")(x, width)))

    x = np.ones((2, 3), np.float32)
    assert [g.name for g in trace(NoDefault(), random_variables(NoDefault(), x), x).groups] == ["hidden"]


def test_the_outputs_of_the_network_stay_even_if_their_layer_takes_the_width() -> None:
    class Classifier(nn.Module):
        @nn.compact
        def __call__(self, x, width=1.0):
            return Dense(4, name="logits")(jax.nn.relu(Dense(6, name="hidden")(x, width)), width)

    x = np.ones((2, 3), np.float32)
    variables = random_variables(Classifier(), x)
    graph = trace(Classifier(), variables, x)
    assert [g.name for g in graph.groups] == ["hidden"]
    assert_prefix_is_mask(Classifier(), variables, x, graph=graph, evaluate=interpret, tolerance=1e-9)


def test_a_layer_that_is_not_told_what_it_reads_is_an_error() -> None:
    class Forgetful(nn.Module):
        @nn.compact
        def __call__(self, x, width=1.0):
            x = jnp.concatenate([Dense(3, name="a")(x, width), Dense(4, name="b")(x, width)], -1)
            return Dense(2, name="logits")(x)

    x = np.ones((2, 3), np.float32)
    variables = random_variables(Forgetful(), x)
    with pytest.raises(TraceError, match=r"'logits' reads channels of which .* Call it with the width.*reads=width"):
        trace(Forgetful(), variables, x)
