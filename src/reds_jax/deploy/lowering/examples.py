"""Examples that are given to a device program are what it was traced with: the shape axis by axis, and real numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from reds_jax.errors import InvalidArgumentError


def check_shape(shape: Sequence[int], expected: Sequence[int], what: str) -> None:
    """An `InvalidArgumentError` unless ``shape`` is [N, *expected]; as many entries in other axes are other images."""
    if tuple(shape[1:]) != tuple(expected) or not shape:
        raise InvalidArgumentError(f"{what} have another shape than the network was traced with", got=list(shape),
                                   allowed=f"[N, {', '.join(map(str, expected))}]",
                                   hint="Give them as the network reads them, or trace it with inputs of this shape.")


def floats(x: Any, expected: Sequence[int], what: str) -> np.ndarray:
    """Examples [N, *expected] as float32.

    Args:
        x: the examples as the network reads them: normalised, of a floating-point type.
        expected: the shape of one example.
        what: what to call them in an error.

    Raises:
        InvalidArgumentError: another shape, or a type that is not floating-point (8-bit pixels that were not normalised).
    """
    array = np.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise InvalidArgumentError(f"{what} are no floating-point numbers", got=str(array.dtype), allowed="float32",
                                   hint="Normalise them as in training; what the network reads as it is, cast to float32.")
    check_shape(array.shape, expected, what)
    return array.astype(np.float32, copy=False)
