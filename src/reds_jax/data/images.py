"""Small images of ten classes: Fashion-MNIST, CIFAR-10, and rendered shapes that stand in for them in tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, InvalidArgumentError
from .cifar import cifar_batches, read_cifar_batches
from .class_folders import class_folders, folder_name
from .idx import read_idx_folder
from .normalise import Normalise
from .npz import npz_class_names, npz_splits
from .parting import at_most, split_off
from .photographs import LabelledFile, read_parts
from .resize import resize
from .shapes import SHAPES, render_shapes
from .source import DataSet
from .split import Split
from .tfds_source import data_sources, gather

NORMALISATIONS = ("standard", "unit")


@dataclass(frozen=True)
class ImageSet:
    """What is known of a data set: class names, (H, W, C), where it is by default, how to get it."""

    class_names: tuple[str, ...]
    shape: tuple[int, int, int]
    default_spec: str
    idx_folder: str | None
    hint: str


IMAGE_SETS = {
    "fashion_mnist": ImageSet(
        ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
        (28, 28, 1), "folder", "/usr/share/datasets/fashion-mnist",
        "On Debian and Ubuntu: apt-get install dataset-fashion-mnist. Or name your own copy: tfds[:DIR] for a prepared "
        "TFDS set, npz:FILE, folder:DIR with the idx files; synthetic for rendered shapes."),
    "cifar10": ImageSet(
        ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        (32, 32, 3), "tfds", None,
        "Name your own copy: folder:DIR with the binary or the Python version as it is published, or with images in folders by "
        "class; tfds[:DIR] for a prepared TFDS set, npz:FILE; synthetic for rendered shapes."),
}


def parse_spec(spec: str, kinds: tuple[str, ...]) -> tuple[str, str | None]:
    """``"kind"`` or ``"kind:path"`` to (kind, path or None).

    Raises:
        InvalidArgumentError: the kind is none of ``kinds``, or a kind that needs a path has none.
    """
    forms = {"synthetic": "synthetic", "tfds": "tfds[:DIR]", "folder": "folder:DIR", "npz": "npz:FILE"}
    kind, colon, path = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    allowed = ", ".join(forms[kind] for kind in kinds)
    if kind not in kinds or (colon and (kind == "synthetic" or not path)) or (kind == "npz" and not path):
        raise InvalidArgumentError("unknown place of data", got=spec, allowed=allowed)
    return kind, path or None


def image_data(name: str, spec: str | None = None, *, resolution: int | None = None, seed: int = 0,
               limit: int | None = None, validation: float = 0.1, normalise: str = "standard") -> DataSet:
    """Fashion-MNIST or CIFAR-10 from where it is.

    Args:
        name: "fashion_mnist" or "cifar10".
        spec: ``folder[:DIR]``, ``tfds[:DIR]``, ``npz:FILE`` or ``synthetic``; by default ``folder`` for Fashion-MNIST (Debian's
            package) and ``tfds`` for CIFAR-10. The folder of Fashion-MNIST has four idx files; that of CIFAR-10 has the six
            batches in binary or pickled, see ``cifar``, or images in folders by class, at once or in ``train`` and ``test``.
        resolution: pixels a side; None keeps the images as they are.
        seed: chooses the validation images, and the images under a limit.
        limit: at most so many images a split.
        validation: the share of train that becomes validation, stratified; test is never touched.
        normalise: "standard" (mean 0, std 1 per channel over train) or "unit" (x / 255).

    Raises:
        InvalidArgumentError: an argument is out of range. DataError: the data are missing or damaged.
    """
    if name not in IMAGE_SETS:
        raise InvalidArgumentError("unknown data set of images", got=name, allowed=", ".join(IMAGE_SETS))
    known = IMAGE_SETS[name]
    kind, path = parse_spec(spec or known.default_spec, ("synthetic", "tfds", "npz", "folder"))
    class_names = known.class_names
    if kind == "synthetic":
        train, held, test = _shapes(known.shape, seed, limit)
        class_names, source = SHAPES, f"rendered shapes in place of {name}, seed {seed}"
    elif kind == "npz":
        assert path is not None  # parse_spec
        train, held, test = npz_splits(path, validation=validation, test=0.15, seed=seed)
        class_names, source = npz_class_names(path, known.class_names), f"{name} from {path}"
    else:
        folder = _place(name, known, path) if kind == "folder" else None
        by_class = None if folder is None else _by_class(folder, known)
        if by_class:
            (train, held, test), skipped = read_parts(by_class, known.shape[0], seed=seed, limit=limit, validation=validation)
            source = f"{name}, images by class in {folder}{skipped}"
        else:
            train, test, source = _tfds(name, path) if folder is None else _folder(name, known, folder)
            train, held = split_off(train, validation, seed)
    train, held, test = (_at(at_most(part, limit, seed), resolution) for part in (train, held, test))
    return DataSet(name, train, held, test, class_names, normalisation(normalise, train), source, kind == "synthetic")


def normalisation(how: str, train: Split) -> Normalise:
    """The ``Normalise`` named "standard" (measured on ``train``) or "unit"."""
    named: dict[str, Callable[[], Normalise]] = {
        "standard": lambda: Normalise.standard(train.images),
        "unit": lambda: Normalise.unit(train.shape[-1]),
    }
    if how not in named:
        raise InvalidArgumentError("unknown normalisation", got=how, allowed=", ".join(NORMALISATIONS))
    return named[how]()


def _at(split: Split, resolution: int | None) -> Split:
    """The split at the resolution, or as it is if that is None."""
    return split if resolution is None else Split.of_images(resize(split.images, resolution), split.labels)


def _place(name: str, known: ImageSet, path: str | None) -> Path:
    """The folder that is named, or the default one."""
    if path is None and known.idx_folder is None:
        raise InvalidArgumentError(f"the folder of {name} is not named", got="folder", allowed="folder:DIR", hint=known.hint)
    folder = Path(path or known.idx_folder or "").expanduser()
    if not folder.is_dir():
        raise DataError(f"{name} is not here: there is no folder", got=str(folder), hint=known.hint)
    return folder


def _by_class(folder: Path, known: ImageSet) -> dict[str, list[LabelledFile]]:
    """The images of a folder with one for every class of a set in colour; {} for any other."""
    if known.shape[2] != 3:
        return {}
    return class_folders(folder, {folder_name(name): label for label, name in enumerate(known.class_names)})


def _folder(name: str, known: ImageSet, folder: Path) -> tuple[Split, Split, str]:
    """(train, test, source) from the published files of the set."""
    if known.idx_folder is None:
        files = cifar_batches(folder)
        if files is None:
            raise DataError(f"{folder} is no folder of {name}", hint=known.hint,
                            allowed="data_batch_1.bin to 5 and test_batch.bin; data_batch_1 to 5 and test_batch; images in "
                                    f"{known.class_names[0]}/ ... {known.class_names[-1]}/, or these in train/ and test/")
        x_train, y_train, x_test, y_test = read_cifar_batches(files)
        source = f"{name}, {'binary' if files[0].suffix else 'pickled'} batches in {files[0].parent}"
    else:
        x_train, y_train, x_test, y_test = read_idx_folder(folder)
        source = f"{name}, idx files in {folder}"
    for images in (x_train, x_test):
        if images.shape[1:] != known.shape:
            raise DataError(f"the files in {folder} are not {name}", got=images.shape[1:], allowed=str(known.shape))
    return Split.of_images(x_train, y_train), Split.of_images(x_test, y_test), source


def _tfds(name: str, data_dir: str | None) -> tuple[Split, Split, str]:
    """(train, test, source) from a prepared TFDS set."""
    parts = data_sources(name, data_dir)
    if missing := {"train", "test"} - set(parts):
        raise DataError(f"the TFDS set {name} lacks splits", got=sorted(missing), allowed="train and test")
    train, test = (Split.of_images(*gather(parts[part], "label", None)) for part in ("train", "test"))
    return train, test, f"{name}, TFDS in {data_dir or '~/tensorflow_datasets'}"


def _shapes(shape: tuple[int, int, int], seed: int, limit: int | None) -> tuple[Split, Split, Split]:
    """2,000 / 500 / 500 rendered shapes, or ``limit`` of each."""
    parts = []
    for stream, count in enumerate((2000, 500, 500)):
        count = count if limit is None else min(limit, count)
        images, labels = render_shapes(max(count, 1), resolution=shape[0], channels=shape[2], seed=seed, stream=stream)
        parts.append(Split.of_images(images, labels))
    return parts[0], parts[1], parts[2]
