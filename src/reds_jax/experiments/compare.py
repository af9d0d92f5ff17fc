"""Ways of choosing and training subnetworks, side by side: ``reds compare widths speech_commands --network cnn_s --rounds 4``.

Every round has a seed, and data, of its own (``--data npz:clips_{round}.npz`` reads another file in each: the folds of a
cross-validation); within a round all variants start from the same network and take the same steps at the same budgets of
true MACs. What is compared are the differences to the first variant, round by round, on test data that are read once.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from reds_jax import report
from reds_jax.checks import integer, one_of
from reds_jax.console import console, guard
from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.experiments import cifar10, fashion_mnist, speech_commands, variant_run, vww
from reds_jax.experiments.comparisons import COMPARISONS, Variant
from reds_jax.experiments.config import Experiment
from reds_jax.experiments.folder import digest_of_table
from reds_jax.experiments.runner import parse, value_of
from reds_jax.experiments.stages import Stages
from reds_jax.experiments.task import Network, Task
from reds_jax.experiments.task_run import TaskRun, load_data
from reds_jax.learned import Amplitudes
from reds_jax.lowering import describe_backend
from reds_jax.options import read_options
from reds_jax.training.arrays import write_text
from reds_jax.training.checkpoint import differing
from reds_jax.training.mesh import number_of_devices
from reds_jax.training.owner import owned

TASKS = {task.name: task for task in (speech_commands.TASK, fashion_mnist.TASK, cifar10.TASK, vww.TASK)}


@dataclass(frozen=True)
class Comparison:
    """What is compared on what; the options of the experiment follow.

    Args:
        name: of one of the comparisons that the command lists.
        task: speech_commands, fashion_mnist, cifar10 or vww.
        rounds: how often everything is repeated, with seeds from --seed on; at least 2 for a standard error.
        variants: only these of the comparison, by the number of their row from 0; all by default. Row 0 is always there.
    """

    name: str
    task: str
    rounds: int = 4
    variants: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        one_of("comparison", self.name, tuple(COMPARISONS))
        one_of("task", self.task, tuple(TASKS))
        integer("rounds", self.rounds, 1)
        for i in self.variants or ():
            if not 0 <= i < len(COMPARISONS[self.name]):
                raise InvalidArgumentError("there is no such variant", got=i, allowed=f"0 to {len(COMPARISONS[self.name]) - 1}")

    @property
    def chosen(self) -> tuple[Variant, ...]:
        """The variants, the first one in front."""
        every = COMPARISONS[self.name]
        return every if self.variants is None else tuple(every[i] for i in sorted({0, *self.variants}))


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    own, rest = _parted(argv)
    rows = (f"{name}: " + "; ".join(f"{i} {variant.name}" for i, variant in enumerate(variants))
            for name, variants in COMPARISONS.items())
    comparison = read_options(Comparison, own, command="reds compare", description="\n\n".join([__doc__ or "", *rows, (
        "All further options are those of the experiment: reds TASK --help.")]))
    task = TASKS[comparison.task]
    experiment = parse(task, rest)
    if "--output" not in {word.partition("=")[0] for word in rest}:
        network = experiment.network or next(iter(task.networks))
        experiment = replace(experiment, output=Path("runs") / f"compare_{comparison.name}_{task.name}_{network}")
    compare(comparison, task, experiment, console=console(), command=f"reds compare {shlex.join(argv)}")


def _parted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that belong to the comparison, and those of the experiment."""
    own, rest, at = [], [], 0
    while at < len(argv):
        word = argv[at]
        mine = word.partition("=")[0] in ("--rounds", "--variants", "-h", "--help") or not (rest or word.startswith("-"))
        if mine:
            own.append(word)
            at += 1
            while word in ("--rounds", "--variants") and at < len(argv) and argv[at].lstrip("-").isdigit():
                own.append(argv[at])
                at += 1
        else:
            rest.append(word)
            at += 1
    return own, rest


