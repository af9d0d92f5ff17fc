"""Which ranges of a layer's weights a subnetwork, or a row of widths, reads and makes (`reds_ranges.h`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reds_jax.deploy.lowering import ranges
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Range
from reds_jax.deploy.lowering.subnetworks import one_weighted
from reds_jax.graph.channels import Size


@dataclass(frozen=True)
class Spread:
    """What an operation has beside the dense prefix of `reds_kernels.h`.

    Args:
        reads: of a row, in channels, of each of which it has ``area`` entries; of a dense layer, in entries.
        makes: of the rows.
        area: entries of the window.
        dilation: of the window.
        groups: of every subnetwork.
        groups_at: how many groups there are at any row of widths, if these differ.
    """

    reads: tuple[Range, ...]
    makes: tuple[Range, ...]
    area: int
    dilation: tuple[int, int]
    groups: tuple[int, ...]
    groups_at: Size | None = None

    def starts(self, align: int) -> list[int]:
        """The entry of a row where each range begins, a multiple of ``align``; the last is where the row ends."""
        found = [0]
        for part in self.reads:
            found.append(found[-1] + _rounded(part.channels[-1] * self.area, align))
        return found

    @property
    def direct(self) -> bool:
        """Whether the kernels of `reds_kernels.h` do it, group by group and range by range (reds_is_direct)."""
        return self.dilation == (1, 1) and len(self.reads) == 1 and self.reads[0].first == 0

    def depth(self, k: int, align: int) -> int:
        """Entries of a column of inputs in subnetwork k."""
        return sum(_rounded(part.channels[k] * self.area, align) for part in self.reads)


def spread_of(program: Program, op: Operation, *, every_row: bool = False) -> Spread | None:
    """That of an operation; None if a kernel of `reds_kernels.h` runs it.

    Args:
        every_row: whether any row of widths is asked for.
    """
    if op.kind not in WEIGHTED:
        return None
    x, y = program.tensors[op.inputs[0]], program.tensors[op.output]
    area, dilation = (1, (1, 1)) if op.window is None else (op.window.taps, op.window.dilation)
    if op.kind == "depthwise":
        if (dilation == (1, 1) and not y.ranges) or (one_weighted(op) and not every_row):
            return None  # of a weight of 1 any rows are the right ones
        return Spread((Range(0, (1,) * program.subnetworks, Size(1)),), y.parts, area, dilation, y.channels, y.size)
    if not op.groups:
        if not x.ranges and not y.ranges and dilation == (1, 1):
            return None
        reads = tuple(_times(part, x.positions) for part in x.parts) if op.kind == "dense" else x.parts
        return Spread(reads, y.parts, area, dilation, (1,) * program.subnetworks)
    each = [n // groups for n, groups in zip(x.channels, op.groups, strict=True)]
    if len(set(each)) == 1:  # whole groups are cut, or none
        reads = (Range(0, tuple(each), Size(each[-1])),)
        made = y.channels[-1] // op.groups[-1]
        varies = y.size is not None and len(set(op.groups)) > 1
        at = Size(y.size.constant // made, tuple((g, n // made) for g, n in y.size.terms)) if varies and y.size else None
        return Spread(reads, y.parts, area, dilation, op.groups, at)
    if every_row:  # a range of conditions ends where a group does
        reads = tuple(part for part in x.parts if part.first < each[-1])
    else:
        kept = np.zeros((program.subnetworks, each[-1]), bool)
        for k, row in enumerate(kept):
            row[x.kept(k)[: each[k]]] = True
        first = ranges.tensor(kept, None)
        assert first is not None, "a part of an array has no more ranges than the array"
        reads = first.parts
    return Spread(reads, y.parts, area, dilation, op.groups)


def spread_kernel(op: Operation) -> str:
    """Which kernel runs an operation of ranges: "depthwise" range by range, or "spread"."""
    assert op.window is not None or op.kind == "dense"
    return "depthwise" if op.kind == "depthwise" and op.window is not None and not op.window.dilated else "spread"


def laid_out(spread: Spread | None, weights: np.ndarray, align: int) -> np.ndarray:
    """The weights with zeros behind every range, so that each begins at a multiple of ``align`` entries of its row."""
    if spread is None:
        spread = Spread((Range(0, (weights.shape[1],)),), (), 1, (1, 1), ())
    starts = spread.starts(align)
    found = np.zeros((len(weights), _rounded(starts[-1], align)), weights.dtype)
    column = 0
    for start, part in zip(starts, spread.reads, strict=False):
        length = part.channels[-1] * spread.area
        found[:, start : start + length] = weights[:, column : column + length]
        column += length
    assert column == weights.shape[1]
    return found


def tables(spread: Spread, k: int, align: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """``read`` and ``make`` of subnetwork k: (first, count, table) of every range."""
    reads = [(start, part.channels[k], 0) for start, part in zip(spread.starts(align), spread.reads, strict=False)]
    makes, table = [], 0
    for part in spread.makes:
        makes.append((part.first, part.channels[k], table))
        table += part.channels[k]
    return reads, makes


def _times(part: Range, n: int) -> Range:
    return Range(part.first * n, tuple(n * c for c in part.channels), part.size * n if part.size is not None else None)


def _rounded(n: int, align: int) -> int:
    return -(-n // align) * align
