"""Run an experiment: data, training, the stages of `reds_jax.pipeline`, the rivals, the report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from reds_jax import data as data_sets
from reds_jax import models, pipeline, report
from reds_jax.console import console, guard
from reds_jax.data import DataSet
from reds_jax.data.npz import read_npz
from reds_jax.errors import DataError
from reds_jax.experiments.config import Experiment, Training
from reds_jax.graph import ChannelGraph
from reds_jax.network import NestedNetwork
from reds_jax.report import MethodResult
from reds_jax.training import Evaluation, FitConfig, evaluate, fit
from reds_jax.training.arrays import write_text


@dataclass(frozen=True)
class Task:
    """What distinguishes one experiment from another: its data, its network, its presets."""

    name: str
    title: str
    architecture: str
    arguments: Mapping[str, Any]
    presets: Mapping[str, Experiment]
    import_weights: Callable[[dict[str, np.ndarray]], Any] | None = None


@guard
def main(task: Task, argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = f"python -m reds_jax.experiments.{task.name} {shlex.join(argv)}".strip()
    run(task, parse(task, argv), console=console(), command=command)


def parse(task: Task, argv: Sequence[str]) -> Experiment:
    """The options of the preset that ``argv`` names, with what else it changes."""
    preset = "quick"
    for i, word in enumerate(argv):
        name, _, value = word.partition("=")
        if name == "--preset":
            preset = value or (argv[i + 1] if i + 1 < len(argv) else "")
    default = task.presets.get(preset, task.presets["quick"])  # an unknown preset is reported by the parser
    return tyro.cli(Experiment, args=list(argv), default=default, prog=f"python -m reds_jax.experiments.{task.name}",
                    description=f"{task.title}. The defaults below are those of the preset {default.preset!r}.")


def run(task: Task, experiment: Experiment, *, console: Console, command: str) -> dict[str, Any]:
    """All stages, each printed with what it found; returns what results.json holds."""
    begin, environment = time.monotonic(), report.environment()
    if experiment.compilation_cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(experiment.compilation_cache.absolute()))
    output = experiment.output
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "config.json", report.to_json({"task": task.name, "command": command, "options": experiment}))
    say = _Stages(console)

    data = data_sets.load(task.name, experiment.data, resolution=experiment.resolution, seed=experiment.seed,
                          limit=experiment.limit)
    say("data", f"{data.source}; {len(data.train)} / {len(data.validation)} / {len(data.test)} examples, "
                f"{data.form}" + (" [yellow](a synthetic stand-in)[/]" if data.synthetic else ""))
    model = models.build(task.architecture, task.arguments)
    runner = _Run(experiment, model, data, console)
    variables, how = runner.start(task)
    on_validation = runner.measure(variables, "validation")
    metric = on_validation.reported
    say("start", f"{how}: {metric.name} {metric.text(on_validation.metric)} on validation data")

    methods: list[MethodResult] = []
    for method in ("reds", *experiment.rivals):
        network, result = runner.nest(method, variables, say)
        methods.append(result)
        if method == "reds":
            scale = None if data.pixel_scale is None else asdict(data.pixel_scale)
            network.save(output / "model", architecture={"name": task.architecture, "arguments": dict(task.arguments)},
                         notes={"data": data.source, "normalise": scale, "metric": metric.name,
                                "test_metric": [s.test_metric for s in result.subnetworks]})
    graph = say.graph
    assert graph is not None  # the pipeline has run

    start = {"how": how, "validation_metric": on_validation.metric, "test_metric": runner.measure(variables, "test").metric}
    results = {
        "title": task.title, "task": task.name, "preset": experiment.preset, "command": command, "seed": experiment.seed,
        "environment": environment, "seconds": time.monotonic() - begin,
        "data": {"source": data.source, "synthetic": data.synthetic, "fingerprint": data.fingerprint,
                 **{name: len(split) for name, split in data.splits.items()}},
        "architecture": {"name": task.architecture, "arguments": dict(task.arguments)},
        "full": {"macs": graph.macs(), "parameters": graph.param_count(), "peak_memory_bytes": graph.peak_memory_bytes()},
        "groups": [{"name": g.name, "size": g.size} for g in graph.groups],
        "start": start, "methods": methods,
    }
    report.plot(output / f"{metric.slug}.png", methods, title=task.title, start=start["test_metric"])
    write_text(output / "results.json", report.to_json(results))
    write_text(output / "report.md", report.markdown(results, methods))
    console.print(report.metric_table(methods))
    say("report", f"{output / 'report.md'}, {results['seconds']:.0f} s; load the network with "
                  f"reds_jax.NestedNetwork.load({str(output / 'model')!r})")
    return results


class _Stages:
    """Prints what each stage found, and keeps the channel graph for the record."""

    def __init__(self, console: Console) -> None:
        self._console, self._begin = console, time.monotonic()
        self.graph: ChannelGraph | None = None

    def __call__(self, stage: str, text: str) -> None:
        seconds = time.monotonic() - self._begin
        self._console.print(f"[dim]{seconds:6.1f} s[/] [bold]{stage:<9}[/] {text}", highlight=False, soft_wrap=True)

    def observe(self, stage: str, found: Any) -> None:
        """Show the result of a stage of `reds_jax.pipeline`."""
        if isinstance(found, ChannelGraph):
            if self.graph is None:
                self(stage, "what can be cut, what stays and why, and what it costs")
                self._console.print(found.summary(), highlight=False, markup=False, soft_wrap=True)
            self.graph = found
        elif isinstance(found, pipeline.Choice):
            assert self.graph is not None  # the groups come first
            self._console.print(_width_table(found, self.graph))
            if (solved := found.solution) is not None:
                proven = "proven optimal jointly" if solved.proven_optimal else "not proven optimal jointly"
                self(stage, f"certificate {solved.certificate:.4f} of the separate optima, {proven}, {solved.seconds:.2f} s")
        elif isinstance(found, MethodResult):
            self(stage, report.LABELS[found.method] + ": " + ", ".join(
                f"{found.metric.text(s.test_metric)} at {100 * s.macs_fraction:.1f} % MACs" for s in found.subnetworks))
        else:
            self(stage, "share of the importance in the better half of each group: "
                 + ", ".join(f"{name} {_better_half(scores):.2f}" for name, scores in found.items()))


@dataclass(frozen=True)
class _Run:
    """The training of one experiment, with its options filled in."""

    experiment: Experiment
    model: nn.Module
    data: DataSet
    console: Console

    def config(self, options: Training, **more: Any) -> FitConfig:
        steps = options.epochs * (len(self.data.train) // options.batch_size)
        return FitConfig(
            epochs=options.epochs, batch_size=options.batch_size, optimizer=options.build(steps), augment=options.augment,
            patience=options.patience, seed=self.experiment.seed, recalibrate_batches=self.experiment.recalibration_batches,
            **more)

    def start(self, task: Task) -> tuple[Any, str]:
        """The trained network that everything starts from, and where it comes from."""
        options, weights = self.experiment.pretrain, self.experiment.pretrained
        if weights is not None:
            prefix = self.experiment.pretrained_prefix
            return _import(task, weights, prefix), f"the arrays {prefix}* of {weights.name}"
        variables: Any = self.model.init(jax.random.key(self.experiment.seed), self.data.example())
        result = fit(self.model, variables, [1.0], self.data.train, self.data.validation, self.config(options),
                     normalise=self.data.normalise, folder=self.experiment.output / "pretrain", console=self.console)
        variables = {"params": result.params, **({"batch_stats": s} if (s := result.batch_stats[0]) else {})}
        return variables, f"trained for {options.epochs} epochs"

    def measure(self, variables: Any, part: str) -> Evaluation:
        """The full network on the split ``part``."""
        one, = evaluate(self.model, variables["params"], [variables.get("batch_stats", {})], [1.0], self.data.splits[part],
                        normalise=self.data.normalise)
        return one

    def nest(self, method: pipeline.Method, variables: Any, stages: _Stages) -> tuple[NestedNetwork, MethodResult]:
        """The stages of the pipeline, by one way of choosing the widths."""
        nested = self.experiment.nested
        config = self.config(nested, weights=nested.weights, distill=nested.distill, sandwich=nested.sandwich)
        return pipeline.nest(self.model, variables, self.data, config, self.experiment.subnetworks, method=method,
                             folder=self.experiment.output / f"nested_{method}", console=self.console, observe=stages.observe)


def _better_half(scores: np.ndarray) -> float:
    total = scores.sum()
    return float(scores[: len(scores) // 2].sum() / total) if total > 0 else 0.5


def _width_table(choice: pipeline.Choice, graph: ChannelGraph) -> Table:
    table = Table(title=f"widths: {report.LABELS[choice.method]}")
    for column in ("MACs", "true %", "parameters", "peak bytes", "widths"):
        table.add_column(column, justify="left" if column == "widths" else "right")
    for w in choice.widths:
        macs = graph.macs(w)
        table.add_row(f"{macs:,}", f"{100 * macs / graph.macs():.2f}", f"{graph.param_count(w):,}",
                      f"{graph.peak_memory_bytes(w):,}", " ".join(map(str, w)))
    return table


def _import(task: Task, path: Path, prefix: str) -> Any:
    """Variables from an .npz of a trained network."""
    if task.import_weights is None:
        raise DataError(f"{task.name} has no importer of weights", got=str(path), hint="Leave --pretrained out.")
    arrays = {name.removeprefix(prefix).lstrip("/"): a for name, a in read_npz(path).items() if name.startswith(prefix)}
    if not arrays:
        raise DataError(f"no array in {path} starts with {prefix!r}", hint="Give --pretrained-prefix as the file names it.")
    return task.import_weights(arrays)
