"""Path decomposition: groups are decided one by one, and the state is the widths that later tables still need.

On a chain the state is the width of the group before. In a residual network a state may hold two widths, such as that of
a stage and that of the layer inside a block. Layer t has the arcs (state, width of the next group); every table is charged
in the layer that decides the last of its groups, so a choice of widths is a path and its value the sum along it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.table import Table

MAX_ARCS = 2_000_000


@dataclass(frozen=True)
class Layer:
    """The arcs that decide one group, as a block of shape (dropped, kept, width).

    A source state is the pair (dropped, kept): the widths that are not needed after this layer, and those that are. The
    target state is (kept, width), or kept alone if no later table needs the width. Arrays over arcs have the shape of
    the block, or 1 in an axis on which they do not depend.
    """

    group: int
    blocks: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # the groups behind each axis
    shape: tuple[int, int, int]
    stays: bool
    gather: np.ndarray | None  # source state of the next layer -> target state of this one; None if they are the same
    scatter: np.ndarray | None  # the inverse
    value: np.ndarray
    costs: dict[str, np.ndarray]
    peaks: dict[str, np.ndarray]

    @property
    def targets(self) -> int:
        """Number of states after this layer."""
        return self.shape[1] * (self.shape[2] if self.stays else 1)

    def ends(self, arcs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tail state, width index and head state (as numbered by the next layer) of arcs given by flat number."""
        tail, width = np.divmod(arcs, self.shape[2])
        head = tail % self.shape[1]
        if self.stays:
            head = head * self.shape[2] + width
        return tail, width, head if self.scatter is None else self.scatter[head]

    def ahead_block(self, ahead: np.ndarray) -> np.ndarray:
        """Numbers of the states after this layer, as a block over its arcs."""
        if self.scatter is not None:
            ahead = ahead[self.scatter]
        return ahead.reshape(1, self.shape[1], self.shape[2] if self.stays else 1)

    def at(self, array: np.ndarray, arcs: np.ndarray) -> np.ndarray:
        """The entries of an array over arcs, for arcs given by flat number."""
        if array.shape == self.shape:
            return array.reshape(-1)[arcs]
        tail, width = np.divmod(arcs, self.shape[2])
        dropped, kept = np.divmod(tail, self.shape[1])
        axes = [i if n > 1 else 0 for i, n in zip((dropped, kept, width), array.shape, strict=True)]
        found = array[tuple(axes)]
        return found if np.ndim(found) else np.full(len(arcs), found)


