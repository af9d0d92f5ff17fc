"""The command line and the record of an experiment, on a run that takes seconds."""

import dataclasses
import errno
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

import reds_jax
from reds_jax import data as data_sets
from reds_jax import models, report
from reds_jax.choice import Subnetworks
from reds_jax.deploy import export, saved_run
from reds_jax.errors import CheckpointError, DataError, InfeasibleError, InvalidArgumentError
from reds_jax.experiments import fashion_mnist, runner, task_run, vww
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.runner import main, parse, run
from reds_jax.experiments.task import Network, Task
from reds_jax.models.registry import NETWORKS
from reds_jax.private import private_paths
from reds_jax.slimmable import Slimmable
from reds_jax.training import FitConfig
from reds_jax.training.owner import LOCK


def tiny(output, **changes) -> Experiment:
    options = {"data": "synthetic", "limit": 120, "output": output, "recalibration_batches": 2,
               "subnetworks": Subnetworks(budgets=(0.3, 1.0), scoring_batches=2),
               "pretrain": Training(epochs=1, batch_size=30), "nested": Nested(epochs=1, batch_size=30)}
    return Experiment(**{**options, **changes})


def one_block(classes: int = 10) -> Slimmable:
    """The smallest DS-CNN: most of a run of seconds is compiling."""
    return Slimmable(models.DSCNN(classes, 8, (3, 3), (2, 2), ((2, 2),)))


@pytest.fixture(scope="module", autouse=True)
def registered():
    """A network of the library like any other: commands and saved models name it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "one_block", one_block)
        yield


SECOND = tiny(Path("second"), preset="smoke")
TASK = Task("fashion_mnist", "a tiny run", {"first": Network("DS-CNN", "one_block"),
                                            "second": Network("CNN", "cnn_s", presets={"smoke": SECOND})},
            {"quick": tiny(Path("unused")), "smoke": tiny(Path("first"), preset="smoke")})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("run")
    results = run(TASK, tiny(output, rivals=("uniform_unsorted",)), console=Console(quiet=True), command="the command")
    return output, results


def test_a_run_leaves_its_record(finished):
    output, results = finished
    assert {"config.json", "results.json", "report.md", "accuracy.png", "model", "model_uniform_unsorted", "pretrain",
            "nested_reds", "nested_uniform_unsorted"} <= {p.name for p in output.iterdir()}
    stored = json.loads((output / "results.json").read_text())
    assert stored["command"] == "the command"
    assert [m["method"] for m in stored["methods"]] == ["reds", "uniform_unsorted"]
    assert stored["environment"]["versions"]["jax"]
    config = json.loads((output / "config.json").read_text())
    assert (config["task"], config["command"], config["options"]["limit"]) == ("fashion_mnist", "the command", 120)
    assert config["fingerprint"] == stored["data"]["fingerprint"]
    assert len(config["fingerprint"]) == 64
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
    """One call loads it, and its accuracy on the test images is the one in the record; the rival's too."""
    output, results = finished
    data = reds_jax.data.load("fashion_mnist", "synthetic", limit=120)
    for method, folder in zip(results["methods"], ("model", "model_uniform_unsorted"), strict=True):
        network = reds_jax.NestedNetwork.load(output / folder)
        for k, recorded in enumerate(method.subnetworks):
            right = np.argmax(network.apply(k, data.normalise(data.test.images)), -1) == data.test.labels
            assert float(right.mean()) == pytest.approx(recorded.test_accuracy, abs=1e-6)


def test_a_finished_run_is_not_trained_again_and_a_plot_that_fails_loses_nothing(finished, monkeypatch):
    output, results = finished
    before, shown = (output / "nested_reds" / "metrics.jsonl").read_text(), io.StringIO()
    for name in ("results.json", "report.md"):
        (output / name).unlink()

    def fail(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, "plot", fail)
    with pytest.raises(OSError, match="No space left"):
        run(TASK, tiny(output, rivals=("uniform_unsorted",)), console=Console(file=shown, width=200), command="the command")
    assert (output / "nested_reds" / "metrics.jsonl").read_text() == before
    again = json.loads((output / "results.json").read_text())
    expected = json.loads(report.to_json(results))
    for small, then in zip(again["methods"], expected["methods"], strict=True):
        assert small["subnetworks"] == then["subnetworks"]
    assert (output / "report.md").exists()
    assert "load the network with" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_a_run_starts_from_what_flax_draws(tmp_path):
    experiment = tiny(tmp_path, seed=3)
    data = data_sets.load("fashion_mnist", "synthetic", seed=3, limit=120)
    runner = task_run.TaskRun(experiment, one_block(), data, Console(quiet=True))
    expected = one_block().init(jax.random.key(3), data.example())
    jax.tree.map(lambda found, drawn: np.testing.assert_allclose(found, drawn, rtol=1e-5, atol=1e-7),
                 runner.untrained(), expected)


