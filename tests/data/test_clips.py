"""Clips parted by groups: no speaker is in two splits, whatever the groups; features once or in each step are the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.data import MFCC, load, of_clips
from reds_jax.data.clips import CLASS_NAMES, drawn_groups
from reds_jax.errors import DataError, InvalidArgumentError


def clips(count: int, *, samples: int = 16000, groups: int = 6):
    """(x int16, y, speaker): the first sample of a clip is its number; twelve clips in a row are of one speaker."""
    x = np.random.default_rng(0).integers(-99, 99, (count, samples)).astype(np.int16)
    x[:, 0] = np.arange(count)
    return x, np.arange(count) % 12, np.arange(count) // 12 % groups


def numbers(split) -> list[int]:
    return split.inputs[:, 0].tolist()


@given(st.data())
def test_no_group_is_in_two_splits(data):
    """And every clip is in one, with its label."""
    kind = data.draw(st.sampled_from([int, str]))
    of = np.array([kind(g) for g in data.draw(st.lists(st.integers(0, 9), min_size=36, max_size=60))])
    names = sorted(set(of.tolist()), key=str)
    x, y, _ = clips(len(of), samples=640)
    y = np.zeros_like(y)
    cut = sorted(data.draw(st.lists(st.integers(0, len(names)), min_size=2, max_size=2)))
    parts = {"test_groups": names[: cut[0]], "validation_groups": names[cut[0] : cut[1]]}
    if 0 in (cut[0], cut[1] - cut[0], len(names) - cut[1]):
        with pytest.raises(DataError, match="a split has no clip"):
            of_clips(x, y, of, **parts, class_names=["word"])
        return
    found = of_clips(x, y, of, **parts, class_names=["word"])
    at = [numbers(split) for split in found.splits.values()]
    assert sorted(number for part in at for number in part) == list(range(len(of)))
    groups = [set(of[rows].tolist()) for rows in at]
    assert groups == [set(names[cut[1] :]), set(parts["validation_groups"]), set(parts["test_groups"])]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.floats(0.05, 0.4), st.integers(0, 9))
def test_groups_are_drawn_until_a_share_is_full(of, share, seed):
    of = np.array(of)
    test, validation = drawn_groups(of, (share, share), seed)
    assert not set(test) & set(validation)
    assert set(test + validation) <= set(of.tolist())
    size = np.isin(of, test).sum()
    assert size >= share * len(of)
    assert size - (of == test[-1]).sum() < share * len(of)
    assert drawn_groups(of, (share, share), seed) == [test, validation]


def test_features_once_are_those_of_each_step():
    x, y, speaker = clips(36)
    options = {"test_groups": [0], "validation_groups": [1], "normalise": MFCC(stride_ms=40)}
    read, once = of_clips(x, y, speaker, **options), of_clips(x, y, speaker, **options, features=True)
    assert (read.normalise, once.normalise) == (MFCC(stride_ms=40), None)
    assert once.train.shape == (25, 10, 1)
    for name, split in read.splits.items():
        np.testing.assert_allclose(once.splits[name].inputs, read.read(split.inputs), atol=1e-4)
    again = of_clips(np.zeros((36, 25, 10)), y, speaker, **options)
    assert (again.shape, again.normalise, len(again.test)) == ((25, 10, 1), None, 12)
    assert read.class_names == CLASS_NAMES


@pytest.mark.parametrize(("changes", "message"), [
    ({"x": np.zeros((72, 600), np.int16)}, r"the clips have the wrong form; got 'int16 \[72, 600\]'"),
    ({"x": np.zeros((72, 25, 10), np.float32)}, "the DNN reads 25 x 10"), ({"y": np.zeros(71, int)}, "need a label each"),
    ({"groups": np.zeros(72)}, "no group for each clip"), ({"test_groups": [7]}, r"a group has no clip; got \[7\]"),
    ({"test_groups": [1, 2]}, r"for validation and for the test; got \[1\]"), ({"y": np.full(72, 12)}, "has no class; got 12"),
])
def test_what_does_not_fit_is_refused(changes, message):
    x, y, groups = clips(72, samples=640)
    given = {"x": x, "y": y, "groups": groups, "test_groups": [0], "validation_groups": [1]} | changes
    with pytest.raises((DataError, InvalidArgumentError), match=f"(?i){message}"):
        of_clips(**given)


def test_a_file_with_folds(tmp_path):
    """The file says which folds are for what, or the seed draws them; a float file is features."""
    x, y, fold = clips(96, samples=800, groups=8)
    np.savez(tmp_path / "a.npz", x=x, y=y, fold=fold, test_groups=[7], validation_groups=[6])
    found = load("speech_commands", f"npz:{tmp_path / 'a.npz'}")
    assert [sorted({n // 12 for n in numbers(s)}) for s in found.splits.values()] == [[0, 1, 2, 3, 4, 5], [6], [7]]
    np.savez(tmp_path / "b.npz", x=x, y=y, speaker=fold.astype("U1"))
    drawn = [load("speech_commands", f"npz:{tmp_path / 'b.npz'}", seed=seed) for seed in (0, 0, 1)]
    assert drawn[0].fingerprint == drawn[1].fingerprint != drawn[2].fingerprint
    assert all(len(d.train) == 72 and len(d.test) == 12 for d in drawn)
    np.savez(tmp_path / "c.npz", x=np.zeros((96, 49, 10), np.float32), y=y)
    assert load("speech_commands", f"npz:{tmp_path / 'c.npz'}").normalise is None
    np.savez(tmp_path / "d.npz", x=x)
    with pytest.raises(DataError, match=r"d\.npz lacks y"):
        load("speech_commands", f"npz:{tmp_path / 'd.npz'}")
    np.savez(tmp_path / "e.npz", x=x, y=y, fold=fold, test_groups=[9], validation_groups=[6])
    with pytest.raises(DataError, match=r"e\.npz: a group has no clip"):
        load("speech_commands", f"npz:{tmp_path / 'e.npz'}")
