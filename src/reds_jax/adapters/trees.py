"""Trees of variables: plain nested dicts with string keys, so that every array has a path like ``params/conv/kernel``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
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
