"""The C text of a device program: weights and tables as constants, and the few functions of its interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reds_jax.deploy.c import ranges_text
from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.c.any_widths_text import of_row, state
from reds_jax.deploy.c.arena import ALIGNMENT, Plan
from reds_jax.deploy.c.blob import Content
from reds_jax.deploy.c.constants import array, lines, real
from reds_jax.deploy.c.function_text import function_text
from reds_jax.deploy.c.spread import Spread, laid_out, spread_kernel, spread_of
from reds_jax.deploy.escape import c_comment, c_identifier
from reds_jax.deploy.int8.quantize import Mean, Product, QuantizedProgram, Requantize, Sum
from reds_jax.deploy.lowering.function import Function
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Tensor

_ONE_POSITION = "{1u, 1u, 1u, 1u, 1u, 1u, 1u, 1u, 0u, 0u, 1u, 1u, 1u}"
_ACTIVATIONS = {"linear": "REDS_LINEAR", "relu": "REDS_RELU", "relu6": "REDS_RELU6", "leaky_relu": "REDS_LEAKY_RELU"}


class Emitter:
    """Collects the constants of a network and the calls that run it.

    Args:
        network: a `Program` (float32) or a `QuantizedProgram` (int8).
        plans: the arena of every subnetwork.
        name: prefix of the identifiers.
        rows: for a network that takes any row of widths: those of its subnetworks. Counts of channels are then computed from
            the widths when an inference runs, all else comes from the subnetworks' table.
        content: for a network that can be given other weights: collects what training changes. Layers and subnetworks are
            then variables.
    """

    def __init__(self, network: Program | QuantizedProgram, plans: Sequence[Plan], name: str,
                 rows: AnyWidths | None = None, content: Content | None = None) -> None:
        self.content = content
        self.layers: dict[str, tuple[str, str]] = {}  # type and fields of every layer
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
        self.functions: dict[Function, str] = {}
        self.ranges: dict[str, str] = {}  # the constants of `ranges_text`
        self.uses_ranges, self.align = False, 4 // self.itemsize
        self.spreads: list[Spread] = []
        self.arrays: set[str] = set()  # those of the constants that training changes
        self.calls = [self._operation(i, op) for i, op in enumerate(self.program.operations)]
        self.table = [[f".info = {{{self.program.macs[k]}u, {plans[k].size}u, {self._output(k)}}}", *fields]
                      for k, fields in enumerate(self.fields)]
        if self.uses_ranges:
            self.constants.insert(0, '#include "reds_ranges.h"\n')

    # -- what every operation needs -----------------------------------------------------------------------------------

    def _operation(self, i: int, op: Operation) -> str:
        """The call of an operation; its constants and its part of the table are added on the way."""
        ins = [self._place(t) for t in op.inputs]
        out = self._place(op.output)
        tensor = self.program.tensors[op.output]
        what = f"reds_{self.short}_{op.kind}"
        if op.kind in WEIGHTED:
            spread = spread_of(self.program, op, every_row=self.rows is not None)
            self.spreads += [] if spread is None else [spread]
            self.uses_ranges |= spread is not None
            layer, width = self._layer(i, op, spread), self._width(i, op, spread)
            scratch = [self._scratch(i)] if self.plans[0].scratch[i] is not None else []
            if spread is not None:
                what = f"reds_{self.short}_" + ("depthwise_ranges" if spread_kernel(op) == "depthwise" else "spread")
            given = [f"&{layer}", width, *([] if spread is None else [ranges_text.table(self, i, spread)]), *ins, out, *scratch]
            call = f"{what}({', '.join(given)});"
            return call if self.rows is None else self._at_row(i, op, call, spread)
        if op.kind in ("mul", "map", "resize"):
            return f"{what}({', '.join(self._elementwise(i, op, ins, out))});"
        length = self.channels(f"length_{i}", tensor, tensor.positions)
        if op.kind in ("max_pool", "avg_pool"):
            channels = self.channels(f"channels_{i}", tensor, 1)
            window = self.window(i, op)
            mean = [self._step(i, "mean")] if self.quantized and op.kind == "avg_pool" else []
            return f"{what}({', '.join([f'&{window}', *mean, channels, *ins, out])});"
        if op.kind == "add":
            if self.quantized:
                return f"{what}({', '.join([self._step(i, 'sum'), *ins, out, length])});"
            return f"{what}({', '.join([*ins, out, length, _ACTIVATIONS[op.activation], real(op.slope)])});"
        if op.kind in ("concat", "pad", "shuffle"):
            self.uses_ranges = True
            return ranges_text.moving(self, i, op, ins, out)
        if op.kind == "channel_first":
            return f"{what}({ins[0]}, {out}, {tensor.positions}u, {tensor.channels[0]}u);"
        return f"{what}({', '.join([*ins, out, length])});"

    def _elementwise(self, i: int, op: Operation, ins: list[str], out: str) -> list[str]:
        """The arguments of a product, a function of every entry, or repeated rows and columns."""
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        if op.kind == "map":
            return [self._function(i, op), *ins, out, self.channels(f"length_{i}", y, y.positions)]
        if op.kind == "resize":
            down, across = self.program.repeats(op)
            return [*ins, out, self.channels(f"rows_{i}", x, x.height), f"{x.width}u", f"{down}u", f"{across}u"]
        gate = self.program.gate(op)
        count = self.channels(f"channels_{i}", y, 1 if gate in ("channels", "positions") else y.positions)
        sizes = {None: ["1u", count, "1u"], "channels": ["1u", count, f"{y.positions}u"],
                 "positions": [count, f"{y.positions}u", "1u"], "all": ["1u", "1u", count]}[gate]
        if self.quantized:
            return [self._step(i, "product"), *ins, out, *sizes]
        return [*ins, out, *sizes, _ACTIVATIONS[op.activation], real(op.slope)]

    def _function(self, i: int, op: Operation) -> str:
        """What a map does to every entry: a function, or in 8 bits a table for each subnetwork."""
        if self.quantized:
            tables = [self._steps(k, i).entries for k in range(self.count)]
            same = self.content is None and all(np.array_equal(t, tables[0]) for t in tables)
            for k, entries in enumerate(tables[:1] if same else tables):
                text = array("int8_t", f"table_{i}_of_{k}", [str(v) for v in entries], per_line=32)
                self._trained(self.guarded(k, text))
                self.table_bytes += len(entries)
            self.largest_table_bytes += 256
            return self.member("const int8_t *", f"table_{i}", lambda k: self.address(
                f"table_{i}_of_{0 if same else k}", "int8_t", tables[k]))
        assert op.function is not None
        if op.function not in self.functions:
            self.functions[op.function] = name = f"function_{i}"
            self.constants.append(f"/* {c_comment(op.name)} */\n{function_text(op.function, name)}")
        return self.functions[op.function]

    def _trained(self, text: str) -> None:
        """Adds an array that training changes to the constants."""
        self.arrays.add(text)
        self.constants.append(text)

    def _output(self, k: int) -> str:
        """Scale and zero of the outputs."""
        if self.quantized is None:
            return "1.0f, 0"
        grid = self.quantized.output_scale(k)
        return f"{self.number(grid.scale)}, {self.integer(grid.zero)}"

    def number(self, value: float) -> str:
        """A real number that training changes."""
        return real(value) if self.content is None else self.content.real(value, real(value))

    def integer(self, value: int) -> str:
        """An integer that training changes."""
        return str(value) if self.content is None else self.content.integer(value)

    def address(self, expression: str, kind: str, entries: np.ndarray) -> str:
        """The address of an array that training changes."""
        if self.content is None:
            return expression
        return self.content.address(expression, f"const {kind} *", entries.astype(entries.dtype.newbyteorder("<")).tobytes())

    def member(self, kind: str, name: str, value: Callable[[int], str]) -> str:
        """A field of the subnetworks' table."""
        self.members.append(f"{kind} {name};")
        for k in range(self.count):
            self.fields[k].append(f".{name} = {value(k)}")
        return f"s->{name}"

    def channels(self, name: str, tensor: Tensor, factor: int) -> str:
        """A multiple of the channels of a tensor: a field of the table, or computed from the row of widths."""
        if self.rows is None:
            return self.member("uint32_t", name, lambda k: f"{factor * tensor.channels[k]}u")
        return of_row(tensor, factor)

    def _at_row(self, i: int, op: Operation, call: str, spread: Spread | None) -> str:
        """The call of a weighted operation with what a row changes of the width in the table of its subnetwork."""
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        if spread is not None:
            x = ranges_text.array_of(spread.reads)
        given = {"inputs": (x, x.positions if op.kind == "dense" and spread is None else 1), "outputs": (y, 1)}
        changed = [f"width.{field} = {of_row(t, factor)};" for field, (t, factor) in given.items() if t.size and t.size.terms]
        if not changed:
            return call
        table = f"s->width_{i}"
        block = ["{", f"reds_{self.short}_width width = {table};", *changed, call.replace(f"&{table}", "&width")]
        if spread is not None:
            block[2:2] = ranges_text.at_row(self, i, spread)
            block[-1] = block[-1].replace(f"&s->spread_{i}", "&spread")
        return "\n        ".join(block) + "\n    }"

    def _place(self, tensor: int) -> str:
        """Where a tensor lies: with the caller, or in the arena."""
        if tensor == 0:
            return "in"
        if tensor == self.program.output:
            return "out"
        field = f"at_{tensor}"
        if f"uint32_t {field};" not in self.members:
            self.member("uint32_t", field, lambda k: f"{(self.plans[k].at[tensor] or 0) // self.itemsize}u")
        return f"memory + s->{field}"

    def _scratch(self, i: int) -> str:
        unit = 2 if self.quantized else 4
        return "scratch + " + self.member("uint32_t", f"scratch_{i}",
                                                 lambda k: f"{(self.plans[k].scratch[i] or 0) // unit}u")

    def _window_fields(self, op: Operation) -> str:
        x, y, window = self.program.tensors[op.inputs[0]], self.program.tensors[op.output], op.window
        if window is None:
            return "{0}"
        fixed = len(set(x.channels)) == 1 or x.channel_first
        assert fixed, "an image [H, W, C] has the same channels in every subnetwork"
        values = (x.height, x.width, y.height, y.width, *window.kernel, *window.strides, *window.before, *x.steps(0))
        return "{" + ", ".join(f"{v}u" for v in values) + "}"

    def window(self, i: int, op: Operation) -> str:
        self.constants.append(f"{self.in_tables}static const reds_window window_{i} = {self._window_fields(op)}; "
                              f"/* {c_comment(op.name)}: {op.kind} */\n")
        return f"window_{i}"

    def _layer(self, i: int, op: Operation, spread: Spread | None) -> str:
        weights, row = self._store(i, op, spread)
        rest = f"{self.quantized.slopes[i]}" if self.quantized else f"{_ACTIVATIONS[op.activation]}, {real(op.slope)}"
        window = _ONE_POSITION if op.window is None and spread is not None else self._window_fields(op)
        kind, fields = f"reds_{self.short}_layer", f"{window}, {weights}, {row}u, {rest}"
        self.layers[f"layer_{i}"] = kind, fields
        self.constants.append(f"{f'{self.in_tables}static const' if self.content is None else 'static'} {kind} layer_{i} = {{ "
                              f"/* {c_comment(op.name)}: {op.kind} */\n    {fields}\n}};\n")
        return f"layer_{i}"

    def _store(self, i: int, op: Operation, spread: Spread | None) -> tuple[str, int]:
        """The weights of an operation, once: rows, and their ranges, padded to whole words."""
        stored = self.quantized.weights[i] if self.quantized else op.weights
        assert stored is not None
        padded = laid_out(spread, stored, self.align)
        row = padded.shape[1]
        key = padded.tobytes() + str(padded.shape).encode()
        if key not in self._weights:
            self._weights[key] = name = f"weights_{i}"
            self.weight_bytes += padded.nbytes
            entries = [str(v) for v in padded.ravel()] if self.quantized else [real(v) for v in padded.ravel()]
            if self.quantized:  # words of four, so that a compiler aligns them
                self._trained(f"{self.in_weights}static const union {{\n    int32_t word; /* aligns the rows */\n"
                                      f"    int8_t entries[{len(entries)}];\n}} {name} = {{.entries = {{\n"
                                      f"{lines(entries, per_line=32)}\n}}}};\n")
            else:
                self._trained(array("float", name, entries, per_line=8, place=self.in_weights))
        place = self._weights[key] + (".entries" if self.quantized else "")
        return self.address(place, self.element, padded), row

    # -- what differs between subnetworks -----------------------------------------------------------------------------

    def _width(self, i: int, op: Operation, spread: Spread | None) -> str:
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        tables = self._channels(i, op)

        def value(k: int) -> str:
            inputs = x.items(k) if op.kind == "dense" else x.channels[k]
            if spread is not None:
                inputs = sum(part.channels[k] for part in spread.reads)
            fields = [f"{inputs}u", f"{y.channels[k]}u", tables[k]]
            step = self._steps(k, i)
            if isinstance(step, Requantize):
                fields += [*map(self.integer, (step.in_zero, step.round, step.shift))]
            return "{" + ", ".join(fields) + "}"

        return "&" + self.member(f"reds_{self.short}_width", f"width_{i}", value)

    def _steps(self, k: int, i: int) -> Any:
        return self.quantized.steps[k][i] if self.quantized else None

    def _channels(self, i: int, op: Operation) -> list[str]:
        """The names of the tables of scale and offset per output channel; one for all subnetworks where they agree."""
        rows: list[list[str]] = []
        numbers: list[np.ndarray] = []
        for k in range(self.count):
            step = self._steps(k, i)
            integers = isinstance(step, Requantize)
            given, write = ((step.multiplier, step.offset), str) if integers else ((op.scale[k], op.offset[k]), real)
            numbers.append(np.stack(given, axis=1).astype(np.int32 if self.quantized else np.float32))
            rows.append([f"{{{write(a)}, {write(b)}}}" for a, b in zip(*given, strict=True)])
        longest = max(rows, key=len)
        self.largest_table_bytes += 8 * len(longest)
        kind = f"reds_{self.short}_channel"
        if self.content is None and all(row == longest[: len(row)] for row in rows):
            self.table_bytes += 8 * len(longest)
            self._trained(array(kind, f"channels_{i}", longest, per_line=4, place=self.in_tables))
            return [f"channels_{i}"] * self.count
        for k, row in enumerate(rows):
            self.table_bytes += 8 * len(row)
            table = array(kind, f"channels_{i}_of_{k}", row, per_line=4, place=self.in_tables)
            self._trained(self.guarded(k, table))
        return [self.address(f"channels_{i}_of_{k}", kind, numbers[k]) for k in range(self.count)]

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
            elif isinstance(step, Product):
                assert self.quantized is not None
                values = (step.a_zero, step.b_zero, step.multiplier, step.round, self.quantized.slopes[i], step.shift)
            else:
                assert isinstance(step, Mean)
                values = (step.in_zero, step.multiplier, step.offset, step.shift)
            slope = values[-2] if isinstance(step, Sum | Product) else None  # of the architecture
            return "{" + ", ".join(str(v) if n == len(values) - 2 and slope is not None else self.integer(v)
                                   for n, v in enumerate(values)) + "}"

        return "&" + self.member(f"reds_s8_{kind}", f"{kind}_{i}", value)


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
    rows = [",\n     ".join(fields) for fields in emitter.table]
    quantized = emitter.quantized
    grid = quantized.input_scale if quantized else None
    return {
        "name": emitter.name, "NAME": emitter.upper, "short": emitter.short, "element": emitter.element,
        "count": str(count), "largest": str(count - 1), "inputs": str(x.items(0)), "outputs": str(y.items(0)),
        "shape": f"[{x.height}][{x.width}][{x.channels[0]}]" if x.positions > 1 else f"[{x.channels[0]}]",
        "input_scale": real(grid.scale if grid else 1.0), "input_zero": str(grid.zero if grid else 0),
        "grid_scale": real(grid.scale if grid else 1.0), "grid_zero": str(grid.zero if grid else 0), "of_pixel": "of_pixel",
        "includes": "",
        "unit": "int16_t" if quantized else "float", "arena_size": arena_bytes(emitter), "alignment": str(ALIGNMENT),
        "functions": '#include "reds_f32_functions.h"\n' if emitter.functions else "",
        "constants": "\n".join(emitter.constants),
        "members": "\n    ".join(emitter.members),
        "attributes": "" if emitter.upper == "REDS" else "".join(
            f"#ifndef {macro}\n#define {macro} REDS_{what}_ATTRIBUTE\n#endif\n"
            for what in ("ARENA", "WEIGHTS", "TABLES") for macro in (f"{emitter.upper}_{what}_ATTRIBUTE",)),
        "rows": "".join(emitter.guarded(k, f"    {{{row}}},\n") for k, row in enumerate(rows)),
        "calls": "\n    ".join(f"LAYER({i}u) {call}" for i, call in enumerate(emitter.calls)),
        "layers": str(len(emitter.calls)),
        "rows_are": f"{emitter.in_tables}static const" if emitter.content is None else "static",
        **state(emitter.name, emitter.rows, emitter.guarded),
        "unused": "".join(f"    (void){name};\n" for name in ("memory", "scratch")
                          if not any(name in call for call in emitter.calls)),
    }
