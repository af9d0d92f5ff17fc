"""CIFAR-10 as it is published: six batches of records in binary, or six pickled dictionaries of Python.

Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009). A record of the binary batches is one byte
of the label and 3,072 of the pixels; a pickled batch has ``labels`` and ``data`` uint8 [N, 3072]. Pixels are red, then green,
then blue, each 32 x 32 row by row. The pickles are read without running anything: they may hold NumPy arrays and plain values.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ..array_types import Int32, UInt8
from ..errors import DataError

CLASSES, SIDE, CHANNELS = 10, 32, 3
BATCHES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
"""What the published archives unpack to."""
_PIXELS = CHANNELS * SIDE * SIDE
_FETCH = "Fetch and unpack the archive again."


def cifar_batches(folder: Path) -> list[Path] | None:
    """The six files in the folder or in the one that the archive unpacks to, training first; None if there is none of them.

    Raises:
        DataError: some are there and others are missing.
    """
    for place in (folder, *(folder / name for name in FOLDERS)):
        for suffix in (".bin", ""):
            files = [place / f"{name}{suffix}" for name in BATCHES]
            there = [path.is_file() for path in files]
            if any(there):
                if missing := [path.name for path, found in zip(files, there, strict=True) if not found]:
                    raise DataError(f"batches of CIFAR-10 are missing in {place}", got=missing, hint=_FETCH)
                return files
    return None


def read_cifar_batches(files: list[Path]) -> tuple[
    UInt8[np.ndarray, "train 32 32 3"], Int32[np.ndarray, " train"],
    UInt8[np.ndarray, "test 32 32 3"], Int32[np.ndarray, " test"],
]:  # fmt: skip
    """(train images uint8 [N, 32, 32, 3], train labels [N], test images, test labels) of the files of `cifar_batches`.

    Raises:
        DataError: a file cannot be read, is cut short, or has a label that is no class; the message names it.
    """
    batches = [read_batch(path) for path in files]
    longest = max(len(labels) for _, labels in batches)
    for path, (_, labels) in zip(files, batches, strict=True):
        if len(labels) != longest:
            raise DataError(f"{path} is shorter than the other batches", got=f"{len(labels)} images",
                            allowed=f"{longest} images", hint=_FETCH)
    images, labels = (np.concatenate(parts) for parts in zip(*batches[:-1], strict=True))
    return images, labels, *batches[-1]


def read_batch(path: Path) -> tuple[UInt8[np.ndarray, "images 32 32 3"], Int32[np.ndarray, " images"]]:
    """(images uint8 [N, 32, 32, 3], labels int32 [N]) of one batch, binary if its name ends in .bin; a DataError names it."""
    pixels, labels = _records(path) if path.suffix == ".bin" else _pickled(path)
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if len(wrong):
        raise DataError(f"{path} has a label that is no class, in record {wrong[0]}", got=int(labels[wrong[0]]),
                        allowed=f"0..{CLASSES - 1}", hint=_FETCH)
    images = pixels.reshape(-1, CHANNELS, SIDE, SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.int32)


def _records(path: Path) -> tuple[np.ndarray, np.ndarray]:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    if not len(data) or len(data) % (1 + _PIXELS):
        raise DataError(f"{path} is no sequence of records", got=f"{len(data)} bytes",
                        allowed=f"a multiple of {1 + _PIXELS}", hint=_FETCH)
    records = data.reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


class _Arrays(pickle.Unpickler):
    """Reads pickles of NumPy arrays and plain values; whatever else they name is refused and not imported."""

    _reconstruct = staticmethod(np.zeros(0).__reduce__()[0])  # type: ignore[arg-type]

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray"):
            known = {"ndarray": np.ndarray, "dtype": np.dtype, "_reconstruct": self._reconstruct}
            if global_name in known:
                return known[global_name]
        if (module_name, global_name) == ("_codecs", "encode"):  # how Python 3 writes bytes for Python 2
            return _latin1
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is no array")


def _latin1(text: Any, encoding: Any) -> bytes:
    if encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("it has bytes in an encoding that pickles do not use")
    return (text.decode("latin1") if isinstance(text, bytes) else text).encode("latin1")


def _pickled(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        batch = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        named = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
        pixels, labels = named["data"], np.asarray(named["labels"])
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, ImportError,
            OverflowError, MemoryError) as error:  # what a damaged pickle raises  # fmt: skip
        raise DataError(f"{path} cannot be read as a pickled batch ({type(error).__name__}: {error})", hint=_FETCH) from error
    form = f"{pixels.dtype} {list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (_PIXELS,) or not len(pixels):
        raise DataError(f"{path} has no pixels of CIFAR-10", got=form, allowed=f"uint8 [N, {_PIXELS}]", hint=_FETCH)
    if labels.shape != pixels.shape[:1] or labels.dtype.kind not in "iu":
        raise DataError(f"{path} has other labels than pixels", got=f"{labels.dtype} {list(labels.shape)}",
                        allowed=f"integers [{len(pixels)}]", hint=_FETCH)
    return pixels, labels
