"""What the graph cannot cut stays, and says so: the operation, why, the module, the user's line; never silently."""

import re
from inspect import getsourcelines

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from user_nets import built, conv

from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.program.flat import leaves_by_path
from reds_jax.testing import assert_counts, assert_prefix_is_mask, interpret, random_variables

pytestmark = pytest.mark.usefixtures("as_users_write")


def over_channels(x: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda total, y: (total + y, y), jnp.zeros(x.shape[:-1]), jnp.moveaxis(x, -1, 0))[0]


NORM = "reduces over channels"
CASES = {  # what is done to [1, 4, 5, 8] activations: (operation, why, channels that can still be cut)
    "layer norm": (lambda x: x - jnp.mean(x, -1, keepdims=True), "reduce_sum", NORM, 0),
    "softmax": (lambda x: jax.nn.softmax(x), "reduce_", NORM, 0),
    "attention over channels": (lambda x: jnp.einsum("nhwc,nhvc->nhwv", x, x), "dot_general", "multiplies two activations", 0),
    "cumulative sum": (lambda x: jnp.cumsum(x, -1), "cumsum", "orders or accumulates channels", 0),
    "sort": (lambda x: jnp.sort(x, -1), "sort", "orders or accumulates channels", 0),
    "pool channels": (lambda x: nn.max_pool(x.swapaxes(2, 3), (2, 2), (2, 2)), "reduce_window_max", "pools over channels", 0),
    "one channel": (lambda x: x * x[..., :1], "slice", "takes one channel by its position", 7),
    "constants": (lambda x: x * np.arange(8, dtype=np.float32), "mul", "meets a constant over its channels", 0),
    "loop over channels": (over_channels, "scan", "is looped over", 0),
    "without a rule": (lambda x: jax.lax.linalg.qr(x, full_matrices=False)[0], "qr", "cannot be followed", 0),
}


class Part(nn.Module):
    """One of the functions, in a module of its own."""

    name_of: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return CASES[self.name_of][0](x)


class Network(nn.Module):
    """Only the layer ``conv`` meets the function."""

    name_of: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(conv(6, "before")(x))
        x = Part(self.name_of, name="part")(conv(8, "conv")(x))
        return nn.Dense(2, name="out")(x.reshape(len(x), -1))


@pytest.mark.parametrize("name", CASES)
def test_what_cannot_be_cut_says_why(name: str) -> None:
    function, operation, why, left = CASES[name]
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 3)).astype(np.float32)
    variables = random_variables(Network(name), x)
    graph = trace(Network(name), variables, x)
    pinned = {p.path: p for p in graph.pinned}
    assert set(pinned) == {"conv", "out"}
    found = pinned["conv"]
    assert (found.channels, found.size) == (8 - left, 8)
    assert {g.name: g.size for g in graph.groups} == {"before": 6, **({"conv": left} if left else {})}
    assert re.match(rf"{operation}[a-z_]* in Network/part.* {re.escape(why)}", found.reason), found.reason
    first = getsourcelines(function)[1]
    assert re.fullmatch(rf"{re.escape(__file__)}:({first}|{first + 1})", found.line), found.line
    line = next(line for line in graph.summary().splitlines() if line.strip().startswith("conv ") and why in line)
    assert found.line in line
    assert ("8 of 8" if left else f"{found.channels} ") .split()[0] in line
    assert_prefix_is_mask(Network(name), variables, x, graph=graph, widths=[0.5], evaluate=interpret, tolerance=1e-9)


PASSED = {  # what can be cut although it once was an error: (function, groups)
    "slice": (lambda x: x[..., :4], {"conv[0]": 4, "conv[1]": 4}),
    "every other channel": (lambda x: x[..., ::2], {"conv[0]": 4, "conv[1]": 4}),
    "split": (lambda x: jnp.concatenate([a * 2 for a in jnp.split(x, 2, -1)[::-1]], -1), {"conv[0]": 4, "conv[1]": 4}),
    # in units of two channels
    "shuffle": (lambda x: x.reshape(*x.shape[:-1], 2, 4).swapaxes(3, 4).reshape(x.shape), {"conv": 4}),
    "padded channels": (lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 2))), {"conv": 8}),
    "reversed": (lambda x: x[..., ::-1], {"conv": 8}),
    "rolled": (lambda x: jnp.roll(x, 3, -1), {"conv[0]": 5, "conv[1]": 3}),
    "size in the code": (lambda x: x / np.sqrt(x.shape[-1]), {"conv": 8}),
}


