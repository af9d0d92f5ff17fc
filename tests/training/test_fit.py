import io
import json
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from rich.console import Console
from training_nets import CLASSES, examples, initial, tiny_dnn, tiny_mlp

from reds_jax.data import Split
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.training import DivergedError, FitConfig, Optimizer, Schedule, evaluate, fit

MODEL = tiny_mlp()
WIDTHS = (0.5, 1.0)
TRAIN, VALIDATION = examples(100), examples(50, 1)
CONFIG = FitConfig(epochs=3, batch_size=16, steps_per_dispatch=4, recalibrate_batches=2,
                   optimizer=Optimizer(schedule=Schedule(learning_rate=0.01)))


def run(quiet, train=TRAIN, validation=VALIDATION, config=CONFIG, model=MODEL, widths=WIDTHS, **options):
    return fit(model, initial(model), widths, train, validation, config, console=quiet, **options)


def changed(**changes):
    return FitConfig(**{**CONFIG.__dict__, **changes})


def params_equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


@pytest.fixture(scope="module")
def base(quiet):
    return run(quiet)


def test_the_result_is_the_best_epoch_on_validation(base):
    means = [record["validation_mean"] for record in base.history]
    assert base.best_epoch == int(np.argmax(means))
    assert base.best_accuracy == max(means)
    assert int(base.state.step) == 3 * (100 // 16)
    again = evaluate(MODEL, base.params, base.batch_stats, WIDTHS, VALIDATION.inputs, VALIDATION.targets)
    assert math.fsum(e.accuracy for e in again) / 2 == base.best_accuracy
    assert base.history[base.best_epoch]["validation_metric"] == [e.accuracy for e in again]


def test_the_seed_decides(quiet, base):
    assert params_equal(run(quiet).state.params, base.state.params)
    assert not params_equal(run(quiet, config=changed(seed=1)).state.params, base.state.params)


def test_every_epoch_sees_each_image_at_most_once_in_a_new_order(quiet, monkeypatch):
    from reds_jax.training import feed
    seen, indices = [], feed.ArrayFeed.indices

    def spy(self, epoch, dispatch):
        rows = indices(self, epoch, dispatch)
        seen.append((epoch, rows))
        return rows

    monkeypatch.setattr(feed.ArrayFeed, "indices", spy)
    run(quiet)
    orders = [np.concatenate([rows.ravel() for e, rows in seen if e == epoch]) for epoch in range(3)]
    for order in orders:
        real = order[order >= 0]
        assert len(order) == 8 * 16
        assert len(real) == len(set(real.tolist())) == 96
    assert not np.array_equal(orders[0], orders[1])


def test_early_stop_and_the_best_epoch_look_at_validation_only(quiet, base):
    """Wrong validation labels change what is chosen and when it stops, and not a bit of the training."""
    wrong = Split(VALIDATION.images, (VALIDATION.labels + 1) % CLASSES)  # learning makes the accuracy fall
    longer = changed(epochs=30, patience=2)
    stopped = run(quiet, validation=wrong, config=longer)
    means = [record["validation_mean"] for record in stopped.history]
    assert len(means) < 30
    assert len(means) - 1 - stopped.best_epoch == 2
    assert stopped.best_epoch == int(np.argmax(means))
    other = run(quiet, validation=wrong)
    assert params_equal(other.state.params, base.state.params)
    assert [r["objective"] for r in other.history] == [r["objective"] for r in base.history]


def test_the_learning_rate_is_logged_and_the_log_is_json(quiet, tmp_path):
    schedule = Schedule("piecewise", boundaries=(6, 12), values=(0.01, 0.005, 0.001))
    result = run(quiet, config=changed(optimizer=Optimizer(schedule=schedule)), folder=tmp_path)
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    epochs = [r for r in records if r["kind"] == "epoch"]
    assert [r["learning_rate"] for r in epochs] == pytest.approx([0.01, 0.005, 0.001])
    assert [r["step"] for r in records if r["kind"] == "train"] == [4, 6, 10, 12, 16, 18]
    assert [{**r} for r in epochs] == list(result.history)
    assert json.loads((tmp_path / "config.json").read_text())["fit"]["optimizer"]["schedule"]["kind"] == "piecewise"


def test_a_network_without_batch_norm_and_moving_averages(quiet):
    assert run(quiet, model=tiny_dnn()).batch_stats == ({}, {})
    moving = run(quiet, config=changed(recalibrate_batches=0, epochs=1))
    for a, b in zip(jax.tree.leaves(moving.batch_stats), jax.tree.leaves(moving.state.batch_stats), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_sandwich_run_logs_null_for_who_took_no_part(quiet, tmp_path):
    run(quiet, widths=(1.0, 0.5, 0.25), config=changed(sandwich=0, epochs=1), folder=tmp_path)
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert [v is None for v in first["loss"]] == [False, True, False]


def test_divergence_names_the_step_and_leaves_the_checkpoint_before_it(quiet, tmp_path):
    schedule = Schedule("piecewise", boundaries=(8,), values=(1e-3, 1e30))
    config = changed(optimizer=Optimizer("sgd", schedule, momentum=0.0), epochs=2)
    with pytest.raises(DivergedError, match="diverged in step (9|10|11)") as caught:
        run(quiet, config=config, folder=tmp_path)
    assert caught.value.step in (9, 10, 11)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["13"]  # the end of epoch 0, step 6
    with pytest.raises(DivergedError):  # resumed, it comes to the same end
        run(quiet, config=config, folder=tmp_path)


def test_another_configuration_names_the_fields_that_differ(quiet, tmp_path):
    run(quiet, config=changed(epochs=1), folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"\['fit.optimizer.name', 'fit.seed'\]"):
        run(quiet, config=changed(epochs=1, seed=5, optimizer=Optimizer("sgd", Schedule(learning_rate=0.01))), folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"\['data.validation'\]"):
        run(quiet, config=changed(epochs=1), validation=examples(50, 2), folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"\['widths'\]"):
        run(quiet, config=changed(epochs=1), widths=(1.0, 0.5), folder=tmp_path)
    with pytest.raises(CheckpointError, match="holds a run already"):
        run(quiet, config=changed(epochs=1), folder=tmp_path, resume=False)
    (tmp_path / "metrics.jsonl").write_text("")  # a log is not needed: the records of epochs come from the checkpoint
    history = run(quiet, config=changed(epochs=1), folder=tmp_path).history
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == list(history)


def test_without_a_terminal_one_line_is_printed_an_epoch():
    out = io.StringIO()
    run(Console(file=out, width=120))
    begin, *printed = out.getvalue().splitlines()
    assert begin == "training 2 subnetworks, 18 steps; compiling comes first"
    assert len(printed) == 3
    assert all(line.startswith(f"epoch {i + 1}: loss") for i, line in enumerate(printed))


def test_on_a_terminal_there_is_a_bar_with_loss_accuracy_and_time_left():
    out = io.StringIO()
    run(Console(file=out, force_terminal=True, width=120))
    shown = out.getvalue()
    assert "18/18" in shown
    assert "loss" in shown
    assert "0:00:00" in shown


@pytest.mark.parametrize(("changes", "message"), [
    ({"epochs": 0}, "epochs is out of range"),
    ({"batch_size": 1.5}, "batch_size is not an integer"),
    ({"patience": 0}, "patience"),
    ({"augment": "colour"}, "unknown augmentation"),
    ({"weights": "squares"}, "unknown weights"),
    ({"distill": 2}, "distill"),
    ({"sandwich": -1}, "sandwich"),
    ({"optimizer": "adam"}, "optimizer has the wrong type"),
])
def test_wrong_configurations_are_named(changes, message):
    with pytest.raises(InvalidArgumentError, match=message):
        changed(**changes)


def test_splits_that_are_too_small(quiet):
    with pytest.raises(InvalidArgumentError, match="smaller than a batch"):
        run(quiet, train=examples(15))
    with pytest.raises(InvalidArgumentError, match="validation inputs are empty"):
        run(quiet, validation=SimpleNamespace(inputs=VALIDATION.images[:0], targets=VALIDATION.labels[:0]))
