"""CIFAR-10 in its published forms, in miniature: binary batches, pickled batches, images in folders by class."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reds_jax.data import image_data, load
from reds_jax.data.cifar import BATCHES, read_batch
from reds_jax.data.images import IMAGE_SETS
from reds_jax.errors import DataError, InvalidArgumentError

COUNT = 20
NAMES = IMAGE_SETS["cifar10"].class_names


def pixels(batch: int) -> tuple[np.ndarray, np.ndarray]:
    """(images uint8 [20, 32, 32, 3], labels 0, 1, ... 9, 0, ...) of a batch; no two images are alike."""
    rng = np.random.default_rng(batch)
    return rng.integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8), np.arange(COUNT) % 10


def flat(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_binary(folder: Path) -> None:
    for k, name in enumerate(BATCHES):
        images, labels = pixels(k)
        records = np.concatenate([labels[:, None].astype(np.uint8), flat(images)], 1)
        (folder / f"{name}.bin").write_bytes(records.tobytes())


def write_pickled(folder: Path, protocol: int = 2) -> None:
    for k, name in enumerate(BATCHES):
        images, labels = pixels(k)
        batch = {b"data": flat(images), b"labels": labels.tolist(), b"batch_label": b"a batch", b"filenames": [b"a"] * COUNT}
        (folder / name).write_bytes(pickle.dumps(batch, protocol))


@pytest.mark.parametrize(("write", "inside"), [(write_binary, "cifar-10-batches-bin"), (write_pickled, "cifar-10-batches-py"),
                                               (write_binary, "."), (write_pickled, ".")])
def test_batches_are_the_images_that_were_written(tmp_path: Path, write: Callable[[Path], None], inside: str) -> None:
    (tmp_path / inside).mkdir(exist_ok=True)
    write(tmp_path / inside)
    data = load("cifar10", f"folder:{tmp_path}", validation=0.1)
    assert [len(split) for split in data.splits.values()] == [90, 10, 20]
    np.testing.assert_array_equal(data.test.images, pixels(5)[0])
    written = {x.tobytes(): y for k in range(5) for x, y in zip(*pixels(k), strict=True)}
    for split in (data.train, data.validation):
        assert [written[x.tobytes()] for x in split.images] == split.labels.tolist()
    assert data.class_names == NAMES


def test_a_set_of_tfds(cifar10_tfds: Path) -> None:
    data = load("cifar10", f"tfds:{cifar10_tfds}", validation=0.25)
    assert [len(split) for split in data.splits.values()] == [30, 10, 10]
    for split in data.splits.values():
        assert (split.images[:, 7, 3, 0] % 10 == split.labels).all()
        assert (split.images[..., 1:] == (0, 9)).all()


def test_binary_and_pickled_batches_are_one_data_set(tmp_path: Path) -> None:
    prints = set()
    for name, write in (("a", write_binary), ("b", write_pickled), ("c", lambda folder: write_pickled(folder, 4))):
        (tmp_path / name).mkdir()
        write(tmp_path / name)
        prints.add(image_data("cifar10", f"folder:{tmp_path / name}").fingerprint)
    assert len(prints) == 1


def test_a_batch_of_python_2(tmp_path: Path) -> None:
    """The published batches were written by Python 2: its str as keys, in the type of the array and as its bytes."""
    images, labels = pixels(0)
    raw = flat(images).tobytes()
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1K\x14M\0\x0c\x86cnumpy\ndtype\nU\2u1"
             b"K\0K\1\x87R(K\3U\1|NNNJ" + b"\xff" * 4 + b"J" + b"\xff" * 4 + b"K\0tb\x89T" + len(raw).to_bytes(4, "little")
             + raw + b"tb")
    batch = b"\x80\2}(U\4data" + array + b"U\6labels](" + b"".join(b"K" + bytes([y]) for y in labels) + b"eu."
    (tmp_path / "data_batch_1").write_bytes(batch)
    found, of = read_batch(tmp_path / "data_batch_1")
    np.testing.assert_array_equal(found, images)
    np.testing.assert_array_equal(of, labels)


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize("value", [Evil(), print, np.array([print], object), {"data": Evil()}],
                         ids=["call", "name", "array", "inside"])
def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: object) -> None:
    monkeypatch.chdir(tmp_path)
    write_pickled(tmp_path)
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps(value))
    with pytest.raises(DataError, match=r"data_batch_3 cannot be read as a pickled batch.*it names"):
        load("cifar10", f"folder:{tmp_path}")
    assert not (tmp_path / "ran").exists()


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    def refuse(message: str) -> None:
        with pytest.raises(DataError, match=message):
            load("cifar10", f"folder:{tmp_path}")

    refuse(r"is no folder of cifar10; allowed: data_batch_1\.bin.*airplane/ ... truck/")
    write_binary(tmp_path)
    path = tmp_path / "data_batch_2.bin"
    whole = path.read_bytes()
    for size in (0, 100, 3073 * 5 - 1):
        path.write_bytes(whole[:size])
        refuse(r"data_batch_2\.bin is no sequence of records")
    path.write_bytes(whole[: 3073 * 5])
    refuse(r"data_batch_2\.bin is shorter than the other batches; got '5 images'")
    path.write_bytes(whole[: 3073 * 3] + b"\x0a" + whole[3073 * 3 + 1 :])
    refuse(r"data_batch_2\.bin has a label that is no class, in record 3; got 10; allowed: 0\.\.9")
    path.unlink()
    refuse(r"batches of CIFAR-10 are missing.*\['data_batch_2\.bin'\]")


def test_a_broken_pickle_is_named(tmp_path: Path) -> None:
    write_pickled(tmp_path)
    path = tmp_path / "test_batch"
    whole = path.read_bytes()
    good = {"data": flat(pixels(0)[0]), "labels": list(range(10)) * 2}
    broken = [whole[:n] for n in range(0, len(whole), 4001)]
    broken += [pickle.dumps(value) for value in (
        [], {"labels": [1]}, {**good, "data": good["data"][:, 1:]}, {**good, "labels": good["labels"][1:]},
        {**good, "labels": [-1] * 20}, {**good, "labels": ["a"] * 20}, {**good, "data": good["data"].astype(np.float32)})]
    for data in broken:
        path.write_bytes(data)
        with pytest.raises(DataError, match="test_batch"):
            load("cifar10", f"folder:{tmp_path}")


def write_images(folder: Path, each: int, start: int = 0) -> None:
    for label, name in enumerate(NAMES):
        (folder / name).mkdir(parents=True)
        for i in range(start, start + each):
            Image.new("RGB", (32, 32), (label, i, 0)).save(folder / name / f"{name}_{i}.png")


def test_images_in_folders_by_class(tmp_path: Path) -> None:
    write_images(tmp_path / "train", 6)
    write_images(tmp_path / "test", 2, 6)
    data = load("cifar10", f"folder:{tmp_path}", validation=0.2)
    assert len(data.train) + len(data.validation) == 60
    assert len(data.test) == 20
    for split in data.splits.values():
        np.testing.assert_array_equal(split.images[:, 5, 5, 0], split.labels)
    (tmp_path / "test" / "frog" / "frog_6.png").write_bytes(b"no image")
    assert "skipped 1 of 80 images: frog/frog_6.png (an image cannot be read" in load("cifar10", f"folder:{tmp_path}").source
    (tmp_path / "train" / "frog").rename(tmp_path / "train" / "toad")
    with pytest.raises(DataError, match=r"train/toad has images of a class that is not known; got 'toad'; allowed: airplane"):
        load("cifar10", f"folder:{tmp_path}")
    with pytest.raises(InvalidArgumentError, match=r"the folder of cifar10 is not named.*folder:DIR"):
        load("cifar10", "folder")


@pytest.mark.parametrize("parts", [("",), ("train", "val"), ("train", "val", "test")])
def test_any_images_in_folders_by_class(tmp_path: Path, parts: tuple[str, ...]) -> None:
    """The classes are the names of the folders, in order, also where they are as hard to read as those of ImageNet."""
    for k, part in enumerate(parts):
        for label, name in enumerate(["n01440764", "n02102040", "n03000684"]):
            (tmp_path / part / name).mkdir(parents=True)
            for i in range(20):
                Image.new("L", (10, 20 + i), 50 * label).save(tmp_path / part / name / f"{part}{k}_{label}_{i}.JPEG")
    (tmp_path / ".thumbnails").mkdir()
    data = load("image_folder", f"folder:{tmp_path}", resolution=8, validation=0.25)
    assert data.class_names == ("n01440764", "n02102040", "n03000684")
    assert sum(len(split) for split in data.splits.values()) == 60 * len(parts)
    for split in data.splits.values():
        assert np.abs(split.images[:, 0, 0, 0] - 50.0 * split.labels).max() < 3
    with pytest.raises(DataError, match="the folder has no folders by class"):
        load("image_folder", f"folder:{tmp_path / parts[0] / 'n01440764'}")
    with pytest.raises(InvalidArgumentError, match="folder:DIR"):
        load("image_folder")
