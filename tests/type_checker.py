"""The checker that the import hook of jaxtyping puts around every function of the package (conftest.py)."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, FrozenDict, beartype
from hypothesis.strategies import DrawFn

CONFIGURATION = BeartypeConf(
    is_pep484_tower=True,  # an int is allowed where a float is
    hint_overrides=FrozenDict({DrawFn: Callable}),  # a Protocol that cannot be asked at run time
)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Ask for every argument and for the result whether it has the type that it is said to have."""
    return beartype(conf=CONFIGURATION)(function)
