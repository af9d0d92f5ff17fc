"""The C front end, compiled for this machine and called from Python."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from reds_jax.data import MFCC
from reds_jax.deploy.board import host
from reds_jax.deploy.front_end import c_files
from reds_jax.deploy.front_end.fixed import FixedGrid

DRIVER = Path(__file__).parent / "front_end_driver.c"


def write(mfcc: MFCC, folder: Path) -> list[str]:
    """The sources of the front end in float32, ``t``, and in integers, ``u``."""
    for name, text in (c_files(mfcc, "t") | c_files(mfcc, "u", "fixed")).items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*map(str, sorted(folder.glob("*.c"))), str(DRIVER)]


class Stream(ctypes.Structure):
    _fields_ = [("samples", ctypes.c_void_p), *((name, ctypes.c_uint32) for name in ("window", "stride", "at", "missing"))]


class Features(ctypes.Structure):
    _fields_ = [("entries", ctypes.c_void_p), *((name, ctypes.c_uint32) for name in ("frames", "bytes", "at", "count"))]


class Grid(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("multiplier", "round", "shift")]


class CompiledFrontEnd:
    """Runs the C code over whole clips; ``pieces`` are the sizes that the clip is cut into, again and again."""

    def __init__(self, mfcc: MFCC, *flags: str, cc: str | None = None) -> None:
        self.mfcc = mfcc
        with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
            here = Path(temporary)
            library = here / "front_end.so"
            done = host.run([host.compiler(cc), *host.WARNINGS, *(flags or ("-O1",)), f"-I{here}", "-shared", "-fPIC", "-o",
                             str(library), *write(mfcc, here)])
            assert done.returncode == 0, done.stderr
            self.library = ctypes.CDLL(str(library))
        self.library.reds_mfcc_features_add.restype = ctypes.c_void_p

    def float32(self, clip: np.ndarray, pieces: Iterable[int] = (1 << 20,)) -> np.ndarray:
        """[frames, coefficients]."""
        return self._frames("run_f32", np.float32, clip, pieces)

    def fixed(self, clip: np.ndarray, pieces: Iterable[int] = (1 << 20,)) -> np.ndarray:
        """[frames, coefficients], in 1/65536."""
        return self._frames("run_s32", np.int32, clip, pieces)

    def _frames(self, function: str, dtype: type, clip: np.ndarray, pieces: Iterable[int]) -> np.ndarray:
        clip, sizes = np.ascontiguousarray(clip, np.int16), np.array(list(pieces), np.uint32)
        out = np.zeros((self.mfcc.frames(len(clip)), self.mfcc.coefficients), dtype)
        found = getattr(self.library, function)(_address(clip), len(clip), _address(sizes), len(sizes), _address(out), len(out))
        assert found == len(out)
        return out

    def pushed(self, clip: np.ndarray, pieces: Iterable[int]) -> Iterator[tuple[int, int, list[int]]]:
        """What each push took of what it was given, and the frame that it completed, from the ring's oldest sample on."""
        window, stream = np.zeros(self.mfcc.window, np.int16), Stream()
        self.library.reds_mfcc_start(ctypes.byref(stream), _address(window), self.mfcc.window, self.mfcc.stride)
        for piece in pieces:
            given = np.ascontiguousarray(clip[:piece])
            taken = self.library.reds_mfcc_push(ctypes.byref(stream), _address(given), len(given))
            clip = clip[taken:]
            yield len(given), taken, [] if stream.missing else np.roll(window, -stream.at).tolist()

    def windows(self, frames: np.ndarray, length: int, zero: int) -> Iterator[tuple[np.ndarray, int]]:
        """The last ``length`` frames after each one that is added, and how many there were."""
        entries, features = np.full((2 * length, *frames.shape[1:]), 77, frames.dtype), Features()
        self.library.reds_mfcc_features_start(ctypes.byref(features), _address(entries), length, frames[0].nbytes, zero)
        for frame in np.ascontiguousarray(frames):
            at = self.library.reds_mfcc_features_add(ctypes.byref(features), _address(frame)) - entries.ctypes.data
            first, rest = divmod(at, frame.nbytes)
            assert rest == 0
            assert first + length <= len(entries)
            yield entries[first : first + length].copy(), features.count

    def float_to_int8(self, x: np.ndarray, scale: float, zero: int) -> np.ndarray:
        out = np.zeros(x.shape, np.int8)
        self.library.reds_mfcc_f32_to_s8(_address(x), x.size, ctypes.c_float(scale), zero, _address(out))
        return out

    def fixed_to_int8(self, x: np.ndarray, grid: FixedGrid) -> np.ndarray:
        out, given = np.zeros(x.shape, np.int8), Grid(grid.multiplier, grid.round, grid.shift)
        self.library.reds_mfcc_s32_to_s8(_address(x), x.size, ctypes.byref(given), _address(out))
        return out


@cache
def compiled(mfcc: MFCC) -> CompiledFrontEnd:
    """One compilation for all tests of a process."""
    return CompiledFrontEnd(mfcc)


def _address(a: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(a.ctypes.data)


def reference(mfcc: MFCC, clip: np.ndarray) -> np.ndarray:
    """[frames, coefficients] in float64, from the definitions: a band goes from the middle of the last to that of the next."""
    length, mel = 1 << (mfcc.window - 1).bit_length(), lambda f: 1127 * np.log(1 + f / 700)
    frames = np.stack([clip[start : start + mfcc.window] for start in range(0, len(clip) - mfcc.window + 1, mfcc.stride)])
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(mfcc.window) / mfcc.window)
    magnitude = np.abs(np.fft.rfft(frames / 32768 * hann, length))
    hz = mfcc.sample_rate / length
    bins = np.arange(int(1.5 + mfcc.low_hz / hz), int(mfcc.high_hz / hz) + 1)
    middles = np.linspace(mel(mfcc.low_hz), mel(mfcc.high_hz), mfcc.bands + 2)
    energy = np.stack([magnitude[:, bins] @ np.interp(mel(bins * hz), middles[b : b + 3], [0, 1, 0])
                       for b in range(mfcc.bands)])
    k = np.arange(mfcc.coefficients)[:, None]
    basis = np.sqrt(2 / mfcc.bands) * np.cos(np.pi * k * (np.arange(mfcc.bands) + 0.5) / mfcc.bands)
    return (basis @ np.log(np.maximum(energy, 1e-12))).T
