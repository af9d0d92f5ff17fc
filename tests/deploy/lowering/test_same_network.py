"""A device computes what `reds_jax.run` computes at every width, or lowering names the line; never another network."""

from contextlib import nullcontext
from dataclasses import replace
from inspect import getsourcelines
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from c_exports import make_case
from device_cases import Case, assert_same_function, case_of

from reds_jax.adapters import adapt
from reds_jax.deploy.lowering.forms import Writer
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.program import Tensor
from reds_jax.errors import TraceError
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.testing import masked_apply

pytestmark = pytest.mark.usefixtures("as_users_write")

SHAPE = (5, 4, 3)
WIDTHS = (0.3, 0.5, 0.8, 1.0)


class Net(nn.Module):
    """A convolution, a function of what it makes (and of the image), then logits."""

    function: Any
    flag: bool = False

    @nn.compact
    def __call__(self, x):
        y = self.function(self, nn.relu(nn.Conv(8, (3, 3), name="conv")(x)))
        return nn.Dense(3, name="logits")(y.mean((1, 2)) if y.ndim == 4 else y)


def conditional_residual(net, x):
    y = nn.Conv(8, (3, 3), name="second")(x)
    return nn.relu(y + x) if x.shape[-1] == 8 else y


def projected_where_shapes_differ(net, x):
    y = nn.Conv(8, (3, 3), name="second")(x)
    return nn.relu(y + (nn.Conv(8, (1, 1), name="projection")(x) if x.shape != y.shape else x))


def of_the_number_of_channels(net, x):
    return nn.Conv(6, (3, 3), name="second")(x / np.sqrt(x.shape[-1]))


def constant_over_channels(net, x):
    return nn.Conv(6, (3, 3), name="second")(x + np.arange(16, dtype=np.float32)[: x.shape[-1]])


def one_constant_for_all(net, x):
    return nn.Conv(6, (3, 3), name="second")(x * np.full(8, 2, np.float32) - jnp.ones(8))


def first_bias_for_all(net, x):
    """The first channel is taken by its position, so it stays; the rest are a prefix behind it."""
    scale = net.param("scale", nn.initializers.normal(), (8,))
    return nn.Conv(6, (3, 3), name="second")(x * scale + scale[0])


def last_bias_for_all(net, x):
    """One number for all channels, of an array that no other channel meets."""
    return nn.Conv(6, (3, 3), name="second")(x + net.param("bias", nn.initializers.normal(), (8,))[7])


def padded_in_front(net, x):
    """The first four channels meet a constant: they stay, and what stays of the others is a prefix with them."""
    return nn.Conv(6, (3, 3), name="second")(x + jnp.pad(net.param("bias", nn.initializers.normal(), (4,)), (4, 0)))


def rolled_factors(net, x):
    """Each channel meets the factor of the one before: all of them are tied to each other, and stay."""
    scale = net.param("scale", nn.initializers.normal(), (8,))
    return nn.Conv(6, (3, 3), name="second")(x * jnp.roll(scale, 1))


def normalised_weights(net, x):
    """Each output's weights have mean 0 over what they read, which is therefore not cut."""
    kernel = net.param("kernel", nn.initializers.normal(), (3, 3, 8, 6))
    kernel = kernel - kernel.mean((0, 1, 2))
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def gain_of_weights(net, x):
    """A factor for each output that is made of its parameters."""
    kernel = net.param("kernel", nn.initializers.normal(), (8, 6))
    return nn.relu(jnp.einsum("nhwi,io->nhwo", x, kernel * jnp.exp(net.param("gain", nn.initializers.normal(), (6,)))))


def one_of_the_channels(net, x):
    """All outputs of a convolution with one of them: nothing to cut there."""
    return nn.Conv(6, (3, 3), name="second")(nn.Conv(1, (3, 3), name="one")(x))


def flattened_behind_a_pool(net, x):
    return nn.relu(nn.Dense(7, name="second")(nn.max_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)))


def softmax_in_the_middle(net, x):
    return nn.softmax(nn.Dense(7, name="second")(x.reshape(len(x), -1)))


def turned_there_and_back(net, x):
    return nn.Conv(6, (3, 3), name="second")((x.transpose(0, 3, 1, 2) * 2).transpose(0, 2, 3, 1))


def in_an_own_derivative(net, x):
    return nn.Conv(6, (3, 3), name="second")(nn.relu6(jax.nn.relu(x) * 3))


def in_remat(net, x):
    return nn.remat(nn.Conv)(6, (3, 3), name="second")(x)


def gate_of_its_mean(net, x):
    return x * nn.sigmoid(nn.Dense(8, name="gate")(x.mean((1, 2), keepdims=True)))


