"""Fashion-MNIST and CIFAR-10 by the paper's settings in a given time, on one accelerator: beside its published figures.

    PYTHONPATH=src python experiments/paper_gpu/paper_gpu.py prepare images.npz --fashion folder --cifar folder:DIR
    PYTHONPATH=src python experiments/paper_gpu/paper_gpu.py run images.npz --seconds 480 --output runs/paper_gpu

``run`` needs jax, flax, optax and numpy, with what they bring, and the images in one file. It measures what a step and an
epoch take, fits the number of epochs to the time, trains the vision DS-CNN S, then its four nested subnetworks with the
library's defaults, and uniform widths in the same order if 25 epochs of both fit. It writes results.json and table.md after
every stage; a run that was stopped goes on with the same command, and does what is missing with more seconds.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
from packed_data import read, write
from published_table import table
from rich.console import Console
from time_plan import Cost, epochs_that_fit, measured, read_log, step_seconds

from reds_jax import models, report
from reds_jax.console import console as standard_console
from reds_jax.console import guard
from reds_jax.data import DataSet, at_most
from reds_jax.errors import CheckpointError
from reds_jax.experiments import cifar10, fashion_mnist
from reds_jax.experiments.config import Training
from reds_jax.experiments.task import Task
from reds_jax.experiments.task_run import TaskRun
from reds_jax.training import FitConfig
from reds_jax.training.arrays import write_text
from reds_jax.training.owner import owned

TASKS = {task.name: task for task in (fashion_mnist.TASK, cifar10.TASK)}
RIVAL = "uniform_sorted"
ENOUGH = 25  # epochs, a tenth of the paper's, that the default gives away for the comparison with uniform widths
DISPATCH = 100  # steps a call: an accelerator does not wait for the host between them
RECALIBRATION = 20  # batches: they are read after every epoch
TRIAL_EPOCHS, TRIAL_STEPS = 2, 20  # the second epoch compiles nothing


class Run(TaskRun):
    """A run with many steps in a dispatch."""

    def config(self, options: Training, **more: Any) -> FitConfig:
        steps = len(self.data.train) // options.batch_size
        return super().config(options, steps_per_dispatch=max(1, min(DISPATCH, steps)), **more)

    def with_epochs(self, output: Path, *, pretrain: int = 1, nested: int = 1) -> Run:
        """The same with so many epochs, into that folder."""
        of = self.experiment
        return replace(self, experiment=replace(of, output=output, pretrain=replace(of.pretrain, epochs=pretrain),
                                                nested=replace(of.nested, epochs=nested)))

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return len(self.data.train) // self.experiment.pretrain.batch_size


@dataclass
class Record:
    """What results.json holds, and the clock of the run: a run that goes on counts the seconds of those before.

    Args:
        folder: of the run.
        clock: seconds.
        results: as they were left.
        begin: of the clock, less the seconds of the runs before.
    """

    folder: Path
    clock: Callable[[], float]
    results: dict[str, Any]
    begin: float

    @classmethod
    def open(
        cls, folder: Path, clock: Callable[[], float], begin: float, options: dict[str, Any], command: str, seconds: float
    ) -> Record:
        """The record in the folder, or an empty one; a `CheckpointError` if it is of other options or data."""
        path = folder / "results.json"
        found = {"options": options, "seconds": 0, "tasks": {}}
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
        if found["options"] != options:
            differ = [name for name in options if options[name] != found["options"].get(name)]
            raise CheckpointError(f"{folder} holds a run with other options or data", got=differ, hint="Give another --output.")
        results = found | {"command": command, "limit_seconds": seconds, "environment": report.environment()}
        return cls(folder, clock, results, begin - found["seconds"])

    def elapsed(self) -> float:
        """Seconds of this run and those that it goes on with."""
        return self.clock() - self.begin

    def save(self) -> None:
        """Both files, each whole."""
        self.results["seconds"] = self.elapsed()
        write_text(self.folder / "results.json", report.to_json(self.results))
        write_text(self.folder / "table.md", table(self.results))


def run(
    data: Mapping[str, DataSet], output: Path, *, seconds: float, seed: int = 0, command: str = "",
    tasks: Mapping[str, Task] = TASKS, clock: Callable[[], float] = time.monotonic, started: float | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Every stage on every data set, within the seconds from ``started`` on (now); returns what results.json holds."""
    console = standard_console() if console is None else console
    output.mkdir(parents=True, exist_ok=True)
    begin = clock() if started is None else started
    options = {"seed": seed, "data": {name: one.fingerprint for name, one in data.items()}}
    with owned(output):
        record = Record.open(output, clock, begin, options, command, seconds)
        begun = record.results["tasks"]
        try:
            for i, name in enumerate(data):
                if name not in begun:
                    left = seconds - record.elapsed()
                    if left <= 0:
                        console.print(f"{name}: no time is left; the same command with more seconds goes on here", markup=False)
                        break
                    begun[name] = {"until": record.elapsed() + left / (len(data) - i)}
                _task(tasks[name], data[name], begun[name], record, seed, console)
        finally:
            record.save()
    console.print(table(record.results), markup=False, highlight=False, soft_wrap=True)
    return record.results


