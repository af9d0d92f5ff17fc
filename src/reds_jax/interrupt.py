"""Being stopped from outside: SIGTERM and SIGHUP end a run as Ctrl-C does. Imports nothing of the library."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal that ends the process arrived; ``number`` says which. What catches Ctrl-C catches it too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Interrupted` in the main thread; behind it they do what they did before.

    A handler of the caller's own stays, a signal that is ignored (nohup) too, and outside the main thread nothing changes.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = [s for s in ENDING if main and signal.getsignal(s) is signal.SIG_DFL]
    for s in ours:
        signal.signal(s, _interrupt)
    try:
        yield
    finally:
        for s in ours:
            signal.signal(s, signal.SIG_DFL)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ctrl-C and the other ends take effect behind the block, such as a write that would go on behind an interrupted one."""
    before = {s: handler for s in (signal.SIGINT, *ENDING) if callable(handler := signal.getsignal(s))}
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[Any] = []
    for s in before:
        signal.signal(s, lambda *arguments: pending.append(arguments))
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
    for arguments in pending[:1]:
        before[arguments[0]](*arguments)
