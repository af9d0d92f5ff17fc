"""Zeros in place of units: the full program computes a narrow network, at widths that need not be known when it is compiled.

A unit is cut by zeros in every parameter that belongs to it: in what makes it, in its batch norm, and in what reads it. So it
contributes nothing, whatever its activation makes of zero. This is the narrow network: units meet only in the layers that
read them, since an operation that mixes them otherwise (a layer norm, a softmax over units) keeps them at full width
(`reds_jax.trace`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.array_types import Int
from reds_jax.graph.channels import ChannelGraph
from reds_jax.program.flat import leaf_path


def masked(variables: Any, graph: ChannelGraph, widths: Sequence[int] | Int[Any, " groups"]) -> Any:
    """The full parameters with zeros wherever a unit is cut at these widths; batch statistics as they are.

    Args:
        variables: ``{"params": ...}``, with "batch_stats" or without.
        graph: of the network.
        widths: an integer for each group, which may be traced.
    """
    axes = {p.path: p.axes for p in graph.parameters}
    limit = jnp.append(jnp.asarray(widths, jnp.int32), np.iinfo(np.int32).max)  # group -1 reads the last: never cut

    def cut(path: Any, array: Any) -> Any:
        name = leaf_path(path)
        if not name.startswith("params/"):
            return array
        for i, axis in enumerate(axes[name]):
            if axis is not None:
                stays = axis.unit < limit[axis.group]
                array = jnp.where(stays.reshape([-1 if j == i else 1 for j in range(array.ndim)]), array, 0)
        return array

    return jax.tree_util.tree_map_with_path(cut, variables)
