"""What a device does not run is an error that names the operation, the module and the line."""

import re
from inspect import getsourcelines
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from device_cases import case_of, inputs
from jax import lax

from reds_jax.deploy.lowering.lower import lower
from reds_jax.errors import TraceError
from reds_jax.testing import random_variables

pytestmark = pytest.mark.usefixtures("as_users_write")

CASES = {  # what is done to [1, 4, 5, 8] activations: (function, operation, why)
    "transposed": (lambda x: nn.ConvTranspose(8, (2, 2), (2, 2))(x), "conv_general_dilated", "transposed"),
    "dilated pool": (lambda x: lax.reduce_window(x, -np.inf, lax.max, (1, 2, 2, 1), (1,) * 4, "SAME", None, (1, 2, 2, 1)),
                     "reduce_window_max", "pools over something else than positions"),
    "sine": (lambda x: jnp.sin(x), "sin", "not among the operations"),
    "steps": (lambda x: jnp.floor(x), "floor", "not among the operations"),
    "9th power": (lambda x: x**9, "integer_pow", "not among the operations"),
    "infinity": (lambda x: jnp.where(x > 1, x, -jnp.inf), "gt", "not among the operations"),
    "layer norm": (lambda x: nn.LayerNorm()(x), "reduce_sum", "not among the operations"),
    "attention": (lambda x: jnp.einsum("nhwc,nhvc->nhwv", x, x), "dot_general", "multiplies two activations"),
    "product in another order": (lambda x: x * x.swapaxes(1, 2).reshape(x.shape), "mul", "do not lie in the same order"),
    "gate in another order": (lambda x: x * x.mean((1, 2))[:, np.arange(8)[::-1]][:, None, None], "mul",
                              "gate whose channels or positions do not lie in"),
    "quotient": (lambda x: x / nn.Conv(8, (3, 3))(x), "div", "not among the operations"),
    "larger of two": (lambda x: jnp.maximum(x, nn.Conv(8, (3, 3))(x)), "max", "not among the operations"),
    "padding is counted": (lambda x: nn.avg_pool(x, (2, 2), padding="SAME"), "div", "averages over padding too"),
    "pool over channels": (lambda x: nn.max_pool(x.swapaxes(2, 3), (2, 2), (2, 2)), "reduce_window_max", "have been moved"),
    "turned image": (lambda x: nn.Conv(3, (3, 3))(x.swapaxes(1, 2)), "conv_general_dilated", "have been moved"),
    "softmax over positions": (lambda x: jax.nn.softmax(x), "div", "softmax over something else"),
    "repeated channels": (lambda x: jnp.repeat(x, 2, 3), "broadcast_in_dim", "than by whole numbers of rows and columns"),
    "the image twice": (lambda x: jnp.broadcast_to(x[:, None], (len(x), 2, 4, 5, 8)).reshape(-1, 8, 5, 8),
                        "broadcast_in_dim", "than by whole numbers of rows and columns"),
    "some rows twice": (lambda x: x[:, np.array([0, 0, 1, 2, 2, 3])], "gather", "than by whole numbers of rows and columns"),
    "resized by 3/2": (lambda x: jax.image.resize(x, (len(x), 6, 5, 8), "nearest"), "gather", "than by whole numbers"),
    "some rows": (lambda x: x[:, np.array([0, 0, 1, 1])], "gather", "not among the operations"),
    "cut": (lambda x: x[:, 1:], "slice", "not among the operations"),
    "cast to integers": (lambda x: x.astype(jnp.int32).astype(jnp.float32), "convert_element_type", "integers"),
    "mask of the positions": (lambda x: x * np.arange(20.0, dtype=np.float32).reshape(1, 4, 5, 1), "mul", "not among"),
    "other order": (lambda x: x + x.swapaxes(1, 2).reshape(x.shape), "add", "do not lie in the same order"),
}


class Part(nn.Module):
    function: Any

    @nn.compact
    def __call__(self, x):
        return self.function(x)


