"""The record of a run: results.json, report.md with its table, and the plot of the metric against true MACs."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from reds_jax.console import escape
from reds_jax.errors import MetricError
from reds_jax.knapsack import Promise
from reds_jax.lowering import form
from reds_jax.memory import memory_state
from reds_jax.optional import needs
from reds_jax.training.metric import Metric
from reds_jax.version import __version__

LABELS = {
    "reds": "REDS (this library)",
    "uniform_sorted": "uniform widths, sorted channels",
    "uniform_live": "uniform widths of live channels, sorted",
    "uniform_unsorted": "uniform widths, unsorted channels",
    "paper": "knapsack, the paper's score and value",
    "magnitude": "knapsack, magnitude (L1)",
}
PACKAGES = ("jax", "flax", "optax", "numpy")


@dataclass(frozen=True)
class BeforeTraining:
    """The validation metric of a subnetwork of the sorted network, without nested training.

    Args:
        recalibrated: with batch statistics of its own.
        repaired: and with repaired consumers, see `reds_jax.repair`, which no nested subnetworks can share.
    """

    recalibrated: float
    repaired: float


@dataclass(frozen=True)
class Predicted:
    """What a subnetwork costs by the latency table that bounds it.

    Args:
        unit: of the table.
        cost: in that unit.
        fraction: of what the budgets are fractions of.
    """

    unit: str
    cost: float
    fraction: float

    def __str__(self) -> str:
        return f"{self.cost:,.{0 if self.unit == 'instructions' else 1}f} ({100 * self.fraction:.1f} %)"


@dataclass(frozen=True)
class SubnetworkResult:
    """One subnetwork: its budget, what it costs in truth, and how good it is (accuracies are fractions of 1).

    ``param_bytes`` are those of the parameters that it reads at its widths, its private ones among them; the private ones of
    the others are not counted.
    """

    budget: float
    macs: int
    macs_fraction: float
    param_bytes: int
    peak_memory_bytes: int
    widths: tuple[int, ...]
    metric_name: str
    validation_metric: float
    test_metric: float
    test_loss: float
    before_training: BeforeTraining | None = None
    predicted: Predicted | None = None

    @property
    def validation_accuracy(self) -> float:
        """The validation metric, if that is an accuracy; an error otherwise."""
        return self._accuracy(self.validation_metric)

    @property
    def test_accuracy(self) -> float:
        """The test metric, if that is an accuracy; an error otherwise."""
        return self._accuracy(self.test_metric)

    def _accuracy(self, value: float) -> float:
        if self.metric_name != "accuracy":
            raise MetricError("the accuracy was not measured", got=self.metric_name, hint="Read .test_metric.")
        return value


@dataclass(frozen=True)
class MethodResult:
    """One way of choosing widths, trained with the same steps: its subnetworks from small to large."""

    method: str
    metric: Metric
    subnetworks: tuple[SubnetworkResult, ...]
    certificate: float | None  # value over the sum of the separate optima (a ratio of geometric means for logarithms)
    proven_optimal: bool | None
    solver_seconds: float | None
    train_seconds: float
    promise: Promise | None = None  # what the certificate is at least, by the theorem on scaled widths, or why nothing is known


def environment() -> dict[str, Any]:
    """Machine, versions and commit of this run."""
    import jax

    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {_processor()}",
        "device": str(jax.devices()[0].device_kind),
        "form": form(),
        "memory": memory_state(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES} | {"reds_jax": __version__},
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _commit() -> str:
    """The commit of the source tree, with ``-dirty`` if it has changes; "not a checkout" outside git."""
    try:
        found = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True,
                               encoding="utf-8", cwd=Path(__file__).parent, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return "git is not available"
    return found.stdout.strip() or "not a checkout"


def to_json(value: Any) -> str:
    """Indented JSON of dataclasses, paths, tuples and numbers."""

    def plain(v: Any) -> Any:
        if hasattr(v, "__dataclass_fields__"):
            return asdict(v)
        return v.item() if hasattr(v, "item") else str(v)

    return json.dumps(value, indent=2, default=plain) + "\n"


def cell(text: str) -> str:
    r"""Outside text within a line or a cell of Markdown: one line, and no mark-up.

    >>> print(cell("a|b <c> [d]"))
    a\|b \<c> \[d]
    """
    return re.sub(r"([\\`*|<\[])", r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Outside text as code of Markdown, in as many backticks as it needs."""
    marks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    space = " " if "`" in text else ""
    return f"{marks}{space}{' '.join(text.splitlines())}{space}{marks}"


