"""Which parts of a program become one kernel, and that the network is the same: values, statistics and gradients."""

from collections import Counter
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import QUICK
from small_models import NETWORKS

from reds_jax.adapters import adapt
from reds_jax.graph.trace import traced
from reds_jax.lowering import lowering
from reds_jax.native.build import built
from reds_jax.program.flat import as_operation
from reds_jax.run import run_nested
from reds_jax.run.nested import _prepared
from reds_jax.testing import random_variables

pytestmark = pytest.mark.skipif(not built().ready, reason=built().text)


@jax.custom_jvp
def straight_through(x):
    return jnp.maximum(x, 0)


@straight_through.defjvp
def _(primals, tangents):
    return straight_through(*primals), tangents[0]


@jax.custom_vjp
def backwards(x):
    return jnp.maximum(x, 0)


backwards.defvjp(lambda x: (backwards(x), x), lambda x, g: (jnp.where(x > 0, g, 0),))


@jax.custom_vjp
def straight_back(x):
    return jnp.maximum(x, 0)


straight_back.defvjp(lambda x: (straight_back(x), None), lambda _, g: (g,))


ACTIVATIONS = {
    "relu": nn.relu, "leaky": nn.leaky_relu, "steep": lambda x: nn.leaky_relu(x, 0.3), "six": nn.relu6,
    "maximum": lambda x: jnp.maximum(x, 0), "clip": lambda x: jnp.clip(x, 0, 6), "none": lambda x: x,
    "strict": lambda x: jnp.where(x > 0, x, 0.1 * x), "rule of its own": backwards}
OTHERS = {"swish": nn.swish, "straight through": straight_through, "straight back": straight_back,
          "shifted": lambda x: jnp.maximum(x, 1),
          "tanh": nn.tanh, "minimum": lambda x: jnp.minimum(x, 0), "kinked": lambda x: jnp.where(x >= 1, x, 0.1 * x)}


class Block(nn.Module):
    """Convolution, norm, activation, depthwise convolution, norm, activation."""

    activation: Any
    bias: bool = True
    seen: bool = False  # what the first norm makes is read by another layer as well
    frozen: bool = False  # the second norm has given statistics in training too
    kernel: tuple[int, ...] = (3, 3)

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        x = nn.BatchNorm(use_running_average=not train, name="first")(nn.Conv(6, self.kernel, name="conv")(x))
        y = self.activation(x)
        y = nn.Conv(6, self.kernel, feature_group_count=6, use_bias=self.bias, name="depthwise")(y)
        y = self.activation(nn.BatchNorm(use_running_average=self.frozen or not train, name="second")(y))
        if self.seen:
            y = y + x
        return nn.Conv(2, (1,) * len(self.kernel), name="out")(y)


def kinds(net, x, *, train):
    """How many operations of each kind the prepared program has."""
    variables = random_variables(net, x)
    pure, variables = adapt(net, variables)
    items, _ = _prepared(traced(pure, variables, x), (train, train), frozenset(), True)
    return Counter(as_operation(item).primitive.name for item in items)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_block_is_one_segment(name, train):
    found = kinds(Block(ACTIVATIONS[name]), np.zeros((2, 5, 4, 3), np.float32), train=train)
    assert found["segment"] == 1
    assert found["conv_general_dilated"] == 2  # the first, and the last
    assert not {"batch_norm", "max", "min", "select_n", "custom_jvp_call", "custom_vjp_call"} & set(found)


@pytest.mark.parametrize("name", OTHERS)
def test_another_activation_stays_as_it_is(name):
    found = kinds(Block(OTHERS[name]), np.zeros((2, 5, 4, 3), np.float32), train=True)
    assert (found["segment"], found["batch_norm"], found["conv_general_dilated"]) == (0, 2, 3)


def test_what_another_layer_reads_stays():
    found = kinds(Block(nn.relu, seen=True), np.zeros((2, 5, 4, 3), np.float32), train=True)
    assert (found["segment"], found["batch_norm"], found["conv_general_dilated"]) == (0, 2, 3)


def test_statistics_of_the_batch_and_given_ones_are_not_mixed():
    assert kinds(Block(nn.relu, frozen=True), np.zeros((2, 5, 4, 3), np.float32), train=True)["segment"] == 0


def test_one_axis_of_positions():
    assert kinds(Block(nn.relu, kernel=(3,)), np.zeros((2, 7, 3), np.float32), train=True)["segment"] == 1


def results(form, net, variables, x, train):
    """Outputs, new statistics and gradients of three nested subnetworks."""

    def total(params):
        found = run_nested(net, params, [variables.get("batch_stats", {})] * 3, x, [1.0, 0.5, 0.34], train=train, dropout=False)
        return sum((jnp.sin(jnp.arange(y.size)).reshape(y.shape) * y).sum() for y, _ in found), found

    with lowering(form):
        return jax.jit(jax.grad(total, has_aux=True), compiler_options=QUICK)(variables["params"])


CASES = [("ds_cnn", True), pytest.param("ds_cnn", False, marks=pytest.mark.slow),
         *(pytest.param("mobilenet", train, marks=pytest.mark.slow) for train in (True, False))]


@pytest.mark.parametrize(("name", "train"), CASES)
@pytest.mark.usefixtures("float64")
def test_the_network_is_the_same(name, train):
    net, _, shape = NETWORKS[name]
    check(net, np.random.default_rng(0).normal(size=(3, *shape)), train)


@pytest.mark.parametrize("name", ["leaky", "six", "strict", "rule of its own", pytest.param("clip", marks=pytest.mark.slow)])
@pytest.mark.usefixtures("float64")
def test_the_block_is_the_same(name):
    check(Block(ACTIVATIONS[name], bias=False), np.random.default_rng(1).normal(size=(3, 5, 4, 3)), True)


@pytest.mark.parametrize("name", ["relu", "leaky", "strict", *(
    pytest.param(name, marks=pytest.mark.slow) for name in ("maximum", "six"))])
@pytest.mark.usefixtures("float64")
def test_the_derivative_at_the_kink_is_the_same(name):
    """With scale and offset 0 every input of the activation is 0."""
    net, x = Block(ACTIVATIONS[name]), np.random.default_rng(2).normal(size=(3, 5, 4, 3))
    check(net, x, True, dead=True)


def check(net, x, train, *, dead=False):
    variables = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), random_variables(net, x.astype(np.float32)))
    if dead:
        variables["params"]["first"] = jax.tree.map(jnp.zeros_like, variables["params"]["first"])
    ours, theirs = (results(form, net, variables, jnp.asarray(x), train) for form in ("fused", "lax"))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == jnp.float64
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
