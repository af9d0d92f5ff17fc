"""Modules of every framework are trained, evaluated and recalibrated, however their batch norms keep their statistics."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from reds_jax.adapters import adapt
from reds_jax.data import Split
from reds_jax.training import FitConfig, evaluate, fit, recalibrate

pytestmark = pytest.mark.usefixtures("as_users_write")

RNG = np.random.default_rng(0)
X = (3 * RNG.normal(size=(200, 6)) + 2 + np.repeat(RNG.normal(size=(4, 6)) * 3, 50, 0)).astype(np.float32)
SPLIT = Split(X, X[:, 0] > 2)


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.first, self.last = nnx.Linear(6, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)
        self.norm, self.dropout = nnx.BatchNorm(8, momentum=0.9, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.dropout(self.norm(self.first(x)))))


class Equinox(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __init__(self, key, mode):
        a, b = jax.random.split(key)
        self.first, self.last = eqx.nn.Linear(6, 8, key=a), eqx.nn.Linear(8, 2, key=b)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode=mode)

    def __call__(self, x, state):
        x, state = self.norm(self.first(x), state)
        return self.last(jax.nn.relu(x)), state


MODELS = {
    "nnx": lambda: Nnx(nnx.Rngs(0)),
    "equinox": lambda: eqx.nn.make_with_state(Equinox)(jax.random.key(0), "batch"),
    "equinox, ema": lambda: eqx.nn.make_with_state(Equinox)(jax.random.key(0), "ema"),
}


def normalised(params, x):
    """What the norm makes of all examples together, in float64, and the outputs that follow."""
    w = jax.tree.map(lambda a: np.asarray(a, np.float64), params)
    kernel = w["first"]["kernel"] if "kernel" in w["first"] else w["first"]["weight"].T
    seen = x @ kernel + w["first"]["bias"]
    y = (seen - seen.mean(0)) / np.sqrt(seen.var(0) + 1e-5)
    y = np.maximum(y * w["norm"].get("scale", w["norm"].get("weight")) + w["norm"]["bias"], 0)
    return y @ (w["last"]["kernel"] if "kernel" in w["last"] else w["last"]["weight"].T) + w["last"]["bias"]


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_inference_with_recalibrated_statistics_is_the_batch_norm_of_all_examples(make, quiet):
    """Batches that differ from each other, a counter that was advanced, widths: and still the exact statistics."""
    model = make()
    config = FitConfig(epochs=2, batch_size=50, recalibrate_batches=4)
    trained = fit(model, None, [1.0, 0.5], SPLIT, SPLIT, config, console=quiet)
    variables = {"params": trained.params, "batch_stats": trained.state.batch_stats[0]}
    full, _ = recalibrate(model, variables, [1.0, 0.5], SPLIT, key=jax.random.key(1), batch_size=50)
    pure, _ = adapt(model)
    outputs, _ = pure({"params": trained.params, "batch_stats": full}, jnp.asarray(X))
    np.testing.assert_allclose(outputs, normalised(trained.params, X.astype(np.float64)), rtol=1e-3, atol=1e-4)
    result, = evaluate(model, trained.params, [full], [1.0], SPLIT)
    assert result.accuracy == (np.asarray(outputs).argmax(1) == SPLIT.labels).mean()
