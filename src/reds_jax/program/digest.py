"""A digest of a program: equal for one module in every process, whatever Python or the machine it runs in."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from reds_jax.program.flat import Atom, Body, Operation, Program, Value, opened


def program_digest(program: Program) -> str:
    """SHA-256 over all that a program computes, and nothing about where it was written.

    It covers the paths and shapes of the variables, the shapes of the inputs, and every operation in order: its name, what it
    reads, the shapes that it makes, and its static parameters as far as they are numbers, names or constants. Types count by
    their kind (float, integer), so that a network stored in 64 bits is the one that runs in 32. Functions, file lines and
    addresses do not count. Another version of jax or of a framework may write the same module with other operations.
    """
    total = hashlib.sha256()
    for line in _lines(program):
        total.update(line.encode() + b"\n")
    return total.hexdigest()


def _lines(program: Program) -> Iterator[str]:
    numbers: dict[int, int] = {}
    for path, value in program.leaves.items():
        yield f"leaf {path} {_made(value, numbers)}"
    for value in program.inputs[:-1]:  # the last one is the key
        yield f"input {_made(value, numbers)}"
    yield from _operations(list(opened(program.items)), numbers)
    yield f"outputs {_read(program.outputs, numbers)}"


def _operations(operations: Sequence[Operation], numbers: dict[int, int]) -> Iterator[str]:
    for op in operations:
        reads = _read(op.inputs, numbers)
        if op.body is not None:
            yield from _body(op.body, numbers)
        yield f"{op.primitive.name} {_text(op.params)} {reads} {' '.join(_made(v, numbers) for v in op.outputs)}"


def _body(body: Body, numbers: dict[int, int]) -> Iterator[str]:
    yield "repeat " + " ".join(_made(v, numbers) for v in body.inputs)
    yield from _operations(list(opened(body.items)), numbers)
    yield f"end {_read(body.outputs, numbers)}"


def _made(value: Value, numbers: dict[int, int]) -> str:
    number = numbers.setdefault(value.number, len(numbers))
    return f"{number}:{_kind(value.dtype)}{list(value.shape)}"


def _read(atoms: Sequence[Atom], numbers: dict[int, int]) -> str:
    """Values by their number, -1 for what nothing makes (the key); constants by their content."""
    return " ".join(str(numbers.get(x.number, -1)) if isinstance(x, Value) else _array(x.value) for x in atoms)


def _kind(dtype: Any) -> str:
    kinds = {"f": jnp.floating, "i": jnp.integer, "c": jnp.complexfloating, "b": np.bool_}
    return next((name for name, kind in kinds.items() if jnp.issubdtype(dtype, kind)), "key")


def _array(value: Any) -> str:
    array = np.asarray(value)
    kind = _kind(array.dtype)
    wide = {"f": np.float32, "i": np.int64, "c": np.complex64, "b": np.bool_}.get(kind)
    content = "" if wide is None else hashlib.sha256(array.astype(wide).tobytes()).hexdigest()[:16]
    return f"{kind}{list(array.shape)}{content}"


def _text(value: Any) -> str:
    """Plain values as text, what is no plain value left out."""
    if isinstance(value, dict):
        parts = {str(name): _text(v) for name, v in value.items()}
        return "{" + ",".join(f"{name}={text}" for name, text in sorted(parts.items()) if text) + "}"
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(map(_text, value)) + ")"
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (bool, int, float, str, np.generic)):
        return repr(value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, np.ndarray):
        return _array(value)
    return _kind(value) if isinstance(value, np.dtype) else ""
