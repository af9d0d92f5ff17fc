"""The idx format of MNIST and its kin: a big-endian header, then the values.

Bytes 0 and 1 are zero, byte 2 is the type (8: uint8), byte 3 the number of dimensions, then one uint32 a dimension.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from ..array_types import Shaped, UInt8
from ..errors import DataError

_UINT8 = 8
_REINSTALL = "Fetch or unpack the file again."


def read_idx(path: str | Path, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """The uint8 array of an idx file, gzip-compressed if its name ends in .gz.

    Args:
        path: the file.
        dimensions: how many it must have: 3 for images [N, H, W], 1 for labels [N].

    Raises:
        DataError: the file is missing, is cut short, is no gzip, has another type or number of dimensions, or holds
            more or fewer values than its header says.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except FileNotFoundError:
        raise DataError("an idx file is missing", got=str(path)) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"an idx file cannot be read ({error})", got=str(path), hint=_REINSTALL) from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != _UINT8 or data[3] != dimensions:
        raise DataError(f"{path} is no idx file of uint8 with {dimensions} dimensions", got=data[:4].hex(),
                        allowed=f"0000{_UINT8:02x}{dimensions:02x} as the first bytes", hint=_REINSTALL)
    header = 4 + 4 * dimensions
    if len(data) < header:
        raise DataError(f"{path} ends within its header", got=f"{len(data)} bytes", hint=_REINSTALL)
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    expected = header + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        raise DataError(f"{path} has another length than its header says", got=f"{len(data)} bytes",
                        allowed=f"{expected} bytes for {list(shape)}", hint=_REINSTALL)
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def write_idx(path: str | Path, values: Shaped[np.ndarray, "..."]) -> None:
    """Write a uint8 array as an idx file, gzip-compressed if the name ends in .gz; the inverse of ``read_idx``."""
    path = Path(path)
    if values.dtype != np.uint8 or not 1 <= values.ndim <= 255:
        raise DataError("only uint8 arrays become idx files here", got=f"{values.dtype} {list(values.shape)}")
    header = bytes((0, 0, _UINT8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape)
    data = header + values.tobytes()
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def read_idx_folder(folder: str | Path) -> tuple[
    UInt8[np.ndarray, "train rows columns 1"], UInt8[np.ndarray, " train"],
    UInt8[np.ndarray, "test rows columns 1"], UInt8[np.ndarray, " test"],
]:  # fmt: skip
    """(train images [N, H, W, 1], train labels [N], test images, test labels) from the four files of MNIST's layout.

    The names are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-...``; with or without .gz.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError("there is no such folder of idx files", got=str(folder))

    def find(name: str, dimensions: int) -> np.ndarray:
        for path in (folder / f"{name}.gz", folder / name):
            if path.exists():
                return read_idx(path, dimensions)
        raise DataError(f"{folder} lacks an idx file", got=f"{name}[.gz]",
                        allowed="train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, "
                                "t10k-labels-idx1-ubyte, each with or without .gz")

    parts = []
    for part in ("train", "t10k"):
        images, labels = find(f"{part}-images-idx3-ubyte", 3), find(f"{part}-labels-idx1-ubyte", 1)
        if len(images) != len(labels):
            raise DataError(f"{folder}: the {part} images and labels differ in number", got=(len(images), len(labels)))
        parts += [images[..., None], labels]
    return parts[0], parts[1], parts[2], parts[3]
