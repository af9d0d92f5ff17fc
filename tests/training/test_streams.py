"""Training and evaluation on streams: the same as on arrays, and a stopped run goes on where its source can."""

import io
import json
import threading
import time

import jax
import numpy as np
import pytest
from rich.console import Console
from training_nets import examples, initial, tiny_mlp

from reds_jax.data import Stream
from reds_jax.errors import CheckpointError, DataError, InvalidArgumentError
from reds_jax.training import FitConfig, Optimizer, Schedule, evaluate, feed, fit, loop, recalibrate

MODEL, WIDTHS = tiny_mlp(), (1.0, 0.5)
TRAIN, HELD = examples(84), examples(30, 1)  # 7 batches of 12
CONFIG = FitConfig(epochs=3, batch_size=12, steps_per_dispatch=2, recalibrate_batches=2, evaluate_batch_size=12,
                   checkpoint_dispatches=1, optimizer=Optimizer(schedule=Schedule(learning_rate=0.01)))


def shuffled(passes, data=TRAIN, size=12):
    """Batches in another order in every pass."""
    order = np.random.default_rng((7, passes)).permutation(len(data))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield data.inputs[rows], data.targets[rows]


class Grain:
    """A source whose iterators tell their state, which is all they have; it counts what is read."""

    def __init__(self):
        self.read = []

    def __iter__(self):
        return GrainIterator(self)


class GrainIterator:
    def __init__(self, source):
        self.source, self.passed = source, 0

    def __iter__(self):
        return self

    def __next__(self):
        if self.passed == 7:
            raise StopIteration
        batch = TRAIN.take(np.arange(12 * self.passed, 12 * self.passed + 12))
        self.source.read.append(self.passed)
        self.passed += 1
        return batch.inputs, batch.targets

    def get_state(self):
        return json.dumps({"passed": self.passed}).encode()

    def set_state(self, state):
        self.passed = json.loads(state)["passed"]


def run(train, console=None, config=CONFIG, held=HELD, **options):
    return fit(MODEL, initial(MODEL), WIDTHS, train, held, config, console=console or Console(quiet=True), **options)


def pairs(a, b):
    return zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)


def same(a, b):
    for x, y in pairs((a.state.params, a.batch_stats), (b.state.params, b.batch_stats)):
        np.testing.assert_array_equal(x, y)


def records(folder, kind):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k != "seconds"} for r in found if r["kind"] == kind]


def stopped(monkeypatch, after, folder, train, error=KeyboardInterrupt, **options):
    """A run that ends in its dispatch number ``after``; without a word to the loop if the error is not Ctrl-C."""
    record, calls = loop.Run.train_record, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == after:
            raise error
        return record(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Run, "train_record", interrupted)
        with pytest.raises(error):
            run(train, folder=folder, **options)


@pytest.fixture(scope="module")
def uninterrupted():
    return run(Stream(shuffled))


def test_a_stream_is_trained_on_like_the_arrays_it_gives(monkeypatch):
    """The same rows in the same order from an array and from a stream: the same network, bit for bit."""
    feeds = {epoch: np.random.default_rng((7, epoch)).permutation(84).astype(np.int32) for epoch in range(3)}

    def indices(self, epoch, dispatch):
        rows = feeds[epoch].reshape(-1, 12)[2 * dispatch : 2 * dispatch + 2]
        return np.concatenate([rows, np.full((2 - len(rows), 12), -1, np.int32)])

    config = FitConfig(**{**CONFIG.__dict__, "recalibrate_batches": 0})
    streamed = run(Stream(shuffled), config=config)
    monkeypatch.setattr(feed.ArrayFeed, "indices", indices)
    same(streamed, run(TRAIN, config=config))
    assert int(streamed.state.step) == 21
    assert [r["step"] for r in streamed.history] == [7, 14, 21]


def test_evaluation_and_recalibration_on_streams(uninterrupted):
    """30 examples in batches of 12: the last, smaller one counts in evaluation."""
    stream = Stream(lambda: ((HELD.inputs[i : i + 12], HELD.targets[i : i + 12]) for i in (0, 12, 24)))
    arguments = MODEL, uninterrupted.params, uninterrupted.batch_stats, WIDTHS
    arrays = evaluate(*arguments, HELD.inputs, HELD.targets, batch_size=12)
    assert [(e.metric, e.examples) for e in evaluate(*arguments, stream)] == [(e.metric, 30) for e in arrays]
    variables = {"params": uninterrupted.params, "batch_stats": uninterrupted.batch_stats[0]}
    of_stream = recalibrate(MODEL, variables, WIDTHS, stream, key=jax.random.key(0))
    of_arrays = recalibrate(MODEL, variables, WIDTHS, HELD.inputs[:24], key=jax.random.key(0), batch_size=24)
    for a, b in pairs([s["stem_norm"] for s in of_stream], [s["stem_norm"] for s in of_arrays]):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)  # the first layer's do not depend on the batches
    held = run(Stream(shuffled), held=stream)
    assert held.best_metric == uninterrupted.best_metric


@pytest.mark.parametrize(("dispatch", "error"), [
    (2, KeyboardInterrupt), (7, SystemExit),
    *(pytest.param(*case, marks=pytest.mark.slow)
      for case in ((2, SystemExit), (4, KeyboardInterrupt), (4, SystemExit), (7, KeyboardInterrupt)))])
