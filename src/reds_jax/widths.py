"""Widths: how many channels of every group a subnetwork keeps. Resolved to integers here and nowhere else.

A width is a fraction in (0, 1], which every layer rounds for itself, or a `Widths`: an integer per channel group, made by
`ChannelGraph.widths`, which also knows what the layers cannot see (ties by a residual, the parts of a concatenation).
This module imports no jax.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from reds_jax.errors import WidthError

Ranges = tuple[tuple[int, int], ...]
"""The kept positions of an axis as half-open ranges: a plain prefix of n is ``((0, n),)``."""

PathRanges = tuple[tuple[str, Ranges], ...]


@dataclass(frozen=True)
class Widths(Mapping[str, int]):
    """An integer width for every channel group; hashable, so that it can be a static argument of a compiled function.

    Args:
        groups: pairs (group name, channels kept), in the order of the graph.
        outputs: pairs (layer path, kept output channels) of layers that are not called like their group.
        inputs: pairs (layer path, kept input channels) of layers whose kept inputs are not a prefix (after a concat).

    >>> narrow = Widths.of({"stem": 8, "block": 12})
    >>> narrow["stem"], dict(narrow)
    (8, {'stem': 8, 'block': 12})
    """

    groups: tuple[tuple[str, int], ...]
    outputs: PathRanges = ()
    inputs: PathRanges = ()

    def __post_init__(self) -> None:
        for name, n in self.groups:
            if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
                raise WidthError(f"the width of group {name!r} is not a positive integer", got=n, allowed="1, 2, 3, ...")
        object.__setattr__(self, "groups", tuple((name, int(n)) for name, n in self.groups))

    @classmethod
    def of(cls, groups: Mapping[str, int]) -> Widths:
        """Widths of a network without ties or concatenations, where a group is called like the layer that makes it."""
        return cls(tuple(groups.items()))

    @cached_property
    def _groups(self) -> dict[str, int]:
        return dict(self.groups)

    @cached_property
    def _outputs(self) -> dict[str, Ranges]:
        return {**{name: ((0, n),) for name, n in self.groups}, **dict(self.outputs)}

    @cached_property
    def _inputs(self) -> dict[str, Ranges]:
        return dict(self.inputs)

    def __getitem__(self, group: str) -> int:
        return self._groups[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self.groups)

    def values_tuple(self) -> tuple[int, ...]:
        """The widths alone, in the order of the groups."""
        return tuple(n for _, n in self.groups)


Width = float | Widths
"""What a layer takes as ``width``: a fraction in (0, 1] or `Widths`."""


def check_width(width: Width) -> Width:
    """Return ``width`` if it is a fraction in (0, 1] or `Widths`; raise `WidthError` otherwise."""
    if isinstance(width, Widths):
        return width
    if isinstance(width, bool) or not isinstance(width, numbers.Real):
        raise WidthError("a width has the wrong type", got=width, allowed="a fraction in (0, 1], or Widths",
                         hint="Integers per group go through graph.widths({...}).")
    if not 0 < float(width) <= 1:
        raise WidthError("a width is out of range", got=width, allowed="a fraction in (0, 1], or Widths",
                         hint="Integers per group go through graph.widths({...}).")
    return width


def fraction_of(fraction: float, size: int) -> int:
    """Channels that a fraction keeps: ``max(1, floor(fraction * size + 1/2))``.

    >>> fraction_of(0.5, 7), fraction_of(0.01, 7), fraction_of(1.0, 7)
    (4, 1, 7)
    """
    return max(1, math.floor(float(fraction) * size + 0.5))


def kept_outputs(width: Width, path: str, features: int) -> Ranges:
    """The output channels that the layer at ``path`` keeps of its ``features`` (those that are stored)."""
    check_width(width)
    if not isinstance(width, Widths):
        return ((0, fraction_of(width, features)),)
    kept = width._outputs.get(path)
    if kept is None:
        raise WidthError(f"Widths has no entry for the layer {path!r}", got=list(width),
                         hint="Make it with graph.widths(...), which knows which layers share a group; an output layer "
                              "is called without a width.")
    if kept[-1][1] > features != count(kept):  # what is stored may be what is kept: an extracted layer
        raise WidthError(f"the layer {path!r} cannot keep channel {kept[-1][1] - 1}", got=kept,
                         allowed=f"up to {features} channels")
    return kept


def kept_inputs(width: Width, path: str) -> Ranges | None:
    """The input channels that the layer at ``path`` reads, or None if they are simply the prefix that it is given."""
    return width._inputs.get(path) if isinstance(width, Widths) else None


def count(ranges: Ranges) -> int:
    """Number of positions in ranges.

    >>> count(((0, 3), (8, 10)))
    5
    """
    return sum(stop - start for start, stop in ranges)
