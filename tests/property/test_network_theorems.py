"""The theorems of proofs/coq/Network.v, Programs.v and NetworkExamples.v on networks in Flax: gates, squeeze and excite, shared
layers, concatenations with batch norm in training, grouped convolutions, recalibration.

Everything runs in NumPy in double precision (`reds_jax.testing.interpret`) unless it says otherwise. The gradients
(`gradient_prefix_is_mask`, `gradient_is_zero_elsewhere`) are in tests/run/test_gradients.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reds_jax.graph.channels import ChannelGraph
from reds_jax.graph.permute import reorder
from reds_jax.graph.trace import trace
from reds_jax.program.flat import leaves_by_path
from reds_jax.run import run
from reds_jax.run.extract import extract
from reds_jax.testing import (
    assert_permutation_invariant,
    assert_prefix_is_mask,
    interpret,
    masked_apply,
    masked_run,
    random_variables,
)
from reds_jax.testing import strategies as draws
from reds_jax.testing.assertions import _difference
from reds_jax.testing.blocks import Gate
from reds_jax.training import recalibrate

EXACT = {"evaluate": interpret, "tolerance": 1e-9}


def many(n: int) -> settings:
    return settings(max_examples=n, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck))


def built(net: nn.Module, shape: tuple[int, ...], seed: int = 0) -> tuple[nn.Module, Any, np.ndarray, ChannelGraph]:
    """The network, random variables, inputs [N, ...], and the graph."""
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    variables = random_variables(net, x, seed=seed + 1)
    return net, variables, x, trace(net, variables, x)


class Zipped(nn.Module):
    """Two branches [N, H, W, C], channel by channel through a map of two: `Zip` in proofs/coq/Network.v."""

    kind: str
    channels: int = 5

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.Conv(self.channels, (2, 2), name="stem")(x)
        if self.kind == "squeeze and excite":
            x = Gate(name="gate")(x)
        else:
            y = nn.sigmoid(nn.Conv(self.channels, (1, 1), name="branch")(x))
            weight = self.param("weight", nn.initializers.normal(), (self.channels,))
            x = {"sum": lambda: x + y, "product": lambda: x * y, "maximum": lambda: jnp.maximum(x, y),
                 "quotient": lambda: x / (1 + y), "a learned mean": lambda: weight * x + (1 - weight) * y}[self.kind]()
        return nn.Dense(2, name="logits")(x.mean((1, 2)))


ZIPPED = ["sum", "product", "maximum", "quotient", "a learned mean", "squeeze and excite"]


@pytest.mark.parametrize("kind", ZIPPED)
@many(4)
@given(data=st.data())
def test_any_map_of_two_channels_can_be_permuted_and_cut(kind: str, data: st.DataObject) -> None:
    """`network_permutation`, `network_prefix_is_mask` with `Zip`; `squeeze_excite_permutation`,
    `squeeze_excite_prefix_is_mask`."""
    net, variables, x, graph = built(Zipped(kind), (2, 3, 2, 3))
    assert max(g.size for g in graph.groups) == 5
    assert_permutation_invariant(net, variables, x, graph=graph, seed=data.draw(st.integers(0, 99)), **EXACT)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[data.draw(draws.widths(graph))], **EXACT)


def test_a_gate_needs_no_mask_of_its_own_and_a_maximum_does() -> None:
    """`network_prefix_is_mask_at_reads`: a mask in front of every layer suffices. The sigmoid makes 1/2 of a removed channel,
    which a product with the masked channel removes and a maximum does not: the mask has to come behind it."""
    for kind in ("squeeze and excite", "product", "maximum"):
        net, variables, x, graph = built(Zipped(kind), (2, 3, 2, 3))
        widths = graph.widths(0.4)
        found = interpret(lambda v, x, net=net, widths=widths: run(net, v, x, widths)[0], variables, x)
        behind = {"logistic", "max", "reduce_sum", "div"}
        for skip, right in (({"logistic", "broadcast_in_dim"}, True), (behind, kind != "maximum")):
            masked = masked_apply(net, variables, x, graph, widths, skip=frozenset(skip))
            assert (_difference(found, masked) < 1e-9) == right, (kind, skip)


class Shared(nn.Module):
    """One layer in three places, of the same channels: `Programs.placed`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        layer = nn.Dense(5, name="layer")
        x = nn.Dense(5, name="stem")(x)
        x = layer(nn.relu(layer(x))) * nn.sigmoid(layer(x))
        return nn.Dense(2, name="logits")(x)


