"""The record follows the metric: its name, its unit, its direction."""

import io
import json
import re
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError

import pytest
from rich.console import Console

from reds_jax import report
from reds_jax.errors import MetricError
from reds_jax.knapsack import Promise
from reds_jax.report import BeforeTraining, MethodResult, SubnetworkResult
from reds_jax.training import Metric
from reds_jax.training.log import Display
from reds_jax.version import __version__

ACCURACY, ERROR = Metric("accuracy", "%", True), Metric("mean absolute error", "K")
RESULTS = {
    "title": "a title", "command": "the command", "seed": 3, "seconds": 12.0, "groups": [{"name": "a", "size": 8}],
    "data": {"synthetic": True, "source": "somewhere", "train": 10, "validation": 4, "test": 5, "fingerprint": "f" * 64},
    "environment": {"commit": "abc", "machine": "m", "device": "cpu", "versions": {"jax": "1", "flax": "2"}},
    "start": {"how": "trained", "test_metric": 0.25},
}


def method(metric):
    small, full = (SubnetworkResult(b, int(100 * b), b, 10, 20, (4,), metric.name, 0.5, value, 1.0)
                   for b, value in ((0.5, 0.123456), (1.0, 0.0987654)))
    return MethodResult("reds", metric, (small, full), 0.9, True, 0.1, 5.0)


@pytest.mark.parametrize(("norms", "said"), [({}, False), ({"norms": "shared"}, False), ({"norms": "private"}, True)])
def test_private_norms_are_named(norms, said):
    """Nothing is said of shared ones, or of a record from before there was a choice."""
    assert ("a scale and an offset of its own" in report.markdown({**RESULTS, **norms}, [method(ACCURACY)])) == said


@pytest.mark.parametrize(("metric", "cells", "start", "direction"), [
    (ACCURACY, "| 50.00 | 12.35 |", "starts from: 25.00 % test accuracy", False),
    (ERROR, "| 0.5 | 0.1235 |", "starts from: 0.25 K test mean absolute error", True),
])
def test_the_page_and_the_table(metric, cells, start, direction):
    text = report.markdown(RESULTS, [method(metric)])
    assert cells in text
    assert start in text
    assert f"The test {metric.name} is read once" in text
    assert f"![{metric.name} against true MACs]({metric.slug}.png)" in text
    out = io.StringIO()
    Console(file=out, width=200).print(report.metric_table([method(metric)]))
    for shown in (text, out.getvalue()):
        assert ("(lower is better)" in " ".join(shown.split())) == direction
    assert f"test {metric.label} at true MACs %" in out.getvalue()
    assert cells.split("|")[2].strip() + " @ 50.0" in out.getvalue()


def test_the_environment_of_a_checkout_that_was_not_installed(monkeypatch):
    def version(name):
        if name == "reds_jax":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(report, "version", version)
    others = dict.fromkeys(("jax", "flax", "optax", "numpy"), "1")
    assert report.environment()["versions"] == {**others, "reds_jax": __version__}


def test_what_was_measured_before_the_training_is_shown_where_it_was_asked_for():
    plain = method(ACCURACY)
    asked = replace(plain, method="paper", subnetworks=tuple(
        replace(s, before_training=BeforeTraining(0.25 + s.budget / 10, 0.375)) for s in plain.subnetworks))
    out = io.StringIO()
    Console(file=out, width=200).print(report.metric_table([plain, asked]))
    page = report.markdown(RESULTS, [plain, asked]).splitlines()
    rows = [line for line in page if "| own statistics" in line or "| repaired" in line]
    assert rows == ["| knapsack, the paper's score and value | own statistics | 30.00 | 35.00 |",
                    "| knapsack, the paper's score and value | repaired consumers | 37.50 | 37.50 |"]
    shown = [line.split("│")[2].strip() for line in out.getvalue().splitlines() if "before training" in line]
    assert shown == ["30.00", "37.50"]
    assert "before" not in report.markdown(RESULTS, [plain]).replace("the network before", "")
    assert json.loads(report.to_json(asked))["subnetworks"][1]["before_training"] == {"recalibrated": 0.35, "repaired": 0.375}


