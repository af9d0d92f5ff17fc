"""What the graph cannot follow is an error: the operation, its shapes, the module, the user's line, what to do."""

import re
from inspect import getsourcelines

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from user_nets import built

from reds_jax.errors import InvalidArgumentError, TraceError
from reds_jax.graph.trace import trace
from reds_jax.nn import Conv
from reds_jax.testing import random_variables

CASES = {  # what is done to [1, 4, 5, 8] activations: (operation, shapes, why)
    "layer norm": (lambda x: x - jnp.mean(x, -1, keepdims=True), "reduce_sum", "[1, 4, 5, 8]", "reduces over channels"),
    "softmax": (lambda x: jax.nn.softmax(x), "reduce_", "[1, 4, 5, 8]", "reduces over channels"),
    "attention": (lambda x: jnp.einsum("nhwc,nhvc->nhwv", x, x), "dot_general", "[1, 4, 5, 8], [1, 4, 5, 8]",
                  "multiplies two activations"),
    "cumulative sum": (lambda x: jnp.cumsum(x, 1), "cumsum", "[1, 4, 5, 8]", "has no rule"),
    "slice": (lambda x: x[..., :4], "slice", "[1, 4, 5, 8]", "takes a part of the channels"),
    "every other channel": (lambda x: x[..., ::2], "slice", "[1, 4, 5, 8]", "takes a part of the channels"),
    "split": (lambda x: jnp.split(x, 2, -1)[0], "s", "[1, 4, 5, 8]", "takes a part of the channels"),
    "shuffle": (lambda x: x.reshape(1, 4, 5, 2, 4).swapaxes(3, 4).reshape(1, 4, 5, 8), "reshape", "[1, 4, 5, 8]",
                "splits the channels over several axes"),
    "pad channels": (lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 2))), "pad", "[1, 4, 5, 8]", "pads channels"),
    "pool channels": (lambda x: nn.max_pool(x.swapaxes(2, 3), (2, 2), (2, 2)), "reduce_window_max", "[1, 4, 8, 5]",
                      "pools over channels"),
    "sort": (lambda x: jnp.sort(x, -1), "sort", "[1, 4, 5, 8]", "has no rule"),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operation_that_cannot_be_followed(name: str) -> None:
    function, operation, shapes, why = CASES[name]

    class Bad(nn.Module):
        @nn.compact
        def __call__(self, x, width=1.0):
            x = Conv(8, name="conv")(x, width)
            return Conv(2, (1, 1), name="out")(Part(name="part")(x), reads=width)

    class Part(nn.Module):
        @nn.compact
        def __call__(self, x):
            return function(x)

    x = np.zeros((1, 4, 5, 3), np.float32)
    with pytest.raises(TraceError) as caught:
        trace(Bad(), random_variables(Bad(), x), x)
    message = str(caught.value)
    assert re.search(f"cannot follow '{operation}[a-z_]*' of shapes {re.escape(shapes)}", message), message
    assert why in message
    assert "'Bad/part'" in message or "part" in message
    first = getsourcelines(function)[1]
    assert re.search(rf"{re.escape(__file__)}:({first}|{first + 1})\b", message), message
    assert caught.value.hint


def test_constants_over_channels_keep_them() -> None:
    """An array that is written into the program is not cut, so the channels that meet it stay."""
    table = np.arange(8, dtype=np.float32)
    assert built(lambda x, width: Conv(8, name="conv")(x, width) * table)[-1].groups == ()
    assert len(built(lambda x, width: Conv(8, name="conv")(x, width) * 2 + jnp.ones(()))[-1].groups) == 1


def test_fixed_channels_may_do_what_hidden_ones_may_not() -> None:
    """A softmax over the classes, a slice of the image and of channels that keep their number are no error."""
    class Fine(nn.Module):
        @nn.compact
        def __call__(self, x, width=1.0):
            x = Conv(6, name="conv")(x[..., :2], width)
            x = Conv(4, name="kept")(x)[..., ::2]
            return jax.nn.softmax(x.mean((1, 2)))

    x = np.zeros((1, 4, 5, 3), np.float32)
    graph = trace(Fine(), random_variables(Fine(), x), x)
    assert [g.name for g in graph.groups] == ["conv"]


def test_a_model_without_parameters_is_an_error() -> None:
    class Empty(nn.Module):
        @nn.compact
        def __call__(self, x):
            return x

    with pytest.raises(InvalidArgumentError, match="no parameters"):
        trace(Empty(), {}, np.zeros((1, 2), np.float32))