def compare(
    comparison: Comparison, task: Task, experiment: Experiment, *, console: Console, command: str
) -> dict[str, Any]:
    """Run what is not there yet, and write results.json and table.md; a stopped comparison goes on where it was."""
    if experiment.coordinator is not None:
        raise InvalidArgumentError("a comparison runs in one process", got=f"--coordinator {experiment.coordinator}",
                                   allowed="--devices", hint="Each round is a command of its own as well: --rounds 1 --seed N.")
    begin, network, output = time.monotonic(), task.network(experiment.network), experiment.output
    devices = number_of_devices(experiment.devices)
    say = Stages(console)
    say("compare", f"{comparison.name} on {task.title}, {network.title}: {len(comparison.chosen)} variants, "
                   f"{comparison.rounds} rounds, into {output}")
    say("device", describe_backend(devices))
    output.mkdir(parents=True, exist_ok=True)
    rounds = []
    with owned(output):
        _same_options(output / "options.json", comparison, experiment)
        for number in range(experiment.seed, experiment.seed + comparison.rounds):
            rounds.append(_round(number, comparison, task, network, experiment, say, console))
        seconds = sum(cell["train_seconds"] for one in rounds for cell in one["cells"].values())
        results = {"command": command, "title": f"{task.title}, {network.title}: {comparison.name}", "rounds": rounds,
                   "devices": devices, "environment": report.environment(), "train_seconds": seconds,
                   "seconds": time.monotonic() - begin}
        write_text(output / "results.json", report.to_json(results))
        write_text(output / "table.md", table(results))
    console.print(table(results), markup=False, highlight=False, soft_wrap=True)
    return results


def _same_options(path: Path, comparison: Comparison, experiment: Experiment) -> None:
    """Refuse cells that were measured with other options; on how many devices does not matter."""
    mine = json.loads(report.to_json({"comparison": comparison.name, "experiment": replace(experiment, output=Path(), seed=0)}))
    mine["experiment"]["subnetworks"]["latency_table"] = digest_of_table(experiment)  # not where it lies
    if path.exists():
        there = json.loads(path.read_text(encoding="utf-8"))
        there["experiment"].pop("compilation_cache", None)  # an option before every command kept compiled programs
        there["experiment"]["devices"] = experiment.devices
        if differs := differing(there, mine):
            raise CheckpointError(f"the folder {path.parent} holds a comparison with other options",
                                  got=[name.removeprefix("experiment.") for name in differs], hint="Give another --output.")
        return
    write_text(path, report.to_json(mine))


def _same_data(path: Path, fingerprint: str) -> None:
    """Refuse to measure on other data than the variants of this round that are there."""
    if path.exists() and json.loads(path.read_text(encoding="utf-8"))["fingerprint"] != fingerprint:
        raise CheckpointError(f"the variants in {path.parent} were measured on other data (--data)",
                              hint="Give another --output, or the data as they were.")


def _round(
    number: int, comparison: Comparison, task: Task, network: Network, shared: Experiment, say: Stages, console: Console
) -> dict[str, Any]:
    """All variants of one round, read from their files where they are there."""
    folder = shared.output / f"round_{number}"
    folder.mkdir(exist_ok=True)
    data = None if shared.data is None else shared.data.replace("{round}", str(number))
    experiment = replace(shared, seed=number, data=data, output=folder)
    cells: dict[str, Any] = {}
    key = task.name, network.architecture
    runner = start = None
    for variant in comparison.chosen:
        path = folder / f"{variant.name.replace(' ', '_').replace('/', '_')}.json"
        if not path.exists():
            if runner is None:
                runner = TaskRun.of(network, experiment, load_data(task, network, experiment), console)
                _same_data(folder / "start.json", runner.data.fingerprint)
                initial = runner.initial(network)[0]
                for each in comparison.chosen:
                    variant_run.check(each, replace(runner, experiment=each.of(experiment)), initial, key)
                start = runner.start(initial)
                write_text(folder / "start.json", json.dumps({
                    "fingerprint": runner.data.fingerprint, "source": runner.data.source,
                    "examples": [len(s) for s in runner.data.splits.values()],
                    "test_metric": runner.measure(start, "test").metric}))
            say("variant", f"round {number}: {variant.name}")
            mine = replace(runner, experiment=replace(variant.of(experiment), output=folder / path.stem))
            result = variant_run.measured(variant, mine, start, key, lambda stage, found: (
                say.observe(stage, found) if isinstance(found, Amplitudes) else None))
            write_text(path, report.to_json(asdict(result)))
            say("variant", ", ".join(f"{result.metric.text(s.test_metric)} at {100 * s.macs_fraction:.1f} %"
                                     for s in result.subnetworks))
        cells[variant.name] = json.loads(path.read_text(encoding="utf-8"))
    return {"round": number, **json.loads((folder / "start.json").read_text(encoding="utf-8")), "cells": cells}


