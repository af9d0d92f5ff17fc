"""The masked network: the full network whose removed channels are set to zero after every operation.

It is the meaning of a subnetwork, independent of any slicing: restricting every group to its first channels equals the full
network whose other channels are multiplied by 0 after every activation and every residual add (proofs: prefix = mask).
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.graph.channels import ChannelGraph, WidthLike
from reds_jax.graph.trace import INFERENCE, Mode, Traced, traced
from reds_jax.program.flat import Value
from reds_jax.testing.interpret import Hook, run_with_state


def masked_apply(
    model: Any, variables: Any, x: Any, graph: ChannelGraph, widths: WidthLike, *, skip: frozenset[str] = frozenset()
) -> list[np.ndarray]:
    """The outputs of the full network with every channel that ``widths`` removes set to zero wherever it appears.

    Args:
        model, variables, x: as for `reds_jax.run.run`; x is [N, ...].
        graph: from `reds_jax.trace`.
        widths: a fraction, integers per group, or `Widths`.
        skip: primitives whose results are not masked, to see what a mask in the wrong place does
            (``{"logistic"}``: the mask sits before the sigmoid, where it does not stop ``sigmoid(0) = 1/2``).

    Returns:
        The leaves of the output, float64, at full size.
    """
    return masked_run(model, variables, x, graph, widths, skip=skip)[0]


def masked_run(
    model: Any, variables: Any, x: Any, graph: ChannelGraph, widths: WidthLike, *, train: bool = False,
    dropout: bool | None = None, key: jax.Array | None = None, skip: frozenset[str] = frozenset(), watch: Hook | None = None,
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """`masked_apply` in training too: the outputs, and the new batch statistics by path (at full size).

    ``watch`` sees every masked value before it is used.

    Args:
        model, variables, x, graph, widths: as for `masked_apply`.
        train: whether batch norm takes the statistics of the batch.
        dropout: as for `reds_jax.run.run`.
        key: for dropout.
        skip: names of groups that are not masked.
        watch: sees every masked value before it is used.
    """
    pure, variables = adapt(model, variables)
    found = traced(pure, variables, x)
    mode: Mode = (train, train if dropout is None else dropout)
    program, state = found.programs[mode if train else INFERENCE], found.state
    cut = _cut_units(found, graph, graph.integers(widths))
    open_values = {v.number for op in program.operations if op.primitive.name in skip for v in op.outputs}

    def mask(value: Value, array: Any) -> Any:
        if value.number not in state.active or value.number in open_values:
            return array
        for axis, labels in enumerate(state.labels[value.number]):
            if labels is None:
                continue
            stays = ~np.isin(state.units.find(labels), cut)
            shape = [1] * array.ndim
            shape[axis] = len(stays)
            array = np.where(stays.reshape(shape), array, 0)
        return array

    def masked(value: Value, array: Any) -> Any:
        array = mask(value, array)
        return array if watch is None else watch(value, array)

    return run_with_state(program, variables, (x, jax.random.key(0) if key is None else key), masked)


def _cut_units(found: Traced, graph: ChannelGraph, widths: tuple[int, ...]) -> np.ndarray:
    """The units that ``widths`` removes, read off the parameters: position p of an axis is unit ``axis.unit[p]``."""
    cut: set[int] = set()
    for parameter in graph.parameters:
        labels = found.state.leaves[parameter.path]
        for units, axis in zip(labels, parameter.axes, strict=True):
            if units is not None and axis is not None:
                gone = np.setdiff1d(np.arange(len(units)), axis.kept(widths))
                cut.update(found.state.units.find(units)[gone].tolist())
    return np.array(sorted(cut), np.int64)
