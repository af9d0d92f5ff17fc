"""Unmodified architectures: what is found in them, the two invariants, subnetworks at three widths, and a step of training.

What is found is tested for all by default; the rest for ten of them, and for the others with the mark ``slow``.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import zoo_equinox
import zoo_keras
import zoo_linen_blocks
import zoo_linen_convolutions
import zoo_linen_tokens
import zoo_nnx
from case import Case

from reds_jax.adapters import PureModel, adapt
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.program.flat import leaves_by_path
from reds_jax.run import run, run_nested
from reds_jax.run.contributions import gram_matrices
from reds_jax.testing import assert_counts, assert_permutation_invariant, assert_prefix_is_mask, interpret
from reds_jax.testing.masked import masked_run

pytestmark = pytest.mark.usefixtures("as_users_write")

MODULES = (zoo_linen_convolutions, zoo_linen_blocks, zoo_linen_tokens, zoo_nnx, zoo_equinox, zoo_keras)
ZOO = {case.name: case for module in MODULES for case in module.ZOO}
architecture = pytest.mark.parametrize("name", ZOO)
QUICK = ("MLP", "ResNet", "MobileNetV2", "ShuffleNet V1", "ViT, mean", "scanned blocks", "auxiliary head", "nnx CNN",
               "equinox ResNet, ema", "Keras DS-CNN")
some = pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in ZOO])


@cache
def made(name: str) -> tuple[PureModel, Any, Any, ChannelGraph]:
    model, variables, x = ZOO[name].build()
    pure, variables = adapt(model, variables)
    return pure, variables, x, trace(model, variables, x)


def some_widths(graph: ChannelGraph) -> list[tuple[int, ...]]:
    """All of each group, half of it, one channel, and a random number."""
    draw = np.random.default_rng(1)
    sizes = [g.size for g in graph.groups]
    return [tuple(sizes), graph.integers(0.5), (1,) * len(sizes), tuple(int(draw.integers(1, n + 1)) for n in sizes)]


def difference(expected: list[Any], found: list[Any]) -> float:
    """Relative to 1 + the largest expected value."""
    assert [np.shape(a) for a in expected] == [np.shape(b) for b in found]
    return max(float(np.max(np.abs(np.asarray(a) - b)) / (1 + np.max(np.abs(a)))) for a, b in zip(expected, found, strict=True))


def kept(graph: ChannelGraph, path: str, widths: tuple[int, ...]) -> np.ndarray:
    """Whether a position of an array of the variables belongs to the subnetwork."""
    (parameter,) = [p for p in graph.parameters if p.path == path]
    inside = np.ones(parameter.shape, bool)
    for i, axis in enumerate(parameter.axes):
        if axis is not None:
            shape = [-1 if j == i else 1 for j in range(len(parameter.shape))]
            inside = inside & np.isin(np.arange(parameter.shape[i]), axis.kept(widths)).reshape(shape)
    return inside


def test_names_are_distinct() -> None:
    assert len(ZOO) == sum(len(module.ZOO) for module in MODULES)


@architecture
def test_what_can_be_cut_and_what_stays_is_found_and_said(name: str) -> None:
    case: Case = ZOO[name]
    _, variables, _, graph = made(name)
    axes = {p.path: p.axes for p in graph.parameters}
    for entry in case.cut:
        path, _, axis = entry.partition(":")
        assert axes[f"params/{path}"][int(axis or -1)] is not None, f"{entry} cannot be cut\n{graph.summary()}"
    pinned = {p.path for p in graph.pinned}
    assert set(case.pinned) <= pinned, graph.summary()
    assert all(p.reason for p in graph.pinned)
    text = graph.summary()
    for words in (*(g.name for g in graph.groups), *pinned, "MACs", "parameter bytes", "peak memory bytes"):
        assert words in text
    assert set(leaves_by_path(variables)) == set(axes)
    assert graph.macs(graph.integers(0.5)) < graph.macs()


@some
def test_permuting_the_units_of_every_group_changes_nothing(name: str) -> None:
    pure, variables, x, graph = made(name)
    assert_permutation_invariant(pure, variables, x, graph=graph, evaluate=interpret)


@some
def test_a_prefix_is_a_mask(name: str) -> None:
    pure, variables, x, graph = made(name)
    assert_prefix_is_mask(pure, variables, x, graph=graph, widths=some_widths(graph), evaluate=interpret)


@some
def test_every_group_has_readers_whose_sums_it_explains(name: str) -> None:
    """The Gram matrix of every group is one of contributions, so positive semidefinite; on two examples units may be silent."""
    pure, variables, x, graph = made(name)
    found = gram_matrices(pure, variables, [x])
    assert {name: matrix.shape for name, matrix in found.items()} == {g.name: (g.size, g.size) for g in graph.groups}
    assert sum(np.trace(matrix) for matrix in found.values()) > 0
    for matrix in found.values():
        assert np.linalg.eigvalsh(matrix).min() > -1e-5 * np.trace(matrix) - 1e-12


@some
def test_counts_are_those_of_the_subnetwork(name: str) -> None:
    pure, variables, x, graph = made(name)
    assert_counts(pure, variables, x, some_widths(graph)[-1], graph=graph)


@some
def test_statistics_are_those_of_the_masked_network_at_the_channels_that_stay(name: str) -> None:
    pure, variables, x, graph = made(name)
    widths = graph.widths(0.5)
    expected, moved = masked_run(pure, variables, x, graph, widths, train=True, dropout=False)
    leaves = interpret(lambda v, x: run(pure, v, x, widths, train=True, dropout=False), variables, x)
    given = leaves_by_path({"batch_stats": variables.get("batch_stats", {})})
    assert difference(expected, leaves[: len(leaves) - len(given)]) < 1e-3
    found = dict(zip(given, leaves[len(leaves) - len(given) :], strict=True))
    for path, before in given.items():
        inside, new, old = kept(graph, path, graph.integers(widths)), np.asarray(found[path]), np.asarray(before)
        np.testing.assert_allclose(new[inside], np.asarray(moved.get(path, before))[inside], rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(new[~inside], old[~inside])


@some
def test_two_steps_of_training_are_finite_and_touch_the_channels_that_stay_alone(name: str) -> None:
    pure, variables, x, graph = made(name)
    small, full = graph.widths(0.5), graph.full_widths

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # quick to compile
    def step(params: Any, statistics: Any, key: Any, weights: Any) -> Any:
        def loss(params: Any) -> Any:
            results = run_nested(pure, params, [statistics, statistics], x, [small, full], train=True, key=key)
            each = [sum(jnp.mean(jnp.square(y)) for y in jax.tree.leaves(outputs)) for outputs, _ in results]
            return weights[0] * each[0] + weights[1] * each[1], results[1][1]

        (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return value, gradient, jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient), statistics

    key = jax.random.key(0)
    statistics = variables.get("batch_stats", {})
    _, gradient, _, _ = step(variables["params"], statistics, key, jnp.array([1.0, 0.0]))
    for path, leaf in leaves_by_path({"params": gradient}).items():
        outside = ~kept(graph, path, graph.integers(small))
        assert not np.any(np.asarray(leaf)[outside]), path
    params, losses = variables["params"], []
    for _ in range(2):
        value, gradient, params, statistics = step(params, statistics, key, jnp.array([0.5, 0.5]))
        losses.append(float(value))
    assert np.isfinite(losses).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((params, statistics)))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient))
