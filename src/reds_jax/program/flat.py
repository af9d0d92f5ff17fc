"""A program as one list of operations: values, operations, loops with their bodies, custom derivatives with their rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jax.extend import core


@dataclass(frozen=True)
class Value:
    """One array of the program: its number, shape and item size."""

    number: int
    shape: tuple[int, ...]
    itemsize: int
    dtype: Any


@dataclass(frozen=True, eq=False)
class Constant:
    """An array that is written into the program."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)


Atom = Value | Constant


@dataclass(frozen=True, eq=False)
class Body:
    """A part of a program with inputs of its own: what a loop repeats, or a rule of a custom derivative."""

    inputs: tuple[Value, ...]
    items: tuple[Operation | Call, ...]
    outputs: tuple[Atom, ...]


@dataclass(frozen=True, eq=False)
class Operation:
    """One primitive: its inputs, outputs, static parameters, and where the user's code called it; ``body`` of a scan."""

    primitive: core.Primitive
    inputs: tuple[Atom, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    module: str
    line: str
    body: Body | None = None


@dataclass(frozen=True, eq=False)
class Call:
    """Operations with a derivative of their own (``jax.custom_jvp``, ``jax.custom_vjp``), which read and make outer values.

    Args:
        operation: the call as one operation; its ``outputs`` are made by ``items`` (or are inputs, or constants).
        items: what is called.
        results: the values or constants that are the outputs.
        arguments: what is differentiated.
        rule: for ``jax.custom_jvp`` from arguments and tangents to results and tangents, for ``jax.custom_vjp`` from
            arguments and cotangents to cotangents of the arguments.
    """

    operation: Operation
    items: tuple[Operation | Call, ...]
    results: tuple[Atom, ...]
    arguments: tuple[Atom, ...]
    rule: Body


Item = Operation | Call


@dataclass(eq=False)
class Program:
    """The operations in order. ``leaves`` are the parameters and statistics by path, ``inputs`` the example inputs.

    ``states`` says which outputs are the new value of which leaf (batch statistics in training); the other outputs are the
    network's.
    """

    leaves: dict[str, Value] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Atom] = field(default_factory=list)
    states: dict[str, Atom] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    structure: Any = None  # of the outputs
    values: int = 0

    def new(self, aval: Any) -> Value:
        value = Value(self.values, tuple(aval.shape), getattr(aval.dtype, "itemsize", 4), aval.dtype)
        self.values += 1
        return value

    @property
    def operations(self) -> list[Operation]:
        """All operations in order, with custom derivatives opened; a scan is one operation."""
        return list(opened(self.items))


def opened(items: Sequence[Item]) -> Iterator[Operation]:
    """The operations of ``items`` with custom derivatives opened."""
    for item in items:
        if isinstance(item, Call):
            yield from opened(item.items)
        else:
            yield item


def as_operation(item: Item) -> Operation:
    """The item as one operation: what it reads and what it makes."""
    return item.operation if isinstance(item, Call) else item


def needed(items: Sequence[Item], results: Iterable[Atom]) -> list[Item]:
    """The items that lead to the results."""
    live = {x.number for x in results if isinstance(x, Value)}
    kept: list[Item] = []
    for item in reversed(items):
        op = as_operation(item)
        if any(v.number in live for v in op.outputs):
            kept.append(item)
            live.update(x.number for x in op.inputs if isinstance(x, Value))
    return kept[::-1]


def leaf_path(path: tuple[Any, ...]) -> str:
    """``params/conv/kernel`` for a key path of jax.tree_util."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def leaves_by_path(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their paths, in the order of the tree."""
    return {leaf_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def is_float(x: Any) -> bool:
    return jax.numpy.issubdtype(x.dtype, np.inexact)


def float_arguments(call: Call) -> list[int]:
    """Which arguments of a custom derivative have a derivative."""
    return [i for i, x in enumerate(call.arguments) if is_float(x if isinstance(x, Value) else np.asarray(x.value))]


def loop_counts(params: Mapping[str, Any]) -> tuple[int, int]:
    """Of the inputs of a scan, how many stay the same in each turn and how many are carried (grouped from jax 0.12 on)."""
    if "ft_in" not in params:
        return params["num_consts"], params["num_carry"]
    consts, carried, _ = (len(list(group)) for group in params["ft_in"].unpack())
    return consts, carried
