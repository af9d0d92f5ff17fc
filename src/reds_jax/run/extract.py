"""Cut a subnetwork out: ordinary dense parameters, and a model that runs them."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import PureModel, Variables, adapt
from reds_jax.adapters.trees import Shapes, check_shapes, shapes_of
from reds_jax.graph.channels import Axis, ChannelGraph, WidthLike
from reds_jax.graph.permute import on_axes
from reds_jax.graph.trace import traced
from reds_jax.run.nested import run_traced
from reds_jax.widths import Widths


@dataclass(frozen=True)
class Subnetwork(PureModel):
    """A model at one set of widths, without the rest: ``apply(small, x)`` with the variables of `extract`.

    It is a model like any other: it can be trained, traced and cut again.

    Args:
        model: the model at full width.
        widths: what it is cut to.
        structure: the tree of the full variables.
        shapes: of the full variables.
        small: shapes of the variables that it is called with.

    >>> # subnetwork, small = extract(model, variables, graph, widths)
    >>> # subnetwork.apply(small, x)  equals  run(model, variables, x, widths)[0]
    """

    model: PureModel
    widths: Widths
    structure: Hashable
    shapes: tuple[tuple[tuple[int, ...], Any], ...]
    small: Shapes

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        check_shapes(variables, self.small)
        full = jax.tree.unflatten(self.structure, [jax.ShapeDtypeStruct(*s) for s in self.shapes])  # type: ignore[arg-type]
        (result,) = run_traced(traced(self.model, full, inputs), [variables], inputs, [self.widths], train=train,
                               dropout=dropout, key=key)
        return result

    def apply(self, variables: Variables, inputs: Any) -> Any:
        """The outputs for inputs [N, ...], in inference."""
        return self(variables, inputs)[0]


def extract(model: Any, variables: Any, graph: ChannelGraph, widths: WidthLike) -> tuple[Subnetwork, Any]:
    """The subnetwork at ``widths`` as a model and ordinary dense variables that hold nothing else.

    Args:
        model: the model that the graph was traced from (an extracted subnetwork can be traced and cut again).
        variables: its full variables (sorted, or the prefix means nothing); None where the model holds them itself.
        graph: from `reds_jax.trace`.
        widths: a fraction, integers per group, or `Widths`.

    Returns:
        ``(subnetwork, small)`` with ``subnetwork.apply(small, x) == run(model, variables, x, graph.widths(widths))[0]``.
    """
    integers = graph.integers(widths)
    pure, variables = adapt(model, variables)

    def kept(axis: Axis) -> Any:
        return axis.kept(integers)

    small = on_axes(variables, graph, kept)
    leaves, structure = jax.tree.flatten(variables)
    shapes = tuple((tuple(np.shape(a)), np.dtype(a.dtype)) for a in leaves)
    return Subnetwork(pure, graph.widths(integers), structure, shapes, shapes_of(small)), small
