"""The invariants of a nested network as assertions on any module: permutation, prefix = mask, and true costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import counting
from reds_jax.testing.masked import masked_apply

Apply = Callable[[Any, Any], Any]
Evaluate = Callable[[Apply, Any, Any], list[np.ndarray]]
"""Runs ``apply(variables, x)`` and returns the leaves of its result: `in_jax` or `reds_jax.testing.interpret`."""


def in_jax(apply: Apply, variables: Any, x: Any) -> list[np.ndarray]:
    """The leaves of ``apply(variables, x)``, as JAX computes them."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(apply(variables, x))]


def assert_permutation_invariant(
    model: Any, variables: Any, x: Any, *, seed: int = 0, tolerance: float = 1e-4, graph: ChannelGraph | None = None,
    evaluate: Evaluate = in_jax,
) -> None:
    """One random permutation per channel group leaves the function unchanged: ``f(P theta, x) = f(theta, x)``.

    Args:
        model, variables, x: as for ``model.apply``; x is [N, ...].
        seed: of the permutations.
        tolerance: allowed difference, relative to 1 + the largest output; 0 asks for equality (integer networks).
        graph: from `reds_jax.trace`; traced here by default.
        evaluate: how to run the network; `reds_jax.testing.interpret` compiles nothing and is exact to 2^53.

    Raises:
        AssertionError: the function changes; the message names the groups that change it by themselves.
    """
    graph = trace(model, variables, x) if graph is None else graph
    rng = np.random.default_rng(seed)
    orders = {g.name: rng.permutation(g.size) for g in graph.groups}
    unmoved = {g.name: np.arange(g.size) for g in graph.groups}
    pure, variables = adapt(model, variables)

    def apply(variables: Any, x: Any) -> Any:
        return pure(variables, x)[0]

    before = evaluate(apply, variables, x)

    def difference(orders: dict[str, np.ndarray]) -> float:
        return _difference(before, evaluate(apply, reorder(variables, graph, orders), x))

    found = difference(orders)
    if found > tolerance:
        guilty = [name for name in orders if difference({**unmoved, name: orders[name]}) > tolerance]
        raise AssertionError(f"permuting the channels changes the output by {found:.3g} (tolerance {tolerance:.3g}); "
                             f"groups that change it alone: {guilty or 'none'}")


def assert_prefix_is_mask(
    model: Any, variables: Any, x: Any, *, widths: Iterable[WidthLike] | None = None, seed: int = 0,
    tolerance: float = 1e-4, graph: ChannelGraph | None = None, evaluate: Evaluate = in_jax,
) -> None:
    """A subnetwork is the full network with the removed channels set to zero after every operation.

    Three computations agree at every width: ``model.apply(variables, x, width=graph.widths(w))``, the subnetwork that
    `reds_jax.extract` cuts out, and `reds_jax.testing.masked_apply` in NumPy (float64), which slices nothing.

    Args:
        model, variables, x: as for ``model.apply``; x is [N, ...]. Batch norm runs with its stored statistics.
        widths: the widths to check; by default all channels, one channel per group, and two random ones.
        seed: of the random widths.
        tolerance, graph, evaluate: as for `assert_permutation_invariant`.
    """
    graph = trace(model, variables, x) if graph is None else graph
    for w in _some_widths(graph, seed) if widths is None else widths:
        resolved = graph.widths(w)

        def narrow(variables: Any, x: Any, resolved: Any = resolved) -> Any:
            return run(model, variables, x, resolved)[0]

        subnetwork, small = extract(model, variables, graph, resolved)
        expected = masked_apply(model, variables, x, graph, resolved)
        for name, outputs in (("the network at a width", evaluate(narrow, variables, x)),
                              ("the extracted subnetwork", evaluate(subnetwork.apply, small, x))):
            found = _difference(expected, outputs)
            assert found <= tolerance, (f"{name} differs from the masked network by {found:.3g} (tolerance {tolerance:.3g}) "
                                        f"at widths {dict(resolved)}")


def assert_counts(model: Any, variables: Any, x: Any, widths: WidthLike, *, graph: ChannelGraph | None = None) -> None:
    """``graph.macs``, ``param_bytes`` and ``peak_memory_bytes`` equal a count on the extracted subnetwork, exactly.

    MACs and memory are counted on the subnetwork's own program at its own shapes, the bytes are those of its arrays.
    """
    graph = trace(model, variables, x) if graph is None else graph
    subnetwork, small = extract(model, variables, graph, widths)
    program = counting.straight(subnetwork.apply, small, x)
    collections = tuple(small)
    counted = {"macs": counting.macs(program), "peak_memory_bytes": counting.peak_bytes(program),
               "param_bytes": sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(small))}
    claimed = {"macs": graph.macs(widths), "peak_memory_bytes": graph.peak_memory_bytes(widths),
               "param_bytes": graph.param_bytes(widths, collections=collections)}
    assert claimed == counted, (f"the graph claims {claimed}, the extracted subnetwork has {counted} "
                                f"at widths {dict(graph.widths(widths))}")


def _some_widths(graph: ChannelGraph, seed: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    sizes = [g.size for g in graph.groups]
    return [tuple(sizes), (1,) * len(sizes), *(tuple(int(rng.integers(1, n + 1)) for n in sizes) for _ in range(2))]


def _difference(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest difference, relative to 1 + the largest expected value; infinite for other shapes or for NaN."""
    if [a.shape for a in expected] != [b.shape for b in found]:
        return float("inf")
    largest = [float(np.max(np.abs(a - b)) / (1 + np.max(np.abs(a)))) for a, b in zip(expected, found, strict=True) if a.size]
    return float("inf") if np.isnan(largest).any() else max(largest, default=0.0)
