"""Sorting and cutting: idempotent, stable, never zero channels, and clear about what does not fit."""

import jax
import numpy as np
import pytest
import user_nets as nets
from user_nets import built

from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.graph.permute import descending, permute, reorder
from reds_jax.graph.trace import trace
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import interpret
from reds_jax.testing.assertions import _difference


def same(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def tied():
    return built(nets.concatenated_and_added)


def test_sorting_twice_is_sorting_once(tied) -> None:
    _, variables, _, graph = tied
    rng = np.random.default_rng(0)
    scores = {g.name: rng.normal(size=g.size) for g in graph.groups}
    once = permute(variables, graph, scores)
    same(permute(once, graph, {name: np.sort(s)[::-1] for name, s in scores.items()}), once)
    with pytest.raises(AssertionError):
        same(once, variables)


def test_sorted_and_equal_scores_change_nothing(tied) -> None:
    _, variables, _, graph = tied
    same(permute(variables, graph, {g.name: -np.arange(g.size) for g in graph.groups}), variables)
    same(permute(variables, graph, {g.name: np.zeros(g.size) for g in graph.groups}), variables)


def test_ties_keep_their_order(tied) -> None:
    graph = tied[-1]
    orders = descending({"whole[0]": [1, 2, 1, 2], "whole[1]": np.float32([0, 0, 3, 0, 0])}, graph)
    assert {name: order.tolist() for name, order in orders.items()} == {"whole[0]": [1, 3, 0, 2], "whole[1]": [2, 0, 1, 3, 4]}


def test_sorting_moves_what_belongs_together(tied) -> None:
    _, variables, _, graph = tied
    order = {"whole[0]": np.array([2, 0, 3, 1]), "whole[1]": np.arange(5)}
    moved = reorder(variables, graph, order)["params"]
    for name, axis, places in (("whole", -1, [2, 0, 3, 1, 4, 5, 6, 7, 8]), ("left", -1, [2, 0, 3, 1]),
                               ("right", -1, range(5)), ("logits", 0, [2, 0, 3, 1, 4, 5, 6, 7, 8])):
        np.testing.assert_array_equal(moved[name]["kernel"], variables["params"][name]["kernel"].take(places, axis))


def test_full_widths_cut_nothing(tied) -> None:
    net, variables, x, graph = tied
    subnetwork, whole = extract(net, variables, graph, graph.full_widths)
    same(whole, variables)
    assert _difference(interpret(net.apply, variables, x), interpret(subnetwork.apply, whole, x)) < 1e-15


def test_no_width_leaves_a_group_empty(tied) -> None:
    net, variables, _, graph = tied
    assert graph.widths(1e-9).values_tuple() == (1, 1)
    small = extract(net, variables, graph, 1e-9)[1]
    assert min(n for a in jax.tree.leaves(small) for n in a.shape) == 1


def test_an_extracted_network_has_ordinary_shapes_and_can_be_cut_again(tied) -> None:
    net, variables, x, graph = tied
    subnetwork, small = extract(net, variables, graph, (2, 3))
    assert jax.tree.map(np.shape, small)["params"]["whole"] == {"kernel": (3, 3, 3, 5), "bias": (5,)}
    again = trace(subnetwork, small, x)
    assert [g.size for g in again.groups] == [2, 3]
    assert again.macs() == graph.macs((2, 3))
    twice, smaller = extract(subnetwork, small, again, (1, 2))
    once, direct = extract(net, variables, graph, (1, 2))
    same(smaller, direct)
    assert _difference(interpret(once.apply, direct, x), interpret(twice.apply, smaller, x)) == 0


def test_the_last_group_of_a_grouped_convolution_can_be_cut_as_a_convolution() -> None:
    net, variables, x, graph = built(nets.grouped)
    subnetwork, small = extract(net, variables, graph, (1,))
    again = trace(subnetwork, small, x)
    assert {g.name: g.size for g in again.groups} == {"conv": 2, "grouped": 4}
    halved, half = extract(subnetwork, small, again, 0.5)
    assert [a.shape for a in interpret(halved.apply, half, x)] == [(2, 2)]


def test_an_extracted_network_runs_by_itself() -> None:
    net, variables, x, graph = built(nets.residual)
    subnetwork, small = extract(net, variables, graph, 0.5)
    expected = interpret(lambda v, x: run(net, v, x, 0.5)[0], variables, x)
    assert _difference(interpret(subnetwork.apply, small, x), expected) < 1e-12


def test_variables_of_another_network_are_an_error(tied) -> None:
    net, variables, _, graph = tied
    other = built(nets.residual)[1]
    small = extract(net, variables, graph, 0.5)[1]
    params = variables["params"]
    extra = {**variables, "params": {**params, "more": {"kernel": np.zeros((2, 2))}}}
    with pytest.raises(InvalidArgumentError, match="lack arrays .*params/left/bias"):
        extract(net, other, graph, 0.5)
    with pytest.raises(InvalidArgumentError, match="not one that the graph was traced with.* trace it again"):
        extract(net, small, graph, 0.5)
    with pytest.raises(InvalidArgumentError, match="'params/more/kernel' is not one"):
        reorder(extra, graph, {g.name: np.arange(g.size) for g in graph.groups})
    with pytest.raises(InvalidArgumentError, match="lack arrays"):
        extract(net, {"params": {k: v for k, v in params.items() if k != "left"}}, graph, 0.5)


def test_scores_and_orders_that_do_not_fit_are_errors(tied) -> None:
    _, variables, _, graph = tied
    good = {g.name: np.zeros(g.size) for g in graph.groups}
    with pytest.raises(InvalidArgumentError, match=r"no scores for group 'whole\[1\]'"):
        permute(variables, graph, {"whole[0]": np.zeros(4)})
    for bad in (np.zeros(5), np.full(4, np.nan), np.zeros((4, 1))):
        with pytest.raises(InvalidArgumentError, match="one finite number per unit"):
            permute(variables, graph, {**good, "whole[0]": bad})
    with pytest.raises(InvalidArgumentError, match="is not a permutation"):
        reorder(variables, graph, {"whole[0]": np.array([0, 0, 1, 2]), "whole[1]": np.arange(5)})
    with pytest.raises(InvalidArgumentError, match="no order for group"):
        reorder(variables, graph, {"whole[0]": np.arange(4)})


@pytest.mark.parametrize("widths", [{"whole[0]": 1}, {"whole[0]": 1, "whole[1]": 2, "x": 3}, [1], (1, 6), (0, 1), (1.0, 1),
                                    (True, 1), {"whole[0]": 0, "whole[1]": 1}, np.array([1, 2, 3]), 0, 1.5, "half", None])
def test_widths_that_do_not_fit_are_errors(tied, widths) -> None:
    graph = tied[-1]
    for method in (graph.widths, graph.macs, graph.param_bytes, graph.peak_memory_bytes, graph.param_count):
        with pytest.raises(WidthError):
            method(widths)
