"""A folder that a run writes to has one owner: a lock that ends with the process, however that ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reds_jax.errors import CheckpointError

LOCK = ".lock"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Own ``folder``, which exists, within the block: ``flock`` on a file in it, which stays there and means nothing by itself.

    Where there is no flock (Windows), nothing is locked.

    Raises:
        CheckpointError: a process that runs owns it; the message names it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(file, 200, 0).decode(errors="replace").strip() or "a process"
            raise CheckpointError(f"{owner} is writing to the folder", got=str(folder),
                                  hint="Wait for its end, or choose another folder.") from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(file)
