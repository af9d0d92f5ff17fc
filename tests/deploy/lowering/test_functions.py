"""A chain of elementwise operations is one function of one number, the same in JAX and in NumPy, however it is written."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import FUNCTIONS, SMOOTH, Body, Conv
from device_cases import assert_same_function, case_of

from reds_jax.deploy.lowering.function import Function, Step, function_like

pytestmark = pytest.mark.usefixtures("as_users_write")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_what_jax_computes(name: str) -> None:
    of = FUNCTIONS[name]
    x = np.concatenate([np.linspace(-12, 12, 97), [-1e-4, 1e-4, 1e-7, 40, -40]]).astype(np.float32)
    function = function_like(of)
    expected = np.asarray(of(x))
    np.testing.assert_allclose(function(jnp.asarray(x)), expected, rtol=1e-6, atol=0)
    np.testing.assert_allclose(function.exact(x), expected, rtol=2e-5, atol=2e-6)


def test_the_same_steps_are_one_function() -> None:
    assert function_like(jax.nn.silu) == function_like(lambda x: x * jax.nn.sigmoid(x)) == Function(
        (Step("logistic", (0,)), Step("mul", (0, 1))), 2)
    one = function_like(lambda x: jnp.exp(x) + jnp.exp(x) * 2.5)
    assert [step.name for step in one.steps] == ["exp", "constant", "mul", "add"]  # nothing is computed twice
    assert one != function_like(lambda x: jnp.exp(x) + jnp.exp(x) * 2.25)
    assert function_like(lambda x: x) == Function((), 0)


def test_what_has_no_value_is_not_a_number() -> None:
    np.testing.assert_array_equal(np.isnan(function_like(jnp.log).exact(np.array([-1.0, 0.0, 1.0]))), [True, False, False])


def kinds(body, shape=(7, 5, 3)) -> list[str]:
    case = case_of(Body(body), shape, (0.4, 1.0))
    assert_same_function(case)
    return [op.kind if op.activation == "linear" else f"{op.kind} {op.activation}" for op in case.program.operations]


def test_a_chain_is_one_operation_however_long() -> None:
    for function in (nn.hard_swish, nn.gelu, lambda x: x * (nn.relu6(x + 3) / 6), lambda x: nn.tanh(nn.softplus(x)) * x + x,
                     lambda x: nn.sigmoid(3 * nn.relu(x) - 1)):
        assert kinds(lambda x, f=function: f(Conv(4, name="conv")(x))) == ["conv", "map", "avg_pool", "dense"]


def test_what_an_operation_takes_in_it_takes_in() -> None:
    """A mean is not a sum that is divided; what precedes and follows a function is part of it."""
    def mean(x):
        return 2 * nn.sigmoid(3 * Conv(4, name="conv")(x).mean((1, 2)) + 1) - 1

    def norm(x):
        return nn.silu(nn.BatchNorm(use_running_average=True, name="norm")(Conv(4, name="conv")(x)))

    def raw_too(x):
        x = Conv(4, name="conv")(x)
        return Conv(4, name="next")(x) + nn.tanh(3 * x)

    assert kinds(mean) == ["conv", "avg_pool", "map", "dense"]
    assert kinds(raw_too) == ["conv", "conv", "map", "add", "avg_pool", "dense"]
    assert kinds(norm) == ["conv", "map", "avg_pool", "dense"]
    assert kinds(lambda x: nn.relu(3 * Conv(4, name="conv")(x) + 1)) == ["conv relu", "avg_pool", "dense"]


def test_a_function_of_an_array_that_is_there_begins_at_it() -> None:
    def body(x):
        x = nn.relu(Conv(4, name="conv")(x))
        return Conv(4, name="next")(x) + nn.tanh(x)

    assert kinds(body) == ["conv relu", "conv", "map", "add", "avg_pool", "dense"]


def test_products() -> None:
    """With itself it is a function; with another array a product, which takes in a ReLU."""
    assert kinds(lambda x: (y := Conv(4, name="conv")(x)) * y) == ["conv", "map", "avg_pool", "dense"]
    assert kinds(lambda x: nn.relu(Conv(4, name="a")(x) * Conv(4, name="b")(x))) == [
        "conv", "conv", "mul relu", "avg_pool", "dense"]


def test_a_gate_is_not_stored_at_every_position() -> None:
    case = case_of(Body(SMOOTH[0]), (7, 5, 3))
    (op,) = (op for op in case.program.operations if op.kind == "mul")
    assert case.program.gate(op) == "channels"
    assert case.program.tensors[op.inputs[1]].positions == 1
    assert "resize" not in {op.kind for op in case.program.operations}


def test_rows_and_columns_are_repeated_at_once_and_then_flattened() -> None:
    def body(x):
        x = Conv(4, name="conv")(x)
        return nn.Dense(3, name="dense")(jnp.repeat(jnp.repeat(x, 2, 1), 3, 2).reshape(len(x), -1))

    def sequence(x):
        x = jax.image.resize(Conv(4, name="conv")(x).mean(1), (len(x), 10, 4), "nearest")
        return nn.Conv(3, (3,), name="next")(x)[:, None]

    assert kinds(body) == ["conv", "resize", "dense", "dense"]
    case = case_of(Body(sequence), (7, 5, 3), (1.0,))
    assert_same_function(case)
    assert [op.kind for op in case.program.operations] == ["conv", "avg_pool", "resize", "conv", "avg_pool", "dense"]


def test_they_cost_no_macs() -> None:
    case = case_of(Body(SMOOTH[0]), (7, 5, 3))
    assert all(case.program.operation_macs(op, 1) == 0 for op in case.program.operations if op.kind in ("map", "mul", "resize"))
