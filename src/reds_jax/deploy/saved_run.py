"""What an experiment left in its output folder: the network, its graph, and the data that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reds_jax import data as data_sets
from reds_jax.data import DataSet
from reds_jax.errors import CheckpointError, DataError, InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.training.arrays import read_json

CALIBRATION = 256


@dataclass(frozen=True)
class SavedRun:
    """A trained nested network with its channel graph and its data set, normalised as in training."""

    network: NestedNetwork
    graph: ChannelGraph
    data: DataSet

    def calibration(self, examples: int | None = None, batch: int = 64) -> list[np.ndarray]:
        """Batches of training inputs, in the order of the data set.

        Args:
            examples: how many; by default 256, or all if there are fewer.
            batch: the size of a batch.
        """
        there = len(self.data.train)
        examples = min(CALIBRATION, there) if examples is None else examples
        if not 1 <= examples <= there:
            raise InvalidArgumentError("so many training examples cannot calibrate", got=examples, allowed=f"1 to {there}")
        inputs = self.data.train.inputs[:examples]
        return [self.data.read(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]

    def test_batches(self, batch: int = 256) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Normalised test inputs with their labels."""
        split = self.data.test
        for i in range(0, len(split), batch):
            yield self.data.read(split.inputs[i : i + batch]), split.labels[i : i + batch]


def read(folder: str | Path, *, data: str | None = None, other_data: bool = False) -> SavedRun:
    """Read the output folder of ``reds <name>``.

    Args:
        folder: the folder that the experiment was told to write (``--output``).
        data: where the data are now, if they have moved (as ``--data`` of the experiment).
        other_data: whether data of another fingerprint than the run's will do. They are normalised as in the run all the same.

    Raises:
        CheckpointError: the folder holds no finished run.
        DataError: the data are not those of the run.
    """
    folder = Path(folder)
    try:
        config = read_json(folder / "config.json")
        task, options = config["task"], config["options"]
        data, drawn = data or options["data"], {name: options[name] for name in ("resolution", "seed", "limit")}
    except (CheckpointError, KeyError, TypeError) as error:
        raise CheckpointError("the folder holds no run of an experiment", got=str(folder),
                              hint="Give the folder that --output named; it has config.json and model/.") from error
    network = NestedNetwork.load(folder / "model")
    found = data_sets.load(task, data, **drawn)
    misfit = DataError("the examples do not fit the network of the run", got=found.shape,
                       hint="Give the data set and the resolution that the run was trained with.")
    try:
        example = network.read(found.train.inputs[:1])
    except InvalidArgumentError as error:
        raise misfit from error
    shapes = jax.eval_shape(network.model.init, jax.random.key(0), example)
    if jax.tree.map(lambda a: a.shape, shapes["params"]) != jax.tree.map(lambda a: a.shape, network.variables(0)["params"]):
        raise misfit
    if not other_data:
        _check_fingerprint(folder, config, found)
    if network.normalise is not None:
        found = replace(found, normalise=network.normalise)
    return SavedRun(network, trace(network.model, network.variables(0), example), found)


def _check_fingerprint(folder: Path, config: dict[str, Any], found: DataSet) -> None:
    """A `DataError` unless the data are those that the run recorded: when it began, or, of an older run, in its results."""
    recorded = config.get("fingerprint")
    if recorded is None and (folder / "results.json").exists():
        recorded = read_json(folder / "results.json").get("data", {}).get("fingerprint")
    if recorded != found.fingerprint:
        raise DataError("these are not the data that the network was trained on" if recorded else
                        "the run did not record on which data the network was trained",
                        got=f"fingerprint {found.fingerprint} ({found.source})",
                        allowed=f"fingerprint {recorded}" if recorded else "",
                        hint="Say where the data of the run are with --data, or go on with these on purpose: --other-data.")
