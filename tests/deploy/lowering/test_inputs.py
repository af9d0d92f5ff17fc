"""A device program reads one array of floats: other networks are refused when they are exported, by name."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from reds_jax import trace
from reds_jax.deploy.lowering.subnetworks import resolve
from reds_jax.errors import TraceError


class Tokens(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(2)(nn.relu(nn.Embed(7, 6)(x)).mean(1))


def test_integers_are_refused() -> None:
    x = np.zeros((1, 5), np.int32)
    variables = Tokens().init(jax.random.key(0), x)
    graph = trace(Tokens(), variables, x)
    assert graph.input_types == ("int32",)
    with pytest.raises(TraceError, match=r"reads floats; got \['int32'\]"):
        resolve(Tokens(), variables, graph, [0.5, 1.0])


class Two(nn.Module):
    @nn.compact
    def __call__(self, a: jax.Array, b: jax.Array) -> jax.Array:
        return nn.Dense(2)(nn.relu(nn.Dense(4)(a) + nn.Dense(4)(b)))


def test_several_inputs_are_refused() -> None:
    x = (np.zeros((1, 5), np.float32), np.zeros((1, 3), np.float32))
    variables = Two().init(jax.random.key(0), *x)
    with pytest.raises(TraceError, match="a device program has one input; got '2 inputs'"):
        resolve(Two(), variables, trace(Two(), variables, x), [0.5, 1.0])
