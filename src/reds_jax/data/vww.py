"""Visual Wake Words, person or no person: rendered scenes, a COCO folder, an .npz, or a set of TFDS."""

from pathlib import Path

import numpy as np

from ..errors import DataError, InvalidArgumentError
from .class_folders import class_folders
from .coco import coco_parts
from .images import normalisation, parse_spec
from .npz import npz_splits
from .parting import at_most
from .photographs import LabelledFile, read_parts
from .resize import resize
from .scenes import render_scenes
from .source import DataSet
from .split import Split
from .tfds_source import data_sources, gather, read_info

CLASS_NAMES = ("no person", "person")
FOLDERS = {"no_person": 0, "non_person": 0, "not_person": 0, "person": 1}
"""The classes by the names of their folders."""
SCENES = {"train": 5000, "validation": 1000, "test": 1000}
"""How many scenes are rendered for each split."""
WAKE_VISION_LIMIT = 50_000
"""How many images of Wake Vision's 1.2 million are read for training when no limit is given: 1.4 GB at 96 pixels."""


def vww_data(spec: str | None = None, *, resolution: int | None = None, seed: int = 0, limit: int | None = None,
             validation: float = 0.1, normalise: str = "unit") -> DataSet:
    """Person / no person, images uint8 [N, R, R, 3].

    Args:
        spec: where the images come from. ``synthetic`` (the default): scenes rendered from the seed, see ``scenes``; nothing is
            read. ``folder:DIR``: a COCO folder, train2017 and val2017 (the test) or one of them, see ``coco``; or folders by
            class, ``person`` and ``no_person``, at once or in ``train``, ``val``, ``test``. What is not there is parted off by
            the hash of the names (of what is one part, 20 % test); a file that cannot be read is skipped and named in the
            source. ``npz:FILE``: see ``npz``; ``x, y`` are parted 20 % test, ``validation`` of the rest. ``tfds[:DIR]``: a
            set visual_wake_words as ``reds data prepare-vww`` writes it, or else Wake Vision as prepared by TFDS
            (train_quality, validation, test); DIR is the root of such sets, or the folder of one version of one.
        resolution: pixels a side, 96 by default; images of files are squashed to it.
        seed: the scenes, or what is parted off and drawn under a limit; a non-negative integer.
        limit: at most so many images a split.
        validation: the share of train that becomes validation where the source has no validation split.
        normalise: "unit" (x / 255, as the nets of MLPerf Tiny take it) or "standard" (mean 0, std 1 over train).

    Raises:
        InvalidArgumentError: an argument is out of range. DataError: the data are missing or damaged.
    """
    kind, path = parse_spec(spec or "synthetic", ("synthetic", "folder", "npz", "tfds"))
    side = 96 if resolution is None else resolution
    if limit is not None and limit < 1:
        raise InvalidArgumentError("the limit of images is too small", got=limit, allowed="1 and up, or None for all")
    if kind == "synthetic":
        train, held, test = _scenes(side, seed, limit)
        source = f"rendered scenes with and without a person, seed {seed}; not photographs"
    elif kind == "npz":
        assert path is not None  # parse_spec
        parts = npz_splits(path, validation=validation, test=0.2, seed=seed)
        train, held, test = (_at(at_most(part, limit, seed), side) for part in parts)
        source = f"person / no person from {path}, parted by seed {seed}"
    elif kind == "tfds":
        (train, held, test), source = _tfds(path, side, limit)
    else:
        (train, held, test), source = _photographs(path, side, seed, limit, validation)
    return DataSet("vww", train, held, test, CLASS_NAMES, normalisation(normalise, train), source, kind == "synthetic")


def _scenes(side: int, seed: int, limit: int | None) -> tuple[Split, Split, Split]:
    """The rendered splits; each has its own stream, so none depends on the size of another."""
    parts = []
    for stream, count in enumerate(SCENES.values()):
        count = count if limit is None else min(limit, count)
        images, labels, _ = render_scenes(count, resolution=side, seed=seed, stream=stream)
        parts.append(Split.of_images(images, labels))
    return parts[0], parts[1], parts[2]


def _at(split: Split, side: int) -> Split:
    """The split as colour images of the resolution."""
    if split.shape[-1] != 3:
        raise DataError("images of vww need three channels", got=split.shape)
    return Split.of_images(resize(split.images, side, method="bilinear"), split.labels)


def folder_parts(folder: Path) -> tuple[dict[str, list[LabelledFile]], str]:
    """The image files of a folder by part, and what the report says of them: of COCO, or in folders by class.

    Raises:
        DataError: it is missing, is neither, or its annotations are damaged.
    """
    if not folder.is_dir():
        raise DataError("there is no folder of images", got=str(folder))
    if parts := coco_parts(folder):
        return parts, f"Visual Wake Words by the 0.5 % rule from COCO 2017 in {folder}"
    if parts := class_folders(folder, FOLDERS):
        return parts, f"person / no person from {folder}"
    raise DataError("the folder has neither annotations of COCO nor folders by class", got=str(folder),
                    allowed="annotations/instances_train2017.json or ..._val2017.json with the images; person/ and "
                            "no_person/; or these two in train/, val/, test/")


def _photographs(
    path: str | None, side: int, seed: int, limit: int | None, validation: float
) -> tuple[tuple[Split, Split, Split], str]:
    """Train, validation and test of a folder, and what the report says of it."""
    if path is None:
        raise InvalidArgumentError("the folder of images is not named", got="folder", allowed="folder:DIR")
    parts, source = folder_parts(Path(path).expanduser())
    splits, skipped = read_parts(parts, side, seed=seed, limit=limit, validation=validation)
    return splits, source + skipped


def _tfds(data_dir: str | None, side: int, limit: int | None) -> tuple[tuple[Split, Split, Split], str]:
    """The splits of a prepared set, the first images of each up to the limit: TFDS has shuffled them."""
    root = Path(data_dir or "~/tensorflow_datasets").expanduser()
    place, own = _prepared(root)
    name = "visual_wake_words" if own else "wake_vision"
    parts = data_sources(name, place if own else data_dir)
    names = ("train" if own else "train_quality", "validation", "test")
    if missing := [part for part in names if part not in parts]:
        raise DataError(f"the TFDS set {name} lacks splits", got=missing, allowed=", ".join(names))

    def squash(image: np.ndarray) -> np.ndarray:
        return resize(image[None], side, method="bilinear")[0]

    most = WAKE_VISION_LIMIT if limit is None and not own else limit
    train, held, test = (Split.of_images(*gather(parts[part], "label" if own else "person", most, squash)) for part in names)
    return (train, held, test), f"{'Visual Wake Words' if own else 'Wake Vision, train_quality'}, TFDS in {root}"


def _prepared(root: Path) -> tuple[Path, bool]:
    """The folder of a set visual_wake_words, in ``root`` or that itself, and True; else ``root`` and False."""
    versions = sorted(root.glob("visual_wake_words/[0-9]*[0-9]/dataset_info.json"), reverse=True)
    for info in (root / "dataset_info.json", *(path for path in versions if "incomplete" not in path.parent.name)):
        if info.is_file() and read_info(info).get("name") == "visual_wake_words":
            return info.parent, True
    return root, False
