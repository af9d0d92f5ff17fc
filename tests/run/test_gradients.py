"""The gradient of a network at a width is that of the masked full network, in training with batch norm and dropout too.

The slope of the masked network along a random direction is measured in NumPy by differences, in double precision; the gradient
is what JAX derives of the narrow program, run by NumPy too, so that nothing is compiled.
"""

from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.adapters import adapt
from reds_jax.graph.channels import ChannelGraph
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.lowering import lowering
from reds_jax.private import Private
from reds_jax.program.flat import leaf_path, leaves_by_path
from reds_jax.program.norms import norm_parameters
from reds_jax.run import run, run_nested
from reds_jax.run.extract import extract
from reds_jax.run.partial_sums import WORTH
from reds_jax.testing import RandomNet, interpret, masked_run, random_variables
from reds_jax.testing import strategies as draws
from reds_jax.testing.assertions import _difference

KEY = jax.random.key(7)
EVERY_SUM = dict.fromkeys(("dot", "fused", "lax"), 0)
"""Partial sums wherever there are some, for `reds_jax.run.partial_sums.WORTH`."""


def many(n: int) -> settings:
    return settings(max_examples=n, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


def built(network: tuple[RandomNet, tuple[int, ...]], n: int) -> tuple[RandomNet, dict, np.ndarray, ChannelGraph]:
    """The network with random variables, n examples, and its graph for them."""
    net, shape = network
    x = np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)
    variables = random_variables(net, x, seed=2)
    pure, variables = adapt(net, variables)
    return net, variables, x, traced(pure, variables, x).graph


def loss(outputs: tuple) -> Any:
    """A weighted sum of the outputs without a symmetry."""
    return sum((np.sin(np.arange(y.size) + i).reshape(y.shape).astype(np.float32) * y).sum() for i, y in enumerate(outputs))


def kept(graph: ChannelGraph, widths: tuple[int, ...], path: str, array: np.ndarray) -> np.ndarray:
    """True at the entries of a variable that stay."""
    parameter = next(p for p in graph.parameters if p.path == path)
    stays = np.ones(array.shape, bool)
    for i, axis in enumerate(parameter.axes):
        if axis is not None:
            mask = np.zeros(array.shape[i], bool)
            mask[axis.kept(widths)] = True
            stays &= mask.reshape([-1 if k == i else 1 for k in range(array.ndim)])
    return stays


@pytest.mark.parametrize("form", ["dot", "lax"])
@many(10)
@given(data=st.data())
def test_the_gradient_is_that_of_the_masked_network(form: str, data: st.DataObject) -> None:
    """`gradient_prefix_is_mask` along a random direction, and `gradient_is_zero_elsewhere` in the entries that are not kept."""
    train = data.draw(st.booleans(), "train")
    net, variables, x, graph = built(data.draw(draws.networks(max_layers=4)), 3 if train else 1)
    widths = data.draw(draws.widths(graph))
    options = {"train": train, "key": KEY if train else None}

    def gradient(variables: dict, x: np.ndarray) -> Any:
        rest = {k: v for k, v in variables.items() if k != "params"}
        resolved = graph.widths(widths)
        return jax.grad(lambda p: loss(run(net, {"params": p, **rest}, x, resolved, **options)[0]))(variables["params"])

    with lowering(form):
        found = dict(zip(leaves_by_path({"params": variables["params"]}), interpret(gradient, variables, x), strict=True))
    rng = np.random.default_rng(3)
    direction = {path: rng.normal(size=np.shape(a)) for path, a in found.items()}
    step = 1e-6

    def at(t: float) -> float:
        moved = jax.tree_util.tree_map_with_path(
            lambda path, a: a + t * direction["params/" + "/".join(k.key for k in path)], variables["params"])
        return float(loss(masked_run(net, {**variables, "params": moved}, x, graph, widths, **options)[0]))

    slope = (at(step) - at(-step)) / (2 * step)
    inside = sum(float((found[path] * direction[path]).sum()) for path in found)
    size = 1 + max(float(np.abs(a).max()) for a in found.values())
    assert abs(slope - inside) < 1e-5 * size * sum(a.size for a in found.values())
    for path, array in found.items():
        assert not array[~kept(graph, widths, path, array)].any()


@many(12)
@given(data=st.data())
def test_batch_statistics_are_those_of_the_extracted_subnetwork(data: st.DataObject) -> None:
    """Updated at the channels that stay, as the masked and the extracted network have them, and untouched elsewhere."""
    net, variables, x, graph = built(data.draw(draws.networks(max_layers=4)), 3)
    widths = data.draw(draws.widths(graph))
    old = leaves_by_path({"batch_stats": variables.get("batch_stats", {})})
    outputs, states = masked_run(net, variables, x, graph, widths, train=True, key=KEY)

    def narrow(variables: dict, x: np.ndarray) -> Any:
        return run(net, variables, x, graph.widths(widths), train=True, key=KEY)

    subnetwork, small = extract(net, variables, graph, widths)
    for name, found in (("run", interpret(narrow, variables, x)),
                        ("extracted", interpret(lambda v, x: subnetwork(v, x, train=True, key=KEY), small, x))):
        assert _difference(outputs, found[: len(outputs)]) < 1e-9, name
        assert len(found) == len(outputs) + len(old)
        for (path, before), after in zip(old.items(), found[len(outputs) :], strict=True):
            stays = kept(graph, widths, path, before)
            if name == "run":
                np.testing.assert_array_equal(after[~stays], before[~stays])
                after = after[stays]
            np.testing.assert_allclose(after.ravel(), states[path][stays], rtol=1e-9, atol=1e-9)


