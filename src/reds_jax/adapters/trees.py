"""Trees of variables: plain nested dicts with string keys, so that every array has a path like ``params/conv/kernel``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.errors import InvalidArgumentError

COLLECTIONS = ("params", "batch_stats")
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # (path, shape), hashable


def key_name(key: Any) -> str:
    """The name of one step of a key path of jax.tree_util, or of a plain key."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    return str(key)


def nested(leaves: Iterable[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    """The nested dict of (path, leaf); every step of a path becomes a string."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves:
        *above, last = (key_name(k) for k in path)
        node = tree
        for name in above:
            node = node.setdefault(name, {})
        node[last] = leaf
    return tree


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    """The leaf of ``tree`` at ``path``."""
    for key in path:
        tree = tree[key_name(key)]
    return tree


def shapes_of(variables: Any) -> Shapes:
    """(path, shape) of every array."""
    return tuple(("/".join(map(key_name, path)), tuple(np.shape(leaf)))
                 for path, leaf in jax.tree_util.tree_leaves_with_path(variables))


def batch_stats_of(variables: Mapping[str, Any]) -> Any:
    """The batch statistics; a model without any has an empty dict."""
    return variables.get("batch_stats", {})


def checked_collections(variables: Any) -> dict[str, Any]:
    """``variables`` as a plain dict, if it has the form ``{"params": tree, "batch_stats": tree}``."""
    names = set(variables) if isinstance(variables, Mapping) else set()
    if "params" not in names or names - set(COLLECTIONS):
        raise InvalidArgumentError("these are no variables of a model", got=sorted(map(str, names)) or type(variables).__name__,
                                   allowed='{"params": tree, "batch_stats": tree}, the second where there are statistics')
    return dict(variables)


def check_arrays(inputs: Any) -> None:
    """The inputs of a model are arrays of numbers with the examples in front, or shapes of such, one or more.

    Raises:
        InvalidArgumentError: it names the input.
    """
    found = jax.tree_util.tree_leaves_with_path(inputs)
    for path, leaf in found:
        is_array = isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))
        if not is_array or not leaf.shape or not (jnp.issubdtype(leaf.dtype, np.number) or leaf.dtype == bool):
            raise InvalidArgumentError(f"{input_name(path)} is no array of examples",
                                       got=f"{leaf.dtype} {list(leaf.shape)}" if is_array else type(leaf).__name__,
                                       allowed="numbers [N, ...], or a tuple or dict of such", hint="See numpy.asarray.")
    if not found:
        raise InvalidArgumentError("the model is given no input", got=type(inputs).__name__,
                                   allowed="an array [N, ...], or a tuple or dict of such")


def input_name(path: tuple[Any, ...]) -> str:
    """One of several inputs by its path; of one alone there is nothing to say."""
    return f"the input {'/'.join(map(key_name, path))!r}" if path else "the input"


def described(arrays: Any) -> str:
    """Types and shapes of one example: ``"image float32 [28, 28, 1], meta float32 [3]"``."""
    return ", ".join(" ".join([*map(key_name, path), str(leaf.dtype), str(list(leaf.shape[1:]))])
                     for path, leaf in jax.tree_util.tree_leaves_with_path(arrays))


def check_shapes(variables: Any, needed: Shapes, known: Iterable[tuple[str, tuple[int, ...]]] = ()) -> None:
    """Every array is one that the model has, at its shape, and none is missing.

    Args:
        variables: ``{"params": tree, "batch_stats": tree}``.
        needed: what the call reads.
        known: arrays that may be there as well.

    Raises:
        InvalidArgumentError: it names the array, and both shapes where they differ.
    """
    given, allowed = dict(shapes_of(variables)), dict(needed)
    for path, shape in allowed.items():
        if path not in given:
            raise InvalidArgumentError(f"the variables have no array {path!r}", got=sorted(given)[:6],
                                       hint="They belong to another architecture.")
        if given[path] != shape:
            raise InvalidArgumentError(f"the array {path!r} has another shape than in this architecture", got=given[path],
                                       allowed=str(shape), hint="The variables belong to another architecture.")
    unknown = sorted(set(given) - set(allowed) - {path for path, _ in known})
    if unknown:
        raise InvalidArgumentError(f"the model has no array {unknown[0]!r}", got=unknown[:6],
                                   hint="The variables belong to another architecture.")
