"""What the units of every group contribute to the layers that read them: second moments, from a run of the program.

A consumer is a product of an activation with a parameter: ``y[r, o] = sum_p x[r, p] k[p, o]`` over rows r (examples, positions)
and outputs o. Unit u of a group owns some of the positions p and contributes

    z_u[r, o] = sum over its positions p of x[r, p] k[p, o],      so that      y = sum_u z_u + what others contribute.

The Gram matrix of a group is ``G_uv = sum over consumers of E_r sum_o (z_u - E z_u)[r, o] (z_v - E z_v)[r, o]``: constants are
left to the biases and to batch norm. Where every unit owns one position, ``G = Cov(x) o (K K^T)``, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters import PureModel
from reds_jax.array_types import Float64
from reds_jax.graph.trace import INFERENCE, Traced, traced
from reds_jax.program.flat import Call, Operation, leaves_by_path
from reds_jax.run.held import Held
from reds_jax.run.interpreter import Narrow
from reds_jax.run.sharing import Env

ROWS = 4096
"""Rows of one consumer that are looked at in one batch: examples times positions, a random part of them if there are more."""
ENTRIES = 1 << 24
"""Entries of the largest array that a consumer may need for them; fewer rows are looked at instead."""


class Moments(NamedTuple):
    """Of the contributions of U units to O outputs: rows, means [U, O], and the sum of squares about them [U, U]."""

    rows: Any
    mean: Any
    gram: Any


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


def gram_matrices(
    model: PureModel, variables: Any, batches: Iterable[Any], *, read: Callable[[Any], Any] = lambda x: x, seed: int = 0
) -> dict[str, Float64[np.ndarray, "_units _units"]]:
    """The Gram matrix of what the units of every group contribute to their consumers, in float64: {group name: [U, U]}.

    Args:
        model: as `reds_jax.adapters.adapt` returns it.
        variables: the full variables; statistics are frozen.
        batches: inputs, [N, ...] each.
        read: what the model reads of a batch, inside the compiled function.
        seed: of the rows that are looked at.
    """
    readers: list[Consumer] = []
    sums: dict[int, Moments] = {}

    @jax.jit
    def look(variables: Any, inputs: Any, key: jax.Array) -> list[Moments]:
        x = read(inputs)
        found = traced(model, variables, x)
        readers[:] = consumers(found)
        return watch(found, readers, variables, x, key)

    for i, inputs in enumerate(batches):
        for j, one in enumerate(look(variables, inputs, jax.random.fold_in(jax.random.key(seed), i))):
            new = Moments(*(np.asarray(a, np.float64) for a in one))
            sums[j] = joined(sums[j], new) if j in sums else new
    grams: dict[str, np.ndarray] = {}
    for j, reader in enumerate(readers):
        grams[reader.group] = grams.get(reader.group, 0) + sums[j].gram / sums[j].rows
    return grams


def joined(a: Moments, b: Moments) -> Moments:
    """The moments of the rows of both (Chan, Golub and LeVeque 1983, equation 2.1)."""
    rows, apart = a.rows + b.rows, b.mean - a.mean
    return Moments(rows, a.mean + apart * (b.rows / rows), a.gram + b.gram + (apart @ apart.T) * (a.rows * b.rows / rows))


def watch(traced: Traced, readers: Sequence[Consumer], variables: Any, inputs: Any, key: jax.Array) -> list[Moments]:
    """Run the program at full width and return the moments of every consumer, in their order."""
    program = traced.programs[INFERENCE]
    watching = Watching(traced, readers, key)
    watching.run(program.items, watching.start(program, leaves_by_path(variables), inputs, jax.random.key(0)))
    return [watching.found[i] for i in range(len(readers))]


class Watching(Narrow):
    """The program at full width; what its consumers read is looked at on the way, and ``found`` by their number."""

    def __init__(self, traced: Traced, readers: Sequence[Consumer], key: jax.Array) -> None:
        super().__init__(traced.numbering, traced.graph.integers(1.0))
        self.key, self.found = key, dict[int, Moments]()
        self.readers: dict[int, list[tuple[int, Consumer]]] = {}
        for i, reader in enumerate(readers):
            self.readers.setdefault(id(reader.operation), []).append((i, reader))

    def _operation(self, op: Operation, env: Env) -> Sequence[Held]:
        for i, reader in self.readers.get(id(op), ()):
            x, kernel = (self.read(op.inputs[j], env).plain() for j in (reader.active, 1 - reader.active))
            self.found[i] = _moments(reader, x, kernel, jax.random.fold_in(self.key, i))
        return super()._operation(op, env)

    def _call(self, call: Call, env: Env) -> Sequence[Held]:
        """A function with a derivative of its own is only run."""
        self.run(call.items, env)
        return [self.read(x, env) for x in call.operation.outputs]

    def _loop(self, turn: Callable[..., Any], start: Any, xs: Any, params: dict[str, Any]) -> tuple[Any, Any]:
        """The moments of all turns of a loop, taken together."""
        before, order = self.found, []

        def watched(carry: Any, x: Any) -> tuple[Any, Any]:
            self.found = {}
            result, ys = turn(carry, x)
            order[:] = self.found
            return result, (ys, list(self.found.values()))

        final, (ys, turns) = super()._loop(watched, start, xs, params)
        self.found = before | {i: _together(m) for i, m in zip(order, turns, strict=True)}
        return final, ys


def _together(turns: Moments) -> Moments:
    """The layers of a loop have weights of their own: each is a consumer, and their Gram matrices add up."""
    rows = turns.rows[0]
    size, outputs = turns.mean.shape[1], turns.mean.shape[2]
    return Moments(rows, jnp.moveaxis(turns.mean, 0, 1).reshape(size, -1 if outputs else 0), turns.gram.sum(0))


def _moments(reader: Consumer, x: Any, kernel: Any, key: jax.Array) -> Moments:
    """The moments of one consumer from its activation and its kernel."""
    op = reader.operation
    rows = _rows_of_product if op.primitive.name == "dot_general" else _rows_of_convolution
    x, k = rows(reader, x.astype(jnp.float32), kernel.astype(jnp.float32), key)  # [B, R, T, J], [B, T, J, O]
    b, r, t, j = x.shape
    at = reader.positions(t)
    mine = x.reshape(b, r, t * j)[:, :, at]  # [B, R, U, positions of a unit]
    weights = k.reshape(b, t * j, -1)[:, at]  # [B, U, positions, O]
    if at.shape[1] == 1:
        a, w = mine[..., 0], weights[:, :, 0]
        middle = a.mean(1, keepdims=True)
        covariance = jnp.einsum("bru,brv->buv", a - middle, a - middle, precision="highest")
        gram = (covariance * jnp.einsum("buo,bvo->buv", w, w, precision="highest")).sum(0)
        mean = jnp.einsum("bu,buo->ubo", middle[:, 0], w)
    else:
        z = jnp.einsum("brup,bupo->bruo", mine, weights, precision="highest")
        middle = z.mean(1, keepdims=True)
        gram = jnp.einsum("bruo,brvo->uv", z - middle, z - middle, precision="highest")
        mean = jnp.moveaxis(middle[:, 0], 0, 1)
    return Moments(jnp.float32(r), mean.reshape(len(at), -1), gram)


def _some(key: jax.Array, count: int, entries_of_a_row: int) -> Any:
    """Which of ``count`` rows are looked at: all, or a random part that keeps within `ROWS` and `ENTRIES`."""
    limit = max(1, min(ROWS, ENTRIES // max(1, entries_of_a_row)))
    return np.arange(count) if count <= limit else jax.random.choice(key, count, (limit,), replace=False)


def _rows_of_product(reader: Consumer, x: Any, kernel: Any, key: jax.Array) -> tuple[Any, Any]:
    """Rows [B, R, 1, J] and kernel [B, 1, J, O] of a dense layer; B are axes that both have."""
    contract, batch = reader.operation.params["dimension_numbers"]

    def flat(array: Any, side: int) -> Any:
        """[B, free, contracted]."""
        gone = (*batch[side], *contract[side])
        free = [i for i in range(array.ndim) if i not in gone]
        sizes = [int(np.prod([array.shape[i] for i in axes])) for axes in (batch[side], free, contract[side])]
        return jnp.transpose(array, (*batch[side], *free, *contract[side])).reshape(sizes)

    x, k = flat(x, reader.active), flat(kernel, 1 - reader.active)
    spread = 1 if x.shape[2] == reader.size else k.shape[1]
    return x[:, _some(key, x.shape[1], x.shape[0] * x.shape[2] * spread)][:, :, None], jnp.swapaxes(k, 1, 2)[:, None]


def _rows_of_convolution(reader: Consumer, x: Any, kernel: Any, key: jax.Array) -> tuple[Any, Any]:
    """Windows [B, R, taps, J] of random outputs and kernel [B, taps, J, O]; B are the groups of a grouped convolution."""
    p = reader.operation.params
    numbers, groups = p["dimension_numbers"], p["feature_group_count"]
    out_shape = [reader.operation.outputs[0].shape[i] for i in numbers.out_spec[2:]]
    x = jnp.transpose(x, (numbers.lhs_spec[0], *numbers.lhs_spec[2:], numbers.lhs_spec[1]))  # [N, *spatial, C]
    k = jnp.transpose(kernel, (*numbers.rhs_spec[2:], numbers.rhs_spec[1], numbers.rhs_spec[0]))  # [*window, J, B O]
    window, inputs, outputs = k.shape[:-2], k.shape[-2], k.shape[-1] // groups
    taps = int(np.prod(window))
    spread = outputs if taps > 1 else 1
    chosen = _some(key, x.shape[0] * int(np.prod(out_shape)), groups * inputs * max(taps, spread))
    example, *place = jnp.unravel_index(chosen, (x.shape[0], *out_shape))
    tap = jnp.unravel_index(np.arange(taps), window)
    index, inside = [example[:, None]], jnp.ones((len(chosen), taps), bool)
    for i, (at, offset) in enumerate(zip(place, tap, strict=True)):
        where = at[:, None] * p["window_strides"][i] - p["padding"][i][0] + offset * p["rhs_dilation"][i]
        dilation = p["lhs_dilation"][i]
        inside &= (where >= 0) & (where % dilation == 0) & (where // dilation < x.shape[i + 1])
        index.append(jnp.clip(where // dilation, 0, x.shape[i + 1] - 1))
    rows = jnp.where(inside[..., None], x[tuple(index)], 0)  # [R, taps, C]
    rows = jnp.moveaxis(rows.reshape(len(chosen), taps, groups, inputs), 2, 0)
    return rows, jnp.moveaxis(k.reshape(taps, inputs, groups, outputs), 2, 0)
