"""Which calls of the kernels a latency table needs, and the C program that makes them.

The program holds the layers of one network with random weights, each in a place of its own, and a list of cases (layer, width
in, width out). A pass goes through the layers in the order of the network, so that between two calls of a layer the caches see
about what they see in an inference.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

import numpy as np

from reds_jax.deploy.c.constants import real
from reds_jax.deploy.c.export import Dtype, scratch_bytes
from reds_jax.deploy.c.spread import spread_of
from reds_jax.deploy.escape import c_comment
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import Size

_ACTIVATIONS = {"linear": "REDS_LINEAR", "relu": "REDS_RELU", "relu6": "REDS_RELU6", "leaky_relu": "REDS_LEAKY_RELU"}


@dataclass(frozen=True, eq=False)
class Measured:
    """An operation of the program, how its widths follow from the groups', and the widths that are measured.

    Args:
        grid: the points of each size.
        checks: further widths, one for each size, outside of the grid.
    """

    operation: Operation
    sizes: tuple[Size, ...]
    grid: tuple[tuple[int, ...], ...]
    checks: tuple[tuple[int, ...], ...]

    @property
    def points(self) -> list[tuple[int, ...]]:
        return [*itertools.product(*self.grid), *self.checks]


def plan(program: Program, graph: ChannelGraph, *, points: int, multiple: int, checks: int, seed: int) -> list[Measured]:
    """The grid of every operation: ``points`` multiples of ``multiple`` a group, from the smallest to the full width."""
    if points < 2 or multiple < 1 or checks < 0:
        raise InvalidArgumentError("this is no grid of widths", got=(points, multiple, checks),
                                   allowed="2 points or more, a multiple of at least 1, no negative number of checks")
    if program.macs[-1] != graph.macs():
        raise InvalidArgumentError("the largest subnetwork of the program is not the full network", got=program.macs[-1],
                                   allowed=f"{graph.macs()} MACs", hint="Lower it with widths=[graph.full_widths].")
    for op in program.operations:
        if op.kind in ("concat", "pad", "shuffle") or spread_of(program, op) is not None:
            raise InvalidArgumentError(f"a latency table has no entry for an operation such as {op.name!r}", got=op.kind,
                                       allowed="no concatenation, padding of its own, grouped or dilated convolution",
                                       hint="Take MACs as the cost (`graph.macs`), or measure whole subnetworks of an export.")
    rng = np.random.default_rng(seed)
    found = []
    for op, sizes in zip(program.operations, _sizes(program, graph), strict=True):
        grid = tuple(_grid(size, graph, points, multiple) for size in sizes)
        outside = set(itertools.product(*(_every(size, graph, multiple) for size in sizes))) - set(itertools.product(*grid))
        drawn = rng.permutation(len(outside))[:checks]
        found.append(Measured(op, sizes, grid, tuple(sorted(outside)[i] for i in drawn)))
    return found


def _sizes(program: Program, graph: ChannelGraph) -> list[tuple[Size, ...]]:
    """(in, out) or (width,) of every operation as forms in the widths of the groups."""
    layers = list(graph.layers)
    made: dict[int, Size] = {0: Size(program.tensors[0].channels[-1])}
    found = []
    for op in program.operations:
        layer = next((x for x in layers if x.path == op.name), None) if op.kind in WEIGHTED else None
        if layer is not None:
            layers.remove(layer)
            sizes = layer.sizes
        else:
            sizes = (made[op.inputs[0]],)
        if any(len(size.terms) > 1 for size in sizes) or (layer is None and op.kind in ("conv", "dense")):
            raise InvalidArgumentError(f"the widths of {op.name!r} do not follow from one channel group each", got=sizes)
        found.append(sizes)
        made[op.output] = sizes[-1]
    return found


def _grid(size: Size, graph: ChannelGraph, points: int, multiple: int) -> tuple[int, ...]:
    if not size.terms:
        return (size.constant,)
    (group, k), = size.terms
    full = graph.groups[group].size
    evenly = [min(full, max(1, round(full * i / (points - 1) / multiple)) * multiple) for i in range(points - 1)]
    return tuple(size.constant + k * n for n in sorted({*evenly, full}))


def _every(size: Size, graph: ChannelGraph, multiple: int) -> list[int]:
    if not size.terms:
        return [size.constant]
    (group, k), = size.terms
    full = graph.groups[group].size
    return [size.constant + k * n for n in sorted({*range(min(multiple, full), full + 1, multiple), full})]


def cases(measured: Sequence[Measured]) -> list[tuple[int, tuple[int, ...]]]:
    """(operation, widths) in the order of the measurement: point after point, in each the operations in their order."""
    rows = itertools.zip_longest(*(m.points for m in measured))
    return [(i, point) for row in rows for i, point in enumerate(row) if point is not None]


def kernels(dtype: Dtype) -> dict[str, str]:
    """The sources of the kernels."""
    prefixes = ("reds_kernels", "reds_s8" if dtype == "int8" else "reds_f32")
    folder = resources.files("reds_jax.deploy.c") / "runtime"
    return {f.name: f.read_text(encoding="utf-8") for f in folder.iterdir()
            if f.name.startswith(prefixes) and f.name.endswith((".c", ".h")) and not f.name.endswith("_ranges.c")}


def text(program: Program, measured: Sequence[Measured], dtype: Dtype, seed: int) -> str:
    """The C program."""
    full = program.subnetworks - 1
    short, itemsize = ("s8", 1) if dtype == "int8" else ("f32", 4)
    layers, begin = [], 0
    for i, m in enumerate(measured):
        layers.append(_layer(program, m.operation, i, short, begin))
        if m.operation.kind in WEIGHTED:
            begin += program.tensors[m.operation.output].channels[full] * _row(program, m.operation, itemsize)
    items = [t.items(full) for t in program.tensors]
    scratch = max(scratch_bytes(program, full, dtype), default=0) // (2 if dtype == "int8" else 4)
    lines = [_case(program, measured[i], i, widths, short) for i, widths in cases(measured)]
    eight = short == "s8"
    values = {
        "short": short, "element": "int8_t" if eight else "float", "weight_entries": max(begin, 1), "input_entries": max(items),
        "output_entries": max(items), "scratch_type": "int16_t" if eight else "float", "scratch_entries": max(scratch, 1),
        "channels": max(t.channels[full] for t in program.tensors), "seed": 2463534242 + seed,
        "scale": "const int32_t span = (int32_t)(255.0f / (1.0f + below)), zero = 127 - span;" if eight else
                 "const float unit = 1.0f / 2147483648.0f;",
        "draw": "int32_t x = (int32_t)(draw() >> 16) - 32768;\n        "
                "if (x < 0) x = (int32_t)(below * (float)x);\n        "
                "to[k] = (int8_t)(zero + x * span / 32768);" if eight else
                "const float x = (float)(int32_t)draw() * unit;\n        to[k] = x < 0.0f ? below * x : x;",
        "draw_channel": "channels[k].multiplier = (int32_t)(1u << 30) - (int32_t)(draw() >> 3);\n        "
                        "channels[k].offset = (int32_t)(draw() >> 28) - 8;" if eight else
                        "channels[k].scale = 0.5f + (float)(draw() >> 8) * (1.0f / 33554432.0f);\n        "
                        "channels[k].offset = (float)(draw() >> 8) * (1.0f / 33554432.0f) - 0.25f;",
        "layers": "\n".join(layers), "count": len(lines), "cases": ",\n".join(lines),
    }
    template = (resources.files("reds_jax.deploy.latency") / "program.c").read_text(encoding="utf-8")
    return Template(template).substitute(values)


def _row(program: Program, op: Operation, itemsize: int) -> int:
    return -(-program.row(op, program.subnetworks - 1) * itemsize // 4) * 4 // itemsize


def _window(program: Program, op: Operation) -> str:
    x, y, w = program.tensors[op.inputs[0]], program.tensors[op.output], op.window
    if w is None:
        return "{0}"
    values = (x.height, x.width, y.height, y.width, *w.kernel, *w.strides, *w.before, *x.steps(program.subnetworks - 1))
    return "{" + ", ".join(f"{v}u" for v in values) + "}"


def _layer(program: Program, op: Operation, i: int, short: str, begin: int) -> str:
    """The constants of an operation and the function that calls it."""
    eight, out = short == "s8", program.tensors[op.output]
    slope = round(op.slope * 2**31) if eight and op.activation == "leaky_relu" else 0
    line = f"{slope}" if eight else f"{_ACTIVATIONS[op.activation]}, {real(op.slope)}"
    constants, arguments = "", ""
    if op.kind in WEIGHTED:
        row = _row(program, op, 1 if eight else 4)
        constants = (f"static const reds_{short}_layer layer_{i} = {{{_window(program, op)}, weights.entries + {begin}, "
                     f"{row}u, {line}}};\n")
        with_scratch = op.kind != "dense" or eight
        arguments = f"&layer_{i}, w, in.entries, out.entries{', scratch.entries' if with_scratch else ''}"
    elif op.kind in ("max_pool", "avg_pool"):
        constants = f"static const reds_window layer_{i} = {_window(program, op)};\n"
        mean = ""
        if op.kind == "avg_pool" and eight:
            assert op.window is not None
            constants += f"static const reds_s8_mean mean_{i} = {{-128, {min(2**32 // op.window.taps, 2**31 - 1)}, -128, 0}};\n"
            mean = f"&mean_{i}, "
        arguments = f"&layer_{i}, {mean}w->outputs, in.entries, out.entries"
    elif op.kind == "add":
        length = f"w->outputs * {out.positions}u"
        constants = f"static const reds_s8_sum layer_{i} = {{0, 4096, 0, 4096, 4096, {slope}, 13}};\n" if eight else ""
        arguments = (f"&layer_{i}, in.entries, in.entries, out.entries, {length}" if eight else
                     f"in.entries, in.entries, out.entries, {length}, {line}")
    elif op.kind == "channel_first":
        arguments = f"in.entries, out.entries, {out.positions}u, w->outputs"
    else:
        arguments = f"in.entries, out.entries, w->outputs * {out.positions}u"
    return (f"/* {c_comment(op.name)}: {op.kind} */\n{constants}"
            f"static void call_{i}(const width *w) {{ reds_{short}_{op.kind}({arguments}); }}\n")


def _case(program: Program, m: Measured, i: int, widths: tuple[int, ...], short: str) -> str:
    rest = ""
    if short == "s8":  # outputs that fill the 8 bits
        terms = widths[0] * (1 if m.operation.kind == "dense" else _taps(m.operation))
        if m.operation.kind == "depthwise":
            terms = _taps(m.operation)
        spread = 73 * 104 * math.sqrt(terms) / 8 / 60
        zero = 127 - int(255 / (1 + _below(program, m.operation.inputs[0])))
        rest = f", {zero}, 0, {int(np.clip(round(math.log2(spread)), 0, 22))}"
    x = program.tensors[m.operation.inputs[0]]
    items = widths[0] * (1 if m.operation.kind == "dense" else x.positions)
    below = real(_below(program, m.operation.inputs[0]))
    return f"    {{call_{i}, {items}u, {below}, {{{widths[0]}u, {widths[-1]}u, channels{rest}}}}}"


def _below(program: Program, tensor: int) -> float:
    """What the activation in front of a tensor multiplies negative values by."""
    op = next((op for op in program.operations if op.output == tensor), None)
    if op is None:
        return 1.0
    if op.kind in ("max_pool", "avg_pool", "channel_first"):
        return _below(program, op.inputs[0])
    return {"linear": 1.0, "leaky_relu": op.slope}.get(op.activation, 0.0)


def _taps(op: Operation) -> int:
    return op.window.taps if op.window is not None else 1
