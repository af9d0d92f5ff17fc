"""Write a nested network as C99: one copy of the weights, a table of widths, a static arena, no library.

The exported folder compiles alone: the kernels (copied from ``runtime/``), the model, a program that checks it against
recorded answers, and what build systems read (`reds_jax.deploy.c.package`).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from reds_jax.data import Normalise
from reds_jax.deploy.c import any_widths_text, arena, blob_text, constants, package, source, stack
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.c.blob import Content
from reds_jax.deploy.c.exported import Dtype, Exported, FrontEnd
from reds_jax.deploy.c.spread import spread_kernel, spread_of
from reds_jax.deploy.escape import c_identifier, c_string
from reds_jax.deploy.int8.calibrate import PERCENTAGE, Rule, calibrate
from reds_jax.deploy.int8.quality import QuantizationWarning, compare
from reds_jax.deploy.int8.quantize import quantize
from reds_jax.deploy.lowering.examples import floats
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program
from reds_jax.deploy.lowering.subnetworks import resolve
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike
from reds_jax.network import NestedNetwork
from reds_jax.widths import Widths


def export(
    model: Any, variables: Any, graph: ChannelGraph, nested: NestedNetwork | Sequence[WidthLike], folder: str | Path,
    dtype: Dtype = "float32", *, examples: np.ndarray | None = None, calibration: Iterable[np.ndarray] | None = None,
    rule: Rule = "mse", percentage: float = PERCENTAGE, normalise: Normalise | None = None, name: str = "reds",
    any_widths: bool = False, order: np.ndarray | Sequence[Sequence[int]] | None = None, revision: int | None = None,
    front_end: FrontEnd | None = None,
) -> Exported:
    """Write a nested network as a folder of C99.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: its full variables, sorted by importance, or None where the model holds them; or one tree per subnetwork,
            where each has its own statistics or norms. With a `NestedNetwork` as ``nested`` they may be None: it has them.
        graph: from `reds_jax.trace`.
        nested: a `NestedNetwork`, or the widths of the subnetworks, ascending.
        folder: written whole or not at all. What an older export of the same name left in it is replaced; other networks, and
            other files beside them, stay.
        dtype: ``"float32"``, or ``"int8"`` by post-training quantisation.
        examples: a few inputs [n, ...] that the exported folder checks itself with; by default the first of the calibration,
            or random ones.
        calibration: batches of training inputs, as the network gets them in use (normalised); needed for int8.
        rule, percentage: how ranges are chosen from the calibration, see `reds_jax.deploy.int8.calibrate.calibrate`.
        normalise: what training did to 8-bit pixels; the C code then has a function that does the same.
        name: prefix of the C identifiers and files, so that several networks fit one folder and one program. They share the
            kernels.
        any_widths: whether the C code also has ``adapt_to(widths)``, which takes any row of widths between the smallest and
            the largest subnetwork, group by group. A row runs with the statistics, and the ranges of int8, of the smallest
            subnetwork that contains it.
        order: rows of widths, integers [rows, groups], that never shrink, from the smallest subnetwork on. The C code then also
            has ``widths_for(macs)``, the last of them that costs at most so much. Needs ``any_widths``.
        revision: a number of yours for these weights, if the device is to take in other ones later: the C code then has
            ``load(bytes, size)``, and ``NAME_weights.bin`` beside it is what fits every export of the same network with the
            same widths and arguments.
        front_end: a `reds_jax.deploy.front_end.KeywordSpotter`, for a network that reads MFCC: the C code then also goes from
            audio to the word.

    Raises:
        TraceError: the model has an operation that the device does not run, or not at every row of widths.
        InvalidArgumentError: an argument that is not allowed; examples of another shape than traced; a folder that holds
            something else than an export, or one that was edited, or networks with other kernels; a network that does not fit
            8 bits.

    Warns:
        QuantizationWarning: an int8 subnetwork that is far from its float form, see `reds_jax.deploy.int8.quality`.
    """
    if dtype not in get_args(Dtype):
        raise InvalidArgumentError("there is no such number format", got=dtype, allowed="'float32' or 'int8'")
    c_identifier(name)
    package.check(Path(folder), name)
    pure, trees, widths = resolve(model, variables, graph, nested)
    batches = [floats(b, graph.input_shape, "the calibration examples") for b in calibration or ()]
    if dtype == "int8" and not any(map(len, batches)):
        raise InvalidArgumentError("int8 needs calibration", hint="Pass calibration=[batch, ...] of training inputs.")
    if examples is None:
        if any(map(len, batches)):
            examples = next(batch for batch in batches if len(batch))[:4]
        else:
            examples = np.random.default_rng(0).normal(size=(4, *graph.input_shape)).astype(np.float32)
    examples = floats(examples, graph.input_shape, "the recorded examples")
    if not len(examples):
        raise InvalidArgumentError("the exported folder checks itself with examples, and there is none", allowed="one or more")
    if order is not None and not any_widths:
        raise InvalidArgumentError("an order of rows is for a device that takes any row of widths", hint="any_widths=True")
    if revision is not None and front_end is not None:
        raise InvalidArgumentError("a front end writes its features on the grid of these weights, and others have another grid",
                                   got=f"revision={revision}", allowed="a revision, or a front end",
                                   hint="Leave revision out, or export without a front end.")
    rows = any_rows(name, graph, widths, order) if any_widths else None
    program = lower(pure, trees, widths, examples, every_row=any_widths)
    if front_end is not None:
        front_end.check(program.input_shape, program.tensors[program.output].items(0), _ending(program), dtype)
    quantized = quality = None
    if dtype == "int8":
        quantized = quantize(program, calibrate(program, batches, rule=rule, percentage=percentage))
        quality = compare(quantized, batches)
    runs = quantized.program if quantized else program
    plans = [arena.plan(runs, k, itemsize=1 if quantized else 4, scratch_bytes=scratch_bytes(runs, k, dtype))
             for k in range(runs.subnetworks)]
    emitter = source.Emitter(quantized or program, plans, name, rows, None if revision is None else Content())
    exported = Exported(Path(folder), program, quantized, _facts(emitter, program, widths, dtype), quality, rows, graph,
                        front_end)
    exported.facts["examples"] = len(examples)
    if revision is not None:
        exported.facts["revision"] = revision
    if quality is not None:
        exported.facts["calibration"] = {"rule": rule, **({"percentage": percentage} if rule == "percentile" else {})}
        exported.facts["quality"] = quality.record()
    if front_end is not None:
        exported.facts["front_end"] = front_end.facts()
    pixels = None
    if normalise is not None:
        if len(normalise.mean) != program.tensors[0].channels[0]:
            raise InvalidArgumentError("the pixels have other channels than the network's input", got=len(normalise.mean),
                                       allowed=str(program.tensors[0].channels[0]))
        exported.facts["normalise"] = {"mean": normalise.mean, "std": normalise.std}
        real = normalise(np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, len(normalise.mean)))).T
        pixels = quantized.input_scale.quantize(real) if quantized else real
    answers = [exported.expected(k, examples) for k in range(program.subnetworks)]
    given = quantized.input_scale.quantize(examples) if quantized else examples
    files = _files(emitter, program, exported.facts, given, answers, pixels, revision)
    if front_end is not None:
        files |= front_end.files(emitter, exported.facts)
    package.write(exported.folder, name, exported.facts, files)
    for text in quality.warnings() if quality else ():
        warnings.warn(text, QuantizationWarning, stacklevel=2)
    return exported


def scratch_bytes(program: Program, k: int, dtype: Dtype) -> tuple[int, ...]:
    """What every operation needs for itself, by the formulas REDS_..._SCRATCH of reds_kernels.h."""
    def entries(op: Operation) -> int:
        spread = spread_of(program, op)
        if spread is not None and spread_kernel(op) == "spread" and not (spread.direct and op.kind == "conv"):
            return 4 * spread.depth(k, 4 if dtype == "int8" else 1)
        if op.kind == "dense":
            return _round4(program.row(op, k)) if dtype == "int8" else 0
        if op.kind not in ("conv", "depthwise"):
            return 0
        assert op.window is not None
        (kernel_h, kernel_w), (stride_h, stride_w) = op.window.kernel, op.window.strides
        y = program.tensors[op.output]
        pitch = _round4((y.width - 1) * stride_w + kernel_w)
        if op.kind == "depthwise":
            if dtype == "float32":
                return kernel_h * pitch
            rows = min((y.height - 1) * stride_h + kernel_h, max(kernel_h, _HELD // pitch))
            return rows * pitch + kernel_h * (-(-kernel_w // 2) * 2)
        row = program.row(op, k)
        if dtype == "float32":
            return 4 * row
        depth = _round4(row)
        return 4 * depth + (0 if kernel_h * kernel_w == 1 else (depth + 96 + 16 * kernel_h + row // kernel_w * pitch + 12) // 2)

    if dtype == "float32":
        return tuple(4 * entries(op) for op in program.operations)
    return tuple(2 * max(entries(op), _mve_entries(program, op, k)) for op in program.operations)


def _mve_entries(program: Program, op: Operation, k: int) -> int:
    """What the int8 kernels for Helium need, by REDS_S8_MVE_..._SCRATCH."""
    y = program.tensors[op.output]
    if op.kind == "conv":
        return 4 * (-(-program.row(op, k) // 16) * 16) + 2 * y.channels[k]
    if op.kind == "depthwise":
        assert op.window is not None
        (kernel_h, kernel_w), (stride_h, stride_w) = op.window.kernel, op.window.strides
        reach = (y.width - 1) * stride_w + kernel_w
        rows = min((y.height - 1) * stride_h + kernel_h, max(kernel_h, _HELD // reach))
        return _round4((rows * reach + 17) // 2 + 16 * kernel_h)
    return 0


_HELD = 512  # REDS_S8_HELD


def _round4(n: int) -> int:
    return -(-n // 4) * 4


def _facts(emitter: source.Emitter, program: Program, widths: Sequence[Widths], dtype: Dtype) -> dict[str, Any]:
    """What NAME_model.json records."""
    quantized = emitter.quantized
    facts: dict[str, Any] = {
        "name": emitter.name, "kernels": package.kernels_version(), "dtype": dtype, "subnetworks": [
            {"widths": dict(w.groups), "macs": program.macs[k], "arena_bytes": emitter.plans[k].size,
             "weight_bytes_read": _bytes_read(program, k, emitter.itemsize)} for k, w in enumerate(widths)],
        "weight_bytes": emitter.weight_bytes, "table_bytes": emitter.table_bytes,
        "largest_table_bytes": emitter.largest_table_bytes,
        "stack_bytes": stack.bound(dtype, any_widths=emitter.rows is not None, spreads=emitter.spreads),
        "input_shape": list(program.input_shape), "input_items": program.tensors[0].items(0),
        "output_items": program.tensors[program.output].items(0),
        "ends_in": _ending(program),
    }
    if emitter.rows is not None:
        facts["any_widths"] = emitter.rows.facts()
    if quantized:
        grid = quantized.input_scale
        facts["input"] = {"scale": grid.scale, "zero": grid.zero}
        for k, sub in enumerate(facts["subnetworks"]):
            out = quantized.output_scale(k)
            sub["output"] = {"scale": out.scale, "zero": out.zero}
    return facts


def _ending(program: Program) -> str:
    return "argmax" if program.argmax else program.operations[-1].kind if program.operations else "input"


def _bytes_read(program: Program, k: int, itemsize: int) -> int:
    return sum(program.row(op, k) * program.tensors[op.output].channels[k] * itemsize
               for op in program.operations if op.kind in WEIGHTED)


def _files(emitter: source.Emitter, program: Program, facts: dict[str, Any], inputs: np.ndarray,
           answers: Sequence[np.ndarray], pixels: np.ndarray | None, revision: int | None = None) -> dict[str, str | bytes]:
    """The text of the C files of the network and its kernels, by name."""
    name = emitter.name
    softmax = emitter.quantized is not None and facts["ends_in"] == "softmax"
    elementwise = any(op.kind in ("mul", "map", "resize") for op in emitter.program.operations)
    parts = ["", *["_elementwise"] * elementwise, *["_ranges"] * emitter.uses_ranges]
    numbers = [*(f"reds_{emitter.short}{part}.c" for part in parts), *["reds_f32.c"] * softmax,
               *["reds_f32_functions.h"] * bool(emitter.functions), *["reds_blob.c"] * (revision is not None)]
    values = source.model(emitter)
    subs = facts["subnetworks"]
    values |= {
        "arena_bytes": "\n".join(f"#define {emitter.upper}_ARENA_BYTES_{k} {s['arena_bytes']}u" for k, s in enumerate(subs)),
        "stack": str(facts["stack_bytes"]), "kernels_version": package.kernels_version(),
        "tolerance": "0.0f" if emitter.quantized else "1e-4f",
        "pixel_table": "" if pixels is None else constants.pixel_table(pixels, emitter.in_tables),
        "channels": str(program.tensors[0].channels[0]), "more_statuses": "", "adapt": f"{name}_adapt(k)", "own_adapt_to": "",
    }
    parts = ["quantized"] * (emitter.quantized is not None) + ["softmax"] * softmax + ["pixels"] * (pixels is not None)
    parts += ["load"] * (revision is not None)
    if emitter.rows is not None:
        parts.append("any_widths")
        values |= {"order_header": "", "order_source": "", **any_widths_text.values(name, emitter.rows, emitter.guarded)}
        if emitter.rows.order:
            values |= {"order_header": package.template("order.h", values), "order_source": package.template("order.c", values)}
    weights: dict[str, str | bytes] = {}
    if revision is not None:
        more, weights[f"{name}_weights.bin"] = blob_text.values(emitter, values, pixels, revision)
        values |= more
    for ending, key in ((".h", "more_header"), (".c", "more_source")):
        values[key] = "".join(package.template(part + ending, values) for part in parts)
    model = package.template("model.c", values).rstrip() + "\n"
    return {
        f"{name}_model.h": package.template("model.h", values),
        f"{name}_model.c": model if emitter.content is None else emitter.content.factory(model),
        f"{name}_check.c": package.template("check.c", values),
        f"{name}_examples.h": constants.examples(inputs, answers, name),
        **_profile(emitter, values), **package.kernels(("reds_policy.h", *numbers)), **weights,
    }


def _profile(emitter: source.Emitter, values: Mapping[str, str]) -> dict[str, str]:
    """The program that measures every layer, and what it calls them."""
    tensors, operations = emitter.program.tensors, emitter.program.operations
    if not operations:
        return {}

    def row(op: Operation) -> str:
        channels = (", ".join(f"{n}u" for n in tensors[t].channels) for t in (op.inputs[0], op.output))
        name = c_string(json.dumps(op.name)[1:-1])  # it is printed as a string of JSON
        return ", ".join([f'    {{{name}, "{op.kind}"', *(f"{{{text}}}" for text in channels)]) + "}"

    values = {**values, "layer_rows": ",\n".join(map(row, operations))}
    return {f"{emitter.name}_{file}": package.template(file, values) for file in ("profile.c", "layers.h")}
