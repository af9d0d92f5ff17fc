"""The record follows the metric: its name, its unit, its direction."""

import io
import json
from dataclasses import asdict

import pytest
from rich.console import Console

from reds_jax import report
from reds_jax.errors import MetricError
from reds_jax.report import MethodResult, SubnetworkResult
from reds_jax.training import Metric
from reds_jax.training.log import Display

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
