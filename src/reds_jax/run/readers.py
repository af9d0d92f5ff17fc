"""The layers that read units, and the rows that they read, looked at while the program runs at full width.

A layer is a product of an activation with a parameter: ``y[r, o] = sum_p x[r, p] k[p, o]`` over rows r (examples, positions)
and outputs o. Its positions p are taps times channels: one tap for a dense layer, the window for a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.graph.trace import INFERENCE, Traced
from reds_jax.program.flat import Call, Operation, leaves_by_path
from reds_jax.run.held import Held
from reds_jax.run.interpreter import Narrow
from reds_jax.run.sharing import Env


@dataclass(frozen=True, eq=False)
class Consumer:
    """A layer that reads units of a group: which input is the activation, and the unit of every channel that it sums over."""

    operation: Operation
    group: str
    size: int
    active: int
    unit: np.ndarray  # [channels], -1: belongs to another group or to none

    def positions(self, taps: int) -> np.ndarray:
        """The positions of every unit among ``taps * channels`` flattened ones, [units, positions of a unit]."""
        units = np.tile(self.unit, taps)
        mine = np.flatnonzero(units >= 0)
        return mine[np.argsort(units[mine], kind="stable")].reshape(self.size, -1)

    def kernel(self, kernel: Any) -> Any:
        """What it multiplies with, as [B, taps, channels, outputs]; B are axes that both have, or groups of a convolution."""
        p = self.operation.params
        if self.operation.primitive.name == "dot_general":
            return _matrices(self, kernel, 1 - self.active).swapaxes(1, 2)[:, None]
        numbers, groups = p["dimension_numbers"], p["feature_group_count"]
        k = kernel.transpose(*numbers.rhs_spec[2:], *numbers.rhs_spec[1::-1])  # [*window, channels, B outputs]
        taps, channels, outputs = int(np.prod(k.shape[:-2])), k.shape[-2], k.shape[-1] // groups
        return k.reshape(taps, channels, groups, outputs).transpose(2, 0, 1, 3)

    def rows(self, x: Any, taps: int, some: Callable[[int, int], Any]) -> Any:
        """What it reads, as [B, rows, taps, channels].

        Args:
            x: the activation.
            taps: of the kernel.
            some: which of the rows, from how many there are and how many channels one has, see `some_of`.
        """
        if self.operation.primitive.name == "dot_general":
            x = _matrices(self, x, self.active)
            return x[:, some(x.shape[1], x.shape[0] * x.shape[2])][:, :, None]
        return _windows(self, x, taps, some)


def consumers(traced: Traced) -> list[Consumer]:
    """Every layer that reads units, once for each group that it reads, in the order of execution."""
    state, numbering, found = traced.state, traced.numbering, []
    for use in traced.state.layers:
        inputs = use.operation.inputs
        active = next((i for i, x in enumerate(inputs) if state.is_active(x)), None)
        axes = [(numbering.axis(labels), n) for labels, n in use.reads]
        for group in sorted({int(g) for axis, _ in axes if axis is not None for g in axis.group if g >= 0}):
            shape = [n for _, n in axes]
            unit = np.full(shape, -1)
            for i, (axis, n) in enumerate(axes):
                if axis is not None:
                    mine = np.where(axis.group == group, axis.unit, -1).reshape([n if j == i else 1 for j in range(len(axes))])
                    unit = np.maximum(unit, mine)
            assert active is not None  # what reads units is an activation
            name, size = traced.graph.groups[group].name, traced.graph.groups[group].size
            found.append(Consumer(use.operation, name, size, active, unit.ravel()))
    return found


Look = Callable[[int, Consumer, Any, Any], Any]
"""What to find of a consumer, as arrays: of (its number, the consumer, its activation, its kernel)."""


def watch(
    traced: Traced, readers: Sequence[Consumer], look: Look, variables: Any, inputs: Any,
    together: Callable[[Any], Any] = lambda turns: turns,
) -> list[Any]:
    """Run the program at full width, in inference, and look at every consumer on the way; what is found, in their order.

    Args:
        traced, readers, look: the network, its consumers, and what to find of each.
        variables, inputs: full, and as the model reads them.
        together: what was found of a consumer in a loop, stacked over the turns, as one.
    """
    program = traced.programs[INFERENCE]
    watching = _Watching(traced, readers, look, together)
    watching.run(program.items, watching.start(program, leaves_by_path(variables), inputs, jax.random.key(0)))
    return [watching.found[i] for i in range(len(readers))]


class _Watching(Narrow):
    """The program at full width; what its consumers read is looked at, and ``found`` by their number."""

    def __init__(
        self, traced: Traced, readers: Sequence[Consumer], look: Look, together: Callable[[Any], Any]
    ) -> None:
        super().__init__(traced.numbering, traced.graph.integers(1.0))
        self.look, self.together, self.found = look, together, dict[int, Any]()
        self.readers: dict[int, list[tuple[int, Consumer]]] = {}
        for i, reader in enumerate(readers):
            self.readers.setdefault(id(reader.operation), []).append((i, reader))

    def _operation(self, op: Operation, env: Env) -> Sequence[Held]:
        for i, reader in self.readers.get(id(op), ()):
            x, kernel = (self.read(op.inputs[j], env).plain() for j in (reader.active, 1 - reader.active))
            self.found[i] = self.look(i, reader, x, kernel)
        return super()._operation(op, env)

    def _call(self, call: Call, env: Env) -> Sequence[Held]:
        """A function with a derivative of its own is only run."""
        self.run(call.items, env)
        return [self.read(x, env) for x in call.operation.outputs]

    def _loop(self, turn: Callable[..., Any], start: Any, xs: Any, params: dict[str, Any]) -> tuple[Any, Any]:
        """What is found in all turns of a loop, taken together."""
        before, order = self.found, []

        def watched(carry: Any, x: Any) -> tuple[Any, Any]:
            self.found = {}
            result, ys = turn(carry, x)
            order[:] = self.found
            return result, (ys, list(self.found.values()))

        final, (ys, turns) = super()._loop(watched, start, xs, params)
        self.found = before | {i: self.together(m) for i, m in zip(order, turns, strict=True)}
        return final, ys


def some_of(count: int, key: jax.Array, most: int) -> Any:
    """Which of ``count`` rows are looked at: all, or ``most`` random ones."""
    most = max(1, most)
    return np.arange(count) if count <= most else jax.random.choice(key, count, (most,), replace=False)


def _matrices(reader: Consumer, array: Any, side: int) -> Any:
    """[B, free, contracted] of one input of a product."""
    contract, batch = reader.operation.params["dimension_numbers"]
    gone = (*batch[side], *contract[side])
    free = [i for i in range(array.ndim) if i not in gone]
    sizes = [int(np.prod([array.shape[i] for i in axes])) for axes in (batch[side], free, contract[side])]
    return array.transpose(*batch[side], *free, *contract[side]).reshape(sizes)


def _windows(reader: Consumer, x: Any, taps: int, some: Callable[[int, int], Any]) -> Any:
    """The windows of a convolution: what each entry of its output sums over."""
    p = reader.operation.params
    numbers, groups = p["dimension_numbers"], p["feature_group_count"]
    out_shape = [reader.operation.outputs[0].shape[i] for i in numbers.out_spec[2:]]
    window = [reader.operation.inputs[1].shape[i] for i in numbers.rhs_spec[2:]]
    x = jnp.transpose(x, (numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]))  # [N, *spatial, C]
    inputs = x.shape[-1] // groups
    chosen = some(x.shape[0] * int(np.prod(out_shape)), groups * inputs)
    example, *place = jnp.unravel_index(chosen, (x.shape[0], *out_shape))
    tap = jnp.unravel_index(np.arange(taps), window)
    index, inside = [example[:, None]], jnp.ones((len(chosen), taps), bool)
    for i, (at, offset) in enumerate(zip(place, tap, strict=True)):
        where = at[:, None] * p["window_strides"][i] - p["padding"][i][0] + offset * p["rhs_dilation"][i]
        dilation = p["lhs_dilation"][i]
        inside &= (where >= 0) & (where % dilation == 0) & (where // dilation < x.shape[i + 1])
        index.append(jnp.clip(where // dilation, 0, x.shape[i + 1] - 1))
    rows = jnp.where(inside[..., None], x[tuple(index)], 0)  # [R, taps, C]
    return jnp.moveaxis(rows.reshape(len(chosen), taps, groups, inputs), 2, 0)
