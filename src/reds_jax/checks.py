"""Early, clear errors for arguments: integers, numbers, names, and several values where one may stand. Imports no jax."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value`` as an integer in [low, high], or an `InvalidArgumentError` that names it.

    >>> integer("batch_size", 100, 1)
    100
    """
    allowed = f"an integer from {low} up" if high is None else f"an integer from {low} to {high}"
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InvalidArgumentError(f"{name} is not an integer", got=value, allowed=allowed)
    result = int(value)
    if result < low or (high is not None and result > high):
        raise InvalidArgumentError(f"{name} is out of range", got=value, allowed=allowed)
    return result


def number(name: str, value: object, low: float, high: float = math.inf, *, above: bool = False) -> float:
    """``value`` as a finite float in [low, high], or in (low, high] with ``above``.

    >>> number("distill", 0.5, 0, 1)
    0.5
    """
    allowed = f"a number {'above' if above else 'from'} {low}{'' if math.isinf(high) else f' to {high}'}"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InvalidArgumentError(f"{name} is not a number", got=value, allowed=allowed)
    result = float(value)
    if not math.isfinite(result) or not low <= result <= high or (above and result == low):
        raise InvalidArgumentError(f"{name} is out of range", got=value, allowed=allowed)
    return result


def one_of(name: str, value: object, allowed: Sequence[str]) -> str:
    """``value`` if it is one of the ``allowed`` names.

    >>> one_of("augment", "flip", ("none", "flip"))
    'flip'
    """
    if not isinstance(value, str) or value not in allowed:
        raise InvalidArgumentError(f"unknown {name}", got=value, allowed=", ".join(allowed))
    return value


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