def network_of(command: str) -> tuple[Task, Network]:
    """The task and the network of a recorded command."""
    own, rest = _parted(shlex.split(command)[2:])
    task = TASKS[own[1]]
    return task, task.network(value_of(rest, "--network"))


def table(results: dict[str, Any]) -> str:
    """The means over the rounds, the paired differences to the first two variants, and their standard errors, in percent.

    Variants may have budgets that others lack; a difference is there where both have the budget.
    """
    rounds, n = results["rounds"], len(results["rounds"])
    names = list(rounds[0]["cells"])
    values = {name: by_budget(rounds, name, "test_metric") for name in names}
    budgets = sorted({budget for one in values.values() for budget in one})
    also = f" and of the predicted {predicted[0]}" if (predicted := _predicted(rounds, names)) else ""
    lines = [f"# {results['title']}", "", f"`{results['command']}`", "",
             f"{n} rounds; the network that each starts from: " + ", ".join(f"{100 * r['test_metric']:.2f}" for r in rounds)
             + f" %. Mean test metric in percent at each budget of the true MACs{also}:", "", *_header("", budgets)]
    lines += [_line(name, [f"{one[b].mean():.2f}" if b in one else "" for b in budgets]) for name, one in values.items()]
    for base in names[: 2 if n > 1 else 0]:
        lines += ["", f"Paired differences to *{base}*: mean, standard error over the rounds, and z, their ratio.", "",
                  *_header("", budgets)]
        lines += [_line(name, [difference(one[b] - values[base][b]) if b in one and b in values[base] else "" for b in budgets])
                  for name, one in values.items() if name != base]
    shares = {name: by_budget(rounds, name, "macs_fraction") for name in names}
    together = f", on {devices} devices" if (devices := results.get("devices", 1)) > 1 else ""
    lines += ["", "True MACs, in percent: " + "; ".join(
        f"{name} {' '.join(f'{share.mean():.1f}' for share in one.values())}" for name, one in shares.items()) + ".", "",
        *([f"Predicted {predicted[0]}, in percent: {predicted[1]}.", ""] if predicted else []),
        f"Commit {results['environment'].get('commit')}; {results['environment'].get('machine', '')}; training "
        f"{results['train_seconds']:.0f} s in all{together}.", ""]
    return "\n".join(lines)


def by_budget(rounds: Sequence[dict[str, Any]], name: str, key: str) -> dict[float, np.ndarray]:
    """A figure of a variant in percent: {budget: [rounds]}."""
    cells = [{s["budget"]: 100 * s[key] for s in one["cells"][name]["subnetworks"]} for one in rounds]
    return {budget: np.array([cell[budget] for cell in cells]) for budget in cells[0]}


def _predicted(rounds: Sequence[dict[str, Any]], names: Sequence[str]) -> tuple[str, str] | None:
    """The unit of the latency table, and what the subnetworks cost by it in percent; None without one."""
    units, shares = set(), []
    for name in names:
        found = [[s.get("predicted") for s in one["cells"][name]["subnetworks"]] for one in rounds]
        if any(None in row for row in found):
            return None
        units |= {p["unit"] for row in found for p in row}
        means = 100 * np.mean([[p["fraction"] for p in row] for row in found], axis=0)
        shares.append(f"{name} {' '.join(f'{share:.1f}' for share in means)}")
    return ", ".join(sorted(units)), "; ".join(shares)


def _line(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _header(first: str, budgets: Sequence[float]) -> list[str]:
    return [f"| {first} | " + " | ".join(f"{100 * b:g} %" for b in budgets) + " |", "|---|" + "---:|" * len(budgets)]


def difference(apart: np.ndarray) -> str:
    """``+1.85 ± 0.42, z 4.4`` of paired differences."""
    error = apart.std(ddof=1) / np.sqrt(len(apart))
    z = f", z {apart.mean() / error:+.1f}" if error > 0 else ""
    return f"{apart.mean():+.2f} ± {error:.2f}{z}"


if __name__ == "__main__":
    main()