def test_a_deterministic_stream_goes_on_at_the_same_batch(uninterrupted, tmp_path, monkeypatch, dispatch, error):
    stream = Stream(shuffled, deterministic=True)
    stopped(monkeypatch, dispatch, tmp_path, stream, error)
    same(run(stream, folder=tmp_path), uninterrupted)
    assert [r["step"] for r in records(tmp_path, "train")] == [2, 4, 6, 7, 9, 11, 13, 14, 16, 18, 20, 21]
    assert records(tmp_path, "note") == []


def test_a_source_with_a_state_goes_on_at_the_same_batch_without_reading_over(tmp_path, monkeypatch):
    expected = run(Stream(Grain()))
    stopped(monkeypatch, 7, tmp_path, Stream(Grain()), SystemExit)
    source = Grain()
    same(run(Stream(source), folder=tmp_path), expected)
    assert source.read[:3] == [0, 4, 5]  # the example; then from batch 4 of the second pass on, where the checkpoint was


@pytest.mark.parametrize("steps", [None, 3])
def test_any_other_source_starts_its_epoch_again_and_says_so(tmp_path, monkeypatch, steps):
    starts, out = [], io.StringIO()

    def source(passes):
        starts.append(passes)
        return shuffled(passes)

    stream = Stream(source, steps=steps)
    stopped(monkeypatch, 6 if steps is None else 4, tmp_path, stream)  # within the second epoch
    positions = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert positions == [2 * (steps or 7) + 1]  # the end of the first epoch alone, though Ctrl-C came later
    starts.clear()
    result = run(stream, Console(file=out, width=300), folder=tmp_path)
    assert starts[0] == 1  # a new pass, not the old one read over
    assert "epoch 2 starts again, at a first batch" in out.getvalue()
    notes = records(tmp_path, "note")
    assert ["starts again" in note["text"] for note in notes] == [False, True]
    assert "cannot tell where it is" in notes[0]["text"]
    assert int(result.state.step) == 3 * (steps or 7)
    if steps is None:  # this source is deterministic in truth, so that the epoch that starts again is the same one
        same(result, run(Stream(shuffled)))


def test_epochs_of_so_many_steps_go_on_where_the_last_one_stopped(monkeypatch):
    seen = []
    take = feed.StreamFeed.next

    def spy(self, epoch, dispatch):
        found = take(self, epoch, dispatch)
        used = found.indices[found.indices >= 0]
        seen.append((epoch, np.asarray(found.inputs)[used], found.last))
        return found

    monkeypatch.setattr(feed.StreamFeed, "next", spy)
    result = run(Stream(shuffled, steps=5))
    assert int(result.state.step) == 15
    expected = np.concatenate([x for passes in range(3) for x, _ in shuffled(passes)])[: 15 * 12]
    np.testing.assert_array_equal(np.concatenate([x for _, x, _ in seen]), expected)
    assert [len(x) // 12 for epoch, x, _ in seen if epoch == 1] == [2, 2, 1]
    assert [last for _, _, last in seen] == [False, False, True] * 3


def test_a_rest_that_fills_no_batch_is_not_trained_on():
    small = Stream(lambda passes: shuffled(passes, examples(80)))  # 6 batches of 12, and 8
    assert int(run(small).state.step) == 18
    assert run(small).history[0]["step"] == 6


@pytest.mark.parametrize(("batches", "message"), [
    ([12, 11, 12], "batch 1 has another size than the first one; got 'less than 12 examples'.*Only the last batch"),
    ([12, 13], "batch 1 has another size than the first one; got 13; allowed: 12"),
])
def test_batches_of_other_sizes(batches, message):
    def source():
        for size in batches:
            yield TRAIN.inputs[:size], TRAIN.targets[:size]

    with pytest.raises(DataError, match=message):
        run(Stream(source))


def test_batches_of_another_form():
    def source():
        yield TRAIN.inputs[:12], TRAIN.targets[:12]
        yield TRAIN.inputs[:12].astype(np.float32), TRAIN.targets[:12]

    with pytest.raises(DataError, match=r"batch 1 has another form.*got 'float32 \[8, 8, 1\] -> int32 \[\]'"):
        run(Stream(source))


def test_an_error_in_the_source_is_raised_as_it_is_and_leaves_no_thread(tmp_path):
    threads = threading.active_count()

    def source(passes):
        for i, batch in enumerate(shuffled(passes)):
            if passes == 1 and i == 4:
                raise OSError("the network is down")
            yield batch

    with pytest.raises(OSError, match="the network is down"):
        run(Stream(source, deterministic=True), folder=tmp_path)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reds_jax")]
    until = time.monotonic() + 20  # pools of the checkpoints end their threads when they get to it
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == threads
    assert [r["step"] for r in records(tmp_path, "train")] == [2, 4, 6, 7, 9]  # whether batch 3 is the last was not known
    same(run(Stream(shuffled, deterministic=True), folder=tmp_path), run(Stream(shuffled)))


def test_a_source_that_cannot_be_started_again():
    once = iter([*shuffled(0)])
    with pytest.raises(DataError, match="the stream 'stream' has no whole batch.*started again"):
        run(Stream(lambda: once))


def test_the_batch_size_of_the_configuration_is_that_of_the_stream():
    with pytest.raises(InvalidArgumentError, match=r"got 12; allowed: batch_size=16. Give FitConfig\(batch_size=12\)"):
        run(Stream(shuffled), config=FitConfig(**{**CONFIG.__dict__, "batch_size": 16}))


def test_another_stream_is_another_run(tmp_path):
    run(Stream(shuffled), folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"\['data.train'\]"):
        run(Stream(shuffled, steps=3), folder=tmp_path)
    with pytest.raises(CheckpointError, match=r"\['data.train'\]"):
        run(TRAIN, folder=tmp_path)
