"""What an export adds for ``adapt_to``, which takes any row of widths: the rows of its subnetworks, and an order of rows.

A row is an integer for each channel group, in the order of ``graph.groups``. The device takes every row that lies between those
of the smallest and the largest subnetwork, group by group; it runs with the tables of the smallest subnetwork that contains it
(`reds_jax.deploy.lowering.row`) and in that one's places in the arena, where every array has as much room as it needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.row import containing
from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.graph import ChannelGraph
from reds_jax.widths import Widths

NAME_LENGTH = 17
"""Of 31 characters by which C99 tells external names apart, ``_net_adapt_to`` and ``_net_adapt_to_budget`` have 13 alike."""
_LARGEST_WIDTH = 2**16 - 1


@dataclass(frozen=True)
class AnyWidths:
    """The rows that an exported network takes.

    Args:
        groups: names of the channel groups; a row has a width for each, in this order.
        rows: of the subnetworks, ascending.
        order: rows that never shrink, from that of the smallest subnetwork on; empty if there is none.
        macs: of every row of the order.
    """

    groups: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    order: tuple[tuple[int, ...], ...] = ()
    macs: tuple[int, ...] = ()

    def integers(self, row: Mapping[str, int] | Sequence[int] | np.ndarray) -> tuple[int, ...]:
        """A row as integers in the order of the groups; an error if the device would refuse it.

        Raises:
            WidthError: it names other groups, or a width is not between those of the smallest and the largest subnetwork.
        """
        if isinstance(row, Mapping):
            if set(row) != set(self.groups):
                raise WidthError("widths do not name the channel groups", got=sorted(row), allowed=", ".join(self.groups))
            row = [row[name] for name in self.groups]
        values = np.asarray(row)
        if values.dtype.kind not in "iu" or values.shape != (len(self.groups),):
            raise WidthError("this is no row of widths", got=row,
                             allowed=f"{len(self.groups)} integers, one for each group: {', '.join(self.groups)}")
        for name, n, least, most in zip(self.groups, values.tolist(), self.rows[0], self.rows[-1], strict=True):
            if not least <= n <= most:
                raise WidthError(f"the width of group {name!r} is not one that was exported", got=n,
                                 allowed=f"{least} to {most}, between the smallest and the largest subnetwork")
        return tuple(values.tolist())

    def subnetwork(self, row: Sequence[int]) -> int:
        """The smallest subnetwork that contains the row."""
        k = containing(self.rows, row)
        assert k is not None, "the largest subnetwork contains every row that is allowed"
        return k

    def facts(self) -> dict[str, Any]:
        """For model.json."""
        return {"groups": self.groups, "least": self.rows[0], "most": self.rows[-1], "order_rows": len(self.order)}


def any_rows(
    name: str, graph: ChannelGraph, widths: Sequence[Widths], order: np.ndarray | Sequence[Sequence[int]] | None
) -> AnyWidths:
    """What ``export(any_widths=True, order=...)`` asks for.

    Args:
        name: the prefix of the C identifiers.
        graph: of the network.
        widths: of the subnetworks, ascending.
        order: integers [rows, groups] that never shrink, or None.

    Raises:
        InvalidArgumentError: a network without groups, or with more than C or 16 bits can hold; an order that shrinks, does
            not begin with the smallest subnetwork, or is no array of integers.
        WidthError: a row of the order that is wider than the largest subnetwork.
    """
    groups = tuple(group.name for group in graph.groups)
    rows = tuple(w.values_tuple() for w in widths)
    if not groups:
        raise InvalidArgumentError("no channel of the network can be cut, so there is no row of widths to adapt to",
                                   hint="Export it without any_widths; print(graph.summary()) says why.")
    if len(name) > NAME_LENGTH:
        raise InvalidArgumentError("with any_widths, C99 tells the names of functions apart only if their prefix is shorter",
                                   got=name, allowed=f"at most {NAME_LENGTH} characters")
    if max(rows[-1]) > _LARGEST_WIDTH or len(groups) > _LARGEST_WIDTH:
        raise InvalidArgumentError("a width does not fit the 16 bits that a row has for it", got=max(*rows[-1], len(groups)),
                                   allowed=f"at most {_LARGEST_WIDTH}")
    found = AnyWidths(groups, rows)
    if order is None:
        return found
    given = np.asarray(order)
    if given.ndim != 2 or given.dtype.kind not in "iu" or given.shape[1] != len(groups) or not len(given):
        raise InvalidArgumentError("this is no order of rows of widths", got=f"{given.dtype} {list(given.shape)}",
                                   allowed=f"integers [rows, {len(groups)}], a column for each group: {', '.join(groups)}")
    taken = tuple(found.integers(row) for row in given)
    if taken[0] != rows[0]:
        raise InvalidArgumentError("the order does not begin with the smallest subnetwork", got=taken[0], allowed=str(rows[0]))
    if shrinks := np.argwhere(np.diff(given.astype(np.int64), axis=0) < 0).tolist():
        i, g = shrinks[0]
        raise InvalidArgumentError(f"the order shrinks group {groups[g]!r} at its row {i + 1}", got=int(given[i + 1, g]),
                                   allowed=f"{int(given[i, g])} or more, as in the row before")
    return AnyWidths(groups, rows, taken, tuple(graph.macs(row) for row in taken))