class Layered:
    """The layered graph of states of a problem.

    Args:
        sizes: for each group the number of its allowed widths.
        values, resources, peaks: the tables of the problem, their groups given by index.

    Raises:
        InvalidArgumentError: if a layer has more than ``MAX_ARCS`` arcs in every order of the groups that was tried.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        values: Sequence[Table],
        resources: Mapping[str, Sequence[Table]],
        peaks: Mapping[str, Sequence[Table]],
    ) -> None:
        self.sizes = list(sizes)
        spans = _spans(values, resources, peaks)
        self.order, largest = _best_order(self.sizes, spans)
        if largest > MAX_ARCS:
            raise InvalidArgumentError(
                "the widths that must be remembered together are too many for the exact solver",
                got=f"{largest} arcs in a layer", allowed=f"at most {MAX_ARCS}",
                hint='Use a larger step between the allowed widths, or method="milp".',
            )  # fmt: skip
        position = {g: t for t, g in enumerate(self.order)}
        until = _until(self.order, spans)
        states = [[g for g in self.order[:t] if until[g] >= t] for t in range(len(self.order) + 1)]
        sources = [sorted(s, key=lambda g, t=t: (until[g] > t, position[g])) for t, s in enumerate(states)]

        def due(all_tables: Sequence[Table], t: int) -> list[Table]:
            return [table for table in all_tables if max(position[int(g)] for g in table.groups) == t]

        self.layers: list[Layer] = []
        for t, group in enumerate(self.order):
            dropped = [g for g in sources[t] if until[g] == t]
            kept = [g for g in sources[t] if until[g] > t]
            stays = until[group] > t
            blocks = (dropped, kept, [group])
            shape = tuple(math.prod(self.sizes[g] for g in block) for block in blocks)
            target = kept + [group] * stays
            number = np.arange(math.prod(self.sizes[g] for g in target)).reshape([self.sizes[g] for g in target])
            gather = number.transpose([target.index(g) for g in sources[t + 1]]).ravel()
            same = bool((gather == np.arange(gather.size)).all())
            add = lambda ts, blocks=blocks: _combine(ts, blocks, self.sizes, np.add)  # noqa: E731
            top = lambda ts, blocks=blocks: _combine(ts, blocks, self.sizes, np.maximum)  # noqa: E731
            self.layers.append(
                Layer(
                    group=group,
                    blocks=(tuple(dropped), tuple(kept), (group,)),
                    shape=(shape[0], shape[1], shape[2]),
                    stays=stays,
                    gather=None if same else gather,
                    scatter=None if same else np.argsort(gather),
                    value=add(due(values, t)),
                    costs={name: add(due(ts, t)) for name, ts in resources.items()},
                    peaks={name: top(d) for name, ts in peaks.items() if (d := due(ts, t))},
                )
            )

    @property
    def arcs(self) -> int:
        """Number of arcs over all layers."""
        return sum(math.prod(layer.shape) for layer in self.layers)

    def cheapest(self, name: str) -> tuple[int, ...]:
        """The positions of the widths at which a resource, or a peak, costs least; everything else is left aside."""
        peak = any(name in layer.peaks for layer in self.layers)
        join = np.maximum if peak else np.add
        arrays = [layer.peaks.get(name) if peak else layer.costs[name] for layer in self.layers]
        ahead = np.array([min(a.min() for a in arrays if a is not None) if peak else 0])
        choices: list[np.ndarray] = []
        for layer, array in zip(reversed(self.layers), reversed(arrays), strict=True):
            rest = layer.ahead_block(ahead)
            total = np.broadcast_to(rest if array is None else join(rest, array), layer.shape)
            choices.append(total.argmin(axis=2).reshape(-1))
            ahead = total.min(axis=2).reshape(-1)
        chosen = [0] * len(self.layers)
        state = 0
        for layer, choice in zip(self.layers, reversed(choices), strict=True):
            _, width, head = layer.ends(np.array([state * layer.shape[2] + choice[state]]))
            chosen[layer.group], state = int(width[0]), int(head[0])
        return tuple(chosen)


def _combine(tables: list[Table], blocks: tuple[list[int], ...], sizes: list[int], join: np.ufunc) -> np.ndarray:
    """The sum or maximum of tables as one array over arcs, of length 1 in the blocks that no table touches."""
    total = None
    for table in tables:
        axes = [int(g) for g in table.groups]
        flat = [g for block in blocks for g in block]
        array = table.array.transpose(sorted(range(len(axes)), key=lambda j: flat.index(axes[j])))
        array = array.reshape([sizes[g] if g in axes else 1 for g in flat])
        wide = [sizes[g] if any(h in axes for h in block) else 1 for block in blocks for g in block]
        touched = [math.prod(sizes[g] for g in b) if any(g in axes for g in b) else 1 for b in blocks]
        array = np.broadcast_to(array, wide).reshape(touched)
        total = array if total is None else join(total, array)
    return np.zeros((1, 1, 1), dtype=np.int64) if total is None else total


def _until(order: Sequence[int], spans: Sequence[tuple[int, ...]]) -> dict[int, int]:
    """For each group the last layer whose tables need its width."""
    position = {g: t for t, g in enumerate(order)}
    until = dict(position)
    for span in spans:
        last = max(position[g] for g in span)
        for g in span:
            until[g] = max(until[g], last)
    return until


def _arc_counts(order: Sequence[int], sizes: Sequence[int], spans: Sequence[tuple[int, ...]]) -> list[int]:
    until = _until(order, spans)
    return [
        math.prod(sizes[h] for h in order[:t] if until[h] >= t) * sizes[g] for t, g in enumerate(order)
    ]  # fmt: skip


def largest_layer(
    sizes: Sequence[int],
    values: Sequence[Table],
    resources: Mapping[str, Sequence[Table]],
    peaks: Mapping[str, Sequence[Table]],
) -> int:
    """Number of arcs of the largest layer of the layered graph, which is not built."""
    return _best_order(sizes, _spans(values, resources, peaks))[1]


def _spans(
    values: Sequence[Table], resources: Mapping[str, Sequence[Table]], peaks: Mapping[str, Sequence[Table]]
) -> list[tuple[int, ...]]:
    """The sets of groups that share a table."""
    tables = [*values, *(t for kind in (resources, peaks) for ts in kind.values() for t in ts)]
    return sorted({tuple(sorted(int(g) for g in t.groups)) for t in tables})


def _best_order(sizes: Sequence[int], spans: Sequence[tuple[int, ...]]) -> tuple[tuple[int, ...], int]:
    """The given order of the groups, or a greedy one if that has fewer arcs; and the arcs of its largest layer."""
    order = tuple(range(len(sizes)))
    counts = _arc_counts(order, sizes, spans)
    floor = max([math.prod(sizes[g] for g in span) for span in spans] + [max(sizes)])
    if max(counts) > floor:
        for start in order:
            other = _greedy(start, sizes, spans)
            found = _arc_counts(other, sizes, spans)
            if (max(found), sum(found)) < (max(counts), sum(counts)):
                order, counts = other, found
    return order, max(counts)


def _greedy(start: int, sizes: Sequence[int], spans: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """From a first group on, always the next group that leaves the fewest states."""
    order = [start]
    rest = [g for g in range(len(sizes)) if g != start]

    def states(decided: list[int]) -> int:
        inside = set(decided)
        open_spans = [s for s in spans if not inside.issuperset(s)]
        return math.prod(sizes[g] for g in decided if any(g in s for s in open_spans))

    while rest:
        best = min(rest, key=lambda g: (states([*order, g]), g))
        order.append(best)
        rest.remove(best)
    return tuple(order)
