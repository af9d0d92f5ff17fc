"""Where two computations part: the first operation of a program whose values are not what they should be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import PureModel
from reds_jax.graph.channels import ChannelGraph, WidthLike
from reds_jax.graph.permute import sources
from reds_jax.graph.trace import INFERENCE, Traced, traced
from reds_jax.program.flat import Call, Operation, Program, Value, leaves_by_path
from reds_jax.run.held import Held
from reds_jax.run.interpreter import Narrow
from reds_jax.run.sharing import Env
from reds_jax.testing.interpret import interpret
from reds_jax.testing.interpret import run as interpret_program
from reds_jax.testing.masked import masked_run

Arrays = dict[int, np.ndarray]
"""The values of a program by their numbers."""


def of_permuted(pure: PureModel, variables: Any, moved: Any, x: Any, orders: dict[str, np.ndarray]) -> str:
    """The first operation whose values, with ``moved`` variables, are not the permuted values with ``variables``."""
    found = traced(pure, variables, x)
    program = found.programs[INFERENCE]
    before, after = (_recorded(program, v, x) for v in (variables, moved))
    by_group = [orders.get(g.name, np.arange(0)) for g in found.numbering.groups]
    by_group = [order if len(order) == g.size else np.arange(g.size)
                for order, g in zip(by_group, found.numbering.groups, strict=True)]

    def expected(value: Value) -> np.ndarray:
        array = before[value.number]
        for i, axis in enumerate(found.numbering.axes(value)):
            array = array if axis is None else array.take(sources(axis, by_group), i)
        return array

    return _first(program.operations, expected, after)


def of_narrow(pure: PureModel, variables: Any, given: Any, x: Any, graph: ChannelGraph, widths: WidthLike) -> str:
    """The first operation that, at a width, does not make what stays of the masked values.

    Args:
        variables: the full ones.
        given: what the narrow program runs with: the full variables, or those of an extracted subnetwork.
    """
    found = traced(pure, variables, x)
    program = found.programs[INFERENCE]
    narrow = Narrow(found.numbering, found.graph.integers(graph.integers(widths)))
    masked: Arrays = {}

    def record(value: Value, array: np.ndarray) -> np.ndarray:
        masked[value.number] = array
        return array

    masked_run(pure, variables, x, graph, widths, watch=record)
    numbers = [v.number for item in program.items for v in _operation(item).outputs if _is_array(v)]
    arrays = interpret(lambda v, x: _values(found, narrow, v, x, numbers), given, x)

    def expected(value: Value) -> np.ndarray:
        array = masked[value.number]
        for i in range(len(value.shape)):
            kept = narrow.kept(value, i)
            array = array if kept is None else array.take(kept, i)
        return array

    return _first([_operation(item) for item in program.items], expected, dict(zip(numbers, arrays, strict=True)))


def _operation(item: Operation | Call) -> Operation:
    return item.operation if isinstance(item, Call) else item


def _is_array(value: Value) -> bool:
    return not jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key)


def _recorded(program: Program, variables: Any, x: Any) -> Arrays:
    values: Arrays = {}

    def record(value: Value, array: np.ndarray) -> np.ndarray:
        values[value.number] = array
        return array

    interpret_program(program, variables, (x, jax.random.key(0)), record)
    return values


def _values(found: Traced, narrow: Narrow, variables: Any, x: Any, numbers: Sequence[int]) -> list[jax.Array]:
    """The values of the narrow program."""
    program, leaves = found.programs[INFERENCE], leaves_by_path(variables)
    env: Env = {value.number: narrow.cut(value, Held(leaves[path])) for path, value in program.leaves.items()}
    inputs = [*jax.tree.leaves(x), jax.random.key(0)]
    env.update({v.number: Held(a) for v, a in zip(program.inputs, inputs, strict=True)})
    narrow.run(program.items, env)
    made = [env[number] for number in numbers]
    return [h.plain() for h in made if isinstance(h, Held)]


def _first(operations: Sequence[Operation], expected: Callable[[Value], np.ndarray], found: Arrays) -> str:
    """The first operation with a value that is not as expected, in words."""
    for op in operations:
        for value in op.outputs:
            if value.number not in found or not _is_array(value):
                continue
            a, b = expected(value), found[value.number]
            with np.errstate(invalid="ignore"):
                largest = np.max(np.abs(a.astype(float)), initial=0, where=np.isfinite(a.astype(float)))
            if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=1e-7 * (1 + largest), equal_nan=True):
                return f"first different in {op.primitive.name!r} of module {op.module or '(top)'!r} ({op.line})"
    return "no single operation is different"
