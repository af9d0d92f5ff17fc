"""Visual Wake Words from a COCO folder: which images there are, and which of them show a person. The standard library alone.

Source: Chowdhery et al., "Visual Wake Words Dataset" (2019), section 3: an image is of class 1 if a box of a person
is larger than 0.5 % of the image. The program released with the paper compares the area of the segment instead;
``area="segment"`` does so too.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError, InvalidArgumentError
from .photographs import LabelledFile

MIN_AREA = 0.005
"""The share of the image that a person must exceed."""
AREAS = ("box", "segment")


def has_person(boxes: Iterable[tuple[float, float]], width: float, height: float, *,
               min_area: float = MIN_AREA) -> bool:
    """True if one of the persons' boxes (width, height) is larger than ``min_area`` of an image; all in pixels."""
    return any(w * h > min_area * width * height for w, h in boxes)


def read_annotations(path: str | Path, *, area: str = "box") -> list[LabelledFile]:
    """Every image of an ``instances_*.json`` in the order of its id, with its class.

    Annotations of images that are not listed are left out, so that a subset may keep the annotations of the whole.

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
        strangers = 0
        for annotation in content["annotations"]:
            if annotation["category_id"] in person:
                size, of = _size(annotation, area), boxes.get(annotation["image_id"])
                strangers += of is None
                if of is not None:
                    of.append(size)
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
    if strangers and not any(boxes.values()):
        raise DataError(f"{path} has persons, but none in an image that it lists", got=f"{strangers} annotations",
                        hint="Are images and annotations of the same set?")
    return files


def _size(annotation: Mapping[str, Any], area: str) -> tuple[float, float]:
    """(width, height) of what is compared; a segment's area as a strip of height 1."""
    if area == "segment":
        return float(annotation["area"]), 1.0
    _, _, width, height = annotation["bbox"]
    return float(width), float(height)


def coco_files(folder: str | Path, part: str, *, area: str = "box") -> list[LabelledFile]:
    """The images of one part ("train2017" or "val2017") of a COCO folder, with person / no person.

    Args:
        folder: has ``annotations/instances_{part}.json`` and ``{part}/``, ``images/{part}/`` or ``images/`` with the images.
        part: the name of the part.
        area: see ``read_annotations``.

    Raises:
        DataError: annotations or images are missing, or damaged.
    """
    folder = Path(folder).expanduser()
    files = read_annotations(folder / "annotations" / f"instances_{part}.json", area=area)
    places = [folder / "images" / part, folder / part, folder / "images"]
    place = next((p for p in places if p.is_dir()), None)
    if place is None:
        raise DataError(f"there is no folder with the images of {part}", got=str(folder),
                        allowed=" or ".join(str(p) for p in places))
    return [LabelledFile(file.name, file.label, place) for file in files]


def coco_parts(folder: Path) -> dict[str, list[LabelledFile]]:
    """The images of the parts that have annotations, "train" and "test"; empty for another folder."""
    return {name: coco_files(folder, part) for name, part in (("train", "train2017"), ("test", "val2017"))
            if (folder / "annotations" / f"instances_{part}.json").is_file()}
