"""Run an exported network on this machine: compile it with the C compiler at hand and call it from Python."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.errors import InvalidArgumentError, MissingDependencyError, RedsError

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")


def compiler(name: str | None = None) -> str:
    """The path of a C compiler: ``name``, the environment's CC, or cc, gcc or clang."""
    wanted = [name] if name else [*filter(None, [os.environ.get("CC")]), "cc", "gcc", "clang"]
    for candidate in wanted:
        if found := shutil.which(candidate):
            return found
    raise MissingDependencyError(f"no C compiler is installed (looked for {', '.join(wanted)})",
                                 hint="Debian: apt-get install gcc")


def build(folder: Path, output: Path, *flags: str, cc: str | None = None, main: Path | None = None) -> Path:
    """Compile every source of an exported folder but its example; ``main`` is a program to link, or none for a library."""
    sources = sorted(p for p in Path(folder).glob("*.c") if p.name != "main.c")
    if not sources:
        raise InvalidArgumentError("there is no exported network in the folder", got=str(folder),
                                   hint="Write one with python -m reds_jax.deploy export.")
    extra = [str(main)] if main else ["-shared", "-fPIC"]
    command = [compiler(cc), *WARNINGS, *(flags or ("-O2",)), f"-I{folder}", "-o", str(output), *map(str, sources), *extra]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RedsError(f"the exported network does not compile ({' '.join(command)}):\n{done.stderr}")
    return output


class HostNetwork:
    """An exported network, compiled and loaded. Its state is its own: a folder that is loaded twice is two networks.

    >>> # network = HostNetwork("exported"); network.adapt(0); y = network.invoke(x)
    """

    def __init__(self, folder: str | Path, *flags: str, cc: str | None = None, name: str = "reds") -> None:
        folder = Path(folder)
        self._name = name
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:  # a loaded library needs its file no more
            self._library = ctypes.CDLL(str(build(folder, Path(temporary) / "network.so", *flags, cc=cc)))
        self.facts = json.loads((folder / "model.json").read_text())
        self._dtype = np.dtype(np.int8 if self.facts["dtype"] == "int8" else np.float32)
        self._invoke = self._function("invoke", ctypes.c_void_p, ctypes.c_void_p)
        self._invoke.restype = ctypes.c_uint32

    def _function(self, what: str, *types: type) -> Any:
        function = getattr(self._library, f"{self._name}_{what}")
        function.argtypes = types
        return function

    def __len__(self) -> int:
        return len(self.facts["subnetworks"])

    def adapt(self, k: int) -> bool:
        """Switch to subnetwork k; False, and nothing changes, if there is none."""
        return self._function("adapt", ctypes.c_uint32)(k) == 0

    def adapt_to_budget(self, macs: int) -> bool:
        """Switch to the largest subnetwork of at most ``macs``; False, and nothing changes, if none is that small."""
        return self._function("adapt_to_budget", ctypes.c_uint32)(macs) == 0

    @property
    def active(self) -> int:
        """The subnetwork that the next inference runs."""
        return int(self._function("active")())

    def invoke(self, x: np.ndarray) -> np.ndarray:
        """The outputs [N, outputs] for inputs [N, ...] of the network's number format."""
        x = np.ascontiguousarray(x)
        if x.dtype != self._dtype or x.size != len(x) * self.facts["input_items"]:
            raise InvalidArgumentError("these are no inputs of the network", got=(x.dtype.name, x.shape),
                                       allowed=f"{self._dtype.name}, {self.facts['input_items']} values an example")
        out = np.empty((len(x), self.facts["output_items"]), self._dtype)
        for row, result in zip(x, out, strict=True):
            self._invoke(row.ctypes.data, result.ctypes.data)
        return out

    def quantize(self, x: Sequence[float] | np.ndarray) -> np.ndarray:
        """Real inputs on the grid of an int8 network, by its own C code."""
        x = np.ascontiguousarray(x, np.float32)
        out = np.empty(x.shape, np.int8)
        for row, result in zip(x, out, strict=True):
            self._function("quantize", ctypes.c_void_p, ctypes.c_void_p)(row.ctypes.data, result.ctypes.data)
        return out

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The inputs for uint8 images [N, H, W, C], by the C code of an export with ``normalise``."""
        pixels = np.ascontiguousarray(pixels, np.uint8)
        out = np.empty(pixels.shape, self._dtype)
        for row, result in zip(pixels, out, strict=True):
            self._function("from_pixels", ctypes.c_void_p, ctypes.c_void_p)(row.ctypes.data, result.ctypes.data)
        return out
