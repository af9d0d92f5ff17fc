"""A model's jaxpr as a program: calls are opened in place, loops and custom derivatives keep their bodies."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
from jax.extend import core

from reds_jax.program.flat import (
    Atom,
    Body,
    Call,
    Constant,
    Item,
    Operation,
    Program,
    Value,
    is_float,
    leaves_by_path,
    needed,
    opened,
)

_OPENED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where a call keeps what it calls
_CALLS = {"jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint", "custom_lin"}
_CUSTOM = {"custom_jvp_call", "custom_vjp_call"}
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = (_PACKAGE, *(os.path.dirname(os.path.abspath(m.__file__ or "")) for m in (jax, jaxlib, flax)))


def flatten(function: Callable[..., Any], variables: Any, *inputs: Any, first: int = 0, rules: bool = True) -> Program:
    """The program of ``function(variables, *inputs)``, which returns outputs alone; see `flatten_with_state`."""
    return flatten_with_state(lambda *a: (function(*a), {}), variables, *inputs, first=first, rules=rules)


def flatten_with_state(
    function: Callable[..., Any], variables: Any, *inputs: Any, first: int = 0, rules: bool = True
) -> Program:
    """The program of ``function(variables, *inputs) -> (outputs, state)``.

    Args:
        function: pure; ``state`` is a tree whose paths are paths of ``variables`` (``{"batch_stats": ...}``), or empty.
        variables: arrays or shapes.
        inputs: trees of arrays or shapes.
        first: the number of the first value, so that the values of two programs of one model differ.
        rules: keep custom derivatives; without, the functions that have them are opened in place.
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(variables, *inputs)
    program = Program(values=first)
    env: dict[Any, Atom] = {}
    paths = list(leaves_by_path(variables))
    for i, var in enumerate(closed.jaxpr.invars):
        env[var] = value = program.new(var.aval)
        if i < len(paths):
            program.leaves[paths[i]] = value
        else:
            program.inputs.append(value)
    program.items = _open(program, closed.jaxpr, closed.consts, env, "", "unknown line", rules=rules)
    results = [_read(env, v) for v in closed.jaxpr.outvars]
    outputs, state = shapes
    program.structure = jax.tree.structure(outputs)
    program.outputs = results[: program.structure.num_leaves]
    program.states = dict(zip(leaves_by_path(state), results[program.structure.num_leaves :], strict=True))
    program.items = needed(program.items, results)
    return program


def _user_line(source_info: Any, caller: str) -> str:
    """``file:line`` of the innermost frame outside jax, flax and this package; inside a library's call, the caller's."""
    traceback = getattr(source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()) or ():
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{frame.file_name}:{frame.line_num}"
    return caller


def _read(env: dict[Any, Atom], atom: Any) -> Atom:
    """The value of a variable; a number that is written into the program has the type that it is computed with."""
    if isinstance(atom, core.Literal):
        return Constant(np.asarray(atom.val, atom.aval.dtype))  # type: ignore[attr-defined]
    return env[atom]


def _open(
    program: Program, jaxpr: Any, consts: Any, env: dict[Any, Atom], module: str, caller: str, *, rules: bool = True
) -> list[Item]:
    """The items of a jaxpr. Inside a rule of a custom derivative (``rules=False``) further custom derivatives are opened: a
    rule often calls its own function, and what it computes is differentiated again only in second derivatives."""
    items: list[Item] = []
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        env[var] = Constant(value)
    for eqn in jaxpr.eqns:
        name = eqn.primitive.name
        inputs = tuple(_read(env, v) for v in eqn.invars)
        here = str(eqn.source_info.name_stack) or module
        line = _user_line(eqn.source_info, caller)
        inner = next((eqn.params[k] for k in _OPENED if k in eqn.params), None)
        if name in _CALLS | _CUSTOM and inner is not None:
            body = getattr(inner, "jaxpr", inner)
            scope: dict[Any, Atom] = dict(zip(body.invars, inputs, strict=True))
            called = _open(program, body, getattr(inner, "consts", ()), scope, here, line, rules=rules)
            results = tuple(_read(scope, v) for v in body.outvars)
            custom = rules and name in _CUSTOM
            if custom:
                results = _own(program, called, results, here, line)
            env.update(zip(eqn.outvars, results, strict=True))
            if custom:
                outputs = tuple(v for v in results if isinstance(v, Value))
                operation = Operation(eqn.primitive, inputs, outputs, eqn.params, here, line)
                given = tuple(_read(env, v) for v in _arguments(eqn))
                items.append(Call(operation, tuple(called), results, given, _rule(program, eqn, here, line)))
            else:
                items += called
            continue
        outputs = tuple(program.new(v.aval) for v in eqn.outvars)
        env.update(zip(eqn.outvars, outputs, strict=True))
        body = _body(program, eqn.params["jaxpr"], here, line, rules) if name == "scan" else None
        params = eqn.params
        if name == "reshape" and (order := params["dimensions"]) is not None:  # it turns its axes first: two operations
            x, out = inputs[0], outputs[0]
            inputs = (program.new(jax.ShapeDtypeStruct([x.shape[i] for i in order], out.dtype)),)
            items.append(Operation(jax.lax.transpose_p, (x,), inputs, {"permutation": tuple(order)}, here, line))
            params = {**params, "dimensions": None}
        items.append(Operation(eqn.primitive, inputs, outputs, params, here, line, body))
    return items


