"""The published folder of Speech Commands: a folder per word, lists of the validation and test files, recordings of noise."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import DataError
from .clips import CLASS_NAMES, SAMPLES
from .parting import at_most
from .split import Split
from .wav import one_second, read_wav

NOISE = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
SHARE = 0.1
"""Of silence, and of unknown words, against all clips of the keywords; of the files for validation, and for the test."""
_LARGEST = 2**27 - 1
WORDS: tuple[str, ...] = CLASS_NAMES[2:]


def split_of(name: str, validation: float = SHARE, test: float = SHARE) -> str:
    """The split of a file by the published rule: a hash of its name up to ``_nohash_``, which stands for the speaker.

    Args:
        name: of the file, with or without folders.
        validation, test: shares.

    >>> split_of("yes/022cd682_nohash_0.wav"), split_of("no/022cd682_nohash_1.wav"), split_of("no/00176480_nohash_0.wav")
    ('test', 'test', 'train')
    """
    speaker = re.sub(r"_nohash_.*$", "", name.rpartition("/")[2])
    share = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (_LARGEST + 1) / _LARGEST
    return "validation" if share < validation else "test" if share < validation + test else "train"


def folder_splits(
    folder: Path, *, seed: int, limit: int | None, validation: float = SHARE
) -> tuple[Split, Split, Split, np.ndarray]:
    """(train, validation, test, noise): clips int16 [N, 16000] with their classes, and the recordings of noise int16 [M].

    As published: the ten keywords; of the other words a tenth as many, drawn by the seed; as many pieces of the recordings
    of noise, each at a volume from 0 to 1, as silence. Clips are cut to one second, or filled up with zeros.

    Args:
        folder: where the folders of the words are.
        seed: of unknown words, silence, and what is read under a limit.
        limit: at most so many clips a split; no more are read.
        validation: the share of the validation split where the lists are missing; with them it is theirs.

    Raises:
        DataError: the folder, a word, the noise or a listed file is missing, one of the two lists alone is there, a split has
            no clip, or a file is damaged; the message names it.
    """
    if not folder.is_dir():
        raise DataError("there is no such folder of Speech Commands", got=str(folder))
    if missing := [name for name in (*WORDS, NOISE) if not (folder / name).is_dir()]:
        raise DataError(f"{folder} is not the folder of Speech Commands: it lacks folders", got=missing,
                        hint="Unpack speech_commands_v0.02.tar.gz and name the folder that has 'yes' and 'no' in it.")
    recordings = [read_wav(path) for path in sorted((folder / NOISE).glob("*.wav"))]
    if not recordings or min(map(len, recordings)) < SAMPLES:
        raise DataError(f"{folder / NOISE} has no recordings", got=len(recordings), allowed="WAV files of a second or more")
    train, held, test = (_read(folder, part, files, recordings, np.random.default_rng((seed, stream)), seed, limit)
                         for stream, (part, files) in enumerate(_files(folder, validation).items()))
    return train, held, test, np.concatenate(recordings)


def _files(folder: Path, validation: float) -> dict[str, list[str]]:
    """The names ``word/file.wav`` by split."""
    there = {name: (folder / file).is_file() for name, file in LISTS.items()}
    if len(set(there.values())) > 1:
        raise DataError(f"{folder} has one of the two lists only", got=[LISTS[name] for name, found in there.items() if found],
                        allowed=" and ".join(LISTS.values()), hint="Without both, files are parted by the hash of their names.")
    names = sorted(str(path.relative_to(folder).as_posix()) for path in folder.glob("[!_]*/*.wav"))
    if not there["test"]:
        by_name = {name: split_of(name, validation) for name in names}
    else:
        by_name = dict.fromkeys(names, "train")
        for part, file in LISTS.items():
            for line in (folder / file).read_text(encoding="utf-8").split():
                if line not in by_name:
                    raise DataError(f"{folder / file} names a file that is not there", got=line)
                by_name[line] = part
    return {part: [name for name in names if by_name[name] == part] for part in ("train", "validation", "test")}


def _read(folder: Path, part: str, files: Sequence[str], recordings: Sequence[np.ndarray], rng: np.random.Generator,
          seed: int, limit: int | None) -> Split:
    """The clips of a split with their classes: keywords, unknown words, silence."""
    words = [name for name in files if name.partition("/")[0] in WORDS]
    others = [name for name in files if name.partition("/")[0] not in WORDS]
    if not words:
        raise DataError(f"{folder} has no clip of a keyword for the {part} split")
    count = int(np.ceil(SHARE * len(words)))
    others = [others[i] for i in rng.permutation(len(others))[:count]]
    labels = [2 + WORDS.index(name.partition("/")[0]) for name in words] + [1] * len(others) + [0] * count
    chosen = at_most(Split(np.arange(len(labels)), np.array(labels)), limit, seed)
    clips = np.empty((len(chosen), SAMPLES), np.int16)
    named = [*words, *others]
    for row, i in enumerate(chosen.inputs.tolist()):
        clips[row] = one_second(read_wav(folder / named[i])) if i < len(named) else _silence(recordings, rng)
    return Split(clips, chosen.targets)


def _silence(recordings: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """A piece of a recording, at a volume from 0 to 1."""
    recording = recordings[int(rng.integers(len(recordings)))]
    start = int(rng.integers(len(recording) - SAMPLES + 1))
    return np.round(rng.uniform() * recording[start : start + SAMPLES]).astype(np.int16)
