"""The program at a width: full variables in, every parameter cut by its units, each operation at its size, differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from reds_jax.errors import WidthError
from reds_jax.graph.numbering import Numbering
from reds_jax.program.flat import Atom, Body, Call, Constant, Item, Operation, Value
from reds_jax.run import operations
from reds_jax.run.held import Held, Order
from reds_jax.run.operations import aligned
from reds_jax.run.sharing import Env, Part, Shared


@dataclass(eq=False)
class Narrow:
    """One subnetwork: widths as integers per group, and the rules of `reds_jax.run.operations` at those."""

    numbering: Numbering
    integers: tuple[int, ...]
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
            op = item.operation if isinstance(item, Call) else item
            if shared is not None and shared.has(self, op, env):
                continue
            results = self._call(item, env) if isinstance(item, Call) else self._operation(item, env)
            for value, h in zip(op.outputs, results, strict=True):
                env[value.number] = h
            if shared is not None:
                shared.keep(self, op, env)

    def read(self, x: Atom, env: Env) -> Held:
        """A value, or a constant."""
        if isinstance(x, Constant):
            return Held(x.value)
        h = env[x.number]
        if isinstance(h, Part):
            env[x.number] = h = h.cut()
        return h

    def _operation(self, op: Operation, env: Env) -> Sequence[Held]:
        ins = [self.read(x, env) for x in op.inputs]
        return self._scan(op, op.body, ins) if op.body is not None else operations.apply(self, op, ins)

    def _as_result(self, x: Atom, h: Held, like: Atom) -> Held:
        """A value that goes where ``like`` is expected: cut where only that is cut."""
        return aligned(self, x, h, like) if len(x.shape) == len(like.shape) else h

    def _scan(self, op: Operation, body: Body, ins: Sequence[Held]) -> Sequence[Held]:
        p = op.params
        consts, carried = p["num_consts"], p["num_carry"]
        arrays = [h.plain() for h in ins]
        start = [self._as_result(x, h, v).plain() for x, h, v in zip(
            op.inputs[consts : consts + carried], ins[consts : consts + carried], body.inputs[consts:], strict=False)]
        carries = body.inputs[consts : consts + carried]

        def turn(carry: Any, xs: Any) -> tuple[Any, Any]:
            env: Env = dict(zip((v.number for v in body.inputs), map(Held, [*arrays[:consts], *carry, *xs]), strict=True))
            self.run(body.items, env)
            results = [self.read(x, env) for x in body.outputs]
            new = [self._as_result(x, h, v).plain() for x, h, v in zip(body.outputs, results, carries, strict=False)]
            return new, [h.plain() for h in results[carried:]]

        final, ys = lax.scan(turn, start, arrays[consts + carried :], length=p["length"], reverse=p["reverse"],
                             unroll=p["unroll"])
        return [Held(a) for a in (*final, *ys)]

    def _call(self, call: Call, env: Env) -> Sequence[Held]:
        """A custom derivative at this width: the function and its rules run here, as they were written."""
        op = call.operation
        values = [x for x in op.inputs if isinstance(x, Value)]
        outer = [self.read(x, env) for x in values]
        orders: list[Order | None] = []

        def function(*arrays: Any) -> list[Any]:
            local: Env = {x.number: Held(a, h.order) for x, a, h in zip(values, arrays, outer, strict=True)}
            self.run(call.items, local)
            results = [self.read(x, local) for x in call.results if isinstance(x, Value)]
            orders[:] = [h.order for h in results]
            return [h.array for h in results]

        if isinstance(call.rules, str):
            if any(self.kept(x, i) is not None for x in (*values, *op.outputs) for i in range(len(x.shape))):
                raise WidthError(f"{op.primitive.name} in module {op.module or '(top)'!r} ({op.line}) cannot be cut: "
                                 f"{call.rules}", hint="Leave these channels at full width, or write the rule without it.")
            functions, params = op.primitive.get_bind_params(op.params)
            return [Held(a) for a in op.primitive.bind(*functions, *(self.read(x, env).plain() for x in op.inputs), **params)]
        custom = _with_jvp(self, call, function, outer, orders) if len(call.rules) == 1 else _with_vjp(
            self, call, function, outer, orders)
        results = custom(*(h.array for h in outer))
        return [Held(a, order) for a, order in zip(results, orders, strict=True)]

    def rule(self, call: Call, body: Body, inputs: Sequence[Held | None], likes: Sequence[Atom | None]) -> list[Held]:
        """Run a rule of a custom derivative. An input that is None is a constant of the call, or its tangent: zeros."""
        env: Env = {}
        constants = (*call.operation.inputs, *call.operation.inputs)
        for i, (value, h) in enumerate(zip(body.inputs, inputs, strict=True)):
            if h is None:
                x = constants[i]
                first = i < len(call.operation.inputs)
                h = Held(x.value) if first and isinstance(x, Constant) else Held(jnp.zeros(value.shape, value.dtype))
            env[value.number] = h
        self.run(body.items, env)
        return [h if like is None else self._as_result(x, h, like)
                for x, h, like in zip(body.outputs, (self.read(x, env) for x in body.outputs), likes, strict=True)]


def _with_jvp(narrow: Narrow, call: Call, function: Any, outer: Sequence[Held], orders: list[Order | None]) -> Any:
    custom = jax.custom_jvp(function)
    results = [x for x in call.results if isinstance(x, Value)]
    made = [isinstance(x, Value) for x in call.results]

    @custom.defjvp
    def jvp(primals: Any, tangents: Any) -> tuple[Any, Any]:
        def spread(arrays: Any) -> list[Held | None]:
            lying = iter([Held(a, h.order) for a, h in zip(arrays, outer, strict=True)])
            return [next(lying) if isinstance(x, Value) else None for x in call.operation.inputs]

        found = narrow.rule(call, call.rules[0], [*spread(primals), *spread(tangents)],  # type: ignore[arg-type]
                            [*call.results, *call.results])
        n = len(call.results)
        values = [h for h, is_value in zip(found[:n], made, strict=True) if is_value]
        dots = [h for h, is_value in zip(found[n:], made, strict=True) if is_value]
        if len(orders) != len(results):
            orders[:] = [h.order for h in values]
        out = [h.turned(order) for h, order in zip(values, orders, strict=True)]
        return out, [jnp.broadcast_to(h.turned(order), v.shape).astype(v.dtype)
                     for h, order, v in zip(dots, orders, out, strict=True)]

    return custom


def _with_vjp(narrow: Narrow, call: Call, function: Any, outer: Sequence[Held], orders: list[Order | None]) -> Any:
    custom = jax.custom_vjp(function)
    forward, backward = call.rules  # type: ignore[misc]
    assert isinstance(forward, Body) and isinstance(backward, Body)
    saved = len(forward.outputs) - len(call.results)
    made = [isinstance(x, Value) for x in call.results]

    def fwd(*arrays: Any) -> tuple[Any, Any]:
        lying = iter([Held(a, h.order) for a, h in zip(arrays, outer, strict=True)])
        inputs = [next(lying) if isinstance(x, Value) else None for x in call.operation.inputs]
        found = narrow.rule(call, forward, inputs, [*([None] * saved), *call.results])
        values = [h for h, is_value in zip(found[saved:], made, strict=True) if is_value]
        orders[:] = [h.order for h in values]
        return [h.array for h in values], [h.plain() for h in found[:saved]]

    def bwd(residuals: Any, cotangents: Any) -> tuple[Any, ...]:
        given = iter([Held(g, order) for g, order in zip(cotangents, orders, strict=True)])
        inputs = [*map(Held, residuals), *(next(given) if is_value else None for is_value in made)]
        found = narrow.rule(call, backward, inputs, call.operation.inputs)
        pairs = [h for h, x in zip(found, call.operation.inputs, strict=True) if isinstance(x, Value)]
        return tuple(h.turned(o.order) for h, o in zip(pairs, outer, strict=True))

    custom.defvjp(fwd, bwd)
    return custom
