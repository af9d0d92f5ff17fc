"""How far a long reading is: a line every few seconds, on a terminal and in a log alike."""

from __future__ import annotations

import sys
import time

EVERY = 10.0
"""Seconds between two lines."""


class Progress:
    """Says on stderr how many of ``total`` are done, at most every ``EVERY`` seconds, and nothing of what is quicker than that.

    Args:
        what: is done, as the beginning of a line: "reading photographs".
        total: how many there are.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total, self.done = what, total, 0
        self._begin = self._said = time.monotonic()

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            left = (now - self._begin) / self.done * (self.total - self.done)
            print(f"{self.what}: {self.done:,} of {self.total:,}, {left / 60:.1f} min left", file=sys.stderr, flush=True)
