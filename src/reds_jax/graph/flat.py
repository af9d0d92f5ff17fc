"""A model's jaxpr as one flat list of operations: nested calls (jit, custom gradients, remat) are opened in place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flax
import jax
import jaxlib
import numpy as np
from jax.extend import core

from reds_jax.nn.lowering import lowering

_OPENED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where a call keeps what it calls
_CALLS = {"jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint", "custom_jvp_call",
          "custom_vjp_call", "custom_vjp_call_jaxpr", "custom_lin"}
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIBRARIES = (_PACKAGE, *(os.path.dirname(os.path.abspath(m.__file__ or "")) for m in (jax, jaxlib, flax)))


@dataclass(frozen=True)
class Value:
    """One array of the program: its number, shape and item size."""

    number: int
    shape: tuple[int, ...]
    itemsize: int
    dtype: np.dtype


@dataclass(frozen=True)
class Constant:
    """An array that is written into the program."""

    value: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)


@dataclass(frozen=True)
class Operation:
    """One primitive: its inputs, outputs, static parameters, and where the user's code called it."""

    primitive: core.Primitive
    inputs: tuple[Value | Constant, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any]
    module: str
    line: str


@dataclass
class Program:
    """The operations in order. ``leaves`` are the parameters and statistics by path, ``inputs`` the example input."""

    leaves: dict[str, Value] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value | Constant] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    values: int = 0

    def new(self, aval: Any) -> Value:
        value = Value(self.values, tuple(aval.shape), _itemsize(aval.dtype), aval.dtype)
        self.values += 1
        return value


def _itemsize(dtype: Any) -> int:
    return getattr(dtype, "itemsize", 4)


def leaf_path(path: tuple[Any, ...]) -> str:
    """``params/conv/kernel`` for a key path of jax.tree_util."""
    return "/".join(str(getattr(k, "key", getattr(k, "name", getattr(k, "idx", k)))) for k in path)


def _user_line(source_info: Any, caller: str) -> str:
    """``file:line`` of the innermost frame outside jax, flax and this package; inside a library's call, the caller's."""
    traceback = getattr(source_info, "traceback", None)
    for frame in getattr(traceback, "frames", ()) or ():
        if not frame.file_name.startswith(_LIBRARIES):
            return f"{frame.file_name}:{frame.line_num}"
    return caller


def flatten(function: Callable[[Any, Any], Any], variables: Any, example: Any) -> Program:
    """The program of ``function(variables, example)``, traced with the ``"lax"`` forms."""
    with lowering("lax"):
        closed = jax.make_jaxpr(function)(variables, example)
    program = Program()
    env: dict[Any, Value | Constant] = {}
    paths = [leaf_path(path) for path, _ in jax.tree_util.tree_leaves_with_path(variables)]
    for i, var in enumerate(closed.jaxpr.invars):
        env[var] = value = program.new(var.aval)
        if i < len(paths):
            program.leaves[paths[i]] = value
        else:
            program.inputs.append(value)
    _open(program, closed.jaxpr, closed.consts, env, "", "unknown line")
    program.outputs = [_read(env, v) for v in closed.jaxpr.outvars]
    return program


def _read(env: dict[Any, Value | Constant], atom: Any) -> Value | Constant:
    return Constant(atom.val) if isinstance(atom, core.Literal) else env[atom]


def _open(
    program: Program, jaxpr: Any, consts: Any, env: dict[Any, Value | Constant], module: str, caller: str
) -> None:
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        env[var] = Constant(value)
    for eqn in jaxpr.eqns:
        inputs = [_read(env, v) for v in eqn.invars]
        here = str(eqn.source_info.name_stack) or module
        line = _user_line(eqn.source_info, caller)
        inner = next((eqn.params[k] for k in _OPENED if k in eqn.params), None)
        if eqn.primitive.name in _CALLS and inner is not None:
            body = getattr(inner, "jaxpr", inner)
            scope: dict[Any, Value | Constant] = dict(zip(body.invars, inputs, strict=True))
            _open(program, body, getattr(inner, "consts", ()), scope, here, line)
            for var, outer in zip(body.outvars, eqn.outvars, strict=True):
                env[outer] = _read(scope, var)
            continue
        outputs = tuple(program.new(v.aval) for v in eqn.outvars)
        env.update(zip(eqn.outvars, outputs, strict=True))
        program.operations.append(
            Operation(eqn.primitive, tuple(inputs), outputs, eqn.params, here, line))
