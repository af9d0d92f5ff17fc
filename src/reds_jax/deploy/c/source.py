"""The C text of a device program: weights and tables as constants, and the few functions of its interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.c.any_widths_text import of_row, state
from reds_jax.deploy.c.arena import ALIGNMENT, Plan
from reds_jax.deploy.c.constants import array, lines, real
from reds_jax.deploy.escape import c_comment, c_identifier
from reds_jax.deploy.int8.quantize import Mean, QuantizedProgram, Requantize, Sum
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Tensor

_ACTIVATIONS = {"linear": "REDS_LINEAR", "relu": "REDS_RELU", "relu6": "REDS_RELU6", "leaky_relu": "REDS_LEAKY_RELU"}


class Emitter:
    """Collects the constants of a network and the calls that run it.

    Args:
        network: a `Program` (float32) or a `QuantizedProgram` (int8).
        plans: the arena of every subnetwork.
        name: prefix of the identifiers.
        rows: for a network that takes any row of widths: those of its subnetworks. Counts of channels are then computed from
            the widths when an inference runs, all else comes from the subnetworks' table.
    """

    def __init__(self, network: Program | QuantizedProgram, plans: Sequence[Plan], name: str,
                 rows: AnyWidths | None = None) -> None:
        self.quantized = network if isinstance(network, QuantizedProgram) else None
        self.program = network.program if isinstance(network, QuantizedProgram) else network
        self.plans, self.name, self.upper, self.rows = plans, c_identifier(name), name.upper(), rows
        self.short, self.element, self.itemsize = ("s8", "int8_t", 1) if self.quantized else ("f32", "float", 4)
        self.count = self.program.subnetworks
        self.in_weights, self.in_tables = f"{self.upper}_WEIGHTS_ATTRIBUTE ", f"{self.upper}_TABLES_ATTRIBUTE "
        self.constants: list[str] = []
        self.fields: list[list[str]] = [[] for _ in range(self.count)]  # lines of every subnetwork's row of the table
        self.members: list[str] = []
        self.weight_bytes = self.table_bytes = self.largest_table_bytes = 0
        self._weights: dict[bytes, str] = {}
        self.calls = [self._operation(i, op) for i, op in enumerate(self.program.operations)]

    # -- what every operation needs -----------------------------------------------------------------------------------

    def _operation(self, i: int, op: Operation) -> str:
        """The call of an operation; its constants and its part of the table are added on the way."""
        ins = [self._place(t) for t in op.inputs]
        out = self._place(op.output)
        tensor = self.program.tensors[op.output]
        what = f"reds_{self.short}_{op.kind}"
        if op.kind in WEIGHTED:
            layer, width = self._layer(i, op), self._width(i, op)
            scratch = [self._scratch(i)] if self.plans[0].scratch[i] is not None else []
            call = f"{what}({', '.join([f'&{layer}', width, *ins, out, *scratch])});"
            return call if self.rows is None else self._at_row(i, op, call)
        length = self._count(f"length_{i}", tensor, tensor.positions)
        if op.kind in ("max_pool", "avg_pool"):
            channels = self._count(f"channels_{i}", tensor, 1)
            window = self._window(i, op)
            mean = [self._step(i, "mean")] if self.quantized and op.kind == "avg_pool" else []
            return f"{what}({', '.join([f'&{window}', *mean, channels, *ins, out])});"
        if op.kind == "add":
            if self.quantized:
                return f"{what}({', '.join([self._step(i, 'sum'), *ins, out, length])});"
            return f"{what}({', '.join([*ins, out, length, _ACTIVATIONS[op.activation], real(op.slope)])});"
        if op.kind == "channel_first":
            return f"{what}({ins[0]}, {out}, {tensor.positions}u, {tensor.channels[0]}u);"
        return f"{what}({', '.join([*ins, out, length])});"

    def _member(self, kind: str, name: str, value: Callable[[int], str]) -> str:
        """A field of the subnetworks' table."""
        self.members.append(f"{kind} {name};")
        for k in range(self.count):
            self.fields[k].append(f".{name} = {value(k)}")
        return f"s->{name}"

    def _count(self, name: str, tensor: Tensor, factor: int) -> str:
        """A multiple of the channels of a tensor: a field of the table, or computed from the row of widths."""
        if self.rows is None:
            return self._member("uint32_t", name, lambda k: f"{factor * tensor.channels[k]}u")
        return of_row(tensor, factor)

    def _at_row(self, i: int, op: Operation, call: str) -> str:
        """The call of a weighted operation with what a row changes of the width in the table of its subnetwork."""
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        given = {"inputs": (x, x.positions if op.kind == "dense" else 1), "outputs": (y, 1)}
        changed = [f"width.{field} = {of_row(t, factor)};" for field, (t, factor) in given.items() if t.size and t.size.terms]
        if not changed:
            return call
        table = f"s->width_{i}"
        block = ["{", f"reds_{self.short}_width width = {table};", *changed, call.replace(f"&{table}", "&width")]
        return "\n        ".join(block) + "\n    }"

    def _place(self, tensor: int) -> str:
        """Where a tensor lies: with the caller, or in the arena."""
        if tensor == 0:
            return "in"
        if tensor == self.program.output:
            return "out"
        field = f"at_{tensor}"
        if f"uint32_t {field};" not in self.members:
            self._member("uint32_t", field, lambda k: f"{(self.plans[k].at[tensor] or 0) // self.itemsize}u")
        return f"memory + s->{field}"

    def _scratch(self, i: int) -> str:
        unit = 2 if self.quantized else 4
        return "scratch + " + self._member("uint32_t", f"scratch_{i}",
                                                 lambda k: f"{(self.plans[k].scratch[i] or 0) // unit}u")

    def _window_fields(self, op: Operation) -> str:
        x, y, window = self.program.tensors[op.inputs[0]], self.program.tensors[op.output], op.window
        if window is None:
            return "{0}"
        fixed = len(set(x.channels)) == 1 or x.channel_first
        assert fixed, "an image [H, W, C] has the same channels in every subnetwork"
        values = (x.height, x.width, y.height, y.width, *window.kernel, *window.strides, *window.before, *x.steps(0))
        return "{" + ", ".join(f"{v}u" for v in values) + "}"

    def _window(self, i: int, op: Operation) -> str:
        self.constants.append(f"{self.in_tables}static const reds_window window_{i} = {self._window_fields(op)}; "
                              f"/* {c_comment(op.name)}: {op.kind} */\n")
        return f"window_{i}"

    def _layer(self, i: int, op: Operation) -> str:
        weights, row = self._store(i, op)
        rest = f"{self.quantized.slopes[i]}" if self.quantized else f"{_ACTIVATIONS[op.activation]}, {real(op.slope)}"
        self.constants.append(f"{self.in_tables}static const reds_{self.short}_layer layer_{i} = {{ "
                              f"/* {c_comment(op.name)}: {op.kind} */\n"
                              f"    {self._window_fields(op)}, {weights}, {row}u, {rest}\n}};\n")
        return f"layer_{i}"

    def _store(self, i: int, op: Operation) -> tuple[str, int]:
        """The weights of an operation, once: rows padded to whole words."""
        stored = self.quantized.weights[i] if self.quantized else op.weights
        assert stored is not None
        row = -(-stored.shape[1] * self.itemsize // 4) * 4 // self.itemsize
        padded = np.pad(stored, ((0, 0), (0, row - stored.shape[1])))
        key = padded.tobytes() + str(padded.shape).encode()
        if key not in self._weights:
            self._weights[key] = name = f"weights_{i}"
            self.weight_bytes += padded.nbytes
            entries = [str(v) for v in padded.ravel()] if self.quantized else [real(v) for v in padded.ravel()]
            if self.quantized:  # words of four, so that a compiler aligns them
                self.constants.append(f"{self.in_weights}static const union {{\n    int32_t word; /* aligns the rows */\n"
                                      f"    int8_t entries[{len(entries)}];\n}} {name} = {{.entries = {{\n"
                                      f"{lines(entries, per_line=32)}\n}}}};\n")
            else:
                self.constants.append(array("float", name, entries, per_line=8, place=self.in_weights))
        return self._weights[key] + (".entries" if self.quantized else ""), row

    # -- what differs between subnetworks -----------------------------------------------------------------------------

    def _width(self, i: int, op: Operation) -> str:
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        tables = self._channels(i, op)

        def value(k: int) -> str:
            inputs = x.items(k) if op.kind == "dense" else x.channels[k]
            fields = [f"{inputs}u", f"{y.channels[k]}u", tables[k]]
            step = self._steps(k, i)
            if isinstance(step, Requantize):
                fields += [str(step.in_zero), str(step.round), str(step.shift)]
            return "{" + ", ".join(fields) + "}"

        return "&" + self._member(f"reds_{self.short}_width", f"width_{i}", value)

    def _steps(self, k: int, i: int) -> Any:
        return self.quantized.steps[k][i] if self.quantized else None

    def _channels(self, i: int, op: Operation) -> list[str]:
        """The names of the tables of scale and offset per output channel; one for all subnetworks where they agree."""
        rows: list[list[str]] = []
        for k in range(self.count):
            step = self._steps(k, i)
            pairs = (zip(step.multiplier, step.offset, strict=True) if isinstance(step, Requantize) else
                     ((real(a), real(b)) for a, b in zip(op.scale[k], op.offset[k], strict=True)))
            rows.append([f"{{{a}, {b}}}" for a, b in pairs])
        longest = max(rows, key=len)
        self.largest_table_bytes += 8 * len(longest)
        kind = f"reds_{self.short}_channel"
        if all(row == longest[: len(row)] for row in rows):
            self.table_bytes += 8 * len(longest)
            self.constants.append(array(kind, f"channels_{i}", longest, per_line=4, place=self.in_tables))
            return [f"channels_{i}"] * self.count
        for k, row in enumerate(rows):
            self.table_bytes += 8 * len(row)
            table = array(kind, f"channels_{i}_of_{k}", row, per_line=4, place=self.in_tables)
            self.constants.append(self.guarded(k, table))
        return [f"channels_{i}_of_{k}" for k in range(self.count)]

    def guarded(self, k: int, text: str) -> str:
        """Text that is left out where no subnetwork as large as k is wanted."""
        return text if k == 0 else f"#if {self.upper}_LARGEST >= {k}\n{text}#endif\n"

    def _step(self, i: int, kind: str) -> str:
        def value(k: int) -> str:
            step = self._steps(k, i)
            if isinstance(step, Sum):
                assert self.quantized is not None
                values = (step.a_zero, step.a_multiplier, step.b_zero, step.b_multiplier, step.round, self.quantized.slopes[i],
                          step.shift)
            else:
                assert isinstance(step, Mean)
                values = (step.in_zero, step.multiplier, step.offset, step.shift)
            return "{" + ", ".join(map(str, values)) + "}"

        return "&" + self._member(f"reds_s8_{kind}", f"{kind}_{i}", value)


def arena_bytes(emitter: Emitter) -> str:
    """The size of the arena, for the largest subnetwork that is wanted."""
    text, upper = [], emitter.upper
    sizes = [max(plan.size for plan in emitter.plans[: k + 1]) for k in range(emitter.count)]
    for k, size in enumerate(sizes):
        text += [f"#{'elif' if k else 'if'} {upper}_LARGEST == {k}", f"#define {upper}_ARENA_BYTES {max(ALIGNMENT, size)}u"]
    return "\n".join([*text, "#else", f'#error "{upper}_LARGEST is one of 0 to {emitter.count - 1}"', "#endif"])


def model(emitter: Emitter) -> dict[str, str]:
    """What the templates of the model's source and header are filled with."""
    program, count = emitter.program, emitter.count
    x, y = program.tensors[0], program.tensors[program.output]
    infos = [f".info = {{{program.macs[k]}u, {emitter.plans[k].size}u, {_grid(emitter, k)}}}" for k in range(count)]
    rows = ["    {" + ",\n     ".join([infos[k], *emitter.fields[k]]) + "},\n" for k in range(count)]
    quantized = emitter.quantized
    grid = quantized.input_scale if quantized else None
    return {
        "name": emitter.name, "NAME": emitter.upper, "short": emitter.short, "element": emitter.element,
        "count": str(count), "largest": str(count - 1), "inputs": str(x.items(0)), "outputs": str(y.items(0)),
        "shape": f"[{x.height}][{x.width}][{x.channels[0]}]" if x.positions > 1 else f"[{x.channels[0]}]",
        "input_scale": real(grid.scale if grid else 1.0), "input_zero": str(grid.zero if grid else 0),
        "unit": "int16_t" if quantized else "float", "arena_size": arena_bytes(emitter), "alignment": str(ALIGNMENT),
        "constants": "\n".join(emitter.constants),
        "members": "\n    ".join(emitter.members),
        "attributes": "" if emitter.upper == "REDS" else "".join(
            f"#ifndef {macro}\n#define {macro} REDS_{what}_ATTRIBUTE\n#endif\n"
            for what in ("ARENA", "WEIGHTS", "TABLES") for macro in (f"{emitter.upper}_{what}_ATTRIBUTE",)),
        "rows": "".join(emitter.guarded(k, row) for k, row in enumerate(rows)),
        "calls": "\n    ".join(emitter.calls),
        **state(emitter.name, emitter.rows, emitter.guarded),
        "unused": "".join(f"    (void){name};\n" for name in ("memory", "scratch")
                          if not any(name in call for call in emitter.calls)),
    }


def _grid(emitter: Emitter, k: int) -> str:
    if emitter.quantized is None:
        return "1.0f, 0"
    grid = emitter.quantized.output_scale(k)
    return f"{real(grid.scale)}, {grid.zero}"
