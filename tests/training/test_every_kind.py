"""Every kind of data and objective from end to end, on plain flax.linen modules of a few lines."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import Subnetworks, importance
from reds_jax.data import DataSet, Split, Stream, StreamedData
from reds_jax.errors import MetricError
from reds_jax.training import (
    FitConfig,
    Objective,
    Optimizer,
    Schedule,
    augmentation,
    binary,
    classification,
    evaluate,
    fit,
    recalibrate,
    reconstruction,
    regression,
)
from reds_jax.training.inputs import gather

WIDTHS = (1.0, 0.5)
CONFIG = FitConfig(epochs=12, batch_size=20, steps_per_dispatch=5, recalibrate_batches=2, evaluate_batch_size=32,
                   optimizer=Optimizer(schedule=Schedule(learning_rate=0.02)))
RNG = np.random.default_rng(0)
TIME = np.arange(16) / 16
FREQUENCY = RNG.integers(1, 4, 200)
WINDOWS = (np.sin(2 * np.pi * FREQUENCY[:, None] * TIME + RNG.uniform(0, 6, (200, 1)))[..., None]
           + 0.3 * RNG.normal(size=(200, 16, 2))).astype(np.float32)
FEATURES = RNG.normal(size=(200, 5)).astype(np.float32)
PIXELS = (RNG.random((200, 4, 4, 1)) * 255).astype(np.uint8)


class Windows(nn.Module):
    """Sensor windows [N, T, C]: two convolutions over time."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.relu(nn.BatchNorm(not train, momentum=0.9)(nn.Conv(8, (5,), name="first")(x)))
        x = nn.relu(nn.Conv(8, (3,), name="second")(x))
        return nn.Dense(3, name="logits")((x * x).mean(1))


class Vector(nn.Module):
    """Any input to K numbers; of images the pixels."""

    outputs: int
    norm: bool = False

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Dense(16, name="hidden")(x.reshape(len(x), -1))
        x = nn.BatchNorm(not train, momentum=0.9)(x) if self.norm else x
        return nn.Dense(self.outputs, name="out")(nn.tanh(x))


class Pixelwise(nn.Module):
    """Images to images: classes of every pixel, or the image itself."""

    outputs: int

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Conv(self.outputs, (1, 1), name="out")(nn.relu(nn.Conv(8, (3, 3), name="hidden")(x)))


class TwoInputs(nn.Module):
    """Windows and features, named; a number and a class come out."""

    @nn.compact
    def __call__(self, window, features, *, train=False):
        x = jnp.concatenate([nn.relu(nn.Dense(8, name="w")((window**2).mean(1))), nn.relu(nn.Dense(8, name="f")(features))], -1)
        return {"sum": nn.Dense(1, name="sum")(x)[:, 0], "class": nn.Dense(3, name="class")(x)}


def both_loss(outputs, targets):
    return regression().loss(outputs["sum"], targets["sum"]) + classification().loss(outputs["class"], targets["class"])


def both_metric(outputs, targets):
    return jnp.abs(outputs["sum"] - targets["sum"])


BOTH = Objective("both", both_loss, both_metric, "mean absolute error", "V")
SLOPES = np.stack([FEATURES.sum(1), FEATURES[:, 0] - FEATURES[:, 1]], 1)
QUICK = {"sensor windows", "binary", "regression", "one's own, of two inputs and outputs"}  # the others have the mark slow
KINDS = {  # model, split, objective, the metric of a network that has learnt nothing, the most or least that is learnt
    "sensor windows": (Windows(), Split(WINDOWS, FREQUENCY - 1), None, 1 / 3, 0.7),
    "weighted and smoothed": (Windows(), Split(WINDOWS, FREQUENCY - 1),
                              classification(class_weights=(1, 2, 1), label_smoothing=0.1), 1 / 3, 0.7),
    "binary": (Vector(1), Split(FEATURES, FEATURES.sum(1) > 0), binary(), 0.5, 0.8),
    "regression": (Vector(2, norm=True), Split(FEATURES, SLOPES), regression(), SLOPES.var(), 0.5 * SLOPES.var()),
    "huber": (Vector(2), Split(FEATURES, SLOPES), regression("huber"), abs(SLOPES).mean(), 0.7 * abs(SLOPES).mean()),
    "segmentation": (Pixelwise(2), Split(PIXELS, PIXELS[..., 0] > 127), classification(), 0.5, 0.8),
    "reconstruction": (Pixelwise(1), Split(PIXELS), reconstruction(), 1 / 12, 0.04),
    "one's own, of two inputs and outputs": (
        TwoInputs(), Split({"window": WINDOWS, "features": FEATURES}, {"sum": FEATURES.sum(1), "class": FREQUENCY - 1}),
        BOTH, abs(FEATURES.sum(1)).mean(), 0.8 * abs(FEATURES.sum(1)).mean()),
}


def parts(split):
    return split.take(slice(0, 140)), split.take(slice(140, 200))


def start(model, split):
    inputs = reds_jax.data.read(split.take(slice(0, 1)).inputs)
    return jax.jit(model.init)(jax.random.key(0), **inputs) if isinstance(inputs, dict) else \
        jax.jit(model.init)(jax.random.key(0), inputs)


@pytest.mark.parametrize(("model", "split", "objective", "naive", "learnt"), [
    pytest.param(*case, id=name, marks=[] if name in QUICK else pytest.mark.slow) for name, case in KINDS.items()])
