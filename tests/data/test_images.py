"""Fashion-MNIST and CIFAR-10 from every place they can be, and the shapes that stand in for them."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reds_jax.data import image_data
from reds_jax.data.images import IMAGE_SETS
from reds_jax.data.npz import npz_splits
from reds_jax.data.shapes import SHAPES, render_shapes
from reds_jax.errors import DataError, InvalidArgumentError, MissingDependencyError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def test_a_folder_of_idx_files(tmp_path: Path, write_folder: Callable[..., None]) -> None:
    write_folder(tmp_path)
    data = image_data("fashion_mnist", f"folder:{tmp_path}", validation=1 / 3, resolution=14)
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 20, "validation": 10, "test": 10}
    assert np.bincount(data.validation.labels).tolist() == [1] * 10
    assert data.shape == (14, 14, 1)
    assert data.class_names[9] == "ankle boot"
    assert not data.synthetic
    assert str(tmp_path) in data.source


def test_a_missing_folder_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="apt-get install dataset-fashion-mnist"):
        image_data("fashion_mnist", f"folder:{tmp_path / 'none'}")


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_whole_of_fashion_mnist() -> None:
    data = image_data("fashion_mnist")
    assert [len(split) for split in data.splits.values()] == [54_000, 6_000, 10_000]
    assert np.bincount(data.train.labels).tolist() == [5_400] * 10
    np.testing.assert_allclose((data.normalise.mean[0], data.normalise.std[0]), (0.286, 0.353), atol=1e-3)


def test_tfds_without_tensorflow(fashion_tfds: Path) -> None:
    data = image_data("fashion_mnist", f"tfds:{fashion_tfds}", validation=1 / 6)
    assert "tensorflow" not in sys.modules
    assert [len(split) for split in data.splits.values()] == [50, 10, 20]
    for split in data.splits.values():
        grey = split.images[:, 0, 0, 0]
        assert (split.images == grey[:, None, None, None]).all()
        assert (grey % 10 == split.labels).all()
    version = fashion_tfds / "fashion_mnist" / "3.0.1"
    assert image_data("fashion_mnist", f"tfds:{version}", validation=1 / 6).fingerprint == data.fingerprint


def test_tfds_that_is_not_prepared_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tfds build cifar10 --file_format=array_record --data_dir"):
        image_data("cifar10", f"tfds:{tmp_path}")
    with pytest.raises(DataError, match="no such directory"):
        image_data("cifar10", f"tfds:{tmp_path / 'none'}")


def test_tfds_that_cannot_be_read(fashion_tfds: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fashion_mnist" / "3.0.1"
    shutil.copytree(fashion_tfds / "fashion_mnist" / "3.0.1", folder)
    train = next(folder.glob("*train*"))
    train.write_bytes(train.read_bytes()[:1000])
    with pytest.raises(DataError, match="TFDS"):
        image_data("fashion_mnist", f"tfds:{tmp_path}")
    info = folder / "dataset_info.json"
    whole = info.read_text()
    for text in (whole.replace("array_record", "tfrecord"), whole[:-5]):
        info.write_text(text)
        for place in (tmp_path, folder):
            with pytest.raises(DataError, match=r"(?s)without TensorFlow.*tfds build fashion_mnist"):
                image_data("fashion_mnist", f"tfds:{place}")


def test_tfds_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(MissingDependencyError, match="pip install tensorflow-datasets importlib_resources"):
        image_data("cifar10", "tfds")


def images(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def test_npz_with_train_and_test(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    labels = np.arange(100) % 10
    np.savez(path, x_train=images(100, (32, 32, 3)), y_train=labels, x_test=images(30, (32, 32, 3)), y_test=labels[:30])
    data = image_data("cifar10", f"npz:{path}", limit=50)
    assert [len(split) for split in data.splits.values()] == [50, 10, 30]
    assert data.class_names == IMAGE_SETS["cifar10"].class_names
    grey = tmp_path / "grey.npz"
    np.savez(grey, x=images(200, (28, 28)), y=np.arange(200) % 10, class_names=[f"c{i}" for i in range(10)])
    data = image_data("fashion_mnist", f"npz:{grey}")
    assert [len(split) for split in data.splits.values()] == [153, 17, 30]
    assert data.class_names[3] == "c3"


def test_npz_parts_do_not_overlap_and_follow_the_seed(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    x = np.arange(200, dtype=np.uint8).reshape(200, 1, 1, 1)
    np.savez(path, x=x, y=np.arange(200) % 2)
    parts = npz_splits(path, validation=0.1, test=0.2, seed=3)
    assert [len(part) for part in parts] == [144, 16, 40]
    assert sorted(int(v) for part in parts for v in part.images.ravel()) == list(range(200))
    other = npz_splits(path, validation=0.1, test=0.2, seed=4)
    assert not np.array_equal(parts[2].images, other[2].images)


def test_npz_that_is_not_as_it_should_be(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"

    def refuse(message: str) -> None:
        with pytest.raises(DataError, match=message):
            npz_splits(path, validation=0.1, test=0.2, seed=0)

    refuse("no such .npz")
    np.savez(path, x_train=images(10, (4, 4)), y_train=np.zeros(10, int))
    refuse("lacks x_test and y_test")
    np.savez(path, a=np.zeros(3))
    refuse("lacks x_train")
    np.savez(path, x=images(10, (4, 4)) / 255, y=np.zeros(10, int))
    refuse("x and y: images have the wrong form")
    np.savez(path, x=images(10, (4, 4)), y=np.array([None] * 10))
    refuse("cannot be read as .npz")
    with path.open("wb") as file:
        np.save(file, np.zeros(3))  # an .npy under the name of an .npz
    refuse("cannot be read as .npz")
    np.savez_compressed(path, x=images(10, (40, 40)), y=np.arange(10) % 2)
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        refuse("cannot be read as .npz")
    path.write_bytes(whole[:2000] + bytes(100) + whole[2100:])
    refuse("cannot be read as .npz")


def test_an_unknown_set_is_named() -> None:
    with pytest.raises(InvalidArgumentError, match="fashion_mnist, cifar10"):
        image_data("mnist")


def test_shapes_are_deterministic_and_independent_of_the_count() -> None:
    x, y = render_shapes(30, seed=5)
    assert x.shape == (30, 28, 28, 1)
    assert y.tolist() == [i % 10 for i in range(30)]
    np.testing.assert_array_equal(render_shapes(7, seed=5)[0], x[:7])
    assert not np.array_equal(render_shapes(30, seed=5, stream=1)[0], x)
    assert render_shapes(3, resolution=32, channels=3)[0].shape == (3, 32, 32, 3)
    with pytest.raises(InvalidArgumentError, match="channels"):
        render_shapes(3, channels=2)


def test_shapes_can_be_learnt() -> None:
    data = image_data("fashion_mnist", "synthetic")
    assert data.class_names == SHAPES
    assert data.synthetic
    x, y = data.normalise(data.train.images).reshape(len(data.train), -1), data.train.labels
    x_test = data.normalise(data.test.images).reshape(len(data.test), -1)
    nearest = ((x_test**2).sum(1)[:, None] - 2 * x_test @ x.T + (x**2).sum(1)).argmin(1)
    assert (y[nearest] == data.test.labels).mean() > 0.5  # chance is 0.1
