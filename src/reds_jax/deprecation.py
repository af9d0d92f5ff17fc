"""How a public name changes: the old one works for one minor version more, with a warning that says what to write."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def warn(old: str, *, since: str, instead: str, stacklevel: int = 2) -> None:
    """Say that ``old`` is deprecated, at the line that used it.

    Args:
        old: what was used, as it is written.
        since: the first version that has ``instead``, such as "0.2".
        instead: what to write, as it is written.
        stacklevel: as in `warnings.warn`, counted from the caller of this function.
    """
    warnings.warn(f"{old} is deprecated since reds_jax {since}; use {instead}", DeprecationWarning, stacklevel=stacklevel + 1)


def deprecated(*, since: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for a function that has a successor: every call warns, and does what it did.

    >>> @deprecated(since="0.2", instead="solve")
    ... def optimise(x):
    ...     return x + 1
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            warn(f"{function.__name__}()", since=since, instead=f"{instead}()")
            return function(*args, **kwargs)

        return call

    return decorate


def renamed_arguments(*, since: str, **new: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for a function with renamed keyword arguments, ``old="new"``: the old ones are taken, with a warning.

    Raises:
        TypeError: both the old and the new name are given in one call.

    >>> @renamed_arguments(since="0.2", budget="capacities")
    ... def solve(*, capacities):
    ...     return capacities
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old in [name for name in new if name in kwargs]:
                if new[old] in kwargs:
                    raise TypeError(f"{function.__name__}() got {old!r} and {new[old]!r}: they are one argument")
                warn(f"the argument {old} of {function.__name__}()", since=since, instead=new[old])
                kwargs[new[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
