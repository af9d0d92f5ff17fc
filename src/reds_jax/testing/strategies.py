"""Hypothesis strategies: random architectures, the permutations of their channel groups, and widths; and knapsacks.

For networks: `networks`, `permutations`, `widths`, `nested_widths`. For knapsacks (``knapsack_strategies.py``):
`knapsack_instances`, `capacities_for`, `near_tight`, `nested_cases`, and `heavy_cases`, which break the assumption of the
theorems. For width problems (``width_strategies.py``): `width_problems`, `width_chains`, `width_graphs`, and with capacities
`width_cases`, `near_tight_widths`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from reds_jax.graph.channels import ChannelGraph
from reds_jax.optional import needs
from reds_jax.testing.knapsack_strategies import Case, capacities_for, heavy_cases, knapsack_instances, near_tight, nested_cases
from reds_jax.testing.networks import ACTIVATIONS, LayerSpec, RandomNet
from reds_jax.testing.width_strategies import (
    WidthCase,
    near_tight_widths,
    width_cases,
    width_chains,
    width_graphs,
    width_problems,
)

with needs("hypothesis", "a strategy"):
    from hypothesis import strategies as st

__all__ = ["Case", "WidthCase", "capacities_for", "heavy_cases", "knapsack_instances", "near_tight", "near_tight_widths",
           "nested_cases", "nested_widths", "networks", "permutations", "width_cases", "width_chains", "width_graphs",
           "width_problems", "widths"]

Shape = tuple[int, ...]  # height, width, channels; or channels alone

_SMOOTH = ("none", "relu", "maximum", "leaky_relu", "tanh", "sigmoid", "softplus", "shifted_relu", "relu6")
_INTEGER = ("none", "relu", "maximum", "shifted_relu")
_DEVICE = ("none", "relu", "maximum", "leaky_relu", "shifted_relu", "relu6")
assert set(_SMOOTH) == set(ACTIVATIONS)


@st.composite
def networks(
    draw: st.DrawFn, *, integers: bool = False, device: bool = False, max_layers: int = 5
) -> tuple[RandomNet, Shape]:
    """A random architecture in plain flax.linen and the shape [H, W, I] of its input.

    Args:
        integers: only layers that map integers to integers (no mean, no batch norm, no smooth activation).
        device: only what `reds_jax.deploy` lowers, with one output; the input may be a vector, its shape is then [I].
    """
    options = _Options(draw, integers, device)
    if device:
        return options.device_network(max_layers)
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3)))
    trunk = [options.conv(draw(st.integers(2, 6)), strides=(1, 1))]  # has channels that can be cut
    now = _after(trunk[0], shape)
    for _ in range(draw(st.integers(0, max_layers - 1))):
        layer, now = options.layer(now)
        trunk.append(layer)
    heads = tuple(options.head() for _ in range(draw(st.integers(1, 2))))
    return RandomNet(tuple(trunk), heads), shape


class _Options:
    """Draws layers for a shape."""

    def __init__(self, draw: st.DrawFn, integers: bool, device: bool) -> None:
        self.draw, self.integers, self.device = draw, integers, device
        kinds = ["conv", "conv", "depthwise", "dense", "act", "max_pool", "residual", "project", "grouped", "concat", "shuffle"]
        if not device:
            kinds += ["maybe", "twice", "split", "slice", "scan", "stack", "dropout"]
        if not integers:
            kinds += ["norm", "avg_pool", *(["branch"] if device else ["gate", "turn", "gru", "attention", "layer_norm"])]
        self.kinds = st.sampled_from(kinds)

    def _flag(self) -> bool:
        return self.draw(st.booleans())

    def _pair(self, low: int, high: int) -> tuple[int, int]:
        return self.draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    def _after(self, layer: LayerSpec) -> LayerSpec:
        """With what comes behind a layer: batch norm, an activation."""
        forms = ["both", "scale", "bias", "neither"]
        acts = _INTEGER if self.integers else _DEVICE if self.device else _SMOOTH
        return replace(layer, norm=not self.integers and self._flag(), norm_form=self.draw(st.sampled_from(forms)),
                       act=self.draw(st.sampled_from(acts)))

    def conv(self, features: int | None = None, *, strides: tuple[int, int] | None = None) -> LayerSpec:
        features = self.draw(st.integers(1, 6)) if features is None else features
        strides = self._pair(1, 2) if strides is None else strides
        return self._after(LayerSpec("conv", features, self._pair(1, 3), strides, bias=self._flag()))

    def layer(self, shape: Shape) -> tuple[LayerSpec, Shape]:
        h, w, channels = shape
        kind = self.draw(self.kinds)
        if kind == "conv":
            layer = self.conv()
            if self._flag() and layer.kernel[0] <= h and layer.kernel[1] <= w:
                layer = replace(layer, padding="VALID")
        elif kind == "grouped":
            groups = self._divisor(channels)
            layer = replace(self.conv(groups * self.draw(st.integers(1, 2))), groups=groups)
        elif kind == "depthwise":
            layer = self._after(LayerSpec(kind, channels, self._pair(1, 3), self._pair(1, 2), bias=self._flag()))
        elif kind in ("dense", "gru"):
            layer = self._after(LayerSpec(kind, self.draw(st.integers(1, 6)), bias=self._flag()))
        elif kind in ("max_pool", "avg_pool"):
            window = (min(h, self.draw(st.integers(1, 3))), min(w, self.draw(st.integers(1, 2))))
            layer = LayerSpec(kind, channels, window, self._pair(1, 2), self.draw(st.sampled_from(["SAME", "VALID"])))
        elif kind == "shuffle":
            layer = LayerSpec(kind, channels, groups=self._divisor(channels))
        elif kind == "slice":
            step = self.draw(st.integers(1, 2))
            layer = LayerSpec(kind, self.draw(st.integers(1, -(-channels // step))), groups=step)
        else:
            layer = self._block(kind, channels)
        return layer, _after(layer, shape)

    def _divisor(self, channels: int) -> int:
        return self.draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))

    def _block(self, kind: str, channels: int) -> LayerSpec:
        """Layers with branches; or a layer that has as many channels as before."""
        if kind == "residual":  # identity and a branch that ends in as many channels
            inner = self.conv(strides=(1, 1))
            return self._after(LayerSpec(kind, channels, parts=((), (inner, self.conv(channels, strides=(1, 1))))))
        if kind == "maybe":
            strides, features = self._pair(1, 2), self.draw(st.sampled_from([channels, 4]))
            return LayerSpec(kind, features, strides=strides, parts=((self.conv(features, strides=strides),),))
        if kind == "project":  # two branches with convolutions
            strides, features = self._pair(1, 2), self.draw(st.integers(1, 6))
            parts = ((self.conv(features, strides=strides),), (self.conv(features, strides=strides),))
            return self._after(LayerSpec("residual", features, strides=strides, parts=parts))
        if kind == "branch":  # two layers that read the same array, as it is or normalised and activated
            after = [self._after(LayerSpec("norm" if self._flag() else "act", channels)) for _ in range(2)]
            inner = (after[0], self.conv(channels, strides=(1, 1)))
            return self._after(LayerSpec("residual", channels, parts=((after[1],) if self._flag() else (), inner)))
        if kind == "concat":
            return self._concat(channels)
        if kind == "split" and channels > 1:  # the first channels are convolved, the others go by
            first = self.conv(strides=(1, 1))
            return self._after(LayerSpec(kind, first.features + channels // 2, parts=((first,), ())))
        return self._after(LayerSpec("act" if kind == "split" else kind, channels))

    def _concat(self, channels: int) -> LayerSpec:
        """Branches side by side, one of them perhaps the identity; perhaps tied to a convolution by an add."""
        strides = self._pair(1, 2)
        identity = strides == (1, 1) and self._flag()
        branches = [self.conv(strides=strides) for _ in range(self.draw(st.integers(1 if identity else 2, 2)))]
        parts = (*(((),) if identity else ()), *((b,) for b in branches))
        features = sum(b.features for b in branches) + (channels if identity else 0)
        joined = self._after(LayerSpec("concat", features, strides=strides, parts=parts))
        if not self._flag():
            return joined
        tied = ((joined,), (self.conv(features, strides=strides),))
        return LayerSpec("residual", features, strides=strides, parts=tied if self._flag() else tied[::-1])

    def head(self) -> tuple[LayerSpec, ...]:
        """What makes vectors out of images, and dense layers; or nothing: an image comes out."""
        kinds = ["none", "flatten", "reshape"] + ([] if self.integers else ["mean"])
        kind = self.draw(st.sampled_from(kinds))
        if kind == "none":
            return ()
        dense = [self._after(LayerSpec("dense", self.draw(st.integers(1, 6)), bias=self._flag()))
                 for _ in range(self.draw(st.integers(0, 2)))]
        return (LayerSpec(kind), *dense)

    def device_network(self, max_layers: int) -> tuple[RandomNet, Shape]:
        """One head that ends in a vector, from an image or a vector; inputs are perhaps normalised by constants."""
        channels = self.draw(st.sampled_from([1, 3, 2]))
        shape = (*self._pair(1, 6), channels) if self.draw(st.integers(0, 4)) else (self.draw(st.integers(1, 9)),)
        values = st.tuples(*[st.sampled_from([-1.5, 0.5, 2.0])] * shape[-1])
        trunk, now = [], shape
        for _ in range(self.draw(st.integers(0, max_layers))):
            layer, now = self.layer(now) if len(now) == 3 else self._vector_layer(now)
            trunk.append(layer)
        head = tuple(self._after(LayerSpec("dense", self.draw(st.integers(1, 6)), bias=self._flag()))
                     for _ in range(self.draw(st.integers(0, 2))))
        if len(shape) == 3:
            head = (LayerSpec(self.draw(st.sampled_from(["mean", "flatten", "reshape"]))), *head)
        return RandomNet(tuple(trunk), (head,), self.draw(st.integers(1, 3)),
                         (self.draw(values), self.draw(values)) if self._flag() else None,
                         self.draw(st.sampled_from(["none", "none", "softmax", "argmax"]))), shape

    def _vector_layer(self, shape: Shape) -> tuple[LayerSpec, Shape]:
        kind = self.draw(st.sampled_from(["dense", "dense", "norm", "act", "residual"]))
        features = self.draw(st.integers(1, 6)) if kind == "dense" else shape[0]
        branch = (self._after(LayerSpec("dense", shape[0])),)
        parts = ((), branch) if kind == "residual" else ()
        return self._after(LayerSpec(kind, features, bias=self._flag(), parts=parts)), (features,)


def _after(layer: LayerSpec, shape: Shape) -> Shape:
    """The shape [H, W, C] behind a layer."""
    def length(n: int, k: int, s: int) -> int:
        return -(-n // s) if layer.padding == "SAME" else (n - k) // s + 1

    h, w, _ = shape
    return length(h, layer.kernel[0], layer.strides[0]), length(w, layer.kernel[1], layer.strides[1]), layer.features


def widths(graph: ChannelGraph) -> st.SearchStrategy[tuple[int, ...]]:
    """An integer from 1 to its size for every channel group, in the order of the graph."""
    return st.tuples(*(st.integers(1, g.size) for g in graph.groups))


@st.composite
def nested_widths(draw: st.DrawFn, graph: ChannelGraph, max_count: int = 3) -> list[tuple[int, ...]]:
    """Up to ``max_count`` widths, ascending: each has at least the channels of the one before in every group."""
    drawn = draw(st.lists(widths(graph), min_size=1, max_size=max_count))
    return [tuple(max(column) for column in zip(*drawn[: k + 1], strict=True)) for k in range(len(drawn))]


def permutations(graph: ChannelGraph) -> st.SearchStrategy[dict[str, np.ndarray]]:
    """An order of the units of every channel group, as `reds_jax.graph.permute.reorder` takes it."""
    return st.fixed_dictionaries({g.name: st.permutations(range(g.size)).map(np.array) for g in graph.groups})
