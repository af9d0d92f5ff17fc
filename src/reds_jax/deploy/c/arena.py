"""Where every array lies while a network runs: one static arena per subnetwork, reused as arrays die.

The plan is greedy by size (Pisarchyk and Lee 2020, arXiv 2001.03288): the largest array first, each at the lowest place
where it meets none that is alive at the same time. The input and the output belong to the caller.
"""

from __future__ import annotations

from dataclasses import dataclass

from reds_jax.deploy.lowering.program import Program

ALIGNMENT = 4
IN_PLACE = ("add", "mul", "map")
"""The operations that read an entry no more once they have written the same entry of their output."""


@dataclass(frozen=True)
class Plan:
    """Offsets in bytes: ``at[t]`` of tensor t, ``scratch[i]`` of the scratch of operation i (None: it has none)."""

    size: int
    at: tuple[int | None, ...]
    scratch: tuple[int | None, ...]


@dataclass
class _Array:
    size: int
    first: int
    last: int
    tensors: list[int]
    scratch: int | None = None
    offset: int = -1


def plan(program: Program, k: int, *, itemsize: int, scratch_bytes: tuple[int, ...]) -> Plan:
    """The arena of subnetwork k; ``scratch_bytes[i]`` is what operation i needs for itself."""
    kept = set(range(len(program.tensors))) - {0, program.output}
    last = {t: i for i, op in enumerate(program.operations) for t in op.inputs}
    holds: dict[int, _Array] = {}
    arrays: list[_Array] = []
    for i, op in enumerate(program.operations):
        if op.output in kept:
            size = _aligned(program.tensors[op.output].items(k) * itemsize)
            items = program.tensors[op.output].items(k)
            dying = next((holds[t] for t in op.inputs if t in holds and holds[t].last == i
                          and program.tensors[t].items(k) == items), None)
            if op.kind in IN_PLACE and dying is not None:  # in place
                array = dying
            else:
                arrays.append(array := _Array(size, i, i, []))
            array.tensors.append(op.output)
            array.last = last.get(op.output, i)
            holds[op.output] = array
        if scratch_bytes[i]:
            arrays.append(_Array(_aligned(scratch_bytes[i]), i, i, [], scratch=i))
    placed: list[_Array] = []
    for array in sorted(arrays, key=lambda a: (-a.size, a.first)):
        array.offset = _lowest(array, [p for p in placed if p.first <= array.last and array.first <= p.last])
        placed.append(array)
    at: list[int | None] = [None] * len(program.tensors)
    scratch: list[int | None] = [None] * len(program.operations)
    for array in arrays:
        for t in array.tensors:
            at[t] = array.offset
        if array.scratch is not None:
            scratch[array.scratch] = array.offset
    return Plan(max((a.offset + a.size for a in arrays), default=0), tuple(at), tuple(scratch))


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _lowest(array: _Array, alive: list[_Array]) -> int:
    offset = 0
    for other in sorted(alive, key=lambda a: a.offset):
        if offset + array.size <= other.offset:
            break
        offset = max(offset, other.offset + other.size)
    return offset
