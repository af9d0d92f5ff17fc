"""Images in one small .npz that NumPy alone reads: no pixel is changed, and every split says where it comes from.

A pixel is predicted from its left, upper and upper left neighbours (the median edge detector of LOCO-I: Weinberger, Seroussi
and Sapiro 2000), red and blue as their differences to green, and bzip2 packs what the prediction leaves: CIFAR-10 needs about
half of its bytes so. A file that has to be smaller has fewer training images, and all test images.
"""

from __future__ import annotations

import bz2
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from reds_jax import data as data_sets
from reds_jax.data import DataSet, Split, at_most
from reds_jax.data.images import normalisation
from reds_jax.data.npz import read_npz
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.whole_file import write_bytes

PARTS, KEYS = ("train", "validation", "test"), ("images", "shape", "labels")
CHUNK = 10_000  # images that are predicted at once
SAMPLE = 2000  # images that tell how many bytes an image needs
HEADERS = 8000  # bytes of the file beside its arrays
RESERVE = 0.98  # of the room, for images that need more than those


def write(
    path: Path, specs: Mapping[str, str], *, megabytes: float | None = None, note: str | None = None, seed: int = 0,
) -> list[str]:
    """Pack the data sets ``{name: spec}``, as `reds_jax.data.load` reads them; returns a line on each.

    Args:
        path: of the .npz.
        specs: name and place of every data set.
        megabytes: of the file at most; the last data set then has fewer training and validation images. By default all.
        note: what else is to be said of the images.
        seed: of the split, and of the images that are taken.

    Raises:
        InvalidArgumentError: there is no room for the test images.
    """
    arrays: dict[str, np.ndarray] = {}
    lines = []
    for i, (name, spec) in enumerate(specs.items()):
        data = data_sets.load(name, spec, seed=seed)
        room = None if megabytes is None or i + 1 < len(specs) else 1e6 * megabytes - _bytes(arrays) - HEADERS
        parts, source = _fitting(data, room, seed)
        source = source if note is None else f"{source}; {note}"
        for part, split in parts.items():
            arrays |= {f"{name}/{part}/{key}": value for key, value in _packed(split).items()}
        arrays |= {f"{name}/source": np.array(source), f"{name}/class_names": np.array(data.class_names)}
        lines.append(f"{name}: {' / '.join(f'{len(split):,}' for split in parts.values())} train / validation / test; {source}")
    file = io.BytesIO()
    np.savez(file, **arrays)
    size = file.getbuffer().nbytes / 1e6
    if megabytes is not None and size > megabytes:
        raise InvalidArgumentError("the images do not fit into the file", got=f"{size:.1f} MB", allowed=f"{megabytes:g} MB",
                                   hint="Pack one data set a file.")
    write_bytes(path, file.getvalue())
    return lines


def _fitting(data: DataSet, room: float | None, seed: int) -> tuple[dict[str, Split], str]:
    """The splits, of training and validation as many images as there is room for, and what they are."""
    if room is None:
        return data.splits, data.source
    test, sample = _packed(data.test), at_most(data.train, SAMPLE, seed)
    each = _bytes(_packed(sample)) / len(sample)
    share = (RESERVE * room - _bytes(test)) / (each * (len(data.train) + len(data.validation)))
    if share >= 1:
        return data.splits, data.source
    counts = {part: int(share * len(split)) for part, split in data.splits.items() if part != "test"}
    if min(counts.values()) < 1:
        raise InvalidArgumentError("the file has no room for training images beside the test images",
                                   got=f"{max(room, 0) / 1e6:.1f} MB",
                                   allowed=f"more than {_bytes(test) / 1e6:.1f} MB for {data.name}")
    parts = {part: at_most(split, counts.get(part), seed) for part, split in data.splits.items()}
    return parts, f"{data.source}, {counts['train']:,} of its {len(data.train):,} training images and all test images"