def gate_of_few(net, x):
    """Squeeze and excite, and a product with what stays of another layer."""
    y = x * nn.hard_sigmoid(nn.Dense(8, name="wide")(nn.relu(nn.Dense(3, name="narrow")(x.mean((1, 2))))))[:, None, None]
    return nn.swish(y) * nn.Conv(8, (1, 1), name="second")(x)


def smooth_and_constant(net, x):
    """A function of the array behind constants of the channels, of which some stay."""
    return nn.Conv(6, (3, 3), name="second")(nn.gelu(x + jnp.pad(net.param("bias", nn.initializers.normal(), (4,)), (4, 0))))


def resized(net, x):
    n, h, w, c = x.shape
    return nn.Conv(6, (3, 3), name="second")(jax.image.resize(nn.tanh(x), (n, 2 * h, 3 * w, c), "nearest"))
def last_of_its_own(net, x):
    scale = net.param("scale", nn.initializers.normal(), (8,))
    return nn.Conv(6, (3, 3), name="second")(x * scale + scale[7])


def padded_bias(net, x):
    """The last four channels meet a constant, the others do not."""
    return nn.Conv(6, (3, 3), name="second")(x + jnp.pad(net.param("bias", nn.initializers.normal(), (4,)), (0, 4)))


def two_kernels_in_one(net, x):
    """One convolution that makes two groups of channels; what stays of both is no prefix."""
    kernels = [net.param(f"kernel_{i}", nn.initializers.normal(), (8, 4)) for i in range(2)]
    y = x @ jnp.concatenate(kernels, -1)
    return nn.relu(y) * jnp.concatenate([net.param(f"gain_{i}", nn.initializers.normal(), (4,)) for i in range(2)])


def two_groups_side_by_side(net, x):
    y = jnp.concatenate([x, nn.Conv(4, (1, 1), name="other")(x)], -1)
    return nn.Conv(6, (3, 3), name="second")(y)


def two_groups_flattened(net, x):
    y = jnp.concatenate([x, nn.Conv(4, (1, 1), name="other")(x)], -1)
    return nn.Dense(6, name="second")(y.reshape(len(y), -1))


