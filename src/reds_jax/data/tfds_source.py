"""Prepared TensorFlow Datasets, read by ``tfds.data_source`` without TensorFlow.

TFDS reads a directory of array_record files without TensorFlow. Downloading and preparing most of its sets needs it;
that is done once, by TFDS itself, and the error that says a set is not prepared gives the command.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import DataError
from ..optional import needs


def import_tfds() -> ModuleType:
    """The module ``tensorflow_datasets``; a MissingDependencyError says what to install."""
    with needs("tensorflow_datasets", "a set of TensorFlow Datasets"):
        import importlib_resources  # noqa: F401  (tensorflow_datasets needs it and does not declare it)
        import tensorflow_datasets as tfds
    return tfds


def data_sources(name: str, data_dir: str | Path | None) -> dict[str, Sequence[dict[str, Any]]]:
    """The splits of a prepared TFDS set, each a sequence of examples.

    Args:
        name: as TFDS calls it, for example "fashion_mnist".
        data_dir: the root of prepared sets; None for TFDS's own, ``~/tensorflow_datasets``. The directory of one
            version of the set (the one with ``dataset_info.json``) does as well.

    Raises:
        DataError: the set is not prepared there, not as array_record, or damaged; the message has the command to run.
        MissingDependencyError: TFDS is not installed.
    """
    tfds = import_tfds()
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError("there is no such directory of TFDS sets", got=str(data_dir),
                        hint=prepare_command(name, data_dir))
    with needs("tensorflow_datasets", "a set of TensorFlow Datasets"):
        from google.protobuf.json_format import ParseError

    root = None if data_dir is None else Path(data_dir).expanduser()
    try:
        if root is not None and (root / "dataset_info.json").is_file():
            builder = tfds.builder_from_directory(str(root))
        else:
            builder = tfds.builder(name, data_dir=None if root is None else str(root), file_format="array_record")
            if not builder.is_prepared():
                raise DataError(f"the TFDS set {name} is not prepared as array_record", got=str(builder.data_dir),
                                hint=prepare_command(name, data_dir))
        return dict(builder.as_data_source())
    except (RuntimeError, ValueError, ParseError) as error:  # another format of file, or damaged
        raise DataError(f"the TFDS set {name} cannot be read without TensorFlow ({first_line(error)})",
                        hint=f"{prepare_command(name, data_dir)} (into a directory that does not have it yet)") from error


def read_info(path: Path) -> dict[str, Any]:
    """What a ``dataset_info.json`` says of a set; a DataError if it cannot be read."""
    try:
        info = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read without TensorFlow ({first_line(error)})",
                        hint="Prepare the set again.") from error
    if not isinstance(info, dict):
        raise DataError(f"{path} describes no set of TFDS", got=type(info).__name__, hint="Prepare the set again.")
    return info


def first_line(error: Exception) -> str:
    """The first line of an error's message; those of TFDS go on for a page."""
    return str(error).strip().partition("\n")[0]


def prepare_command(name: str, data_dir: str | Path | None) -> str:
    """What a user runs once, anywhere TensorFlow is installed, to prepare a set."""
    where = "" if data_dir is None else f" --data_dir {data_dir}"
    return ("Prepare it once where TensorFlow is installed: pip install tensorflow tensorflow-datasets && "
            f"tfds build {name} --file_format=array_record{where}")


def gather(source: Sequence[dict[str, Any]], label: str, limit: int | None,
           prepare: Callable[[np.ndarray], np.ndarray] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [N, H, W, C], labels [N]) of the first ``limit`` examples; ``prepare`` is applied to each image.

    Args:
        source: a split.
        label: the feature that is the class.
        limit: at most so many examples, or None for all; bounds the memory.
        prepare: one image uint8 [H, W, C] to one of the common size.

    Raises:
        DataError: a file is damaged, an example lacks the feature, or the images differ in size.
        MissingDependencyError: Pillow, which decodes them, is not installed.
    """
    count = len(source) if limit is None else min(limit, len(source))
    images: np.ndarray | None = None
    labels = np.empty(count, np.int32)
    for k in range(count):
        try:
            with needs("PIL", "decoding the images of TFDS"):
                example = source[k]
        except (RuntimeError, OSError) as error:
            raise DataError(f"a file of TFDS is damaged ({first_line(error)})", hint="Prepare the set again.") from error
        if label not in example or "image" not in example:
            raise DataError("an example of TFDS lacks a feature", got=sorted(example), allowed=f"image and {label}")
        image = np.asarray(example["image"])
        image = image if prepare is None else prepare(image)
        if images is None:
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise DataError("the images of a TFDS split differ in size", got=(image.shape, images.shape[1:]),
                            hint="Ask for a resolution.")
        images[k], labels[k] = image, example[label]
    if images is None:
        raise DataError("a TFDS split is empty", hint="Prepare the set again.")
    return images, labels
