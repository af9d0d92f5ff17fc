"""The C text of what `reds_ranges.h` runs: tables of ranges, also at a row of widths, and what moves whole arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reds_jax.deploy.c.any_widths_text import of_row
from reds_jax.deploy.c.constants import real
from reds_jax.deploy.c.spread import Spread, tables
from reds_jax.deploy.int8.joined import Moves
from reds_jax.deploy.lowering.program import Operation, Range, Tensor
from reds_jax.graph.channels import Size

if TYPE_CHECKING:
    from reds_jax.deploy.c.source import Emitter

_ACTIVATIONS = {"linear": "REDS_LINEAR", "relu": "REDS_RELU", "relu6": "REDS_RELU6", "leaky_relu": "REDS_LEAKY_RELU"}


def array_of(parts: Sequence[Range]) -> Tensor:
    """An array of these ranges, of which the number of channels at any row is asked."""
    total = Size(0)
    for part in parts:
        total = total + (part.size or Size(0))
    return Tensor((), size=total)


def table(emitter: Emitter, i: int, spread: Spread) -> str:
    """The address of the table of an operation, in the row of every subnetwork."""
    def value(k: int) -> str:
        names = []
        for what, found in zip(("read", "make"), tables(spread, k, emitter.align), strict=True):
            text = "{" + ", ".join("{" + ", ".join(f"{n}u" for n in one) + "}" for one in found) + "}"
            key = f"{what}_{i}_{text}"
            if key not in emitter.ranges:
                emitter.ranges[key] = f"{what}_{i}_of_{k}"
                constant = f"{emitter.in_tables}static const reds_range {what}_{i}_of_{k}[{len(found)}] = {text};\n"
                emitter.constants.append(emitter.guarded(k, constant))
            names.append(emitter.ranges[key])
        numbers = (*spread.dilation, spread.groups[k], len(spread.reads), len(spread.makes))
        return "{" + ", ".join([*(f"{n}u" for n in numbers), *names]) + "}"

    return "&" + emitter.member("reds_spread", f"spread_{i}", value)


def at_row(emitter: Emitter, i: int, spread: Spread) -> list[str]:
    """The same at a row of widths: a variable ``spread``."""
    def ranges(parts: Sequence[Range], starts: Sequence[int], field: str) -> str:
        entries = [f"{{{start}u, {of_row(array_of([part]), 1)}, s->spread_{i}.{field}[{n}].table}}"
                   for n, (part, start) in enumerate(zip(parts, starts, strict=False))]
        return f"const reds_range {field}[{len(entries)}] = {{{', '.join(entries)}}};"

    found = [ranges(spread.reads, spread.starts(emitter.align), "read"),
             ranges(spread.makes, [part.first for part in spread.makes], "make"),
             f"reds_spread spread = s->spread_{i};", "spread.read = read;", "spread.make = make;"]
    if spread.groups_at is not None and spread.groups_at.terms:
        found.append(f"spread.groups = {of_row(Tensor((), size=spread.groups_at), 1)};")
    return found


def moving(emitter: Emitter, i: int, op: Operation, ins: Sequence[str], out: str) -> str:
    """The calls of a concatenation (a copy of every array behind the one before), of a border or of a shuffle."""
    tensor, short = emitter.program.tensors[op.output], emitter.short
    if op.kind == "concat":
        return "\n    ".join(_copies(emitter, i, op, ins, out))
    if op.kind == "pad":
        arguments = [f"&{emitter.window(i, op)}", emitter.channels(f"channels_{i}", tensor, 1), *ins, out]
        if emitter.quantized is not None:
            scales = emitter.quantized.scales
            arguments.append(emitter.member("int32_t", f"zero_{i}", lambda k: emitter.integer(scales[k][op.output].zero)))
        return f"reds_{short}_pad({', '.join(arguments)});"
    groups = op.groups[0]
    size = tensor.size and Size(tensor.size.constant // groups, tuple((g, n // groups) for g, n in tensor.size.terms))
    part = replace(tensor, channels=tuple(n // groups for n in tensor.channels), size=size)
    return f"reds_{short}_shuffle({ins[0]}, {out}, {groups}u, {emitter.channels(f'each_{i}', part, 1)}, {tensor.positions}u);"


def _copies(emitter: Emitter, i: int, op: Operation, ins: Sequence[str], out: str) -> list[str]:
    calls, to = [], out
    for n, (t, place) in enumerate(zip(op.inputs, ins, strict=True)):
        tensor = emitter.program.tensors[t]
        length = emitter.channels(f"length_{i}_{n}", tensor, tensor.positions)
        if emitter.quantized is None:
            calls.append(f"reds_f32_concat({place}, {to}, {length}, {_ACTIVATIONS[op.activation]}, {real(op.slope)});")
        else:
            move = emitter.member("reds_s8_move", f"move_{i}_{n}", lambda k, n=n: _move(emitter, k, i, n))
            calls.append(f"reds_s8_concat(&{move}, {place}, {to}, {length});")
        to += f" + {length}"
    return calls


def _move(emitter: Emitter, k: int, i: int, n: int) -> str:
    assert emitter.quantized is not None
    step = emitter.quantized.steps[k][i]
    assert isinstance(step, Moves)
    move = step.of[n]
    zero, multiplier, half, shift = map(emitter.integer, (move.zero, move.multiplier, move.round, move.shift))
    return f"{{{zero}, {multiplier}, {half}, {emitter.quantized.slopes[i]}, {shift}}}"
