"""Trees of arrays as files see them: flat names, host arrays, digests; and files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.whole_file import write_bytes

Arrays = dict[str, np.ndarray]

def flatten(tree: Any) -> Arrays:
    """The leaves of a tree as host arrays under their paths, ``"a/b/0"``; typed keys become their data (uint32)."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    flat = {jax.tree_util.keystr(path, simple=True, separator="/"): _host(leaf) for path, leaf in leaves}
    if len(flat) != len(leaves):
        raise InvalidArgumentError("two leaves of a tree have the same path", hint="Use names without '/'.")
    return flat


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def unflatten(like: Any, flat: Mapping[str, np.ndarray]) -> Any:
    """The tree of the form of ``like`` with the arrays of `flatten`, bit for bit.

    Raises:
        CheckpointError: a path is missing or too much, or an array has another shape or type.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    paths = [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
    if set(paths) != set(flat):
        raise CheckpointError("the arrays belong to another network or optimizer",
                              got=sorted(set(paths) ^ set(flat))[:8], allowed="the same paths")
    restored = []
    for path, (_, leaf) in zip(paths, leaves, strict=True):
        array, expected = flat[path], _host(leaf)
        if (array.shape, array.dtype) != (expected.shape, expected.dtype):
            raise CheckpointError(f"the array {path!r} has another form", got=f"{array.dtype}{list(array.shape)}",
                                  allowed=f"{expected.dtype}{list(expected.shape)}")
        value = jnp.asarray(array)
        restored.append(jax.random.wrap_key_data(value, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else value)
    return jax.tree_util.tree_unflatten(structure, restored)


def digest(arrays: Mapping[str, Any]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype} {array.shape}\n".encode())
        total.update(array.data)
    return total.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 of what JSON holds, however it is laid out."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def pack(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, list[list[Any]]]:
    """The bytes of all arrays, one behind the other (uint8 [bytes]), and an index of names, types and shapes as JSON."""
    index = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    return np.frombuffer(b"".join(array.tobytes() for array in arrays.values()), np.uint8), index


def unpack(data: np.ndarray, index: list[list[Any]]) -> Arrays:
    """The arrays that `pack` packed; a ValueError if there are too few bytes."""
    arrays, offset = {}, 0
    for name, dtype, shape in index:
        size = math.prod(shape) * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(data[offset : offset + size].tobytes(), np.dtype(dtype)).reshape(shape)
        offset += size
    return arrays


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; a `CheckpointError` if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({type(error).__name__})") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no object", got=type(value).__name__)
    return value
