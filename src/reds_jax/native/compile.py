"""From the C++ sources of the kernels to a library. Imports no JAX: it runs where a wheel is built as well."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reds_jax.whole_file import write_bytes

SOURCES = tuple(Path(__file__).with_name(name) for name in ("common.h", "conv.cc", "segment.cc"))
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fopenmp-simd", "-fPIC")
COMPILERS = ("c++", "g++", "clang++")
SECONDS = 300
"""What a compiler may take."""


def find_compiler() -> str | None:
    """The C++ compiler that ``CXX`` names, or the first of ``COMPILERS`` that is there; None where there is none."""
    named = os.environ.get("CXX")
    return shutil.which(named) if named else next((found for name in COMPILERS if (found := shutil.which(name))), None)


def make_library(compiler: str, flags: Sequence[str], sources: Sequence[Path], include: str | Path, path: Path) -> None:
    """Compile sources, with XLA's headers in ``include``, into the library ``path``, which is written whole or not at all.

    Raises:
        subprocess.SubprocessError: the compiler fails, or takes more than ``SECONDS``.
        OSError: it cannot be run, or the library cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as scratch, ThreadPoolExecutor() as pool:
        def compiled(source: Path) -> str:
            made = str(Path(scratch) / f"{source.stem}.o")
            run(compiler, *flags, f"-isystem{include}", "-c", str(source), "-o", made)
            return made

        library = Path(scratch) / path.name
        objects = list(pool.map(compiled, (source for source in sources if source.suffix == ".cc")))
        run(compiler, *flags, "-shared", *objects, "-o", str(library))
        write_bytes(path, library.read_bytes())


def run(*command: str) -> str:
    """What a command prints; raises as `subprocess.run` does."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=SECONDS).stdout
