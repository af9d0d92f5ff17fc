"""Streams by themselves: sources of every form, positions, what is refused; and the thread that reads ahead."""

import json
import threading
import time

import numpy as np
import pytest

from reds_jax.data import Stream
from reds_jax.data.prefetch import Prefetch
from reds_jax.data.stream import Position
from reds_jax.errors import DataError, InvalidArgumentError

BATCHES = [(np.full((4, 3), i, np.float32), np.full(4, i)) for i in range(5)]


class WithState:
    """The protocol of grain: iterators that tell and take their state."""

    def __init__(self, encode=lambda i: {"next": i}, decode=lambda state: state["next"]):
        self.encode, self.decode = encode, decode

    def __iter__(self):
        outer = self

        class Iterator:
            at = 0

            def __iter__(self):
                return self

            def __next__(self):
                if self.at == len(BATCHES):
                    raise StopIteration
                self.at += 1
                return BATCHES[self.at - 1]

            def get_state(self):
                return outer.encode(self.at)

            def set_state(self, state):
                self.at = outer.decode(state)

        return Iterator()


class Tensor:
    """What NumPy can read and is no array."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


def numbers(batches):
    return [int(inputs[0, 0]) for inputs, *_ in batches]


@pytest.mark.parametrize("source", [
    BATCHES,
    lambda: iter(BATCHES),
    lambda passes: ((x + 0 * passes, y) for x, y in BATCHES),
    WithState(),
    [list(batch) for batch in BATCHES],
    [(Tensor(x), Tensor(y)) for x, y in BATCHES],
], ids=["list", "function", "function of the pass", "grain", "pairs that are lists", "tensors"])
def test_a_source_is_read_again_and_again(source):
    stream = Stream(source)
    assert numbers(stream) == numbers(stream) == [0, 1, 2, 3, 4]
    assert (stream.batch_size, stream.example[1].dtype) == (4, np.int32)
    assert stream.describe() == "stream: batches of 4, float32 [3] -> int32 []"


def test_a_function_may_be_told_the_number_of_the_pass():
    seen = []

    def source(passes, folder="nowhere"):
        seen.append((passes, folder))
        return iter(BATCHES)

    assert [len(list(Stream(source).read(Position(k)))) for k in (0, 3)] == [5, 5]
    assert seen == [(0, "nowhere"), (3, "nowhere")]


def test_batches_that_are_dicts():
    named = [{"image": x, "label": y, "weight": y} for x, y in BATCHES]
    x, y = Stream(named, inputs="image", targets="label").example
    np.testing.assert_array_equal(y, BATCHES[0][1])
    x, y = Stream(named, inputs=("image", "weight"), targets=None).example
    assert (sorted(x), y) == (["image", "weight"], None)
    with pytest.raises(DataError, match=r"batch 0 cannot be used: it lacks a name; got \['\w+'\]; allowed: image, label"):
        _ = Stream(named).example
    assert Stream([x for x, _ in BATCHES], targets=None).example[1] is None


@pytest.mark.parametrize(("encode", "decode"), [
    (lambda i: {"next": i}, lambda state: state["next"]),
    (lambda i: f"state {i}".encode(), lambda state: int(state.split()[1])),
])
def test_a_state_goes_through_json(encode, decode):
    stream = Stream(WithState(encode, decode))
    assert stream.resumes == "state"
    for inputs, _, position in stream.read(Position()):
        again = Position(**json.loads(json.dumps(position.to_json())))
        assert again == position
        assert numbers(stream.read(again)) == list(range(int(inputs[0, 0]) + 1, 5))


def test_a_deterministic_source_is_read_over():
    stream = Stream(lambda: iter(BATCHES), deterministic=True)
    assert stream.resumes == "skip"
    assert numbers(stream.read(Position(0, 3))) == [3, 4]
    with pytest.raises(DataError, match="has become shorter; got '5 batches'"):
        list(stream.read(Position(0, 6)))
    assert Stream(lambda: iter(BATCHES)).resumes == "epoch"


def test_the_length_is_known_where_the_source_knows_it():
    assert Stream(BATCHES).length == 5
    assert Stream(lambda: iter(BATCHES)).length is None
    assert Stream(lambda: iter(BATCHES), steps=3).length == 3
    assert numbers(Stream(BATCHES, steps=3)) == [0, 1, 2]


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Stream(iter(BATCHES)), "is an iterator, which can be read only once; got 'list_iterator'.*Give the function"),
    (lambda: Stream(x for x in BATCHES), "got 'generator'"),
    (lambda: Stream(7), "cannot be read; got 'int'"),
    (lambda: Stream([]).example, "has no batch"),
    (lambda: Stream([BATCHES[0][0]]).example, r"it is no pair; got 'ndarray'.*targets=None"),
    (lambda: Stream([(np.array([np.nan]), np.array([0]))], name="mine").example,
     "the stream 'mine', pass 0, batch 0 cannot be used: inputs has a value that is not allowed in row 0; got nan"),
    (lambda: list(Stream(WithState(lambda i: object())).read(Position())), "state of the source cannot be stored"),
])
def test_what_is_no_stream_is_named(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("options", [{"steps": 0}, {"prefetch": 0}, {"prefetch": True}, {"steps": 2.0}])
def test_wrong_options(options):
    with pytest.raises(InvalidArgumentError, match=f"{next(iter(options))} is out of range"):
        Stream(BATCHES, **options)


def test_reading_ahead_is_bounded_and_in_order():
    made = []

    def items():
        for i in range(20):
            made.append(i)
            yield i

    with Prefetch(items, 3) as prefetch:
        first = next(prefetch)
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.02)
        assert len(made) == 5  # one taken, three wait, one in the hand of the thread
        assert [first, *prefetch] == list(range(20))


def test_an_error_comes_where_the_item_would_have_been():
    def items():
        yield 1
        yield 2
        raise OSError("the disk is gone")

    with Prefetch(items, 5) as prefetch:
        assert (next(prefetch), next(prefetch)) == (1, 2)
        for _ in range(2):
            with pytest.raises(OSError, match="the disk is gone"):
                next(prefetch)


def test_closing_stops_the_thread_and_closes_the_source():
    threads, closed = threading.active_count(), []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(True)

    with Prefetch(items, 2) as prefetch:
        next(prefetch)
    assert closed == [True]
    assert threading.active_count() == threads
    with pytest.raises(StopIteration):
        next(prefetch)


def test_grain_itself():
    grain = pytest.importorskip("grain")
    data = grain.MapDataset.source(np.arange(20, dtype=np.float32)).map(lambda x: (x, x)).seed(0).shuffle().batch(4)
    stream = Stream(data.to_iter_dataset())
    assert stream.resumes == "state"
    everything = [x.tolist() for x, _, _ in stream.read(Position())]
    for i, (_, _, position) in enumerate(stream.read(Position())):
        again = Position(**json.loads(json.dumps(position.to_json())))
        assert [x.tolist() for x, _, _ in stream.read(again)] == everything[i + 1 :]
