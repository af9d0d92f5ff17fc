"""The first product behind what nested subnetworks share: its sums over the channels of the narrower are parts of the wider's.

All subnetworks that read the same values ``x``, the k-th only its first ``m_k`` channels, multiply once:

``y_k = sum_{c < m_k} W[c] x[c] = y_{k-1} + sum_{m_{k-1} <= c < m_k} W[c] x[c]``

The widest makes one product for every block of channels and adds them up, and each narrower subnetwork takes the outputs that
it keeps of its partial sum. That is ``m_K b_K`` products for every position instead of ``sum_k m_k b_k``, with ``b_k`` outputs,
and as many fewer in the gradient, since all cotangents of a block are summed before they are multiplied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from reds_jax.lowering import form
from reds_jax.program.flat import Atom, Operation
from reds_jax.run import operations
from reds_jax.run.held import Held
from reds_jax.run.sharing import Cut

PRODUCTS = ("dot_general", "conv_general_dilated")
WORTH = {"dot": 16, "fused": 16}
"""For every form, the multiply-accumulates that must be saved for each number that is added: those that the device makes while
it moves a number there and back. A form that is not here computes no partial sums: a GPU would have to save hundreds."""


class Split(NamedTuple):
    """The summed axis of both operands, and for every partial sum where it ends and whose it is."""

    axes: tuple[int, int]
    ends: tuple[tuple[int, tuple[Cut, ...]], ...]


def split(wide: Cut, op: Operation, others: Sequence[Cut]) -> Split | None:
    """How to compute an operation's sums in blocks, if the other subnetworks' are partial ones and it pays.

    Args:
        wide: who computes it.
        op: an operation.
        others: subnetworks whose operands are parts of those of ``wide``, and whose results are not.
    """
    worth = WORTH.get(form())
    if not others or worth is None:
        return None
    pairs = list(_summed(op))
    everyone = (*others, wide)
    differ = [(a, b) for a, b in pairs if len({_length(cut, op.inputs[0], a) for cut in everyone}) > 1]
    if len(differ) != 1:
        return None
    axes = differ[0]
    lengths = [_length(cut, op.inputs[0], axes[0]) for cut in everyone]
    if not all(_is_start(cut, wide, x, axis) for cut in others for x, axis in zip(op.inputs, axes, strict=False)):
        return None
    ends = sorted(set(lengths))
    taps = math.prod(_length(wide, op.inputs[0], a) for a, _ in pairs if a != axes[0]) * _positions(op)
    out = op.outputs[0]
    saved = sum(n * taps * math.prod(cut.shape(out)) for n, cut in zip(lengths, others, strict=False))
    if saved < worth * (len(ends) - 1) * math.prod(wide.shape(out)):
        return None
    return Split(axes, tuple((end, tuple(c for c, n in zip(others, lengths, strict=False) if n == end)) for end in ends))


def partial_sums(wide: Cut, op: Operation, ins: Sequence[Held], how: Split) -> Iterator[Held]:
    """The operation's sums up to each of the ends, at the outputs of ``wide``."""
    total: Held | None = None
    for begin, end in pairwise((0, *(end for end, _ in how.ends))):
        block = np.arange(begin, end)
        operands = [h.take(axis, block) for h, axis in zip(ins, how.axes, strict=True)]
        (part,) = operations.apply(wide, op, operands)
        total = part if total is None else Held(total.array + part.turned(total.order), total.order)
        yield total


def _summed(op: Operation) -> Iterator[tuple[int, int]]:
    """Axes of both operands that a product sums over, but for the positions of a kernel."""
    if op.primitive.name == "dot_general":
        yield from zip(*op.params["dimension_numbers"][0], strict=True)
    elif op.params["feature_group_count"] == op.params["batch_group_count"] == 1:
        numbers = op.params["dimension_numbers"]
        yield numbers.lhs_spec[1], numbers.rhs_spec[1]


def _positions(op: Operation) -> int:
    """Of a kernel."""
    if op.primitive.name != "conv_general_dilated":
        return 1
    return math.prod(op.inputs[1].shape[i] for i in op.params["dimension_numbers"].rhs_spec[2:])


def _length(cut: Cut, x: Atom, axis: int) -> int:
    return cut.shape(x)[axis]


def _is_start(cut: Cut, wide: Cut, x: Atom, axis: int) -> bool:
    """Whether the one keeps the first of the positions that the other keeps."""
    mine, all_of = (np.arange(x.shape[axis]) if (kept := c.kept(x, axis)) is None else kept for c in (cut, wide))
    return np.array_equal(mine, all_of[: len(mine)])
