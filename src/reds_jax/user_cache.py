"""Where the library keeps files of its own between runs, and what tells this machine from others that see the same folder."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def cache_folder() -> Path:
    """``reds_jax`` in ``$XDG_CACHE_HOME``, by default ``~/.cache``.

    Raises:
        FileNotFoundError: there is neither that variable nor a home.
    """
    home = os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    if home.startswith("~"):
        raise FileNotFoundError("there is no home; XDG_CACHE_HOME names a folder for files that are kept")
    return Path(home) / "reds_jax"


def processor() -> tuple[str, ...]:
    """What tells the instruction set of this machine from others'."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    told = ("flags", "Features", "model name", "CPU part", "CPU implementer")
    return platform.machine(), platform.system(), *sorted({line for line in lines if line.partition("\t")[0].strip() in told})