def metric_table(methods: Sequence[MethodResult]) -> Table:
    """The metric of every method for the terminal."""
    metric = methods[0].metric
    table = Table(title=f"test {escape(metric.label)} at true MACs %{_direction(metric)}")
    table.add_column("method")
    for s in methods[0].subnetworks:
        table.add_column(f"{100 * s.budget:g} %", justify="right")
    for m in methods:
        table.add_row(escape(LABELS.get(m.method, m.method)),
                      *(f"{metric.number(s.test_metric)} @ {100 * s.macs_fraction:.1f}" for s in m.subnetworks))
        if costs := predicted(m):
            table.add_row(f"  predicted {unit_of(m)}", *costs)
        for label, values in before_training(m):
            table.add_row(f"  before training, {label} (validation)", *map(metric.number, values))
    return table


def predicted(method: MethodResult) -> list[str]:
    """What each subnetwork costs by the latency table, with the share in percent; nothing where there was none."""
    return [str(s.predicted) for s in method.subnetworks if s.predicted is not None]


def unit_of(method: MethodResult) -> str:
    """The unit of `predicted`, if there is any."""
    return next((s.predicted.unit for s in method.subnetworks if s.predicted is not None), "")


def before_training(method: MethodResult) -> list[tuple[str, list[float]]]:
    """What was measured before the nested training, a value for each subnetwork; nothing where it was not asked for."""
    found = [s.before_training for s in method.subnetworks if s.before_training is not None]
    return [("own statistics", [f.recalibrated for f in found]),
            ("repaired consumers", [f.repaired for f in found])] if found else []


def _direction(metric: Metric) -> str:
    """Said only where it is not what one expects of a curve."""
    return "" if metric.higher_is_better else " (lower is better)"


