"""A device program computes what the model computes, for every subnetwork with its own statistics, at the same cost."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import BODIES, Body, preactivation, raw_and_activated, without_scale
from device_cases import assert_same_function, case_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library_networks import LIBRARY

from reds_jax.deploy.lowering.simulate import outputs
from reds_jax.run import run
from reds_jax.testing import RandomNet
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")


@pytest.mark.parametrize("name", LIBRARY)
def test_library_networks(library, name: str) -> None:
    assert_same_function(library(name))


@pytest.mark.parametrize("name", ["dnn_s", "cnn", "ds_cnn", "resnet"])
def test_what_is_stored_is_the_largest_subnetwork(name: str) -> None:
    """As many weights as the graph counts, though the network that it is cut from has more."""
    build, shape = LIBRARY[name]
    case = case_of(build(), shape, (0.3, 0.6))
    assert_same_function(case)
    kernels = [p for p in case.graph.parameters if p.path.endswith("kernel")]
    stored = sum(op.weights.size for op in case.program.operations if op.weights is not None)
    assert stored == sum(p.items(case.widths[-1].values_tuple()) for p in kernels) < sum(p.items(
        case.graph.integers(1.0)) for p in kernels)


def test_as_jax_runs_it() -> None:
    """The same in JAX, in single precision, as calibration runs the program."""
    case = case_of(Body(raw_and_activated), (7, 5, 3))
    for k, (tree, widths) in enumerate(zip(case.trees, case.widths, strict=True)):
        expected = np.asarray(jax.jit(lambda tree, x, w=widths: run(case.model, tree, x, w)[0])(tree, case.x))
        found = np.asarray(outputs(case.program, k, jnp.asarray(case.x)))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
@settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.data())
def test_random_networks(data: st.DataObject) -> None:
    net, shape = data.draw(draws.networks(device=True))
    assert_same_function(case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph))))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(draws.networks(device=True))
def test_the_strategy_stays_inside_of_what_a_device_runs(network: tuple[RandomNet, tuple[int, ...]]) -> None:
    net, shape = network
    assert len(net.heads) == 1
    assert len(shape) in (1, 3)
    case_of(net, shape, (1.0,))


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_users_networks(body) -> None:
    assert_same_function(case_of(Body(body), (7, 5, 3), (0.2, 0.7, 1.0)))


class KernelFirst(nn.Module):
    """Products that are written with the weights on the left, so that the outputs come first."""

    @nn.compact
    def __call__(self, x):
        pointwise, dense = (self.param(name, nn.initializers.normal(), shape) for name, shape in (("a", (3, 5)), ("b", (5, 4))))
        x = nn.relu(jax.lax.dot_general(pointwise, x, (((0,), (3,)), ((), ()))).transpose(1, 2, 3, 0))
        x = nn.relu(jax.lax.dot_general(dense, x.mean((1, 2)), (((0,), (1,)), ((), ()))).T)
        return nn.Dense(3)(x)


def test_weights_on_the_left() -> None:
    assert_same_function(case_of(KernelFirst(), (4, 5, 3), (0.4, 1.0)))


def test_folding_costs_no_operation(library) -> None:
    """Bias, batch norm and activation are part of the layer before them; what is used raw too is not."""
    assert [op.kind for op in case_of(Body(without_scale), (7, 5, 3)).program.operations] == [
        "conv", "depthwise", "avg_pool", "dense"]
    names = [op.name for op in case_of(Body(preactivation), (7, 5, 3)).program.operations]
    assert [name for name in names if name != "stem_elementwise"] == [
        "stem", "inner", "outer", "add", "add_elementwise", "avg_pool", "logits"]
    resnet = [op.kind for op in library("resnet").program.operations]
    assert resnet == ["conv", "conv", "conv", "add", *["conv", "conv", "conv", "add"] * 2, "avg_pool", "dense"]


def test_weights_are_shared_and_ordered_by_input_channel(library) -> None:
    """The rows that a subnetwork reads are a prefix, and so are the entries of each row."""
    case = library("resnet")
    kernel = case.trees[0]["params"]["block_1_conv_0"]["kernel"]
    op = next(op for op in case.program.operations if op.name == "block_1_conv_0")
    np.testing.assert_array_equal(op.weights, kernel.transpose(3, 2, 0, 1).reshape(len(op.weights), -1))
    for k, widths in enumerate(case.widths):
        assert case.program.row(op, k) == 9 * case.program.tensors[op.inputs[0]].channels[k] == 9 * dict(widths)["conv"]
        assert len(op.scale[k]) == len(op.offset[k]) == dict(widths)["block_1_conv_0"]


def test_the_ends() -> None:
    """A softmax is an operation, an argmax is left to the caller."""
    logits = RandomNet((), ((),), 3)
    soft, best = (RandomNet((), ((),), 3, ending=ending) for ending in ("softmax", "argmax"))
    plain, with_softmax, with_argmax = (case_of(net, (4,), (1.0,)).program for net in (logits, soft, best))
    assert [op.kind for op in plain.operations] == [op.kind for op in with_argmax.operations] == ["dense"]
    assert [op.kind for op in with_softmax.operations] == ["dense", "softmax"]
    assert with_argmax.argmax
    assert not with_softmax.argmax
    bare = with_softmax.without_softmax()
    assert (bare.operations, bare.output, bare.tensors) == (with_softmax.operations[:1], 1, with_softmax.tensors[:2])
    assert plain.without_softmax() is plain
    assert bare.macs == (12,)
