"""The channel graph: which channels move together, what the layers cost, in which order they run. Imports no jax.

A channel GROUP is a set of units (channels) that can only be permuted or removed together: every axis of every parameter on
which they appear is reordered or cut in the same way (a residual add, a depthwise convolution and a batch norm tie axes).
Everything that depends on the widths is a product of linear forms in the widths, with integer coefficients.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reds_jax.array_types import Int, Int32
from reds_jax.errors import WidthError
from reds_jax.graph.summary import summary
from reds_jax.widths import Width, Widths, check_width, fraction_of

WidthLike = Width | Mapping[str, int] | Sequence[int]


@dataclass(frozen=True)
class Size:
    """A linear form ``constant + sum_g multiplicity_g * width_g``: the length of an axis, or bytes alive.

    Args:
        constant, terms: what no width changes, and pairs (group index, multiplicity), ascending.
    """

    constant: int
    terms: tuple[tuple[int, int], ...] = ()  # (group index, multiplicity), ascending

    def __call__(self, widths: Sequence[int]) -> int:
        return self.constant + sum(k * widths[g] for g, k in self.terms)

    def __add__(self, other: Size) -> Size:
        terms = dict(self.terms)
        for g, k in other.terms:
            terms[g] = terms.get(g, 0) + k
        return Size(self.constant + other.constant, tuple(sorted(terms.items())))

    def __mul__(self, factor: int) -> Size:
        return Size(self.constant * factor, tuple((g, k * factor) for g, k in self.terms))


@dataclass(frozen=True, eq=False)
class Axis:
    """Which unit every position of an axis belongs to; ``group[p] = -1`` where position p belongs to none and stays."""

    group: Int32[np.ndarray, " length"]
    unit: Int32[np.ndarray, " length"]

    @cached_property
    def size(self) -> Size:
        groups, counts = np.unique(self.group, return_counts=True)
        terms = {int(g): int(c) for g, c in zip(groups, counts, strict=True)}
        constant = terms.pop(-1, 0)
        sizes = {g: int(self.unit[self.group == g].max()) + 1 for g in terms}
        return Size(constant, tuple((g, c // sizes[g]) for g, c in terms.items()))

    def kept(self, widths: Sequence[int]) -> Int[np.ndarray, " kept"]:
        """Positions that stay at these widths, ascending."""
        limit = np.append(np.asarray(widths, np.int64), np.iinfo(np.int64).max)  # group -1 reads the last: never cut
        return np.flatnonzero(self.unit < limit[self.group])


@dataclass(frozen=True, eq=False)
class Parameter:
    """An array of the variables: its path (``params/conv/kernel``), shape, and the axes that carry units (or None).

    Args:
        path: ``params/conv/kernel``.
        shape: at full width.
        itemsize: bytes of an entry.
        axes: the units along each axis, None where there are none.
    """

    path: str
    shape: tuple[int, ...]
    itemsize: int
    axes: tuple[Axis | None, ...]

    def size(self, axis: int) -> Size:
        found = self.axes[axis]
        return Size(self.shape[axis]) if found is None else found.size

    def items(self, widths: Sequence[int]) -> int:
        return math.prod(self.size(i)(widths) for i in range(len(self.shape)))


@dataclass(frozen=True)
class Layer:
    """A layer, or a product of two activations: ``macs = factor * product of sizes(widths)``, one input of one example.

    ``sizes`` is (width in, width out, ...); for a depthwise convolution it is (width,).

    Args:
        path, kind: of the module, and as in `reds_jax.program.walk.LayerUse`.
        factor: MACs are this times the product of the sizes.
        sizes: (width in, width out, ...); for a depthwise convolution (width,).
    """

    path: str
    kind: str  # see `reds_jax.program.walk.LayerUse`
    factor: int
    sizes: tuple[Size, ...]

    def macs(self, widths: Sequence[int]) -> int:
        return self.factor * math.prod(s(widths) for s in self.sizes)


@dataclass(frozen=True)
class Group:
    """A channel group: named like the layer that makes it first, how many units it has, and all layers that make it.

    Args:
        name: the path of the layer that makes it first.
        size: its number of units.
        layers: paths of all layers that make it.
    """

    name: str
    size: int
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pinned:
    """Channels that stay at full width in every subnetwork, and why.

    Args:
        path: the layer that makes them.
        channels: how many of its ``size`` output channels stay.
        reason: what they meet, in words.
        line: file and line of the user's code where they meet it.
    """

    path: str
    channels: int
    size: int
    reason: str
    line: str


@dataclass(frozen=True)
class Step:
    """One step of the schedule: its name and the bytes that are alive while it runs, for one example.

    Args:
        name, alive_bytes: of the operation, and for one example.
    """

    name: str
    alive_bytes: Size


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """What `reds_jax.trace` finds: groups, parameters, layers in the order of execution, and the memory schedule.

    Args:
        groups: what can be cut, in the order of the layers that make them.
        parameters: every array of the variables, with the axes that carry units.
        layers: the products that cost MACs, in the order of execution.
        schedule: the bytes alive at every step, for the peak memory.
        pinned: what stays at full width, and why.
        input_shapes, input_types: of one example, an entry for every input array.
    """

    groups: tuple[Group, ...]
    parameters: tuple[Parameter, ...]
    layers: tuple[Layer, ...]
    schedule: tuple[Step, ...]
    pinned: tuple[Pinned, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()  # of one example, an entry for every input array
    input_types: tuple[str, ...] = ()  # "float32", "int32", ...

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, of a network with one input."""
        return self.input_shapes[0]

    def summary(self) -> str:
        """A table of groups, of what stays and why, of the least and full costs, and of the budgets that can be met."""
        return summary(self)

    @property
    def full_widths(self) -> Widths:
        """Every group at its full size."""
        return self.widths(1.0)

    def widths(self, width: WidthLike) -> Widths:
        """Resolve a fraction, a mapping {group: integer}, a sequence in the order of the groups, or `Widths`."""
        names = (g.name for g in self.groups)
        return Widths(tuple(zip(names, self.integers(width), strict=True)))

    def integers(self, width: WidthLike) -> tuple[int, ...]:
        """The width of every group as integers, in the order of ``groups``; every form of a width is checked here."""
        if isinstance(width, str):  # which is a sequence, too
            raise WidthError("a width has the wrong type", got=width, allowed="a fraction, integers per group, or Widths")
        if isinstance(width, Mapping):
            given, known = set(width), {g.name for g in self.groups}
            if given != known:
                wrong, missing = sorted(given - known), sorted(known - given)
                raise WidthError(f"widths do not name the channel groups: unknown {wrong}, missing {missing}",
                                 allowed=", ".join(g.name for g in self.groups))
            integers = [width[g.name] for g in self.groups]
        elif isinstance(width, Sequence) or (isinstance(width, np.ndarray) and width.ndim == 1):
            if len(width) != len(self.groups):
                raise WidthError("a sequence of widths has the wrong length", got=len(width),
                                 allowed=f"{len(self.groups)}, one per group: {', '.join(g.name for g in self.groups)}")
            integers = list(width)
        else:
            fraction = check_width(width)
            integers = [fraction_of(fraction, g.size) for g in self.groups]  # type: ignore[arg-type]
        for group, n in zip(self.groups, integers, strict=True):
            if isinstance(n, bool) or not isinstance(n, numbers.Integral) or not 1 <= n <= group.size:
                raise WidthError(f"the width of group {group.name!r} is not allowed", got=n,
                                 allowed=f"integers from 1 to {group.size}")
        return tuple(int(n) for n in integers)

    def macs(self, width: WidthLike = 1.0) -> int:
        """Multiply-accumulate operations of layers and of products of activations for one example, bilinear in the widths."""
        integers = self.integers(width)
        return sum(layer.macs(integers) for layer in self.layers)

    def param_count(self, width: WidthLike = 1.0, *, collections: Sequence[str] = ("params",)) -> int:
        """Number of parameters that a subnetwork has."""
        integers = self.integers(width)
        return sum(p.items(integers) for p in self._of(collections))

    def param_bytes(self, width: WidthLike = 1.0, *, collections: Sequence[str] = ("params",)) -> int:
        """Bytes of the parameters of a subnetwork; ``collections`` may add ``"batch_stats"``."""
        integers = self.integers(width)
        return sum(p.itemsize * p.items(integers) for p in self._of(collections))

    def _of(self, collections: Sequence[str]) -> list[Parameter]:
        return [p for p in self.parameters if p.path.split("/", 1)[0] in collections]

    def peak_memory_bytes(self, width: WidthLike = 1.0) -> int:
        """Largest number of activation bytes alive at once for one example: ``max over steps of alive_bytes``.

        A step keeps its inputs, its output, and what a later step still needs (a residual). Elementwise operations, batch
        norm and a residual add work in place where their operand is not needed any more.
        """
        integers = self.integers(width)
        return max((step.alive_bytes(integers) for step in self.schedule), default=0)
