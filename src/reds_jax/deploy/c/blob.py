"""Weights and tables of an export as one array of bytes that a device can be given anew: the format of runtime/reds_blob.h."""

from __future__ import annotations

import hashlib
import struct
import zlib

from reds_jax.checks import integer

MAGIC = b"REDS"
FORMAT = 1
HEAD = 24
"""Bytes before the first weight."""


def layout(text: str) -> tuple[int, int]:
    """The first 64 bits of SHA-256 of a text that says what lies where, as two words: weights fit networks of equal layout."""
    first, second = struct.unpack("<2I", hashlib.sha256(text.encode()).digest()[:8])
    return first, second


def pack(content: bytes, fits: tuple[int, int], revision: int = 0) -> bytes:
    """The bytes of a blob.

    Args:
        content: weights, scales and offsets, little-endian; whole words.
        fits: the layout of the networks that it fits.
        revision: a number of the user's, below 2^32.
    """
    integer("revision", revision, 0, 2**32 - 1)
    assert len(content) % 4 == 0, "every array is padded to whole words"
    head = MAGIC + struct.pack("<5I", FORMAT, HEAD + len(content) + 4, *fits, revision)
    return head + content + struct.pack("<I", zlib.crc32(head + content))
