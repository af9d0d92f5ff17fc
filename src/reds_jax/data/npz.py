"""Images and labels from an .npz file: ``x_train, y_train, x_test, y_test``, or ``x, y`` that are parted by a seed."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..errors import DataError
from .parting import split_off
from .split import Split

FORMS = "x_train, y_train, x_test, y_test (and x_val, y_val if there are), or x, y"


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Every array of the file by name; pickled objects are refused.

    Raises:
        DataError: the file is missing, is no .npz, is cut short or damaged, or holds Python objects.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError("there is no such .npz file", got=str(path))
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} cannot be read as .npz ({error})", hint="Write it again with numpy.savez.") from error


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
    with np.load(Path(path).expanduser(), allow_pickle=False) as archive:
        return tuple(str(name) for name in archive["class_names"]) if "class_names" in archive.files else default
