"""How layers are called, which a program does not show: a trace listens, the layers tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Calls:
    """Paths of layers: ``full`` keep all their outputs, ``unaware`` take whatever they are given to be a prefix."""

    full: set[str] = field(default_factory=set)
    unaware: set[str] = field(default_factory=set)


_calls: ContextVar[Calls | None] = ContextVar("reds_jax_calls", default=None)


@contextmanager
def listening() -> Iterator[Calls]:
    """Collect how the layers inside are called."""
    calls = Calls()
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def tell(kind: str, path: str) -> None:
    """A layer was called without a width; ``kind`` is ``"full"`` or ``"unaware"``."""
    calls = _calls.get()
    if calls is not None:
        getattr(calls, kind).add(path)
