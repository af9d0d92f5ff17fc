"""How a variant of a comparison is trained: what it starts from, for how long, which widths, which statistics."""

import dataclasses
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
from rich.console import Console

import reds_jax
from reds_jax import models
from reds_jax.errors import InvalidArgumentError
from reds_jax.experiments import speech_commands, task_run
from reds_jax.experiments.comparisons import CES
from reds_jax.experiments.published import PUBLISHED
from reds_jax.experiments.runner import parse
from reds_jax.experiments.task_run import TaskRun, load_data
from reds_jax.experiments.variant_run import check, measured, published_widths
from reds_jax.network import NestedNetwork
from reds_jax.report import MethodResult, SubnetworkResult
from reds_jax.run import run as run_at
from reds_jax.training.metric import Metric

KEY = ("speech_commands", "dnn_s")


def result(budgets):
    return MethodResult("reds", Metric("accuracy", "%", True), tuple(
        SubnetworkResult(b, 1, b, 1, 1, (1,), "accuracy", 0.5, 0.5, 1.0) for b in budgets), 1.0, True, 0.0, 2.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    experiment = parse(speech_commands.TASK, [
        "--preset", "smoke", "--network", "dnn_s", "--data", "synthetic", "--limit", "120", "--nested.epochs", "5",
        "--nested.augment", "none", "--pretrain.augment", "none", "--pretrain.epochs", "3",
        "--output", str(tmp_path_factory.mktemp("variants"))])
    network = speech_commands.TASK.networks["dnn_s"]
    data = load_data(speech_commands.TASK, network, experiment)
    return TaskRun(experiment, models.build(network.architecture, network.arguments), data, Console(quiet=True))


@pytest.fixture(scope="module")
def trained(run):
    return run.model.init(jax.random.key(99), run.data.example())


@pytest.fixture
def nested(monkeypatch):
    """What `TaskRun.nest` is asked for; nothing is trained."""
    asked = []

    def nest(self, method, variables, observe=None, widths=None):
        asked.append((self.experiment, method, variables, widths))
        return None, result(self.experiment.subnetworks.budgets)

    monkeypatch.setattr(TaskRun, "nest", nest)
    return asked


def of(how, **more):
    return dataclasses.replace(CES, name=how, how=how, **more)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def test_the_network_of_a_run_is_measured_on_the_devices_of_its_training(run, trained, monkeypatch):
    asked = []
    monkeypatch.setattr(task_run, "evaluate", lambda *given, **more: asked.append(more["devices"]) or ["measured"])
    for devices in (None, 4):
        assert dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, devices=devices)).measure(
            trained, "test") == "measured"
    assert asked == [None, 4]


def test_each_alone_is_one_training_for_each_budget_from_the_trained_network(run, trained, nested):
    found = measured(of("alone"), run, trained, KEY)
    assert [one[0].subnetworks.budgets for one in nested] == [(b,) for b in run.experiment.subnetworks.budgets]
    assert len({one[0].output for one in nested}) == len(nested)
    assert all(same(one[2], trained) for one in nested)
    assert [s.budget for s in found.subnetworks] == list(run.experiment.subnetworks.budgets)
    assert found.train_seconds == 2.0 * len(nested)
    assert found.certificate is None


def test_from_scratch_takes_the_steps_of_both_trainings_from_untrained_weights(run, trained, nested):
    measured(of("scratch"), run, trained, KEY)
    (experiment, _, start, _), = nested
    assert experiment.nested.epochs == 3 + 5
    assert not same(start, trained)
    assert same(start, run.model.init(jax.random.key(run.experiment.seed), run.data.example()))
    nested.clear()
    imported = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, pretrained=run.experiment.output))
    measured(of("scratch"), imported, trained, KEY)
    assert nested[0][0].nested.epochs == 5


