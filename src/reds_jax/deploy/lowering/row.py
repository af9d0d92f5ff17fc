"""A device program at any row of widths: the tables of the smallest subnetwork that contains the row, and fewer channels.

A row has no statistics, and in int8 no grids, of its own. It takes those of the first subnetwork k with
``row[g] <= widths[k][g]`` for every group g, so that a row that is a subnetwork's is that subnetwork. All that a row changes is
how many channels every array has, ``Tensor.size(row)``; the device does the same (``any_widths.c``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from reds_jax.deploy.lowering.program import Operation, Program, Tensor

Row = Sequence[int]


def containing(rows: Sequence[Row], row: Row) -> int | None:
    """The first of the ascending rows that is nowhere narrower than ``row``; None if there is none."""
    return next((k for k, wider in enumerate(rows) if all(a <= b for a, b in zip(row, wider, strict=True))), None)


def at_row(program: Program, k: int, row: Row, macs: int) -> Program:
    """The program of one subnetwork: the row, with the scales and offsets of subnetwork k, which contains it.

    Args:
        program: lowered with ``every_row``.
        k: from `containing`.
        row: a width for each channel group.
        macs: what the row costs (``graph.macs(row)``).
    """
    tensors = tuple(replace(t, channels=(channels(t, row),), ranges=tuple(
        replace(part, channels=(part.size(row),)) for part in t.ranges if part.size is not None)) for t in program.tensors)

    def cut(vectors: tuple[np.ndarray, ...], output: int) -> tuple[np.ndarray, ...]:
        return (vectors[k][of_subnetwork(program.tensors[output], k, row)],) if vectors else ()

    def groups(op: Operation) -> tuple[int, ...]:
        if len(set(op.groups)) < 2:
            return op.groups[:1]
        return (tensors[op.output].channels[0] * op.groups[-1] // program.tensors[op.output].channels[-1],)

    operations = tuple(replace(op, scale=cut(op.scale, op.output), offset=cut(op.offset, op.output), groups=groups(op))
                       for op in program.operations)
    return replace(program, tensors=tensors, operations=operations, macs=(macs,))


def of_subnetwork(tensor: Tensor, k: int, row: Row) -> np.ndarray:
    """Which of the channels that subnetwork k has of an array the row has."""
    found, first = [], 0
    for part in tensor.parts:
        assert part.size is not None, "the program was lowered for its subnetworks only"
        found.append(first + np.arange(min(part.size(row), part.channels[k])))
        first += part.channels[k]
    return np.concatenate(found)


def channels(tensor: Tensor, row: Row) -> int:
    """How many channels a tensor has at a row."""
    assert tensor.size is not None, "the program was lowered for its subnetworks only"
    return tensor.size(row)
