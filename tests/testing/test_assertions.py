"""Every assertion catches a bug: of a mean that is left behind, of the wrong rows, of a mask in the wrong place, of a cost."""

import importlib
import sys
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from reds_jax import Slimmable
from reds_jax.errors import MissingDependencyError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import Axis, Size
from reds_jax.graph.trace import trace
from reds_jax.run import operations
from reds_jax.run.extract import extract
from reds_jax.testing import (
    NothingChecked,
    assert_counts,
    assert_permutation_invariant,
    assert_prefix_is_mask,
    assertions,
    interpret,
    masked_apply,
    random_variables,
)
from reds_jax.testing.assertions import _difference

EXACT = {"evaluate": interpret, "tolerance": 1e-9}
ALL = (partial(assert_permutation_invariant, **EXACT), partial(assert_prefix_is_mask, **EXACT),
       partial(assert_counts, widths=0.5))


class Small(nn.Module):
    """A network as a user writes it: the flatten runs over H, W, C."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(6, (3, 3), name="conv")(x)
        x = nn.sigmoid(nn.BatchNorm(True, name="norm")(x))
        return nn.Dense(3, name="logits")(x.reshape(x.shape[0], -1))


@pytest.fixture
def small():
    x = np.random.default_rng(0).normal(size=(2, 3, 2, 2)).astype(np.float32)
    variables = random_variables(Small(), x)
    return Small(), variables, x, trace(Small(), variables, x)


def with_axis(graph: ChannelGraph, path: str, number: int, axis: Axis | None) -> ChannelGraph:
    """The graph with one axis of one parameter replaced."""
    assert any(p.path == path for p in graph.parameters)
    return replace(graph, parameters=tuple(
        replace(p, axes=tuple(axis if i == number else a for i, a in enumerate(p.axes))) if p.path == path else p
        for p in graph.parameters))


def test_all_hold_and_tell_what_stays(small) -> None:
    net, variables, x, graph = small
    assert [p.path for p in graph.pinned] == ["logits"]
    for check in ALL:
        assert check(net, variables, x) == graph.pinned
        assert check(Slimmable(net), variables, x) == graph.pinned
        assert check(lambda variables, x: Small().apply(variables, x), variables, x) == graph.pinned  # a function
    assert_permutation_invariant(net, variables, x)  # compiled by JAX
    assert_prefix_is_mask(net, variables, x, widths=[0.5])


def test_where_nothing_can_be_cut_nothing_is_checked() -> None:
    class Pinned(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(2, name="logits")(nn.LayerNorm(name="norm")(nn.Dense(6, name="hidden")(x)))

    x = np.ones((2, 4), np.float32)
    variables = random_variables(Pinned(), x)
    for check in ALL:
        with pytest.raises(NothingChecked, match=r"(?s)nothing can be cut.*hidden +6 .*reduces over channels"):
            check(Pinned(), variables, x)


def test_a_head_of_zeros_checks_nothing(small) -> None:
    net, variables, x, _ = small
    zeros = jax.tree.map(np.zeros_like, variables["params"]["logits"])
    started = {**variables, "params": {**variables["params"], "logits": zeros}}
    for check in ALL[:2]:
        with pytest.raises(NothingChecked, match="do not depend on the channels that can be cut"):
            check(net, started, x)
    with pytest.raises(NothingChecked):
        assert_prefix_is_mask(net, started, x, widths=[1.0], **EXACT)
    assert_prefix_is_mask(net, variables, x, widths=[1.0], **EXACT)


def test_what_is_not_a_number_is_no_proof(small) -> None:
    net, variables, x, _ = small
    bad = {**variables, "batch_stats": {"norm": {**variables["batch_stats"]["norm"], "var": np.full(6, -2, np.float32)}}}
    for check in ALL[:2]:
        with pytest.raises(AssertionError, match="not finite"):
            check(net, bad, x)


def test_a_computation_that_is_not_a_number_differs(small) -> None:
    """NaN compares with nothing: it is not equal, whichever side has it."""
    a, bad = np.ones(3), np.array([1, np.nan, 1])
    assert _difference([a], [bad]) == _difference([bad], [a]) == _difference([a, a], [a, bad]) == np.inf
    net, variables, x, _ = small
    calls = []

    def spoilt(apply, variables, x):
        calls.append(apply)
        outputs = interpret(apply, variables, x)
        return [np.full_like(y, np.nan) for y in outputs] if len(calls) == 2 else outputs

    for check in (assert_permutation_invariant, assert_prefix_is_mask):
        calls.clear()
        with pytest.raises(AssertionError, match="by inf"):
            check(net, variables, x, evaluate=spoilt, tolerance=1e-9)


@pytest.mark.parametrize("path", ["conv/bias", "norm/scale", "logits/kernel"])
def test_what_is_cut_out_wrongly_is_caught(small, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """`run` is right, and the variables that `extract` gives are not."""
    net, variables, x, graph = small

    def wrong(*arguments):
        subnetwork, cut = extract(*arguments)
        layer, name = path.split("/")
        other = {**cut["params"][layer], name: 1 + np.asarray(cut["params"][layer][name])}
        return subnetwork, {**cut, "params": {**cut["params"], layer: other}}

    monkeypatch.setattr(assertions, "extract", wrong)
    with pytest.raises(AssertionError, match="the extracted subnetwork differs from the masked network"):
        assert_prefix_is_mask(net, variables, x, graph=graph, widths=[(3,)], **EXACT)


def test_the_first_that_differs_ends_the_check(small, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a rule that is wrong the assertion names the layer, and does not go on to other widths."""
    net, variables, x, graph = small
    good, runs = operations.RULES["conv_general_dilated"], []

    def wrong(cut, op, ins):
        (h,) = good(cut, op, ins)
        return [type(h)(h.array * 1.5, h.order)]

    def evaluate(apply, variables, x):
        runs.append(apply)
        return interpret(apply, variables, x)

    monkeypatch.setitem(operations.RULES, "conv_general_dilated", wrong)
    with pytest.raises(AssertionError, match=r"the network at a width differs .*first different in 'conv_general_dilated' of "
                                             r"module 'Small/conv' \(.*test_assertions\.py:\d+\)"):
        assert_prefix_is_mask(net, variables, x, graph=graph, evaluate=evaluate)
    assert len(runs) == 1


