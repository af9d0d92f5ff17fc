"""The published folder of Speech Commands in miniature, and as TFDS prepares it: splits, classes, silence, damaged files."""

import wave

import numpy as np
import pytest

from reds_jax.data import load
from reds_jax.data.clips import CLASS_NAMES
from reds_jax.data.speech_folder import WORDS, split_of
from reds_jax.data.speech_tfds import ORDER, tfds_splits
from reds_jax.errors import DataError, InvalidArgumentError

ALL = (*WORDS, "bed", "cat", "dog")


def write(path, samples, rate=16000, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def by_split(count):
    """So many speakers of each split, by the hash rule."""
    found = {"train": [], "validation": [], "test": []}
    i = 0
    while min(map(len, found.values())) < count:
        name = f"{i:08x}"
        found[split_of(f"{name}_nohash_0.wav")].append(name)
        i += 1
    return {part: names[:count] for part, names in found.items()}


@pytest.fixture
def folder(tmp_path):
    """Two clips of a word by each of two speakers a split: the first sample is 1000 * word + speaker; odd ones are short."""
    speakers = [s for names in by_split(2).values() for s in names]
    for w, word in enumerate(ALL):
        for s, speaker in enumerate(speakers):
            for take in (0, 1):
                samples = [1000 * w + s, 1] + [7] * (15998 + 100 * (1 - 2 * take))
                write(tmp_path / word / f"{speaker}_nohash_{take}.wav", samples)
    write(tmp_path / "_background_noise_" / "hum.wav", np.full(40000, 10000))
    return tmp_path


def test_the_hash_rule_of_the_published_set():
    """Speakers whose split is known from the published lists."""
    known = {"00176480": "train", "00970ce1": "train", "026290a7": "validation", "060cd039": "validation", "022cd682": "test",
             "0487ba9b": "test"}
    assert {name: split_of(f"yes/{name}_nohash_3.wav") for name in known} == known


def test_the_splits_of_the_folder(folder):
    """Keywords with their labels by speaker; a tenth of unknown words and of silence; one second each."""
    found = load("speech_commands", f"folder:{folder}")
    seen = {}
    for name, split in found.splits.items():
        assert np.bincount(split.labels).tolist() == [4, 4] + [4] * 10
        first = split.inputs[:, 0].astype(int)
        for i in np.flatnonzero(split.labels > 1):
            assert first[i] // 1000 + 2 == split.labels[i]
        assert set(first[split.labels == 1] // 1000) <= {10, 11, 12}
        seen[name] = set(first[split.labels > 0] % 1000)
        assert {tuple(np.unique(clip)) for clip in split.inputs[split.labels > 1][:, -100:]} == {(0,), (7,)}  # short, and cut
        silence = split.inputs[split.labels == 0]
        assert all(len(np.unique(clip)) == 1 and 0 <= clip[0] <= 10000 for clip in silence)
        assert len(np.unique(silence)) == 4
    assert seen == {"train": {0, 1}, "validation": {2, 3}, "test": {4, 5}}
    assert found.class_names == CLASS_NAMES
    assert found.augmentations["shift_noise"].noise.shape == (40000,)
    again, other = load("speech_commands", f"folder:{folder}"), load("speech_commands", f"folder:{folder}", seed=1)
    assert found.fingerprint == again.fingerprint != other.fingerprint
    few = load("speech_commands", f"folder:{folder}", limit=24)
    assert [len(split) for split in few.splits.values()] == [24] * 3
    assert np.bincount(few.train.labels).tolist() == [2] * 12


def test_the_lists_are_followed_where_they_are(folder):
    speakers = by_split(2)
    lines = {part: [f"{word}/{speakers['train'][i]}_nohash_{t}.wav" for word in ALL for t in (0, 1)]
             for i, part in enumerate(("validation", "test"))}
    (folder / "validation_list.txt").write_text("\n".join(lines["validation"]) + "\n")
    with pytest.raises(DataError, match=r"one of the two lists only; got \['validation_list.txt'\]"):
        load("speech_commands", f"folder:{folder}")
    (folder / "testing_list.txt").write_text("\n".join(lines["test"]) + "\n")
    found = load("speech_commands", f"folder:{folder}")
    assert [set(s.inputs[s.labels > 0][:, 0] % 1000) for s in found.splits.values()] == [{2, 3, 4, 5}, {0}, {1}]
    (folder / "testing_list.txt").write_text("yes/nobody_nohash_0.wav\n")
    with pytest.raises(DataError, match=r"testing_list\.txt names a file that is not there; got 'yes/nobody"):
        load("speech_commands", f"folder:{folder}")


def damaged(folder, how):
    path = folder / "yes" / f"{by_split(2)['train'][0]}_nohash_0.wav"
    if how == "rate":
        write(path, np.zeros(8000), rate=8000)
    elif how == "stereo":
        write(path, np.zeros(8000), channels=2)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:900])
    else:
        path.write_bytes(b"no sound")
    return path


@pytest.mark.parametrize(("how", "message"), [
    ("rate", "has another form; got '8000 Hz"), ("stereo", "channels: 2"), ("cut", "is cut short; got '856 bytes'"),
    ("text", "cannot be read as WAV"),
])
def test_a_damaged_file_is_named(folder, how, message):
    path = damaged(folder, how)
    with pytest.raises(DataError, match=message) as raised:
        load("speech_commands", f"folder:{folder}")
    assert str(path) in str(raised.value)


def test_what_is_missing_is_named(folder):
    for spec, message in (("folder", "not named"), (f"folder:{folder / 'yes'}", "is not the folder of Speech Commands"),
                          (f"folder:{folder / 'none'}", "no such folder"), ("tone", "unknown place of data")):
        with pytest.raises((DataError, InvalidArgumentError), match=message):
            load("speech_commands", spec)
    for path in (folder / "go").iterdir():
        path.unlink()
    (folder / "go").rmdir()
    with pytest.raises(DataError, match=r"lacks folders; got \['go'\]"):
        load("speech_commands", f"folder:{folder}")


def test_tfds_labels_become_ours_and_unknown_words_a_tenth(monkeypatch):
    """In the form in which TFDS gives its examples, without a prepared set."""
    def examples(unknown):
        labels = [k for k in range(10) for _ in range(2)] + [10] + [11] * unknown
        return [{"audio": np.full(15000, k, np.int64), "label": k} for k in labels]

    sets = {"train": examples(30), "validation": examples(5), "test": examples(3)}
    monkeypatch.setattr("reds_jax.data.speech_tfds.data_sources", lambda name, data_dir: sets)
    found = dict(zip(("train", "validation", "test"), tfds_splits(None, seed=0, limit=None), strict=True))
    assert {name: int((split.labels == 1).sum()) for name, split in found.items()} == {"train": 2, "validation": 2, "test": 3}
    for split in found.values():
        assert split.shape == (16000,)
        assert [CLASS_NAMES[k] for k in split.labels] == [ORDER[clip[0]] for clip in split.inputs]
        assert not split.inputs[:, 15000:].any()
    sets["test"] = [{"audio": np.zeros(3), "other": 1}]
    with pytest.raises(DataError, match="damaged, or of another set"):
        tfds_splits(None, seed=0, limit=None)
    del sets["test"]
    with pytest.raises(DataError, match=r"lacks splits; got \['test'\]"):
        tfds_splits(None, seed=0, limit=None)
