"""The program at a width: full variables in, every parameter cut by its units, each operation at its size, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.errors import WidthError
from reds_jax.graph.numbering import Numbering
from reds_jax.program.flat import (
    Atom,
    Body,
    Call,
    Constant,
    Item,
    Operation,
    Program,
    Value,
    as_operation,
    float_arguments,
    loop_counts,
)
from reds_jax.run import operations
from reds_jax.run.held import Held, Order
from reds_jax.run.operations import aligned
from reds_jax.run.partial_sums import PRODUCTS, partial_sums, split
from reds_jax.run.sharing import Env, Part, Shared


@dataclass(eq=False)
class Narrow:
    """One subnetwork: widths as integers per group, and the rules of `reds_jax.run.operations` at those.

    ``own`` tells its statistics and private parameters from those of others: the identity of every full array, by value number.
    """

    numbering: Numbering
    integers: tuple[int, ...]
    own: dict[int, int] = field(default_factory=dict)
    _kept: dict[int, np.ndarray | None] = field(default_factory=dict)

    def kept(self, x: Atom, axis: int) -> np.ndarray | None:
        """Positions of an axis that stay; None: all."""
        if isinstance(x, Constant):
            return None
        found = self.numbering.axes(x)[axis]
        if found is None:
            return None
        if id(found) not in self._kept:  # the numbering keeps its axes alive
            self._kept[id(found)] = found.kept(self.integers)
        return self._kept[id(found)]

    def groups(self, x: Value) -> frozenset[int]:
        """The groups that cut the axes of a value."""
        return frozenset(int(g) for axis in self.numbering.axes(x) if axis is not None for g in np.unique(axis.group) if g >= 0)

    def shape(self, x: Atom) -> tuple[int, ...]:
        """The shape of a value at these widths."""
        if isinstance(x, Constant):
            return x.shape
        return tuple(n if (kept := self.kept(x, i)) is None else len(kept) for i, n in enumerate(x.shape))

    def cut(self, x: Value, h: Held) -> Held:
        """What stays of a full array, or of one that is cut already (an extracted subnetwork's)."""
        if h.shape == self.shape(x):
            return h
        if h.shape != x.shape:
            raise WidthError("an array has neither the shape of the network nor that of the subnetwork", got=h.shape,
                             allowed=f"{x.shape} or {self.shape(x)}",
                             hint="The widths may belong to another network: make them with graph.widths(...).")
        for axis in range(len(x.shape)):
            kept = self.kept(x, axis)
            if kept is not None:
                h = h.take(axis, kept)
        return h

    def run(self, items: Sequence[Item], env: Env, shared: Shared | None = None) -> None:
        """Run the items in order; ``env`` has the values that they read and gets those that they make."""
        for item in items:
            op = as_operation(item)
            if shared is not None and shared.has(self, op, env):
                continue
            if isinstance(item, Call):
                results = self._call(item, env)
            else:
                results = () if shared is None else self._sums(item, env, shared)
                results = results or self._operation(item, env)
            for value, h in zip(op.outputs, results, strict=True):
                env[value.number] = h
            if shared is not None:
                shared.keep(self, op, env)

    def start(self, program: Program, leaves: Mapping[str, Any], inputs: Any, key: jax.Array) -> Env:
        """The values that a run begins with: the parameters and statistics by path, cut; the inputs; the key."""
        env: Env = {value.number: self.cut(value, Held(leaves[path])) for path, value in program.leaves.items()}
        env.update(zip((v.number for v in program.inputs), map(Held, [*jax.tree.leaves(inputs), key]), strict=True))
        return env

    def read(self, x: Atom, env: Env) -> Held:
        """A value, or a constant."""
        if isinstance(x, Constant):
            return Held(x.value)
        h = env[x.number]
        if isinstance(h, Part):
            env[x.number] = h = h.cut()
        return h

    def _sums(self, op: Operation, env: Env, shared: Shared) -> Sequence[Held]:
        """The result of a product that later subnetworks read partial sums of; they are kept. Nothing if there are none."""
        how = split(self, op, shared.behind(self, op)) if op.primitive.name in PRODUCTS else None
        if how is None:
            return ()
        sums = list(partial_sums(self, op, [self.read(x, env) for x in op.inputs], how))
        for total, (_, whose) in zip(sums, how.ends, strict=True):
            for cut in whose:
                shared.keep_sums(self, op, cut, total)
        return sums[-1:]

    def _operation(self, op: Operation, env: Env) -> Sequence[Held]:
        ins = [self.read(x, env) for x in op.inputs]
        return self._scan(op, op.body, ins) if op.body is not None else operations.apply(self, op, ins)

    def as_result(self, x: Atom, h: Held, like: Atom) -> Held:
        """A value that goes where ``like`` is expected: cut where only that is cut."""
        return aligned(self, x, h, like) if len(x.shape) == len(like.shape) else h

    def _scan(self, op: Operation, body: Body, ins: Sequence[Held]) -> Sequence[Held]:
        p = op.params
        consts, carried = loop_counts(p)
        arrays = [h.plain() for h in ins]
        start = [self.as_result(x, h, v).plain() for x, h, v in zip(
            op.inputs[consts : consts + carried], ins[consts : consts + carried], body.inputs[consts:], strict=False)]
        carries = body.inputs[consts : consts + carried]

        def turn(carry: Any, xs: Any) -> tuple[Any, Any]:
            env: Env = dict(zip((v.number for v in body.inputs), map(Held, [*arrays[:consts], *carry, *xs]), strict=True))
            self.run(body.items, env)
            results = [self.read(x, env) for x in body.outputs]
            new = [self.as_result(x, h, v).plain() for x, h, v in zip(body.outputs, results, carries, strict=False)]
            return new, [h.plain() for h in results[carried:]]

        final, ys = self._loop(turn, start, arrays[consts + carried :], p)
        return [Held(a) for a in (*final, *ys)]

    def _loop(
        self, turn: Callable[[Any, Any], tuple[Any, Any]], start: Any, xs: Any, params: dict[str, Any]
    ) -> tuple[Any, Any]:
        return lax.scan(turn, start, xs, length=params["length"], reverse=params["reverse"], unroll=params["unroll"])

    def _call(self, call: Call, env: Env) -> Sequence[Held]:
        """A custom derivative at this width: the function and its rule run here, as they were written."""
        given = [self.read(x, env) for x in call.arguments]
        return _Custom(self, call, [h.order for h in given]).apply([h.array for h in given])

    def results(self, body: Body, inputs: Sequence[Held], like: Sequence[Atom]) -> list[Held]:
        """Run a body; its results are cut to what ``like`` keeps."""
        env: Env = dict(zip((v.number for v in body.inputs), inputs, strict=True))
        self.run(body.items, env)
        return [self.as_result(x, self.read(x, env), of) for x, of in zip(body.outputs, like, strict=True)]


class _Custom:
    """A function with a derivative of its own, rebuilt at a width. Arrays keep the layout that they lie in."""

    def __init__(self, narrow: Narrow, call: Call, orders: Sequence[Order | None]) -> None:
        self._narrow, self._call, self._orders = narrow, call, orders
        self._floats = float_arguments(call)
        self._made = [x for x in call.results if isinstance(x, Value)]
        self._result_orders: list[Order | None] = []

    def apply(self, arrays: Sequence[Any]) -> list[Held]:
        if self._call.operation.primitive.name == "custom_jvp_call":
            function = jax.custom_jvp(self._function)
            function.defjvp(self._jvp)
        else:
            function = jax.custom_vjp(self._function)
            function.defvjp(lambda *a: (self._function(*a), a), self._backward)
        results = function(*arrays)
        return [Held(a, order) for a, order in zip(results, self._result_orders, strict=True)]

    def _lying(self, arrays: Sequence[Any]) -> list[Held]:
        return [Held(a, order) for a, order in zip(arrays, self._orders, strict=True)]

    def _function(self, *arrays: Any) -> list[Any]:
        narrow, call = self._narrow, self._call
        env: Env = {x.number: h for x, h in zip(call.arguments, self._lying(arrays), strict=True) if isinstance(x, Value)}
        narrow.run(call.items, env)
        results = [narrow.read(x, env) for x in self._made]
        self._result_orders = [h.order for h in results]
        return [h.array for h in results]

    def _jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        call = self._call
        dots = self._lying(tangents)
        found = self._narrow.results(call.rule, [*self._lying(primals), *(dots[i] for i in self._floats)],
                                     [*call.results, *call.results])
        pairs = [pair for pair, x in zip(zip(found, found[len(call.results) :], strict=False), call.results, strict=False)
                 if isinstance(x, Value)]
        if not self._result_orders:
            self._result_orders = [h.order for h, _ in pairs]
        lying = [(h.turned(order), dot.turned(order)) for (h, dot), order in zip(pairs, self._result_orders, strict=True)]
        return [h for h, _ in lying], [jnp.broadcast_to(dot, h.shape).astype(h.dtype) for h, dot in lying]

    def _backward(self, arrays: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, ...]:
        call = self._call
        given = iter([Held(g, order) for g, order in zip(cotangents, self._result_orders, strict=True)])
        results = [next(given) if isinstance(x, Value) else Held(jnp.zeros_like(x.value)) for x in call.results]
        found = self._narrow.results(call.rule, [*self._lying(arrays), *results], [call.arguments[i] for i in self._floats])
        by_argument = dict(zip(self._floats, found, strict=True))
        return tuple(by_argument[i].turned(order) if i in by_argument else np.zeros(np.shape(array), jax.dtypes.float0)
                     for i, (array, order) in enumerate(zip(arrays, self._orders, strict=True)))
