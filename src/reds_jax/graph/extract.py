"""Cut a subnetwork out: ordinary dense parameters, and a model that runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.linen as nn

from reds_jax.graph.channels import Axis, ChannelGraph, WidthLike
from reds_jax.graph.permute import on_axes
from reds_jax.widths import Widths


@dataclass(frozen=True)
class Subnetwork:
    """A model at one set of widths, without the rest: ``apply(variables, x)`` with the variables of `extract`.

    >>> # subnetwork, small = extract(model, variables, graph, widths)
    >>> # subnetwork.apply(small, x)  equals  model.apply(variables, x, width=widths)
    """

    model: nn.Module
    widths: Widths

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any:
        """``model.apply`` at these widths."""
        return self.model.apply(variables, *args, width=self.widths, **kwargs)


def extract(model: nn.Module | Subnetwork, variables: Any, graph: ChannelGraph, widths: WidthLike) -> tuple[Subnetwork, Any]:
    """The subnetwork at ``widths`` as a model and ordinary dense variables that hold nothing else.

    Args:
        model: the model that the graph was traced from (an extracted subnetwork can be traced and cut again).
        variables: its full variables (sorted, or the prefix means nothing).
        graph: from `reds_jax.trace`.
        widths: a fraction, integers per group, or `Widths`.

    Returns:
        ``(subnetwork, small)`` with ``subnetwork.apply(small, x) == model.apply(variables, x, width=graph.widths(widths))``.
    """
    integers = graph.integers(widths)

    def kept(axis: Axis) -> Any:
        return axis.kept(integers)

    whole = model.model if isinstance(model, Subnetwork) else model
    return Subnetwork(whole, graph.widths(integers)), on_axes(variables, graph, kept)
