"""Measure a saved network on any data: ``reds evaluate runs/vww --data npz:mine.npz``.

Inputs are normalised as the network was trained, whatever the given data would ask for by themselves.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
from rich.console import Console
from rich.table import Table

from reds_jax import data as data_sets
from reds_jax import report
from reds_jax.console import console, escape, guard
from reds_jax.data import DataSet
from reds_jax.errors import CheckpointError, DataError, InvalidArgumentError
from reds_jax.network import NestedNetwork
from reds_jax.options import read_options
from reds_jax.report import Predicted
from reds_jax.training import Evaluation, evaluate
from reds_jax.training.arrays import read_json, write_text

COMMAND = "reds evaluate"


@dataclass(frozen=True)
class Evaluate:
    """Measure every subnetwork of a trained network on given data.

    Args:
        run: output folder of an experiment; it has config.json and model/.
        data: synthetic | tfds[:DIR] | folder[:DIR] | npz:FILE, as the experiment takes them; by default the data of the run.
        split: which part of the data is read; where the source has no parts, they are parted as the run would.
        limit: at most so many examples; by default all, and of the run's own data as many as it had.
        batch_size: examples a batch; it does not change the result.
        devices: that share the examples of every batch; by default one.
        output: also write the result there, as JSON.
    """

    run: Path
    data: str | None = None
    split: Literal["test", "validation", "train"] = "test"
    limit: int | None = None
    batch_size: int = 500
    devices: int | None = None
    output: Path | None = None


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    options = read_options(Evaluate, argv, command=COMMAND, description=__doc__)
    run(options, console=console(), command=f"{COMMAND} {shlex.join(argv)}")


def run(options: Evaluate, *, console: Console, command: str = COMMAND) -> dict[str, Any]:
    """Measure, show a table, and return what the JSON holds.

    Raises:
        CheckpointError: the folder holds no finished run.
        DataError: the data have another shape or another number of classes than the network.
    """
    task, trained = _config(options.run)
    network = NestedNetwork.load(options.run / "model")
    own = options.data is None
    data = data_sets.load(task, trained["data"] if own else options.data, resolution=trained["resolution"],
                          seed=trained["seed"], limit=trained["limit"] if own and options.limit is None else options.limit)
    check_fits(network, data)
    split = data.splits[options.split]
    measured = evaluate(network.model, network.params, network.batch_stats, network.widths, split,
                        normalise=network.normalise, batch_size=options.batch_size, devices=options.devices)
    if network.class_names not in (None, data.class_names):
        console.print(escape(f"The classes of the data are {data.class_names}, those of the network {network.class_names}."))
    predicted = _predicted(options.run)
    console.print(_table(network, measured, f"{options.split}, {data.source}", predicted))
    result = {
        "command": command, "run": str(options.run), "environment": report.environment(),
        "data": {"source": data.source, "split": options.split, "examples": len(split), "fingerprint": data.fingerprint,
                 "synthetic": data.synthetic, "class_names": data.class_names},
        "metric": measured[0].reported,
        "subnetworks": [{"macs": macs, "widths": w.values_tuple(), "metric": e.metric, "loss": e.loss,
                         **({"predicted": predicted[k]} if predicted else {})}
                        for k, (macs, w, e) in enumerate(zip(network.macs, network.widths, measured, strict=True))],
    }
    if options.output is not None:
        write_text(options.output, report.to_json(result))
    return result


def _config(folder: Path) -> tuple[str, dict[str, Any]]:
    """The task of a run and its options."""
    hint = "Give the folder that --output of an experiment named; it has config.json and model/."
    if not (folder / "config.json").is_file():
        raise CheckpointError("the folder holds no run of an experiment", got=str(folder), hint=hint)
    config = read_json(folder / "config.json")
    options = config.get("options")
    if not isinstance(options, dict) or not {"data", "resolution", "seed", "limit"} <= set(options) or "task" not in config:
        raise CheckpointError(f"{folder / 'config.json'} does not describe a run", got=sorted(config), hint=hint)
    return config["task"], options


def check_fits(network: NestedNetwork, data: DataSet) -> None:
    """What the network reads of the data has the shape of its inputs, and there are as many classes as it has outputs.

    Raises:
        DataError: otherwise; it has both.
    """
    known, hint = network.example, "Give data of the kind that the run was trained on."
    try:
        example = network.read(data.train.inputs[:1])
    except InvalidArgumentError as error:
        raise DataError("the data have another shape than the network reads", got=data.form, allowed=error.allowed,
                        hint=hint) from error
    if known is not None and known.shape[1:] != example.shape[1:]:
        raise DataError("the data have another shape than the network reads", got=list(example.shape[1:]),
                        allowed=str(list(known.shape[1:])), hint=hint)
    outputs = jax.eval_shape(lambda x: network.apply(0, x), example).shape[-1]
    if outputs != data.classes:
        raise DataError("the data have another number of classes than the network has outputs", got=data.classes,
                        allowed=str(outputs), hint="Give data of the same classes as the run's.")


def _predicted(folder: Path) -> list[Predicted]:
    """What the run said that its subnetworks cost by its latency table; nothing where it had none, or has not ended."""
    path = folder / "results.json"
    methods = read_json(path)["methods"] if path.is_file() else []
    own = next((m["subnetworks"] for m in methods if m["method"] == "reds"), [])
    return [Predicted(**s["predicted"]) for s in own if s.get("predicted")]


def _table(network: NestedNetwork, measured: Sequence[Evaluation], title: str, predicted: Sequence[Predicted] = ()) -> Table:
    metric = measured[0].reported
    table = Table(title=escape(f"{metric.label}, {measured[0].examples:,} examples: {title}"))
    by_table = [f"predicted {p.unit}" for p in predicted[:1]]
    for column in ("subnetwork", "MACs", "% of the largest", *by_table, metric.unit or metric.name, "loss"):
        table.add_column(column, justify="right")
    for k, (macs, e) in enumerate(zip(network.macs, measured, strict=True)):
        table.add_row(str(k), f"{macs:,}", f"{100 * macs / network.macs[-1]:.1f}", *map(str, predicted[k : k + 1]),
                      metric.number(e.metric), f"{e.loss:.4f}")
    return table


if __name__ == "__main__":
    main()