def markdown(results: Mapping[str, Any], methods: Sequence[MethodResult]) -> str:
    """report.md: what was run, on what, and the table."""
    data, run, metric = results["data"], results["environment"], methods[0].metric
    name, unit, by_table = cell(metric.name), cell(metric.unit or metric.name), unit_of(methods[0])
    lines = [f"# {cell(results['title'])}", ""]
    if data["synthetic"]:
        lines += ["**Synthetic stand-in.** The data are made from a seed. These figures say that the pipeline works; "
                  "they say nothing about real data.", ""]
    lines += [
        f"- command: {code(results['command'])}",
        f"- data: {cell(data['source'])}; {data['train']} training, {data['validation']} validation, {data['test']} test "
        f"examples (fingerprint {data['fingerprint'][:16]})",
        f"- seed {results['seed']}, commit {run['commit']}, {cell(run['machine'])}, "
        f"device {cell(run['device'])}, "
        f"jax {run['versions']['jax']}, flax {run['versions']['flax']}",
        f"- time: {results['seconds']:.0f} s in all",
        f"- the network that it starts from: {cell(metric.text(results['start']['test_metric']))} test "
        f"{name} ({cell(results['start']['how'])})",
        *(["- batch norm: each subnetwork has trained a scale and an offset of its own; its parameter bytes count no others"]
          if results.get("norms") == "private" else []),
        *_bounds(results.get("bounds", {})), "",
        f"The test {name} is read once, at the end; every choice was made on validation data.{_direction(metric)}", "",
        f"| method | budget | true MACs | MACs % |{f' predicted {by_table} |' if by_table else ''} parameter bytes | "
        f"peak memory bytes | widths | validation {unit} | test {unit} |",
        f"|---|---:|---:|---:|{'---:|' if by_table else ''}---:|---:|---|---:|---:|",
    ]
    for m in methods:
        for s in m.subnetworks:
            cost = f"{s.predicted} | " if by_table else ""
            lines.append(
                f"| {cell(LABELS.get(m.method, m.method))} | {100 * s.budget:g} % | {s.macs:,} | {100 * s.macs_fraction:.1f} | "
                f"{cost}{s.param_bytes:,} | {s.peak_memory_bytes:,} | {' '.join(map(str, s.widths))} | "
                f"{metric.number(s.validation_metric)} | {metric.number(s.test_metric)} |")
    if any(before_training(m) for m in methods):
        lines += ["", f"Validation {unit} of the same subnetworks before the nested training: with batch statistics of their "
                  "own, and with the layers that read a prefix repaired by least squares, which they cannot share.", "",
                  "| method | | " + " | ".join(f"{100 * s.budget:g} %" for s in methods[0].subnetworks) + " |",
                  "|---|---|" + "---:|" * len(methods[0].subnetworks)]
        lines += [f"| {cell(LABELS.get(m.method, m.method))} | {label} | " + " | ".join(map(metric.number, values)) + " |"
                  for m in methods for label, values in before_training(m)]
    lines += ["", "Channel groups: " + ", ".join(f"{cell(g['name'])} ({g['size']})" for g in results["groups"]) + ".", ""]
    for m in methods:
        if m.certificate is not None:
            proven = "proven optimal" if m.proven_optimal else "not proven optimal"
            promised = f" ({cell(str(m.promise))})" if m.promise is not None else ""
            lines.append(f"{cell(LABELS.get(m.method, m.method))}: certificate {m.certificate:.4f} of the separate optima"
                         f"{promised}, {proven} jointly, {m.solver_seconds:.2f} s; training {m.train_seconds:.0f} s.  ")
    return "\n".join([*lines, "", f"![{name} against true MACs]({metric.slug}.png)", ""])


def _bounds(bounds: Mapping[str, Any]) -> list[str]:
    """What every subnetwork of the table was to meet beside its budget."""
    words = {"base_macs": "budgets of {:,} MACs, the base's", "weight_bytes": "parameters of at most {:,} bytes",
             "peak_memory_bytes": "a peak memory of at most {:,} bytes",
             "latency_table": "the budgets hold for the latency table {} as well", "base_latency": "they are of {:,.1f} by it"}
    given = [text.format(bounds[name]) for name, text in words.items() if bounds.get(name) is not None]
    return [f"- bounds: {'; '.join(given)}"] if given else []


def check_plots() -> None:
    """Raises a MissingDependencyError now rather than after the training, where there is no matplotlib to draw `plot`."""
    with needs("matplotlib", "a plot"):
        import matplotlib  # noqa: F401


def plot(path: Path, methods: Sequence[MethodResult], *, title: str, start: float | None = None) -> None:
    """Draw the test metric against true MACs, one line a method; ``start`` is that of the network before."""
    metric = methods[0].metric
    scale = 100 if metric.unit == "%" else 1
    with needs("matplotlib", "a plot"):
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        if start is not None:
            axes.axhline(scale * start, color="0.7", linestyle=":", label="the network before")
        for i, m in enumerate(methods):
            axes.plot([s.macs for s in m.subnetworks], [scale * s.test_metric for s in m.subnetworks], marker="o",
                      color="C0" if i == 0 else f"C{i}", linewidth=2 if i == 0 else 1.2, zorder=10 - i,
                      label=LABELS.get(m.method, m.method))
        axes.set_xlabel("true MACs of one inference")
        axes.set_ylabel(f"test {metric.label}{_direction(metric)}", parse_math=False)
        axes.set_xlim(left=0)
        axes.set_title(title, fontsize=10, parse_math=False)
        axes.legend(frameon=False, fontsize=8, loc="lower right" if metric.higher_is_better else "upper right")
        FigureCanvasAgg(figure)
        temporary = path.with_name(f".{path.name}.partial")
        figure.savefig(temporary, format="png", dpi=150)
        os.replace(temporary, path)