def test_the_nested_training_alone_has_private_norms(tmp_path):
    experiment = tiny(tmp_path, nested=Nested(norms="private"))
    data = data_sets.load("fashion_mnist", "synthetic", limit=120)
    runner = task_run.TaskRun(experiment, models.build("vision_ds_cnn_s"), data, Console(quiet=True))
    assert (runner.nested.norms, runner.config(experiment.pretrain).norms) == ("private", "shared")


@pytest.mark.slow
def test_a_run_with_private_norms_leaves_a_network_that_is_read_again(tmp_path):
    """Trained, recorded, loaded, measured and read for export."""
    nested = Nested(epochs=1, batch_size=30, norms="private")
    results = run(TASK, tiny(tmp_path / "run", nested=nested), console=Console(quiet=True), command="")
    assert results["norms"] == "private"
    assert "a scale and an offset of its own" in (tmp_path / "run/report.md").read_text(encoding="utf-8")
    saved = saved_run.read(tmp_path / "run")
    assert "params/conv_norm/scale" in private_paths({"params": saved.network.params})
    images = saved.data.normalise(saved.data.test.images)
    exported = export(saved.network.model, None, saved.graph, saved.network, tmp_path / "c")
    for k, recorded in enumerate(results["methods"][0].subnetworks):
        outputs = saved.network.apply(k, images)
        right = np.argmax(outputs, -1) == saved.data.test.labels
        assert float(right.mean()) == pytest.approx(recorded.test_accuracy, abs=1e-6)
        np.testing.assert_allclose(exported.expected(k, np.asarray(images)), outputs, rtol=0, atol=1e-4)


def contents(folder):
    return {p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*")
            if p.is_file() and p.name != LOCK}


@pytest.mark.parametrize(("changes", "message"), [
    ({"seed": 1, "limit": 60}, r"other options; got '--limit 60 \(there 120\), --seed 1 \(there 0\)'.*another --output"),
    ({"nested": Nested(epochs=2, batch_size=30)}, r"--nested.epochs 2 \(there 1\)"),
    ({"rivals": ()}, r"--rivals \[\] \(there \['uniform_unsorted'\]\)"),
    ({"data": "npz:other.npz"}, r"has other data \(--data\); got 'other'"),
])
def test_a_refused_command_changes_nothing_in_the_folder(finished, monkeypatch, changes, message):
    output, _ = finished
    load = data_sets.load

    def other(name, spec, **options):  # what the file would hold
        data = load(name, "synthetic", **options)
        return data if spec == "synthetic" else dataclasses.replace(load(name, "synthetic", limit=119), source="other")

    monkeypatch.setattr(data_sets, "load", other)
    monkeypatch.setattr(task_run, "fit", lambda *arguments, **options: pytest.fail("it trains"))
    before = contents(output)
    with pytest.raises(CheckpointError, match=message):
        run(TASK, tiny(output, **{"rivals": ("uniform_unsorted",), **changes}), console=Console(quiet=True), command="other")
    assert contents(output) == before


@pytest.mark.parametrize(("changes", "message"), [
    ({"subnetworks": Subnetworks(budgets=(0.001, 1.0))}, "no allowed widths meet the capacity of 'macs'"),
    ({"subnetworks": Subnetworks(budgets=(0.12, 1.0), floor=0.1), "rivals": ("uniform_sorted",),
      "nested": Nested(batch_size=30, sandwich=1)}, "sandwich is out of range; got 1"),
    ({"subnetworks": Subnetworks(rules=("stem:exclude",))}, "a rule matches no layer"),
    ({"pretrain": Training(batch_size=500)}, "the training split is smaller than a batch"),
    ({"nested": Nested(batch_size=500)}, "the training split is smaller than a batch"),
    ({"pretrained": Path("weights.npz")}, "no such file of weights"),
    ({"devices": 1000}, "there are fewer devices"),
])
def test_the_whole_configuration_is_checked_before_the_first_step(tmp_path, monkeypatch, changes, message):
    monkeypatch.setattr(task_run, "fit", lambda *arguments, **options: pytest.fail("it trains"))
    with pytest.raises((InvalidArgumentError, InfeasibleError, DataError), match=message):
        run(TASK, tiny(tmp_path / "run", **changes), console=Console(quiet=True), command="")
    assert list(tmp_path.iterdir()) == []


