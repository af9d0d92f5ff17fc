"""Data that do not fit in memory: any source of batches that can be started again, and where one is in it.

Nothing is imported for a source: grain, tf.data, torch and generator functions are all told by what they do.
"""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from ..errors import DataError, InvalidArgumentError
from .normalise import read
from .split import Split
from .tree import Tree, describe, rows, take


@dataclass(frozen=True)
class Position:
    """Where one is in a stream.

    Args:
        passes: how often the source was read to its end before.
        batch: batches read since it was last started.
        state: what the source itself says of that (as JSON), if it does.
    """

    passes: int = 0
    batch: int = 0
    state: Any = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object for a checkpoint."""
        return {"passes": self.passes, "batch": self.batch, "state": self.state}


@dataclass(frozen=True, eq=False)
class Stream:
    """Batches from a source that can be started again; read ahead by a thread and brought to the device.

    Args:
        source: an iterable (a grain DataLoader or Dataset, a tf.data.Dataset, a torch DataLoader), or a function that returns
            an iterator; if that takes one argument, it is the number of the pass, from 0, to shuffle by. A batch is a pair
            (inputs, targets), or a dict. Arrays of any library that NumPy reads. Batches have one size; what is left over
            at the end of a pass and fills none is not trained on, but is evaluated.
        steps: batches of an epoch; the next epoch then goes on where the last one stopped, and the source is started again
            when it ends. None: an epoch is one pass, and its length is found out.
        inputs: the name of the inputs in a batch that is a dict, or several names: the network gets a dict of them.
        targets: likewise. None: there are none, a batch is the inputs alone, which are the targets.
        deterministic: the source gives the same batches in every run (in the same pass), so that a stopped run may go on by
            reading over what it has seen. Not needed where the source's iterator has ``get_state`` and ``set_state`` (grain).
        prefetch: how many dispatches (or batches, in evaluation) are made ready ahead.
        name: for messages and the record of a run.

    Raises:
        DataError: the source is an iterator, which can be read only once, or it is neither iterable nor callable.
    """

    source: Iterable[Any] | Callable[..., Iterator[Any]]
    steps: int | None = None
    inputs: str | tuple[str, ...] = "inputs"
    targets: str | tuple[str, ...] | None = "targets"
    deterministic: bool = False
    prefetch: int = 2
    name: str = "stream"

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("prefetch", self.prefetch)):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InvalidArgumentError(f"{name} is out of range", got=value, allowed="an integer from 1 up")
        if isinstance(self.source, Iterator):
            raise DataError(f"the source of {self.name!r} is an iterator, which can be read only once",
                            got=type(self.source).__name__, allowed="what can be started again",
                            hint="Give the function that makes it, not its result.")
        if not isinstance(self.source, Iterable) and not callable(self.source):
            raise DataError(f"the source of {self.name!r} cannot be read", got=type(self.source).__name__,
                            allowed="an iterable of batches, or a function that returns an iterator")

    @property
    def length(self) -> int | None:
        """Batches of an epoch, as far as it is known beforehand."""
        if self.steps is not None:
            return self.steps
        return len(self.source) if hasattr(self.source, "__len__") else None  # type: ignore[arg-type]

    @cached_property
    def _first(self) -> tuple[tuple[Tree, Tree], bool]:
        """The first batch, and whether the source tells where it is; read once."""
        iterator = self._start(0)
        batch = next(iterator, _END)
        if batch is _END:
            raise DataError(f"the stream {self.name!r} has no batch")
        split = self._split(batch, f"the stream {self.name!r}, pass 0, batch 0")
        return (split.inputs, split.targets), _tells_state(iterator)

    @property
    def example(self) -> tuple[Tree, Tree]:
        """The first batch, (inputs, targets)."""
        return self._first[0]

    @property
    def batch_size(self) -> int:
        """Examples of a batch."""
        return rows(self.example[0])

    @property
    def resumes(self) -> Literal["state", "skip", "epoch"]:
        """How a stopped run goes on: by the state of the source, by reading over what was seen, or with its epoch anew."""
        if self._first[1]:
            return "state"
        return "skip" if self.deterministic else "epoch"

    def __iter__(self) -> Iterator[tuple[Tree, Tree]]:
        """One pass: (inputs, targets) of every batch, of ``steps`` batches at most."""
        for inputs, targets, position in self.read(Position()):
            yield inputs, targets
            if position.batch == self.steps:
                return

    def read(self, start: Position) -> Iterator[tuple[Tree, Tree, Position]]:
        """The rest of a pass: every batch, checked, with the position behind it.

        Raises:
            DataError: a batch has no such form, or the source cannot be brought to ``start``; the message names the batch.
        """
        iterator, where = self._start(start.passes), f"the stream {self.name!r}, pass {start.passes}"
        if start.state is not None:
            iterator.set_state(_decoded(start.state))
        else:
            for i in range(start.batch):
                if next(iterator, _END) is _END:
                    raise DataError(f"{where} has become shorter", got=f"{i} batches", allowed=f"more than {start.batch}")
        position = start
        for batch in iterator:
            here = f"{where}, batch {position.batch}"
            state = _encoded(iterator.get_state(), here) if _tells_state(iterator) else None
            split = self._split(batch, here)
            position = replace(position, batch=position.batch + 1, state=state)
            yield split.inputs, split.targets, position

    def describe(self) -> str:
        """One line: name, form of a batch."""
        inputs, targets = self.example
        return f"{self.name}: batches of {self.batch_size}, {describe(inputs)} -> " \
               f"{'the inputs' if targets is None else describe(targets)}"

    def _start(self, passes: int) -> Any:
        """A new iterator over the source."""
        if isinstance(self.source, Iterable):
            return iter(self.source)
        required = [p for p in inspect.signature(self.source).parameters.values()
                    if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        return iter(self.source(passes) if required else self.source())

    def _split(self, batch: Any, where: str) -> Split:
        """A batch, checked like data in memory."""
        try:
            if isinstance(batch, Mapping):
                targets = None if self.targets is None else _named(batch, self.targets)
                return Split(_named(batch, self.inputs), targets)
            if self.targets is None:
                return Split(batch)
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise DataError("it is no pair", got=type(batch).__name__, allowed="(inputs, targets), or a dict",
                                hint="Without targets: Stream(..., targets=None).")
            return Split(*batch)
        except DataError as error:
            raise DataError(f"{where} cannot be used: {str(error).rstrip('.')}") from error


@dataclass(frozen=True, eq=False)
class StreamedData:
    """Like a `DataSet`, with a train split that does not fit in memory.

    Args:
        name: the name of the task.
        train: is read anew for scores, for training and for batch statistics.
        validation, test: in memory, or streams as well.
        normalise: inputs as the model reads them; None: uint8 becomes ``x / 255``, anything else stays.
    """

    name: str
    train: Stream
    validation: Split | Stream
    test: Split | Stream
    normalise: Callable[[Any], Any] | None = None

    def example(self) -> Tree:
        """The first input of ``train`` as the model reads it, [1, ...]: for ``model.init`` and `reds_jax.trace`."""
        return read(take(self.train.example[0], slice(0, 1)), self.normalise)


_END = object()


def _tells_state(iterator: Any) -> bool:
    """Whether an iterator has the protocol of grain."""
    return hasattr(iterator, "get_state") and hasattr(iterator, "set_state")


def _named(batch: Mapping[str, Any], names: str | tuple[str, ...]) -> Tree:
    if missing := [name for name in ([names] if isinstance(names, str) else names) if name not in batch]:
        raise DataError("it lacks a name", got=missing, allowed=", ".join(map(str, batch)),
                        hint="Name them: Stream(..., inputs=..., targets=...).")
    return batch[names] if isinstance(names, str) else {name: batch[name] for name in names}


def _encoded(state: Any, where: str) -> Any:
    """The state of a source as JSON."""
    if isinstance(state, bytes):
        return {"base64": base64.b64encode(state).decode()}
    try:
        return {"json": json.loads(json.dumps(state))}
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: the state of the source cannot be stored ({error})", got=type(state).__name__,
                        allowed="bytes, or what JSON holds") from error


def _decoded(state: Any) -> Any:
    return base64.b64decode(state["base64"]) if "base64" in state else state["json"]
