"""Read ahead: a background thread that fills a bounded queue from an iterator."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """An iterator whose items are made by a thread, at most ``size`` ahead of the reader.

    An error in the thread is raised where the item would have been; the items before it are not lost. Leaving the context
    stops the thread and closes what it reads from.

    Args:
        make: called in the thread; returns the iterator to read.
        size: items that may wait, 1 or more.
        patience: seconds to wait for the thread when closing; a source that blocks longer is left behind as a daemon.
    """

    def __init__(self, make: Callable[[], Iterator[T]], size: int, *, patience: float = 10.0) -> None:
        self._make, self._size, self._patience = make, size, patience
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopped = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._fill, name="reds_jax prefetch", daemon=True)
        self._thread.start()

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Prefetch[T]:
        return self

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended or self._stopped)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise StopIteration

    def close(self) -> None:
        """Stop the thread; what it has read ahead is dropped. May be called again."""
        with self._changed:
            self._stopped = True
            self._items.clear()
            self._changed.notify_all()
        self._thread.join(self._patience)

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            iterator = self._make()
            try:
                for item in iterator:
                    with self._changed:
                        self._changed.wait_for(lambda: len(self._items) < self._size or self._stopped)
                        if self._stopped:
                            break
                        self._items.append(item)
                        self._changed.notify_all()
            finally:
                if isinstance(iterator, Generator):
                    iterator.close()
        except BaseException as raised:
            error = raised  # handed to the reader, who raises it
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify_all()
