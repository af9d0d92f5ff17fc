"""The compiled kernels: built by the C++ compiler of this machine, kept in a cache, loaded once.

The name of a cached library is a digest of its sources, of the compiler, its version and its flags, of the headers and of the
processor: another machine that sees the same folder builds its own, and never runs an instruction that it does not have.
Without a compiler the library that the wheel brings is taken, if it does (`reds_jax.native.prebuilt`).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import subprocess
import tempfile
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax

from reds_jax.native.compile import COMPILERS, FLAGS, SOURCES, find_compiler, make_library, run
from reds_jax.native.prebuilt import find_prebuilt
from reds_jax.user_cache import cache_folder, processor

TARGETS = tuple(f"{function}_{bits}" for bits in ("f32", "f64") for function in (
    "segment_forward", "segment_backward", "conv_forward", "conv_inputs", "conv_kernel"))


class Library(NamedTuple):
    """Whether the kernels are there, and how they came about or why they are not."""

    ready: bool
    text: str


@cache
def built() -> Library:
    """Build what is not in the cache, load it and register its functions with JAX. Never raises: without a compiler, or
    where it fails, the kernels are not there, and ``text`` says why."""
    compiler = find_compiler()
    if compiler is None:
        return _prebuilt(f"no C++ compiler (CXX, {', '.join(COMPILERS)})")
    try:
        path = _built(compiler)
        _load(path)
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        why = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        return Library(False, f"{compiler} did not build them: {_first_error(why)}")
    return Library(True, f"built by {compiler}, in {path}")


def _prebuilt(why: str) -> Library:
    """What the wheel brings; ``why`` nothing was built."""
    path, text = find_prebuilt(jax.ffi.include_dir())
    if path is None:
        return Library(False, f"{why}; {text}")
    try:
        _load(path)
    except (OSError, AttributeError) as error:
        return Library(False, f"{why}; the prebuilt ones for {text} cannot be loaded: {_first_error(str(error))}")
    return Library(True, f"prebuilt for {text}")


def _load(path: Path) -> None:
    """Make the functions of a library known to JAX."""
    loaded = ctypes.CDLL(str(path))
    for name in TARGETS:
        jax.ffi.register_ffi_target(f"reds_jax_{name}", jax.ffi.pycapsule(getattr(loaded, name)), platform="cpu")


def _built(compiler: str) -> Path:
    """The library of these sources, this compiler and processor."""
    flags = (*FLAGS, "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native")
    told = run(compiler, "--version")
    texts = (source.read_text(encoding="utf-8") for source in SOURCES)
    parts = (*texts, compiler, told, *flags, version("jaxlib"), *processor())
    path = _folder() / f"kernels_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    if not path.exists():
        make_library(compiler, flags, SOURCES, jax.ffi.include_dir(), path)
    return path


def _folder() -> Path:
    """Where libraries are kept: the user's cache, or a folder for this process where that cannot be written."""
    with suppress(OSError):
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    return Path(tempfile.mkdtemp(prefix="reds_jax_"))


def _first_error(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or ["no message"]
    return lines[0][:200]
