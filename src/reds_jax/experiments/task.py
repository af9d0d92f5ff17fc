"""What an experiment is: a data set, the networks that can be trained on it, presets of the options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from reds_jax.checks import one_of
from reds_jax.experiments.config import Experiment


@dataclass(frozen=True)
class Network:
    """One network of a task.

    Args:
        title: for the report.
        architecture, arguments: of `reds_jax.models.build`.
        import_weights: the arrays of a trained network, by name, to variables of this one; None: there are none to import.
        normalise: how the data are read for it, an option of `reds_jax.data.load`; None for the default of the data set.
        presets: those in which it differs from the others of the task.
    """

    title: str
    architecture: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    import_weights: Callable[[dict[str, np.ndarray]], Any] | None = None
    normalise: str | None = None
    presets: Mapping[str, Experiment] = field(default_factory=dict)

    def widened(self, widen: float | None) -> Network:
        """The same network with so many times as many channels in every layer."""
        return self if widen is None else replace(self, arguments={**self.arguments, "widen": widen})


@dataclass(frozen=True)
class Task:
    """What distinguishes one experiment from another: its data, its networks (the first is the default), its presets."""

    name: str
    title: str
    networks: Mapping[str, Network]
    presets: Mapping[str, Experiment]

    def network(self, name: str | None) -> Network:
        """The network of that name; an `InvalidArgumentError` has the names that there are."""
        return self.networks[one_of("network", next(iter(self.networks)) if name is None else name, tuple(self.networks))]
