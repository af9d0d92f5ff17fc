"""Where a run gets its batches from: arrays that lie on the device, or a stream that is read ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh

from reds_jax.data.prefetch import Prefetch
from reds_jax.data.stream import Position, Stream
from reds_jax.data.tree import Tree, describe, leaves, map_tree, rows
from reds_jax.errors import DataError
from reds_jax.training.config import FitConfig
from reds_jax.training.mesh import replicated

Check = Callable[[Tree, str], None]
"""Raises an error if the targets of a batch (and where it is) are not allowed."""


@dataclass(frozen=True)
class Dispatch:
    """What one call of the compiled step works on.

    Args:
        inputs, targets: on the device.
        indices: rows [steps, batch]; rows of -1 at the end are skipped.
        last: whether the epoch ends with it.
        position: in the stream, behind it; None for arrays.
    """

    inputs: Tree
    targets: Tree
    indices: np.ndarray
    last: bool
    position: dict[str, Any] | None = None


@runtime_checkable
class Feed(Protocol):
    """The dispatches of a run, one after the other."""

    @property
    def steps_per_epoch(self) -> int | None:
        """None as long as it is not known."""
        ...

    def next(self, epoch: int, dispatch: int) -> Dispatch:
        """The dispatch of that number in that epoch."""
        ...


@dataclass(frozen=True, eq=False)
class ArrayFeed:
    """Examples in memory: in every epoch a new permutation, from seed and epoch alone."""

    inputs: Tree
    targets: Tree
    config: FitConfig

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches."""
        return rows(self.inputs) // self.config.batch_size

    def next(self, epoch: int, dispatch: int) -> Dispatch:
        """All examples, and the rows of this dispatch."""
        last = (dispatch + 1) * self.config.steps_per_dispatch >= self.steps_per_epoch
        return Dispatch(self.inputs, self.targets, self.indices(epoch, dispatch), last)

    def indices(self, epoch: int, dispatch: int) -> np.ndarray:
        """The rows [steps_per_dispatch, batch]; a short rest is filled up with -1."""
        order = np.random.default_rng((self.config.seed, epoch)).permutation(rows(self.inputs)).astype(np.int32)
        k, batch = self.config.steps_per_dispatch, self.config.batch_size
        found = order[: self.steps_per_epoch * batch].reshape(-1, batch)[dispatch * k : (dispatch + 1) * k]
        return np.concatenate([found, np.full((k - len(found), batch), -1, np.int32)])


class StreamFeed:
    """A stream that a thread reads ahead, from a position on.

    Args:
        stream: the source.
        config: how to train.
        start: where to begin.
        taken: batches of the current epoch that were taken before ``start``.
        epochs: that are still to come, the current one included.
        check: of the targets of every batch.
        mesh: of the devices, see `reds_jax.training.mesh`.
    """

    def __init__(
        self, stream: Stream, config: FitConfig, start: Position, taken: int, epochs: int, check: Check, mesh: Mesh | None
    ) -> None:
        self.steps_per_epoch = stream.length
        self._prefetch = Prefetch(
            lambda: _dispatches(stream, config.steps_per_dispatch, start, taken, epochs, check, mesh), stream.prefetch)

    def __enter__(self) -> StreamFeed:
        return self

    def __exit__(self, *raised: object) -> None:
        self._prefetch.close()

    def next(self, epoch: int, dispatch: int) -> Dispatch:
        """The next dispatch; a stream has no other."""
        return next(self._prefetch)


def open_feed(
    train: Any, config: FitConfig, *, position: dict[str, Any] | None, epoch: int, taken: int, check: Check, mesh: Mesh | None
) -> AbstractContextManager[Any]:
    """The feed of a run that stands in ``epoch`` after ``taken`` steps, at ``position`` of a stream (None: not begun).

    Every device of a ``mesh`` gets all examples, of which a step takes the rows that belong to it.
    """
    if not isinstance(train, Stream):
        inputs, targets = replicated((train.inputs, train.targets), mesh)
        return nullcontext(ArrayFeed(inputs, targets, config))
    start = Position() if position is None else Position(**position)
    if train.resumes == "epoch" and start.batch:  # only with Stream(steps=...): its epochs end within a pass
        start = Position(start.passes + 1)
    return StreamFeed(train, config, start, taken, config.epochs - epoch, check, mesh)


