"""Reorder the units of every group: the function of the network does not change (permutation invariance)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from reds_jax.array_types import Int
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.channels import Axis, ChannelGraph
from reds_jax.program.flat import leaf_path

Scores = Mapping[str, Any]
"""Importance of every unit: {group name: array [group size]}."""


def descending(scores: Scores, graph: ChannelGraph) -> dict[str, Int[np.ndarray, " _units"]]:
    """For every group the units from the most to the least important; ties keep their order. int64 [size] each."""
    check_scores(scores, graph)
    return {g.name: np.argsort(-np.asarray(scores[g.name]), kind="stable") for g in graph.groups}


def check_scores(scores: Scores, graph: ChannelGraph) -> None:
    """Raise unless there is one finite score for every unit of every group."""
    if not isinstance(scores, Mapping):
        raise InvalidArgumentError("the scores are no mapping", got=type(scores).__name__, allowed="{group name: [group size]}",
                                   hint="See reds_jax.importance.score.")
    for g in graph.groups:
        if g.name not in scores:
            raise InvalidArgumentError(f"there are no scores for group {g.name!r}", got=sorted(scores),
                                       allowed=", ".join(g.name for g in graph.groups))
        values = np.asarray(scores[g.name])
        if values.shape != (g.size,) or values.dtype.kind not in "biuf" or not np.isfinite(values).all():
            raise InvalidArgumentError(f"the scores of group {g.name!r} are not one finite number per unit",
                                       got=f"{values.dtype} {list(values.shape)}", allowed=f"[{g.size}], finite")


def permute(variables: Any, graph: ChannelGraph, scores: Scores) -> Any:
    """The variables with the units of every group in descending order of their score.

    ``f(permute(theta), x) = f(theta, x)``: each unit's incoming weights, bias, batch-norm entries, depthwise kernel and
    outgoing weights move together, and the next layer sums over the same set (proofs: permutation invariance).

    Args:
        variables: the variables that the graph was traced with (parameters and statistics).
        graph: from `reds_jax.trace`.
        scores: importance per unit, {group name: [size]}; from `reds_jax.importance`.
    """
    return reorder(variables, graph, descending(scores, graph))


def reorder(variables: Any, graph: ChannelGraph, orders: Mapping[str, np.ndarray]) -> Any:
    """The variables with unit ``orders[g][i]`` of every group moved to place i."""
    for g in graph.groups:
        if g.name not in orders:
            raise InvalidArgumentError(f"there is no order for group {g.name!r}", got=sorted(orders),
                                       allowed=", ".join(g.name for g in graph.groups))
        if not np.array_equal(np.sort(np.asarray(orders[g.name])), np.arange(g.size)):
            raise InvalidArgumentError(f"the order of group {g.name!r} is not a permutation", got=orders[g.name],
                                       allowed=f"each of 0..{g.size - 1} once")
    by_group = [np.asarray(orders[g.name]) for g in graph.groups]

    return on_axes(variables, graph, lambda axis: sources(axis, by_group))


def sources(axis: Axis, orders: Sequence[Int[np.ndarray, " _units"]]) -> Int[np.ndarray, " positions"]:
    """Where every position of an axis comes from when unit ``orders[g][i]`` of every group g moves to place i."""
    source = np.arange(len(axis.group))
    for g in np.unique(axis.group[axis.group >= 0]):
        places = np.flatnonzero(axis.group == g)
        by_unit = places[np.argsort(axis.unit[places], kind="stable")].reshape(len(orders[g]), -1)
        source[by_unit] = by_unit[orders[g]]
    return source


def on_axes(variables: Any, graph: ChannelGraph, indices: Any) -> Any:
    """Take ``indices(axis)`` of every axis that carries units, in every array of the variables."""
    axes = {p.path: p for p in graph.parameters}
    missing = set(axes) - {leaf_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)}
    if missing:
        raise InvalidArgumentError("the variables lack arrays that the graph was traced with", got=sorted(missing),
                                   hint="Pass all variables: parameters and batch statistics.")

    def take(path: Any, array: Any) -> Any:
        parameter = axes.get(leaf_path(path))
        if parameter is None or parameter.shape != tuple(np.shape(array)):
            raise InvalidArgumentError(
                f"the array {leaf_path(path)!r} is not one that the graph was traced with", got=np.shape(array),
                allowed="the same paths and shapes" if parameter is None else str(parameter.shape),
                hint="An extracted subnetwork is a network of its own: trace it again.")
        for i, axis in enumerate(parameter.axes):
            if axis is not None:
                array = array.take(indices(axis), axis=i)
        return array

    return jax.tree_util.tree_map_with_path(take, variables)
