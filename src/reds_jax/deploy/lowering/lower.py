"""From a nested Flax model to a device program: the jaxpr is read with the parameters known and the input unknown.

What depends on parameters alone is computed at once. What depends on the input is a form of a stored array,
``activation(scale * x + offset)`` per channel, so that bias, batch norm and activation end up in the operation before them
whatever module they came from (`forms`). The rules, one a primitive, are in `elementwise_rules` and `layer_rules`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from reds_jax.deploy.lowering.forms import Affine, Form, Known, Writer
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.refusal import HINT, refusal
from reds_jax.deploy.lowering.rules import Rules
from reds_jax.errors import TraceError
from reds_jax.graph import ChannelGraph, flat
from reds_jax.graph.channels import Axis
from reds_jax.graph.rules import module_of, walk
from reds_jax.graph.trace import program_of
from reds_jax.widths import Widths


def lower(
    model: nn.Module, variables: Sequence[Any], graph: ChannelGraph, widths: Sequence[Widths], example: Any, **apply_kwargs: Any
) -> Program:
    """The device program of a nested network.

    Args:
        model: the flax.linen module.
        variables: one tree per subnetwork; they share the parameters and differ in their batch statistics.
        graph: from `reds_jax.trace`.
        widths: one per subnetwork, from ``graph.widths``.
        example: one batch of input [N, ...]; only its shape and dtype matter.

    Raises:
        TraceError: an operation that the device does not run; the message names it, the module and the line.
    """
    shape = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *np.shape(a)[1:]), a.dtype), example)
    program, calls = program_of(model, variables[0], shape, **apply_kwargs)
    if len(program.inputs) != 1 or len(program.outputs) != 1 or isinstance(program.outputs[0], flat.Constant):
        raise TraceError("a device program has one input and one output",
                         got=(len(program.inputs), len(program.outputs)), allowed="one array each", hint=HINT)
    integers = [graph.integers(w) for w in widths]
    layers = {id(use.operation): module_of(use.parameter) for use in walk(program, calls.full).layers}
    parameters = _parameters(program, variables)
    first = Writer(len(widths))  # the first pass finds in which forms every array is read, the second writes
    _pass(program, first, parameters, _Channels(graph, integers, layers))
    writer = Writer(len(widths), first.demands)
    output, argmax = _pass(program, writer, parameters, _Channels(graph, integers, layers))
    return Program(tuple(writer.tensors), tuple(writer.operations), output, tuple(graph.macs(n) for n in integers), argmax)


def _parameters(program: flat.Program, variables: Sequence[Any]) -> dict[int, Known]:
    trees = [{flat.leaf_path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)} for tree in variables]
    found = {}
    for path, value in program.leaves.items():
        arrays = [np.asarray(tree[path]) for tree in trees]
        same = all(np.array_equal(a, arrays[0], equal_nan=True) for a in arrays)
        found[value.number] = Known((arrays[0],) * len(trees) if same else tuple(arrays))
    return found


class _Channels:
    """How many channels the layers keep, by the operation that they are."""

    def __init__(self, graph: ChannelGraph, integers: Sequence[tuple[int, ...]], layers: dict[int, str]) -> None:
        self._makers, self._readers = dict(graph.makers), dict(graph.readers)
        self._integers, self._layers = integers, layers

    def makes(self, op: flat.Operation, full: int) -> tuple[np.ndarray, ...]:
        """The kept output channels of a layer, for each subnetwork."""
        return self._kept(self._makers.get(self._layers.get(id(op), "")), full)

    def reads(self, op: flat.Operation, full: int) -> tuple[np.ndarray, ...]:
        """The kept input channels (rows of a dense kernel) of a layer, for each subnetwork."""
        return self._kept(self._readers.get(self._layers.get(id(op), "")), full)

    def _kept(self, axis: Axis | None, full: int) -> tuple[np.ndarray, ...]:
        if axis is None:
            return (np.arange(full),) * len(self._integers)
        return tuple(axis.kept(n) for n in self._integers)


def _pass(
    program: flat.Program, writer: Writer, parameters: dict[int, Known], channels: _Channels
) -> tuple[int, bool]:
    rules = Rules(writer, channels)
    forms: dict[int, Form] = dict(parameters)
    forms[program.inputs[0].number] = writer.input(program.inputs[0].shape)
    last = program.outputs[0]
    assert isinstance(last, flat.Value)
    argmax = False
    for op in program.operations:
        inputs = [Known((np.asarray(x.value),) * writer.subnetworks) if isinstance(x, flat.Constant) else forms[x.number]
                  for x in op.inputs]
        known = [x for x in inputs if isinstance(x, Known)]
        if len(known) == len(inputs):
            results: Sequence[Form] = _compute(op, known)
        elif op.primitive.name == "argmax" and op.outputs[0].number == last.number:
            if len(op.inputs[0].shape) != 2 or tuple(op.params["axes"]) != (1,):
                raise refusal(op, "is an argmax over something else than the outputs of the network")
            results, argmax = [inputs[0]], True
        else:
            results = [rules.apply(op, inputs)]
        forms.update((out.number, form) for out, form in zip(op.outputs, results, strict=True))
    output = forms[last.number]
    if not isinstance(output, Affine):
        raise refusal(program.operations[-1], "makes an output that cannot be computed on a device")
    tensor = writer.write(output)
    if not np.array_equal(np.ravel(output.index), np.arange(output.index.size)):
        raise refusal(program.operations[-1], "returns its outputs in another order than they are made")
    return tensor, argmax


def _compute(op: flat.Operation, known: list[Known]) -> list[Form]:
    """Evaluate an operation on parameters: once, or once a subnetwork where they differ."""

    def at(k: int) -> list[np.ndarray]:
        result = op.primitive.bind(*(x.values[k] for x in known), **op.params)
        return [np.asarray(r) for r in (result if op.primitive.multiple_results else [result])]

    count = len(known[0].values) if known else 1
    if all(x.shared for x in known):
        return [Known((r,) * count) for r in at(0)]
    return [Known(values) for values in zip(*map(at, range(count)), strict=True)]
