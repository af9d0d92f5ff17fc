"""Memory that a process keeps between calls instead of handing it back to the system. Imports nothing of the library.

A compiled program on a CPU takes the memory of its intermediate results anew at every call. glibc maps blocks of that size
straight from the system, or hands them back as soon as they are free, so that every page of them is a page fault and is filled
with zeros, call after call.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

SWITCH = "REDS_KEEP_MEMORY"
PARAMETERS = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1)}
"""{name in malloc.h: (its number there, value)}: one pool for all threads, no block mapped for itself, nothing given back."""


def keep_memory() -> str:
    """Let this process keep the memory that it frees, for its own next use; returns what was done, in a few words.

    Large temporaries of compiled programs then stay mapped from call to call. It calls ``mallopt`` of glibc, for the whole
    process and until it ends: memory in use is at its peak about what it would be, but stays there. Processes that are forked
    from this one inherit it, those that are started anew do not.

    Call it before JAX does anything on a device: the threads that JAX starts then have pools of memory of their own, which no
    setting takes away. The commands of the library call it, importing the library does not.

    Nothing is done, and the text says so, where there is no glibc (macOS, Windows, musl), where the environment holds settings
    of your own (``MALLOC_...``, ``GLIBC_TUNABLES``, an allocator in ``LD_PRELOAD``), and with ``REDS_KEEP_MEMORY=0``.

    Source: mallopt(3) of the Linux manual.
    """
    return _keep()


def memory_state() -> str:
    """What `keep_memory` did in this process, if it was called."""
    return _keep() if _keep.cache_info().currsize else "given back as the system does"


@cache
def _keep() -> str:
    own = sorted(name for name, value in os.environ.items() if _is_a_setting(name, value))
    if own:
        return f"left to {', '.join(f'{name}={os.environ[name]}' for name in own)}"
    libc = _glibc()
    if libc is None:
        return "given back as the system does: its allocator is not that of glibc"
    pools = _pools(libc)
    refused = [name for name, (number, value) in PARAMETERS.items() if libc.mallopt(number, value) != 1]
    if refused:
        return f"given back as the allocator does, which refused {', '.join(refused)}"
    return "kept" if pools <= 1 else f"kept, but for the threads that were there before, with {pools - 1} pools of their own"


def _is_a_setting(name: str, value: str) -> bool:
    """Whether a variable of the environment says how memory is to be allocated."""
    return (name.startswith("MALLOC_") or (name == "GLIBC_TUNABLES" and "glibc.malloc." in value)
            or (name == "LD_PRELOAD" and "malloc" in value) or (name == SWITCH and value == "0"))


def _glibc() -> ctypes.CDLL | None:
    """The C library of this process, if it is glibc."""
    try:
        libc = ctypes.CDLL(None)
    except (OSError, TypeError):  # TypeError: Windows
        return None
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _pools(libc: ctypes.CDLL) -> int:
    """How many pools of memory the allocator has now; the first belongs to the main thread."""
    text, length = ctypes.c_char_p(), ctypes.c_size_t()
    libc.open_memstream.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(libc.open_memstream(ctypes.byref(text), ctypes.byref(length)))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    pools = (text.value or b"").count(b"<heap nr=")
    libc.free(text)
    return pools