def test_devices_and_types_reach_both_trainings(tmp_path, monkeypatch):
    seen = []

    def spy(*arguments, devices, **options):
        config, = (a for a in arguments if isinstance(a, FitConfig))
        seen.append((devices, config.compute_dtype))
        raise InterruptedError

    monkeypatch.setattr(task_run, "fit", spy)
    monkeypatch.setattr(task_run.pipeline, "nest", spy)
    experiment = tiny(tmp_path, devices=2, pretrain=Training(compute_dtype="bfloat16"))
    data = data_sets.load("fashion_mnist", "synthetic", limit=120)
    started = task_run.TaskRun(experiment, one_block(), data, Console(quiet=True))
    for act in (lambda: started.start({}), lambda: started.nest("reds", {})):
        with pytest.raises(InterruptedError):
            act()
    assert seen == [(2, "bfloat16"), (2, "float32")]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Nested(distill=2), "distill is out of range"), (lambda: Nested(sandwich=-1), "sandwich is out of range"),
    (lambda: Nested(norms="own"), "unknown norms"), (lambda: Training(compute_dtype="float16"), "unknown compute_dtype"),
    (lambda: Experiment(devices=0), "devices is out of range"),
    (lambda: Nested(weights=(1.0, "x")), "unknown weights"), (lambda: Training(patience=0), "patience is out of range"),
    (lambda: Experiment(limit=0), "limit is out of range"), (lambda: Experiment(resolution=0), "resolution is out of range"),
    (lambda: Experiment(seed=-1), "seed is out of range"), (lambda: Experiment(rivals=("none",)), "unknown rival"),
    (lambda: Experiment(rivals=("paper", "paper")), "named twice"),
    (lambda: Experiment(recalibration_batches=-1), "recalibration_batches is out of range"),
])
def test_options_are_checked_when_they_are_made(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


def test_a_run_that_is_stopped_says_how_to_go_on(monkeypatch, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", stopped)
    with pytest.raises(SystemExit) as ended:
        main(vww.TASK, ["--output", "a b", "--seed", "3"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == \
        "stopped by SIGINT. Go on with: reds vww --output 'a b' --seed 3\n"


def test_what_takes_long_is_said_before_it_begins(tmp_path, monkeypatch):
    """Also where the output is no terminal, and with a name that looks like markup."""
    shown = io.StringIO()

    def load(name, spec, **options):
        assert [line.split("s ")[1].split()[0] for line in shown.getvalue().splitlines()] == ["run", "device", "data"]
        assert "[red]x" in shown.getvalue()
        raise DataError("nothing")

    monkeypatch.setattr(data_sets, "load", load)
    with pytest.raises(DataError, match="nothing"):
        run(TASK, tiny(tmp_path / "[red]x"), console=Console(file=shown, width=300), command="")


def test_presets_and_changes():
    assert parse(vww.TASK, []) == vww.TASK.presets["quick"]
    assert parse(vww.TASK, ["--preset", "paper"]) == vww.TASK.presets["paper"]
    changed = parse(fashion_mnist.TASK, ["--preset=smoke", "--nested.epochs", "7", "--subnetworks.budgets", "0.1", "1.0"])
    assert (changed.preset, changed.data, changed.nested.epochs) == ("smoke", "synthetic", 7)
    assert changed.subnetworks.budgets == (0.1, 1.0)
    assert changed.nested.batch_size == fashion_mnist.TASK.presets["smoke"].nested.batch_size


def test_the_network_is_an_option():
    """Its own presets come before those of the task; an unknown one is refused with the names that there are."""
    assert parse(TASK, ["--preset", "smoke"]) == TASK.presets["smoke"]
    second = parse(TASK, ["--network", "second", "--preset=smoke"])
    assert (second.network, second.output) == ("second", Path("second"))
    assert parse(TASK, ["--network=second"]) == dataclasses.replace(TASK.presets["quick"], network="second")
    assert TASK.network(second.network).architecture == "cnn_s"
    for argv in (["--network", "third"], ["--network=third"]):
        with pytest.raises(InvalidArgumentError, match="unknown network; got 'third'; allowed: first, second"):
            parse(TASK, argv)


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
    parts = Training(schedule="piecewise", learning_rates=(1.0, 0.5, 0.1))
    assert [parts.build(steps).schedule.boundaries for steps in (30, 3, 2, 0)] == [(10, 20), (1, 2), (1, 2), (1, 2)]


def test_pretrained_weights_that_do_not_fit(tmp_path):
    np.savez(tmp_path / "weights.npz", **{"net/a": np.ones(2)})
    options = tiny(tmp_path / "run", pretrained=tmp_path / "weights.npz", pretrained_prefix="other/")
    with pytest.raises(DataError, match="no array in .* starts with 'other/'"):
        run(Task("fashion_mnist", "t", {"n": Network("n", "vision_ds_cnn_s", {}, models.load_ds_cnn)}, {}), options,
            console=Console(quiet=True), command="")


def test_help_reads_well():
    shown = subprocess.run([sys.executable, "-m", "reds_jax.experiments.vww", "--help"], capture_output=True, text=True,
                           check=True).stdout
    for phrase in ("--preset {quick,smoke,paper}", "--subnetworks.budgets", "fractions of the full network", "--rivals"):
        assert phrase in shown
