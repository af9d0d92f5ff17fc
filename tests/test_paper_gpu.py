"""The run of the paper's vision networks in a given time: images without loss, epochs that fit, a stop loses little."""

import importlib
import json
import sys
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console
from test_lean import lean

from reds_jax import data as data_sets
from reds_jax.choice import Subnetworks
from reds_jax.data import DataSet, Split
from reds_jax.errors import CheckpointError, DataError, InvalidArgumentError
from reds_jax.experiments.config import Experiment, Nested, Training
from reds_jax.experiments.published import PUBLISHED
from reds_jax.experiments.task import Network, Task
from reds_jax.report import MethodResult, SubnetworkResult
from reds_jax.training import Evaluation, Metric

FOLDER = Path(__file__).parents[1] / "experiments" / "paper_gpu"
sys.path.insert(0, str(FOLDER))
packed_data, paper_gpu, published_table, time_plan = map(
    importlib.import_module, ("packed_data", "paper_gpu", "published_table", "time_plan"))
sys.path.remove(str(FOLDER))

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.sampled_from((1, 3)))


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, shape, elements=st.sampled_from((0, 1, 100, 128, 254, 255)))))
@settings(deadline=None, max_examples=40)
def test_packed_images_come_back_as_they_were(images):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed_data, "CHUNK", 2)
        np.testing.assert_array_equal(packed_data.unpack(packed_data.pack(images), images.shape), images)


def test_the_prediction_leaves_nothing_of_stripes_and_of_the_other_channels_of_grey():
    stripes = np.random.default_rng(0).integers(0, 256, (5, 8), np.uint8)
    for axis in (1, 2):
        grey = np.repeat(np.expand_dims(stripes, axis), 8, axis)  # [N, H, W], the same along the axis
        left = packed_data._residuals(np.repeat(grey[..., None], 3, -1))
        assert not left[:, 1:].any()
        assert left[:, 0].any()
        assert not np.take(left[:, 0], range(1, 8), axis).any()


def test_a_file_holds_what_was_read_or_all_test_images_and_fewer_others(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 9, (900, 12, 12, 3), np.uint8), np.arange(900) % 10
    np.savez(tmp_path / "x.npz", x_train=x[:800], y_train=y[:800], x_test=x[800:], y_test=y[800:])
    monkeypatch.setattr(packed_data, "SAMPLE", 100)
    place, path = {"cifar10": f"npz:{tmp_path / 'x.npz'}"}, tmp_path / "packed.npz"
    everything = data_sets.load("cifar10", place["cifar10"], seed=3)
    packed_data.write(path, place, seed=3, note="drawn")
    found = packed_data.read(path)["cifar10"]
    assert found.fingerprint == everything.fingerprint
    assert (found.normalise, found.source) == (everything.normalise, f"{everything.source}; drawn")
    assert [len(s) for s in packed_data.read(path, limit=50)["cifar10"].splits.values()] == [50, 50, 50]

    size = path.stat().st_size / 1e6
    line, = packed_data.write(path, place, seed=3, megabytes=0.6 * size)
    part = packed_data.read(path)["cifar10"]
    assert 0.5 * size < path.stat().st_size / 1e6 <= 0.6 * size
    np.testing.assert_array_equal(part.test.images, everything.test.images)
    assert len(part.train) / len(everything.train) == pytest.approx(len(part.validation) / len(everything.validation), abs=0.02)
    assert f"{len(part.train)} of its 720 training images and all test images" in line
    assert line.endswith(part.source)
    path.unlink()
    with pytest.raises(InvalidArgumentError, match="no room for training images"):
        packed_data.write(path, place, megabytes=0.1 * size)
    monkeypatch.setattr(packed_data, "RESERVE", 1.5)
    with pytest.raises(InvalidArgumentError, match="do not fit"):
        packed_data.write(path, place, megabytes=0.6 * size)
    assert not path.exists()
    with pytest.raises(DataError, match="no packed images"):
        packed_data.read(tmp_path / "x.npz")


