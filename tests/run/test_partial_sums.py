"""Partial sums change no value (drawn in tests/run/test_gradients.py as well); here: what they save, where there are none."""

from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import NETWORKS

from reds_jax.adapters import adapt
from reds_jax.graph.trace import traced
from reds_jax.lowering import lowering
from reds_jax.models import CNN, DNN
from reds_jax.run import run_nested
from reds_jax.run.partial_sums import WORTH
from reds_jax.testing import counting, interpret, random_variables


def products(model: Any, shape: tuple[int, ...], widths: Sequence[Any], worth: float | None, *, own: bool = False) -> list[int]:
    """The multiply-accumulates of every product with activations in one nested forward pass, ascending."""
    x = np.zeros((1, *shape), np.float32)
    variables = random_variables(model, x)
    stats = variables.get("batch_stats", {})

    def forward(variables: Any, x: jax.Array) -> Any:
        each = [jax.tree.map(lambda a, k=k: a + k, stats) if own else stats for k in range(len(widths))]
        return [y for y, _ in run_nested(model, variables["params"], each, x, widths, train=bool(stats) and not own)]

    with patch.dict(WORTH, {} if worth is None else {"lax": worth}):
        found = counting.straight(forward, variables, x)
    products = [e for e in found.equations if e.name in ("dot_general", "conv_general_dilated")]
    return sorted(counting.macs(found._replace(equations=[e])) for e in products)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=2, max_size=5))
def test_the_layer_behind_the_shared_one_costs_as_much_as_the_widest(widths: list[int]) -> None:
    """Two hidden layers with m_k and 2 m_k units: the second multiplies m_K times 2 m_K in all, in blocks of new units."""
    net = DNN(3, (7, 14))
    shape = (1, 5, 1)
    variables = random_variables(net, np.zeros((1, *shape), np.float32))
    pure, variables = adapt(net, variables)
    graph = traced(pure, variables, np.zeros((1, *shape), np.float32)).graph
    resolved = [graph.widths((m, 2 * m)) for m in widths]
    wide, each = max(widths), sorted(set(widths))
    blocks = np.diff([0, *each]) * 2 * wide
    heads = [2 * m * 3 for m in each]
    assert products(net, shape, resolved, 0) == sorted([5 * wide, *blocks.tolist(), *heads])
    assert products(net, shape, resolved, None) == sorted([5 * wide, *(2 * m * m for m in each), *heads])


def test_a_convolution_of_many_taps_is_one_as_well() -> None:
    """The second convolution, 6 to 4 and 3 to 2 channels, 10 x 4 taps at 6 x 3 positions: two blocks of 3 to 4 channels."""
    net, shape = CNN(3, (6, 4), 4, 8), (29, 9, 1)
    alone, together = (products(net, shape, (1.0, 0.5), worth) for worth in (None, 0))
    for macs in (6 * 4, 3 * 2):
        alone.remove(720 * macs)
    for _ in range(2):
        together.remove(720 * 3 * 4)
    assert alone == together


def test_none_where_they_do_not_pay() -> None:
    """(64, 32) and (32, 16) of 64 inputs and 32 outputs: 32 * 16 are saved, and 32 numbers added."""
    net, shape = DNN(3, (64, 32)), (1, 5, 1)
    alone = products(net, shape, (1.0, 0.5), None)
    assert products(net, shape, (1.0, 0.5), 16) != alone
    assert products(net, shape, (1.0, 0.5), 16.1) == alone
    net, shape = CNN(3, (6, 4), 4, 8), (29, 9, 1)  # 40 taps * 3 * 2 for 4 numbers at every position
    alone = products(net, shape, (1.0, 0.5), None)
    assert products(net, shape, (1.0, 0.5), 60) != alone
    assert products(net, shape, (1.0, 0.5), 60.1) == alone


@pytest.mark.parametrize("name", NETWORKS)
def test_none_behind_statistics_of_their_own(name: str) -> None:
    """What a subnetwork reads behind a batch norm in inference mode is no part of what the wider reads."""
    model, _, shape = NETWORKS[name]
    found = [products(model, shape, (1.0, 0.5), worth, own=True) for worth in (0, None)]
    assert (found[0] == found[1]) == (name != "dnn")  # which has no norm


def test_neither_width_needs_to_contain_the_other() -> None:
    net, shape = DNN(3, (4, 6)), (1, 5, 1)
    pure, variables = adapt(net, random_variables(net, np.zeros((1, *shape), np.float32)))
    graph = traced(pure, variables, np.zeros((1, *shape), np.float32)).graph
    for crossed in (((4, 3), (2, 6)), ((4, 3), (2, 4))):  # whichever runs first, the other has inputs or outputs that it lacks
        widths = [graph.widths(w) for w in crossed]
        assert products(net, shape, widths, 0) == products(net, shape, widths, None)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("form", ["dot", "lax"])
def test_the_same_in_every_form(name: str, form: str) -> None:
    model, _, shape = NETWORKS[name]
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    variables = random_variables(model, x)
    stats, widths = variables.get("batch_stats", {}), (1.0, 0.7, 0.5, 0.2)

    def together(share: bool) -> Any:
        def nested(variables: Any, x: jax.Array) -> Any:
            return run_nested(model, variables["params"], [stats] * 4, x, widths, train=bool(stats), share=share)

        with lowering(form), patch.dict(WORTH, {form: 0}):
            return interpret(nested, variables, x)

    for found, expected in zip(together(True), together(False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)
