"""Arrays of examples: one array, or tuples and dicts of arrays, all with the examples N in front. NumPy alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import DataError

Tree = Any
"""An array, or a tuple or dict of such, at any depth. A model gets a tuple as ``f(*inputs)``, a dict as ``f(**inputs)``."""


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays with their paths, ``"left/0"``, the names of a dict in order; the path of a single array is empty."""
    if not isinstance(tree, Mapping | tuple):
        yield path, tree
        return
    parts = enumerate(tree) if isinstance(tree, tuple) else sorted(tree.items())
    for name, value in parts:
        yield from leaves(value, f"{path}/{name}" if path else str(name))


def map_tree(f: Callable[[str, Any], Any], tree: Tree, path: str = "") -> Tree:
    """The same tree with ``f(path, array)`` of every array."""
    if not isinstance(tree, Mapping | tuple):
        return f(path, tree)
    parts = dict(enumerate(tree)) if isinstance(tree, tuple) else tree
    mapped = {name: map_tree(f, value, f"{path}/{name}" if path else str(name)) for name, value in parts.items()}
    return tuple(mapped.values()) if isinstance(tree, tuple) else mapped


def rows(tree: Tree) -> int:
    """The number of examples N."""
    return len(next(leaves(tree))[1])


def take(tree: Tree, indices: Any) -> Tree:
    """The examples at ``indices`` (integers [M] or a slice) of every array."""
    return map_tree(lambda path, array: array[indices], tree)


def filled(tree: Tree, n: int) -> Tree:
    """The tree with n examples or more, the last one repeated."""
    return take(tree, np.minimum(np.arange(n), rows(tree) - 1)) if rows(tree) < n else tree


def describe(tree: Tree) -> str:
    """Types and shapes of one example.

    >>> describe({"x": np.zeros((10, 4), np.float32), "y": np.zeros(10, np.uint8)})
    'x float32 [4], y uint8 []'
    """
    return ", ".join(f"{path} {array.dtype} {list(array.shape[1:])}".lstrip() for path, array in leaves(tree))


def checked(tree: Tree, what: str) -> Tree:
    """The tree as read-only NumPy arrays of the types that a device computes with: 64 bits become 32, nothing else changes.

    Args:
        tree: arrays, or what NumPy makes arrays of (lists, tensors of other libraries that lie in memory).
        what: what they are, for the message: "inputs", "targets".

    Raises:
        DataError: no array, no axis of examples, no example, different numbers of examples, a type that is no number, a
            value that is not finite or has no place in 32 bits. The message names the array and the row.
    """
    result = map_tree(lambda path, array: _array(array, f"{what}[{path}]" if path else what), tree)
    numbers = {path: len(array) for path, array in leaves(result)}
    if not numbers:
        raise DataError(f"{what} hold no array", got=tree, allowed="an array, or a tuple or dict of arrays")
    if len(set(numbers.values())) > 1:
        raise DataError(f"the {what} differ in number", got=numbers, allowed="as many examples in every array")
    if 0 in numbers.values():
        raise DataError(f"the {what} are empty", got=[list(a.shape) for _, a in leaves(result)], allowed="an example or more")
    return result


def _array(value: Any, name: str) -> np.ndarray:
    """``value`` as an array of examples; 64 bits become 32."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} cannot be read as an array ({error})", got=type(value).__name__) from error
    if array.ndim == 0 or array.dtype.kind not in "biuf":
        raise DataError(f"{name} has the wrong form", got=f"{array.dtype} {list(array.shape)}",
                        allowed="floats, integers or booleans [N, ...], the examples in front")
    narrow = {"f": np.float32, "i": np.int32, "u": np.uint32}.get(array.dtype.kind) if array.dtype.itemsize > 4 else None
    if narrow is not None and array.dtype.kind != "f" and array.size:
        limits = np.iinfo(narrow)
        _refuse((array < limits.min) | (array > limits.max), array, name, f"{limits.min} to {limits.max}, as 32 bits hold")
    with np.errstate(over="ignore"):  # what becomes infinite is refused below
        converted = array if narrow is None else array.astype(narrow)
    if array.dtype.kind == "f":
        _refuse(~np.isfinite(converted), array, name, "finite numbers")
    converted = converted.view()
    converted.flags.writeable = False
    return converted


def _refuse(bad: np.ndarray, array: np.ndarray, name: str, allowed: str) -> None:
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise DataError(f"{name} has a value that is not allowed in row {at[0]}", got=array[at].item(), allowed=allowed)