class Net(nn.Module):
    """All layers keep their channels, so that the graph has nothing to say."""

    function: Any

    @nn.compact
    def __call__(self, x):
        x = Part(self.function, name="part")(nn.Conv(8, (3, 3), name="conv")(x))
        return nn.Dense(2, name="logits")(x.reshape(len(x), -1))


@pytest.mark.parametrize("name", CASES)
def test_an_operation_that_no_device_runs(name: str) -> None:
    function, operation, why = CASES[name]
    with pytest.raises(TraceError) as caught:
        case_of(Net(function), (4, 5, 3), (1.0,))
    message = str(caught.value)
    assert re.search(f"cannot run '({operation})[a-z_]*' of shapes (\\[\\], )?\\[1, ", message), message
    assert why in message
    assert "'Net/part" in message
    first = getsourcelines(function)[1]
    assert f"{__file__}:{first})" in message
    assert caught.value.hint.startswith("A device runs dense")


class Whole(nn.Module):
    """A function that makes the outputs."""

    function: Any

    @nn.compact
    def __call__(self, x):
        return self.function(nn.Conv(3, (3, 3), name="conv")(x))


ENDS = {
    "a map": (lambda x: x, "another order"),
    "argmax over positions": (lambda x: jnp.argmax(x, 1), "argmax"),
    "argmax of a map": (lambda x: jnp.argmax(x, -1), "argmax"),
    "a maximum": (lambda x: jnp.max(nn.Dense(3)(x.reshape(len(x), -1)), -1), "reduce_max"),
    "argmax and more": (lambda x: jnp.argmax(nn.Dense(3)(x.reshape(len(x), -1)), -1) + 1, "argmax"),
}


@pytest.mark.parametrize("name", ENDS)
def test_an_end_that_no_device_has(name: str) -> None:
    function, why = ENDS[name]
    with pytest.raises(TraceError, match=why) as caught:
        case_of(Whole(function), (4, 5, 3), (1.0,))
    assert "module 'Whole" in str(caught.value)


class TwoInputs(nn.Module):
    @nn.compact
    def __call__(self, x, y):
        return nn.Dense(2)(x) + nn.Dense(2)(y)


class TwoOutputs(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x), nn.Dense(3)(x)


def test_one_input_and_one_output() -> None:
    with pytest.raises(TraceError, match="one input and one output; got \\(1, 2\\)"):
        case_of(TwoOutputs(), (4,), (1.0,))
    x = inputs((4,), 1)
    variables = random_variables(TwoInputs(), (x, x))
    with pytest.raises(TraceError, match="one input and one output; got \\(2, 1\\)"):
        lower(TwoInputs(), [variables], [1.0], (x, x))
    with pytest.raises(TraceError, match=re.escape("one image, one sequence or one vector; got (1, 4, 2, 2, 2)")):
        case_of(Vectors(), (4, 2, 2, 2), (1.0,))


class Vectors(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(x.reshape(len(x), -1))


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.BatchNorm(True, name="norm")(nn.Conv(4, (3, 3), name="conv_0")(x))
        return nn.Dense(2, name="logits")(x.mean((1, 2)))


def test_weights_that_differ_between_subnetworks() -> None:
    case = case_of(Normed(), (4, 5, 3))
    other = jax.tree.map(np.copy, case.trees[1])
    other["params"]["conv_0"]["kernel"][0, 0, 0, 0] += 1
    with pytest.raises(TraceError, match="'conv_general_dilated'.* has weights that differ between subnetworks"):
        lower(case.model, [case.trees[0], other], case.widths, case.x)


def test_a_scale_may_differ_between_subnetworks() -> None:
    """Whatever ends up in scale and offset may be a subnetwork's own, also what is written as a parameter."""
    case = case_of(Normed(), (4, 5, 3))
    other = jax.tree.map(np.copy, case.trees[1])
    other["params"]["norm"]["bias"] += 1
    program = lower(case.model, [case.trees[0], other], case.widths, case.x)
    np.testing.assert_allclose(program.operations[0].offset[1], case.program.operations[0].offset[1] + 1, rtol=1e-5)
    np.testing.assert_array_equal(program.operations[0].offset[0], case.program.operations[0].offset[0])