def read(path: Path, *, limit: int | None = None, seed: int = 0) -> dict[str, DataSet]:
    """The data sets of a file of `write` by name, pixels normalised to mean 0 and standard deviation 1 over training.

    Args:
        path: the .npz.
        limit: at most so many images of each split.
        seed: of the images that are taken.

    Raises:
        DataError: it is no such file.
    """
    arrays = read_npz(path)
    found = {}
    for name in dict.fromkeys(key.partition("/")[0] for key in arrays):
        try:
            splits = [at_most(_unpacked({key: arrays[f"{name}/{part}/{key}"] for key in KEYS}), limit, seed) for part in PARTS]
            class_names, source = tuple(map(str, arrays[f"{name}/class_names"])), str(arrays[f"{name}/source"])
        except (KeyError, ValueError, OSError) as error:
            raise DataError(f"{path} holds no packed images of {name} ({error})", hint="Run `prepare` again.") from error
        found[name] = DataSet(name, *splits, class_names, normalisation("standard", splits[0]), source)
    return found


def _bytes(arrays: Mapping[str, np.ndarray]) -> int:
    return sum(array.nbytes for array in arrays.values())


def _packed(split: Split) -> dict[str, np.ndarray]:
    return {"images": pack(split.images), "shape": np.array(split.images.shape), "labels": split.labels.astype(np.uint8)}


def _unpacked(arrays: Mapping[str, np.ndarray]) -> Split:
    return Split.of_images(unpack(arrays["images"], tuple(arrays["shape"].tolist())), arrays["labels"])


def pack(images: np.ndarray) -> np.ndarray:
    """The bytes uint8 [B] of images uint8 [N, H, W, C] with one channel or three, without loss."""
    packer = bz2.BZ2Compressor()
    parts = [packer.compress(_residuals(images[at : at + CHUNK]).tobytes()) for at in range(0, len(images), CHUNK)]
    return np.frombuffer(b"".join([*parts, packer.flush()]), np.uint8)


def unpack(packed: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    """The images uint8 [N, H, W, C] of that shape; the inverse of `pack`."""
    n, h, w, c = shape
    residuals = np.frombuffer(bz2.decompress(packed.tobytes()), np.uint8).reshape(n, c, h, w)
    return np.concatenate([_images(residuals[at : at + CHUNK]) for at in range(0, n, CHUNK)])


def _planes(images: np.ndarray) -> list[np.ndarray]:
    """Green, and red and blue less green, each int16 [N, H, W]; the only channel of others."""
    if images.shape[-1] == 1:
        return [images[..., 0].astype(np.int16)]
    red, green, blue = np.moveaxis(images.astype(np.int16), -1, 0)
    return [green, red - green, blue - green]


def _predicted(left: np.ndarray, up: np.ndarray, corner: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(left + up - corner, np.minimum(left, up)), np.maximum(left, up))


def _residuals(images: np.ndarray) -> np.ndarray:
    """What the prediction leaves, modulo 256: uint8 [N, C, H, W]."""
    left = []
    for plane in _planes(images):
        guess = np.zeros_like(plane)
        guess[:, 0, 1:], guess[:, 1:, 0] = plane[:, 0, :-1], plane[:, :-1, 0]
        guess[:, 1:, 1:] = _predicted(plane[:, 1:, :-1], plane[:, :-1, 1:], plane[:, :-1, :-1])
        left.append((plane - guess).astype(np.uint8))
    return np.stack(left, 1)


def _images(residuals: np.ndarray) -> np.ndarray:
    """The inverse of `_residuals`, pixel by pixel for all images at once."""
    n, channels, h, w = residuals.shape
    left = np.ascontiguousarray(np.moveaxis(residuals, 0, -1))  # [C, H, W, N]
    planes: list[np.ndarray] = []
    for k in range(channels):
        base = planes[0] if planes else np.zeros((h, w, n), np.int16)  # a difference to green is known once modulo 256 is
        plane = np.empty((h, w, n), np.int16)
        for r in range(h):
            for q in range(w):
                if r and q:
                    guess = _predicted(plane[r, q - 1], plane[r - 1, q], plane[r - 1, q - 1])
                else:
                    guess = plane[r, q - 1] if q else plane[r - 1, q] if r else np.zeros(n, np.int16)
                plane[r, q] = ((guess + base[r, q] + left[k, r, q]) & 255) - base[r, q]
        planes.append(plane)
    if channels == 3:
        green, red, blue = planes
        planes = [red + green, green, blue + green]
    return np.ascontiguousarray(np.stack(planes, -1).transpose(2, 0, 1, 3).astype(np.uint8))
