"""Images and labels from an .npz file: ``x_train, y_train, x_test, y_test``, or ``x, y`` that are parted by a seed."""

import math
import os
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import DataError
from .parting import split_off
from .split import Split

FORMS = "x_train, y_train, x_test, y_test (and x_val, y_val if there are), or x, y"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, *, only: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of the file by name, every one or those of ``only`` that it has; pickled objects are refused.

    Raises:
        DataError: the file is missing, is no .npz, is cut short or damaged, or holds Python objects.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError("there is no such .npz file", got=str(path))
    try:
        with path.open("rb") as file:
            check_sizes(file, _memory())
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files if only is None or name in only}
    except (ValueError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz ({error})", hint="Write it again with numpy.savez.") from error


def check_sizes(file: BinaryIO, limit: int) -> None:
    """Before anything of an .npz is unpacked: its arrays need ``limit`` bytes or less, and each is as long as its header says.

    Raises:
        ValueError: otherwise, or what `zipfile` raises of a damaged file; the file is at its start again.
    """
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        total = sum(entry.file_size for entry in entries)
        if total > limit:
            raise ValueError(f"it unpacks to {total:,} bytes, and {limit:,} are allowed")
        for entry in entries:
            if entry.flag_bits & 1:
                raise ValueError(f"{entry.filename} is encrypted")
            with archive.open(entry) as member:
                version = np.lib.format.read_magic(member)
                if version not in _HEADERS:
                    raise ValueError(f"{entry.filename} has a header of version {version}")
                shape, _, dtype = _HEADERS[version](member)
                if dtype.hasobject:
                    raise ValueError(f"{entry.filename} holds Python objects")
                needed = member.tell() + math.prod(shape) * dtype.itemsize
                if needed != entry.file_size:
                    raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes, and its header asks for {needed:,}")
    file.seek(0)


def _memory() -> int:
    """The bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**36


def npz_splits(path: str | Path, *, validation: float, test: float, seed: int) -> tuple[Split, Split, Split]:
    """(train, validation, test) of an .npz with images uint8 [N, H, W] or [N, H, W, C] and integer labels [N].

    With ``x, y`` the share ``test`` is parted off first, then ``validation`` of the rest; with ``x_train, ...`` only
    ``validation`` of train, unless ``x_val, y_val`` are there. All stratified.

    Raises:
        DataError: an array is missing, or has the wrong type or shape; see also ``read_npz``.
    """
    arrays = read_npz(path)

    def part(suffix: str) -> Split:
        names = f"x{suffix}", f"y{suffix}"
        if missing := [name for name in names if name not in arrays]:
            raise DataError(f"{path} lacks {' and '.join(missing)}", got=sorted(arrays), allowed=FORMS)
        images = arrays[names[0]]
        try:
            return Split.of_images(images[..., None] if images.ndim == 3 else images, arrays[names[1]])
        except DataError as error:
            raise DataError(f"{path}, {names[0]} and {names[1]}: {error}") from error

    if "x_train" not in arrays and "x" in arrays:
        rest, tested = split_off(part(""), test, seed)
    else:
        rest, tested = part("_train"), part("_test")
    if "x_val" in arrays:
        return rest, part("_val"), tested
    train, held = split_off(rest, validation, seed + 1)
    return train, held, tested


def npz_class_names(path: str | Path, default: tuple[str, ...]) -> tuple[str, ...]:
    """The array ``class_names`` of the file if it has one, else ``default``."""
    names = read_npz(path, only=("class_names",)).get("class_names")
    if names is not None and names.ndim != 1:
        raise DataError(f"class_names in {path} are no list of names", got=list(names.shape), allowed="[classes]")
    return default if names is None else tuple(map(str, names))
