"""What lies between two products, recognised in a program and made one operation that goes over a channel while it is in cache.

    batch norm -> activation -> depthwise convolution [+ bias] -> batch norm -> activation

With the statistics of the batch (`reds_jax.run.fuse` has found those) or with given ones. Only values that nothing else
reads disappear. What an activation does is read from its operations, and the derivative of one that brings its own rule is
compared with the kernel's at points of all magnitudes: another rule, such as a straight-through estimator, stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jax.extend import core

from reds_jax.program.flat import Atom, Call, Constant, Item, Operation, Value, as_operation
from reds_jax.run.channel_first import Window
from reds_jax.run.fuse import BATCH_NORM, FLOATS, in_order
from reds_jax.run.kernels import Activation

SEGMENT = core.Primitive("segment")
ONE, ZERO = Constant(np.float32(1)), Constant(np.float32(0))

Derivative = Callable[[Call, np.ndarray], np.ndarray]
"""The derivative of a call at an input of its full shape, entry by entry."""


def segmented(items: Sequence[Item], results: Sequence[Atom], start: Sequence[Value], derivative: Derivative) -> list[Item]:
    """The items with every segment as one operation.

    Args:
        items: of a program, with batch norms as one operation.
        results: the outputs of the program, which stay.
        start: what is there before the first item.
        derivative: how the derivative of a call is evaluated.
    """
    find = _Finder(items, results, derivative)
    made: dict[int, Operation] = {}  # by the number of the last value
    for item in items:
        if isinstance(item, Operation) and not find.is_taken(item) and (found := find.segment(item)):
            made[found.operation.outputs[0].number] = found.operation
            find.taken.update(found.inside, [found.operation.outputs[0].number])
    kept: list[Item] = []
    for item in items:
        numbers = [v.number for v in as_operation(item).outputs]
        if not find.is_taken(item):
            kept.append(item)
        elif (last := next((made[n] for n in numbers if n in made), None)) is not None:
            kept.append(last)
    return in_order(kept, start)


@dataclass(frozen=True)
class _Norm:
    """``scale * (x - mean) / sqrt(var + epsilon) + bias``, or ``scale * (x - centre) + bias``.

    ``result`` is what it makes, ``moments`` the mean and variance of a batch, ``inside`` the values between ``x`` and
    ``result``, which disappear.
    """

    x: Value
    result: Value
    axis: int
    batch: bool
    epsilon: float = 0.0
    scale: Atom = ONE
    bias: Atom = ZERO
    centre: Atom = ZERO
    moments: tuple[Value, ...] = ()
    inside: tuple[int, ...] = ()

    @property
    def vectors(self) -> tuple[Atom, ...]:
        return self.scale, self.bias, self.centre


@dataclass(frozen=True)
class _Found:
    operation: Operation
    inside: tuple[int, ...]


class _Finder:
    """Follows the values of a program forwards."""

    def __init__(self, items: Sequence[Item], results: Sequence[Atom], derivative: Derivative) -> None:
        self._derivative = derivative
        self.taken: set[int] = set()  # values that a segment makes, or makes disappear
        self._uses: Counter[int] = Counter(x.number for x in results if isinstance(x, Value))
        self._readers: dict[int, list[Item]] = {}
        self._numbers: dict[int, float] = {}
        for item in items:
            op = as_operation(item)
            if op.primitive.name == "convert_element_type" and (number := _number(op.inputs[0])) is not None:
                self._numbers[op.outputs[0].number] = number
            for number in {x.number for x in op.inputs if isinstance(x, Value)}:
                self._uses[number] += 1
                self._readers.setdefault(number, []).append(item)

    def only_reader(self, x: Value) -> Item | None:
        """The one item that reads a value, if nothing else does and it is not part of another chain."""
        readers = self._readers.get(x.number, ())
        return readers[0] if self._uses[x.number] == 1 and readers and not self.is_taken(readers[0]) else None

    def number(self, x: Atom) -> float | None:
        """The value of a scalar that is written into the program, or made of one by a change of its type."""
        return self._numbers.get(x.number) if isinstance(x, Value) else _number(x)

    def is_taken(self, item: Item) -> bool:
        """Whether an item is part of a chain that was found."""
        return any(v.number in self.taken for v in as_operation(item).outputs)

    def segment(self, item: Operation) -> _Found | None:
        """The segment that begins with this operation."""
        first = self.norm(item)
        if first is None:
            return None
        f1, middle, inside = self.activation(first.result)
        conv = self.only_reader(middle)
        if not isinstance(conv, Operation) or (window := _depthwise(conv, middle, first.axis)) is None:
            return None
        y, bias = conv.outputs[0], ZERO
        gone = (*first.inside, *inside, middle.number)
        following = self.only_reader(y)
        if isinstance(following, Operation) and following.primitive.name == "add":
            vector = next((x for x in following.inputs if x is not y), y)
            if _along(vector, y) == first.axis:
                bias, gone, y = vector, (*gone, y.number), following.outputs[0]
                following = self.only_reader(y)
        second = self.norm(following) if isinstance(following, Operation) else None
        if second is None or (second.axis, second.batch) != (first.axis, first.batch):
            return None
        f2, result, behind = self.activation(second.result)
        params = {"axis": first.axis, "batch": first.batch, "epsilons": (first.epsilon, second.epsilon),
                  "activations": (f1, f2), "window": window, "kernel": conv.params["dimension_numbers"].rhs_spec}
        moments = (*first.moments, *second.moments)
        operation = Operation(SEGMENT, (first.x, *first.vectors, conv.inputs[1], bias, *second.vectors), (result, *moments),
                              params, item.module, item.line)
        inside = (*gone, y.number, *second.inside, *behind)
        return _Found(operation, tuple(n for n in inside if n != result.number) + tuple(v.number for v in moments))

    def norm(self, item: Operation) -> _Norm | None:
        """The norm that begins with an operation."""
        x = item.inputs[0] if item.inputs else None
        if item.primitive is BATCH_NORM:
            assert isinstance(x, Value)
            p, vectors = item.params, list(item.inputs[1:])
            if len(x.shape) < 3:
                return None
            scale = vectors.pop(0) if p["scale"] else ONE
            bias = vectors.pop(0) if p["bias"] else ZERO
            return _Norm(x, item.outputs[0], p["axis"], True, p["epsilon"], scale, bias, moments=item.outputs[1:])
        return self._given(item)

    def _given(self, item: Operation) -> _Norm | None:
        """``[x - centre] * scale [+ bias]``, with vectors over one axis."""
        name = item.primitive.name
        if name not in ("sub", "mul") or np.dtype(item.outputs[0].dtype) not in FLOATS:
            return None
        x = next((v for v in item.inputs if isinstance(v, Value) and v.shape == item.outputs[0].shape), None)
        if x is None or len(x.shape) < 3 or _along(x, x) is not None or (name == "sub" and item.inputs[0] is not x):
            return None
        vector = next((v for v in item.inputs if v is not x), x)
        axis = _along(vector, x)
        if axis is None:
            return None
        made = item.outputs[0]
        at = _Norm(x, made, axis, False, centre=vector) if name == "sub" else _Norm(x, made, axis, False, scale=vector)
        for wanted in ("mul", "add") if name == "sub" else ("add",):
            following = self.only_reader(at.result)
            vector = ZERO
            if isinstance(following, Operation) and following.primitive.name == wanted:
                vector = next((v for v in following.inputs if v is not at.result), ZERO)
            if not isinstance(following, Operation) or _along(vector, x) != axis:
                return None if wanted == "mul" else at
            at = replace(at, result=following.outputs[0], inside=(*at.inside, at.result.number))
            at = replace(at, scale=vector) if wanted == "mul" else replace(at, bias=vector)
        return at

    def activation(self, x: Value) -> tuple[Activation, Value, tuple[int, ...]]:
        """What is done to ``x`` alone next, its result, and the values that disappear with it; the identity by default."""
        nothing = Activation(), x, ()
        item = self.only_reader(x)
        if isinstance(item, Call):
            found = self._clipped(item.items, x)
            if found is None or item.results != (found[1],) or item.arguments != (x,):
                return nothing
            f = self._as_called(item, found[0])
            return nothing if f is None else (f, item.operation.outputs[0], (x.number,))
        if isinstance(item, Operation):
            second = self.only_reader(item.outputs[0])
            pair = (item, second) if isinstance(second, Operation) else (item,)
            for items in (pair, (item,)):
                if (found := self._clipped(items, x)) is not None and found[1] is items[-1].outputs[0]:
                    return found[0], found[1], (x.number, *(op.outputs[0].number for op in items[:-1]))
        return self._leaky(x) or nothing

    def _clipped(self, items: Sequence[Item], x: Value) -> tuple[Activation, Value] | None:
        """``max(x, 0)``, or ``min(max(x, 0), upper)``."""
        at, found = x, None
        for item, name in zip(items, ("max", "min"), strict=False):
            if not isinstance(item, Operation) or item.primitive.name != name or at not in item.inputs:
                return None
            bound = next((self.number(v) for v in item.inputs if v is not at), None)
            if bound is None or (name == "max" and bound != 0) or (name == "min" and bound <= 0):
                return None
            at = item.outputs[0]
            found = Activation(0.0, 0.5) if name == "max" else Activation(0.0, 0.5, bound, 0.5)
        return None if found is None or len(items) > 2 else (found, at)

    def _leaky(self, x: Value) -> tuple[Activation, Value, tuple[int, ...]] | None:
        """``where(x >= 0, x, slope * x)``."""
        readers = [item for item in self._readers.get(x.number, ()) if isinstance(item, Operation)]
        by = {op.primitive.name: op for op in readers}
        if self._uses[x.number] != 3 or len(readers) != 3 or not {"mul", "select_n"} < set(by):
            return None
        test = by.get("ge") or by.get("gt")
        product, choice = by["mul"], by["select_n"]
        slope = next((self.number(v) for v in product.inputs if v is not x), None)
        if test is None or slope is None or test.inputs[0] is not x or self.number(test.inputs[1]) != 0:
            return None
        inside = (test.outputs[0], product.outputs[0])
        if choice.inputs != (*inside, x) or any(self.only_reader(v) is not choice for v in inside):
            return None
        at_zero = 1.0 if test.primitive.name == "ge" else slope
        return Activation(slope, at_zero), choice.outputs[0], (x.number, *(v.number for v in inside))

    def _as_called(self, call: Call, f: Activation) -> Activation | None:
        """``f`` with the derivative of a call, if that is the kernel's at points of all magnitudes."""
        (x,) = call.arguments
        assert isinstance(x, Value)
        size = 10.0 ** np.arange(-30, 31, 1.5)
        kinks = [0.0, f.upper] if np.isfinite(f.upper) else [0.0]
        points = np.array([*kinks, *size, *-size, f.upper / 2, 2 * f.upper] if len(kinks) > 1 else [*kinks, *size, *-size])
        count, slopes = int(np.prod(x.shape)), []
        for at in range(0, len(points), count):
            slopes.append(self._derivative(call, np.resize(points[at : at + count], x.shape).astype(x.dtype)).ravel())
        found = np.concatenate(slopes)[: len(points)]
        f = f._replace(at_zero=float(found[0]), **({"at_upper": float(found[1])} if len(kinks) > 1 else {}))
        t = points[len(kinks) :].astype(x.dtype)
        return f if np.array_equal(found[len(kinks) :], np.where(t < 0, f.slope, np.where(t < f.upper, 1.0, 0.0))) else None


