"""The stages of the pipeline, each by itself, on a network without any training."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reds_jax
from reds_jax import models, pipeline
from reds_jax.choice import METHODS, Subnetworks, check_budgets, choose_widths, for_method
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.pipeline import scoring_batches
from reds_jax.training import FitConfig


@pytest.fixture(scope="module")
def graph():
    model, x = models.build("ds_cnn_s"), jnp.zeros((1, 49, 10, 1))
    return reds_jax.trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)


def falling(graph, dead=0):
    """Sorted scores; the last ``dead`` units of every group have none."""
    rng = np.random.default_rng(0)
    return {g.name: np.append(np.sort(rng.random(g.size - dead))[::-1], np.zeros(dead)) for g in graph.groups}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dead", [0, 3])
def test_widths_meet_their_budgets_nest_and_end_at_the_full_network(graph, method, dead):
    options = for_method(method, Subnetworks())
    choice = choose_widths(graph, falling(graph, dead), options, method)
    assert choice.widths[-1] == graph.full_widths.values_tuple()
    for budget, widths in zip(options.budgets, choice.widths, strict=True):
        assert graph.macs(widths) <= budget * graph.macs()
    for narrow, wide in zip(choice.widths, choice.widths[1:], strict=False):
        assert all(a <= b for a, b in zip(narrow, wide, strict=True))
    if method in ("reds", "magnitude"):
        assert min(choice.widths[0]) >= 16
    assert (choice.solution is None) == method.startswith("uniform")


def test_the_paper_rival_has_no_floor_and_sums_scores(graph):
    paper = for_method("paper", Subnetworks(importance="l2"))
    assert (paper.importance, paper.value, paper.floor, paper.order) == ("taylor", "sum", 0.0, "bottom_up")
    with pytest.raises(InvalidArgumentError, match="unknown method; got 'best'"):
        for_method("best", Subnetworks())  # pyright: ignore[reportArgumentType]


def test_a_bound_on_memory_holds_for_every_subnetwork(graph):
    limit = graph.peak_memory_bytes() * 3 // 4
    choice = choose_widths(graph, falling(graph), Subnetworks(peak_memory_bytes=limit))
    assert all(graph.peak_memory_bytes(w) <= limit for w in choice.widths)
    assert graph.peak_memory_bytes() > limit
    with pytest.raises(InfeasibleError, match="peak_memory_bytes") as found:
        choose_widths(graph, falling(graph), Subnetworks(peak_memory_bytes=1000))
    assert found.value.smallest == graph.peak_memory_bytes([1] * 5)


def test_sort_returns_the_scores_of_the_sorted_network(graph):
    rng = np.random.default_rng(1)
    variables = {"params": {}, "batch_stats": {}}
    for p in graph.parameters:
        collection, layer, leaf = p.path.split("/")
        variables[collection].setdefault(layer, {})[leaf] = rng.normal(size=p.shape)
    scores = {g.name: rng.random(g.size) for g in graph.groups}
    moved, in_order = pipeline.sort(variables, graph, scores)
    for g in graph.groups:
        assert np.all(np.diff(in_order[g.name]) <= 0)
    first = int(np.argmax(scores["conv"]))
    np.testing.assert_array_equal(moved["params"]["conv"]["bias"][0], variables["params"]["conv"]["bias"][first])


def test_scoring_batches_repeat_no_image_while_they_last():
    data = reds_jax.data.load("fashion_mnist", "synthetic", limit=100)
    batches = list(scoring_batches(data, batches=3, batch_size=30, seed=0))
    images = np.concatenate([x for x, _ in batches])
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(90, -1), axis=0)) == len(
        np.unique(data.train.images.reshape(len(data.train), -1), axis=0)) - (len(data.train) - 90)
    again = list(scoring_batches(data, batches=3, batch_size=30, seed=0))
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(batches, again, strict=True))
    assert len(list(scoring_batches(data, batches=8, batch_size=30, seed=0))) == 8


@settings(max_examples=60, deadline=None)
@given(method=st.sampled_from(METHODS), budget=st.floats(0.004, 0.4), floor=st.floats(0, 0.6), step=st.sampled_from([1, 8, 48]),
       memory=st.none() | st.integers(3_000, 40_000), weights=st.none() | st.integers(300, 60_000),
       cost=st.sampled_from(["true", "full_fan_in"]), rules=st.sampled_from([(), ("conv:exclude",), ("conv:floor=0.9",)]),
       order=st.sampled_from(["joint", "top_down"]))
def test_budgets_are_refused_before_the_first_step_if_and_only_if_they_cannot_be_met(graph, **options):
    """What is said beforehand, from the costs alone, is what the solver says with the scores."""
    method, budget, memory, weights = (options.pop(name) for name in ("method", "budget", "memory", "weights"))
    options |= {"peak_memory_bytes": memory, "weight_bytes": weights}
    chosen = for_method(method, Subnetworks(budgets=(budget, 0.5, 1.0), **options))
    said = []
    for check in (lambda: check_budgets(graph, chosen, method), lambda: choose_widths(graph, falling(graph), chosen, method)):
        try:
            check()
            said.append(None)
        except InfeasibleError as error:
            said.append((error.resource, error.smallest))
    assert said[0] == said[1]


@pytest.mark.parametrize(("changes", "options", "message"), [
    ({}, {"budgets": (0.01, 1.0), "floor": 0.25}, "no allowed widths meet the capacity of 'macs'"),
    ({}, {"peak_memory_bytes": 10}, "no allowed widths meet the capacity of 'peak_memory_bytes'"),
    ({}, {"weight_bytes": 10}, "no allowed widths meet the capacity of 'param_bytes'"),
    ({}, {"rules": ("stem:exclude",)}, "a rule matches no layer"),
    ({"weights": (1.0, 2.0)}, {}, "one weight for each subnetwork; got 2"),
    ({"sandwich": 3}, {}, "sandwich is out of range; got 3"),
    ({"norms": "private"}, {}, "no batch norm with a scale or an offset"),
    ({"batch_size": 100}, {}, "the training split is smaller than a batch; got 60"),
])
def test_everything_is_refused_before_anything_is_scored(changes, options, message, tmp_path):
    images = reds_jax.data.load("fashion_mnist", "synthetic", limit=60)
    model, stages = models.build("dnn_s"), []
    variables = model.init(jax.random.key(0), images.example())
    with pytest.raises((InvalidArgumentError, InfeasibleError), match=message):
        reds_jax.nest(model, variables, images, FitConfig(**{"epochs": 1, "batch_size": 10, **changes}), Subnetworks(**options),
                      folder=tmp_path / "run", observe=lambda stage, found: stages.append(found))
    assert stages == ["tracing the network"]
    assert not (tmp_path / "run").exists()


def test_test_examples_are_looked_at_before_the_training_and_not_after_it():
    images = reds_jax.data.load("fashion_mnist", "synthetic", limit=60)
    model = models.build("dnn_s")
    test = reds_jax.data.Split(images.test.inputs, np.full(len(images.test), 12))
    wrong = dataclasses.replace(images, test=test, class_names=None)
    with pytest.raises(InvalidArgumentError, match="test targets"):
        reds_jax.nest(model, model.init(jax.random.key(0), images.example()), wrong, FitConfig(epochs=1, batch_size=10),
                      observe=lambda stage, found: None if isinstance(found, str) else pytest.fail(stage))


@pytest.mark.parametrize(("options", "message"), [
    ({"importance": "fisher"}, "unknown importance"), ({"value": "log"}, "unknown value"), ({"order": "up"}, "unknown order"),
    ({"cost": "flops"}, "unknown cost"), ({"scoring_batches": 0}, "scoring_batches is out of range"),
    ({"step": 0}, "step is out of range"), ({"floor": 1.5}, "floor is out of range"),
    ({"peak_memory_bytes": 0}, "peak_memory_bytes is out of range"), ({"weight_bytes": 0.5}, "weight_bytes is not an integer"),
    ({"budgets": (0.5, 0.25)}, "not ascending"),
])
def test_options_of_the_subnetworks_are_checked_when_they_are_made(options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        Subnetworks(**options)


@pytest.mark.parametrize(("widths", "message"), [
    ([[8] * 5, [16] * 5], "for each budget"),
    ([[8] * 5, [7] * 5, [16] * 5, [64] * 5], "not contained"),
    ([[40] * 5, [41] * 5, [42] * 5, [64] * 5], "cost more than the budget of 0.25"),
    ([[8] * 5, [16] * 5, [32] * 5, [65] * 5], "conv"),
])
def test_given_widths_are_nested_and_within_their_budgets(graph, widths, message):
    with pytest.raises(InvalidArgumentError, match=message):
        pipeline._check_widths(graph, Subnetworks(), widths)
    pipeline._check_widths(graph, Subnetworks(), [[8] * 5, [16] * 5, [32] * 5, [64] * 5])