@many(8)
@given(data=st.data())
def test_nested_subnetworks_together_are_those_alone(data: st.DataObject) -> None:
    """Shared work, work of their own, and single runs: the same values, statistics and gradients."""
    train = data.draw(st.booleans(), "train")
    net, variables, x, graph = built(data.draw(draws.networks(max_layers=3)), 3 if train else 1)
    widths = [graph.widths(w) for w in data.draw(draws.nested_widths(graph))]
    own = data.draw(st.booleans(), "statistics of their own")
    stats = [jax.tree.map(lambda a, k=k: a + np.float32(0.1 * k * own), variables.get("batch_stats", {}))
             for k in range(len(widths))]
    if not own:
        stats = [stats[0]] * len(widths)
    options = {"train": train, "key": KEY if train else None}

    def together(share: bool):
        def function(params: dict, x: np.ndarray) -> Any:
            def total(params: dict) -> tuple:
                results = run_nested(net, params, stats, x, widths, share=share, **options)
                return sum((k + 1) * loss(outputs) for k, (outputs, _) in enumerate(results)), results

            return jax.grad(total, has_aux=True)(params)

        return function

    def alone(params: dict, x: np.ndarray) -> Any:
        def total(params: dict) -> tuple:
            results = tuple(run(net, {"params": params, **({"batch_stats": s} if s else {})}, x, w, **options)
                            for s, w in zip(stats, widths, strict=True))
            return sum((k + 1) * loss(outputs) for k, (outputs, _) in enumerate(results)), results

        return jax.grad(total, has_aux=True)(params)

    expected = interpret(alone, variables["params"], x)
    for share, worth in ((True, WORTH), (True, EVERY_SUM), (False, WORTH)):
        with patch.dict(WORTH, worth):
            assert _difference(expected, interpret(together(share), variables["params"], x)) < 1e-9


@many(5)
@given(data=st.data())
def test_private_norms_are_separate_networks_that_share_the_rest(data: st.DataObject) -> None:
    """Values and gradients of a network with private norms, from one tree of parameters for each subnetwork, run alone."""
    train = data.draw(st.booleans(), "train")
    net, variables, x, graph = built(data.draw(draws.networks(max_layers=3)), 3 if train else 1)
    widths = [graph.widths(w) for w in data.draw(draws.nested_widths(graph))]
    pure, variables = adapt(net, variables)
    norms = norm_parameters(traced(pure, variables, x).programs[INFERENCE])
    stats, params, n = variables.get("batch_stats", {}), variables["params"], len(widths)
    rng = np.random.default_rng(4)
    own = [jax.tree_util.tree_map_with_path(
        lambda path, a: rng.normal(size=a.shape).astype(np.float32) if f"params/{leaf_path(path)}" in norms else a, params)
        for _ in range(n)]
    private = jax.tree_util.tree_map_with_path(
        lambda path, *a: Private(a) if f"params/{leaf_path(path)}" in norms else a[0], *own)
    options = {"train": train, "key": KEY if train else None}

    def together(params: Any, x: np.ndarray, share: bool) -> Any:
        def total(params: Any) -> tuple:
            results = run_nested(net, params, [stats] * n, x, widths, share=share, **options)
            return sum((k + 1) * loss(outputs) for k, (outputs, _) in enumerate(results)), results

        return jax.grad(total, has_aux=True)(params)

    def alone(trees: list, x: np.ndarray) -> Any:
        def one(k: int) -> Any:
            def total(params: dict) -> tuple:
                result = run(net, {"params": params, **({"batch_stats": stats} if stats else {})}, x, widths[k], **options)
                return (k + 1) * loss(result[0]), result

            return jax.grad(total, has_aux=True)(trees[k])

        gradients, results = zip(*(one(k) for k in range(n)), strict=True)
        return jax.tree_util.tree_map_with_path(
            lambda path, *g: Private(g) if f"params/{leaf_path(path)}" in norms else sum(g[1:], g[0]), *gradients), results

    expected = interpret(alone, own, x)
    for share, worth in ((True, WORTH), (True, EVERY_SUM), (False, WORTH)):
        with patch.dict(WORTH, worth):
            assert _difference(expected, interpret(lambda p, x, s=share: together(p, x, s), private, x)) < 1e-9
