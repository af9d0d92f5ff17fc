"""Splits and data sets of every kind: windows, features, segmentations, regressions, several inputs, no targets."""

import numpy as np
import pytest

from reds_jax.data import DataSet, Normalise, Split, at_most, read, split_off
from reds_jax.errors import DataError

RNG = np.random.default_rng(0)
WINDOWS, FEATURES = RNG.normal(size=(20, 16, 3)).astype(np.float32), RNG.normal(size=(20, 5)).astype(np.float32)
PIXELS = RNG.integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
KINDS = {
    "sensor windows": Split(WINDOWS, np.arange(20) % 3),
    "regression": Split(FEATURES, RNG.normal(size=(20, 2))),
    "a number each": Split(FEATURES, RNG.normal(size=20)),
    "segmentation": Split(PIXELS, RNG.integers(0, 3, (20, 4, 4))),
    "reconstruction": Split(PIXELS),
    "tokens": Split(RNG.integers(0, 1000, (20, 7)), RNG.integers(0, 2, 20)),
    "two inputs": Split((WINDOWS, FEATURES), np.arange(20) % 2),
    "named inputs and outputs": Split({"x": WINDOWS, "mask": WINDOWS[..., 0] > 0}, {"y": FEATURES, "c": np.arange(20)}),
}
each = pytest.mark.parametrize("split", KINDS.values(), ids=KINDS)


def dataset(split: Split, **options) -> DataSet:
    return DataSet("task", split, split.take(slice(0, 5)), split.take(np.array([7, 3])), **options)


@each
def test_every_kind_is_parted_limited_and_described(split: Split) -> None:
    rest, taken = split_off(split, 0.25, 0)
    assert (len(rest), len(taken), len(at_most(split, 7, 0))) == (15, 5, 7)
    data = dataset(split)
    assert "20 / 5 / 2 train / validation / test examples" in data.describe()
    assert data.fingerprint == dataset(split).fingerprint
    assert data.fingerprint != DataSet("task", rest, taken, taken).fingerprint


@each
def test_the_rows_stay_together(split: Split) -> None:
    """Of every array the same rows are taken."""
    def arrays(tree):
        return [] if tree is None else [tree] if isinstance(tree, np.ndarray) else \
            [tree[k] for k in tree] if isinstance(tree, dict) else list(tree)

    part = split.take(np.array([4, 11]))
    for a, b in zip(arrays(part.inputs) + arrays(part.targets), arrays(split.inputs) + arrays(split.targets), strict=True):
        np.testing.assert_array_equal(a, b[[4, 11]])
        assert not a.flags.writeable


def test_64_bits_become_32_and_nothing_else_changes() -> None:
    split = Split((np.ones((2, 3)), np.ones((2, 3), np.float16), np.ones((2, 3), np.uint8)), np.array([1, 0], np.int64))
    assert [a.dtype for a in split.inputs] == [np.float32, np.float16, np.uint8]
    assert split.targets.dtype == np.int32
    assert Split([[1.5, 2.5]], [3]).inputs.dtype == np.float32  # lists are arrays, not trees


def test_images_and_labels_are_read_where_there_are_some() -> None:
    split = Split(PIXELS, np.arange(20))
    assert split.images is split.inputs
    assert split.labels is split.targets
    assert split.shape == (4, 4, 3)
    with pytest.raises(DataError, match=r"no images; got 'float32 \[16, 3\]'; allowed: uint8.*split.inputs"):
        _ = KINDS["sensor windows"].images
    for name in ("regression", "segmentation", "reconstruction"):
        with pytest.raises(DataError, match="no labels.*split.targets"):
            _ = KINDS[name].labels


@pytest.mark.parametrize(("inputs", "targets", "message"), [
    (np.where(FEATURES[3, 2] == FEATURES, np.nan, FEATURES), None, r"inputs has a value that is not allowed in row 3; got nan"),
    (FEATURES, np.full((20, 1), np.inf), "targets has a value that is not allowed in row 0; got inf"),
    (FEATURES, np.full(20, 1e300), "row 0; got 1e.300; allowed: finite"),
    (FEATURES, np.full(20, 2**40), "row 0; got 1099511627776; allowed: .* as 32 bits hold"),
    (FEATURES, np.arange(19), r"differ in number; got \(20, 19\)"),
    ((FEATURES, WINDOWS[:3]), None, r"inputs differ in number; got \{'0': 20, '1': 3\}"),
    (FEATURES[:0], None, "inputs are empty"),
    (np.float32(3), None, r"inputs has the wrong form; got 'float32 \[\]'"),
    (np.array(["a", "b"]), None, "wrong form; got '<U1"),
    ({"x": FEATURES, "y": FEATURES * 1j}, None, r"inputs\[y\] has the wrong form; got 'complex"),
    ((), None, "hold no array"),
    ([[1, 2], [3]], None, "cannot be read as an array"),
])
def test_what_is_no_example_is_named(inputs, targets, message) -> None:
    with pytest.raises(DataError, match=message):
        Split(inputs, targets)


def test_splits_of_a_data_set_have_one_form() -> None:
    split = KINDS["regression"]
    for other, message in ((Split(FEATURES, split.targets[:, :1]), r"test has targets of another form.*'float32 \[1\]'"),
                           (Split(FEATURES[:, :2], split.targets), "test has inputs of another form"),
                           (Split(FEATURES), "got 'the inputs'")):
        with pytest.raises(DataError, match=message):
            DataSet("task", split, split, other)
    with pytest.raises(DataError, match="class_names need labels"):
        dataset(split, class_names=("a", "b"))
    with pytest.raises(DataError, match="has no classes"):
        _ = dataset(split).classes
    with pytest.raises(DataError, match="one mean and std per channel"):
        dataset(KINDS["sensor windows"], normalise=Normalise.unit(2))
    assert dataset(KINDS["segmentation"], class_names=("a", "b", "c")).classes == 3


def test_inputs_as_a_model_reads_them() -> None:
    """uint8 is on the scale 0..1, floats and tokens stay; a normalisation decides by itself."""
    pixels, tokens = KINDS["reconstruction"], KINDS["tokens"]
    np.testing.assert_array_equal(dataset(pixels).example(), PIXELS[:1] / np.float32(255))
    np.testing.assert_array_equal(dataset(KINDS["sensor windows"]).example(), WINDOWS[:1])
    assert dataset(tokens).example().dtype == np.int32
    both = dataset(Split((PIXELS, FEATURES))).example()
    assert (both[0].max() <= 1, both[1].shape) == (True, (1, 5))
    np.testing.assert_allclose(dataset(pixels, normalise=Normalise.unit(3)).example(), PIXELS[:1] / 255, atol=1e-6)
    np.testing.assert_array_equal(read(PIXELS.astype(np.float32), like=PIXELS), PIXELS / np.float32(255))
