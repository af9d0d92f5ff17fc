"""Images in folders by class, as ImageNet has them: ``DIR/CLASS/*.jpg``, or ``DIR/train/CLASS/*.jpg`` and so on."""

from collections.abc import Mapping
from pathlib import Path

from ..errors import DataError
from .photographs import LabelledFile

PARTS = {"train": "train", "training": "train", "train2017": "train", "val": "validation", "valid": "validation",
         "validation": "validation", "val2017": "validation", "test": "test"}
SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"))


def class_folders(folder: Path, classes: Mapping[str, int]) -> dict[str, list[LabelledFile]]:
    """The image files by part: "train", "validation", "test", as far as there are; "all" without such folders; {} if none.

    Args:
        folder: where the parts or the classes are.
        classes: the label of every class by its `folder_name`; several names may have one label.

    Raises:
        DataError: a part lacks a class, or has images of one that is not among them.
    """
    places = {"all": folder} if _by_class(folder, classes) else {
        PARTS[p.name.lower()]: p for p in _folders(folder) if p.name.lower() in PARTS and _by_class(p, classes)}
    return {part: _files(place, classes) for part, place in places.items()}


def class_names(folder: Path) -> tuple[str, ...]:
    """The names of the folders by class, in order: of the parts if there are such folders, else of the folder itself."""
    parts = [p for p in _folders(folder) if p.name.lower() in PARTS and _folders(p)]
    return tuple(sorted({p.name for place in parts or [folder] for p in _folders(place)}))


def folder_name(name: str) -> str:
    """The name of a class as folders are compared.

    >>> folder_name("No Person")
    'no_person'
    """
    return name.lower().replace(" ", "_").replace("-", "_")


def _folders(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.iterdir()) if p.is_dir() and p.name[:1] not in "._"]


def _by_class(folder: Path, classes: Mapping[str, int]) -> dict[Path, int]:
    return {p: classes[name] for p in _folders(folder) if (name := folder_name(p.name)) in classes}


def _images(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]


def _files(folder: Path, classes: Mapping[str, int]) -> list[LabelledFile]:
    found = _by_class(folder, classes)
    for other in _folders(folder):
        if other not in found and any(path.suffix.lower() in SUFFIXES for path in other.iterdir()):
            raise DataError(f"{other} has images of a class that is not known", got=other.name, allowed=_some(sorted(classes)))
    files = [LabelledFile(str(path.relative_to(folder)), label, folder) for place, label in found.items()
             for path in _images(place)]
    if missing := set(classes.values()) - {file.label for file in files}:
        without = [name for name, label in classes.items() if label in missing]
        raise DataError(f"{folder} does not have images of every class", got=f"{len(files)} images, none in {_some(without)}",
                        allowed="images in the folder of every class")
    return files


def _some(names: list[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
