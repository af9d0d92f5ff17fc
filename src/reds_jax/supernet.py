"""A supernet: the full network and random widths near the budgets, trained together before the widths are chosen.

Losses of widths that were never trained say little: a network that is cut to a quarter is often worse than guessing, whatever
is left of it. A few epochs in which every step trains the full network and some random widths make the losses of all widths
near the budgets comparable, and they count as the first epochs of nested training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console

from reds_jax.array_types import Int
from reds_jax.data import Split, Stream
from reds_jax.graph import ChannelGraph
from reds_jax.graph.mask import masked
from reds_jax.measured import held_out
from reds_jax.training import FitConfig, Objective, TrainState, fit
from reds_jax.training.inputs import Normalisation

DRAWN = 2
"""Random widths in every step, beside the full network."""
WIDTHS = 1000
"""Widths that they are drawn from."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Random rows of a table of widths, ``count`` of them in every step, as parameters with zeros where units are cut.

    Args:
        graph: of the network, its units sorted.
        table: widths, an integer for each group, see `reds_jax.sampled.sample_widths`.
        count: in every step.
    """

    graph: ChannelGraph
    table: Int[np.ndarray, "rows groups"]
    count: int = DRAWN

    def __call__(self, params: Any, key: jax.Array) -> list[Any]:
        rows = jax.random.choice(key, len(self.table), (self.count,), replace=False)
        table = jnp.asarray(self.table, jnp.int32)
        return [masked({"params": params}, self.graph, table[row])["params"] for row in rows]

    def __repr__(self) -> str:
        return f"{self.count} of {len(self.table)} widths {hashlib.sha256(self.table.tobytes()).hexdigest()[:16]}"


def train_supernet(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[Sequence[int]], train: Split | Stream,
    validation: Split | Stream, config: FitConfig, epochs: int, *, objective: Objective | None = None,
    normalise: Normalisation | None = None, folder: Path | None = None, console: Console | None = None,
    devices: int | None = None,
) -> TrainState:
    """The state after some epochs of ``(L(full) + sum_k L(n_k)) / (1 + DRAWN)``, with n_k drawn from ``widths`` in every step.

    Every subnetwork runs with the statistics of its batch; the full network is the teacher where there is distillation.
    Training examples that `reds_jax.measured.held_out` keeps are left out.

    Args:
        model, variables, graph: the network, its units sorted.
        widths: to draw from, an integer for each group.
        train, validation: examples; the full network alone is validated.
        config: of the nested training, whose learning rates these epochs begin.
        epochs: of this phase.
        objective, normalise, folder, console, devices: as in `reds_jax.training.fit`.
    """
    _, rest = held_out(train, config.seed)
    config = replace(config, epochs=epochs, weights="uniform", sandwich=None, norms="shared", patience=None)
    return fit(model, variables, [1.0], rest, validation, config, objective=objective, normalise=normalise, folder=folder,
               console=console, draw=Drawn(graph, np.array(widths, np.int32)), devices=devices).state
