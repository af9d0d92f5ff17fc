"""Arrays of a trained network against the variables of ours: what fits, and every name and shape that does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from reds_jax.errors import InvalidArgumentError

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Match:
    """How the arrays of a trained network fit the variables of a model, by name.

    Args:
        matched: the shapes of those that fit.
        missing: the shapes of variables that have no array.
        unused: the shapes of arrays that the model has no variable for.
        other: (shape of the array, shape of the variable) where they differ.
    """

    matched: Shapes
    missing: Shapes
    unused: Shapes
    other: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @property
    def fits(self) -> bool:
        """Whether every variable has its array, and no array is left over."""
        return not (self.missing or self.unused or self.other)

    def __str__(self) -> str:
        parameters = sum(int(np.prod(shape)) for shape in self.matched.values())
        parts = [f"{len(self.matched)} arrays with {parameters:,} values fit"]
        for what, shapes in (("missing", self.missing), ("not in the network", self.unused)):
            if shapes:
                parts.append(f"{what}: " + ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()))
        if self.other:
            parts.append("of another shape: " + ", ".join(f"{name} {list(got)}, the network has {list(expected)}"
                                                          for name, (got, expected) in self.other.items()))
        return "; ".join(parts)


def import_variables(weights: Mapping[str, np.ndarray], like: Any,
                     convert: Callable[[dict[str, np.ndarray]], Any] | None = None) -> tuple[Any, Match]:
    """The variables of a model from the arrays of a trained network, and what was matched.

    Args:
        weights: arrays by name, as `read_weights` gives them. Under the names of the model's own variables,
            ``params/conv/kernel``, they are taken as they are.
        like: the variables of the model: arrays, or their shapes and types.
        convert: makes variables of arrays under the names of another library.

    Raises:
        InvalidArgumentError: an array is missing, left over or of another shape, or holds no numbers; the message lists all.
    """
    own = _flat(like)
    if not own.keys() & weights.keys():
        if convert is None:
            raise InvalidArgumentError("the weights have other names than the network", got=sorted(weights)[:6],
                                       allowed=f"{', '.join(list(own)[:6])}, ...")
        found = _flat(convert(dict(weights)))
    else:  # a checkpoint has the state of an optimizer beside them
        found = {name: array for name, array in weights.items() if name.partition("/")[0] in like}
    shapes = {name: (np.shape(found[name]), np.shape(own[name])) for name in own if name in found}
    match = Match({name: got for name, (got, expected) in shapes.items() if got == expected},
                  {name: np.shape(value) for name, value in own.items() if name not in found},
                  {name: np.shape(value) for name, value in found.items() if name not in own},
                  {name: pair for name, pair in shapes.items() if pair[0] != pair[1]})
    if not match.fits:
        raise InvalidArgumentError(f"the weights do not fit the network: {match}", hint="They belong to another network.")
    if bad := [name for name, array in found.items() if not np.isfinite(array).all()]:
        raise InvalidArgumentError("the weights have values that are no numbers", got=bad)
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    return jax.tree_util.tree_unflatten(structure, [np.asarray(found[_path(path)], np.float32) for path, _ in paths]), match


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _flat(tree: Any) -> dict[str, Any]:
    return {_path(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
