"""The invariants of a nested network as assertions on any model: permutation, prefix = mask, and true costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import Pinned, WidthLike
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import counting, first_difference
from reds_jax.testing.masked import masked_apply

Apply = Callable[[Any, Any], Any]
Evaluate = Callable[[Apply, Any, Any], list[np.ndarray]]
"""Runs ``apply(variables, x)`` and returns the leaves of its result: `in_jax` or `reds_jax.testing.interpret`."""


class NothingChecked(AssertionError):
    """The property holds of any network like this one: nothing can be cut, or the outputs do not depend on what can."""


def in_jax(apply: Apply, variables: Any, x: Any) -> list[np.ndarray]:
    """The leaves of ``apply(variables, x)``, as JAX computes them, compiled.

    Args:
        apply: a function of (variables, x).
        variables: its variables.
        x: inputs [N, ...].
    """
    return [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jit(apply)(variables, x))]


def assert_permutation_invariant(
    model: Any, variables: Any, x: Any, *, seed: int = 0, tolerance: float = 1e-4, graph: ChannelGraph | None = None,
    evaluate: Evaluate = in_jax,
) -> tuple[Pinned, ...]:
    """One random permutation per channel group leaves the function unchanged: ``f(P theta, x) = f(theta, x)``.

    Args:
        model, variables: what `reds_jax.adapters.adapt` takes (a flax.linen module and its variables, a flax.nnx, equinox or
            Keras model and None, ...).
        x: the input [N, ...], or a tuple or dict of inputs.
        seed: of the permutations.
        tolerance: allowed difference, relative to 1 + the largest output; 0 asks for equality (integer networks).
        graph: from `reds_jax.trace`; traced here by default.
        evaluate: how to run the network; `reds_jax.testing.interpret` compiles nothing and is exact to 2^53.

    Returns:
        ``graph.pinned``: the channels that stay where they are, and why. The assertion says nothing about them.

    Raises:
        AssertionError: the function changes, or is not finite; the message names the groups that change it by themselves,
            and the first layer whose values differ.
        NothingChecked: no channel can be moved, or the outputs do not depend on those that can.
    """
    pure, variables = adapt(model, variables)
    graph = trace(pure, variables, x) if graph is None else graph
    _check_groups(graph)
    rng = np.random.default_rng(seed)
    orders = {g.name: rng.permutation(g.size) for g in graph.groups}
    unmoved = {g.name: np.arange(g.size) for g in graph.groups}

    def apply(variables: Any, x: Any) -> Any:
        return pure(variables, x)[0]

    before = _finite(evaluate(apply, variables, x))

    def difference(orders: dict[str, np.ndarray]) -> float:
        return _difference(before, evaluate(apply, reorder(variables, graph, orders), x))

    found = difference(orders)
    if not found <= tolerance:
        guilty = [name for name in orders if difference({**unmoved, name: orders[name]}) > tolerance]
        where = first_difference.of_permuted(pure, variables, reorder(variables, graph, orders), x, orders)
        raise AssertionError(f"permuting the channels changes the output by {found:.3g} (tolerance {tolerance:.3g}); "
                             f"groups that change it alone: {guilty or 'none'}; {where}")
    if found == 0:
        _check_dependence(pure, variables, x, graph)
    return graph.pinned


def assert_prefix_is_mask(
    model: Any, variables: Any, x: Any, *, widths: Iterable[WidthLike] | None = None, seed: int = 0,
    tolerance: float = 1e-4, graph: ChannelGraph | None = None, evaluate: Evaluate = in_jax,
) -> tuple[Pinned, ...]:
    """A subnetwork is the full network with the removed channels set to zero after every operation.

    Three computations agree at every width: `reds_jax.run.run` at ``graph.widths(w)``, the subnetwork that
    `reds_jax.extract` cuts out, and `reds_jax.testing.masked_apply` in NumPy (float64), which slices nothing. One is run
    after the other: the first that differs ends the check.

    Args:
        model, variables, x: as for `assert_permutation_invariant`. Batch norm runs with its stored statistics.
        widths: the widths to check; by default all channels, one channel per group, and two random ones.
        seed: of the random widths.
        tolerance, graph, evaluate: as for `assert_permutation_invariant`.

    Returns:
        ``graph.pinned``: the channels that no width removes, and why.

    Raises:
        AssertionError: a computation differs, or is not finite; the message names the first layer whose values differ.
        NothingChecked: no channel can be cut, or the outputs do not depend on those that can.
    """
    pure, variables = adapt(model, variables)
    graph = trace(pure, variables, x) if graph is None else graph
    _check_groups(graph)
    full: list[np.ndarray] | None = None
    depends = False
    for w in _some_widths(graph, seed) if widths is None else widths:
        resolved = graph.widths(w)
        expected = _finite(masked_apply(pure, variables, x, graph, resolved))
        full = expected if resolved == graph.full_widths else full

        def check(name: str, apply: Apply, given: Any, resolved: Any = resolved, expected: Any = expected) -> None:
            found = _difference(expected, evaluate(apply, given, x))
            if not found <= tolerance:
                where = first_difference.of_narrow(pure, variables, given, x, graph, resolved)
                raise AssertionError(f"{name} differs from the masked network by {found:.3g} (tolerance {tolerance:.3g}) "
                                     f"at widths {dict(resolved)}; {where}")

        check("the network at a width", lambda v, x, w=resolved: run(pure, v, x, w)[0], variables)
        subnetwork, small = extract(pure, variables, graph, resolved)
        check("the extracted subnetwork", subnetwork.apply, small)
        depends = depends or (full is not None and _difference(full, expected) > 0)
    if not depends:
        _check_dependence(pure, variables, x, graph)
    return graph.pinned


def assert_counts(
    model: Any, variables: Any, x: Any, widths: WidthLike, *, graph: ChannelGraph | None = None
) -> tuple[Pinned, ...]:
    """``graph.macs``, ``param_bytes`` and ``peak_memory_bytes`` equal a count on the extracted subnetwork, exactly.

    MACs (those of products of activations too) and memory are counted on the subnetwork's own program at its own shapes,
    the bytes are those of its arrays.

    Args:
        model, variables, x, graph: as for `assert_permutation_invariant`.
        widths: where to count.

    Returns:
        ``graph.pinned``: the channels that no width removes, and why.

    Raises:
        AssertionError: a count differs.
        NothingChecked: no channel can be cut.
    """
    pure, variables = adapt(model, variables)
    graph = trace(pure, variables, x) if graph is None else graph
    _check_groups(graph)
    subnetwork, small = extract(pure, variables, graph, widths)
    program = counting.straight(subnetwork.apply, small, x)
    collections = tuple(small)
    counted = {"macs": counting.macs(program), "peak_memory_bytes": counting.peak_bytes(program),
               "param_bytes": sum(a.size * a.dtype.itemsize for a in jax.tree.leaves(small))}
    claimed = {"macs": graph.macs(widths), "peak_memory_bytes": graph.peak_memory_bytes(widths),
               "param_bytes": graph.param_bytes(widths, collections=collections)}
    assert claimed == counted, (f"the graph claims {claimed}, the extracted subnetwork has {counted} "
                                f"at widths {dict(graph.widths(widths))}")
    return graph.pinned


def _some_widths(graph: ChannelGraph, seed: int) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    sizes = [g.size for g in graph.groups]
    return [tuple(sizes), (1,) * len(sizes), *(tuple(int(rng.integers(1, n + 1)) for n in sizes) for _ in range(2))]


def _check_groups(graph: ChannelGraph) -> None:
    if all(g.size == 1 for g in graph.groups):
        raise NothingChecked(f"nothing is checked, because nothing can be cut:\n{graph.summary()}")


def _check_dependence(pure: Any, variables: Any, x: Any, graph: ChannelGraph) -> None:
    """Raise where the outputs are the same whether the channels that can go are there or not."""
    full, least = (masked_apply(pure, variables, x, graph, w) for w in (graph.full_widths, (1,) * len(graph.groups)))
    if _difference(full, least) == 0:
        raise NothingChecked("nothing is checked, because the outputs do not depend on the channels that can be cut (a last "
                             "layer that starts at zero?); reds_jax.testing.random_variables fills every array")


def _finite(outputs: list[np.ndarray]) -> list[np.ndarray]:
    for array in outputs:
        if not np.isfinite(array).all():
            raise AssertionError("the outputs of the network are not finite, so nothing can be compared")
    return outputs


def _difference(expected: list[np.ndarray], found: list[np.ndarray]) -> float:
    """The largest difference, relative to 1 + the largest expected value; infinite for other shapes or for NaN."""
    if [a.shape for a in expected] != [b.shape for b in found]:
        return float("inf")
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(expected, found, strict=True) if a.size]
    largest = [float(np.max(np.abs(a - b)) / (1 + np.max(np.abs(a)))) for a, b in pairs]
    return float("inf") if np.isnan(largest).any() else max(largest, default=0.0)
