"""What one example of a model's inputs looks like: its shapes and types, kept, and compared with what is given."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters.trees import check_arrays, described, input_name
from reds_jax.errors import InvalidArgumentError


def one_example(inputs: Any) -> Any:
    """The inputs [N, ...], arrays or shapes, as shapes [1, ...] in the same tree."""
    check_arrays(inputs)
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype)), inputs)


def check_example(inputs: Any, example: Any) -> Any:
    """The inputs, if they look like the example: the same tree, shapes behind N, and kinds of numbers.

    Floats and integers of other sizes become those of the example.

    Raises:
        InvalidArgumentError: it names the input and both shapes or types.
    """
    check_arrays(inputs)
    if jax.tree.structure(inputs) != jax.tree.structure(example):
        raise InvalidArgumentError("the inputs have another form than those of the network", got=described(inputs),
                                   allowed=described(example))
    return jax.tree_util.tree_map_with_path(_checked, inputs, example)


def _checked(path: Any, given: Any, expected: Any) -> Any:
    what = input_name(path)
    if given.shape[1:] != expected.shape[1:]:
        raise InvalidArgumentError(f"{what} has another shape than the network was made for", got=list(given.shape[1:]),
                                   allowed=f"{list(expected.shape[1:])} behind N",
                                   hint="reds_jax.run.run(network.model, ...) runs a model that takes any size.")
    if given.dtype == expected.dtype:
        return given
    floats = [jnp.issubdtype(a.dtype, jnp.floating) for a in (given, expected)]
    if floats[0] != floats[1] or not (all(floats) or np.can_cast(given.dtype, expected.dtype, "same_kind")):
        raise InvalidArgumentError(f"{what} has another type than the network reads", got=str(given.dtype),
                                   allowed=str(expected.dtype), hint="Raw inputs go through network.read(...) first.")
    return given.astype(expected.dtype)
