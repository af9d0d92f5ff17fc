"""What a subnetwork keeps of a grouped convolution: whole groups, or the same channels of every group."""

from __future__ import annotations

import numpy as np

from reds_jax.deploy.lowering.program import Tensor
from reds_jax.deploy.lowering.refusal import refusal
from reds_jax.program.flat import Operation


def kept_groups(op: Operation, groups: int, read: Tensor, inputs: int, made: Tensor, outputs: int) -> tuple[int, ...]:
    """How many groups every subnetwork has: the first of them whole, or all of them, and the first channels of each.

    Args:
        op: the convolution, for the error.
        groups, inputs, outputs: their numbers at full width.
        read, made: the arrays that it reads and makes.

    Raises:
        TraceError: a subnetwork keeps something else.
    """
    def whole(k: int) -> bool:
        n = made.channels[k] * groups // outputs
        return all(np.array_equal(tensor.kept(k), np.arange(n * full // groups))
                   for tensor, full in ((read, inputs), (made, outputs)))

    def inside(k: int) -> bool:
        kept = [np.zeros(full, bool) for full in (inputs, outputs)]
        for row, tensor in zip(kept, (read, made), strict=True):
            row[tensor.kept(k)] = True
        return all(np.array_equal(row.reshape(groups, -1), np.tile(np.arange(len(row) // groups) < row.sum() // groups, (groups, 1)))
                   for row in kept)

    subnetworks = range(len(made.channels))
    if all(map(whole, subnetworks)):
        return tuple(n * groups // outputs for n in made.channels)
    if all(map(inside, subnetworks)):
        return (groups,) * len(made.channels)
    raise refusal(op, f"is a convolution of {groups} groups of which a subnetwork keeps neither whole groups, the first of them, "
                      "nor the first channels of every group")