@pytest.mark.parametrize("path", ["batch_stats/norm/mean", "batch_stats/norm/var", "params/norm/bias", "params/conv/bias"])
def test_a_mean_that_is_not_permuted_is_caught(small, path: str) -> None:
    net, variables, x, graph = small
    with pytest.raises(AssertionError, match=r"groups that change it alone: \['conv'\]; first different in .* of module "
                                             r"'Small/(norm|conv)' \(.*test_assertions\.py:\d+\)"):
        assert_permutation_invariant(net, variables, x, graph=with_axis(graph, path, 0, None), **EXACT)


def test_the_first_rows_of_a_flatten_over_h_w_c_are_caught(small) -> None:
    net, variables, x, graph = small
    by_channel = np.repeat(np.arange(6, dtype=np.int32), 6)  # what would be right behind a flatten over C, H, W
    wrong = with_axis(graph, "params/logits/kernel", 0, Axis(np.zeros(36, np.int32), by_channel))
    with pytest.raises(AssertionError, match="changes the output"):
        assert_permutation_invariant(net, variables, x, graph=wrong, **EXACT)
    with pytest.raises(AssertionError, match="differs from the masked network"):
        assert_prefix_is_mask(net, variables, x, graph=wrong, widths=[(3,)], **EXACT)


def test_a_mask_before_an_activation_that_is_not_zero_at_zero_is_another_network(small) -> None:
    net, variables, x, graph = small
    subnetwork, cut = extract(net, variables, graph, (2,))
    outputs = interpret(subnetwork.apply, cut, x)
    assert _difference(masked_apply(net, variables, x, graph, (2,)), outputs) < 1e-9
    behind = frozenset({"logistic", "reshape"})
    assert _difference(masked_apply(net, variables, x, graph, (2,), skip=behind), outputs) > 1e-3


