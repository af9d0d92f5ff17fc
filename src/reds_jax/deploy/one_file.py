"""A single file as output: it is written whole, and it replaces nothing but an older output of the same kind.

Every kind of output carries a mark, bytes that are somewhere in the file; a file without it was written by somebody else.
"""

from __future__ import annotations

import os
from pathlib import Path

from reds_jax.errors import InvalidArgumentError


def check(path: Path, mark: bytes) -> None:
    """An `InvalidArgumentError` if the file may not be written: no folder, or something else is there."""
    if not path.parent.is_dir():
        raise InvalidArgumentError("the file cannot be written: there is no such folder", got=str(path.parent))
    if not os.path.lexists(path):
        return
    if not path.is_file() or mark not in path.read_bytes():
        raise InvalidArgumentError("the output would replace something that this command did not write", got=str(path),
                                   hint="Choose another name, or move it away.")


def write(path: Path, data: bytes, mark: bytes) -> None:
    """Write a file that holds the mark; a link is followed."""
    from reds_jax.whole_file import write_bytes

    assert mark in data, "an output carries its mark"
    check(path, mark)
    write_bytes(path.resolve(), data)