TIMES = st.floats(1e-3, 10)
COSTS = st.builds(time_plan.Cost, TIMES, TIMES, TIMES)


def log_of(cost, epochs, dispatches, steps):
    """What a run leaves whose first dispatch compiles for 7 s."""
    log, step = [], 0
    for epoch in range(epochs):
        for k in range(dispatches):
            step += steps
            log.append({"kind": "train", "epoch": epoch, "step": step, "seconds": steps * cost.step + (0 if epoch or k else 7)})
        trained = sum(r["seconds"] for r in log if r["kind"] == "train" and r["epoch"] == epoch)
        log.append({"kind": "epoch", "epoch": epoch, "step": step, "seconds": trained + cost.rest})
    return log


@given(COSTS, st.integers(2, 4), st.integers(1, 3), st.integers(1, 5))
def test_the_cost_of_a_stage_is_read_from_its_log(cost, epochs, dispatches, steps):
    log = log_of(cost, epochs, dispatches, steps)
    wall = cost.fixed + epochs * cost.epoch(dispatches * steps)
    found = time_plan.measured(log, wall)
    np.testing.assert_allclose((found.fixed, found.step, found.rest), (cost.fixed, cost.step, cost.rest), rtol=1e-6, atol=1e-9)
    assert time_plan.step_seconds(log) == pytest.approx(cost.step)
    assert time_plan.step_seconds(log[:1]) is None


@given(st.lists(COSTS, min_size=1, max_size=3), st.integers(1, 50), st.floats(0, 3000), st.integers(1, 40))
def test_the_epochs_are_the_most_that_fit(costs, steps, seconds, most):
    def needed(epochs):
        return sum(cost.fixed + epochs * cost.epoch(steps) for cost in costs)

    found = time_plan.epochs_that_fit(costs, steps, seconds, most=most)
    assert found == 1 or (found <= most and needed(found) <= time_plan.MARGIN * seconds * (1 + 1e-9))
    assert found == most or needed(found + 1) > time_plan.MARGIN * seconds * (1 - 1e-9)


VISION = {task: found for (task, network), found in PUBLISHED.items() if network == "vision_ds_cnn_s"}
COSTLY = {"pretrain": time_plan.Cost(20, 0.5, 1), "nested": time_plan.Cost(40, 1.5, 2)}
PLAIN = Training(epochs=12, batch_size=8, schedule="piecewise", learning_rates=(1e-2, 1e-3))
PAPER = Experiment(preset="paper", subnetworks=Subnetworks(scoring_batches=2), pretrain=PLAIN, nested=Nested(**vars(PLAIN)))
TASKS = {name: Task(name, name, {"tiny": Network("tiny", "tiny")}, {"paper": PAPER}) for name in VISION}


