"""Every form of convolution agrees with `jax.lax.conv_general_dilated` in float64, values and gradients."""

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same, value_and_gradients
from hypothesis import given, settings
from jax import lax

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import lowering, ops

Pair = tuple[int, int]

# batch, height, width, inputs, outputs, kernel, strides, padding, groups (0: depthwise)
CASES = {
    "3x3": (2, 5, 6, 3, 4, (3, 3), (1, 1), "SAME", 1),
    "3x3 valid": (2, 5, 6, 3, 4, (3, 3), (1, 1), "VALID", 1),
    "strided": (2, 7, 6, 3, 4, (3, 3), (2, 2), "SAME", 1),
    "strided valid, rows left over": (2, 8, 8, 3, 4, (3, 3), (3, 2), "VALID", 1),
    "pointwise": (3, 4, 5, 6, 2, (1, 1), (1, 1), "SAME", 1),
    "pointwise strided": (3, 5, 4, 6, 2, (1, 1), (2, 2), "SAME", 1),
    "even kernel": (2, 5, 5, 2, 3, (2, 4), (1, 1), "SAME", 1),
    "10x4 of keyword spotting": (1, 49, 10, 1, 3, (10, 4), (2, 2), "SAME", 1),
    "10x4 valid": (2, 21, 7, 2, 3, (10, 4), (2, 1), "VALID", 1),
    "one channel, batch 1": (1, 3, 3, 1, 1, (3, 3), (1, 1), "SAME", 1),
    "one position": (2, 1, 1, 3, 2, (3, 3), (1, 1), "SAME", 1),
    "stride larger than kernel": (2, 7, 7, 2, 2, (2, 2), (3, 3), "SAME", 1),
    "grouped": (2, 4, 5, 6, 9, (3, 3), (1, 1), "SAME", 3),
    "grouped strided valid": (2, 6, 5, 4, 4, (2, 3), (2, 1), "VALID", 2),
    "depthwise": (2, 5, 6, 4, 4, (3, 3), (1, 1), "SAME", 0),
    "depthwise strided": (2, 7, 6, 4, 4, (3, 3), (2, 2), "SAME", 0),
    "depthwise strided, odd and even": (3, 6, 9, 4, 4, (3, 3), (2, 1), "SAME", 0),
    "depthwise valid": (2, 5, 5, 3, 3, (3, 3), (1, 1), "VALID", 0),
    "depthwise valid strided, rows left over": (2, 8, 9, 3, 3, (3, 3), (2, 4), "VALID", 0),
    "depthwise even": (1, 6, 5, 3, 3, (4, 2), (1, 1), "SAME", 0),
    "depthwise one channel": (1, 5, 5, 1, 1, (3, 3), (1, 1), "SAME", 0),
    "depthwise pointwise": (2, 3, 3, 5, 5, (1, 1), (1, 1), "SAME", 0),
    "depthwise 10x4": (1, 12, 5, 2, 2, (10, 4), (2, 2), "SAME", 0),
    "depth multiplier 2": (2, 5, 4, 3, 6, (3, 3), (1, 1), "SAME", 3),
}


def reference(x: jax.Array, kernel: jax.Array, bias: jax.Array, strides: Pair, padding: str, groups: int) -> jax.Array:
    """The convolution as jax has it."""
    y = lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                 feature_group_count=groups)
    return y + bias[None, None, None]


def check(form: str, batch: int, height: int, width: int, inputs: int, outputs: int, kernel_size: Pair, strides: Pair,
          padding: str, groups: int) -> None:
    depthwise = groups == 0
    groups = inputs if depthwise else groups
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, height, width, inputs)))
    kernel = jnp.asarray(rng.normal(size=(*kernel_size, inputs // groups, outputs)))
    bias = jnp.asarray(rng.normal(size=outputs))
    per_group = None if groups == 1 and not depthwise else outputs // groups
    with lowering(form):
        ours = value_and_gradients(lambda x, k, b: ops.conv(x, k, b, strides=strides, padding=padding,
                                                            outputs_per_group=per_group), x, kernel, bias)
    theirs = value_and_gradients(lambda x, k, b: reference(x, k, b, strides, padding, groups), x, kernel, bias)
    assert_same(ours, theirs)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.usefixtures("float64")
def test_dot_form_equals_lax(case: tuple) -> None:
    check("dot", *case)


@pytest.mark.parametrize("case", ["strided", "grouped", "depthwise strided", "depth multiplier 2"])
@pytest.mark.usefixtures("float64")
def test_lax_form_equals_lax(case: str) -> None:
    check("lax", *CASES[case])


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_random_convolutions_equal_lax(data: st.DataObject) -> None:
    kernel = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)), "kernel")
    padding = data.draw(st.sampled_from(["SAME", "VALID"]), "padding")
    smallest = kernel if padding == "VALID" else (1, 1)
    height, width = (data.draw(st.integers(low, 8), "size") for low in smallest)
    strides = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)), "strides")
    groups = data.draw(st.integers(0, 3), "groups")
    inputs = data.draw(st.integers(1, 3), "inputs") * max(groups, 1)
    outputs = inputs if groups == 0 else data.draw(st.integers(1, 3), "outputs") * groups
    batch = data.draw(st.integers(1, 3), "batch")
    with jax.enable_x64(True):
        check("dot", batch, height, width, inputs, outputs, kernel, strides, padding, groups)


@pytest.mark.usefixtures("float64")
def test_kept_ranges_are_slices(form: str) -> None:
    rng = np.random.default_rng(1)
    kernel, bias = jnp.asarray(rng.normal(size=(3, 3, 8, 6))), jnp.asarray(rng.normal(size=6))
    x = jnp.asarray(rng.normal(size=(2, 4, 4, 5)))
    rows, columns = ((0, 2), (4, 7)), ((1, 2), (3, 6))
    ours = ops.conv(x, kernel, bias, outputs=columns, inputs=rows)
    picked = kernel[:, :, jnp.array([0, 1, 4, 5, 6])][..., jnp.array([1, 3, 4, 5])]
    theirs = reference(x, picked, bias[jnp.array([1, 3, 4, 5])], (1, 1), "SAME", 1)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


def test_a_window_that_does_not_fit_is_named(form: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"does not fit .*'window': \(3, 3\).*padding='SAME'"):
        ops.conv(jnp.zeros((1, 2, 5, 1)), jnp.zeros((3, 3, 1, 1)), padding="VALID")


def test_an_unknown_padding_is_named(form: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"padding; got 'same'; allowed: 'SAME', 'VALID'"):
        ops.conv(jnp.zeros((1, 5, 5, 1)), jnp.zeros((3, 3, 1, 1)), padding="same")


def test_a_part_of_a_group_is_an_error(form: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"a part of a group.*k \* 2 inputs.*whole groups"):
        ops.conv(jnp.zeros((1, 5, 5, 3)), jnp.zeros((3, 3, 2, 4)), outputs_per_group=2)
