"""Unmodified architectures all the way: trace, summary, nest (two steps), apply at three widths, save and load.

One of each framework by default; the others carry the mark ``slow``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from test_zoo import ZOO

import reds_jax
from reds_jax.adapters import adapt
from reds_jax.data import DataSet, Split
from reds_jax.run import run
from reds_jax.training import FitConfig, Objective

pytestmark = pytest.mark.usefixtures("as_users_write")

QUICK = ("MLP", "nnx CNN", "equinox CNN", "Keras DS-CNN")
SLOW = ("MobileNetV2", "ViT, mean", "GRU", "U-Net, nearest", "autoencoder", "several inputs", "shared weights", "ShuffleNet V2",
        "language model", "scanned blocks", "nnx transformer", "equinox attention", "equinox GRU", "Keras, two inputs",
        "Keras, subclassed")
EXAMPLES = 8


def squared(outputs: Any, targets: Any) -> jax.Array:
    """The mean squared error of every example, over all arrays of the outputs; [N]."""
    pairs = zip(jax.tree.leaves(outputs), jax.tree.leaves(targets), strict=True)
    return sum((jnp.square(y - t).reshape(len(y), -1).mean(1) for y, t in pairs), jnp.zeros(()))


def repeated(inputs: Any, n: int) -> Any:
    """``n`` examples: those of the architecture's own batch, again and again."""
    return jax.tree.map(lambda a: np.resize(np.asarray(a), (n, *np.shape(a)[1:])), inputs)


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_from_a_module_as_it_is_to_a_saved_nested_network(name: str, tmp_path) -> None:
    model, variables, x = ZOO[name].build()
    pure, start = adapt(model, variables)
    graph = reds_jax.trace(model, variables, x)
    assert graph.groups, graph.summary()
    inputs = repeated(x, EXAMPLES)
    outputs = jax.eval_shape(lambda: pure(start, inputs)[0])
    rng = np.random.default_rng(0)
    targets = jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), outputs)
    split = Split(inputs, tuple(targets) if isinstance(targets, list) else targets)  # Keras returns lists
    data = DataSet("repeated", split, split, split, source=name)
    least = graph.macs([1] * len(graph.groups)) / graph.macs()
    budgets = (least + 0.4 * (1 - least), least + 0.7 * (1 - least), 1.0)
    config = FitConfig(epochs=1, batch_size=EXAMPLES // 2, steps_per_dispatch=2, recalibrate_batches=1,
                       evaluate_batch_size=EXAMPLES // 2)
    objective = Objective("squares", squared, squared, "mean squared error")
    network, result = reds_jax.nest(
        model, variables, data, config, reds_jax.Subnetworks(budgets=budgets, floor=0.0, scoring_batches=2),
        objective=objective, console=Console(quiet=True))
    assert len(network) == 3
    assert all(np.isfinite(s.test_metric) and s.macs_fraction <= b for s, b in zip(result.subnetworks, budgets, strict=True))
    network.save(tmp_path)
    again = reds_jax.NestedNetwork.load(tmp_path, model)
    for k, widths in enumerate(network.widths):
        expected = run(pure, network.variables(k), x, widths)[0]
        for found in (network.apply(k, x), again.apply(k, x)):
            assert jax.tree.structure(found) == jax.tree.structure(expected)
            assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True))
