"""A device program reads floats: a network of tokens is refused when it is exported, by name."""

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
