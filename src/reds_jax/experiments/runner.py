"""Run an experiment: data, training, the stages of `reds_jax.pipeline`, the rivals, the report."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from reds_jax import report
from reds_jax.console import console, guard
from reds_jax.experiments.config import Experiment
from reds_jax.experiments.folder import RunFolder
from reds_jax.experiments.stages import Stages
from reds_jax.experiments.task import Network, Task
from reds_jax.experiments.task_run import TaskRun, load_data
from reds_jax.lowering import describe_backend
from reds_jax.options import read_options
from reds_jax.processes import agree, is_first, join
from reds_jax.report import MethodResult
from reds_jax.training.arrays import write_text
from reds_jax.training.mesh import number_of_devices


@guard
def main(task: Task, argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = f"reds {task.name} {shlex.join(argv)}".strip()
    experiment = parse(task, argv)
    join(experiment.coordinator, experiment.process_id, experiment.processes)
    agree("options", report.to_json(replace(experiment, process_id=None)))
    try:
        run(task, experiment, console=console() if is_first() else Console(quiet=True), command=command)
    except KeyboardInterrupt as stop:
        stop.add_note(f"Go on with: {command}")
        raise


def parse(task: Task, argv: Sequence[str]) -> Experiment:
    """The options of the preset that ``argv`` names, with what else it changes."""
    name = value_of(argv, "--network")
    presets = {**task.presets, **task.network(name).presets}
    default = presets.get(value_of(argv, "--preset") or "quick", presets["quick"])  # an unknown one is reported by the parser
    of = "" if name is None else f" and the network {name!r}"
    return read_options(Experiment, argv, default=default, command=f"reds {task.name}",
                        description=f"{task.title}. Networks: {', '.join(task.networks)}. The defaults below are those of the "
                                    f"preset {default.preset!r}{of}.")


def value_of(argv: Sequence[str], option: str) -> str | None:
    """The last value of an option on the command line, which the others depend on; None if it is not there."""
    found = None
    for i, word in enumerate(argv):
        name, _, value = word.partition("=")
        if name == option:
            found = value or (argv[i + 1] if i + 1 < len(argv) else "")
    return found


def run(task: Task, experiment: Experiment, *, console: Console, command: str) -> dict[str, Any]:
    """All stages, each printed with what it does and what it found; returns what results.json holds.

    What can be refused is refused before the first step of training, and a refusal changes nothing in the output folder. Of
    several processes the first one alone writes.
    """
    report.check_plots()
    say, network = Stages(console), task.network(experiment.network)
    say("run", f"{task.title}, {network.title}, preset {experiment.preset}, into {experiment.output}")
    say("device", describe_backend(number_of_devices(experiment.devices)))
    with RunFolder(task.name, command, experiment) as folder:
        return _run(task, network, experiment, folder, say, console, command)


def _run(
    task: Task, chosen: Network, experiment: Experiment, folder: RunFolder, say: Stages, console: Console, command: str
) -> dict[str, Any]:
    begin, environment, output = time.monotonic(), report.environment(), folder.path
    title = f"{task.title}, {chosen.title}"
    say("data", f"reading {task.name} ({experiment.data or 'from its default place'})")
    data = load_data(task, chosen, experiment)
    say("data", f"{data.source}; {len(data.train)} / {len(data.validation)} / {len(data.test)} examples, "
                f"{data.form}" + (" (a synthetic stand-in)" if data.synthetic else ""))
    folder.check_data(data.fingerprint, data.source)
    architecture = {"name": chosen.architecture, "arguments": dict(chosen.widened(experiment.widen).arguments)}
    runner = TaskRun.of(chosen, experiment, data, console)
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
        network, result = runner.nest(method, variables, say.observe)
        methods.append(result)
        if not is_first():
            continue
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
        "bounds": {name: getattr(runner.subnetworks, name)
                   for name in ("base_macs", "weight_bytes", "peak_memory_bytes", "latency_table", "base_latency")},
        "groups": [{"name": g.name, "size": g.size} for g in graph.groups],
        "norms": experiment.nested.norms, "start": start, "methods": methods,
    }
    if not is_first():
        return results
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
