"""Scale and offset of batch norms are found in programs of every framework, however they are written, and nothing else is."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
from flax import nnx
from hypothesis import HealthCheck, given, settings

from reds_jax.adapters import adapt
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.models import MobileNetV1, ResNet
from reds_jax.program.flat import leaves_by_path
from reds_jax.program.norms import norm_parameters
from reds_jax.testing import RandomNet, random_variables
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")

X = np.zeros((2, 6), np.float32)


def found(model, variables=None, x=X):
    pure, variables = adapt(model, variables)
    return {path.removeprefix("params/") for path in norm_parameters(traced(pure, variables, x).programs[INFERENCE])}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(draws.networks(max_layers=5))
def test_in_random_networks_they_are_the_parameters_of_the_batch_norms(network: tuple[RandomNet, tuple[int, ...]]) -> None:
    """Among residuals, gates, attention, layer norms and loops: flax calls them BatchNorm_i."""
    net, shape = network
    x = np.zeros((2, *shape), np.float32)
    variables = random_variables(net, x)
    paths = {path.removeprefix("params/") for path in leaves_by_path(variables) if path.startswith("params/")}
    assert found(net, variables, x) == {path for path in paths if path.split("/")[-2].startswith("BatchNorm")}


@pytest.mark.parametrize(("model", "shape"), [(MobileNetV1(3, 4, ((6, 1), (8, 2))), (8, 9, 3)), (ResNet(3, (4, 6)), (7, 8, 3))])
def test_in_networks_of_the_library(model, shape):
    x = np.zeros((1, *shape), np.float32)
    variables = jax.eval_shape(model.init, jax.random.key(0), x)
    assert found(model, variables, x) == {
        f"{module}/{leaf}" for module, leaves in variables["params"].items() if "norm" in module for leaf in leaves} != set()


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first, self.norm = nnx.Linear(6, 8, rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.layer_norm, self.group_norm = nnx.LayerNorm(8, rngs=rngs), nnx.GroupNorm(8, 2, rngs=rngs)
        self.offset = nnx.BatchNorm(8, use_scale=False, rngs=rngs)

    def __call__(self, x):
        return self.group_norm(nnx.relu(self.offset(self.layer_norm(nnx.relu(self.norm(self.first(x)))))))


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    layer_norm: eqx.nn.LayerNorm

    def __init__(self, mode):
        self.first, self.layer_norm = eqx.nn.Linear(6, 8, key=jax.random.key(0)), eqx.nn.LayerNorm(8)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode=mode)

    def __call__(self, x, state):
        x, state = self.norm(self.first(x), state)
        return self.layer_norm(jax.nn.relu(x)), state


def in_keras():
    x = inputs = keras.Input((6,))
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Dense(8)(x))
    x = keras.layers.LayerNormalization()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.BatchNormalization(center=False, name="scaled")(x))


@pytest.mark.parametrize(("make", "names"), [
    (lambda: Nnx(nnx.Rngs(0)), {"norm/scale", "norm/bias", "offset/bias"}),
    (lambda: eqx.nn.make_with_state(Equinox)("batch"), {"norm/weight", "norm/bias"}),
    (lambda: eqx.nn.make_with_state(Equinox)("ema"), {"norm/weight", "norm/bias"}),
    (in_keras, {"norm/gamma", "norm/beta", "scaled/gamma"}),
], ids=["nnx", "equinox", "equinox, ema", "keras"])
def test_in_other_frameworks(make, names):
    assert found(make()) == names


WRITTEN = {
    "as it is defined": lambda x, g, b, mean, var: (x - mean) / jnp.sqrt(var + 1e-3) * g + b,
    "as one product": lambda x, g, b, mean, var: (x - mean) * (jax.lax.rsqrt(var + 1e-3) * g) + b,
    "with the mean in the offset": lambda x, g, b, mean, var: x * (g / jnp.sqrt(var)) + (b - g * mean / jnp.sqrt(var)),
    "with a scale around 1": lambda x, g, b, mean, var: b + (1 + g) * ((x - mean) / jnp.maximum(jnp.sqrt(var), 1e-3)),
    "with a scale above 0": lambda x, g, b, mean, var: jnp.exp(g) * (x - mean) * var**-0.5 - b,
    "channels first": lambda x, g, b, mean, var: ((x.T - mean[:, None]) / jnp.sqrt(var)[:, None] * g[:, None] + b[:, None]).T,
    "of half as many bits": lambda x, g, b, mean, var: ((x - mean) / jnp.sqrt(var)).astype("bfloat16") * g.astype("bfloat16")
    + b.astype("bfloat16"),
}


@pytest.mark.parametrize("norm", WRITTEN.values(), ids=WRITTEN)
def test_however_it_is_written(norm):
    """Of a chain of a product, a norm, a residual sum and what follows, the two vectors of the norm."""
    def model(variables, x):
        p, s = variables["params"], variables["batch_stats"]
        x = x @ p["kernel"] * p["before"] + p["bias"]
        return (norm(x, p["g"], p["b"], s["mean"], s["var"]) + x) * p["behind"] + p["last"]

    names = ("bias", "before", "g", "b", "behind", "last")
    params = {"kernel": np.ones((6, 8), np.float32), **{name: np.ones(8, np.float32) for name in names}}
    stats = {name: np.ones(8, np.float32) for name in ("mean", "var")}
    assert found(model, {"params": params, "batch_stats": stats}) == {"g", "b"}


def test_a_matrix_is_neither_scale_nor_offset():
    """A kernel that is divided by a norm of its own, kept as a statistic, stays shared."""
    def model(variables, x):
        p, s = variables["params"], variables["batch_stats"]
        return x @ (p["kernel"] / s["norm"]) + p["bias"]

    params = {"kernel": np.ones((6, 8), np.float32), "bias": np.ones(8, np.float32)}
    assert found(model, {"params": params, "batch_stats": {"norm": np.ones((), np.float32)}}) == set()


def test_without_batch_norm_there_is_none():
    class Layers(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.GroupNorm(2)(nn.LayerNorm()(nn.Dense(4)(x)))

    assert found(Layers(), random_variables(Layers(), X)) == set()