@many(8)
@given(data=st.data())
def test_a_layer_that_is_used_several_times(data: st.DataObject) -> None:
    """`shared_permute`, `shared_slice`, `program_permutation_invariant`, `program_prefix_is_mask`: the store is permuted and
    cut once, and every place reads it so."""
    net, variables, x, graph = built(Shared(), (3, 4))
    (group,) = graph.groups  # the layer reads and makes what it is called on: one group for all places
    assert group.size == 5
    assert [p.path for p in graph.parameters].count("params/layer/kernel") == 1
    assert_permutation_invariant(net, variables, x, graph=graph, seed=data.draw(st.integers(0, 99)), **EXACT)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[data.draw(draws.widths(graph))], **EXACT)


def test_a_shared_layer_ties_the_groups_around_its_places() -> None:
    """`shared_layer_ties_its_groups`: its rows permuted and its columns not is another function."""
    net, variables, x, graph = built(Shared(), (3, 4))
    order = {graph.groups[0].name: np.array([1, 0, 2, 3, 4])}
    loose = replace(graph, parameters=tuple(
        replace(p, axes=(None, p.axes[1])) if p.path == "params/layer/kernel" else p for p in graph.parameters))
    for used, same in ((graph, True), (loose, False)):
        moved = reorder(variables, used, order)
        a, b = (interpret(lambda v, x: net.apply(v, x), v, x) for v in (variables, moved))
        assert (_difference(a, b) < 1e-9) == same


class SideBySide(nn.Module):
    """Layers side by side, then a bias, batch norm and an activation over all of them, a depthwise convolution, a layer."""

    parts: tuple[int, ...]

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        y = jnp.concatenate([nn.Conv(n, (1, 2), name=f"part_{i}")(x) for i, n in enumerate(self.parts)], -1)
        y = y + self.param("bias", nn.initializers.normal(), (sum(self.parts),))
        y = nn.sigmoid(nn.BatchNorm(not train, momentum=0.75, name="norm")(y))
        y = nn.Conv(sum(self.parts), (2, 1), feature_group_count=sum(self.parts), name="depthwise")(y)
        y = nn.BatchNorm(not train, momentum=0.75, name="last_norm")(nn.Conv(4, (1, 1), name="mix")(y))
        return nn.Dense(2, name="logits")(nn.relu(y).mean((1, 2)))


SIZES = st.lists(st.integers(2, 5), min_size=2, max_size=3).map(tuple)


def ranges(parts: tuple[int, ...], widths: tuple[int, ...]) -> np.ndarray:
    """What is kept of a concatenation: a prefix of each part."""
    starts = np.cumsum((0, *parts[:-1]))
    return np.concatenate([start + np.arange(n) for start, n in zip(starts, widths, strict=True)])


@many(4)
@given(parts=SIZES, data=st.data())
def test_concatenations_with_batch_norm_in_training(parts: tuple[int, ...], data: st.DataObject) -> None:
    """`channels_prefix`, `channels_cat`, `residual_net_prefix_is_mask`: outputs and new statistics at the kept positions, which
    are no prefix; `channels_permuted` at the same time, since the order of each part is its own."""
    net, variables, x, graph = built(SideBySide(parts), (4, 3, 2, 3))
    assert [g.size for g in graph.groups] == [*parts, 4]
    widths = data.draw(draws.widths(graph))
    kept = ranges(parts, widths[:-1])
    assume(len(kept) < sum(parts))
    outputs, states = masked_run(net, variables, x, graph, widths, train=True)
    found = interpret(lambda v, x: run(net, v, x, graph.widths(widths), train=True), variables, x)
    assert _difference(outputs, found[:1]) < 1e-9
    old = leaves_by_path({"batch_stats": variables["batch_stats"]})
    for (path, before), after in zip(old.items(), found[1:], strict=True):
        stays = kept if "/norm/" in path else np.arange(widths[-1])
        expected = np.asarray(before, np.float64).copy()
        expected[stays] = states[path][stays]
        np.testing.assert_allclose(after, expected, rtol=1e-9, atol=1e-9)
        assert not np.allclose(after[stays], before[stays])
    full, small = variables["params"], extract(net, variables, graph, graph.widths(widths))[1]["params"]
    for a, b in ((full["bias"], small["bias"]), *((full["norm"][name], small["norm"][name]) for name in ("scale", "bias"))):
        np.testing.assert_array_equal(a[kept], b)
    assert_permutation_invariant(lambda v, x: net.apply(v, x, train=True, mutable=["batch_stats"])[0], variables, x, **EXACT)


