"""Comparisons: paired within rounds, each round with its own data and start; what was measured once is not measured again."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from reds_jax.errors import CheckpointError, InfeasibleError, InvalidArgumentError
from reds_jax.experiments import compare as module
from reds_jax.experiments.compare import Comparison, compare, difference, table
from reds_jax.experiments.comparisons import COMPARISONS
from reds_jax.experiments.runner import parse
from reds_jax.experiments.speech_commands import TASK

ROUNDS = (3, 4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features of twelve classes, other ones in each round."""
    path = tmp_path_factory.mktemp("data")
    for number in ROUNDS:
        rng = np.random.default_rng(number)
        y = np.repeat(np.arange(12), 10).astype(np.int32)
        x = rng.normal(size=(120, 25, 10, 1)).astype(np.float32) + rng.normal(size=(12, 25, 10, 1))[y].astype(np.float32)
        np.savez(path / f"round_{number}.npz", x=x, y=y)
    return path


def options(folder, output, *more):
    return parse(TASK, ["--preset", "smoke", "--network", "dnn_s", "--data", f"npz:{folder}/round_{{round}}.npz", "--seed", "3",
                        "--nested.augment", "none", "--pretrain.augment", "none", "--output", str(output),
                        *more])


COMPARISON = Comparison("widths", "speech_commands", rounds=2, variants=(1, 5))


