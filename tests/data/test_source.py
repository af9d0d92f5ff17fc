"""The protocol: what is checked early, how splits are parted, what is recorded."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data import DataSet, Normalise, Split, at_most, load, resize, split_off
from reds_jax.data.resize import resize_matrix
from reds_jax.errors import DataError, InvalidArgumentError


def numbered(labels: list[int]) -> Split:
    """A split whose image i has the pixel values of i in base 256."""
    index = np.arange(len(labels))
    pixels = np.stack([index // 256, index % 256], -1).astype(np.uint8)
    return Split(pixels.reshape(-1, 1, 1, 2), np.array(labels, np.int32))


def numbers(split: Split) -> list[int]:
    return [int(high) * 256 + int(low) for high, low in split.images.reshape(-1, 2)]


def data_set(**changes: object) -> DataSet:
    split = Split(np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1), np.array([0, 1]))
    options: dict = {"name": "small", "train": split, "validation": split, "test": split, "class_names": ("a", "b"),
                     "normalise": Normalise.unit(1), "source": "made here"}
    return DataSet(**{**options, **changes})


@settings(deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=2, max_size=300), fraction=st.floats(0.02, 0.98),
       seed=st.integers(0, 2**32))
def test_split_off_is_a_stratified_deterministic_partition(labels: list[int], fraction: float, seed: int) -> None:
    split = numbered(labels)
    try:
        rest, taken = split_off(split, fraction, seed)
    except InvalidArgumentError:  # nothing to take
        counts = np.bincount(labels)
        assert len(labels) * fraction < 0.5 or counts.max() == 1
        return
    assert sorted(numbers(rest) + numbers(taken)) == list(range(len(labels)))
    assert numbers(rest) == sorted(numbers(rest))
    assert numbers(taken) == sorted(numbers(taken))
    for part in (rest, taken):
        assert [labels[i] for i in numbers(part)] == part.labels.tolist()
    for label in set(labels):
        count = labels.count(label)
        got = int((taken.labels == label).sum())
        assert abs(got - count * fraction) < 1
        assert got < count
    again = split_off(split, fraction, seed)
    assert numbers(again[1]) == numbers(taken)


def test_split_off_takes_the_rounded_total_and_depends_on_the_seed() -> None:
    split = numbered([i % 7 for i in range(1000)])
    rest, taken = split_off(split, 0.1, 0)
    assert (len(rest), len(taken)) == (900, 100)
    assert numbers(taken) != numbers(split_off(split, 0.1, 1)[1])


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_split_off_refuses_a_fraction(fraction: float) -> None:
    with pytest.raises(InvalidArgumentError, match="fraction"):
        split_off(numbered([0, 1, 0, 1]), fraction, 0)


def test_at_most() -> None:
    split = numbered([i % 2 for i in range(100)])
    assert at_most(split, None, 0) is split
    assert at_most(split, 100, 0) is split
    assert np.bincount(at_most(split, 10, 0).labels).tolist() == [5, 5]
    with pytest.raises(InvalidArgumentError, match="limit"):
        at_most(split, 0, 0)


@pytest.mark.parametrize(("images", "labels", "message"), [
    (np.zeros((2, 4, 4, 1), np.float32), np.zeros(2, int), "wrong form"),
    (np.zeros((2, 4, 4), np.uint8), np.zeros(2, int), "wrong form"),
    (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2), "wrong form"),
    (np.zeros((2, 4, 4, 1), np.uint8), np.zeros((2, 1), int), "wrong form"),
    (np.zeros((2, 4, 4, 1), np.uint8), np.zeros(3, int), "differ in number"),
    (np.zeros((0, 4, 4, 1), np.uint8), np.zeros(0, int), "empty"),
    (np.zeros((2, 4, 4, 1), np.uint8), np.array([0, -1]), "out of range"),
])
def test_images_are_checked(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split.of_images(images, labels)


def test_a_split_is_read_only_and_leaves_its_argument_alone() -> None:
    images = np.zeros((2, 4, 4, 1), np.uint8)
    split = Split(images, np.array([0, 1], np.uint8))
    assert split.labels.dtype == np.int32
    assert images.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        split.images[0] = 1


def test_a_data_set_checks_its_splits() -> None:
    wide = Split(np.zeros((2, 4, 5, 1), np.uint8), np.array([0, 1]))
    one_class = Split(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 0]))
    third = Split(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 2]))
    for changes, message in (({"test": wide}, "test has inputs of another form"),
                             ({"train": one_class}, "without a training example"),
                             ({"validation": third}, "no class"), ({"normalise": Normalise.unit(3)}, "per channel")):
        with pytest.raises(DataError, match=message):
            data_set(**changes)
    assert data_set(test=one_class).classes == 2


def test_the_fingerprint_sees_every_pixel_label_and_name() -> None:
    base = data_set()
    images, labels = base.test.images.copy(), base.test.labels.copy()
    images[1, 3, 3, 0] ^= 1
    changed = [data_set(test=Split(images, labels)), data_set(test=Split(base.test.images, labels[::-1])),
               data_set(class_names=("a", "c"))]
    assert data_set().fingerprint == base.fingerprint
    assert len({base.fingerprint, *(d.fingerprint for d in changed)}) == 4
    assert "SYNTHETIC" in data_set(synthetic=True).describe()


def test_normalise_standard_has_mean_0_and_std_1() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), dtype=np.uint8)
    x = Normalise.standard(images)(images)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((0, 1, 2)), 1, atol=1e-5)
    np.testing.assert_allclose(Normalise.unit(3)(images), images / 255, atol=1e-6)
    hash(Normalise.unit(3))


@pytest.mark.parametrize(("mean", "std"), [((0.0,), (0.0,)), ((0.0, 0.0), (1.0,)), ((), ()), ((float("nan"),), (1.0,))])
def test_normalise_refuses(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(InvalidArgumentError, match="mean"):
        Normalise(mean, std)


@settings(deadline=None)
@given(size_in=st.integers(1, 40), size_out=st.integers(1, 40), method=st.sampled_from(["area", "bilinear"]),
       value=st.integers(0, 255))
def test_resize_keeps_a_constant_and_its_rows_sum_to_one(size_in: int, size_out: int, method: str, value: int) -> None:
    np.testing.assert_allclose(resize_matrix(size_in, size_out, method).sum(1), 1, rtol=1e-5)
    images = np.full((2, size_in, size_in + 1, 3), value, np.uint8)
    assert (resize(images, (size_out, 7), method=method) == value).all()


def test_resize_by_area_is_the_mean_of_blocks_and_keeps_the_axes_apart() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 12, 8, 3), dtype=np.uint8)
    blocks = images.reshape(5, 4, 3, 4, 2, 3).mean((2, 4))
    assert np.abs(resize(images, (4, 4), batch=2).astype(float) - blocks).max() <= 0.5 + 1e-3
    assert resize(images, (12, 8)) is images


def test_resize_bilinear_agrees_with_pillow() -> None:
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (3, 50, 31, 3), dtype=np.uint8)
    expected = np.stack([np.asarray(Image.fromarray(x).resize((24, 24), Image.Resampling.BILINEAR)) for x in images])
    assert np.abs(resize(images, 24, method="bilinear").astype(int) - expected).max() <= 1


@pytest.mark.parametrize(("options", "message"), [({"resolution": 0}, "resolution"),
                                                  ({"resolution": 4, "method": "cubic"}, "area, bilinear")])
def test_resize_refuses(options: dict, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        resize(np.zeros((1, 8, 8, 1), np.uint8), **options)


@pytest.mark.parametrize(("name", "spec", "allowed"), [
    ("mnist", None, "vww, speech_commands, fashion_mnist, cifar10, image_folder"),
    ("vww", "file:x", r"synthetic, folder:DIR, npz:FILE, tfds\[:DIR\]"),
    ("cifar10", "file:x", r"synthetic, tfds\[:DIR\], npz:FILE, folder:DIR"), ("image_folder", "npz:x", "folder:DIR"),
    ("fashion_mnist", "npz", "npz:FILE"), ("fashion_mnist", "npz:", "npz:FILE"), ("vww", "synthetic:5", "synthetic"),
])
def test_load_names_what_is_allowed(name: str, spec: str | None, allowed: str) -> None:
    with pytest.raises(InvalidArgumentError, match=allowed):
        load(name, spec)


@pytest.mark.parametrize("name", ["vww", "fashion_mnist", "cifar10"])
def test_load_synthetic(name: str) -> None:
    data = load(name, "synthetic", limit=40, resolution=24, normalise="standard")
    assert data.synthetic
    assert data.name == name
    assert {part: len(split) for part, split in data.splits.items()} == {"train": 40, "validation": 40, "test": 40}
    assert data.shape[:2] == (24, 24)
    assert data.fingerprint == load(name, "synthetic", limit=40, resolution=24).fingerprint
    assert data.fingerprint != load(name, "synthetic", limit=40, resolution=24, seed=1).fingerprint
    with pytest.raises(InvalidArgumentError, match="standard, unit"):
        load(name, "synthetic", limit=40, normalise="other")