class Joined(nn.Module):
    """A bias behind a concatenation, added by a dense layer whose outputs are two groups: they are tied to the two by a sum."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        y = jnp.concatenate([nn.Dense(4, name="left")(x), nn.Dense(6, name="right")(x)], -1)
        return nn.Dense(2, name="logits")(nn.sigmoid(y + nn.Dense(10, name="whole")(x)))


@many(8)
@given(data=st.data())
def test_the_bias_of_a_dense_layer_whose_outputs_are_no_prefix(data: st.DataObject) -> None:
    """In plain NumPy, with the positions by hand: the kept outputs of the layer are a range of each of its two groups."""
    net, variables, x, graph = built(Joined(), (3, 4))
    left, right = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    widths = tuple({4: left, 6: right}[g.size] for g in graph.groups)
    kept = ranges((4, 6), (left, right))
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
    whole, parts = (np.concatenate([x @ p[n]["kernel"] + p[n]["bias"] for n in names], -1)[:, kept]
                    for names in (("whole",), ("left", "right")))
    expected = 1 / (1 + np.exp(-(whole + parts))) @ p["logits"]["kernel"][kept] + p["logits"]["bias"]
    resolved = graph.widths(widths)
    subnetwork, small = extract(net, variables, graph, resolved)
    for found in (interpret(lambda v, x: run(net, v, x, resolved)[0], variables, x), interpret(subnetwork.apply, small, x),
                  masked_apply(net, variables, x, graph, resolved)):
        assert _difference([expected], found) < 1e-9
    np.testing.assert_array_equal(small["params"]["whole"]["bias"], variables["params"]["whole"]["bias"][kept])


def grouped(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The grouped convolution of Flax with one tap: x [N, groups, inputs], kernel [groups, outputs, inputs], whole numbers."""
    groups, outputs, inputs = kernel.shape
    layer = nn.Conv(groups * outputs, (1,), feature_group_count=groups, use_bias=False)
    lying = kernel.transpose(2, 0, 1).reshape(1, inputs, groups * outputs).astype(np.float32)
    (y,) = interpret(lambda v, x: layer.apply(v, x), {"params": {"kernel": lying}}, x.reshape(len(x), 1, -1).astype(np.float32))
    return y.reshape(len(x), groups, outputs)


@many(20)
@given(data=st.data())
def test_permutations_that_respect_the_groups_of_a_grouped_convolution(data: st.DataObject) -> None:
    """`grouped_permutation`: of whole groups, and of the inputs and outputs inside each, exactly."""
    groups, outputs, inputs = (data.draw(st.integers(1, 4)) for _ in range(3))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    kernel, x = rng.integers(-3, 4, (groups, outputs, inputs)), rng.integers(-3, 4, (2, groups, inputs))
    s = rng.permutation(groups)
    q, r = (np.stack([rng.permutation(n) for _ in range(groups)]) for n in (inputs, outputs))
    moved_kernel = kernel[s[:, None, None], r[:, :, None], q[:, None, :]]
    moved = grouped(x[:, s[:, None], q], moved_kernel)
    np.testing.assert_array_equal(moved, grouped(x, kernel)[:, s[:, None], r])


def test_no_grouped_convolution_does_what_one_does_to_channels_of_two_groups_exchanged() -> None:
    """`grouped_must_respect_groups`: what output 0 of group 0 reads now lies in group 1, which none of its kernels reads."""
    kernel = np.ones((2, 2, 2), np.int64)
    x = np.zeros((1, 2, 2), np.int64)
    x[0, 0, 1] = 1
    exchanged = x.copy()
    exchanged[0, 0, 1], exchanged[0, 1, 0] = x[0, 1, 0], x[0, 0, 1]
    assert grouped(x, kernel)[0, 0, 0] == 1
    for k in np.ndindex(3, 3):  # any weights of that output
        other = kernel.copy()
        other[0, 0] = np.array(k) - 1
        assert grouped(exchanged, other)[0, 0, 0] == 0


