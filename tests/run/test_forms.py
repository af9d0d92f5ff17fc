"""The forms of convolutions and pools agree: values and gradients in float64, for any number of spatial axes."""

from typing import Any

import flax.linen as nn
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same, value_and_gradients
from hypothesis import given, settings
from jax import lax

from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import lowering
from reds_jax.run import run
from reds_jax.testing import LayerSpec, RandomNet, interpret, random_variables
from reds_jax.testing.assertions import _difference

# positions, inputs, outputs, kernel, strides, padding, dilation, groups
CASES = {
    "3x3": ((5, 6), 3, 4, (3, 3), (1, 1), "SAME", (1, 1), 1),
    "strided valid, rows left over": ((8, 8), 3, 4, (3, 3), (3, 2), "VALID", (1, 1), 1),
    "pointwise": ((4, 5), 6, 2, (1, 1), (1, 1), "SAME", (1, 1), 1),
    "pointwise strided": ((5, 4), 6, 2, (1, 1), (2, 2), "SAME", (1, 1), 1),
    "10x4 of keyword spotting": ((49, 10), 1, 3, (10, 4), (2, 2), "SAME", (1, 1), 1),
    "one position": ((1, 1), 3, 2, (3, 3), (1, 1), "SAME", (1, 1), 1),
    "stride larger than kernel": ((7, 7), 2, 2, (2, 2), (3, 3), "SAME", (1, 1), 1),
    "dilated": ((9, 7), 2, 3, (3, 2), (1, 1), "SAME", (2, 3), 1),
    "dilated and strided": ((9, 7), 2, 3, (3, 2), (2, 1), "VALID", (2, 1), 1),
    "circular as numbers": ((5, 5), 2, 3, (3, 3), (1, 1), ((0, 2), (1, 0)), (1, 1), 1),
    "grouped": ((4, 5), 6, 9, (3, 3), (1, 1), "SAME", (1, 1), 3),
    "grouped strided valid": ((6, 5), 4, 4, (2, 3), (2, 1), "VALID", (1, 1), 2),
    "depthwise": ((5, 6), 4, 4, (3, 3), (1, 1), "SAME", (1, 1), 4),
    "depthwise strided": ((7, 6), 4, 4, (3, 3), (2, 2), "SAME", (1, 1), 4),
    "depthwise valid strided, rows left over": ((8, 9), 3, 3, (3, 3), (2, 4), "VALID", (1, 1), 3),
    "depthwise dilated": ((7, 8), 3, 3, (3, 2), (1, 1), "SAME", (2, 2), 3),
    "depthwise that pads more than its kernel": ((4, 4), 2, 2, (2, 2), (1, 1), ((3, 2), (0, 4)), (1, 1), 2),
    "depthwise one channel": ((5, 5), 1, 1, (3, 3), (1, 1), "SAME", (1, 1), 1),
    "depth multiplier 2": ((5, 4), 3, 6, (3, 3), (1, 1), "SAME", (1, 1), 3),
    "1-D": ((9,), 3, 4, (3,), (2,), "SAME", (1,), 1),
    "1-D causal": ((9,), 3, 4, (3,), (1,), ((4, 0),), (2,), 1),
    "1-D depthwise": ((9,), 4, 4, (5,), (2,), "VALID", (1,), 4),
    "3-D": ((3, 4, 5), 2, 3, (2, 3, 2), (1, 2, 1), "SAME", (1, 1, 1), 1),
    "3-D depthwise": ((3, 4, 5), 2, 2, (2, 3, 1), (1, 1, 2), "VALID", (1, 1, 1), 2),
}


class Single(nn.Module):
    """One convolution, as `run` reads it: its kernel is its only parameter."""

    outputs: int
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(self.outputs, self.kernel, self.strides, self.padding, kernel_dilation=self.dilation,
                       feature_group_count=self.groups, use_bias=False, dtype=x.dtype)(x)


