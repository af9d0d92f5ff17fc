"""A nested network as a thing: budgets, saving and loading, cutting out."""

import json
import warnings
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import models
from reds_jax.errors import CheckpointError, InvalidArgumentError


class Branches(nn.Module):
    """A concatenation, so that what is kept is no prefix."""

    @nn.compact
    def __call__(self, x, train=False):
        a, b = nn.Conv(6, (3, 3), name="a")(x), nn.Conv(4, (3, 3), name="b")(x)
        x = nn.relu(nn.BatchNorm(not train, name="norm")(jnp.concatenate([a, b], -1)))
        return nn.Dense(3, name="logits")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def nested():
    model, x = Branches(), np.random.default_rng(0).normal(size=(2, 5, 5, 1)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    graph = reds_jax.trace(model, variables, x)
    widths = tuple(graph.widths(w) for w in ([2, 1], [3, 4], [6, 4]))
    stats = tuple(jax.tree.map(lambda a, k=k: a + 0.1 * k, variables["batch_stats"]) for k in range(3))
    network = reds_jax.NestedNetwork(model, variables["params"], stats, widths, tuple(graph.macs(w) for w in widths), x)
    return network, graph, x


def test_each_subnetwork_has_its_own_statistics_and_width(nested):
    network, graph, x = nested
    for k in range(3):
        variables = {"params": network.params, "batch_stats": network.batch_stats[k]}
        expected = reds_jax.Slimmable(network.model).apply(variables, x, width=network.widths[k])
        np.testing.assert_array_equal(network.apply(k, x), expected)
        small, variables = network.subnetwork(k, graph)
        np.testing.assert_allclose(small.apply(variables, x), expected, atol=1e-6)
    assert not np.allclose(network.apply(0, x), network.apply(1, x))


def test_for_budget_takes_the_largest_that_fits(nested):
    network, graph, _ = nested
    small, middle, full = network.macs
    assert full == graph.macs()
    assert [network.for_budget(m) for m in (small, middle - 1, middle, full - 1, 10 * full)] == [0, 0, 1, 1, 2]
    with pytest.raises(InvalidArgumentError, match=f"no subnetwork is that small; got {small - 1}; allowed: at least {small}"):
        network.for_budget(small - 1)
    with pytest.raises(InvalidArgumentError, match="there is no such subnetwork; got 3"):
        network.apply(3, None)


def test_save_and_load(nested, tmp_path):
    network, _, x = nested
    network.save(tmp_path / "model", notes={"a": 1})
    again = reds_jax.NestedNetwork.load(tmp_path / "model", network.model)
    assert again.widths == network.widths
    assert again.macs == network.macs
    for k in range(3):
        np.testing.assert_array_equal(again.apply(k, x), network.apply(k, x))
    with pytest.raises(CheckpointError, match="does not name its architecture"):
        reds_jax.NestedNetwork.load(tmp_path / "model")
    with pytest.raises(CheckpointError, match="no saved model"):
        reds_jax.NestedNetwork.load(tmp_path)


def test_a_network_of_the_library_is_loaded_by_one_call(tmp_path):
    model, x = models.build("dnn_s", {"classes": 5}), np.ones((2, 250), np.float32)
    variables = model.init(jax.random.key(0), x)
    graph = reds_jax.trace(model, variables, x)
    network = reds_jax.NestedNetwork(model, variables["params"], ({},), (graph.full_widths,), (graph.macs(),), x)
    network.save(tmp_path, architecture={"name": "dnn_s", "arguments": {"classes": 5}})
    np.testing.assert_array_equal(reds_jax.NestedNetwork.load(tmp_path).apply(0, x), network.apply(0, x))
    with pytest.raises(InvalidArgumentError, match="unknown network; got 'dnn_xl'; allowed: dnn_s, dnn_l"):
        models.build("dnn_xl")


def as_saved_before(params, layer: str, channels: int):
    """The rows of a layer in the order C, H, W that a flatten had."""
    kernel = np.asarray(params[layer]["kernel"])
    rows = kernel.reshape(-1, channels, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
    return {**params, layer: {**params[layer], "kernel": rows}}


@pytest.mark.parametrize(("name", "shape", "layer", "channels"), [
    ("cnn_s", (25, 10, 1), "linear", 30), ("vision_ds_cnn_s", (28, 28, 1), "logits", 64), ("dnn_s", (9, 2, 1), None, 0)])
def test_a_network_that_was_saved_with_other_rows_is_converted_with_a_message(name, shape, layer, channels, tmp_path):
    """Files of before have the ranges of every layer beside the widths, and rows in the order C, H, W behind a flatten."""
    model, x = models.build(name), np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    graph = reds_jax.trace(model, variables, x)
    network = reds_jax.NestedNetwork(model, variables["params"], (variables.get("batch_stats", {}),), (graph.full_widths,),
                                     (graph.macs(),), x)
    old = network if layer is None else replace(network, params=as_saved_before(network.params, layer, channels))
    old.save(tmp_path, architecture={"name": name, "arguments": {}})
    description = json.loads((tmp_path / "model.json").read_text())
    for width in description["meta"]["widths"]:
        width |= {"outputs": [], "inputs": []}
    meta = {name: description["meta"][name] for name in ("architecture", "widths", "macs", "notes")}
    description = {**description, "format": 1, "meta": meta}
    del description["digest"]
    (tmp_path / "model.json").write_text(json.dumps(description))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        again = reds_jax.NestedNetwork.load(tmp_path)
    expected = ["under no digest"] if layer is None else ["under no digest", f"the rows of '{layer}' were converted"]
    assert [words in str(w.message) for words, w in zip(expected, told, strict=True)] == [True] * len(expected)
    np.testing.assert_array_equal(again.apply(0, x), network.apply(0, x))