def test_every_kind_is_trained_validated_and_recalibrated(model, split, objective, naive, learnt, quiet):
    train, held = parts(split)
    result = fit(model, start(model, split), WIDTHS, train, held, CONFIG, objective=objective, console=quiet)
    better = max if result.reported.higher_is_better else min
    means = [record["validation_mean"] for record in result.history]
    assert result.best_metric == better(means) == means[result.best_epoch]
    assert result.history[0]["metric_name"] == result.reported.name
    found = evaluate(model, result.params, result.batch_stats, WIDTHS, held, objective=objective)
    assert [e.metric for e in found] == pytest.approx(result.history[result.best_epoch]["validation_metric"], rel=1e-5)
    assert better(found[0].metric, learnt) == found[0].metric != naive  # the full network has learnt something
    variables = {"params": result.params, "batch_stats": result.batch_stats[0]}
    own = recalibrate(model, variables, WIDTHS, train, key=jax.random.key(0), batch_size=20)
    assert jax.tree.structure(own[0]) == jax.tree.structure(result.batch_stats[0])


@pytest.mark.parametrize("kind", ["regression", "segmentation", "reconstruction"])
def test_the_whole_pipeline(kind, quiet):
    """Trace, score, permute, solve, train, recalibrate, judge: with a metric that is no accuracy as well."""
    model, split, objective, _, _ = KINDS[kind]
    train, held = parts(split)
    data = DataSet(kind, train, held, held)
    config = FitConfig(**{**CONFIG.__dict__, "epochs": 1, "distill": 0.3})
    network, result = reds_jax.nest(model, start(model, split), data, config, Subnetworks((0.5, 1.0), scoring_batches=2),
                                    objective=objective, console=quiet)
    assert result.metric == objective.reported
    again = evaluate(network.model, network.params, network.batch_stats, network.widths, held,
                     objective=objective)
    assert [s.test_metric for s in result.subnetworks] == [e.metric for e in again]
    small = result.subnetworks[0]
    if kind == "segmentation":
        assert small.test_accuracy == small.test_metric
    else:
        with pytest.raises(MetricError, match="accuracy was not measured; got 'mean squared error'.*test_metric"):
            _ = small.test_accuracy
        assert not hasattr(again[0], "accuracy")


def test_the_whole_pipeline_on_streams(quiet):
    """In order and without a rest, a stream of all examples is the data set: the same groups, widths and scores."""
    model, split, objective, _, _ = KINDS["regression"]
    train, held = parts(split)

    def batches(part):
        return Stream(lambda: ((x.inputs, x.targets) for x in (part.take(slice(i, i + 20)) for i in range(0, len(part), 20))))

    data = StreamedData("regression", batches(train), batches(held), held)
    found = {}
    network, result = reds_jax.nest(model, start(model, split), data, CONFIG, Subnetworks((0.5, 1.0), scoring_batches=7),
                                    objective=objective, console=quiet, observe=found.__setitem__)
    again = evaluate(network.model, network.params, network.batch_stats, network.widths, held, objective=objective)
    assert [s.validation_metric for s in result.subnetworks] == pytest.approx([e.metric for e in again], rel=1e-5)
    assert result.subnetworks[-1].test_metric < 0.5 * SLOPES.var()
    in_memory = [(x.inputs, x.targets) for x in (train.take(slice(i, i + 20)) for i in range(0, 140, 20))]
    scores = importance.score("explained", model, start(model, split), found["groups"], in_memory, objective=objective)
    np.testing.assert_allclose(found["scores"]["hidden"], np.sort(scores["hidden"])[::-1], rtol=1e-4)


def test_scores_follow_the_objective():
    """The saliency of a weight is |w dL/dw| of the objective's own loss."""
    model, split, objective, _, _ = KINDS["regression"]
    model, variables = Vector(2), start(Vector(2), split)
    graph = reds_jax.trace(model, variables, split.inputs)
    found = importance.score("taylor", model, variables, graph, [(split.inputs, split.targets)], objective=objective)

    def loss(params):
        return ((model.apply({"params": params}, split.inputs) - split.targets) ** 2).mean()

    saliency = jax.tree.map(lambda w, g: np.abs(w * g), variables["params"], jax.grad(loss)(variables["params"]))
    np.testing.assert_allclose(found["hidden"], importance.unit_scores(saliency, graph)["hidden"], rtol=1e-4)


def test_the_best_epoch_of_an_error_is_the_lowest_and_early_stop_follows_it(quiet):
    """Learning makes the error on these validation targets rise, so the first epoch is the best one."""
    model, split, objective, _, _ = KINDS["regression"]
    train, held = parts(split)
    wrong = Split(held.inputs, -held.targets)
    config = FitConfig(**{**CONFIG.__dict__, "epochs": 20, "patience": 2})
    result = fit(model, start(model, split), WIDTHS, train, wrong, config, objective=objective, console=quiet)
    means = [record["validation_mean"] for record in result.history]
    assert len(means) == 3
    assert (result.best_epoch, means) == (0, sorted(means))
    assert [record["best"] for record in result.history] == [True, False, False]
    with pytest.raises(MetricError):
        _ = result.best_accuracy


def test_a_reconstruction_is_of_what_the_network_reads(quiet):
    """Without targets those are the inputs, normalised and augmented as they are read: the same as giving them so."""
    model, split, objective, _, _ = KINDS["reconstruction"]
    train, held = parts(split)
    explicit = [Split(s.inputs, s.inputs / np.float32(255)) for s in (train, held)]
    a = fit(model, start(model, split), (1.0,), train, held, CONFIG, objective=objective, console=quiet)
    b = fit(model, start(model, split), (1.0,), *explicit, CONFIG, objective=objective, console=quiet)
    for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    rows, flip = jnp.arange(50), augmentation("flip")
    x, y = gather(jnp.asarray(PIXELS), None, rows, None, augment=flip, key=jax.random.key(0))
    assert not np.array_equal(x, PIXELS[:50] / np.float32(255))
    np.testing.assert_array_equal(x, y)
