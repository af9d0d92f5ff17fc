"""A nested network as a thing: budgets, saving and loading, cutting out."""

import flax.linen as nn
import jax
import numpy as np
import pytest

import reds_jax
from reds_jax import models
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.nn import BatchNorm, Conv, Dense, concat, global_avg_pool, relu


class Branches(nn.Module):
    """A concatenation, so that the widths have parts that are no prefixes."""

    @nn.compact
    def __call__(self, x, width=1.0, *, train=False):
        a, b = Conv(6, name="a")(x, width), Conv(4, name="b")(x, width)
        x = relu(BatchNorm(name="norm")(concat(a, b), width, train=train))
        return Dense(3, name="logits")(global_avg_pool(x), reads=width)


@pytest.fixture(scope="module")
def nested():
    model, x = Branches(), np.random.default_rng(0).normal(size=(2, 5, 5, 1)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    graph = reds_jax.trace(model, variables, x)
    widths = tuple(graph.widths(w) for w in ([2, 1], [3, 4], [6, 4]))
    stats = tuple(jax.tree.map(lambda a, k=k: a + 0.1 * k, variables["batch_stats"]) for k in range(3))
    network = reds_jax.NestedNetwork(model, variables["params"], stats, widths, tuple(graph.macs(w) for w in widths))
    return network, graph, x


def test_each_subnetwork_has_its_own_statistics_and_width(nested):
    network, graph, x = nested
    for k in range(3):
        expected = network.model.apply({"params": network.params, "batch_stats": network.batch_stats[k]}, x,
                                       width=network.widths[k])
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
    network = reds_jax.NestedNetwork(model, variables["params"], ({},), (graph.full_widths,), (graph.macs(),))
    network.save(tmp_path, architecture={"name": "dnn_s", "arguments": {"classes": 5}})
    np.testing.assert_array_equal(reds_jax.NestedNetwork.load(tmp_path).apply(0, x), network.apply(0, x))
    with pytest.raises(InvalidArgumentError, match="unknown network; got 'dnn_xl'; allowed: dnn_s, dnn_l"):
        models.build("dnn_xl")
