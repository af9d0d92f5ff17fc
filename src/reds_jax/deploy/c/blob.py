"""Weights and tables of an export as bytes that a device can be given anew, in the format of runtime/reds_blob.h.

The C text of an export holds every number that training changes, and the address of every array of such numbers, as a token
of a `Content`. `Content.factory` writes them as constants, `Content.loaded` as words of given bytes, and addresses in them.
"""

from __future__ import annotations

import hashlib
import re
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


class Content:
    """What training changes in the C text of an export: numbers, then arrays, each from a multiple of 4 bytes on."""

    def __init__(self) -> None:
        self._numbers: list[tuple[str, bytes]] = []
        self._arrays: dict[str, tuple[str, bytes]] = {}

    def integer(self, value: int) -> str:
        """The token of an integer of 32 bits."""
        self._numbers.append((str(value), struct.pack("<i", value)))
        return f"\x01{len(self._numbers) - 1}i\x02"

    def real(self, value: float, text: str) -> str:
        """The token of a float32, with its text as a constant."""
        self._numbers.append((text, struct.pack("<f", value)))
        return f"\x01{len(self._numbers) - 1}f\x02"

    def address(self, expression: str, kind: str, data: bytes) -> str:
        """The token of a constant array's address: its C expression, the type of the pointer, its bytes (little-endian)."""
        self._arrays[expression] = kind, data + bytes(-len(data) % 4)
        return f"\x01{expression}@\x02"

    def factory(self, text: str) -> str:
        """The text with constants."""
        return _TOKEN.sub(lambda m: m[1] if m[2] == "@" else self._numbers[int(m[1])][0], text)

    def loaded(self, text: str) -> str:
        """The text with words and addresses of a blob, ``words``."""
        offsets, at = {}, HEAD + 4 * len(self._numbers)
        for expression, (_, data) in self._arrays.items():
            offsets[expression] = at
            at += len(data)

        def written(m: re.Match[str]) -> str:
            if m[2] == "@":
                return f"({self._arrays[m[1]][0]})(words + {offsets[m[1]] // 4})"
            word = f"words[{HEAD // 4 + int(m[1])}]"
            return f"(int32_t){word}" if m[2] == "i" else f"reds_blob_real({word})"

        return _TOKEN.sub(written, text)

    def bytes(self) -> bytes:
        """All of it."""
        return b"".join([data for _, data in self._numbers] + [data for _, data in self._arrays.values()])


_TOKEN = re.compile("\x01([^\x02]*)([if@])\x02")