def _own(program: Program, called: list[Item], results: Sequence[Atom], module: str, line: str) -> tuple[Atom, ...]:
    """The results of a custom derivative as values of their own, also where the function returns what it was given."""
    made = {v.number for op in opened(called) for v in op.outputs}
    found: list[Atom] = []
    for x in results:
        if isinstance(x, Value) and (x.number not in made or any(x is y for y in found)):
            copy = program.new(jax.ShapeDtypeStruct(x.shape, x.dtype))
            params = {"new_dtype": x.dtype, "weak_type": False, "sharding": None}
            called.append(Operation(jax.lax.convert_element_type_p, (x,), (copy,), params, module, line))
            x = copy
        found.append(x)
    return tuple(found)


def _body(program: Program, closed: Any, module: str, line: str, rules: bool) -> Body:
    env: dict[Any, Atom] = {}
    inputs = []
    for var in closed.jaxpr.invars:
        env[var] = value = program.new(var.aval)
        inputs.append(value)
    items = _open(program, closed.jaxpr, closed.consts, env, module, line, rules=rules)
    return Body(tuple(inputs), tuple(items), tuple(_read(env, v) for v in closed.jaxpr.outvars))


def _rule(program: Program, eqn: Any, module: str, line: str) -> Body:
    """The derivative rule of a custom call as a body, traced at full width; integers have no derivative."""
    arguments = _arguments(eqn)
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in arguments]
    floats = [i for i, x in enumerate(shapes) if is_float(x)]

    def of_floats(given: Sequence[Any], *some: Any) -> list[Any]:
        full = list(given)
        for i, x in zip(floats, some, strict=True):
            full[i] = x
        known = dict(zip(arguments, full, strict=True))
        return _bind(eqn, [v.val if isinstance(v, core.Literal) else known[v] for v in eqn.invars])

    def jvp(given: Sequence[Any], tangents: Sequence[Any]) -> Any:
        return jax.jvp(lambda *some: of_floats(given, *some), [given[i] for i in floats], tangents)

    def vjp(given: Sequence[Any], cotangents: Sequence[Any]) -> Any:
        return jax.vjp(lambda *some: of_floats(given, *some), *(given[i] for i in floats))[1](list(cotangents))

    results = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.outvars]
    if eqn.primitive.name == "custom_jvp_call":
        closed = jax.make_jaxpr(jvp)(shapes, [shapes[i] for i in floats])
    else:
        closed = jax.make_jaxpr(vjp)(shapes, results)
    return _body(program, closed, module, line, False)


def _bind(eqn: Any, arrays: Sequence[Any]) -> list[Any]:
    """A custom call by itself; jax before 0.10 gives its functions apart from its parameters."""
    found = eqn.primitive.get_bind_params(eqn.params)
    functions, params = found if isinstance(found, tuple) else ((), found)
    return eqn.primitive.bind(*functions, *arrays, **params)


def _arguments(eqn: Any) -> list[Any]:
    return list(dict.fromkeys(v for v in eqn.invars if not isinstance(v, core.Literal)))
