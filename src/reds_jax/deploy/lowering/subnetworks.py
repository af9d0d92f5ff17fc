"""What every exporter is given: the variables and the widths of the subnetworks of one nested network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from reds_jax.adapters import PureModel, Variables, adapt
from reds_jax.adapters.trees import check_shapes, shapes_of
from reds_jax.deploy.lowering.program import Operation
from reds_jax.errors import InvalidArgumentError, TraceError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike
from reds_jax.network import NestedNetwork
from reds_jax.widths import Widths


def resolve(
    model: Any, variables: Any, graph: ChannelGraph, nested: NestedNetwork | Sequence[WidthLike]
) -> tuple[PureModel, list[Variables], list[Widths]]:
    """The pure model, and one tree of variables and one `Widths` per subnetwork, ascending.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: full variables, or one tree per subnetwork; None where the model holds them itself. Ignored with a
            `NestedNetwork`, which has them.
        graph: from `reds_jax.trace`.
        nested: a `NestedNetwork`, or the widths of the subnetworks.

    Raises:
        InvalidArgumentError: the subnetworks are not nested, or have variables of other shapes.
        TraceError: the network has several inputs, or was traced with one that is no float.
    """
    if len(graph.input_shapes) != 1:
        raise TraceError("a device program has one input", got=f"{len(graph.input_shapes)} inputs", allowed="one array")
    if others := [kind for kind in graph.input_types if not kind.startswith(("float", "bfloat"))]:
        raise TraceError("a device program reads floats", got=others, allowed="float32 inputs", hint="Trace the network with "
                         "the floats that it is to read; a look-up in a table of tokens does not run on a device.")
    if isinstance(nested, NestedNetwork):
        trees, widths = [nested.variables(k) for k in range(len(nested))], [graph.widths(w) for w in nested.widths]
    else:
        widths = [graph.widths(w) for w in nested]
        several = isinstance(variables, Sequence)
        trees = list(variables) if several else [variables] * len(widths)
    if not widths or len(trees) != len(widths):
        raise InvalidArgumentError("every subnetwork needs widths and variables", got=(len(widths), len(trees)),
                                   allowed="as many trees of variables as widths, or one tree for all")
    pairs = [adapt(model, tree) for tree in trees]
    pure, trees = pairs[0][0], [tree for _, tree in pairs]
    for a, b in pairwise(widths):
        if any(m > n for m, n in zip(a.values_tuple(), b.values_tuple(), strict=True)):
            raise InvalidArgumentError("the subnetworks are not nested", got=(dict(a), dict(b)),
                                       allowed="widths that never shrink from one subnetwork to the next")
    for tree in trees[1:]:
        check_shapes(tree, shapes_of(trees[0]))
    return pure, trees, widths


def agree(vectors: Sequence[np.ndarray]) -> bool:
    """Whether the vectors of all subnetworks are prefixes of that of the last."""
    return all(np.array_equal(v, vectors[-1][: len(v)]) for v in vectors)


def bare(vectors: Sequence[np.ndarray], value: float) -> bool:
    """Whether all entries of all vectors are ``value``."""
    return all(bool(np.all(v == value)) for v in vectors)


def one_weighted(op: Operation) -> bool:
    """Whether a depthwise convolution multiplies every position by 1: all that is left is its scale and its offset."""
    window = op.window
    return (op.weights is not None and window is not None and window.taps == 1 and set(window.strides) == {1}
            and not window.padded and bool(np.all(op.weights == 1)))
