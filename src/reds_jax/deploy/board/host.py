"""Run an exported network on this machine: compile it with the C compiler at hand and call it from Python."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.escape import c_identifier
from reds_jax.errors import InvalidArgumentError, MissingDependencyError, RedsError

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")

FITS = tuple(f"REDS_BLOB_{what}" for what in ("FITS", "NOT_ALIGNED", "NO_WEIGHTS", "OTHER_FORMAT", "OTHER_NETWORK", "CUT_SHORT",
                                              "DAMAGED"))
"""What a network says of weights that it is given (reds_blob.h)."""


def compiler(name: str | None = None) -> str:
    """The path of a C compiler: ``name``, the environment's CC, or cc, gcc or clang."""
    wanted = [name] if name else [*filter(None, [os.environ.get("CC")]), "cc", "gcc", "clang"]
    for candidate in wanted:
        if found := shutil.which(candidate):
            return found
    raise MissingDependencyError(f"no C compiler is installed (looked for {', '.join(wanted)})",
                                 hint="Debian: apt-get install gcc")


def build(folder: Path, output: Path, *flags: str, cc: str | None = None, main: Path | None = None,
          name: str | None = "reds") -> Path:
    """Compile an exported network (None: all of the folder) with its kernels, and link ``main``, or none for a library."""
    folder = Path(folder).absolute()
    extra = [str(main)] if main else ["-shared", "-fPIC"]
    command = [compiler(cc), *WARNINGS, *(flags or ("-O2",)), *exported_folder.include_flags(folder), "-o", str(output),
               *map(str, exported_folder.sources(folder, name)), *extra]
    done = run(command)
    if done.returncode:
        raise RedsError(f"the exported network does not compile ({shlex.join(command)}):\n{done.stderr}")
    return output


def run(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program and keep what it prints, whatever its encoding."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False, **options)


class HostNetwork:
    """An exported network, compiled and loaded. Its state is its own: a folder that is loaded twice is two networks.

    Args:
        folder: what `reds_jax.deploy.export` wrote.
        flags: options of the compiler, -O2 by default.
        cc: the compiler; by default the first that is installed.
        name: the prefix that the export was given.

    >>> # network = HostNetwork("exported"); network.adapt(0); y = network.invoke(x)
    """

    def __init__(self, folder: str | Path, *flags: str, cc: str | None = None, name: str = "reds") -> None:
        folder = Path(folder)
        self._name = c_identifier(name)
        self.facts = exported_folder.facts(folder, name)
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:  # a loaded library needs its file no more
            self._library = ctypes.CDLL(str(build(folder, Path(temporary) / "network.so", *flags, cc=cc, name=name)))
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
        return 0 <= k < 2**32 and self._function("adapt", ctypes.c_uint32)(k) == 0

    def adapt_to_budget(self, macs: int) -> bool:
        """Switch to the largest subnetwork of at most ``macs``; False, and nothing changes, if none is that small."""
        return macs >= 0 and self._function("adapt_to_budget", ctypes.c_uint32)(min(macs, 2**32 - 1)) == 0

    def adapt_to(self, widths: Mapping[str, int] | Sequence[int] | np.ndarray) -> bool:
        """Switch to a row of widths, of an export with ``any_widths``; False, and nothing changes, if it is not allowed.

        Args:
            widths: an integer for each channel group: `Widths` or {group: width}, or in the order of ``facts["any_widths"]``.
        """
        row = self._row(widths)
        return row is not None and self._function("adapt_to", ctypes.c_void_p)(row.ctypes.data) == 0

    def widths_for(self, macs: int) -> tuple[int, ...] | None:
        """The last row of the order of an export with ``order`` that costs at most ``macs``; None if there is none."""
        row = np.zeros(len(self._groups), np.uint16)
        given = ctypes.c_uint32, ctypes.c_void_p
        found = macs >= 0 and self._function("widths_for", *given)(min(macs, 2**32 - 1), row.ctypes.data) == 0
        return tuple(row.tolist()) if found else None

    def in_order(self, widths: Mapping[str, int] | Sequence[int] | np.ndarray) -> bool:
        """Whether a row is one of the order of an export with ``order``."""
        row = self._row(widths)
        return row is not None and self._function("in_order", ctypes.c_void_p)(row.ctypes.data) == 1

    def load(self, data: bytes) -> str:
        """Give the network other weights, of an export with ``revision``.

        Args:
            data: ``NAME_weights.bin`` of another training.

        Returns:
            ``"REDS_BLOB_FITS"``, or the name of what is wrong with them, and then nothing changes.
        """
        memory = np.frombuffer(data + bytes(-len(data) % 4), np.uint32).copy()
        fit = self._function("load", ctypes.c_void_p, ctypes.c_size_t)(memory.ctypes.data, len(data))
        if fit == 0:
            self._weights = memory  # the network reads them there
        return FITS[fit]

    @property
    def active(self) -> int:
        """The subnetwork that the next inference runs, or whose tables its row of widths has."""
        return int(self._function("active")())

    def invoke(self, x: np.ndarray) -> np.ndarray:
        """The outputs [N, outputs] for inputs [N, ...] of the network's number format."""
        x = self._given(x, self._dtype)
        out = np.empty((len(x), self.facts["output_items"]), self._dtype)
        for row, result in zip(x, out, strict=True):
            self._invoke(row.ctypes.data, result.ctypes.data)
        return out

    @property
    def _groups(self) -> list[str]:
        if "any_widths" not in self.facts:
            raise InvalidArgumentError("the network was exported for its subnetworks only", hint="export(any_widths=True)")
        return self.facts["any_widths"]["groups"]

    def _row(self, widths: Mapping[str, int] | Sequence[int] | np.ndarray) -> np.ndarray | None:
        """A row as C reads it; None where it does not fit 16 bits."""
        groups = self._groups
        if isinstance(widths, Mapping):
            widths = [widths[name] for name in groups] if set(widths) == set(groups) else []
        row = np.asarray(widths)
        if row.shape != (len(groups),) or row.dtype.kind not in "iu":
            raise InvalidArgumentError("this is no row of widths", got=widths,
                                       allowed=f"{len(groups)} integers, one for each group: {', '.join(groups)}")
        fits = row.min() >= 0 and row.max() < 2**16
        return np.ascontiguousarray(row, np.uint16) if fits else None

    def _given(self, x: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """The examples as C reads them, if they have the type and, axis by axis, the shape that it reads."""
        x = np.ascontiguousarray(x)
        shape = self.facts["input_shape"]
        if x.dtype != dtype or list(x.shape[1:]) != shape:
            raise InvalidArgumentError("these are no inputs of the network", got=f"{x.dtype} {list(x.shape)}",
                                       allowed=f"{dtype} [N, {', '.join(map(str, shape))}]")
        return x

    def quantize(self, x: np.ndarray) -> np.ndarray:
        """Real inputs, float32, on the grid of an int8 network, by its own C code."""
        x = self._given(x, np.dtype(np.float32))
        out = np.empty(x.shape, np.int8)
        for row, result in zip(x, out, strict=True):
            self._function("quantize", ctypes.c_void_p, ctypes.c_void_p)(row.ctypes.data, result.ctypes.data)
        return out

    def from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        """The inputs for uint8 images [N, H, W, C], by the C code of an export with ``normalise``."""
        pixels = self._given(pixels, np.dtype(np.uint8))
        out = np.empty(pixels.shape, self._dtype)
        for row, result in zip(pixels, out, strict=True):
            self._function("from_pixels", ctypes.c_void_p, ctypes.c_void_p)(row.ctypes.data, result.ctypes.data)
        return out
