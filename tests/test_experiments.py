"""The command line and the record of an experiment, on a run that takes seconds."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

import reds_jax
from reds_jax import models
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.experiments import fashion_mnist, vww
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import Task, main, parse, run
from reds_jax.pipeline import Subnetworks


def tiny(output, **changes) -> Experiment:
    options = {"data": "synthetic", "limit": 120, "output": output, "recalibration_batches": 2, "compilation_cache": None,
               "subnetworks": Subnetworks(budgets=(0.3, 1.0), scoring_batches=2),
               "pretrain": Training(epochs=1, batch_size=30), "nested": Nested(epochs=1, batch_size=30)}
    return Experiment(**{**options, **changes})


TASK = Task("fashion_mnist", "a tiny run", "vision_ds_cnn_s", {}, {"quick": tiny("unused")})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    results = run(TASK, tiny(output, rivals=("uniform_unsorted",)), console=Console(quiet=True), command="the command")
    return output, results


def test_a_run_leaves_its_record(finished):
    output, results = finished
    assert {"config.json", "results.json", "report.md", "accuracy.png", "model", "pretrain", "nested_reds",
            "nested_uniform_unsorted"} <= {p.name for p in output.iterdir()}
    stored = json.loads((output / "results.json").read_text())
    assert stored["command"] == "the command"
    assert [m["method"] for m in stored["methods"]] == ["reds", "uniform_unsorted"]
    assert stored["environment"]["versions"]["jax"]
    assert len(stored["data"]["fingerprint"]) == 64
    small, full = stored["methods"][0]["subnetworks"]
    assert small["macs_fraction"] <= 0.3 < full["macs_fraction"] == 1.0
    assert all(a <= b for a, b in zip(small["widths"], full["widths"], strict=True))
    text = (output / "report.md").read_text()
    assert "**Synthetic stand-in.**" in text
    assert f"| {100 * small['test_metric']:.2f} |" in text
    assert stored["methods"][0]["metric"] == {"name": "accuracy", "unit": "%", "higher_is_better": True}
    assert results["methods"][0].proven_optimal is not None
    assert (output / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "nested_reds" / "metrics.jsonl").exists()


def test_the_saved_network_is_the_one_that_was_measured(finished):
    """One call loads it, and its accuracy on the test images is the one in the record."""
    output, results = finished
    network = reds_jax.NestedNetwork.load(output / "model")
    data = reds_jax.data.load("fashion_mnist", "synthetic", limit=120)
    for k, recorded in enumerate(results["methods"][0].subnetworks):
        logits = network.apply(k, data.normalise(data.test.images))
        assert float((np.argmax(logits, -1) == data.test.labels).mean()) == pytest.approx(recorded.test_accuracy, abs=1e-6)


def test_a_finished_run_is_not_trained_again(finished):
    output, results = finished
    before = (output / "nested_reds" / "metrics.jsonl").read_text()
    again = run(TASK, tiny(output, rivals=("uniform_unsorted",)), console=Console(quiet=True), command="the command")
    assert (output / "nested_reds" / "metrics.jsonl").read_text() == before
    assert again["methods"][0].subnetworks == results["methods"][0].subnetworks


def test_presets_and_changes():
    assert parse(vww.TASK, []) == vww.TASK.presets["quick"]
    assert parse(vww.TASK, ["--preset", "paper"]) == vww.TASK.presets["paper"]
    changed = parse(fashion_mnist.TASK, ["--preset=smoke", "--nested.epochs", "7", "--subnetworks.budgets", "0.1", "1.0"])
    assert (changed.preset, changed.data, changed.nested.epochs) == ("smoke", "synthetic", 7)
    assert changed.subnetworks.budgets == (0.1, 1.0)
    assert changed.nested.batch_size == fashion_mnist.TASK.presets["smoke"].nested.batch_size


@pytest.mark.parametrize(("arguments", "words"), [
    (["--preset", "fast"], ["preset", "quick", "smoke", "paper"]),
    (["--rivals", "random"], ["uniform_sorted", "magnitude"]),
    (["--nested.optimizer", "lion"], ["adam", "sgd"]),
    (["--subnetworks.importance", "fisher"], ["taylor", "l1"]),
])
def test_wrong_values_are_named_with_the_allowed_ones(arguments, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(vww.TASK, arguments)
    assert stopped.value.code == 2
    shown = re.sub(r"\W+", " ", "".join(capsys.readouterr()))
    assert all(word in shown for word in [*words, arguments[1]])


def test_errors_of_the_library_are_one_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(vww.TASK, ["--data", "ftp:somewhere", "--output", str(tmp_path)])
    assert stopped.value.code == 2
    assert "error:" in (shown := capsys.readouterr().err)
    assert "synthetic" in shown


def test_budgets_and_trainings_are_checked():
    with pytest.raises(InvalidArgumentError, match="not ascending fractions"):
        Subnetworks(budgets=(0.5, 0.25))
    with pytest.raises(InvalidArgumentError, match="another number of learning rates"):
        Training(learning_rates=(1e-3, 1e-4))
    assert Training(schedule="piecewise", learning_rates=(1.0, 0.5, 0.1)).build(30).schedule.boundaries == (10, 20)


def test_pretrained_weights_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"net/a": np.ones(2)})
    options = tiny(tmp_path / "run", pretrained=tmp_path / "weights.npz", pretrained_prefix="other/")
    with pytest.raises(DataError, match="no array in .* starts with 'other/'"):
        run(Task("fashion_mnist", "t", "vision_ds_cnn_s", {}, {}, models.load_ds_cnn), options,
            console=Console(quiet=True), command="")


def test_help_reads_well():
    shown = subprocess.run([sys.executable, "-m", "reds_jax.experiments.vww", "--help"], capture_output=True, text=True,
                           check=True).stdout
    for phrase in ("--preset {quick,smoke,paper}", "--subnetworks.budgets", "fractions of the full network", "--rivals"):
        assert phrase in shown
