"""Parameters that every subnetwork has of its own, in one tree with those that all share; the variables of a subnetwork."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from reds_jax.errors import InvalidArgumentError
from reds_jax.program.flat import leaf_path, leaves_by_path


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False)
class Private:
    """A parameter that every subnetwork has of its own. In a tree of parameters it stands where the others have one array.

    To jax it is a node with a leaf a subnetwork, so an optimizer, a checkpoint and ``jax.tree.map`` need not know it.

    Args:
        arrays: of each subnetwork, full-shaped, in the order of the widths.
    """

    arrays: tuple[Any, ...]

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], None]:
        return [(jax.tree_util.SequenceKey(k), array) for k, array in enumerate(self.arrays)], None

    @classmethod
    def tree_unflatten(cls, structure: None, arrays: Iterable[Any]) -> Private:
        return cls(tuple(arrays))


def is_private(node: Any) -> bool:
    """Whether it is a `Private`: for ``jax.tree.map(..., is_leaf=is_private)``."""
    return isinstance(node, Private)


def with_private(tree: Any, paths: Iterable[str], subnetworks: int) -> Any:
    """The tree with a `Private` in place of each array in ``paths``, with which every subnetwork begins.

    Raises:
        InvalidArgumentError: a path that the tree does not have.
    """
    wanted, known = set(paths), leaves_by_path(tree)
    if unknown := sorted(wanted - set(known)):
        raise InvalidArgumentError("the network has no such parameter", got=unknown, allowed=", ".join(known))

    def of(path: Any, array: Any) -> Any:
        return Private((array,) * subnetworks) if leaf_path(path) in wanted else array

    return jax.tree_util.tree_map_with_path(of, tree)


def private_paths(tree: Any) -> list[str]:
    """The paths of the private parameters, in the order of the tree."""
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_private)
    return [leaf_path(path) for path, node in nodes if is_private(node)]


def among(params: Any, choice: Sequence[int]) -> Any:
    """The same parameters for these subnetworks alone, in this order."""
    return jax.tree.map(lambda node: Private(tuple(node.arrays[k] for k in choice)) if is_private(node) else node, params,
                        is_leaf=is_private)


def variables_of(params: Any, batch_stats: Sequence[Any], k: int) -> dict[str, Any]:
    """The full variables of subnetwork k: what all share, its private parameters, and its batch statistics if it has any.

    Args:
        params: the full parameters; a `Private` has an array for each subnetwork.
        batch_stats: of each subnetwork.
        k: its number.

    Raises:
        InvalidArgumentError: private parameters of another number of subnetworks.
    """
    def of(node: Any) -> Any:
        if not is_private(node):
            return node
        if len(node.arrays) != len(batch_stats):
            raise InvalidArgumentError("the private parameters are of another number of subnetworks", got=len(node.arrays),
                                       allowed=f"{len(batch_stats)}, as there are batch statistics")
        return node.arrays[k]

    own = jax.tree.map(of, params, is_leaf=is_private)
    return {"params": own, **({"batch_stats": batch_stats[k]} if batch_stats[k] else {})}