def _dispatches(
    stream: Stream, most: int, start: Position, taken: int, epochs: int, check: Check, mesh: Mesh | None
) -> Iterator[Dispatch]:
    """Up to ``most`` batches each, on the device, until so many epochs have ended."""
    group: list[tuple[Tree, Tree]] = []
    for inputs, targets, position, ends in _flow(stream, start, check):
        group.append((inputs, targets))
        taken += 1
        last = taken == stream.steps if stream.steps is not None else ends
        if len(group) < most and not last:
            continue
        size, steps = stream.batch_size, len(group)
        indices = np.where(np.arange(most)[:, None] < steps, np.arange(most * size, dtype=np.int32).reshape(most, size), -1)
        group += group[-1:] * (most - steps)  # the shape of the compiled step
        x = _joined([inputs for inputs, _ in group])
        y = None if targets is None else _joined([targets for _, targets in group])
        x, y = replicated((x, y), mesh)
        yield Dispatch(x, y, indices.astype(np.int32), last, position.to_json())
        group = []
        if last:
            taken, epochs = 0, epochs - 1
            if not epochs:
                return


def _flow(stream: Stream, start: Position, check: Check) -> Iterator[tuple[Tree, Tree, Position, bool]]:
    """Whole batches, pass after pass without end, each with the position behind it and whether its pass ends with it."""
    position = start
    while True:
        batches = _whole(stream, position, check)
        ahead = next(batches, None)
        if ahead is None and not position.batch:
            raise DataError(f"pass {position.passes} of the stream {stream.name!r} has no whole batch",
                            got=f"nothing of {stream.batch_size} examples", hint="Can its source be started again?")
        following = Position(position.passes + 1)
        while ahead is not None:
            (inputs, targets, position), ahead = ahead, next(batches, None)
            yield inputs, targets, position if ahead is not None else following, ahead is None
        position = following


def _whole(stream: Stream, start: Position, check: Check) -> Iterator[tuple[Tree, Tree, Position]]:
    """The rest of a pass, checked; the last batch is left out if it is smaller than the others."""
    form, size, small = _form(*stream.example), stream.batch_size, None
    for inputs, targets, position in stream.read(start):
        where = f"the stream {stream.name!r}, pass {position.passes}, batch {position.batch - 1}"
        if small is not None or rows(inputs) > size:
            raise DataError(f"{where if small is None else small} has another size than the first one",
                            got=rows(inputs) if small is None else f"less than {size} examples", allowed=f"{size} examples",
                            hint="Only the last batch of a pass may be smaller.")
        if _form(inputs, targets) != form:
            raise DataError(f"{where} has another form than the first one", got=_form(inputs, targets), allowed=form)
        if rows(inputs) < size:
            small = where
            continue
        if targets is not None:
            check(targets, f"targets of {where}")
        yield inputs, targets, position


def _form(inputs: Tree, targets: Tree) -> str:
    return f"{describe(inputs)} -> {'none' if targets is None else describe(targets)}"


def _joined(trees: Sequence[Tree]) -> Tree:
    """The examples of several batches, one behind the other."""
    parts = [dict(leaves(tree)) for tree in trees]
    return map_tree(lambda path, _: np.concatenate([part[path] for part in parts]), trees[0])


def read_ahead(stream: Stream, limit: int | None = None, check: Check | None = None) -> Iterator[tuple[Tree, Tree]]:
    """One pass, or its first ``limit`` batches, (inputs, targets) on the device; the last one may be smaller."""

    def batches() -> Iterator[tuple[Tree, Tree]]:
        for i, (inputs, targets) in enumerate(islice(stream, limit)):
            if check is not None and targets is not None:
                check(targets, f"targets of the stream {stream.name!r}, batch {i}")
            yield jax.device_put((inputs, targets))

    with Prefetch(batches, stream.prefetch) as prefetched:
        yield from prefetched
