"""Run an experiment: data, training, the stages of `reds_jax.pipeline`, the rivals, the report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from rich.console import Console

from reds_jax import data as data_sets
from reds_jax import models, pipeline, report
from reds_jax.choice import Method
from reds_jax.console import console, guard
from reds_jax.data import DataSet
from reds_jax.errors import DataError
from reds_jax.experiments.config import Experiment, Training
from reds_jax.experiments.folder import RunFolder
from reds_jax.experiments.stages import Stages
from reds_jax.experiments.task import Network, Task
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.options import read_options
from reds_jax.report import MethodResult
from reds_jax.training import Evaluation, FitConfig, evaluate, fit
from reds_jax.training.arrays import write_text
from reds_jax.training.fit import prepare


@guard
def main(task: Task, argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = f"reds {task.name} {shlex.join(argv)}".strip()
    try:
        run(task, parse(task, argv), console=console(), command=command)
    except KeyboardInterrupt as stop:
        stop.add_note(f"Go on with: {command}")
        raise


def parse(task: Task, argv: Sequence[str]) -> Experiment:
    """The options of the preset that ``argv`` names, with what else it changes."""
    name = _given(argv, "--network")
    presets = {**task.presets, **task.network(name).presets}
    default = presets.get(_given(argv, "--preset") or "quick", presets["quick"])  # an unknown one is reported by the parser
    of = "" if name is None else f" and the network {name!r}"
    return read_options(Experiment, argv, default=default, command=f"reds {task.name}",
                        description=f"{task.title}. Networks: {', '.join(task.networks)}. The defaults below are those of the "
                                    f"preset {default.preset!r}{of}.")


def _given(argv: Sequence[str], option: str) -> str | None:
    """The last value of an option on the command line, which the others depend on; None if it is not there."""
    found = None
    for i, word in enumerate(argv):
        name, _, value = word.partition("=")
        if name == option:
            found = value or (argv[i + 1] if i + 1 < len(argv) else "")
    return found


def run(task: Task, experiment: Experiment, *, console: Console, command: str) -> dict[str, Any]:
    """All stages, each printed with what it does and what it found; returns what results.json holds.

    What can be refused is refused before the first step of training, and a refusal changes nothing in the output folder.
    """
    report.check_plots()
    say, network = Stages(console), task.network(experiment.network)
    say("run", f"{task.title}, {network.title}, preset {experiment.preset}, into {experiment.output}")
    with RunFolder(task.name, command, experiment) as folder:
        return _run(task, network, experiment, folder, say, console, command)


def _run(
    task: Task, chosen: Network, experiment: Experiment, folder: RunFolder, say: Stages, console: Console, command: str
) -> dict[str, Any]:
    begin, environment, output = time.monotonic(), report.environment(), folder.path
    title = f"{task.title}, {chosen.title}"
    if experiment.compilation_cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(experiment.compilation_cache.absolute()))
    say("data", f"reading {task.name} ({experiment.data or 'from its default place'})")
    data = data_sets.load(task.name, experiment.data, resolution=experiment.resolution, seed=experiment.seed,
                          limit=experiment.limit, normalise=experiment.normalise or chosen.normalise)
    say("data", f"{data.source}; {len(data.train)} / {len(data.validation)} / {len(data.test)} examples, "
                f"{data.form}" + (" (a synthetic stand-in)" if data.synthetic else ""))
    folder.check_data(data.fingerprint, data.source)
    architecture = {"name": chosen.architecture, "arguments": dict(chosen.arguments)}
    runner = _Run(experiment, models.build(chosen.architecture, chosen.arguments), data, console)
    say("check", "the options, the examples, and whether the budgets can be met")
    initial, how = runner.initial(chosen)
    runner.check(initial)
    folder.accept(data.fingerprint)

    say("start", f"the network that everything starts from: {how}")
    variables = runner.start(initial)
    on_validation = runner.measure(variables, "validation")
    metric = on_validation.reported
    say("start", f"{metric.name} {metric.text(on_validation.metric)} on validation data")

    methods: list[MethodResult] = []
    for method in ("reds", *experiment.rivals):
        say("method", report.LABELS[method])
        network, result = runner.nest(method, variables, say)
        methods.append(result)
        network.save(output / _model_of(method), architecture=architecture,
                     notes={"data": data.source, "metric": metric.name,
                            "test_metric": [s.test_metric for s in result.subnetworks]})
    graph = say.graph
    assert graph is not None  # the pipeline has run

    start = {"how": how, "validation_metric": on_validation.metric, "test_metric": runner.measure(variables, "test").metric}
    results = {
        "title": title, "task": task.name, "preset": experiment.preset, "command": command, "seed": experiment.seed,
        "environment": environment, "seconds": time.monotonic() - begin,
        "data": {"source": data.source, "synthetic": data.synthetic, "fingerprint": data.fingerprint,
                 **{name: len(split) for name, split in data.splits.items()}},
        "architecture": architecture,
        "full": {"macs": graph.macs(), "parameters": graph.param_count(), "peak_memory_bytes": graph.peak_memory_bytes()},
        "groups": [{"name": g.name, "size": g.size} for g in graph.groups],
        "start": start, "methods": methods,
    }
    write_text(output / "results.json", report.to_json(results))
    write_text(output / "report.md", report.markdown(results, methods))
    console.print(report.metric_table(methods))
    say("report", f"{output / 'report.md'}, {results['seconds']:.0f} s; load the network with "
                  f"reds_jax.NestedNetwork.load({str(output / 'model')!r})")
    report.plot(output / f"{metric.slug}.png", methods, title=title, start=start["test_metric"])  # last: it may fail
    return results


def _model_of(method: str) -> str:
    """The folder of a method's network."""
    return "model" if method == "reds" else f"model_{method}"


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
            epochs=options.epochs, batch_size=options.batch_size, optimizer=options.build(steps),
            augment=self.data.augmentations.get(options.augment, options.augment), patience=options.patience,
            seed=self.experiment.seed, recalibrate_batches=self.experiment.recalibration_batches, **more)

    def initial(self, network: Network) -> tuple[Any, str]:
        """What training starts from, or the trained network that is imported; and how the network comes about."""
        weights, prefix = self.experiment.pretrained, self.experiment.pretrained_prefix
        if weights is not None:
            return _import(self.model, self.data.example(), network, weights, prefix)
        variables: Any = self.model.init(jax.random.key(self.experiment.seed), self.data.example())
        return variables, f"trained for {self.experiment.pretrain.epochs} epochs"

    def check(self, variables: Any) -> None:
        """Refuse what can be refused before the first step, for the training and for every method."""
        data = self.data
        if self.experiment.pretrained is None:
            prepare(self.model, variables, [1.0], data.train, data.validation, self.config(self.experiment.pretrain),
                    normalise=data.normalise)
        graph = trace(self.model, variables, data.example())
        for method in ("reds", *self.experiment.rivals):
            pipeline.check(self.model, variables, graph, data, self.nested, self.experiment.subnetworks, method=method)

    def start(self, variables: Any) -> Any:
        """The trained network that everything starts from."""
        if self.experiment.pretrained is not None:
            return variables
        result = fit(self.model, variables, [1.0], self.data.train, self.data.validation,
                     self.config(self.experiment.pretrain), normalise=self.data.normalise,
                     folder=self.experiment.output / "pretrain", console=self.console)
        return {"params": result.params, **({"batch_stats": s} if (s := result.batch_stats[0]) else {})}

    @property
    def nested(self) -> FitConfig:
        """How the nested subnetworks are trained."""
        options = self.experiment.nested
        return self.config(options, weights=options.weights, distill=options.distill, sandwich=options.sandwich)

    def measure(self, variables: Any, part: str) -> Evaluation:
        """The full network on the split ``part``."""
        one, = evaluate(self.model, variables["params"], [variables.get("batch_stats", {})], [1.0], self.data.splits[part],
                        normalise=self.data.normalise)
        return one

    def nest(self, method: Method, variables: Any, stages: Stages) -> tuple[NestedNetwork, MethodResult]:
        """The stages of the pipeline, by one way of choosing the widths."""
        return pipeline.nest(self.model, variables, self.data, self.nested, self.experiment.subnetworks, method=method,
                             folder=self.experiment.output / f"nested_{method}", console=self.console, observe=stages.observe)


def _import(model: nn.Module, example: Any, network: Network, path: Path, prefix: str) -> tuple[Any, str]:
    """Variables from a file of a trained network, and what it had of them."""
    weights = models.read_weights(path)
    arrays = {name.removeprefix(prefix).lstrip("/"): a for name, a in weights.items() if name.startswith(prefix)}
    if not arrays:
        raise DataError(f"no array in {path} starts with {prefix!r}", hint="Give --pretrained-prefix as the file names it.")
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    variables, match = models.import_variables(arrays, like, network.import_weights)
    return variables, f"{prefix}* of {path.name}: {match}"
