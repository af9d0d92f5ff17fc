"""Compiled programs that are kept for the next process: JAX's persistent cache, in the user's folder and of bounded size."""

from __future__ import annotations

import hashlib
import os
import platform
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jax

from reds_jax.user_cache import cache_folder, processor

FOLDER, ENABLED = "jax_compilation_cache_dir", "jax_enable_compilation_cache"
SWITCH = "REDS_KEEP_COMPILED"
SECONDS = 0.05
"""What took less to compile is not kept."""
BYTES = 2**30
"""Of the programs for all processors and versions; a command that finds more removes what was not used for longest."""


def keep_compiled() -> str:
    """Let JAX keep what it compiles for later processes, and take what they left; returns where, or why not, in a few words.

    The folder is ``~/.cache/reds_jax/compiled`` (or in ``$XDG_CACHE_HOME``), with one folder in it for each processor and
    version of jaxlib: code for another instruction set is never run. JAX tells programs apart by their operations, options
    and its own version. The C++ kernel is no part of them: they call, by its name, the one that this process has loaded.
    Several processes may use the folder at a time. A damaged file costs a warning and a compilation.

    Call it before JAX compiles anything. The commands of the library call it, importing the library does not. JAX's own
    settings win: a folder that is set (``JAX_COMPILATION_CACHE_DIR``) stays; ``JAX_ENABLE_COMPILATION_CACHE=0`` is off, as is
    ``REDS_KEEP_COMPILED=0``. Nothing is kept, and the text says so, where the folder cannot be written, and on macOS by jaxlib
    0.9, which may end the process when it reads a large program.
    """
    return _keep()


def compiled_state() -> str:
    """Whether JAX keeps what it compiles now, and where."""
    if (folder := jax.config.values[FOLDER]) and jax.config.values[ENABLED]:
        return f"kept in {folder}"
    return _keep() if _keep.cache_info().currsize else "not kept"


@cache
def _keep() -> str:
    if os.environ.get(SWITCH) == "0":
        return f"not kept ({SWITCH}=0)"
    if not jax.config.values[ENABLED]:
        return "not kept (JAX_ENABLE_COMPILATION_CACHE)"
    if platform.system() == "Darwin" and version("jaxlib").startswith("0.9."):
        return "not kept (jaxlib 0.9 on macOS may end the process when it reads a large program)"
    if jax.config.values[FOLDER] is None:
        try:
            folder = _folder(cache_folder() / "compiled")
        except OSError as error:
            return f"not kept ({error})"
        jax.config.update(FOLDER, str(folder))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", SECONDS)
    return compiled_state()


def _folder(root: Path) -> Path:
    """The folder of this processor and jaxlib, made and writable; what is too much below ``root`` is removed."""
    mine = hashlib.sha256(chr(0).join((version("jaxlib"), *processor())).encode()).hexdigest()[:24]
    folder = root / mine
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder} cannot be written")
    _trim(root, BYTES)
    return folder


def _trim(root: Path, most: int) -> None:
    """Remove files below ``root``, those first that were not used for longest, until the others take at most ``most`` bytes."""
    found = []
    for path in root.glob("*/*"):
        with suppress(OSError):  # another process removed it
            about = path.stat()
            found.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= most:
            break
        with suppress(OSError):
            path.unlink()
            total -= size
