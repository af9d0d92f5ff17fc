"""Costs counted on a program at its own shapes: no groups, no widths, nothing shared with `reds_jax.graph`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend import core

from reds_jax.lowering import lowering
from reds_jax.program.flat import loop_counts

_MOVES_NOTHING = {"reshape", "squeeze", "expand_dims", "transpose"}
_COMPUTES = ("dot_general", "conv_general", "reduce_", "concatenate", "pad", "slice", "split", "rev", "arg", "scan", "gather",
             "dynamic_", "cum", "sort")


class Equation(NamedTuple):
    """An equation of a program without calls; a variable is a number, a constant is None. A loop keeps its equations."""

    name: str
    params: dict[str, Any]
    inputs: list[int | None]
    shapes: list[tuple[int, ...]]
    outputs: list[int]
    shape: tuple[int, ...]
    body: tuple[Equation, ...] = ()


class Straight(NamedTuple):
    """A program without calls: its equations, its input and outputs, the bytes of every variable."""

    equations: list[Equation]
    inputs: list[int]
    outputs: list[int]
    bytes_of: list[int]


def straight(function: Callable[[Any, Any], Any], variables: Any, x: Any) -> Straight:
    """The program of ``function(variables, x)`` for one example; only what depends on ``x`` is kept."""
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *np.shape(a)[1:]), a.dtype), x)
    with lowering("lax"):
        jaxpr = jax.make_jaxpr(function)(variables, one).jaxpr
    bytes_of: list[int] = []
    numbers: dict[core.Var, int] = {}
    n_inputs = len(jax.tree.leaves(x))

    def name(var: Any) -> int:
        bytes_of.append(math.prod(var.aval.shape) * var.aval.dtype.itemsize)
        return len(bytes_of) - 1

    def inline(jaxpr: Any, numbers: dict[Any, int]) -> Iterator[Equation]:
        for eqn in jaxpr.eqns:
            inputs = [None if isinstance(v, core.Literal) else numbers.get(v) for v in eqn.invars]
            if all(i is None for i in inputs):
                continue  # parameters and constants among themselves
            if eqn.primitive.name == "scan":
                yield loop(eqn, inputs, numbers)
                continue
            bodies = [eqn.params[k] for k in ("jaxpr", "call_jaxpr", "fun_jaxpr") if k in eqn.params]
            if bodies and "reduce" not in eqn.primitive.name:
                body = getattr(bodies[0], "jaxpr", bodies[0])
                inside = {v: i for v, i in zip(body.invars, inputs, strict=True) if i is not None}
                yield from inline(body, inside)
                numbers.update({o: inside[v] for o, v in zip(eqn.outvars, body.outvars, strict=True) if v in inside})
                continue
            for v in eqn.outvars:
                numbers[v] = name(v)
            yield Equation(eqn.primitive.name, eqn.params, inputs, [v.aval.shape for v in eqn.invars],
                           [numbers[v] for v in eqn.outvars], eqn.outvars[0].aval.shape)

    def loop(eqn: Any, inputs: list[int | None], numbers: dict[Any, int]) -> Equation:
        """A loop as one equation; what it carries depends on the input as soon as anything does."""
        body, (consts, carried) = eqn.params["jaxpr"].jaxpr, loop_counts(eqn.params)
        inside = {v: name(v) for k, (v, i) in enumerate(zip(body.invars, inputs, strict=True))
                  if i is not None or consts <= k < consts + carried}
        numbers.update({v: name(v) for v in eqn.outvars})
        return Equation("scan", eqn.params, inputs, [v.aval.shape for v in eqn.invars], [numbers[v] for v in eqn.outvars],
                        eqn.outvars[0].aval.shape, tuple(inline(body, inside)))

    inputs = jaxpr.invars[len(jaxpr.invars) - n_inputs :]
    numbers.update({v: name(v) for v in inputs})
    equations = list(inline(jaxpr, numbers))
    return Straight(equations, [numbers[v] for v in inputs], [numbers[v] for v in jaxpr.outvars if v in numbers], bytes_of)


def macs(program: Straight) -> int:
    """Multiply-accumulates of every product that an activation takes part in: outputs times what each one sums.

    A transposed convolution multiplies every input position by every weight of the kernel; a loop repeats what is in it.
    """
    return sum(map(_macs, program.equations))


def _macs(e: Equation) -> int:
    if e.name == "scan":
        return e.params["length"] * sum(map(_macs, e.body))
    if e.name == "dot_general":
        contracted = e.params["dimension_numbers"][0][0]
        return math.prod(e.shape) * math.prod(e.shapes[0][i] for i in contracted)
    if e.name == "conv_general_dilated":
        numbers = e.params["dimension_numbers"]
        transposed = set(e.params["lhs_dilation"]) != {1}
        positions = [e.shapes[0][i] for i in numbers.lhs_spec[2:]] if transposed else [e.shape[i] for i in numbers.out_spec[2:]]
        return math.prod(positions) * math.prod(e.shapes[1])
    return 0


def peak_bytes(program: Straight) -> int:
    """The most bytes alive at once, found by running the schedule with a reference count for every buffer.

    An array is stored if an operation that computes reads or writes it, or if it enters or leaves the network. What lies
    between stored arrays is one pass, which overwrites an operand of the same size that it is the last to read.
    """
    made = {o: e for e in program.equations for o in e.outputs}

    def base(v: int) -> int:
        while v in made and made[v].name in _MOVES_NOTHING:
            v = next(i for i in made[v].inputs if i is not None)
        return v

    def reads(e: Equation) -> list[int]:
        return [base(i) for i in e.inputs if i is not None]

    computing = [e for e in program.equations if e.name.startswith(_COMPUTES)]
    stored = {base(v) for v in (*program.inputs, *program.outputs)} | {v for e in computing for v in (*e.outputs, *reads(e))}

    def behind(e: Equation) -> set[int]:
        return {s for v in reads(e) for s in ([v] if v in stored else behind(made[v]))}

    passes: list[tuple[list[int], set[int], bool]] = []
    for e in program.equations:
        computes = e.name.startswith(_COMPUTES)
        if computes or (e.outputs[0] in stored and e.name not in _MOVES_NOTHING):
            passes.append((e.outputs, set(reads(e)) if computes else behind(e), computes))
    awaited = Counter(v for _, read, _ in passes for v in read)
    awaited.update(base(v) for v in set(program.outputs))
    buffers = {v: program.bytes_of[v] for v in program.inputs if awaited[v]}
    peak = 0
    for outputs, read, computes in passes:
        for v in read:
            awaited[v] -= 1
        done = {v for v in read if not awaited[v]}
        for v in outputs:
            over = next((d for d in done if buffers[d] == program.bytes_of[v]), None)
            if over is not None and not computes:
                done.discard(over)
                del buffers[over]
            buffers[v] = program.bytes_of[v]
        peak = max(peak, sum(buffers.values()))
        for v in (*done, *(o for o in outputs if not awaited[o])):
            del buffers[v]
    return peak
