"""Scores of units: sums of saliencies over all weights that belong to a unit, whatever the layer."""

from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import importance
from reds_jax.errors import InvalidArgumentError
from reds_jax.importance import kernel_scores, magnitude, random, score, taylor, taylor_saliency, unit_scores
from reds_jax.lowering import lowering
from reds_jax.run import contributions
from reds_jax.training import classification


class Small(nn.Module):
    """A residual tie, a depthwise convolution, a batch norm, an output layer."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.BatchNorm(not train, name="norm")(nn.Conv(5, (3, 3), name="stem")(x)))
        y = nn.Conv(4, (1, 1), name="inner")(nn.Conv(5, (3, 3), feature_group_count=5, name="depthwise")(x))
        x = x + nn.Conv(5, (1, 1), name="outer")(nn.relu(y))
        return nn.Dense(3, name="logits")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def net():
    model, rng = Small(), np.random.default_rng(0)
    x = rng.normal(size=(6, 6, 6, 2)).astype(np.float32)
    variables = model.init(jax.random.key(0), x)
    variables = jax.tree.map(lambda a: a + 0.1 * jnp.asarray(np.abs(rng.normal(size=a.shape)), a.dtype), variables)
    batches = [(x, rng.integers(0, 3, 6)), (x[::-1] + 1, rng.integers(0, 3, 6))]
    return model, variables, reds_jax.trace(model, variables, x), batches


def gradients(model, variables, batches):
    @jax.jit
    @jax.grad
    def gradient(params, x, y):
        return classification().loss(model.apply({**variables, "params": params}, x), y).mean()

    return [gradient(variables["params"], jnp.asarray(x), jnp.asarray(y)) for x, y in batches]


def belongs(params):
    """Saliency of the tied group (stem, outer) by hand: every array that carries its five units, and on which axis."""
    arrays = [(params["stem"]["kernel"], 3), (params["stem"]["bias"], 0), (params["norm"]["scale"], 0),
              (params["norm"]["bias"], 0), (params["depthwise"]["kernel"], 3), (params["depthwise"]["bias"], 0),
              (params["inner"]["kernel"], 2), (params["outer"]["kernel"], 3), (params["outer"]["bias"], 0),
              (params["logits"]["kernel"], 0)]
    return sum(np.asarray(jnp.moveaxis(a, axis, 0).reshape(5, -1).sum(1), np.float64) for a, axis in arrays)


@pytest.mark.parametrize("method", ["taylor", "taylor_absolute", "taylor_squared", "l1"])
def test_a_score_is_the_sum_over_all_members_of_the_group(net, method):
    model, variables, graph, batches = net
    params, grads = variables["params"], gradients(model, variables, batches)
    saliency = {
        "taylor": lambda: jax.tree.map(lambda w, *g: jnp.abs(w * sum(g)), params, *grads),
        "taylor_absolute": lambda: jax.tree.map(lambda w, *g: sum(jnp.abs(w * b) for b in g), params, *grads),
        "taylor_squared": lambda: jax.tree.map(lambda w, *g: sum((w * b) ** 2 for b in g), params, *grads),
        "l1": lambda: jax.tree.map(jnp.abs, params),
    }[method]()
    found = score(method, model, variables, graph, batches)
    assert set(found) == {"stem", "inner"}
    np.testing.assert_allclose(found["stem"], belongs(saliency), rtol=1e-5)


@dataclass(frozen=True)
class Times:
    """A normalisation; equal ones mean the same."""

    factor: float

    def __call__(self, x):
        return self.factor * x


@pytest.mark.parametrize("method", ["explained", "taylor"])
def test_scoring_again_compiles_nothing_and_another_form_of_the_operations_does(net, method):
    model, variables, graph, batches = net
    compiled = {"explained": contributions._look, "taylor": importance._accumulate}[method]
    first = score(method, model, variables, graph, batches, preprocess=Times(2.0))
    before = compiled._cache_size()
    again = score(method, Small(), variables, graph, batches, preprocess=Times(2.0))
    assert compiled._cache_size() == before
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values)
    other = score(method, model, variables, graph, batches, preprocess=Times(3.0))
    assert compiled._cache_size() == before + 1
    assert not np.allclose(other["stem"], first["stem"], rtol=1e-3)
    with lowering("lax"):
        score(method, model, variables, graph, batches)
        before = compiled._cache_size()
    with lowering("dot"):
        score(method, model, variables, graph, batches)
    assert compiled._cache_size() == before + 1


def test_l2_is_the_norm_and_random_follows_the_seed(net):
    model, variables, graph, _ = net
    squares = unit_scores(jax.tree.map(jnp.square, variables["params"]), graph)
    np.testing.assert_allclose(score("l2", model, variables, graph)["inner"], np.sqrt(squares["inner"]))
    first, again, other = (score("random", model, variables, graph, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first["stem"], again["stem"])
    assert not np.array_equal(first["stem"], other["stem"])


def test_scores_move_with_the_units(net):
    """score(permute(network)) is score(network) in the new order: no unit is credited with another's weights."""
    model, variables, graph, batches = net
    before = score("taylor", model, variables, graph, batches)
    sorted_variables = reds_jax.permute(variables, graph, before)
    after = score("taylor", model, sorted_variables, graph, batches)
    for name in before:
        np.testing.assert_allclose(after[name], np.sort(before[name])[::-1], rtol=2e-4)


