"""Visual Wake Words as a set of TensorFlow Datasets, which has none: prepared from a folder of photographs without TensorFlow.

The images are squashed to their resolution and turned as a viewer shows them before they are written, so that reading the set
back is quick and needs no decision.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..checks import integer
from ..errors import DataError
from ..optional import needs
from .photographs import LabelledFile, named, read_image, train_validation_test
from .tfds_source import import_tfds
from .vww import CLASS_NAMES, folder_parts

NAME, VERSION = "visual_wake_words", "1.0.0"
_TEXT = """Person / no person at {resolution} x {resolution} pixels, from {folder}: an image of COCO shows a person if the box
of one is larger than 0.5 % of it (Chowdhery et al., "Visual Wake Words Dataset", 2019)."""


def prepare_vww(folder: str | Path, data_dir: str | Path, *, resolution: int = 96, validation: float = 0.1,
                seed: int = 0) -> tuple[Path, dict[str, int], str]:
    """Write a set ``visual_wake_words`` in the format array_record, with splits train, validation and test.

    Args:
        folder: as ``folder:DIR`` of `vww_data`: of COCO, or with folders by class.
        data_dir: the root of TFDS sets; the set is written into ``visual_wake_words/1.0.0`` there, whole or not at all.
        resolution: pixels a side.
        validation, seed: what is parted off where the folder has no such part.

    Returns:
        Its folder, the number of examples of each split, and the files that were skipped, in words.

    Raises:
        DataError: the folder has no such images, or the set is there already.
        MissingDependencyError: TFDS or Pillow is not installed.
    """
    integer("resolution", resolution, 1)
    tfds = import_tfds()
    with needs("PIL", "writing images"):
        from PIL import Image
    parts, _ = folder_parts(Path(folder).expanduser())
    groups = dict(zip(("train", "validation", "test"), train_validation_test(parts, validation, seed), strict=True))
    skipped: list[str] = []

    def examples(files: list[LabelledFile]) -> Iterator[tuple[str, dict[str, Any]]]:
        for file in files:
            try:
                pixels = read_image(file.place / file.name, resolution)
            except DataError as error:
                skipped.append(f"{file.name} ({error.what})")
                continue
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG")
            png.seek(0)
            yield file.name, {"image": png, "label": file.label, "filename": file.name}

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg,misc]
        def _info(self) -> Any:
            features = {"image": tfds.features.Image(shape=(resolution, resolution, 3), encoding_format="png"),
                        "label": tfds.features.ClassLabel(names=CLASS_NAMES), "filename": tfds.features.Text()}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features),
                                         description=_TEXT.format(resolution=resolution, folder=folder),
                                         supervised_keys=("image", "label"))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {part: self._generate_examples(files) for part, files in groups.items()}

        def _generate_examples(self, files: list[LabelledFile]) -> Iterator[Any]:
            return examples(files)

    Builder.name, Builder.VERSION = NAME, tfds.core.Version(VERSION)
    builder = Builder(data_dir=str(Path(data_dir).expanduser()), file_format="array_record")
    if builder.is_prepared():
        raise DataError(f"the set {NAME} is there already", got=str(builder.data_dir),
                        hint="Name another directory, or remove this one.")
    builder.download_and_prepare()
    counts = {part: int(builder.info.splits[part].num_examples) for part in groups}
    return Path(builder.data_dir), counts, f"skipped {len(skipped)}: {named(skipped)}" if skipped else ""