def _number(x: Atom) -> float | None:
    return float(x.value) if isinstance(x, Constant) and np.shape(x.value) == () else None


def _along(x: Atom, like: Value) -> int | None:
    """The axis of ``like`` along which a vector lies that has one entry along every other."""
    if not isinstance(x, Value) or len(x.shape) != len(like.shape):
        return None
    long = [i for i, n in enumerate(x.shape) if n > 1]
    return long[0] if len(long) == 1 and x.shape[long[0]] == like.shape[long[0]] else None


def _depthwise(conv: Operation, x: Value, axis: int) -> Window | None:
    """The window of a depthwise convolution of ``x`` with a parameter, one output a channel, one or two positions axes."""
    if conv.primitive.name != "conv_general_dilated" or conv.inputs[0] is not x or not isinstance(conv.inputs[1], Value):
        return None
    p, kernel = conv.params, conv.inputs[1]
    lhs, rhs, out = p["dimension_numbers"].lhs_spec, p["dimension_numbers"].rhs_spec, p["dimension_numbers"].out_spec
    channels = x.shape[axis]
    one_each = (p["feature_group_count"], kernel.shape[rhs[0]], kernel.shape[rhs[1]]) == (channels, channels, 1)
    if np.dtype(kernel.dtype) not in FLOATS or kernel.dtype != conv.outputs[0].dtype:
        return None
    simple = set(p["lhs_dilation"]) == {1} and p["batch_group_count"] == 1 and min(map(min, p["padding"])) >= 0
    if not (one_each and simple and lhs == out and lhs[0] == 0 and lhs[1] == axis and len(lhs) in (3, 4) and channels > 1):
        return None
    return Window(tuple(p["window_strides"]), tuple(map(tuple, p["padding"])), tuple(p["rhs_dilation"]))
