"""What an experiment left in its output folder: the network, its graph, and the data that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax import data as data_sets
from reds_jax.data import DataSet
from reds_jax.errors import CheckpointError, DataError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork


@dataclass(frozen=True)
class SavedRun:
    """A trained nested network with its channel graph and its data set, normalised as in training."""

    network: NestedNetwork
    graph: ChannelGraph
    data: DataSet

    def calibration(self, examples: int = 256, batch: int = 64) -> list[np.ndarray]:
        """Batches of training inputs, in the order of the data set."""
        images = self.data.train.images[:examples]
        return [self.data.read(images[i : i + batch]) for i in range(0, len(images), batch)]

    def test_batches(self, batch: int = 256) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Normalised test inputs with their labels."""
        split = self.data.test
        for i in range(0, len(split), batch):
            yield self.data.read(split.images[i : i + batch]), split.labels[i : i + batch]


def read(folder: str | Path, *, data: str | None = None) -> SavedRun:
    """Read the output folder of ``python -m reds_jax.experiments.<name>``.

    Args:
        folder: the folder that the experiment was told to write (``--output``).
        data: where the data are now, if they have moved (as ``--data`` of the experiment).

    Raises:
        CheckpointError: the folder holds no finished run.
    """
    folder = Path(folder)
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        task, options = config["task"], config["options"]
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError("the folder holds no run of an experiment", got=str(folder),
                              hint="Give the folder that --output named; it has config.json and model/.") from error
    network = NestedNetwork.load(folder / "model")
    found = data_sets.load(task, data or options["data"], resolution=options["resolution"], seed=options["seed"],
                           limit=options["limit"])
    example = jnp.zeros((1, *found.shape), jnp.float32)
    shapes = jax.eval_shape(network.model.init, jax.random.key(0), example)
    if jax.tree.map(lambda a: a.shape, shapes["params"]) != jax.tree.map(lambda a: a.shape, network.params):
        raise DataError("the images do not fit the network of the run", got=found.shape,
                        hint="Give the data set and the resolution that the run was trained with.")
    return SavedRun(network, trace(network.model, network.variables(0), example), found)