@pytest.mark.parametrize("name", PASSED)
def test_what_moves_channels_about_is_followed(name: str) -> None:
    function, groups = PASSED[name]

    def body(x: jax.Array) -> jax.Array:
        return conv(3, "last", (1, 1))(function(conv(8, "conv")(x)))

    net, variables, x, graph = built(body)
    sizes = {g.name: g.size for g in graph.groups if g.name != "last"}
    assert sizes == groups
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[0.5, 0.2], evaluate=interpret, tolerance=1e-9)


def test_constants_over_channels_keep_them() -> None:
    """An array that is written into the program is not cut, so the channels that meet it stay; a number passes."""
    table = np.arange(8, dtype=np.float32)
    assert built(lambda x: conv(8, "conv")(x) * table)[-1].groups == ()
    assert len(built(lambda x: conv(8, "conv")(x) * 2 + jnp.ones(()))[-1].groups) == 1
    assert "Nothing can be cut" in built(lambda x: conv(8, "conv")(x) * table)[-1].summary()


def test_the_summary_shows_groups_reasons_and_budgets() -> None:
    graph = built(lambda x: conv(4, "outer")(nn.relu(conv(6, "inner")(x))) + conv(4, "other")(x))[-1]
    text = graph.summary()
    assert re.search(r"2 channel groups with 10 channels that can be cut:\n  inner +6\n  outer +4  with other", text)
    assert re.search(r"logits +2  is an output of the network", text)
    low, high = graph.macs((1, 1)), graph.macs()
    assert re.search(rf"MACs +{low:,} +{high:,}  budgets from {100 * low / high:.1f} % can be met", text)


def test_a_model_without_parameters_is_an_error() -> None:
    class Empty(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x

    with pytest.raises(InvalidArgumentError, match="no parameters"):
        trace(Empty(), {"params": {}}, np.zeros((1, 2), np.float32))


class MadeKernel(nn.Module):
    """A convolution whose kernel is computed from the example."""

    groups: int
    transposed: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(nn.Conv(4, (1, 1), name="first")(x))
        kernels = nn.Dense(9 * (4 // self.groups) * 4, name="maker")(x.mean((1, 2))).reshape(-1, 3, 3, 4 // self.groups, 4)

        def one(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return jax.lax.conv_general_dilated(
                x[None], kernel, (1, 1), [(1, 1), (1, 1)], lhs_dilation=(2, 2) if self.transposed else (1, 1),
                feature_group_count=self.groups, dimension_numbers=("NHWC", "HWIO", "NHWC"))[0]

        return nn.Dense(2, name="logits")(nn.relu(nn.Dense(6, name="hidden")(jax.vmap(one)(x, kernels).mean((1, 2)))))


@pytest.mark.parametrize(("groups", "transposed"), [(1, False), (2, False), (4, False), (1, True)])
def test_a_convolution_of_two_activations_stays_and_is_counted(groups: int, transposed: bool) -> None:
    """Its MACs belong to those of the network, as the products of an attention do."""
    x = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    net = MadeKernel(groups, transposed)
    variables = random_variables(net, x)
    graph = trace(net, variables, x)
    kernel = 9 * (4 // groups) * 4
    assert graph.macs() == 25 * 3 * 4 + 4 * kernel + 25 * kernel + 4 * 6 + 6 * 2
    assert_counts(net, variables, x, 0.5, graph=graph)
    assert any("is not a convolution of an activation with a parameter" in p.reason for p in graph.pinned)


class Unread(nn.Module):
    """``aside`` is read in training alone, ``forgotten`` never."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.relu(nn.Dense(6, name="hidden")(x))
        nn.Dense(5, name="forgotten")(x)
        y = nn.Dense(2, name="logits")(x)
        if not train and not self.is_initializing():
            return y
        normed = nn.BatchNorm(not train, name="norm")(x)
        return y + nn.Dense(2, name="aside")(jnp.tanh(normed))


def test_parameters_that_no_mode_reads_are_named_and_those_of_training_move_along() -> None:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    variables = random_variables(Unread(), x)
    graph = trace(Unread(), variables, x)
    named = {p.path: p.reason for p in graph.pinned}
    assert "read neither in inference nor in training" in named["forgotten"]
    assert not {"aside", "norm", "hidden"} & set(named)
    assert "forgotten" in graph.summary()
    moved = reorder(variables, graph, {"hidden": np.arange(6)[::-1]})
    for path, axis in (("params/aside/kernel", 0), ("params/norm/scale", 0), ("batch_stats/norm/var", 0)):
        before, after = (leaves_by_path(v)[path] for v in (variables, moved))
        np.testing.assert_array_equal(after, np.flip(before, axis))
