"""Person / no person in folders by class: ``DIR/person`` and ``DIR/no_person``, or ``DIR/train/person`` and so on."""

from pathlib import Path

from ..errors import DataError
from .photographs import LabelledFile

CLASSES = {"no_person": 0, "non_person": 0, "not_person": 0, "person": 1}
PARTS = {"train": "train", "training": "train", "train2017": "train", "val": "validation", "valid": "validation",
         "validation": "validation", "val2017": "validation", "test": "test"}
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"))


def class_folders(folder: Path) -> dict[str, list[LabelledFile]]:
    """The image files by part: "train", "validation", "test", as far as there are; "all" without such folders.

    Raises:
        DataError: there is no class folder, or a part lacks one of the two.
    """
    found = {"all": folder} if _by_class(folder) else {
        PARTS[p.name.lower()]: p for p in sorted(folder.iterdir())
        if p.is_dir() and p.name.lower() in PARTS and _by_class(p)}
    if not found:
        raise DataError("the folder has neither annotations of COCO nor folders by class", got=str(folder),
                        allowed="annotations/instances_train2017.json or ..._val2017.json with the images; person/ and "
                                "no_person/; or these two in train/, val/, test/")
    return {part: _files(place) for part, place in found.items()}


def _by_class(folder: Path) -> dict[Path, int]:
    names = {p: p.name.lower().replace(" ", "_").replace("-", "_") for p in sorted(folder.iterdir()) if p.is_dir()}
    return {p: CLASSES[name] for p, name in names.items() if name in CLASSES}


def _files(folder: Path) -> list[LabelledFile]:
    files = [LabelledFile(str(path.relative_to(folder)), label, folder) for place, label in _by_class(folder).items()
             for path in sorted(place.rglob("*")) if path.suffix.lower() in SUFFIXES]
    if {file.label for file in files} != {0, 1}:
        raise DataError(f"{folder} does not have images of both classes", got=f"{len(files)} images",
                        allowed="images in person/ and in no_person/")
    return files