def test_members_may_leave_the_readers_out(net):
    _, variables, graph, _ = net
    ones = jax.tree.map(jnp.ones_like, variables["params"])
    everything, makers = unit_scores(ones, graph), unit_scores(ones, graph, members="makers")
    # group inner: kernel 5 weights and a bias a unit make it; its reader, outer, has 5 weights a unit
    assert everything["inner"].tolist() == [11.0] * 4
    assert makers["inner"].tolist() == [6.0] * 4


def test_kernel_scores_are_matrices_between_groups(net):
    _, variables, graph, _ = net
    saliency = jax.tree.map(jnp.abs, variables["params"])
    found = kernel_scores(saliency, graph)
    assert set(found) == {("stem", "inner"), ("inner", "stem")}
    np.testing.assert_allclose(found["stem", "inner"], np.asarray(saliency["inner"]["kernel"])[0, 0].T, rtol=1e-6)
    np.testing.assert_allclose(found["inner", "stem"], np.asarray(saliency["outer"]["kernel"])[0, 0].T, rtol=1e-6)


def test_the_batch_statistics_are_frozen(net):
    """With frozen statistics a filter before a batch norm has a saliency; with those of the batch its sum would vanish."""
    model, variables, _, batches = net
    signed = jax.tree.map(lambda w, *g: w * sum(g), variables["params"], *gradients(model, variables, batches))
    saliency = taylor_saliency("taylor", model, variables, batches)
    np.testing.assert_allclose(saliency["stem"]["kernel"], jnp.abs(signed["stem"]["kernel"]), rtol=1e-5, atol=1e-8)
    assert float(jnp.abs(signed["stem"]["kernel"].sum((0, 1, 2))).max()) > 1e-4


def test_one_signature(net):
    """Each method by its own name gives what `score` gives for it."""
    model, variables, graph, batches = net
    for found, method in [(taylor(model, variables, graph, batches, form="squared"), "taylor_squared"),
                          (magnitude(model, variables, graph, batches, norm=2), "l2"),
                          (random(model, variables, graph, batches, seed=3), "random")]:
        expected = score(method, model, variables, graph, batches, seed=3)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_errors(net):
    model, variables, graph, _ = net
    with pytest.raises(InvalidArgumentError, match="unknown importance; got 'fisher'; allowed: explained, taylor"):
        score("fisher", model, variables, graph)
    with pytest.raises(InvalidArgumentError, match="needs data"):
        score("taylor", model, variables, graph)
    with pytest.raises(InvalidArgumentError, match="no saliency for 'params/depthwise/bias'"):
        unit_scores({"stem": variables["params"]["stem"]}, graph)