def check(positions: tuple[int, ...], inputs: int, outputs: int, kernel: tuple[int, ...], strides: tuple[int, ...],
          padding: Any, dilation: tuple[int, ...], groups: int) -> None:
    rng = np.random.default_rng(0)
    net = Single(outputs, kernel, strides, padding, dilation, groups)
    x = jnp.asarray(rng.normal(size=(2, *positions, inputs)))
    k = jnp.asarray(rng.normal(size=(*kernel, inputs // groups, outputs)))
    spatial = "DHW"[-len(positions) :]

    def theirs(x: jax.Array, k: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(x, k, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
                                        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"))

    with lowering("dot"):
        ours = value_and_gradients(lambda x, k: run(net, {"params": {"Conv_0": {"kernel": k}}}, x)[0], x, k)
    assert_same(ours, value_and_gradients(theirs, x, k))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.usefixtures("float64")
def test_dot_form_equals_lax(case: tuple) -> None:
    check(*case)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_random_convolutions_equal_lax(data: st.DataObject) -> None:
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)), "kernel")
    padding = data.draw(st.sampled_from(["SAME", "VALID", ((0, 1), (2, 0))]), "padding")
    dilation = data.draw(st.tuples(st.integers(1, 2), st.integers(1, 2)), "dilation")
    smallest = [(k - 1) * d + 1 if padding != "SAME" else 1 for k, d in zip(kernel, dilation, strict=True)]
    positions = tuple(data.draw(st.integers(low, 8), "size") for low in smallest)
    strides = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)), "strides")
    groups = data.draw(st.integers(1, 3), "groups")
    per_group, factor = data.draw(st.integers(1, 2), "inputs"), data.draw(st.integers(1, 2), "outputs")
    with jax.enable_x64(True):
        check(positions, per_group * groups, factor * groups, kernel, strides, padding, dilation, groups)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (0, 2))])
@pytest.mark.parametrize(("window", "strides"), [((3, 2), (1, 2)), ((1, 3), (2, 1))])
@pytest.mark.usefixtures("float64")
def test_pools_equal_lax(window: tuple[int, int], strides: tuple[int, int], padding: Any) -> None:
    """Behind a convolution, so that the values lie channel first in the dot form."""
    rng = np.random.default_rng(0)
    x, k = jnp.asarray(rng.normal(size=(2, 6, 5, 2))), jnp.asarray(rng.normal(size=(1, 1, 2, 3)))

    def pools(v: dict, x: jax.Array) -> jax.Array:
        x = lax.conv_general_dilated(x, v["params"]["k"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return nn.max_pool(x, window, strides, padding) + nn.avg_pool(x, window, strides, padding, count_include_pad=False)

    both = []
    for form in ("dot", "lax"):
        with lowering(form):
            both.append(value_and_gradients(lambda x, k: run(pools, {"params": {"k": k}}, x)[0], x, k))
    assert_same(*both)


def test_transposed_convolutions_in_every_form() -> None:
    """They stay as they are: ours is the form of the library's own convolution."""

    class Up(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            x = nn.ConvTranspose(4, (3, 2), (2, 2), name="up")(nn.Conv(6, (2, 2), name="conv")(x))
            return nn.Conv(2, (1, 1), name="out")(nn.relu(x))

    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    variables = random_variables(Up(), x)
    found = []
    for form in ("dot", "lax"):
        with lowering(form):
            found.append(interpret(lambda v, x: run(Up(), v, x, 0.5)[0], variables, x))
    assert _difference(*found) < 1e-12


def test_the_form_is_chosen_by_the_switch() -> None:
    conv = LayerSpec("conv", 4, (3, 3))
    net = RandomNet((conv, LayerSpec("depthwise", 4, (3, 3)), conv), ((LayerSpec("mean"),),))
    x = np.zeros((1, 4, 4, 1), np.float32)
    variables = random_variables(net, x)
    for form, convolutions in (("dot", 0), ("lax", 3), ("auto", 0 if jax.default_backend() == "cpu" else 3)):
        with lowering(form):
            text = str(jax.make_jaxpr(lambda v, x: run(net, v, x, 0.5))(variables, x))
        assert text.count("conv_general_dilated") == convolutions
    refused = r"unknown lowering; got 'fast'; allowed: auto, fused, dot, lax"
    with pytest.raises(InvalidArgumentError, match=refused), lowering("fast"):
        pass