class GroupedNet(nn.Module):
    """A grouped convolution between others, three groups of two channels."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.sigmoid(nn.Conv(6, (2, 2), name="conv")(x))
        x = nn.sigmoid(nn.Conv(12, (2, 2), feature_group_count=3, name="grouped")(x))
        return nn.Dense(2, name="logits")(x.mean((1, 2)))


@many(6)
@given(data=st.data())
def test_a_network_with_a_grouped_convolution(data: st.DataObject) -> None:
    """`grouped_net_permutation`, `grouped_net_prefix_is_mask`: whole groups of it are permuted and cut, with all that they
    read and make."""
    net, variables, x, graph = built(GroupedNet(), (2, 3, 3, 2))
    assert [g.size for g in graph.groups] == [3]
    assert_permutation_invariant(net, variables, x, graph=graph, seed=data.draw(st.integers(0, 99)), **EXACT)
    assert_prefix_is_mask(net, variables, x, graph=graph, widths=[data.draw(draws.widths(graph))], **EXACT)
    small = extract(net, variables, graph, graph.widths((2,)))[1]["params"]
    assert (small["conv"]["kernel"].shape[-1], small["grouped"]["kernel"].shape[-2:]) == (4, (2, 8))


class Normed(nn.Module):
    """Two batch norms, the second one behind a concatenation; what it sees depends on the width of what is in front."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        x = nn.sigmoid(nn.BatchNorm(not train, momentum=0.75, name="first")(nn.Dense(5, name="hidden")(x)))
        y = jnp.concatenate([nn.Dense(3, name="left")(x), nn.Dense(4, name="right")(x)], -1)
        y = nn.relu(nn.BatchNorm(not train, momentum=0.75, name="second")(y))
        return nn.Dense(2, name="logits")(y)


def masked_statistics(net: nn.Module, variables: Any, x: np.ndarray, graph: ChannelGraph, widths: tuple[int, ...]) -> Any:
    """Of the masked full network on the batch x, without the moving average: new = 3/4 old + 1/4 batch."""
    zeros = {**variables, "batch_stats": jax.tree.map(np.zeros_like, variables["batch_stats"])}
    states = masked_run(net, zeros, x, graph, widths, train=True)[1]

    def of(path: Any, old: Any) -> np.ndarray:
        return np.asarray(4 * states["batch_stats/" + "/".join(k.key for k in path)], old.dtype)

    return jax.tree_util.tree_map_with_path(of, variables["batch_stats"])


@settings(max_examples=3, deadline=None, derandomize=True)
@given(data=st.data())
def test_recalibrate_and_cut_is_mask_and_recalibrate(data: st.DataObject) -> None:
    """`recalibrate_cut_is_mask_recalibrate`: the library's `recalibrate` (compiled, float32) on one batch, then other inputs.

    The statistics of the full network, cut, make another network: `full_statistics_make_another_network`.
    """
    net, variables, x, graph = built(Normed(), (8, 4))
    resolved = graph.widths(tuple(data.draw(st.integers(1, g.size - 1)) for g in graph.groups))
    widths = graph.integers(resolved)
    z = np.random.default_rng(9).normal(size=(5, 4)).astype(np.float32)
    (own,) = recalibrate(net, variables, [resolved], x, key=jax.random.key(0), batch_size=8)
    (full,) = recalibrate(net, variables, [1.0], x, key=jax.random.key(0), batch_size=8)
    masked = masked_statistics(net, variables, x, graph, widths)
    expected = masked_apply(net, {**variables, "batch_stats": masked}, z, graph, widths)
    for stats, right in ((own, True), (full, False)):
        found = interpret(lambda v, x: run(net, v, x, resolved)[0], {**variables, "batch_stats": stats}, z)
        assert (_difference(expected, found) < 1e-4) == right
    kept = {"first": np.arange(widths[0]), "second": ranges((3, 4), widths[1:])}
    for name, stays in kept.items():
        for s in ("mean", "var"):
            np.testing.assert_allclose(own[name][s][stays], masked[name][s][stays], rtol=1e-4, atol=1e-5)