class Clock:
    """Seconds, which pass where a stage runs."""

    def __init__(self):
        self.now, self.trained, self.stop_at = 100.0, [], None

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Stages that train nothing, cost what `COSTLY` says, and leave a log that says so."""
    found = Clock()

    class Quick(paper_gpu.Run):
        def initial(self, network):
            return {}, "nothing"

        def measure(self, variables, part):
            return Evaluation(0.75, 1.0, 10, Metric("accuracy", "%", True))

        def pass_for(self, stage, folder):
            cost, epochs = COSTLY[stage], getattr(self.experiment, stage).epochs
            (self.experiment.output / folder).mkdir(parents=True, exist_ok=True)
            (self.experiment.output / folder / "metrics.jsonl").write_text(
                "\n".join(map(json.dumps, log_of(cost, epochs, 1, self.steps))), encoding="utf-8")
            found.trained.append((folder, epochs, len(self.data.train)))
            found.now += cost.fixed + epochs * cost.epoch(self.steps)
            if found.stop_at == found.trained[-1][0]:
                raise KeyboardInterrupt

        def start(self, variables):
            self.pass_for("pretrain", "pretrain")
            return {}

        def nest(self, method, variables):
            self.pass_for("nested", f"nested_{method}")
            subnetworks = tuple(SubnetworkResult(b, int(100 * b), b - 0.01, 1, 1, (1,), "accuracy", 0.5, b / 2, 1.0)
                                for b in (0.25, 0.5, 0.75, 1.0))
            return None, MethodResult(method, Metric("accuracy", "%", True), subnetworks, None, None, None, found.now)

    monkeypatch.setattr(paper_gpu, "Run", Quick)
    monkeypatch.setattr(paper_gpu.models, "build", lambda name, arguments: None)
    monkeypatch.setattr(paper_gpu, "TRIAL_STEPS", 4)
    monkeypatch.setattr(paper_gpu, "ENOUGH", 4)
    return found


@pytest.fixture(scope="module")
def two():
    rng = np.random.default_rng(0)
    return {name: DataSet(name, *(Split.of_images(rng.integers(0, 256, (n, 2, 2, 1), np.uint8), np.arange(n) % 2)
                                  for n in (64, 10, 10)), ("dark", "light")) for name in TASKS}


def go(data, output, clock, seconds, **more):
    console = Console(quiet=True)
    return paper_gpu.run(data, output, seconds=seconds, tasks=TASKS, clock=clock, console=console, command="c", **more)


def test_the_published_figures_are_those_of_the_experiments():
    for name, published in VISION.items():
        page = sys.modules[f"reds_jax.experiments.{name}"].__doc__
        assert " / ".join(f"{accuracy:.1f}" for accuracy in published.nested) in " ".join(page.split())


@pytest.mark.parametrize(("seconds", "compared"), [(1000, True), (600, False)])
def test_a_run_takes_the_time_that_it_is_given(two, tmp_path, clock, seconds, compared):
    """Both data sets have their share, and the rival runs where enough epochs fit."""
    results = go(two, tmp_path, clock, seconds, started=90)
    assert 0.8 * seconds < clock.now - 90 <= seconds
    assert results["seconds"] == clock.now - 90
    stages = ["pretrain", "nested_reds", *["nested_uniform_sorted"] * compared]
    assert [folder for folder, _, _ in clock.trained] == ["pretrain", "nested_reds", *stages] * 2
    for i, task in enumerate(results["tasks"].values()):
        mine = clock.trained[i * len(clock.trained) // 2 :][: 2 + len(stages)]
        assert mine[:2] == [("pretrain", 2, 32), ("nested_reds", 2, 32)]  # the trial
        assert mine[2:] == [(folder, task["epochs"][folder.partition("_")[0]], 64) for folder in stages]
        assert task["compared"] == compared
        assert min(task["epochs"].values()) >= 4
        assert task["step_ms"] == pytest.approx({"pretrain": 500, **dict.fromkeys(task["methods"], 1500)})
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["tasks"].keys() == two.keys()
    page = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert page == published_table.table(results)
    for published in VISION.values():
        assert f"75.00 % on test images (published {published.base:.2f} %)" in page
        for budget, accuracy in zip((1.0, 0.75, 0.5, 0.25), published.nested, strict=True):
            cell = f" {50 * budget:.2f} at {100 * budget - 1:.1f} % |"
            assert f"| {100 * budget:g} % | {accuracy:.2f} |{cell * (1 + compared)}\n" in page


def test_a_stopped_run_goes_on_as_it_was_planned(two, tmp_path, clock):
    first, second = two
    clock.stop_at = "nested_uniform_sorted"
    with pytest.raises(KeyboardInterrupt):
        go(two, tmp_path, clock, 1000)
    stored = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    task, spent = stored["tasks"][first], clock.now - 100
    assert (list(stored["tasks"]), list(task["methods"]), stored["seconds"]) == ([first], ["reds"], spent)
    clock.stop_at, clock.trained, clock.now = None, [], 5000.0  # nobody counts the time in which nothing runs
    results = go(two, tmp_path, clock, 1000)
    assert results["seconds"] == spent + clock.now - 5000
    assert clock.trained[:3] == [("pretrain", task["epochs"]["pretrain"], 64),  # which ends at once, by its checkpoint
                                 ("nested_uniform_sorted", task["epochs"]["nested"], 64), ("pretrain", 2, 32)]
    assert results["tasks"][first]["methods"]["reds"] == task["methods"]["reds"]
    assert set(results["tasks"][first]["methods"]) == {"reds", "uniform_sorted"}
    assert "reds" in results["tasks"][second]["methods"]
    other = {first: two[second], second: two[second]}
    for data, more in ((other, {}), (two, {"seed": 1})):
        with pytest.raises(CheckpointError, match="other options or data"):
            go(data, tmp_path, clock, 1000, **more)


def test_without_time_a_data_set_waits_for_more(two, tmp_path, clock):
    results = go(two, tmp_path, clock, 50)
    first, second = two
    assert list(results["tasks"]) == [first]
    assert results["tasks"][first]["epochs"] == {"pretrain": 1, "nested": 1}
    assert not results["tasks"][first]["compared"]
    spent = results["seconds"]
    assert list(go(two, tmp_path, clock, spent - 1)["tasks"]) == [first]
    clock.trained = []
    results = go(two, tmp_path, clock, spent + 500)
    assert clock.trained[1] == ("pretrain", 2, 32)
    assert results["tasks"][first]["epochs"] == {"pretrain": 1, "nested": 1}
    assert min(results["tasks"][second]["epochs"].values()) > 1


class Tiny(nn.Module):
    """One hidden layer."""

    @nn.compact
    def __call__(self, x, train=False):
        return nn.Dense(2)(nn.relu(nn.Dense(8)(x.reshape(len(x), -1))))


def test_the_stages_train_by_the_preset(two, tmp_path, monkeypatch):
    """With time for all epochs: the library's own training, with the trial before it, whose folder is gone."""
    monkeypatch.setattr(paper_gpu.models, "build", lambda name, arguments: Tiny())
    monkeypatch.setattr(paper_gpu.tempfile, "tempdir", str(tmp_path))
    name = next(iter(two))
    results = go({name: two[name]}, tmp_path / "run", lambda: 0.0, 1e9)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    task = results["tasks"][name]
    assert task["epochs"] == {"pretrain": 12, "nested": 12}
    for stage in ("pretrain", "nested_reds"):
        log = time_plan.read_log(tmp_path / "run" / name / stage)
        assert [record["epoch"] for record in log if record["kind"] == "epoch"] == list(range(12))
        rates = [record["learning_rate"] for record in log if record["kind"] == "train"]
        np.testing.assert_allclose(rates, [1e-2] * 6 + [1e-3] * 6)
    assert [s["macs_fraction"] <= s["budget"] for s in task["methods"]["reds"]["subnetworks"]] == [True] * 4
    assert all(0 < cost["step"] < 5 and 0 < cost["rest"] < 60 and cost["fixed"] == 0 for cost in task["costs"])


def test_the_command_needs_only_what_a_bare_machine_has():
    done = lean("sys.path.insert(0, sys.argv[1]); import paper_gpu; paper_gpu.main(['run', '--help'])", str(FOLDER))
    assert done.returncode == 0, done.stderr
    assert "--seconds" in done.stdout


@pytest.mark.slow
def test_the_command_runs_on_a_bare_machine(tmp_path):
    """The network of the paper itself, on rendered shapes."""
    for words in ("prepare {0}/a.npz --fashion synthetic", "run {0}/a.npz --seconds 60 --limit 130 --output {0}/b"):
        done = lean("sys.path.insert(0, sys.argv[1]); import paper_gpu; paper_gpu.main(sys.argv[2:])", str(FOLDER),
                    *words.format(tmp_path).split())  # fmt: skip
        assert done.returncode == 0, done.stderr
    page = (tmp_path / "b" / "table.md").read_text(encoding="utf-8")
    assert "130 / 130 / 130 training / validation / test images" in page
    assert page.count(" at 100.0 %") >= 1
