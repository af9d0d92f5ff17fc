"""The log of a run: continued whatever became of it, every record once, nothing from behind the checkpoint."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.training.log import JsonLines


def train(step, epoch):
    return {"kind": "train", "epoch": epoch, "step": step, "loss": [float(step)]}


def epoch(number, step):
    return {"kind": "epoch", "epoch": number, "step": step, "validation_mean": 0.5}


def note(step, epoch):
    return {"kind": "note", "epoch": epoch, "step": step, "text": "[a/b]"}


HISTORY = (epoch(0, 4), epoch(1, 8))
RECORDS = [note(0, 0), train(2, 0), train(4, 0), HISTORY[0], train(6, 1), train(8, 1), HISTORY[1], train(10, 2)]
BEHIND = [note(10, 2), train(12, 2), epoch(2, 12)]
"""What a killed run wrote after its checkpoint, which is of step 10."""


def written(records):
    return "".join(json.dumps(r) + "\n" for r in records)


def resumed(path):
    with JsonLines(path, 10, HISTORY) as log:
        log.append(train(12, 2))
        log.sync()
    return [json.loads(line) for line in path.read_text().splitlines()]


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.sampled_from(range(len(RECORDS)))), behind=st.integers(0, 3), torn=st.integers(0, 30),
       garbage=st.sampled_from(["", "\n", "[1]\n", "{}\n", "\x00\n", '{"kind": "train", "epoch": "x", "step": 1}\n', "\xff\n"]))
def test_a_log_is_continued_whatever_was_lost_of_it(tmp_path_factory, lost, behind, torn, garbage):
    path = tmp_path_factory.mktemp("log") / "metrics.jsonl"
    text = garbage + written(r for i, r in enumerate(RECORDS) if i not in lost) + written(BEHIND[:behind])
    path.write_bytes(text.encode("latin-1") + json.dumps(train(13, 2)).encode()[:torn])
    known = [r for i, r in enumerate(RECORDS) if i not in lost or r in HISTORY]
    assert resumed(path) == [*known, train(12, 2)]


def test_a_log_that_is_not_there_begins_with_the_epochs_of_the_checkpoint(tmp_path):
    assert resumed(tmp_path / "metrics.jsonl") == [*HISTORY, train(12, 2)]


def test_a_whole_log_is_left_as_it_is(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(written(RECORDS))
    before = path.stat().st_ino
    resumed(path)
    assert path.stat().st_ino == before
    assert path.read_text() == written([*RECORDS, train(12, 2)])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_a_full_disk_names_the_log():
    with open("/dev/full", "ab", buffering=0) as full, JsonLines(None, 0, ()) as log:
        log._path, log._file = "the log", full
        with pytest.raises(OSError, match="No space left on device: 'the log'"):
            log.append(train(1, 0))
