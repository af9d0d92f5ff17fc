"""Where the weights of a layer are stored: the entries of the kernel that it multiplies with, and of what is added behind it.

Only what lies in the variables as it is used is found: a kernel behind transpositions and reshapes, which every layer that reads
it reads in the same way; and a bias that is added to the sums, or a mean that a batch norm subtracts from them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from reds_jax.program.flat import Atom, Operation, Program, Value
from reds_jax.run.readers import Consumer


class Entries(NamedTuple):
    """A part of the variables: its path, and the place of each entry in the flattened array."""

    path: str
    at: np.ndarray


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel that can be written: the layers that multiply with it, and where its entries lie.

    Args:
        readers: numbers of the consumers; of a kernel that is used several times all of them.
        weights: [B, taps, channels, outputs], see `reds_jax.run.readers.Consumer.kernel`.
        offset: what is added to all sums, [B, outputs]; None: nothing, or something that is used elsewhere too.
        sign: -1 where it is subtracted.
    """

    readers: tuple[int, ...]
    weights: Entries
    offset: Entries | None
    sign: int


def kernels(program: Program, readers: Sequence[Consumer]) -> list[Kernel]:
    """The kernels of the consumers that can be written, in the order of execution; each operation has one consumer here.

    Left out are kernels in loops, those that are computed from parameters (a standardised one), and those that something else
    reads too (a table of embeddings that makes the logits).
    """
    stored = _stored(program)
    ends: dict[str, list[Operation]] = {}  # of every stored array the operations that read it and do more than move it
    uses: dict[int, list[Operation]] = {}
    for op in program.operations:
        for x in op.inputs:
            if isinstance(x, Value):
                uses.setdefault(x.number, []).append(op)
                if x.number in stored and op.primitive.name not in MOVES:
                    ends.setdefault(stored[x.number].path, []).append(op)
    of = {id(reader.operation): i for i, reader in enumerate(readers)}
    found = []
    for path, ops in ends.items():
        numbers = [of.get(id(op), -1) for op in ops]
        if not path.startswith("params/") or -1 in numbers:
            continue
        ways = [_kernel(readers[i], stored) for i in numbers]
        if any(way is None or not np.array_equal(way, ways[0]) for way in ways):
            continue
        offset, sign = _common([_offset(readers[i], ways[0], stored, uses) for i in numbers], ends)
        found.append(Kernel(tuple(numbers), Entries(path, ways[0]), offset, sign))
    return sorted(found, key=lambda kernel: min(kernel.readers))


def _broadcast(a: np.ndarray, p: dict[str, Any]) -> np.ndarray:
    lengths = dict(zip(map(int, p["broadcast_dimensions"]), a.shape, strict=True))
    return np.broadcast_to(a.reshape([lengths.get(i, 1) for i in range(len(p["shape"]))]), p["shape"])


MOVES: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "reshape": lambda a, p: a.reshape(p["new_sizes"]), "transpose": lambda a, p: a.transpose(p["permutation"]),
    "squeeze": lambda a, p: a.squeeze(tuple(p["dimensions"])), "broadcast_in_dim": _broadcast,
    "rev": lambda a, p: np.flip(a, tuple(p["dimensions"])),
    **dict.fromkeys(["convert_element_type", "copy", "copy_p"], lambda a, p: a),
}
"""Operations that move the entries of an array and do not change them."""


def _stored(program: Program) -> dict[int, Entries]:
    """Every value that is a stored array or one moved."""
    found = {v.number: Entries(path, np.arange(np.prod(v.shape, dtype=np.int64)).reshape(v.shape))
             for path, v in program.leaves.items()}
    for op in program.operations:
        x = op.inputs[0] if op.inputs else None
        if op.primitive.name in MOVES and isinstance(x, Value) and x.number in found:
            path, at = found[x.number]
            found[op.outputs[0].number] = Entries(path, MOVES[op.primitive.name](at, op.params))
    return found


def _of(x: Atom, stored: dict[int, Entries]) -> Entries | None:
    return stored.get(x.number) if isinstance(x, Value) else None


def _kernel(reader: Consumer, stored: dict[int, Entries]) -> np.ndarray | None:
    """Where the kernel of a consumer lies, if it is what the consumer multiplies with and all of one array."""
    entries = _of(reader.operation.inputs[1 - reader.active], stored)
    if entries is None or len(np.unique(entries.at)) != entries.at.size:
        return None
    return reader.kernel(entries.at)


def _offset(
    reader: Consumer, weights: np.ndarray, stored: dict[int, Entries], uses: dict[int, list[Operation]]
) -> tuple[Entries | None, int, Operation | None]:
    """What is added to the sums of a consumer, with its sign, and the operation that adds it."""
    value, sums = reader.operation.outputs[0], _outputs(reader, weights)
    while len(uses.get(value.number, ())) == 1:
        op, = uses[value.number]
        if op.primitive.name in MOVES:
            value, sums = op.outputs[0], MOVES[op.primitive.name](sums, op.params)
            continue
        other = next((x for x in op.inputs if x is not value), None)
        entries = None if other is None or op.primitive.name not in ("add", "sub") else _of(other, stored)
        if entries is None or (op.primitive.name == "sub" and op.inputs[0] is not value):
            break
        at = np.broadcast_to(entries.at, sums.shape)
        by_output = np.full(weights.shape[0] * weights.shape[3], -1)
        by_output[sums.ravel()] = at.ravel()
        if len(np.unique(by_output)) < len(by_output) or not np.array_equal(by_output[sums], at):
            break  # not an entry for each output
        return (Entries(entries.path, by_output.reshape(weights.shape[0], -1)), 1 if op.primitive.name == "add" else -1, op)
    return None, 1, None


def _common(
    offsets: Sequence[tuple[Entries | None, int, Operation | None]], ends: dict[str, list[Operation]]
) -> tuple[Entries | None, int]:
    """The offset of all layers with one kernel, if it is the same for all and nothing else reads it."""
    first, sign, _ = offsets[0]
    for entries, other, _ in offsets:
        if first is None or entries is None or other != sign or entries.path != first.path or not np.array_equal(
                entries.at, first.at):
            return None, 1
    assert first is not None
    adding = {id(op) for _, _, op in offsets}
    return (first, sign) if {id(op) for op in ends[first.path]} == adding else (None, 1)


def _outputs(reader: Consumer, weights: np.ndarray) -> np.ndarray:
    """The number of the output, B times outputs, of every entry of the sums of a consumer."""
    op, shape = reader.operation, reader.operation.outputs[0].shape
    b, outputs = weights.shape[0], weights.shape[3]
    numbers = np.arange(b * outputs)
    if op.primitive.name != "dot_general":
        channel = op.params["dimension_numbers"].out_spec[1]
        return np.broadcast_to(numbers.reshape([-1 if i == channel else 1 for i in range(len(shape))]), shape)
    by_row = numbers.reshape(b, 1, outputs) if reader.active == 0 else numbers.reshape(b, outputs, 1)
    rows = int(np.prod(shape)) // (b * outputs)
    return np.broadcast_to(by_row, (b, rows, outputs) if reader.active == 0 else (b, outputs, rows)).reshape(shape)
