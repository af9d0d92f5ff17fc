"""With JAX_ENABLE_X64=1, in a process of its own: trace, train, save, load, export."""

import os
import subprocess
import sys

import pytest

CODE = '''
import sys
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np, optax
import reds_jax
from reds_jax.data import Normalise
from reds_jax.deploy.c.export import export
from reds_jax.training import TrainState, evaluate, make_train_step, recalibrate

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(not train)(nn.Dense(4, param_dtype=PARAMS)(x.reshape(len(x), -1)))
        return nn.Dense(3, param_dtype=PARAMS)(nn.Dropout(0.1)(nn.relu(x), deterministic=not train))

folder, PARAMS = sys.argv[1], getattr(jnp, sys.argv[2])
images, labels, scale = np.arange(96, dtype=np.uint8).reshape(6, 4, 4, 1), np.arange(6) % 3, Normalise((0.2,), (0.1,))
x, model, optimizer = scale(images), Net(), optax.adam(0.1)
variables = model.init(jax.random.key(0), x)
assert variables["params"]["Dense_0"]["kernel"].dtype == PARAMS
graph = reds_jax.trace(model, variables, x)
widths = (graph.widths(0.5), graph.full_widths)
state = TrainState.create(variables, optimizer, 2, jax.random.key(0))
step = make_train_step(model, optimizer, widths, normalise=scale)
state, metrics = step(state, images, labels, np.array([[0, 1, 2], [3, 4, 5]]))
assert bool(metrics["finite"]), metrics
assert {a.dtype for a in jax.tree.leaves(state.params)} == {jnp.dtype(PARAMS), jnp.dtype("float32")}
network = reds_jax.NestedNetwork(model, state.params, state.batch_stats, widths, tuple(map(graph.macs, widths)), x, scale)
network.save(folder + "/model")
again = reds_jax.NestedNetwork.load(folder + "/model", model)
assert np.array_equal(again.apply(0, again.read(images)), network.apply(0, x))
exported = export(model, None, again.graph, again, folder + "/c", "float32")
assert exported.facts["weight_bytes"] == 4 * graph.macs()  # two dense layers: a MAC for each weight
if FULL:
    stats = recalibrate(model, {"params": state.params, "batch_stats": state.batch_stats[0]}, widths, images,
                        key=jax.random.key(0), normalise=scale)
    assert np.isfinite(evaluate(model, state.params, stats, widths, images, labels, normalise=scale)[0].loss)
    export(model, None, again.graph, again, folder + "/int8", "int8", calibration=[x])
'''


def run(folder, params, full):
    subprocess.run([sys.executable, "-W", "error", "-c", f"FULL = {full}\n{CODE}", str(folder), params], check=True,
                   env={**os.environ, "JAX_ENABLE_X64": "1"})


def test_64_bits_are_allowed(tmp_path):
    run(tmp_path, "float32", False)


@pytest.mark.slow
def test_parameters_of_64_bits(tmp_path):
    run(tmp_path, "float64", True)