def test_the_plot_has_its_axis_and_the_legend_out_of_the_way(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def spy(self, *arguments, **options):
        figures.append(self)
        return save(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    for metric in (ACCURACY, ERROR):
        report.plot(tmp_path / f"{metric.slug}.png", [method(metric)], title="t", start=0.25)
    accuracy, error = (figure.axes[0] for figure in figures)
    assert accuracy.get_ylabel() == "test accuracy %"
    assert error.get_ylabel() == "test mean absolute error K (lower is better)"
    assert [line.get_ydata()[0] for line in accuracy.lines] == pytest.approx([25, 12.3456])
    assert [line.get_ydata()[0] for line in error.lines] == pytest.approx([0.25, 0.123456])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["accuracy.png", "mean_absolute_error.png"]


def test_an_accuracy_is_asked_for_only_where_it_was_measured():
    assert method(ACCURACY).subnetworks[0].test_accuracy == 0.123456
    assert method(ACCURACY).subnetworks[0].validation_accuracy == 0.5
    with pytest.raises(MetricError, match=r"accuracy was not measured; got 'mean absolute error'. Read .test_metric"):
        _ = method(ERROR).subnetworks[0].test_accuracy
    stored = json.loads(report.to_json({"methods": [method(ERROR)]}))["methods"][0]
    assert stored["metric"] == asdict(ERROR)
    assert stored["subnetworks"][0]["test_metric"] == 0.123456


def test_the_console_shows_the_metric():
    record = {"epoch": 0, "objective": 1.5, "validation_metric": [0.5, float("nan")], "validation_mean": 0.5, "seconds": 2.0,
              "best": True}
    out = io.StringIO()
    for metric in (ACCURACY, ERROR):
        with Display(Console(file=out, width=150), metric, None, 0) as display:
            display.epoch(record)
    assert out.getvalue().splitlines() == [
        "epoch 1: loss 1.5000, validation accuracy % 50.0 - (mean 50.00), 2.0 s  *",
        "epoch 1: loss 1.5000, validation mean absolute error K 0.5 - (mean 0.5), 2.0 s  *"]


def test_names_from_outside_break_neither_a_row_nor_the_page_nor_a_picture(tmp_path):
    """A bar would make a column, a line's end a row, a backtick would end the code, two dollars would be mathematics."""
    metric = Metric("a|b\n[c](d) $x^$", "|")
    results = {**RESULTS, "command": "run --data '`a`|\n'", "groups": [{"name": "block|0*", "size": 8}],
               "data": {**RESULTS["data"], "source": "npz:/a|b\n# <i>"}}
    text = report.markdown(results, [method(metric)])
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {10}
    assert "- command: `` run --data '`a`| ' ``" in text.splitlines()
    assert "Channel groups: block\\|0\\* (8)." in text
    assert "- data: npz:/a\\|b # \\<i>; 10 training" in text
    assert "![a\\|b \\[c](d) $x^$ against true MACs](a_b_c_d_x.png)" in text
    out = io.StringIO()
    Console(file=out, width=200).print(report.metric_table([method(Metric("error", "[k]"))]))
    assert "test error [k] at true MACs" in out.getvalue()
    report.plot(tmp_path / "a.png", [method(metric)], title="$x^$")


def test_what_takes_long_is_not_silent_where_there_is_no_terminal(monkeypatch):
    """A line of its own when 30 s brought none, without control characters; a unit in brackets is no markup."""
    now, out = [0.0], io.StringIO()
    monkeypatch.setattr("reds_jax.training.log.time.monotonic", lambda: now[0])
    with Display(Console(file=out, width=150), Metric("error", "[k]"), 400, 0) as display:
        for step in range(0, 100, 10):
            now[0] += 11
            display.steps({"epoch": 0, "step": step, "objective": 1.5, "metric": [0.25]})
    assert out.getvalue().splitlines() == [
        f"epoch 1: step {step} of 400, loss 1.500  error [k] 0.25" for step in (20, 50, 80)]
    terminal = Console(file=io.StringIO(), width=150, force_terminal=True)
    with Display(terminal, Metric("error", "[k]"), 400, 0) as display:
        display.steps({"epoch": 0, "step": 10, "objective": 1.5, "metric": [0.25]})
        display._bar.refresh()
    assert "error [k] 0.25" in terminal.file.getvalue()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("promise", "said"), [
    (Promise(0.5, None, None), "certificate 0.9000 of the separate optima (scaling promises 0.5000), proven"),
    (Promise(None, None, None, "why"), "of the separate optima (scaling promises nothing, because why), proven"),
    (None, "certificate 0.9000 of the separate optima, proven optimal jointly"),
])
def test_the_promise_is_beside_the_certificate(promise, said):
    assert said in report.markdown(RESULTS, [replace(method(ACCURACY), promise=promise)])