def test_late_nesting_trains_the_full_network_for_half_of_the_epochs(run, trained, nested, monkeypatch):
    alone = []
    monkeypatch.setattr(TaskRun, "start", lambda self, variables: alone.append((self.experiment, variables)) or "later")
    measured(of("late"), run, trained, KEY)
    (before, start), = alone
    assert (before.pretrain.epochs, nested[0][0].nested.epochs) == (2, 3)
    assert before.pretrained is None
    assert before.pretrain.learning_rates == run.experiment.nested.learning_rates
    assert same(start, trained)
    assert nested[0][2] == "later"
    short = dataclasses.replace(run, experiment=dataclasses.replace(
        run.experiment, nested=dataclasses.replace(run.experiment.nested, epochs=1)))
    with pytest.raises(InvalidArgumentError, match="no half"):
        check(of("late"), short, trained, KEY)


def test_published_widths_are_those_of_the_groups_from_the_input_on(run, trained, nested):
    run = dataclasses.replace(run, experiment=dataclasses.replace(
        run.experiment, subnetworks=dataclasses.replace(run.experiment.subnetworks, budgets=(0.098, 0.338, 0.658, 1.0))))
    measured(of("published"), run, trained, KEY)
    assert nested[0][3] == [(15, 75, 33), (51, 116, 63), (99, 132, 99), (144, 144, 144)]
    cnn = models.build("cnn_s", {"classes": 12})
    x = np.zeros((1, 49, 10, 1), np.float32)
    other = dataclasses.replace(run, model=cnn, data=SimpleNamespace(example=lambda: x))
    widths = published_widths(other, jax.eval_shape(cnn.init, jax.random.key(0), x), ("speech_commands", "cnn_s"))
    assert widths[0] == (23, 5, 16, 128)
    with pytest.raises(InvalidArgumentError, match="no widths of this network"):
        published_widths(run, trained, ("vww", "mobilenet_v1"))


def test_published_widths_above_their_budget_are_refused_before_anything_is_trained(run, trained):
    run = dataclasses.replace(run, experiment=dataclasses.replace(
        run.experiment, subnetworks=dataclasses.replace(run.experiment.subnetworks, budgets=(0.09, 0.338, 0.658, 1.0))))
    with pytest.raises(InvalidArgumentError, match="cost more than the budget"):
        check(of("published"), run, trained, KEY)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Dense(8)(x.reshape(len(x), -1)))
        return nn.Dense(12)(nn.relu(x))


def test_one_set_of_statistics_is_that_of_the_largest(run, monkeypatch):
    model, rng = Normed(), np.random.default_rng(0)
    variables = model.init(jax.random.key(0), run.data.example())
    graph = reds_jax.trace(model, variables, run.data.example())
    widths = (graph.widths([3]), graph.widths([8]))
    own = tuple(jax.tree.map(lambda a: a + 30 * rng.random(a.shape, np.float32), variables["batch_stats"]) for _ in widths)
    network = NestedNetwork(model, variables["params"], own, widths, tuple(graph.macs(w) for w in widths), run.data.example(),
                            run.data.normalise)
    monkeypatch.setattr(TaskRun, "nest", lambda *given: (network, result((0.5, 1.0))))
    found = measured(of("one_statistics"), run, variables, KEY)
    read, targets = run.data.read(run.data.test.inputs), run.data.test.targets
    logits = [run_at(model, {**variables, "batch_stats": own[1]}, read, width)[0] for width in widths]
    accuracies = [float(np.mean(np.argmax(y, -1) == targets)) for y in logits]
    assert [s.test_metric for s in found.subnetworks] == pytest.approx(accuracies)
    losses = [float(optax.softmax_cross_entropy_with_integer_labels(y, targets).mean()) for y in logits]
    assert [s.test_loss for s in found.subnetworks] == pytest.approx(losses, rel=1e-4)
    assert not np.allclose(logits[0], network.apply(0, read))
    more = dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, devices=jax.device_count() + 1))
    with pytest.raises(InvalidArgumentError, match="fewer devices"):
        measured(of("one_statistics"), more, variables, KEY)


def test_every_published_network_is_one_of_a_task():
    known = {("speech_commands", n.architecture) for n in speech_commands.NETWORKS}
    assert known == {key for key in PUBLISHED if key[0] == "speech_commands"}
    for found in PUBLISHED.values():
        assert list(found.nested) == sorted(found.nested, reverse=True)