def test_costs_that_are_wrong_are_caught(small) -> None:
    net, variables, x, graph = small
    layer, step = graph.layers[0], graph.schedule[0]
    assert_counts(net, variables, x, (4,), graph=graph)
    dearer = replace(graph, layers=(replace(layer, factor=layer.factor + 1), *graph.layers[1:]))
    longer = replace(graph, schedule=(replace(step, alive_bytes=step.alive_bytes + Size(4)), *graph.schedule[1:]))
    for wrong in (dearer, longer):
        with pytest.raises(AssertionError, match="the graph claims"):
            assert_counts(net, variables, x, (4,), graph=wrong)
    unsliced = with_axis(graph, "params/conv/bias", 0, None)
    assert unsliced.param_bytes((4,)) != graph.param_bytes((4,))


class Normed(nn.Module):
    """Permutation equivariant and not nested: the mean of a prefix is another mean."""

    features: int = 6
    norm: bool = True

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(self.features, name="hidden")(x)
        if self.norm:
            x = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-3)
        return nn.Dense(2, name="logits")(x)


def test_layer_norm_is_permutation_equivariant_but_not_nested() -> None:
    """By the graph of the network without the norm: the prefix as a network of its own is not the masked one."""
    x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    without = Normed(norm=False)
    variables = random_variables(without, x)
    graph = trace(without, variables, x)
    assert_permutation_invariant(Normed(), variables, x, graph=graph, **EXACT)
    small = extract(without, variables, graph, 0.5)[1]
    for norm, differs in ((False, False), (True, True)):
        narrow = interpret(lambda v, x, norm=norm: Normed(3, norm).apply(v, x), small, x)
        masked = masked_apply(Normed(norm=norm), variables, x, graph, 0.5)
        assert (_difference(masked, narrow) > 1e-3) == differs
    with pytest.raises(NothingChecked, match="reduces over channels"):
        assert_prefix_is_mask(Normed(), variables, x)


class TwoLayers(nn.Module):
    """The batch norm sees sums over the hidden units, so its statistics depend on how many there are."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Dense(6, name="hidden")(x)
        x = nn.relu(nn.BatchNorm(True, name="norm")(nn.Dense(4, name="next")(x)))
        return nn.Dense(2, name="logits")(x)


def test_statistics_of_its_own_make_another_network() -> None:
    """Prefix = mask needs the stored statistics of the full network; recalibrated ones are right to use, and break it."""
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    net, variables = TwoLayers(), random_variables(TwoLayers(), x)
    graph = trace(net, variables, x)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[(3, 2)], **EXACT)
    subnetwork, cut = extract(net, variables, graph, (3, 2))
    masked = masked_apply(net, variables, x, graph, (3, 2))
    assert _difference(masked, interpret(subnetwork.apply, cut, x)) < 1e-9
    hidden, after = cut["params"]["hidden"], cut["params"]["next"]
    seen = (x @ hidden["kernel"] + hidden["bias"]) @ after["kernel"] + after["bias"]
    own = {**cut, "batch_stats": {"norm": {"mean": np.mean(seen, 0), "var": np.var(seen, 0)}}}
    assert jax.tree.map(np.shape, own) == jax.tree.map(np.shape, dict(cut))
    assert _difference(masked, interpret(subnetwork.apply, own, x)) > 1e-3


def test_without_hypothesis_the_strategies_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "reds_jax.testing.strategies", raising=False)
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingDependencyError, match=r"reds_jax\[testing\]"):
        importlib.import_module("reds_jax.testing.strategies")
    assert "reds_jax.testing" in sys.modules  # the assertions work without it
