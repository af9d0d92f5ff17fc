"""The C text of a device program: weights and tables as constants, and the few functions of its interface."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from reds_jax.deploy.c import ranges_text
from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.c.any_widths_text import of_row, state
from reds_jax.deploy.c.arena import Plan
from reds_jax.deploy.c.constants import array, lines, real
from reds_jax.deploy.c.spread import Spread, laid_out, spread_kernel, spread_of
from reds_jax.deploy.escape import c_comment, c_identifier
from reds_jax.deploy.int8.quantize import Mean, QuantizedProgram, Requantize, Sum
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
    """

    def __init__(self, network: Program | QuantizedProgram, plans: Sequence[Plan], name: str,
                 rows: AnyWidths | None = None) -> None:
        self.quantized = network if isinstance(network, QuantizedProgram) else None
        self.program = network.program if isinstance(network, QuantizedProgram) else network
        self.plans, self.name, self.upper, self.rows = plans, c_identifier(name), name.upper(), rows
        self.short, self.element, self.itemsize = ("s8", "int8_t", 1) if self.quantized else ("f32", "float", 4)
        self.count = self.program.subnetworks
        self.constants: list[str] = []
        self.fields: list[list[str]] = [[] for _ in range(self.count)]  # lines of every subnetwork's row of the table
        self.members: list[str] = []
        self.weight_bytes = self.table_bytes = self.largest_table_bytes = 0
        self._weights: dict[bytes, str] = {}
        self.ranges: dict[str, str] = {}  # the constants of `ranges_text`
        self.uses_ranges, self.align = False, 4 // self.itemsize
        self.calls = [self._operation(i, op) for i, op in enumerate(self.program.operations)]
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
            self.uses_ranges |= spread is not None
            layer, width = self._layer(i, op, spread), self._width(i, op, spread)
            scratch = [self._scratch(i)] if self.plans[0].scratch[i] is not None else []
            if spread is not None:
                what = f"reds_{self.short}_" + ("depthwise_ranges" if spread_kernel(op) == "depthwise" else "spread")
            given = [f"&{layer}", width, *([] if spread is None else [ranges_text.table(self, i, spread)]), *ins, out, *scratch]
            call = f"{what}({', '.join(given)});"
            return call if self.rows is None else self._at_row(i, op, call, spread)
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
        if op.kind in ("concat", "pad", "shuffle"):
            self.uses_ranges = True
            return ranges_text.moving(self, i, op, ins, out)
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

    def member(self, kind: str, name: str, value: Callable[[int], str]) -> str:
        """`_member`, `_count` and `_window` for `ranges_text`."""
        return self._member(kind, name, value)

    def channels(self, name: str, tensor: Tensor, factor: int) -> str:
        return self._count(name, tensor, factor)

    def window(self, i: int, op: Operation) -> str:
        return self._window(i, op)

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
            self._member("uint32_t", field, lambda k: f"{(self.plans[k].at[tensor] or 0) // self.itemsize}u")
        return f"memory + s->{field}"

    def _scratch(self, i: int) -> str:
        unit = 2 if self.quantized else 4
        return "arena.entries + " + self._member("uint32_t", f"scratch_{i}",
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
        self.constants.append(f"static const reds_window window_{i} = {self._window_fields(op)}; "
                              f"/* {c_comment(op.name)}: {op.kind} */\n")
        return f"window_{i}"

    def _layer(self, i: int, op: Operation, spread: Spread | None) -> str:
        weights, row = self._store(i, op, spread)
        rest = f"{self.quantized.slopes[i]}" if self.quantized else f"{_ACTIVATIONS[op.activation]}, {real(op.slope)}"
        window = _ONE_POSITION if op.window is None and spread is not None else self._window_fields(op)
        self.constants.append(f"static const reds_{self.short}_layer layer_{i} = {{ /* {c_comment(op.name)}: {op.kind} */\n"
                              f"    {window}, {weights}, {row}u, {rest}\n}};\n")
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
                self.constants.append(f"static const union {{\n    int32_t word; /* aligns the rows */\n"
                                      f"    int8_t entries[{len(entries)}];\n}} {name} = {{.entries = {{\n"
                                      f"{lines(entries, per_line=32)}\n}}}};\n")
            else:
                self.constants.append(array("float", name, entries, per_line=8))
        return self._weights[key] + (".entries" if self.quantized else ""), row

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
            self.constants.append(array(kind, f"channels_{i}", longest, per_line=4))
            return [f"channels_{i}"] * self.count
        for k, row in enumerate(rows):
            self.table_bytes += 8 * len(row)
            self.constants.append(self.guarded(k, array(kind, f"channels_{i}_of_{k}", row, per_line=4)))
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


def arena_entries(emitter: Emitter) -> str:
    """The size of the arena, for the largest subnetwork that is wanted (in entries)."""
    unit = 2 if emitter.quantized else 4
    text = []
    sizes = [max(plan.size for plan in emitter.plans[: k + 1]) for k in range(emitter.count)]
    for k, size in enumerate(sizes):
        text += [f"#{'elif' if k else 'if'} {emitter.upper}_LARGEST == {k}", f"#define ARENA_ENTRIES {max(1, size // unit)}u"]
    return "\n".join([*text, "#else", f'#error "{emitter.upper}_LARGEST is one of 0 to {emitter.count - 1}"', "#endif"])


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
        "unit": "int16_t" if quantized else "float", "arena": arena_entries(emitter),
        "memory": "(int8_t *)arena.entries" if quantized else "arena.entries",
        "constants": "\n".join(emitter.constants),
        "members": "\n    ".join(emitter.members),
        "rows": "".join(emitter.guarded(k, row) for k, row in enumerate(rows)),
        "calls": "\n    ".join(emitter.calls),
        **state(emitter.upper, emitter.rows, emitter.guarded),
        "uses_memory": "" if any("memory" in c for c in emitter.calls) else "    (void)memory;\n",
    }


def _grid(emitter: Emitter, k: int) -> str:
    if emitter.quantized is None:
        return "1.0f, 0"
    grid = emitter.quantized.output_scale(k)
    return f"{real(grid.scale)}, {grid.zero}"
