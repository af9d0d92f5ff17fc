"""The C front end, compiled for this machine and called from Python."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from reds_jax.data import MFCC
from reds_jax.deploy.board import host
from reds_jax.deploy.front_end import c_files
from reds_jax.deploy.int8.calibrate import Scale

DRIVER = Path(__file__).parent / "front_end_driver.c"


class CompiledFrontEnd:
    """Runs the C code over whole clips: ``push`` holds the sizes of the pieces that the clip is cut into, again and again."""

    def __init__(self, mfcc: MFCC, *flags: str, cc: str | None = None, grid: Scale | None = None) -> None:
        self.mfcc = mfcc
        self.grid = grid
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
            here = Path(temporary)
            for arithmetic in ("float32", "fixed"):
                prefix = {"float32": "t", "fixed": "u"}[arithmetic]
                for name, text in c_files(mfcc, prefix, arithmetic, grid).items():
                    (here / name).write_text(text, encoding="utf-8")
            command = [host.compiler(cc), *host.WARNINGS, *(flags or ("-O2",)), f"-I{here}", "-shared", "-fPIC", "-o",
                       str(here / "front_end.so"), *map(str, sorted(here.glob("*.c"))), str(DRIVER)]
            done = host.run(command)
            assert done.returncode == 0, done.stderr
            self.library = ctypes.CDLL(str(here / "front_end.so"))

    def float32(self, clip: np.ndarray, push: Iterable[int] = (1 << 20,)) -> np.ndarray:
        """[frames, coefficients]."""
        return self._frames("run_f32", np.float32, clip, push)

    def fixed(self, clip: np.ndarray, push: Iterable[int] = (1 << 20,)) -> np.ndarray:
        """[frames, coefficients], in 1/65536."""
        return self._frames("run_s32", np.int32, clip, push)

    def _frames(self, function: str, dtype: type, clip: np.ndarray, push: Iterable[int]) -> np.ndarray:
        clip, pieces = np.ascontiguousarray(clip, np.int16), np.array(list(push), np.uint32)
        out = np.zeros((self.mfcc.frames(len(clip)) + 1, self.mfcc.coefficients), dtype)
        found = getattr(self.library, function)(ctypes.c_void_p(clip.ctypes.data), ctypes.c_uint32(len(clip)),
                                                ctypes.c_void_p(pieces.ctypes.data), ctypes.c_uint32(len(pieces)),
                                                ctypes.c_void_p(out.ctypes.data))
        assert found == self.mfcc.frames(len(clip))
        return out[:-1]
