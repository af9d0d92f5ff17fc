"""A nested network as a device runs it: a short list of operations on arrays [C, H, W], with one copy of the weights.

Every operation is ``activation(scale * linear(x) + offset)``: bias and batch norm are folded into ``scale`` and ``offset``,
one pair of vectors a subnetwork, and the weights stay as they were trained, shared by all. Weights are matrices
``[outputs, inputs * k_h * k_w]`` ordered by input channel, so that a subnetwork reads a prefix of the rows and of each row a
prefix. An array that was joined of several (a concatenation) has a prefix of each: of it a subnetwork reads ``ranges``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from reds_jax.deploy.lowering.function import Function
from reds_jax.graph.channels import Size

Kind = Literal["conv", "depthwise", "dense", "max_pool", "avg_pool", "add", "mul", "map", "resize", "softmax", "channel_first",
               "concat", "pad", "shuffle"]
Activation = Literal["linear", "relu", "relu6", "leaky_relu"]
WEIGHTED = ("conv", "depthwise", "dense")


@dataclass(frozen=True)
class Range:
    """Channels that lie together; every subnetwork has the first of them.

    Args:
        first: where they begin among the channels of the array as the largest subnetwork has it.
        channels: how many of them each subnetwork has.
        size: how many of them there are at any row of widths, as in `Tensor`.
    """

    first: int
    channels: tuple[int, ...]
    size: Size | None = None


@dataclass(frozen=True)
class Tensor:
    """An array [channels, height, width] that is dense at the width of each subnetwork.

    Args:
        channels: how many channels each subnetwork has.
        channel_first: whether it lies as [C, H, W]; an input image may lie as [H, W, C].
        size: how many channels it has at any row of widths, if `lower` was asked for every row: the first ``constant`` stay,
            behind them lie the units of at most one group, ascending. Of an array of several ranges it is their sum.
        ranges: of which channels a subnetwork has the first, where these are no prefix of all; else empty.
    """

    channels: tuple[int, ...]
    height: int = 1
    width: int = 1
    channel_first: bool = True
    size: Size | None = None
    ranges: tuple[Range, ...] = ()

    @property
    def positions(self) -> int:
        return self.height * self.width

    @property
    def parts(self) -> tuple[Range, ...]:
        """The ranges; of an array of which a subnetwork has a prefix, that one."""
        return self.ranges or (Range(0, self.channels, self.size),)

    def kept(self, k: int) -> np.ndarray:
        """Which of the channels that the largest subnetwork has subnetwork k has, ascending."""
        return np.concatenate([r.first + np.arange(r.channels[k]) for r in self.parts])

    def items(self, k: int) -> int:
        """Entries in subnetwork k."""
        return self.channels[k] * self.positions

    def steps(self, k: int) -> tuple[int, int, int]:
        """Entries from one channel, row and column to the next in subnetwork k."""
        if self.channel_first:
            return self.positions, self.width, 1
        return 1, self.width * self.channels[k], self.channels[k]


@dataclass(frozen=True)
class Window:
    """A window that moves over the positions of an array."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)  # padding at the top and at the left
    after: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)  # positions from one entry of the window to the next

    @property
    def taps(self) -> int:
        return math.prod(self.kernel)

    @property
    def reach(self) -> tuple[int, int]:
        """Positions from the first entry to the last."""
        return tuple((n - 1) * d + 1 for n, d in zip(self.kernel, self.dilation, strict=True))  # type: ignore[return-value]

    @property
    def dilated(self) -> bool:
        return self.dilation != (1, 1)

    @property
    def padding(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.before[0], self.after[0]), (self.before[1], self.after[1])

    @property
    def padded(self) -> bool:
        return any((*self.before, *self.after))

    def counts(self, size: tuple[int, int], out: tuple[int, int]) -> np.ndarray:
        """How many positions of an image of that size every window covers, [out_h, out_w]."""
        axes = []
        for n, m, kernel, stride, before in zip(size, out, self.kernel, self.strides, self.before, strict=True):
            start = np.arange(m) * stride - before
            axes.append(np.minimum(start + kernel, n) - np.maximum(start, 0))
        return axes[0][:, None] * axes[1][None, :]


