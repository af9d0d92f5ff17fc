"""Batch norm with the statistics of the batch, recognised in a program and made one operation with a closed-form gradient.

Frameworks write it as sums, squares, a reciprocal root and products (Ioffe and Szegedy 2015, section 3); differentiated one by
one these keep several arrays of the input's size, and the one operation keeps the input alone (`reds_jax.run.normalise`).
A variance that is written as E[x^2] - E[x]^2 is computed from shifted values in float32, also where the rest is no batch norm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.extend import core

from reds_jax.program.flat import Atom, Constant, Item, Operation, Program, Value, as_operation, needed
from reds_jax.program.rules.shapes import VIEWS

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
BATCH_NORM = core.Primitive("batch_norm")
BATCH_NORM.multiple_results = True
BATCH_VARIANCE = core.Primitive("batch_variance")


def fused(program: Program) -> list[Item]:
    """The items of the program with every batch norm as one operation, in an order in which they can run."""
    makers = {v.number: op for op in program.items if isinstance(op, Operation) for v in op.outputs}
    norms = {}
    for op in program.items:
        if isinstance(op, Operation) and op.primitive.name == "sub" and (norm := _Norm.read(op, makers, program.items)):
            norms[norm.operation.outputs[0].number] = norm.operation
    made = {v.number for norm in norms.values() for v in norm.outputs}
    for op in program.items:
        if isinstance(op, Operation) and op.outputs and op.outputs[0].number not in made and (found := _variance(op, makers)):
            norms[op.outputs[0].number] = found
    if not norms:
        return program.items
    items: list[Item] = []
    for item in program.items:
        mine = isinstance(item, Operation) and item.outputs and item.outputs[0].number
        if mine in norms:
            items.append(norms[mine])
        elif mine not in made:
            items.append(item)
    return needed(in_order(items, (*program.leaves.values(), *program.inputs)), (*program.outputs, *program.states.values()))


def _variance(op: Operation, makers: dict[int, Operation]) -> Operation | None:
    """The variance over a batch in place of ``E[x^2] - E[x]^2``, if this operation is that difference."""
    find = _Finder(makers)
    found = find.difference(op.outputs[0])
    if found is None or np.dtype(found[0].dtype) != np.float32:
        return None
    x, mean = found
    axis = find.channel_axis(mean, x)
    return None if axis is None else Operation(BATCH_VARIANCE, (x,), op.outputs, {"axis": axis}, op.module, op.line)


@dataclass(frozen=True)
class _Norm:
    """One batch norm: ``y = (x - mean) * (rsqrt(var + epsilon) [* scale]) [+ bias]``."""

    operation: Operation

    @staticmethod
    def read(centred: Operation, makers: dict[int, Operation], items: Sequence[Item]) -> _Norm | None:
        """The batch norm whose ``x - mean`` is this operation, if it is one."""
        find = _Finder(makers)
        x = centred.inputs[0]
        mean = find.behind_views(centred.inputs[1])
        if not isinstance(x, Value) or not isinstance(mean, Value) or np.dtype(x.dtype) not in FLOATS:
            return None
        axis = find.channel_axis(mean, x)
        product = _only_use(centred, items, "mul")
        if axis is None or product is None:
            return None
        factor = next((v for v in product.inputs if v is not centred.outputs[0]), None)
        found = find.factor(factor, x, mean, axis)
        if found is None:
            return None
        var, epsilon, scale = found
        last, bias = product, None
        addition = _only_use(product, items, "add")
        if addition is not None:
            offset = next((v for v in addition.inputs if v is not product.outputs[0]), None)
            if offset is not None and find.is_vector(offset, axis, x):
                last, bias = addition, offset
        inputs = tuple(v for v in (x, scale, bias) if v is not None)
        params = {"axis": axis, "epsilon": epsilon, "scale": scale is not None, "bias": bias is not None}
        return _Norm(Operation(BATCH_NORM, inputs, (last.outputs[0], mean, var), params, centred.module, centred.line))


class _Finder:
    """Reads expressions backwards."""

    def __init__(self, makers: dict[int, Operation]) -> None:
        self._makers = makers

    def maker(self, x: Atom | None, name: str) -> Operation | None:
        op = self._makers.get(x.number) if isinstance(x, Value) else None
        return op if op is not None and op.primitive.name == name else None

    def behind_views(self, x: Atom | None) -> Atom | None:
        """The array that is only reshaped or repeated along new axes."""
        while isinstance(x, Value) and (op := self._makers.get(x.number)) is not None and op.primitive.name in VIEWS:
            x = op.inputs[0]
        return x

    def is_vector(self, x: Atom, axis: int, like: Value) -> bool:
        """Whether ``x`` varies along ``axis`` of ``like`` alone."""
        return len(x.shape) == len(like.shape) and all(n == (like.shape[i] if i == axis else 1) for i, n in enumerate(x.shape))

    def channel_axis(self, mean: Value, x: Value) -> int | None:
        """The axis that is left when ``mean`` is the mean of ``x`` over all the others."""
        total = self.mean_of(mean, x)
        if total is None:
            return None
        left = [i for i in range(len(x.shape)) if i not in total.params["axes"]]
        return left[0] if len(left) == 1 else None

    def mean_of(self, mean: Atom, x: Value) -> Operation | None:
        """The sum over ``x`` that ``mean`` divides by the number of its terms."""
        quotient = self.maker(mean, "div")
        if quotient is None or not isinstance(quotient.inputs[1], Constant):
            return None
        total = self.maker(self.behind_views(quotient.inputs[0]), "reduce_sum")
        if total is None or total.inputs[0] is not x:
            return None
        terms = int(np.prod([x.shape[i] for i in total.params["axes"]]))
        return total if float(quotient.inputs[1].value) == terms else None

    def factor(self, x: Atom | None, of: Value, mean: Value, axis: int) -> tuple[Value, float, Atom | None] | None:
        """(var, epsilon, scale) of ``rsqrt(var + epsilon) [* scale]``."""
        if x is None or not self.is_vector(x, axis, of):
            return None
        product = self.maker(x, "mul")
        candidates: list[tuple[Atom, Atom | None]] = [(x, None)]
        if product is not None:
            a, b = product.inputs
            candidates = [(a, b), (b, a)]
        for root, scale in candidates:
            inverse = self.maker(root, "rsqrt")
            total = None if inverse is None else self.maker(inverse.inputs[0], "add")
            if total is None or not isinstance(total.inputs[1], Constant) or total.inputs[1].shape:
                continue
            var = self.behind_views(total.inputs[0])
            if isinstance(var, Value) and self.is_variance(var, of, mean):
                return var, float(total.inputs[1].value), scale
        return None

    def is_variance(self, var: Value, x: Value, mean: Value) -> bool:
        """``var = max(0, E[x^2] - mean^2)``."""
        top = self.maker(var, "max")
        zero = None if top is None else next((v for v in top.inputs if isinstance(v, Constant)), None)
        if top is None or zero is None or np.any(np.asarray(zero.value) != 0):
            return False
        found = self.difference(next(v for v in top.inputs if v is not zero))
        return found is not None and found[0] is x and found[1] is mean

    def difference(self, var: Atom) -> tuple[Value, Value] | None:
        """x and its mean, if ``var = E[x^2] - mean^2``."""
        op = self.maker(var, "sub")
        if op is None:
            return None
        x, mean = self.square_of_mean(op.inputs[0]), self.squared(op.inputs[1])
        return (x, mean) if isinstance(x, Value) and isinstance(mean, Value) and self.mean_of(mean, x) is not None else None

    def square_of_mean(self, x: Atom) -> Atom | None:
        """What ``E[v^2]`` is the second moment of."""
        quotient = self.maker(x, "div")
        total = None if quotient is None else self.maker(self.behind_views(quotient.inputs[0]), "reduce_sum")
        if total is None or not isinstance(total.inputs[0], Value) or self.mean_of(x, total.inputs[0]) is None:
            return None
        return self.squared(total.inputs[0])

    def squared(self, x: Atom) -> Atom | None:
        for name in ("square", "integer_pow", "mul"):
            op = self.maker(x, name)
            if op is not None and op.params.get("y", 2) == 2 and all(v is op.inputs[0] for v in op.inputs):
                return op.inputs[0]
        return None


def _only_use(op: Operation, items: Sequence[Item], name: str) -> Operation | None:
    """The one operation that reads the result of ``op``, if it has this name."""
    value = op.outputs[0]
    uses: list[Any] = [item for item in items if any(
        v is value for v in as_operation(item).inputs)]
    return uses[0] if len(uses) == 1 and isinstance(uses[0], Operation) and uses[0].primitive.name == name else None


def in_order(items: list[Item], start: Iterable[Value]) -> list[Item]:
    """The items so that each comes behind what it reads, otherwise in the order that they had; ``start`` is there before."""
    ready = {v.number for v in start}
    ordered: list[Item] = []
    while items:
        waiting: list[Item] = []
        for item in items:
            op = as_operation(item)
            if all(x.number in ready for x in op.inputs if isinstance(x, Value)):
                ordered.append(item)
                ready.update(v.number for v in op.outputs)
            else:
                waiting.append(item)
        assert len(waiting) < len(items)
        items = waiting
    return ordered
