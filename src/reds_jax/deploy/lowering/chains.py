"""Elementwise operations are not lowered one by one: a chain of them is looked at where its result is needed.

A chain begins at one array and goes through operations that read nothing but the array, each other and constant numbers. If
the operation before the array can take it in (a scale, an offset, ReLU, ReLU6, leaky ReLU), that is what happens. Any other
chain is one function of one number (`function`), and becomes one operation, a ``"map"``, however it is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reds_jax.deploy.lowering.forms import Affine, Form, Known, Writer
from reds_jax.deploy.lowering.function import Function, function_of, is_step
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.rules import Rules
from reds_jax.errors import TraceError
from reds_jax.program.flat import Atom, Constant, Operation


@dataclass(frozen=True, eq=False)
class Link:
    """An operation of a chain, and the number of the value at which the chain begins."""

    operation: Operation
    root: int


class Values:
    """The forms of the values of a program: of those that are known, and, when they are asked for, of the others."""

    def __init__(self, writer: Writer, kept: Kept, known: dict[int, Known]) -> None:
        self._writer, self._kept = writer, kept
        self._rules = Rules(writer, kept)
        self._forms: dict[int, Form] = dict(known)
        self._links: dict[int, Link] = {}
        self._arrays: set[int] = set()  # results of chains that an operation has taken in: chains begin there too
        self._numbers: dict[int, float | None] = {}

    def set(self, number: int, form: Form) -> None:
        self._forms[number] = form

    def known(self, op: Operation) -> list[Known] | None:
        """The inputs of an operation if all of them depend on parameters alone."""
        found = [self.form(x) if isinstance(x, Constant) else self._forms.get(x.number) for x in op.inputs]
        known = [x for x in found if isinstance(x, Known)]
        return known if len(known) == len(found) else None

    def form(self, x: Atom) -> Form:
        """The form of a value; a chain that ends in it is lowered now."""
        if isinstance(x, Constant):
            return Known((np.asarray(x.value),) * self._writer.subnetworks)
        if x.number not in self._forms:
            self._forms[x.number] = self._lowered(x.number)
        return self._forms[x.number]

    def operation(self, op: Operation) -> None:
        """Take in an operation: as the next link of a chain, or by its rule."""
        numbers = [self._number(x) for x in op.inputs]
        arrays = [x for x, number in zip(op.inputs, numbers, strict=True) if number is None]
        root, *others = {self._root(x) for x in arrays}
        if root is not None and not others and is_step(op, numbers) and all(x.shape == op.outputs[0].shape for x in arrays):
            self._links[op.outputs[0].number] = Link(op, root)
            return
        form = self._rules.apply(op, [self.form(x) for x in op.inputs])
        self._forms[op.outputs[0].number] = form
        if isinstance(form, Affine):
            self._kept.check(op, form)

    def _number(self, x: Atom) -> float | None:
        """The one number that all entries of a value are, in all subnetworks; None if there is no such number."""
        if isinstance(x, Constant):
            return _uniform(np.asarray(x.value))
        if x.number not in self._numbers:
            form = self._forms.get(x.number)
            self._numbers[x.number] = _uniform(form.values[0]) if isinstance(form, Known) and form.shared else None
        return self._numbers[x.number]

    def _root(self, x: Atom) -> int | None:
        """Where the chain begins that has this value; None for what is known, for that is an operand of its own kind."""
        if isinstance(x, Constant) or isinstance(self._forms.get(x.number), Known):
            return None
        return self._links[x.number].root if x.number in self._links and x.number not in self._arrays else x.number

    def _chain(self, number: int) -> list[Operation]:
        """The operations that lead from the root to a value, in their order."""
        root = self._links[number].root
        found: dict[int, Operation] = {}
        waiting = [number]
        while waiting:
            n = waiting.pop()
            if n in self._links and n not in found:
                found[n] = self._links[n].operation
                waiting += [x.number for x in found[n].inputs if not isinstance(x, Constant) and x.number != root]
        return [found[n] for n in self._links if n in found]

    def _lowered(self, number: int) -> Form:
        chain, root = self._chain(number), self._links[number].root
        last = chain[-1]
        start = self._rules.resized(self._forms[root])
        try:
            with self._writer.attempt():
                forms = self._taken_in(chain, {root: start})
        except TraceError:
            if not isinstance(start, Affine) or last.outputs[0].dtype.kind != "f" or last.outputs[0].shape != start.index.shape:
                raise
            chain, root, start = self._shortened(chain, root, start)
            constants = {x.number: n for op in chain for x in op.inputs
                         if not isinstance(x, Constant) and (n := self._number(x)) is not None}
            made = self._map(last, start, function_of(chain, root, number, constants))
            self._kept.check(last, made)
            return made
        for op in chain:
            if isinstance(form := forms[op.outputs[0].number], Affine):
                self._kept.check(op, form)
        self._arrays.add(number)
        return forms[number]

    def _taken_in(self, chain: Sequence[Operation], forms: dict[int, Form]) -> dict[int, Form]:
        """The forms of a chain that is nothing but scales, offsets and activations of the operation before it."""
        for op in chain:
            inputs = [forms[x.number] if not isinstance(x, Constant) and x.number in forms else self.form(x) for x in op.inputs]
            forms[op.outputs[0].number] = self._rules.elementwise(op, inputs)
        return forms

    def _shortened(self, chain: list[Operation], root: int, start: Affine) -> tuple[list[Operation], int, Affine]:
        """A chain without the factors at its begin that make an array of what is stored: the mean of a pool, from its sum."""
        rest, at, form = chain, root, start
        while form.affine and form.activation == "linear":
            readers = [op for op in rest for x in op.inputs if not isinstance(x, Constant) and x.number == at]
            if len(readers) != 1 or readers[0].primitive.name not in ("mul", "div"):
                break
            op = readers[0]
            inputs = [form if not isinstance(x, Constant) and x.number == at else self.form(x) for x in op.inputs]
            try:
                scaled = self._rules.elementwise(op, inputs)
            except TraceError:  # a number that is divided by the array
                break
            assert isinstance(scaled, Affine)
            rest, at, form = [other for other in rest if other is not op], op.outputs[0].number, scaled
        return (chain, root, start) if form.affine else (rest, at, form)

    def _map(self, op: Operation, x: Affine, function: Function) -> Affine:
        """One operation for a chain."""
        t = self._writer.channel_first(self._writer.write(x))
        source = self._writer.source(self._writer.tensors[t], x.source.full, kind="map", name=f"{x.source.name or 'input'}_map",
                                     inputs=(t,), function=function)
        return self._writer.plain(source, self._writer.moved(x, t))


def _uniform(values: np.ndarray) -> float | None:
    """The number that all entries are; None if there is none."""
    first = np.ravel(values)[:1]
    return float(first[0]) if first.size and values.dtype.kind in "biuf" and bool(np.all(values == first[0])) else None