def _task(task: Task, data: DataSet, here: dict[str, Any], record: Record, seed: int, console: Console) -> None:
    """The stages of one data set; each is recorded when it has ended, with its number of epochs before it begins."""
    network, output = task.network(None), record.folder / task.name
    experiment = replace(task.presets["paper"], seed=seed, recalibration_batches=RECALIBRATION)
    plain = Run(experiment, models.build(network.architecture, network.arguments), data, console)
    most = experiment.nested.epochs
    variables, _ = plain.initial(network)
    if "costs" not in here:
        console.print(f"{task.name}: a trial of {TRIAL_STEPS} steps, to see what the stages take", markup=False)
        here |= {"title": f"{task.title}, {network.title}", "of_epochs": most, "batch_size": experiment.nested.batch_size,
                 "epochs": {}, "methods": {}, "step_ms": {},
                 "data": {"source": data.source, **{part: len(split) for part, split in data.splits.items()}},
                 "costs": [asdict(cost) for cost in trial(plain, variables, record.clock)]}
        record.save()
    pretrain, nested = (Cost(**cost) for cost in here["costs"])

    def plan(*first: Cost) -> tuple[int, bool]:
        """How many epochs fit into the time that is left, and whether the rival is among the stages."""
        left = here["until"] - record.elapsed()
        alone, both = (epochs_that_fit([*first, *rest], plain.steps, left, most=most) for rest in ([nested], [nested] * 2))
        return (both, True) if both >= ENOUGH else (alone, False)

    epochs = here["epochs"]
    if "pretrain" not in epochs:
        epochs["pretrain"], _ = plan(pretrain)
        record.save()
    runner = plain.with_epochs(output, pretrain=epochs["pretrain"])
    console.print(f"{task.name}: {epochs['pretrain']} of {most} epochs of the full network", markup=False)
    variables = runner.start(variables)
    if "start" not in here:
        here["start"] = runner.measure(variables, "test").metric
        here["step_ms"]["pretrain"] = _step_ms(output / "pretrain")
        record.save()
    if "nested" not in epochs:
        epochs["nested"], here["compared"] = plan()
        record.save()
    runner = runner.with_epochs(output, pretrain=epochs["pretrain"], nested=epochs["nested"])
    for method in ("reds", RIVAL)[: 2 if here["compared"] else 1]:
        if method not in here["methods"]:
            console.print(f"{task.name}: {report.LABELS[method]}, {epochs['nested']} of {most} epochs", markup=False)
            _, result = runner.nest(method, variables)
            here["methods"][method] = asdict(result)
            here["step_ms"][method] = _step_ms(output / f"nested_{method}")
            record.save()


def trial(runner: Run, variables: Any, clock: Callable[[], float]) -> tuple[Cost, Cost]:
    """What training the full network and nesting it cost, from few epochs of few steps on the way of the run itself."""
    few = min(TRIAL_STEPS * runner.experiment.pretrain.batch_size, len(runner.data.train))
    data = replace(runner.data, train=at_most(runner.data.train, few, 0))
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as folder:
        small = replace(runner, data=data).with_epochs(Path(folder), pretrain=TRIAL_EPOCHS, nested=TRIAL_EPOCHS)
        begin = clock()
        variables = small.start(variables)
        middle = clock()
        small.nest("reds", variables)
        return (measured(read_log(Path(folder) / "pretrain"), middle - begin),
                measured(read_log(Path(folder) / "nested_reds"), clock() - middle))


def _step_ms(folder: Path) -> float | None:
    """Of a training run; None where every step was in the dispatch that compiled."""
    seconds = step_seconds(read_log(folder))
    return None if seconds is None else 1e3 * seconds


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and prepare or run."""
    begin = time.monotonic()
    argv = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    prepare = commands.add_parser("prepare", help="data sets into one file that NumPy alone reads, without loss")
    prepare.add_argument("images", type=Path, help="the .npz to write")
    prepare.add_argument("--fashion", metavar="PLACE", help="of `reds fashion_mnist --data`: folder[:DIR], npz:FILE, ...")
    prepare.add_argument("--cifar", metavar="PLACE", help="of `reds cifar10 --data`: folder:DIR, npz:FILE, ...")
    prepare.add_argument("--megabytes", type=float, help="of the file at most, by fewer training images of the last data set")
    prepare.add_argument("--note", help="what else is to be said of the images, such as that they were stored with a loss")
    go = commands.add_parser("run", help="train and compare")
    go.add_argument("images", type=Path, help="the .npz of `prepare`")
    go.add_argument("--seconds", type=float, default=480, help="for everything (480)")
    go.add_argument("--output", type=Path, default=Path("runs/paper_gpu"), help="folder of the run (runs/paper_gpu)")
    go.add_argument("--limit", type=int, help="at most so many images of each split")
    for command in (prepare, go):
        command.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    given = parser.parse_args(argv)
    if given.what == "prepare":
        specs = {name: spec for name, spec in (("fashion_mnist", given.fashion), ("cifar10", given.cifar)) if spec is not None}
        if not specs:
            parser.error("prepare needs --fashion or --cifar")
        print("\n".join(write(given.images, specs, megabytes=given.megabytes, note=given.note, seed=given.seed)))
        return
    jax.config.update("jax_compilation_cache_dir", str((given.output / "compiled").absolute()))
    run(read(given.images, limit=given.limit, seed=given.seed), given.output, seconds=given.seconds, seed=given.seed,
        command=f"paper_gpu.py {shlex.join(argv)}", started=begin)


if __name__ == "__main__":
    main()
