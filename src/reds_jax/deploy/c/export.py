"""Write a nested network as C99: one copy of the weights, a table of widths, a static arena, no library.

The exported folder compiles alone: the kernels (copied from ``runtime/``), the model, a program that checks it against
recorded answers, and what build systems read (`reds_jax.deploy.c.package`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from reds_jax.data import Normalise
from reds_jax.deploy.c import any_widths_text, arena, constants, package, source, stack
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.c.exported import Dtype, Exported
from reds_jax.deploy.escape import c_identifier
from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter
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
    any_widths: bool = False, order: np.ndarray | Sequence[Sequence[int]] | None = None,
    front_end: KeywordSpotter | None = None,
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
        front_end: for a network that reads MFCC: the C code then also goes from audio to the word.

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
    emitter = source.Emitter(quantized or program, plans, name, rows)
    exported = Exported(Path(folder), program, quantized, _facts(emitter, program, widths, dtype), quality, rows, graph,
                        front_end)
    if quality is not None:
        exported.facts["calibration"] = {"rule": rule, **({"percentage": percentage} if rule == "percentile" else {})}
        exported.facts["quality"] = quality.record()
    if front_end is not None:
        exported.facts["front_end"] = front_end.facts()
    pixels = ""
    if normalise is not None:
        if len(normalise.mean) != program.tensors[0].channels[0]:
            raise InvalidArgumentError("the pixels have other channels than the network's input", got=len(normalise.mean),
                                       allowed=str(program.tensors[0].channels[0]))
        exported.facts["normalise"] = {"mean": normalise.mean, "std": normalise.std}
        real = normalise(np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None], (256, len(normalise.mean)))).T
        pixels = constants.pixel_table(quantized.input_scale.quantize(real) if quantized else real, emitter.in_tables)
    answers = [exported.expected(k, examples) for k in range(program.subnetworks)]
    given = quantized.input_scale.quantize(examples) if quantized else examples
    files = _files(emitter, program, exported.facts, given, answers, pixels)
    if front_end is not None:
        files |= front_end.files(emitter, exported.facts)
    package.write(exported.folder, name, exported.facts, files)
    for text in quality.warnings() if quality else ():
        warnings.warn(text, QuantizationWarning, stacklevel=2)
    return exported


def scratch_bytes(program: Program, k: int, dtype: Dtype) -> tuple[int, ...]:
    """What every operation needs for itself, by the formulas REDS_..._SCRATCH of reds_kernels.h."""
    def entries(op: Operation) -> int:
        if op.kind == "dense":
            return _round4(program.row(op, k)) if dtype == "int8" else 0
        if op.kind == "conv":
            return 4 * (_round4(program.row(op, k)) if dtype == "int8" else program.row(op, k))
        if op.kind == "depthwise":
            assert op.window is not None
            width = (program.tensors[op.output].width - 1) * op.window.strides[1] + op.window.kernel[1]
            return op.window.kernel[0] * _round4(width)
        return 0

    return tuple(entries(op) * (2 if dtype == "int8" else 4) for op in program.operations)


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
        "stack_bytes": stack.bound(dtype, any_widths=emitter.rows is not None),
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
           answers: Sequence[np.ndarray], pixels: str) -> dict[str, str]:
    """The text of the C files of the network and its kernels, by name."""
    name, dtype = emitter.name, facts["dtype"]
    softmax = emitter.quantized is not None and facts["ends_in"] == "softmax"
    numbers = ["reds_s8" if dtype == "int8" else "reds_f32"] + ["reds_f32"] * softmax
    values = source.model(emitter)
    subs = facts["subnetworks"]
    values |= {
        "arena_bytes": "\n".join(f"#define {emitter.upper}_ARENA_BYTES_{k} {s['arena_bytes']}u" for k, s in enumerate(subs)),
        "stack": str(facts["stack_bytes"]), "kernels_version": package.kernels_version(),
        "tolerance": "0.0f" if emitter.quantized else "1e-4f",
        "pixel_table": pixels, "channels": str(program.tensors[0].channels[0]),
        "more_statuses": "", "adapt": f"{name}_adapt(k)", "own_adapt_to": "",
    }
    parts = ["quantized"] * (emitter.quantized is not None) + ["softmax"] * softmax + ["pixels"] * bool(pixels)
    if emitter.rows is not None:
        parts.append("any_widths")
        values |= {"order_header": "", "order_source": "", **any_widths_text.values(name, emitter.rows, emitter.guarded)}
        if emitter.rows.order:
            values |= {"order_header": package.template("order.h", values), "order_source": package.template("order.c", values)}
    for ending, key in ((".h", "more_header"), (".c", "more_source")):
        values[key] = "".join(package.template(part + ending, values) for part in parts)
    return {
        f"{name}_model.h": package.template("model.h", values),
        f"{name}_model.c": package.template("model.c", values).rstrip() + "\n",
        f"{name}_check.c": package.template("check.c", values),
        f"{name}_examples.h": constants.examples(inputs, answers, name),
        **package.kernels(("reds_kernels", "reds_policy", *numbers)),
    }