@dataclass(frozen=True, eq=False)
class Operation:
    """One step: reads the tensors ``inputs``, writes the tensor ``output`` (indices into ``Program.tensors``).

    Args:
        weights: [O, I * k_h * k_w] of a convolution, [C, k_h * k_w] of a depthwise one, [O, items of the input] of a dense
            layer, as the largest subnetwork reads them; rows are read to a prefix. In a grouped convolution a row has the
            inputs of a group.
        scale, offset: one vector [outputs of subnetwork k] a subnetwork.
        groups: how many groups of a grouped convolution each subnetwork has, or by how many a shuffle turns channels
            [groups][each] into [each][groups]; empty for all else.
        function: what a ``"map"`` does to every entry.

    A ``"mul"`` multiplies two arrays of the same shape, or the first by a gate: a second of one position, of one channel, or
    both. A
    ``"resize"`` repeats rows and columns, as often as its output has more of them than its input.
    """

    kind: Kind
    name: str
    inputs: tuple[int, ...]
    output: int
    window: Window | None = None
    weights: np.ndarray | None = None
    scale: tuple[np.ndarray, ...] = ()
    offset: tuple[np.ndarray, ...] = ()
    activation: Activation = "linear"
    slope: float = 0.0
    function: Function | None = None
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Program:
    """The operations in the order of execution, and the arrays that they read and write.

    Args:
        tensors: the arrays; 0 is the input.
        operations: in the order of execution.
        output: index of the tensor that is the result.
        macs: of each subnetwork, for one example.
        argmax: whether the model ends in the class with the largest output, which the caller takes from the result.
        input_shape: that of one example, (H, W, C) or (C,).
    """

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    output: int
    macs: tuple[int, ...]
    argmax: bool = False
    input_shape: tuple[int, ...] = ()

    @property
    def subnetworks(self) -> int:
        return len(self.macs)

    def row(self, op: Operation, k: int) -> int:
        """Entries of a row of the weights that subnetwork k reads."""
        x = self.tensors[op.inputs[0]]
        if op.kind == "dense":
            return x.items(k)
        assert op.window is not None
        return op.window.taps * (x.channels[k] // (op.groups[k] if op.groups else 1) if op.kind == "conv" else 1)

    def columns(self, op: Operation, k: int) -> np.ndarray:
        """The entries of a row of the weights that subnetwork k reads, ascending."""
        x = self.tensors[op.inputs[0]]
        if op.kind == "depthwise":
            return np.arange(self.row(op, k))
        each = x.positions if op.window is None else op.window.taps
        channels = x.kept(k)
        if op.groups:  # those of the first group that there is
            assert op.weights is not None
            channels = channels[: len(channels) // op.groups[k]] % (op.weights.shape[1] // each)
        return (channels[:, None] * each + np.arange(each)).ravel()

    def kept(self, op: Operation, k: int, weights: np.ndarray) -> np.ndarray:
        """The part of an operation's weights that subnetwork k reads: a prefix of the rows, of each row a prefix, or ranges."""
        return weights[np.ix_(self.tensors[op.output].kept(k), self.columns(op, k))]

    def repeats(self, op: Operation) -> tuple[int, int]:
        """How often an operation repeats every row and every column of its first input."""
        x, y = self.tensors[op.inputs[0]], self.tensors[op.output]
        return y.height // x.height, y.width // x.width

    def gate(self, op: Operation) -> Literal["channels", "positions", "all"] | None:
        """What the second input of a product has one entry for each of, where it has not the shape of the first."""
        a, b = (self.tensors[t] for t in op.inputs)
        one_channel, one_position = max(b.channels) < max(a.channels), b.positions < a.positions
        if one_channel and one_position:
            return "all"
        return "channels" if one_position else "positions" if one_channel else None

    def kept_weights(self, op: Operation, k: int) -> np.ndarray:
        """`kept` of the weights as they were trained."""
        assert op.weights is not None
        return self.kept(op, k, op.weights)

    def operation_macs(self, op: Operation, k: int) -> int:
        """Multiply-accumulates of an operation in subnetwork k."""
        return self.row(op, k) * self.tensors[op.output].items(k) if op.kind in WEIGHTED else 0

    def without_softmax(self) -> Program:
        """The same program that ends in the logits."""
        *rest, last = self.operations
        if last.kind != "softmax":
            return self
        return replace(self, tensors=self.tensors[:-1], operations=tuple(rest), output=last.inputs[0])
