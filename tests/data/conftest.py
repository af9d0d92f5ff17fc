"""Data sets in miniature that the tests write: TFDS sets without TensorFlow or a network, a COCO folder, idx files."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reds_jax.data.idx import write_idx


def png(image: np.ndarray) -> io.BytesIO:
    """An image uint8 [H, W, C] as PNG bytes."""
    from PIL import Image

    data = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(data, "PNG")
    data.seek(0)
    return data


def prepare_tfds(set_name: str, version: str, features: Callable[[Any], dict[str, Any]],
                 splits: dict[str, list[dict[str, Any]]], data_dir: Path) -> None:
    """Write a TFDS set of the given examples under ``data_dir`` in the format array_record."""
    import tensorflow_datasets as tfds

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = set_name
        VERSION = tfds.core.Version(version)

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features(tfds.features)))

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            return {part: enumerate(examples) for part, examples in splits.items()}

        def _generate_examples(self) -> Iterator[Any]:
            raise NotImplementedError

    Builder(data_dir=str(data_dir), file_format="array_record").download_and_prepare()


@pytest.fixture(scope="session")
def fashion_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of TFDS sets with a fashion_mnist of 60 / 20 images; image i is grey i, its class i mod 10."""
    root = tmp_path_factory.mktemp("tfds_fashion")

    def examples(count: int) -> list[dict[str, Any]]:
        return [{"image": png(np.full((28, 28, 1), i, np.uint8)), "label": i % 10} for i in range(count)]

    prepare_tfds("fashion_mnist", "3.0.1", lambda f: {"image": f.Image(shape=(28, 28, 1)),
                                                      "label": f.ClassLabel(num_classes=10)},
                 {"train": examples(60), "test": examples(20)}, root)
    return root


@pytest.fixture(scope="session")
def cifar10_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of TFDS sets with a cifar10 of 40 / 10 images; image i is of colour (i, 0, 9), its class i mod 10."""
    root = tmp_path_factory.mktemp("tfds_cifar10")

    def examples(count: int) -> list[dict[str, Any]]:
        return [{"id": f"{i}", "image": png(np.full((32, 32, 3), (i, 0, 9), np.uint8)), "label": i % 10} for i in range(count)]

    prepare_tfds("cifar10", "3.0.2", lambda f: {"id": f.Text(), "image": f.Image(shape=(32, 32, 3)),
                                                "label": f.ClassLabel(num_classes=10)},
                 {"train": examples(40), "test": examples(10)}, root)
    return root


@pytest.fixture(scope="session")
def wake_vision_tfds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of TFDS sets with a wake_vision of 12 / 6 / 4 images of several sizes; a person's image is bright."""
    root = tmp_path_factory.mktemp("tfds_wake")

    def examples(count: int) -> list[dict[str, Any]]:
        return [{"image": png(np.full((40 + i, 60, 3), 250 if i % 2 else 5, np.uint8)), "person": i % 2,
                 "filename": f"{i}.jpg"} for i in range(count)]

    prepare_tfds("wake_vision", "1.0.0",
                 lambda f: {"image": f.Image(shape=(None, None, 3)), "person": f.ClassLabel(names=["No", "Yes"]),
                            "filename": f.Text()},
                 {"train_quality": examples(12), "validation": examples(6), "test": examples(4)}, root)
    return root


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO folder with 20 + 6 images of 100 x 50 pixels; those with an even id have a person of 10 x 5 pixels."""
    from PIL import Image

    (tmp_path / "annotations").mkdir()
    for part, count in (("train2017", 20), ("val2017", 6)):
        (tmp_path / part).mkdir()
        images, annotations = [], []
        for i in range(count):
            name = f"{i:012d}.jpg"
            Image.fromarray(np.full((50, 100, 3), 10 * i, np.uint8)).save(tmp_path / part / name, quality=95)
            images.append({"id": i, "file_name": name, "width": 100, "height": 50})
            annotations.append({"image_id": i, "category_id": 1 if i % 2 == 0 else 18, "bbox": [0, 0, 10, 5],
                                "area": 20.0})
        content = {"images": images, "annotations": annotations,
                   "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}]}
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def write_folder() -> Callable[..., None]:
    """Writes the four idx files of 30 + 10 images, ``labels`` of them for the 30, into a folder."""

    def write(folder: Path, *, labels: int = 30) -> None:
        for part, count in (("train", 30), ("t10k", 10)):
            images = np.random.default_rng(count).integers(0, 256, (count, 28, 28), dtype=np.uint8)
            write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
            size = labels if part == "train" else count
            write_idx(folder / f"{part}-labels-idx1-ubyte", (np.arange(size) % 10).astype(np.uint8))

    return write