@pytest.fixture(scope="module")
def finished(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("compared")
    return output, compare(COMPARISON, TASK, options(folder, output), console=Console(quiet=True), command="reds compare ...")


def test_every_round_has_its_data_and_every_variant_its_widths(finished):
    _, results = finished
    assert [one["round"] for one in results["rounds"]] == list(ROUNDS)
    assert len({one["fingerprint"] for one in results["rounds"]}) == 2
    for one in results["rounds"]:
        assert list(one["cells"]) == ["uniform", "CES, gamma 2", "sum, no floor"]
        widths = [tuple(cell["subnetworks"][0]["widths"]) for cell in one["cells"].values()]
        assert widths[0] != widths[1]
        assert widths[0] != widths[2]
        for cell in one["cells"].values():
            assert [s["budget"] for s in cell["subnetworks"]] == [0.5, 1.0]
            assert all(s["macs_fraction"] <= s["budget"] for s in cell["subnetworks"])


def test_the_table_pairs_within_rounds(finished):
    """The error of a difference is that of the differences, not of the two means."""
    output, results = finished
    written = (output / "table.md").read_text(encoding="utf-8")
    assert written == table(results)
    cell = {name: np.array([[s["test_metric"] for s in one["cells"][name]["subnetworks"]] for one in results["rounds"]]) * 100
            for name in ("uniform", "CES, gamma 2")}
    assert f"| uniform | {cell['uniform'][:, 0].mean():.2f} | {cell['uniform'][:, 1].mean():.2f} |" in written
    apart = (cell["CES, gamma 2"] - cell["uniform"])[:, 0]
    expected = f"{apart.mean():+.2f} ± {abs(apart[0] - apart[1]) / 2:.2f}"
    assert re.search(rf"\| CES, gamma 2 \| {re.escape(expected)}", written)


def test_a_difference_has_its_standard_error_and_z():
    assert difference(np.array([1.0, 2.0, 3.0, 2.0])) == "+2.00 ± 0.41, z +4.9"
    assert difference(np.array([1.0, 1.0])) == "+1.00 ± 0.00"


def test_what_is_measured_is_kept_and_a_lost_cell_alone_is_measured_again(finished, folder, monkeypatch):
    output, results = finished
    again = compare(COMPARISON, TASK, options(folder, output), console=Console(quiet=True), command="again")
    assert again["rounds"] == results["rounds"]
    (lost,) = (output / "round_4").glob("CES*.json")
    before = json.loads(lost.read_text(encoding="utf-8"))
    lost.unlink()
    ran = []
    nest = module.TaskRun.nest
    monkeypatch.setattr(module.TaskRun, "nest", lambda self, *given: ran.append(given[0]) or nest(self, *given))
    compare(COMPARISON, TASK, options(folder, output), console=Console(quiet=True), command="again")
    assert ran == ["reds"]
    assert json.loads(lost.read_text(encoding="utf-8"))["subnetworks"] == before["subnetworks"]


def test_other_data_under_the_same_name_are_refused(finished, folder, tmp_path):
    output, _ = finished
    copy = tmp_path / "compared"
    shutil.copytree(output, copy)
    (lost,) = (copy / "round_4").glob("CES*.json")
    lost.unlink()
    path = folder / "round_4.npz"
    before = path.read_bytes()
    arrays = dict(np.load(path))
    np.savez(path, x=arrays["x"] + 1, y=arrays["y"])
    try:
        with pytest.raises(CheckpointError, match="other data"):
            compare(COMPARISON, TASK, options(folder, copy), console=Console(quiet=True), command="")
    finally:
        path.write_bytes(before)
    assert not lost.exists()


def test_a_variant_that_cannot_be_run_is_refused_before_anything_is_trained(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module.TaskRun, "start", lambda *given: pytest.fail("it trains"))
    with pytest.raises(InfeasibleError, match="no allowed widths"):
        compare(COMPARISON, TASK, options(folder, tmp_path / "out", "--subnetworks.budgets", "0.00001", "1.0"),
                console=Console(quiet=True), command="")


def test_other_options_are_refused(finished, folder):
    output, _ = finished
    with pytest.raises(CheckpointError, match="other options; got .*nested"):
        compare(COMPARISON, TASK, options(folder, output, "--nested.epochs", "2"), console=Console(quiet=True), command="")


def test_the_devices_are_passed_on_and_recorded_and_may_be_others(finished, folder, tmp_path, monkeypatch):
    output, results = finished
    assert results["devices"] == 1
    assert json.loads((output / "results.json").read_text(encoding="utf-8"))["devices"] == 1
    again = compare(COMPARISON, TASK, options(folder, output, "--devices", "1"), console=Console(quiet=True), command="again")
    for a, b in zip(again["rounds"], results["rounds"], strict=True):
        assert {name: cell["subnetworks"] for name, cell in a["cells"].items()} == {
            name: cell["subnetworks"] for name, cell in b["cells"].items()}
    assert "devices." not in table(results)
    assert "s in all, on 4 devices.\n" in table({**results, "devices": 4})
    given = []

    def stop(network, experiment, data, console):
        given.append(experiment.devices)
        raise KeyboardInterrupt

    monkeypatch.setattr(module.TaskRun, "of", stop)
    with pytest.raises(KeyboardInterrupt):
        compare(COMPARISON, TASK, options(folder, tmp_path / "a", "--devices", "1"), console=Console(quiet=True), command="")
    assert given == [1]


@pytest.mark.parametrize(("more", "message"), [
    (("--devices", "99"), "there are fewer devices; got 99"), (("--coordinator", "auto"), "a comparison runs in one process")])
def test_devices_that_are_not_there_are_refused_before_anything_is_written(folder, tmp_path, more, message):
    with pytest.raises(InvalidArgumentError, match=message):
        compare(COMPARISON, TASK, options(folder, tmp_path / "out", *more), console=Console(quiet=True), command="")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_comparison_runs_on_several_devices(folder, tmp_path):
    command = [sys.executable, "-m", "reds_jax", "compare", "widths", "speech_commands", "--rounds", "1", "--variants", "1",
               "--devices", "2", "--preset", "smoke", "--network", "dnn_s", "--data", f"npz:{folder}/round_{{round}}.npz",
               "--seed", "3", "--nested.augment", "none", "--pretrain.augment", "none", "--output", str(tmp_path / "out")]
    ended = subprocess.run(command, env={**os.environ, "JAX_NUM_CPU_DEVICES": "2", "JAX_PLATFORMS": "cpu"}, capture_output=True,
                           encoding="utf-8")
    assert ended.returncode == 0, ended.stderr
    assert "2 of 2 devices train together" in ended.stdout
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["devices"] == 2
    assert "on 2 devices" in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_an_option_that_was_not_there_when_the_comparison_began_has_its_default(folder, tmp_path):
    experiment, path = options(folder, tmp_path), tmp_path / "options.json"
    module._same_options(path, COMPARISON, experiment)
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["experiment"]["widen"], record["experiment"]["subnetworks"]["weight_bytes"]
    record["experiment"]["compilation_cache"] = "runs/.compilation_cache"  # an option of before
    path.write_text(json.dumps(record), encoding="utf-8")
    module._same_options(path, COMPARISON, experiment)
    with pytest.raises(CheckpointError, match=r"other options; got \['widen'\]"):
        module._same_options(path, COMPARISON, options(folder, tmp_path, "--widen", "1.5"))


@pytest.mark.parametrize(("given", "message"), [
    ({"name": "width"}, "comparison"), ({"task": "imagenet"}, "task"), ({"rounds": 0}, "rounds"),
    ({"variants": (99,)}, "variant")])
def test_what_cannot_be_compared_is_refused(given, message):
    with pytest.raises(InvalidArgumentError, match=message):
        Comparison(**{"name": "widths", "task": "vww", **given})


def test_the_words_of_a_command_are_parted():
    own, rest = module._parted(["orders", "vww", "--variants", "1", "2", "--limit", "9", "--rounds", "3", "--seed=1"])
    assert own == ["orders", "vww", "--variants", "1", "2", "--rounds", "3"]
    assert rest == ["--limit", "9", "--seed=1"]


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_variant_is_one_that_can_be_run(name):
    experiment = TASK.presets["quick"]
    names = [variant.name for variant in COMPARISONS[name]]
    assert len(set(names)) == len(names)
    for variant in COMPARISONS[name]:
        variant.of(experiment)
