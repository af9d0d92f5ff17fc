"""Visual Wake Words from a COCO folder: annotations parsed with the standard library, images read with Pillow.

Source: Chowdhery et al., "Visual Wake Words Dataset" (2019), section 3: an image is of class 1 if a box of a person
is larger than 0.5 % of the image. The program released with the paper compares the area of the segment instead;
``area="segment"`` does so too.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..array_types import UInt8
from ..errors import DataError, InvalidArgumentError, MissingDependencyError
from .split import Split

MIN_AREA = 0.005
"""The share of the image that a person must exceed."""
AREAS = ("box", "segment")


@dataclass(frozen=True)
class LabelledFile:
    """An image of COCO by its file name, with its class: 1 = person."""

    name: str
    label: int


def has_person(boxes: Iterable[tuple[float, float]], width: float, height: float, *,
               min_area: float = MIN_AREA) -> bool:
    """True if one of the persons' boxes (width, height) is larger than ``min_area`` of an image; all in pixels."""
    return any(w * h > min_area * width * height for w, h in boxes)


def read_annotations(path: str | Path, *, area: str = "box") -> list[LabelledFile]:
    """Every image of an ``instances_*.json`` in the order of its id, with its class.

    Args:
        path: the file.
        area: "box" compares the bounding box, "segment" the area of the segment (see above).

    Raises:
        DataError: the file is missing, is no JSON, or not of COCO's form; the message names the file and the part.
    """
    path = Path(path)
    if area not in AREAS:
        raise InvalidArgumentError("unknown measure of area", got=area, allowed=", ".join(AREAS))
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError("an annotation file is missing", got=str(path)) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error})", hint="Fetch it again.") from error
    try:
        person = {c["id"] for c in content["categories"] if c["name"] == "person"}
        boxes: dict[int, list[tuple[float, float]]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if annotation["category_id"] in person:
                boxes[annotation["image_id"]].append(_size(annotation, area))
        files = [
            LabelledFile(image["file_name"], int(has_person(boxes[image["id"]], image["width"], image["height"])))
            for image in sorted(content["images"], key=lambda image: image["id"])
        ]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{path} is not of COCO's form ({type(error).__name__}: {error})",
                        allowed="categories with id and name; images with id, file_name, width and height; "
                                "annotations with image_id, category_id, bbox and area") from error
    if not person or not files:
        raise DataError(f"{path} has no images, or no category named person", got=(len(files), sorted(person)))
    return files


def _size(annotation: Mapping[str, Any], area: str) -> tuple[float, float]:
    """(width, height) of what is compared; a segment's area as a strip of height 1."""
    if area == "segment":
        return float(annotation["area"]), 1.0
    _, _, width, height = annotation["bbox"]
    return float(width), float(height)


def read_image(path: Path, resolution: int) -> UInt8[np.ndarray, "{resolution} {resolution} 3"]:
    """An image file as uint8 [R, R, 3]: RGB, squashed bilinearly (anti-aliased) to a square.

    Raises:
        DataError: the file is missing or no image. MissingDependencyError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingDependencyError("reading image files needs Pillow", hint="Run: pip install pillow") from error
    try:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((resolution, resolution), Image.Resampling.BILINEAR)
    except FileNotFoundError:
        raise DataError("an image that the annotations name is missing", got=str(path),
                        hint="Unpack the images beside the annotations, or give a limit.") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"an image cannot be read ({error})", got=str(path), hint="Fetch it again.") from error
    return np.asarray(small, np.uint8)


def coco_split(folder: str | Path, part: str, *, resolution: int, limit: int | None, seed: int,
               area: str = "box") -> Split:
    """One part ("train2017" or "val2017") of a COCO folder as images uint8 [N, R, R, 3] with person / no person.

    Args:
        folder: has ``annotations/instances_{part}.json`` and ``{part}/`` or ``images/{part}/`` with the images.
        part: the name of the part.
        resolution: pixels a side.
        limit: at most so many images, drawn by ``seed``; None takes all (27 kB of memory each at 96 pixels).
        seed: a non-negative integer.
        area: see ``read_annotations``.
    """
    folder = Path(folder).expanduser()
    if resolution < 1 or (limit is not None and limit < 1):
        raise InvalidArgumentError("the resolution or the limit is too small", got=(resolution, limit),
                                   allowed="1 and up")
    files = read_annotations(folder / "annotations" / f"instances_{part}.json", area=area)
    places = [folder / "images" / part, folder / part, folder / "images"]
    place = next((p for p in places if p.is_dir()), None)
    if place is None:
        raise DataError(f"there is no folder with the images of {part}", got=str(folder),
                        allowed=" or ".join(str(p) for p in places))
    if limit is not None and limit < len(files):
        chosen = np.argsort(np.random.default_rng(seed).random(len(files)), kind="stable")[:limit]
        files = [files[k] for k in sorted(chosen)]
    images = np.empty((len(files), resolution, resolution, 3), np.uint8)
    for k, file in enumerate(files):
        images[k] = read_image(place / file.name, resolution)
    return Split.of_images(images, np.array([file.label for file in files], np.int32))
