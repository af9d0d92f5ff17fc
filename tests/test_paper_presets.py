"""``--preset paper`` of every network is the published training: epochs, batch, optimizer, learning rates, augmentation."""

import jax
import pytest
from rich.console import Console

from reds_jax import models
from reds_jax.experiments import cifar10, fashion_mnist, speech_commands, vww
from reds_jax.experiments.runner import parse
from reds_jax.experiments.task_run import TaskRun, load_data

VISION = (250, 128, "adam", "piecewise", (1e-3, 2.5e-4, 1e-5))
KEYWORDS = {"dnn": (75, 100, "adam", "piecewise", (1e-3, 1e-4)), "cnn": (75, 100, "adam", "piecewise", (5e-4, 1e-4, 2e-5)),
            "ds_cnn": (100, 100, "adam", "piecewise", (1e-3, 1e-4))}
PUBLISHED = {
    **{("speech_commands", f"{kind}_{size}"): (*found, "shift_noise") for kind, found in KEYWORDS.items() for size in "sl"},
    ("fashion_mnist", "vision_ds_cnn_s"): (*VISION, "flip_shift_rotate"),
    ("cifar10", "vision_ds_cnn_s"): (*VISION, "flip_shift"),
    ("cifar10", "resnet8"): (*VISION, "flip_shift"),  # of another paper, trained as the network beside it
    ("vww", "mobilenet_v1_0.25"): (100, 32, "sgd", "cosine", (0.01,), "flip_shift"),  # epochs, batch and SGD are published
}
TASKS = {task.name: task for task in (speech_commands.TASK, fashion_mnist.TASK, cifar10.TASK, vww.TASK)}


def test_every_network_is_listed():
    assert set(PUBLISHED) == {(name, network) for name, task in TASKS.items() for network in task.networks}


@pytest.mark.parametrize(("task", "network"), PUBLISHED)
def test_the_plan_is_the_published_one(task, network):
    found = parse(TASKS[task], ["--network", network, "--preset", "paper"])
    assert found.preset == "paper"
    for training in (found.pretrain, found.nested):
        assert (training.epochs, training.batch_size, training.optimizer, training.schedule, training.learning_rates,
                training.augment) == PUBLISHED[task, network]
        assert (training.patience, training.warmup) == (None, 0)
        optimizer = training.build(600)
        rates, schedule = training.learning_rates, optimizer.schedule.build()
        assert optimizer.name == training.optimizer
        if training.schedule == "piecewise":  # the same number of steps at each of the rates
            each = 600 // len(rates)
            assert [float(schedule(i * each + j)) for i in range(len(rates)) for j in (0, each - 1)] == pytest.approx(
                [rate for rate in rates for _ in range(2)])
        else:
            assert (float(schedule(0)), float(schedule(600))) == (pytest.approx(rates[0]), 0)
    assert (found.nested.weights, found.nested.distill, found.nested.sandwich) == ("sqrt_params", 0, None)
    assert found.subnetworks.budgets == (0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(("task", "network"), [
    pytest.param(*key, marks=[] if key[1] in ("dnn_s", "vision_ds_cnn_s") else [pytest.mark.slow]) for key in PUBLISHED])
def test_the_plan_is_accepted(task, network):
    """By the network, its data (here made up) and the budgets, before the first step."""
    experiment = parse(TASKS[task], ["--network", network, "--preset", "paper", "--data", "synthetic", "--limit", "128"])
    chosen = TASKS[task].network(network)
    data = load_data(TASKS[task], chosen, experiment)
    model = models.build(chosen.architecture, chosen.arguments)
    runner = TaskRun(experiment, model, data, Console(quiet=True))
    shapes = jax.eval_shape(model.init, jax.random.key(0), data.example())
    runner.check(jax.tree.map(lambda leaf: jax.numpy.ones(leaf.shape, leaf.dtype), shapes))
    assert runner.nested.augment == data.augmentations.get(experiment.nested.augment, experiment.nested.augment)
    if experiment.nested.augment == "shift_noise":
        augment = runner.nested.augment
        assert (augment.max_shift, augment.volume, augment.probability) == (1600, 0.1, 0.8)
