"""Widths: how many channels of every group a subnetwork keeps. Resolved to integers here and nowhere else.

A width is a fraction in (0, 1] of every channel group, or a `Widths`: an integer per channel group, made by
`ChannelGraph.widths`. This module imports no jax.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reds_jax.checks import several
from reds_jax.errors import WidthError


@dataclass(frozen=True, init=False)
class Widths(Mapping[str, int]):
    """An integer width for every channel group; hashable, so that it can be a static argument of a compiled function.

    Args:
        groups: pairs (group name, channels kept), in the order of the graph.

    >>> narrow = Widths.of({"stem": 8, "block": 12})
    >>> narrow["stem"], dict(narrow)
    (8, {'stem': 8, 'block': 12})
    """

    groups: tuple[tuple[str, int], ...]

    def __init__(self, groups: Iterable[tuple[str, int | np.integer]]) -> None:
        given = tuple(groups) if isinstance(groups, Iterable) and not isinstance(groups, str) else groups
        if not isinstance(given, tuple) or not all(isinstance(g, tuple) and len(g) == 2 for g in given):
            raise WidthError("the groups of Widths are no pairs", got=groups, allowed="((group name, channels kept), ...)",
                             hint="Widths.of({name: channels}) and graph.widths(...) make them.")
        for name, n in given:
            if isinstance(n, bool) or not isinstance(n, numbers.Integral) or n < 1:
                raise WidthError(f"the width of group {name!r} is not a positive integer", got=n, allowed="1, 2, 3, ...")
        object.__setattr__(self, "groups", tuple((name, int(n)) for name, n in given))

    @classmethod
    def of(cls, groups: Mapping[str, int | np.integer]) -> Widths:
        """Widths from {group: channels kept}, in the order of the graph's groups; ``graph.widths`` checks them as well."""
        if not isinstance(groups, Mapping):
            raise WidthError("Widths are made of a mapping", got=groups, allowed="{group name: channels kept}")
        return cls(tuple(groups.items()))

    @cached_property
    def _groups(self) -> dict[str, int]:
        return dict(self.groups)

    def __getitem__(self, group: str) -> int:
        return self._groups[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self.groups)

    def values_tuple(self) -> tuple[int, ...]:
        """The widths alone, in the order of the groups."""
        return tuple(n for _, n in self.groups)


Width = float | np.floating | Widths
"""How wide a subnetwork is: a fraction in (0, 1] or `Widths`."""


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


def check_widths(widths: object) -> tuple[Width, ...]:
    """The widths of several subnetworks, each by `check_width`; one width is that of one subnetwork.

    >>> check_widths(0.5), check_widths([0.5, 1.0])
    ((0.5,), (0.5, 1.0))
    """
    if isinstance(widths, Widths):
        return (widths,)
    found = tuple(map(check_width, several("widths", widths, "a width for each subnetwork")))
    if not found:
        raise WidthError("there are no widths", allowed="a width for each subnetwork")
    return found


def fraction_of(fraction: float, size: int) -> int:
    """Channels that a fraction keeps: ``max(1, floor(fraction * size + 1/2))``.

    >>> fraction_of(0.5, 7), fraction_of(0.01, 7), fraction_of(1.0, 7)
    (4, 1, 7)
    """
    return max(1, math.floor(float(fraction) * size + 0.5))
