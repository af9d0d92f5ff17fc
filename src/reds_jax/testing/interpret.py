"""A second implementation: JAX functions run operation by operation in NumPy, in double precision, without a compiler.

Nothing is compiled, so that hundreds of small networks run in seconds, and nothing of XLA is shared with what is checked.
Whole numbers are exact up to 2^53. An operation that is not in the tables below is run by JAX, in double precision too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np
from jax.extend import core
from numpy.lib.stride_tricks import sliding_window_view

from reds_jax.lowering import readable
from reds_jax.program.flat import Body, Constant, Operation, Program, Value, loop_counts, opened
from reds_jax.program.read import flatten

Hook = Callable[[Value, np.ndarray], np.ndarray]
"""Changes a value that has just been computed: ``hook(value, array) -> array``."""


def interpret(function: Callable[[Any, Any], Any], variables: Any, x: Any) -> list[Any]:
    """The leaves of ``function(variables, x)`` in float64, computed by NumPy; ``x`` is an array [N, ...].

    Args:
        function: of (variables, x).
        variables: a tree of arrays.
        x: an array [N, ...].

    >>> interpret(lambda w, x: x @ w, np.array([[2.0], [3.0]]), np.array([[10.0, 1.0]]))
    [array([[23.]])]
    """
    with readable():
        return run(flatten(function, variables, x, rules=False), variables, x)


def run(program: Program, variables: Any, x: Any, hook: Hook | None = None) -> list[Any]:
    """The outputs of a flat program; ``hook`` sees every computed value and may change it before it is used."""
    outputs, _ = run_with_state(program, variables, x, hook)
    return outputs


def run_with_state(
    program: Program, variables: Any, x: Any, hook: Hook | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """The outputs of a flat program and the new statistics by path."""
    values: dict[int, Any] = {}
    given = [*jax.tree.leaves(variables), *jax.tree.leaves(x)]
    for value, array in zip([*program.leaves.values(), *program.inputs], given, strict=True):
        values[value.number] = _double(array)
    with np.errstate(all="ignore"):  # a channel that a hook has set to zero may be divided by or logged
        _run(program.operations, values, hook)
    states = {path: _read(values, v) for path, v in program.states.items()}
    return [_read(values, v) for v in program.outputs], states


def _read(values: dict[int, Any], x: Value | Constant) -> Any:
    return values[x.number] if isinstance(x, Value) else _double(x.value)


def _run(operations: Iterable[Operation], values: dict[int, Any], hook: Hook | None) -> None:
    for operation in operations:
        inputs = [_read(values, x) for x in operation.inputs]
        body = operation.body
        results = _compute(operation, inputs) if body is None else _scan(operation, body, inputs, hook)
        for value, array in zip(operation.outputs, results, strict=True):
            assert array.shape == value.shape, (operation.primitive.name, array.shape, value.shape)
            values[value.number] = array if hook is None else hook(value, array)


def _scan(operation: Operation, body: Body, inputs: list[Any], hook: Hook | None) -> list[Any]:
    """A loop, turn by turn."""
    p = operation.params
    consts, carried = loop_counts(p)
    carry, turns = inputs[consts : consts + carried], []
    order = range(p["length"])[:: -1 if p["reverse"] else 1]
    for t in order:
        now = [*inputs[:consts], *carry, *(x[t] for x in inputs[consts + carried :])]
        values = dict(zip((v.number for v in body.inputs), now, strict=True))
        _run(opened(body.items), values, hook)
        results = [_read(values, x) for x in body.outputs]
        carry = results[:carried]
        turns.append(results[carried:])
    ys = [np.stack(y) for y in zip(*turns[:: -1 if p["reverse"] else 1], strict=True)]
    return [*carry, *ys]


def _double(array: Any) -> Any:
    if jax.numpy.issubdtype(getattr(array, "dtype", np.float32), jax.dtypes.prng_key):
        return array  # a key of random numbers
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind not in "biu" else array


def _compute(operation: Operation, inputs: list[Any]) -> list[Any]:
    """NumPy arrays and scalars, and the keys of jax, which are neither."""
    name = operation.primitive.name
    if name in _ELEMENTWISE:
        return [np.asarray(_ELEMENTWISE[name](*inputs))]
    if name in _STRUCTURAL and not _is_dilated(operation):
        return [_STRUCTURAL[name](operation, *inputs)]
    params = operation.params
    if params.get("preferred_element_type") is not None:
        params = {**params, "preferred_element_type": np.dtype(np.float64)}
    with jax.enable_x64(True):
        numbers = [jax.ShapeDtypeStruct((), _kind(x)) for x in operation.inputs]
        if params.get("update_jaxpr") is not None:  # what a scatter does with two numbers
            update = core.jaxpr_as_fun(core.ClosedJaxpr(params["update_jaxpr"], params["update_consts"]))
            params = {**params, "update_jaxpr": jax.make_jaxpr(update)(*numbers[:1] * 2).jaxpr, "update_consts": ()}
        elif operation.primitive.name == "reduce":
            params = {**params, "jaxpr": jax.make_jaxpr(core.jaxpr_as_fun(params["jaxpr"]))(*numbers)}
        arrays = [a if isinstance(a, jax.Array) else jax.numpy.asarray(a, _kind(x))
                  for a, x in zip(inputs, operation.inputs, strict=True)]
        results = operation.primitive.bind(*arrays, **params)
    return [_double(r) for r in (results if operation.primitive.multiple_results else [results])]


def _kind(x: Value | Constant) -> Any:
    """The type that JAX gets an operand in: double for single precision, and what else it has."""
    kind = x.dtype if isinstance(x, Value) else x.value.dtype
    return np.float64 if jax.numpy.issubdtype(kind, np.floating) else kind


def _is_dilated(operation: Operation) -> bool:
    names = ("lhs_dilation", "rhs_dilation", "base_dilation", "window_dilation")
    backwards = operation.params.get("batch_group_count", 1) != 1 or any(
        n < 0 for pair in operation.params.get("padding") or () for n in pair)
    return backwards or any(set(operation.params.get(name) or ()) - {1} for name in names)


def _logistic(x: Any) -> Any:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _select(which: Any, *cases: Any) -> Any:
    return np.choose(which.astype(np.int64), cases)


_ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "abs": np.abs, "add": np.add, "add_any": np.add, "and": np.bitwise_and, "div": np.divide, "eq": np.equal, "exp": np.exp,
    "clamp": lambda low, x, high: np.clip(x, low, high),
    "expm1": np.expm1, "ge": np.greater_equal, "gt": np.greater, "is_finite": np.isfinite, "le": np.less_equal, "log": np.log,
    "log1p": np.log1p, "logistic": _logistic, "lt": np.less, "max": np.maximum, "min": np.minimum, "mul": np.multiply,
    "ne": np.not_equal, "neg": np.negative, "not": np.logical_not, "or": np.bitwise_or, "rsqrt": lambda x: 1 / np.sqrt(x),
    "select_n": _select, "sign": np.sign, "sqrt": np.sqrt, "square": np.square, "stop_gradient": lambda x: x,
    "sub": np.subtract, "tanh": np.tanh, "copy": lambda x: x, "copy_p": lambda x: x,
}


def _broadcast(operation: Operation, x: Any) -> Any:
    shape, axes = operation.params["shape"], operation.params["broadcast_dimensions"]
    sizes = [1] * len(shape)
    for axis, n in zip(axes, x.shape, strict=True):
        sizes[axis] = n
    return np.broadcast_to(x.reshape(sizes), shape)


def _convert(operation: Operation, x: Any) -> Any:
    kind = np.dtype(operation.params["new_dtype"])
    return x.astype(kind if kind.kind in "biu" else np.float64)


def _convolution(operation: Operation, x: Any, kernel: Any) -> Any:
    """``y[n, o, p] = sum_{i, k} x[n, group(o) * I + i, s p + k] * kernel[o, i, k]``, over any number of positions."""
    p, numbers = operation.params, operation.params["dimension_numbers"]
    x, kernel = x.transpose(numbers.lhs_spec), kernel.transpose(numbers.rhs_spec)  # [N, I, ...], [O, I / groups, ...]
    x = np.pad(x, [(0, 0), (0, 0), *p["padding"]])
    spatial = tuple(range(2, x.ndim))
    views = sliding_window_view(x, kernel.shape[2:], spatial)  # [N, I, ...positions, ...window]
    views = views[(slice(None), slice(None), *(slice(None, None, s) for s in p["window_strides"]))]
    groups = p["feature_group_count"]
    n = len(spatial)
    parts = [np.tensordot(v, k, ((1, *range(2 + n, 2 + 2 * n)), (1, *range(2, 2 + n))))
             for v, k in zip(np.split(views, groups, 1), np.split(kernel, groups), strict=True)]
    return np.moveaxis(np.concatenate(parts, -1), [0, -1, *range(1, 1 + n)], numbers.out_spec)


def _dot(operation: Operation, a: Any, b: Any) -> Any:
    (contract_a, contract_b), (batch_a, batch_b) = operation.params["dimension_numbers"]
    names_a = list(range(a.ndim))
    names_b = list(range(a.ndim, a.ndim + b.ndim))
    for i, j in zip((*contract_a, *batch_a), (*contract_b, *batch_b), strict=True):
        names_b[j] = names_a[i]
    out = [*(names_a[i] for i in batch_a), *(names_a[i] for i in range(a.ndim) if i not in (*contract_a, *batch_a)),
           *(names_b[j] for j in range(b.ndim) if j not in (*contract_b, *batch_b))]
    return np.einsum(a, names_a, b, names_b, out)


def _window(reduce: Callable[..., Any], empty: float) -> Callable[[Operation, Any], Any]:
    def pooled(operation: Operation, x: Any) -> Any:
        p = operation.params
        x = np.pad(x, p["padding"], constant_values=empty)
        views = sliding_window_view(x, p["window_dimensions"])[tuple(slice(None, None, s) for s in p["window_strides"])]
        return reduce(views, tuple(range(x.ndim, 2 * x.ndim)))

    return pooled


_STRUCTURAL: dict[str, Callable[..., Any]] = {
    "broadcast_in_dim": _broadcast, "convert_element_type": _convert, "conv_general_dilated": _convolution,
    "dot_general": _dot,
    "concatenate": lambda o, *xs: np.concatenate(xs, o.params["dimension"]),
    "expand_dims": lambda o, x: np.expand_dims(x, o.params["dimensions"]),
    "integer_pow": lambda o, x: x ** float(o.params["y"]),
    "reduce_max": lambda o, x: x.max(o.params["axes"]),
    "reduce_sum": lambda o, x: x.sum(o.params["axes"]),
    "reduce_window_max": _window(np.max, -np.inf), "reduce_window_sum": _window(np.sum, 0.0),
    "reshape": lambda o, x: x.reshape(o.params["new_sizes"]),
    "rev": lambda o, x: np.flip(x, o.params["dimensions"]),
    "slice": lambda o, x: x[tuple(slice(*bounds) for bounds in zip(
        o.params["start_indices"], o.params["limit_indices"], o.params["strides"] or (1,) * x.ndim, strict=True))],
    "squeeze": lambda o, x: np.squeeze(x, o.params["dimensions"]),
    "transpose": lambda o, x: x.transpose(o.params["permutation"]),
}
