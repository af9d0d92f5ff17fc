"""Losses of many widths, measured forward only and compiled once: the full program, zeros in place of what is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.adapters.trees import batch_stats_of
from reds_jax.array_types import Float64
from reds_jax.data import Split, Stream
from reds_jax.data.normalise import read
from reds_jax.data.tree import rows
from reds_jax.graph import ChannelGraph
from reds_jax.graph.mask import masked
from reds_jax.run import run_nested
from reds_jax.training import Evaluation, Objective, evaluate, recalibrate
from reds_jax.training.feed import read_ahead
from reds_jax.training.inputs import Normalisation, check_examples

HELD_OUT = 500
"""Training examples that the losses of widths are measured on; a supernet is trained on the others."""


def measured_losses(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[Sequence[int]], judged: Split, *,
    objective: Objective | None = None, normalise: Normalisation | None = None,
) -> Float64[np.ndarray, " samples"]:
    """The mean loss of every one of the widths on some examples, with the batch statistics of these examples.

    One compiled program for all widths, and one pass for each; dropout is off.

    Args:
        model, variables, graph: the network, its units sorted.
        widths: of every sample.
        judged: the examples, all in one batch; see `held_out`.
        objective, normalise: as in training.
    """
    model, variables = adapt(model, variables)
    objective, inputs = check_examples(objective, model, variables, judged.inputs, judged.targets, normalise, "training {}")

    @jax.jit
    def loss(variables: Any, inputs: Any, targets: Any, row: Any) -> Any:
        cut, x = masked(variables, graph, row), read(inputs, normalise)
        ((outputs, _),) = run_nested(model, cut["params"], [batch_stats_of(cut)], x, [1.0], train=True, dropout=False)
        return objective.loss(outputs, x if targets is None else targets).mean()

    return np.array([loss(variables, inputs, judged.targets, np.asarray(row, np.int32)) for row in widths], np.float64)


def held_out(train: Split | Stream, seed: int) -> tuple[Split, Split | Stream]:
    """Training examples to measure losses on, and what is left to train a supernet on.

    A random ``HELD_OUT`` of those in memory (of fewer, a third). The first ``HELD_OUT`` of a stream, which cannot leave them
    out.
    """
    if isinstance(train, Stream):
        batches, count = [], 0
        for batch in read_ahead(train):
            batches.append(batch)
            count += rows(batch[0])
            if count >= HELD_OUT:
                break
        inputs, targets = jax.tree.map(lambda *arrays: np.concatenate(arrays)[:HELD_OUT], *batches)
        return Split(inputs, targets), train
    order = np.random.default_rng(seed).permutation(len(train))
    held = max(1, min(HELD_OUT, len(train) // 3))
    return train.take(order[:held]), train.take(order[held:])


def untrained(
    model: Any, variables: Any, graph: ChannelGraph, widths: Sequence[int], train: Any, judged: Any, *,
    objective: Objective | None = None, normalise: Normalisation | None = None, batches: int | None = None,
    batch_size: int = 100, seed: int = 0, devices: int | None = None,
) -> Evaluation:
    """A subnetwork as it is, with batch statistics of its own: its loss and metric on ``judged``.

    Args:
        model, variables, graph, widths: the network, its units sorted, and the subnetwork.
        train, judged: examples in memory, or streams.
        objective, normalise: as in training.
        batches, batch_size, seed: for the batch statistics.
        devices: that share the examples of every batch.
    """
    cut = masked(variables, graph, widths)
    stats = recalibrate(model, cut, [1.0], train, key=jax.random.key(seed), batch_size=batch_size, batches=batches,
                        normalise=normalise, devices=devices)
    found, = evaluate(model, cut["params"], stats, [1.0], judged, objective=objective, normalise=normalise, devices=devices)
    return found
