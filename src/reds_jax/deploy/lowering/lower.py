"""From a nested network to a device program: the one program is read with the parameters known and the input unknown.

What depends on parameters alone is computed at once. What depends on the input is a form of a stored array,
``activation(scale * x + offset)`` per channel, so that bias, batch norm and activation end up in the operation before them
whatever module they came from (`forms`); what is no such form of an array, but a function of each entry, is one operation
(`chains`). Which channels a subnetwork has, the units of the program say (`kept`). The rules, one a primitive, are in
`elementwise_rules`, `product_rules` and `layer_rules`. Of the weights there is in the end what the largest subnetwork reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import adapt
from reds_jax.deploy.lowering.chains import Values
from reds_jax.deploy.lowering.forms import Affine, Form, Known, Writer
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.ranges import compact
from reds_jax.deploy.lowering.refusal import HINT, refusal
from reds_jax.errors import TraceError
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.program import flat
from reds_jax.widths import Width


def lower(model: Any, variables: Sequence[Any], widths: Sequence[Width], example: Any, *, every_row: bool = False) -> Program:
    """The device program of a nested network, in inference.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: one tree per subnetwork; they share the weights of every layer. What is one number a channel, such as
            batch statistics, scale and offset, each may have of its own.
        widths: one per subnetwork: fractions, or `Widths` from ``graph.widths``.
        example: one batch of input [N, ...]; only its shape and dtype matter.
        every_row: whether the device is to run every row of widths; the tensors then have their ``Tensor.size``.

    Raises:
        TraceError: an operation that the device does not run, channels that are no prefix (in a subnetwork, or at some row if
            every row is asked for), or weights that differ between subnetworks; the message names the operation, the module
            and the line.
        WidthError: widths of another network.
    """
    pairs = [adapt(model, tree) for tree in variables]
    pure, trees = pairs[0][0], [tree for _, tree in pairs]
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *np.shape(a)[1:]), a.dtype), example)
    found = traced(pure, trees[0], one)
    program = found.programs[INFERENCE]
    inputs = program.inputs[:-1]  # the last one is the key of random numbers, which inference does not read
    if len(inputs) != 1 or len(program.outputs) != 1 or isinstance(program.outputs[0], flat.Constant):
        raise TraceError("a device program has one input and one output", got=(len(inputs), len(program.outputs)),
                         allowed="one array each", hint=HINT)
    integers = [found.graph.integers(w) for w in widths]
    parameters = _parameters(program, trees)
    first = Writer(len(widths))  # the first pass finds in which forms every array is read, the second writes
    _pass(program, first, parameters, Kept(found, integers, every_row=every_row))
    writer = Writer(len(widths), first.demands)
    output, argmax = _pass(program, writer, parameters, Kept(found, integers, every_row=every_row))
    macs = tuple(found.graph.macs(n) for n in integers)
    whole = Program(tuple(writer.tensors), tuple(writer.operations), output, macs, argmax, tuple(inputs[0].shape[1:]))
    return replace(whole, tensors=tuple(map(compact, whole.tensors)), operations=tuple(
        op if op.weights is None else replace(op, weights=whole.kept_weights(op, -1)) for op in whole.operations))


def _parameters(program: flat.Program, variables: Sequence[Any]) -> dict[int, Known]:
    trees = [flat.leaves_by_path(tree) for tree in variables]
    found = {}
    for path, value in program.leaves.items():
        arrays = [np.asarray(tree[path]) for tree in trees]
        same = all(np.array_equal(a, arrays[0], equal_nan=True) for a in arrays)
        found[value.number] = Known((arrays[0],) * len(trees) if same else tuple(arrays))
    return found


def _pass(program: flat.Program, writer: Writer, parameters: dict[int, Known], kept: Kept) -> tuple[int, bool]:
    values = Values(writer, kept, parameters)
    values.set(program.inputs[0].number, writer.input(program.inputs[0].shape, every_row=kept.every_row))
    last = program.outputs[0]
    assert isinstance(last, flat.Value)
    argmax = False
    for op in flat.needed(program.operations, program.outputs):
        assert isinstance(op, flat.Operation)
        if (known := values.known(op)) is not None:
            for out, form in zip(op.outputs, _compute(op, known, kept, writer.subnetworks), strict=True):
                values.set(out.number, form)
        elif op.primitive.name == "argmax" and op.outputs[0].number == last.number:
            if len(op.inputs[0].shape) != 2 or tuple(op.params["axes"]) != (1,):
                raise refusal(op, "is an argmax over something else than the outputs of the network")
            values.set(last.number, values.form(op.inputs[0]))
            argmax = True
        else:
            values.operation(op)
    output = values.form(last)
    kept.refuse()
    if not isinstance(output, Affine):
        raise refusal(program.operations[-1], "makes an output that cannot be computed on a device")
    tensor = writer.write(output)
    if not np.array_equal(np.ravel(output.index), np.arange(output.index.size)):
        raise refusal(program.operations[-1], "returns its outputs in another order than they are made")
    return tensor, argmax


def _compute(op: flat.Operation, known: Sequence[Known], kept: Kept, count: int) -> list[Form]:
    """Evaluate an operation on parameters at full width: once, or once a subnetwork where they differ."""
    if op.primitive.name == "dot_general":
        contracted = op.params["dimension_numbers"][0]
        summed = any(kept.cut(x, axes) for x, axes in zip(op.inputs, contracted, strict=True))
    else:  # a loop may sum over any axis; other sums over channels keep all of them
        summed = op.body is not None and any(kept.cut(x, range(len(x.shape))) for x in op.inputs)
    if summed:
        raise refusal(op, "multiplies parameters with each other over channels that a smaller subnetwork lacks")

    def at(k: int) -> list[np.ndarray]:
        result = op.primitive.bind(*(x.values[k] for x in known), **op.params)
        return [np.asarray(r) for r in (result if op.primitive.multiple_results else [result])]

    if all(x.shared for x in known):
        return [Known((r,) * count) for r in at(0)]
    return [Known(values) for values in zip(*map(at, range(count)), strict=True)]
