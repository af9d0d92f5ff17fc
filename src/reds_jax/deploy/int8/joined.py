"""On which grids the arrays of a concatenation lie: on that of the whole where they can, so that they are copied as they are.

A concatenation has one grid, that of the range of all that it joins. An array that nothing else reads is made on that grid
right away, and is rounded once. What is read elsewhere too, the network's input, and a ReLU beside negative values (its zero is
at the end of its grid) keep their own, and their entries are moved over with one more rounding:

    y = saturate(((x - zero) * multiplier [leaky ReLU] + round) >> shift)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from reds_jax.deploy.int8.calibrate import Ranges
from reds_jax.deploy.lowering.program import Program

KEEP_THE_GRID = ("max_pool", "channel_first", "pad", "shuffle", "resize")
"""Operations that move values, whose output lies on the grid of their input."""


@dataclass(frozen=True)
class Move:
    """How the entries of one array come to another grid; a multiplier of 0 says that they stay as they are."""

    zero: int
    multiplier: int
    round: int
    shift: int


@dataclass(frozen=True)
class Moves:
    """Those of all inputs of a concatenation in one subnetwork."""

    of: tuple[Move, ...]


def joined_ranges(program: Program, ranges: Ranges) -> Ranges:
    """The ranges with one for all arrays of every concatenation that may have it."""
    low, high = ranges.low.copy(), ranges.high.copy()
    readers = Counter(t for op in program.operations for t in op.inputs)
    made = {op.output: op for op in program.operations}
    joins = [op for op in program.operations if op.kind == "concat" and op.activation == "linear"]

    def may_lie(t: int, least: float, most: float) -> list[int]:
        """The array, and those before it that lie on its grid, if all of them may be made on that of this range."""
        op = made.get(t)
        if op is None or readers[t] > 1 or t == program.output:
            return []
        if op.kind in KEEP_THE_GRID:
            before = may_lie(op.inputs[0], least, most)
            return [*before, t] if before else []
        zero_is_least = least >= 0 and (op.activation == "relu" or most <= 6)
        return [t] if op.activation not in ("relu", "relu6") or zero_is_least else []

    for op in joins:
        low[:, op.output], high[:, op.output] = low[:, op.inputs].min(axis=1), high[:, op.inputs].max(axis=1)
    for op in reversed(joins):  # of those that are joined again, the last one first
        for k in range(program.subnetworks):
            least, most = low[k, op.output], high[k, op.output]
            for t in op.inputs:
                lie = may_lie(t, least, most)
                low[k, lie], high[k, lie] = least, most
    return Ranges(low, high)
