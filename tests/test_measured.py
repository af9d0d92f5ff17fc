"""Losses of widths by zeros in place of units: they are those of the narrow networks."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from rich.console import Console

import reds_jax
from reds_jax import Subnetworks, pipeline, repair, trace
from reds_jax.data import DataSet, Split, Stream, StreamedData
from reds_jax.graph.mask import masked
from reds_jax.learned import Amplitudes
from reds_jax.measured import HELD_OUT, held_out, measured_losses
from reds_jax.run import run
from reds_jax.training import FitConfig, evaluate, recalibrate


class Net(nn.Module):
    """A sigmoid, which makes something of a zero, a batch norm, a depthwise convolution."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.sigmoid(nn.Conv(6, (3, 3), (2, 2), name="first")(x))
        x = nn.Conv(6, (3, 3), feature_group_count=6, name="depthwise")(x)
        x = nn.BatchNorm(not train, name="norm")(x)
        x = nn.relu(nn.Dense(5, name="second")(x)).mean((1, 2))
        return nn.Dense(3, name="last")(x)


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 90).astype(np.int32)
    split = Split((rng.normal(size=(90, 6, 6, 1)) + y[:, None, None, None]).astype(np.float32), y)
    variables = Net().init(jax.random.key(0), split.inputs[:1])
    variables = jax.tree.map(lambda a: np.asarray(a) + 0.2 * rng.normal(size=a.shape).astype(np.float32) ** 2, variables)
    return split, variables, trace(Net(), variables, split.inputs[:1])


@pytest.mark.parametrize("widths", [(6, 5), (2, 5), (4, 1), (1, 1)])
def test_zeros_are_the_narrow_network(case, widths):
    split, variables, graph = case
    narrow, _ = run(Net(), variables, split.inputs[:20], graph.widths(widths))
    zeros, _ = run(Net(), masked(variables, graph, widths), split.inputs[:20])
    np.testing.assert_allclose(zeros, narrow, rtol=1e-4, atol=1e-5)


def test_a_measured_loss_is_that_of_the_subnetwork_with_the_statistics_of_the_examples(case):
    split, variables, graph = case
    widths = [(2, 5), (6, 2)]
    judged, rest = held_out(split, 1)
    found = measured_losses(Net(), variables, graph, widths, judged)
    assert (len(judged), len(rest)) == (30, 60)
    assert HELD_OUT > 30
    for one, loss in zip(widths, found, strict=True):
        w = [graph.widths(one)]
        stats = recalibrate(Net(), variables, w, judged, key=jax.random.key(1), batch_size=30)
        expected, = evaluate(Net(), variables["params"], stats, w, judged)
        assert loss == pytest.approx(expected.loss, rel=1e-4)
    assert abs(found[0] - found[1]) > 1e-3 * found[0]


def test_of_a_stream_the_first_examples_are_measured(case):
    split, _, _ = case
    many = Split(np.tile(split.inputs, (9, 1, 1, 1)) + np.arange(810, dtype=np.float32)[:, None, None, None], np.arange(810))

    def batches():
        return ((many.inputs[i : i + 90], many.targets[i : i + 90]) for i in range(0, 810, 90))

    judged, rest = held_out(stream := Stream(batches), 3)
    assert rest is stream
    assert len(judged) == HELD_OUT
    np.testing.assert_array_equal(judged.targets, np.arange(HELD_OUT))
    np.testing.assert_array_equal(judged.inputs, many.inputs[:HELD_OUT])
    short, _ = held_out(Stream(lambda: iter([(split.inputs, split.targets)])), 0)
    assert len(short) == 90


def test_a_stream_is_learned_from(case):
    split, variables, graph = case
    data = StreamedData("stream", Stream(lambda: iter([(split.inputs, split.targets)] * 2)), split, split)
    scores = {g.name: np.arange(g.size, 0, -1.0) for g in graph.groups}
    found = pipeline.learn(Net(), variables, graph, scores, data, Subnetworks((0.4, 1.0), samples=16), seed=0)
    assert set(found.amplitude) == {"first", "second"}


def test_losses_that_are_not_finite_teach_nothing(case, monkeypatch):
    split, variables, graph = case
    data = DataSet("case", split, split, split)
    scores = {g.name: np.arange(g.size, 0, -1.0) for g in graph.groups}
    monkeypatch.setattr(pipeline, "measured_losses", lambda *a, **k: np.full(len(a[3]), np.nan))
    found = pipeline.learn(Net(), variables, graph, scores, data, Subnetworks((0.4, 1.0), gamma=3.0), seed=0)
    assert (found.used, found.gamma, found.amplitude) == (False, 3.0, {"first": 1.0, "second": 1.0})


def test_the_pipeline_learns_amplitudes_and_measures_before_the_training(case):
    split, variables, graph = case
    seen, config = [], FitConfig(epochs=1, batch_size=30, recalibrate_batches=2)
    data = DataSet("case", split, split.take(slice(50)), split)
    options = Subnetworks((0.4, 1.0), importance="l1", value="learned", samples=16, floor=0.0, before_training=True)
    network, result = reds_jax.nest(Net(), variables, data, config, options, console=Console(quiet=True),
                                    observe=lambda stage, found: seen.append(found))
    found = [x for x in seen if isinstance(x, Amplitudes)]
    assert len(found) == 1
    assert set(found[0].amplitude) == {"first", "second"}
    assert network.macs[0] <= 0.4 * network.macs[1]

    small, full = (s.before_training for s in result.subnetworks)
    assert small is not None
    assert full is not None
    assert full.recalibrated == full.repaired  # there is nothing to repair
    scores = pipeline.score(Net(), variables, graph, data, options, batch_size=30, seed=0)
    moved, _ = pipeline.sort(variables, graph, scores)
    alone, = repair(Net(), moved, graph, network.widths[:1],
                    pipeline.scoring_batches(data, batches=options.scoring_batches, batch_size=30, seed=0))
    for one, measured in ((moved, small.recalibrated), (alone, small.repaired)):
        stats = recalibrate(Net(), one, network.widths[:1], split, key=jax.random.key(0), batch_size=30, batches=2)
        expected, = evaluate(Net(), one["params"], stats, network.widths[:1], data.validation)
        assert measured == pytest.approx(expected.metric, abs=0.021)  # an example in 50 may be at a tie
