"""Losses of many widths, measured forward only and compiled once: the full program with the units that are cut set to zero.

A unit is cut by zeros in every parameter that belongs to it: in what makes it, in its batch norm, and in what reads it. So it
contributes nothing, whatever its activation makes of zero, and one compiled program serves every width. This is the narrow
network: units meet only in the layers that read them, since an operation that mixes them otherwise (a layer norm, a softmax
over units) keeps them at full width (`reds_jax.trace`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.array_types import Float64
from reds_jax.data import Split
from reds_jax.graph import ChannelGraph
from reds_jax.program.flat import leaf_path
from reds_jax.training import Evaluation, Objective, evaluate, recalibrate
from reds_jax.training.inputs import Normalisation

HELD_OUT = 500
"""Training examples that the losses are measured on; the others serve for batch statistics."""


def masked(variables: Any, graph: ChannelGraph, widths: Sequence[int]) -> Any:
    """The full parameters with zeros wherever a unit is cut at these widths; batch statistics as they are."""
    axes = {p.path: p.axes for p in graph.parameters}

    def cut(path: Any, array: Any) -> Any:
        name = leaf_path(path)
        if not name.startswith("params/"):
            return array
        array = np.array(array)
        for i, axis in enumerate(axes[name]):
            if axis is not None:
                stays = np.zeros(array.shape[i], bool)
                stays[axis.kept(widths)] = True
                array *= stays.reshape([-1 if j == i else 1 for j in range(array.ndim)])
        return array

    return jax.tree_util.tree_map_with_path(cut, variables)


def measured_losses(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[Sequence[int]], train: Split, *,
    objective: Objective | None = None, normalise: Normalisation | None = None, batches: int = 4, batch_size: int = 100,
    seed: int = 0,
) -> Float64[np.ndarray, " samples"]:
    """The mean loss of every one of the widths, with batch statistics of its own, on a held-out part of the training data.

    Args:
        model, variables, graph: the network, its units sorted.
        widths: of every sample.
        train: examples; a random part of at most ``HELD_OUT`` (and a third) is measured on, the rest is for the statistics.
        objective, normalise: as in training.
        batches, batch_size: for the batch statistics of one sample.
        seed: of the parts.
    """
    model, variables = adapt(model, variables)
    order = np.random.default_rng(seed).permutation(len(train))
    held = max(1, min(HELD_OUT, len(train) // 3))
    judged, rest = train.take(order[:held]), train.take(order[held:])
    return np.array([untrained(model, variables, graph, one, rest, judged, objective=objective, normalise=normalise,
                               batches=batches, batch_size=min(batch_size, len(rest)), seed=seed).loss for one in widths],
                    np.float64)


def untrained(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[int], train: Any, judged: Any, *,
    objective: Objective | None = None, normalise: Normalisation | None = None, batches: int | None = None,
    batch_size: int = 100, seed: int = 0,
) -> Evaluation:
    """A subnetwork as it is, with batch statistics of its own: its loss and metric on ``judged``.

    Args:
        model, variables, graph, widths: the network, its units sorted, and the subnetwork.
        train, judged: examples in memory, or streams.
        objective, normalise: as in training.
        batches, batch_size, seed: for the batch statistics.
    """
    cut = masked(variables, graph, widths)
    stats = recalibrate(model, cut, [1.0], train, key=jax.random.key(seed), batch_size=batch_size, batches=batches,
                        normalise=normalise)
    found, = evaluate(model, cut["params"], stats, [1.0], judged, objective=objective, normalise=normalise)
    return found