def shuffled_channels(net, x):
    n, h, w, c = x.shape
    return nn.Conv(6, (3, 3), name="second")(x.reshape(n, h, w, 2, c // 2).swapaxes(3, 4).reshape(x.shape))


SAME = [conditional_residual, projected_where_shapes_differ, of_the_number_of_channels, constant_over_channels,
        one_constant_for_all, first_bias_for_all, last_bias_for_all, padded_in_front, rolled_factors, normalised_weights,
        gain_of_weights, one_of_the_channels, flattened_behind_a_pool, softmax_in_the_middle, turned_there_and_back,
        in_an_own_derivative, in_remat, gate_of_its_mean, gate_of_few, smooth_and_constant, resized, last_of_its_own,
        padded_bias, two_kernels_in_one, two_groups_side_by_side, two_groups_flattened, shuffled_channels]


def assert_masked(case: Case) -> None:
    """The program is the full network with zeros at what is cut, which no code of slices has a part in."""
    for k, widths in enumerate(case.widths):
        (expected,) = masked_apply(case.model, case.trees[k], case.x, case.graph, widths)
        np.testing.assert_allclose(case.found(k), expected, rtol=0, atol=1e-5 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("function", SAME, ids=lambda f: f.__name__)
def test_the_same_numbers_at_every_width(function) -> None:
    case = case_of(Net(function), SHAPE, WIDTHS)
    assert case.graph.groups, "nothing is cut"
    assert_same_function(case)
    assert_masked(case)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("function", [conditional_residual, constant_over_channels, first_bias_for_all, padded_in_front],
                         ids=lambda f: f.__name__)
def test_the_compiled_network_is_the_same(function, dtype: str, compiler, tmp_path) -> None:
    """In C, in floats against `reds_jax.run`, in 8 bits against the formulas."""
    case = case_of(Net(function), SHAPE, WIDTHS)
    made = make_case(case, dtype, tmp_path / "c")
    network = compiler.load(made.folder)
    for k in range(len(WIDTHS)):
        network.adapt(k)
        made.assert_answers(network, k, case.x)
        if dtype == "float32":
            np.testing.assert_allclose(network.invoke(case.x), case.expected(k), rtol=0, atol=1e-4)


def test_a_form_that_stores_other_channels_than_run_keeps_is_found() -> None:
    case = case_of(Net(conditional_residual), SHAPE, (0.5, 1.0))
    found = traced(*adapt(case.model, case.trees[0]), jax.ShapeDtypeStruct((1, *SHAPE), np.float32))
    conv = next(op for op in found.programs[INFERENCE].operations if op.primitive.name == "conv_general_dilated")
    writer = Writer(2)
    stored = writer.plain(writer.source(Tensor((4, 8), 5, 4), 8))
    for form, wrong in ((stored, False), (replace(stored, index=stored.index[:, ::-1]), False),
                        (replace(stored, index=stored.index[..., ::-1]), True),
                        (writer.plain(writer.source(Tensor((5, 8), 5, 4), 8)), True)):
        kept = Kept(found, [case.graph.integers(w) for w in case.widths])
        kept.check(conv, form)
        with pytest.raises(TraceError, match="keeps other channels than") if wrong else nullcontext():
            kept.refuse()


def test_what_is_pinned_stays_on_the_device() -> None:
    case = case_of(Net(constant_over_channels), SHAPE, WIDTHS)
    assert {p.path: p.channels for p in case.graph.pinned} == {"conv": 8, "logits": 3}
    conv, second = (next(op for op in case.program.operations if op.name == name) for name in ("conv", "second"))
    assert case.program.tensors[conv.output].channels == (8, 8, 8, 8)
    assert case.program.tensors[second.output].channels == (2, 3, 5, 6)


def test_a_channel_that_is_taken_by_position_stays() -> None:
    case = case_of(Net(first_bias_for_all), SHAPE, WIDTHS)
    (pinned,) = (p for p in case.graph.pinned if p.path == "conv")
    assert pinned.channels == 1
    conv = case.program.operations[0]
    assert case.program.tensors[conv.output].channels == (3, 5, 7, 8)  # one, and a fraction of the other seven


class ByDefault(nn.Module):
    """As in flax's examples: train by default. The batch would decide, and half of the numbers would be gone."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.Conv(8, (3, 3), name="conv")(x)
        x = nn.relu(nn.BatchNorm(not train, name="norm")(x))
        x = nn.Dropout(0.5, deterministic=not train)(x)
        main = nn.Dense(3, name="logits")(x.mean((1, 2)))
        if train:  # an auxiliary head that exists in training alone
            main = main + nn.Dense(3, name="auxiliary")(nn.tanh(nn.Conv(5, (1, 1), name="aside")(x)).mean((1, 2)))
        return main


def test_a_device_infers_whatever_the_default() -> None:
    case = case_of(ByDefault(), SHAPE, WIDTHS)
    assert [op.name for op in case.program.operations] == ["conv", "avg_pool", "logits"]
    assert {layer.path for layer in case.graph.layers} == {"conv", "logits"}
    assert_same_function(case)
    for k, tree in enumerate(case.trees[-1:], 3):
        expected = case.model.apply(tree, case.x, train=False)
        np.testing.assert_allclose(case.found(k), expected, rtol=0, atol=1e-5)


def rolled_channels(net, x):
    return nn.Conv(6, (3, 3), name="second")(jnp.roll(x, 1, -1))


def a_slice(net, x):
    return nn.Conv(6, (3, 3), name="second")(x[..., :4])


def both_halves(net, x):
    a, b = jnp.split(x, 2, -1)
    return nn.Conv(6, (3, 3), name="second")(a + b)


def wider_by_zeros(net, x):
    return nn.Conv(12, (3, 3), name="second")(x) + jnp.pad(x, [(0, 0)] * 3 + [(0, 4)])


def weights_of_weights(net, x):
    """A product of parameters over channels that are cut: it would be another sum in each subnetwork."""
    kernel = net.param("kernel", nn.initializers.normal(), (8, 6))
    y = nn.relu(x @ kernel)
    return y * jnp.einsum("io,io->o", kernel, kernel)


REFUSED = {
    rolled_channels: ("slice", "not among the operations"),
    a_slice: ("slice", "not among the operations"),
    both_halves: ("split", "not among the operations"),
    wider_by_zeros: ("pad", "pads along another axis than those of the positions"),
    weights_of_weights: ("dot_general", "parameters with each other over channels that a smaller subnetwork lacks"),
}


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_what_a_device_cannot_cut_is_refused_by_name(function) -> None:
    operation, why = REFUSED[function]
    with pytest.raises(TraceError) as caught:
        case_of(Net(function), SHAPE, WIDTHS)
    message = str(caught.value)
    assert f"cannot run {operation!r} of shapes" in message
    assert why in message
    source, first = getsourcelines(function)
    lines = range(first, first + len(source))
    assert any(f"{__file__}:{line})" in message for line in lines), "a line of the function"
