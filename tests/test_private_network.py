"""A nested network whose subnetworks have parameters of their own: run, cut out, saved and loaded, from training to C."""

import json
from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import NestedNetwork, Private
from reds_jax.errors import InvalidArgumentError
from reds_jax.private import among, is_private, private_paths, variables_of, with_private
from reds_jax.testing import random_variables

X = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32)
NORMS = ("params/norm/bias", "params/norm/scale")


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.BatchNorm(not train, name="norm")(nn.Conv(4, (3, 3), name="conv")(x)))
        return nn.Dense(3, name="dense")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def network():
    model = Net()
    variables = jax.tree.map(jnp.asarray, random_variables(model, X))
    graph = reds_jax.trace(model, variables, X)
    widths = tuple(graph.widths(f) for f in (0.25, 0.5, 1.0))
    stats = tuple(jax.tree.map(lambda a, k=k: a + k, variables["batch_stats"]) for k in range(3))
    params = with_private(variables, NORMS, 3)["params"]
    norm = {name: Private(tuple(a - k for k, a in enumerate(node.arrays))) for name, node in params["norm"].items()}
    params = {**params, "norm": norm}
    return NestedNetwork(model, params, stats, widths, tuple(map(graph.macs, widths)), X)


def test_every_subnetwork_runs_with_its_own_parameters(network):
    for k in range(3):
        of = jax.tree.map(lambda node, k=k: node.arrays[k] if is_private(node) else node, network.params, is_leaf=is_private)
        own = {"params": of, "batch_stats": network.batch_stats[k]}
        expected = reds_jax.Slimmable(network.model).apply(own, X, width=network.widths[k])
        np.testing.assert_array_equal(network.apply(k, X), expected)
        small, variables = network.subnetwork(k)
        np.testing.assert_allclose(small.apply(variables, X), expected, rtol=1e-5, atol=1e-6)
    wide = [reds_jax.Slimmable(network.model).apply(network.variables(k), X, width=1.0) for k in range(3)]
    assert not np.allclose(wide[0], wide[1])


def test_saved_and_loaded_it_answers_as_before(network, tmp_path):
    network.save(tmp_path)
    again = NestedNetwork.load(tmp_path, network.model)
    assert tuple(private_paths({"params": again.params})) == NORMS
    for k in range(3):
        np.testing.assert_array_equal(again.apply(k, X), network.apply(k, X))
    again.save(tmp_path / "again")
    assert (tmp_path / "again/model.json").read_bytes() == (tmp_path / "model.json").read_bytes()


def test_the_files_of_a_network_that_shares_all_say_nothing_of_it(network, tmp_path):
    shared = replace(network, params=network.variables(0)["params"])
    shared.save(tmp_path)
    info = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert set(info["meta"]) == {"architecture", "widths", "macs", "example", "module", "normalise", "class_names", "notes"}
    assert set(info["tree"]) == {"params", "batch_stats_0", "batch_stats_1", "batch_stats_2"}
    assert private_paths(NestedNetwork.load(tmp_path, network.model).params) == []


def test_parameters_of_another_number_of_subnetworks_are_refused(network):
    with pytest.raises(InvalidArgumentError, match="are of another number of subnetworks; got 2; allowed: 3"):
        replace(network, params=among(network.params, (0, 2)))
    other = replace(network.params["norm"]["scale"], arrays=(*network.params["norm"]["scale"].arrays[:2], jnp.ones(5)))
    with pytest.raises(InvalidArgumentError, match=r"'params/norm/scale'.*got \(5,\); allowed: \(4,\)"):
        replace(network, params={**network.params, "norm": {**network.params["norm"], "scale": other}})


def test_a_tree_of_private_parameters():
    tree = {"params": {"a": [np.zeros(2), np.ones(3)], "b": {"c": np.ones(1)}}}
    private = with_private(tree, ["params/a/1", "params/b/c"], 3)
    assert private_paths(private) == ["params/a/1", "params/b/c"]
    numbered = {"a": [tree["params"]["a"][0], Private((0, 1, 2))], "b": {"c": Private((0, 1, 2))}}
    assert [x for x in jax.tree.leaves(among(numbered, (2, 0))) if np.ndim(x) == 0] == [2, 0, 2, 0]
    for k in range(3):
        own = variables_of(numbered, [{}, {"mean": 5}, {}], k)
        assert own == {"params": {"a": [tree["params"]["a"][0], k], "b": {"c": k}}} | (
            {"batch_stats": {"mean": 5}} if k == 1 else {})
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree_util.tree_leaves_with_path(private)]
    with pytest.raises(InvalidArgumentError, match=r"no such parameter; got \['params/d'\]; allowed: params/a/0, params/a/1"):
        with_private(tree, ["params/a/1", "params/d"], 2)
    assert paths[:4] == ["params/a/0", "params/a/1/0", "params/a/1/1", "params/a/1/2"]
