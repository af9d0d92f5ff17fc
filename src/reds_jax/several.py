"""Arguments that hold several values: a single one is a tuple of one, an array a tuple of its entries. Imports no jax."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError


def several(name: str, value: Any, allowed: str) -> tuple[Any, ...]:
    """``value`` as a tuple; text is one value, and so is what cannot be iterated.

    Args:
        name: of the argument, for the message.
        value: one value, an array of at most one axis, or any iterable but a mapping.
        allowed: what it may be, in words.

    Raises:
        InvalidArgumentError: None, a mapping, or an array of more axes.

    >>> several("budgets", 0.5, "fractions"), several("budgets", np.array([0.5, 1.0]), "fractions")
    ((0.5,), (0.5, 1.0))
    """
    if value is None or isinstance(value, Mapping) or np.ndim(value if hasattr(value, "ndim") else 0) > 1:
        raise InvalidArgumentError(f"{name} cannot be read as several values", got=type(value).__name__, allowed=allowed)
    if hasattr(value, "tolist"):  # of NumPy or jax: Python's own numbers
        value = np.asarray(value).tolist()
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)
