"""Sharing takes work away; that it changes no value is tests/run/test_gradients.py."""

from collections import Counter
from typing import Any

import jax
import jax.extend.core
import numpy as np
import pytest
from small_models import NETWORKS

from reds_jax.adapters import adapt
from reds_jax.graph.trace import traced
from reds_jax.lowering import lowering
from reds_jax.program.flat import leaves_by_path
from reds_jax.run import run_nested
from reds_jax.run.dependence import dependences
from reds_jax.testing import LayerSpec, RandomNet, random_variables
from reds_jax.widths import Widths

FRACTIONS = (1.0, 0.5, 0.2)


def operations(model: Any, shape: tuple[int, ...], widths: Any, share: bool, *, own: bool = False) -> Counter:
    """How often each primitive is called in the forward pass, inside other calls too."""
    x = np.zeros((2, *shape), np.float32)
    variables = random_variables(model, x)
    found: Counter = Counter()

    def visit(jaxpr: Any) -> None:
        for equation in jaxpr.eqns:
            found[equation.primitive.name] += 1
            for inner in jax.extend.core.jaxprs_in_params(equation.params):
                visit(inner)

    def forward(params: dict, stats: list[dict], x: jax.Array) -> Any:
        stats = stats if own else [stats[0]] * len(widths)
        return [y for y, _ in run_nested(model, params, stats, x, widths, train=not own, share=share)]

    stats = [variables.get("batch_stats", {})] * len(widths)
    with lowering("lax"):
        visit(jax.make_jaxpr(forward)(variables["params"], stats, x).jaxpr)
    return found


def test_the_stem_is_computed_once() -> None:
    model, _, shape = NETWORKS["ds_cnn"]  # conv, 2 x (depthwise, pointwise), dense
    naive, shared = (operations(model, shape, FRACTIONS, share) for share in (False, True))
    n = len(FRACTIONS)
    assert naive["conv_general_dilated"] == 5 * n
    assert shared["conv_general_dilated"] == 5 * n - 2 * (n - 1)  # the first convolution and the depthwise behind it
    assert naive["custom_vjp_call"] - shared["custom_vjp_call"] >= 2 * (n - 1)  # and the batch norms of both


def test_equal_widths_share_everything() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    once, twice = (operations(model, shape, (0.5,) * k, True) for k in (1, 2))
    for name in ("conv_general_dilated", "dot_general", "reduce_sum"):
        assert once[name] == twice[name] > 0


def test_two_equal_widths_share_the_layer_behind_them() -> None:
    """In a chain of three layers and a head, what lies behind equal widths is computed once."""
    net = RandomNet(tuple(LayerSpec("dense", n, act="tanh") for n in (4, 5, 6)), ((),))

    def products(*widths: tuple[int, int, int]) -> int:
        given = [Widths.of({f"Dense_{i}": n for i, n in enumerate(w)}) for w in widths]
        found = operations(net, (1, 1, 3), given, True)
        return found["dot_general"] + found["conv_general_dilated"]

    assert products((4, 5, 6)) == 4
    assert products((4, 5, 6), (4, 5, 2)) == 4 + 1  # the last layer sums over what is another number
    assert products((4, 5, 6), (4, 3, 6)) == 4 + 2
    assert products((4, 5, 6), (2, 5, 6)) == 4 + 3  # the first is a part of the wide one
    assert products((4, 3, 6), (2, 5, 6)) == 4 + 3  # neither contains the other: the one that runs second shares the first


def test_statistics_of_their_own_are_not_shared() -> None:
    model, _, shape = NETWORKS["ds_cnn"]
    same, own = (operations(model, shape, (1.0, 1.0), True, own=own) for own in (False, True))
    assert own["conv_general_dilated"] == 2 * same["conv_general_dilated"] - 1  # but for what lies before the first norm


def test_what_a_value_depends_on() -> None:
    net = RandomNet((LayerSpec("dense", 4), LayerSpec("norm", 4), LayerSpec("dense", 5)), ((LayerSpec("mean"),),))
    x = np.zeros((2, 2, 2, 3), np.float32)
    pure, variables = adapt(net, random_variables(net, x))
    found = traced(pure, variables, x)
    program = found.programs[False, False]
    assert [g.name for g in found.graph.groups] == ["Dense_0", "Dense_1"]
    statistics = [program.leaves[path].number for path in leaves_by_path(variables) if path.startswith("batch_stats")]
    of = dependences(program.items, found.numbering, statistics)
    products = ("dot_general", "conv_general_dilated")
    dots = [of[op.outputs[0].number] for op in program.operations if op.primitive.name in products]
    assert [sorted(d.groups) for d in dots] == [[], [0], [0, 1]]
    assert [sorted(d.own) for d in dots] == [[], sorted(statistics), sorted(statistics)]


@pytest.mark.parametrize("share", [True, False])
def test_results_come_in_the_order_of_the_widths(share: bool) -> None:
    model, _, shape = NETWORKS["dnn"]
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)
    variables = random_variables(model, x)
    widths = (0.5, 1.0, 0.2)
    found = run_nested(model, variables["params"], [{}] * 3, x, widths, share=share)
    for width, (y, _) in zip(widths, found, strict=True):
        ((expected, _),) = run_nested(model, variables["params"], [{}], x, [width])
        np.testing.assert_allclose(y, expected, rtol=1e-5)


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


_product.defvjp(lambda x, k: (x @ k, (x, k)), lambda saved, g: (g @ saved[1].T, saved[0].T @ g))


def test_sums_inside_of_custom_derivatives_are_seen() -> None:
    """A product with a derivative of its own sums over hidden units: its results are not shared between their numbers."""

    def model(variables: dict, x: jax.Array) -> jax.Array:
        a, b, c = (variables["params"][name] for name in "abc")
        return jax.nn.relu(_product(jax.nn.relu(x @ a), b)) @ c

    rng = np.random.default_rng(0)
    shapes = {"a": (3, 4), "b": (4, 5), "c": (5, 2)}
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    x = rng.normal(size=(2, 3)).astype(np.float32)
    pure, variables = adapt(model, {"params": params})
    graph = traced(pure, variables, x).graph
    assert [g.size for g in graph.groups] == [4, 5]
    widths = [graph.widths(w) for w in ((4, 5), (2, 5))]
    shared, alone = (run_nested(model, params, [{}, {}], x, widths, share=share) for share in (True, False))
    for (y, _), (expected, _) in zip(shared, alone, strict=True):
        np.testing.assert_allclose(y, expected, rtol=1e-5)
