"""The compiled kernels: built by the C++ compiler of this machine, kept in a cache, loaded once.

The name of a cached library is a digest of its sources, of the compiler, its version and its flags, of the headers and of the
processor: another machine that sees the same folder builds its own, and never runs an instruction that it does not have.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax

from reds_jax.user_cache import cache_folder, processor
from reds_jax.whole_file import write_bytes

SOURCES = tuple(Path(__file__).with_name(name) for name in ("common.h", "conv.cc", "segment.cc"))
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-fPIC")
COMPILERS = ("c++", "g++", "clang++")
TARGETS = tuple(f"{function}_{bits}" for bits in ("f32", "f64") for function in (
    "segment_forward", "segment_backward", "conv_forward", "conv_inputs", "conv_kernel"))
SECONDS = 300
"""What a compiler may take."""


class Library(NamedTuple):
    """Whether the kernels are there, and how they came about or why they are not."""

    ready: bool
    text: str


@cache
def built() -> Library:
    """Build what is not in the cache, load it and register its functions with JAX. Never raises: without a compiler, or
    where it fails, the kernels are not there, and ``text`` says why."""
    compiler = _compiler()
    if compiler is None:
        return Library(False, f"no C++ compiler (CXX, {', '.join(COMPILERS)})")
    try:
        path = _built(compiler)
        loaded = ctypes.CDLL(str(path))
        for name in TARGETS:
            jax.ffi.register_ffi_target(f"reds_jax_{name}", jax.ffi.pycapsule(getattr(loaded, name)), platform="cpu")
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        why = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
        return Library(False, f"{compiler} did not build them: {_first_error(why)}")
    return Library(True, f"built by {compiler}, in {path}")


def _compiler() -> str | None:
    named = os.environ.get("CXX")
    return shutil.which(named) if named else next((found for name in COMPILERS if (found := shutil.which(name))), None)


def _built(compiler: str) -> Path:
    """The library of these sources, this compiler and processor."""
    flags = (*FLAGS, "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native")
    told = _run(compiler, "--version")
    texts = (source.read_text(encoding="utf-8") for source in SOURCES)
    parts = (*texts, compiler, told, *flags, version("jaxlib"), *processor())
    path = _folder() / f"kernels_{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as scratch, ThreadPoolExecutor() as pool:
            def compiled(source: Path) -> str:
                made = str(Path(scratch) / f"{source.stem}.o")
                _run(compiler, *flags, f"-isystem{jax.ffi.include_dir()}", "-c", str(source), "-o", made)
                return made

            library = Path(scratch) / path.name
            objects = list(pool.map(compiled, (source for source in SOURCES if source.suffix == ".cc")))
            _run(compiler, *flags, "-shared", *objects, "-o", str(library))
            write_bytes(path, library.read_bytes())
    return path


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=SECONDS).stdout


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
