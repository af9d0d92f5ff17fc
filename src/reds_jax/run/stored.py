"""Where the weights of a layer are stored: the entries of the kernel that it multiplies with, and of what is added behind it.

Only what lies in the variables as it is used is found: a kernel behind transpositions and reshapes, which every layer that
reads it reads in the same way; and a bias that is added to the sums, or a mean that a batch norm subtracts from them.
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


class Offset(NamedTuple):
    """What is added to all sums of a layer: its entry for every output, [B, outputs], the operation, and -1 if it subtracts."""

    entries: Entries
    operation: Operation
    sign: int


@dataclass(frozen=True, eq=False)
class Kernel:
    """A kernel that can be written: the layers that multiply with it, and where its entries lie.

    Args:
        readers: numbers of the consumers; of a kernel that is used several times all of them.
        weights: [B, taps, channels, outputs], see `reds_jax.run.readers.Consumer.kernel`.
        offset: None: nothing is added, or something that is used elsewhere too.
    """

    readers: tuple[int, ...]
    weights: Entries
    offset: Offset | None


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
        numbers = [of[id(op)] for op in ops if id(op) in of]
        ways = [at for i in numbers if (at := _kernel(readers[i], stored)) is not None]
        if path.startswith("params/") and len(ways) == len(ops) and all(np.array_equal(at, ways[0]) for at in ways):
            offsets = [_offset(readers[i], ways[0], stored, uses) for i in numbers]
            found.append(Kernel(tuple(numbers), Entries(path, ways[0]), _common(offsets, ends)))
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
) -> Offset | None:
    """The first thing that is done to the sums of a consumer, if it is to add a stored array with an entry for each output."""
    value, sums = reader.operation.outputs[0], _outputs(reader, weights)
    while len(uses.get(value.number, ())) == 1:
        op, = uses[value.number]
        name = op.primitive.name
        if name in MOVES:
            value, sums = op.outputs[0], MOVES[name](sums, op.params)
            continue
        if name not in ("add", "sub") or (name == "sub" and op.inputs[0] is not value):
            return None
        entries = _of(next(x for x in op.inputs if x is not value), stored)
        if entries is None:
            return None
        at, by_output = np.broadcast_to(entries.at, sums.shape), np.zeros((weights.shape[0], weights.shape[3]), np.int64)
        by_output.ravel()[sums] = at
        if len(np.unique(by_output)) < by_output.size or not np.array_equal(by_output.ravel()[sums], at):
            return None
        return Offset(Entries(entries.path, by_output), op, 1 if name == "add" else -1)
    return None


def _common(offsets: Sequence[Offset | None], ends: dict[str, list[Operation]]) -> Offset | None:
    """The offset of all layers with one kernel, if it is the same for all and nothing else reads it."""
    first, adding = offsets[0], {id(offset.operation) for offset in offsets if offset is not None}
    if first is None or {id(op) for op in ends[first.entries.path]} != adding:
        return None
    same = [o is not None and o.sign == first.sign and np.array_equal(o.entries.at, first.entries.at) for o in offsets]
    return first if all(same) else None


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
