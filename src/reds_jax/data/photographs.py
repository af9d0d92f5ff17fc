"""Photographs in files: read with Pillow as a viewer shows them, skips counted and named, parted by the hash of their names."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, InvalidArgumentError
from ..optional import needs
from .photo_cache import photograph_folder, through_cache
from .progress import Progress
from .split import Split

SHOWN = 3
"""How many of the files that were skipped are named."""
CACHED_FROM = 1000
"""From how many photographs on a reading is kept for the next one."""


@dataclass(frozen=True)
class LabelledFile:
    """An image file by its name, with its class.

    Args:
        name: below ``place``; what its part of the data is drawn by.
        label: the class.
        place: the folder.
    """

    name: str
    label: int
    place: Path = Path()

    def share(self, seed: int) -> float:
        """A number in [0, 1) of name and seed alone, so that an image stays in its part whatever others there are."""
        digest = hashlib.sha256(f"{seed}:{Path(self.name).name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


def read_image(path: Path, resolution: int) -> np.ndarray:
    """An image file as uint8 [R, R, 3]: RGB as a viewer shows it, squashed bilinearly (anti-aliased) to a square.

    It is turned as its EXIF data say; 16 bits become 8 (``v / 257``); what is transparent is seen on white.

    Raises:
        DataError: the file is missing, no image, or one of numbers without a scale (32 bits); the message names it.
        MissingDependencyError: Pillow is not installed.
    """
    with needs("PIL", "reading image files"):
        from PIL import Image, ImageOps
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I;16"):
                turned = Image.fromarray(np.round(np.asarray(turned, np.float64) / 257).astype(np.uint8))
            if turned.mode[:1] in "IF":
                raise DataError("an image has numbers without a scale, so it is not known what is white", got=str(path),
                                allowed="8 or 16 bits a channel", hint=f"Its mode is {turned.mode}: convert it.")
            if turned.has_transparency_data:
                turned = turned.convert("RGBA")
                turned = Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned)
            small = turned.convert("RGB").resize((resolution, resolution), Image.Resampling.BILINEAR)
    except FileNotFoundError:
        raise DataError("an image is missing", got=str(path), hint="Unpack the images beside the annotations.") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"an image cannot be read ({error})", got=str(path), hint="Fetch it again.") from error
    return np.asarray(small, np.uint8)


def chosen(files: Sequence[LabelledFile], limit: int | None, seed: int) -> list[LabelledFile]:
    """At most ``limit`` of the files, by the hash of their names, in the order given; a larger limit takes these and more."""
    if limit is None or limit >= len(files):
        return list(files)
    first = set(sorted(range(len(files)), key=lambda k: files[k].share(~seed))[:limit])
    return [file for k, file in enumerate(files) if k in first]


def parted(files: Sequence[LabelledFile], shares: Sequence[float], seed: int) -> list[list[LabelledFile]]:
    """The files in as many parts as there are shares (of sum 1), by the hash of name and seed.

    Raises:
        DataError: a part gets no file, or not both classes.
    """
    ends = np.cumsum(shares)[:-1]
    parts: list[list[LabelledFile]] = [[] for _ in shares]
    for file in files:
        parts[int(np.searchsorted(ends, file.share(seed), side="right"))].append(file)
    if not all(parts):
        raise DataError("there are too few images to part them", got=f"{len(files)}, parted {[len(part) for part in parts]}",
                        hint="Give more images, or another seed.")
    return parts


Parts = Mapping[str, Sequence[LabelledFile]]
"""Files by part: "all", or "train", "validation", "test" as far as there are."""


def train_validation_test(parts: Parts, validation: float, seed: int) -> list[list[LabelledFile]]:
    """The files of train, validation and test, of one to three parts; what is not there is parted off by the hash of the names.

    Args:
        parts: one to three; of two, "test" or else "validation" is the test.
        validation: the share that is parted off train; of a single part 20 % are the test.
        seed: of the hash.

    Raises:
        InvalidArgumentError: the share is not in (0, 1). DataError: there are too few files.
    """
    if not 0 < validation < 1:
        raise InvalidArgumentError("the fraction to split off is out of range", got=validation, allowed="in (0, 1)")
    if len(parts) == 1:
        (files,) = parts.values()
        return parted(files, (0.8 * (1 - validation), 0.8 * validation, 0.2), seed)
    if len(parts) == 2:
        test = parts["test" if "test" in parts else "validation"]
        rest = parts["train" if "train" in parts else "validation"]
        return [*parted(rest, (1 - validation, validation), seed), list(test)]
    return [list(parts[name]) for name in ("train", "validation", "test")]


def read_parts(parts: Parts, resolution: int, *, seed: int, limit: int | None, validation: float
               ) -> tuple[tuple[Split, Split, Split], str]:
    """The images of `train_validation_test`, at most ``limit`` of each, and what a report says of those that were skipped."""
    groups = train_validation_test(parts, validation, seed)
    taken = [chosen(group, limit, seed) for group in groups]
    cache = photograph_folder() if sum(map(len, taken)) >= CACHED_FROM else None
    read = [read_images(files, resolution, cache=cache) for files in taken]
    skipped = [line for _, lines in read for line in lines]
    train, held, test = (split for split, _ in read)
    total = len(skipped) + sum(len(split) for split in (train, held, test))
    return (train, held, test), f"; skipped {len(skipped)} of {total} images: {named(skipped)}" if skipped else ""


def read_images(files: Sequence[LabelledFile], resolution: int, *, cache: Path | None = None) -> tuple[Split, list[str]]:
    """The files that can be read as uint8 [N, R, R, 3] with their classes, and a line for each that cannot.

    A reading that takes long says how far it is.

    Args:
        files: in the order in which the images come.
        resolution: pixels a side.
        cache: a folder of caches, see `photo_cache`; None reads every file.

    Raises:
        DataError: none of them can be read.
    """
    if resolution < 1:
        raise InvalidArgumentError("the resolution is too small", got=resolution, allowed="1 and up")
    images = np.empty((len(files), resolution, resolution, 3), np.uint8)
    skipped: dict[int, str] = {}
    progress = Progress("reading photographs", len(files))

    def read(k: int) -> np.ndarray | None:
        try:
            return read_image(files[k].place / files[k].name, resolution)
        except DataError as error:
            skipped[k] = f"{files[k].name} ({error.what})"
            progress.step()
            return None

    def keep(k: int, image: np.ndarray) -> None:
        images[k] = image
        progress.step()

    if cache is None:
        for k in range(len(files)):
            if (image := read(k)) is not None:
                keep(k, image)
    else:
        for place in dict.fromkeys(file.place for file in files):
            of = [k for k, file in enumerate(files) if file.place == place]
            through_cache(cache, place, [files[k].name for k in of], resolution,
                          lambda i, of=of: read(of[i]), lambda i, image, of=of: keep(of[i], image))
    if len(skipped) == len(files):
        raise DataError("no image can be read", got=f"{len(files)} files: {named(list(skipped.values()))}",
                        hint="Unpack the images beside the annotations.")
    there = [k for k in range(len(files)) if k not in skipped]
    labels = np.array([files[k].label for k in there], np.int32)
    return Split.of_images(images[there] if skipped else images, labels), [skipped[k] for k in sorted(skipped)]


def named(skipped: Sequence[str]) -> str:
    """The first of the files, and how many more there are.

    >>> named(["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    'a.jpg, b.jpg, c.jpg and 1 more'
    """
    more = f" and {len(skipped) - SHOWN} more" if len(skipped) > SHOWN else ""
    return ", ".join(skipped[:SHOWN]) + more
