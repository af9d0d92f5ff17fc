"""`trace`: from a model to its channel graph, by one look at the jaxpr at full width. Nothing is declared by hand."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from reds_jax.adapters import PureModel, adapt
from reds_jax.adapters.trees import check_arrays, described
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.graph.channels import ChannelGraph, Layer, Parameter, Pinned, Size
from reds_jax.graph.memory import schedule
from reds_jax.graph.numbering import Numbering
from reds_jax.lowering import lowering
from reds_jax.program.flat import Program, Value
from reds_jax.program.read import flatten_with_state
from reds_jax.program.rules import walk
from reds_jax.program.units import FIXED
from reds_jax.program.walk import LayerUse, Sized, Walk, module_of

Mode = tuple[bool, bool]
"""(train, dropout) of a program."""
INFERENCE: Mode = (False, False)
UNREAD = "has a parameter that is read neither in inference nor in training"


@dataclass(frozen=True, eq=False)
class Traced:
    """A model for inputs of one shape: its programs, the units in them, and the channel graph that follows."""

    programs: dict[Mode, Program]
    state: Walk
    numbering: Numbering
    graph: ChannelGraph


def trace(model: Any, variables: Any, example_input: Any) -> ChannelGraph:
    """The channel graph of ``model``: which axes move together, what stays and why, the costs, and the order of execution.

    Every position of every parameter axis starts as a unit; the operations of the jaxpr unite units that must move together
    (Fang et al. 2023, DepGraph, arXiv 2301.12900, builds such groups from hooks; here the program itself is read, in
    inference and in training). Units that reach the network's input or output, or an operation that is not the same for a
    prefix of them, stay: ``graph.pinned`` says which and why. A group is a set of units that appear on the same axes.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes: a flax.linen or flax.nnx module, an equinox module, a Keras model on
            JAX, or a pure function ``f(variables, *inputs)``.
        variables: its variables (arrays or shapes); None where the model holds them itself.
        example_input: one batch of input, [N, ...], or a tuple or dict of such; only shapes and types matter, and N is
            taken as 1.

    >>> # print(trace(model, variables, x).summary())
    """
    pure, variables = adapt(model, variables)
    check_arrays(example_input)
    one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *np.shape(a)[1:]), a.dtype), example_input)
    return traced(pure, variables, one).graph


def traced(pure: PureModel, variables: Any, inputs: Any) -> Traced:
    """The programs of a model for inputs of these shapes; only shapes and types of the arguments matter, and are remembered."""
    check_arrays(inputs)
    if not jax.tree.leaves(variables):
        raise InvalidArgumentError("the model has no parameters", hint="Pass the variables of model.init(...).")
    shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(np.shape(a), a.dtype), (variables, inputs))
    leaves, structure = jax.tree.flatten(shapes)
    return _traced(pure, structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves))


@lru_cache(maxsize=256)
def _traced(pure: PureModel, structure: Hashable, shapes: tuple[tuple[tuple[int, ...], Any], ...]) -> Traced:
    leaves = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in shapes]
    variables, inputs = jax.tree.unflatten(structure, leaves)  # type: ignore[arg-type]
    key = jax.eval_shape(lambda: jax.random.key(0))
    programs: dict[Mode, Program] = {}
    for mode in (INFERENCE, (True, True), (True, False)):
        train, dropout = mode
        if mode == (True, False) and not _reads_key(programs[True, True]):
            programs[mode] = programs[True, True]
            break

        def call(variables: Any, inputs: Any, key: Any, train: bool = train, dropout: bool = dropout) -> Any:
            outputs, stats = _called(pure, variables, inputs, train=train, dropout=dropout, key=key if dropout else None)
            return outputs, {"batch_stats": stats} if train and stats else {}

        first = max((p.values for p in programs.values()), default=0)
        with lowering("lax"):  # of a model that runs programs itself, such as an extracted subnetwork
            programs[mode] = flatten_with_state(call, variables, inputs, key, first=first)
    state = walk(*dict.fromkeys(programs.values()))
    inference = programs[INFERENCE]
    numbering = Numbering(state, inference)
    graph = _graph(inference, state, numbering)
    return Traced(programs, state, numbering, replace(graph, pinned=(*graph.pinned, *_unread(programs.values()))))


def _unread(programs: Iterable[Program]) -> tuple[Pinned, ...]:
    """The modules of parameters that no mode reads: they stay as they are, and nothing depends on them."""
    read, shapes = set(), {}
    for program in programs:
        atoms = [*program.outputs, *(x for op in program.operations for x in op.inputs)]
        used = {x.number for x in atoms if isinstance(x, Value)}
        for path, value in program.leaves.items():
            if path.startswith("params/"):
                shapes[path] = value.shape
                if value.number in used:
                    read.add(path)
    found: dict[str, Pinned] = {}
    for path, shape in shapes.items():
        if path not in read:
            size = shape[-1] if shape else 1
            found.setdefault(module_of(path), Pinned(module_of(path), size, size, UNREAD, ""))
    return tuple(found.values())


def _called(pure: PureModel, variables: Any, inputs: Any, **options: Any) -> tuple[Any, Any]:
    """The model at full width; what it says about inputs of a wrong shape becomes one line that names them."""
    try:
        return pure(variables, inputs, **options)
    except (RedsError, jax.errors.JAXTypeError):
        raise
    except (TypeError, ValueError) as error:
        first = str(error).strip().split("\n")[0]
        raise InvalidArgumentError(f"the model does not run on these inputs ({type(error).__name__}: {first})",
                                   got=described(inputs), allowed="what it was written for",
                                   hint="If the shape is right, the error is in the model itself: see above.") from error


def _reads_key(program: Program) -> bool:
    key = program.inputs[-1]
    return any(x is key for op in program.operations for x in op.inputs)


def _graph(program: Program, state: Walk, numbering: Numbering) -> ChannelGraph:
    """Groups, sizes and layers from the units that a walk has united."""

    def length(value: Value, axis: int) -> Size:
        return numbering.size(state.labels[value.number][axis], value.shape[axis])

    parameters = tuple(
        Parameter(path, value.shape, value.itemsize, tuple(numbering.axis(labels) for labels in state.leaves[path]))
        for path, value in program.leaves.items())
    layers = tuple(_layer(use, numbering) for use in state.layers if use.factor)
    shapes = tuple(value.shape[1:] for value in program.inputs[:-1])  # the last one is the key
    return ChannelGraph(numbering.groups, parameters, layers, schedule(program, state, length), _pinned(state), shapes,
                        tuple(str(value.dtype) for value in program.inputs[:-1]))


def _layer(use: LayerUse, numbering: Numbering) -> Layer:
    """The multiply-accumulates of a layer as a product of few sizes: constant lengths join the factor or another size."""
    parts = [_product(axes, numbering) for axes in (use.reads, use.makes) if axes]
    more = [size for size in _product(use.others, numbering) if size.terms]
    constant = [size.constant for size in _product(use.others, numbering) if not size.terms]
    return Layer(module_of(use.parameter), use.kind, use.factor * (constant[0] if constant else 1),
                 (*(size for part in parts for size in part), *more))


def _product(axes: Sequence[Sized], numbering: Numbering) -> list[Size]:
    """The product of the lengths of axes: one size where at most one of them can be cut."""
    sizes = [numbering.size(labels, n) for labels, n in axes]
    constant, cut = 1, [s for s in sizes if s.terms]
    for size in sizes:
        constant *= 1 if size.terms else size.constant
    if len(cut) == 1:
        return [cut[0] * constant]
    return [Size(constant), *cut]


def _pinned(state: Walk) -> tuple[Pinned, ...]:
    """What every layer makes that stays, with the first reason that is known."""
    reasons: dict[int, tuple[str, str]] = {}
    for fixing in state.fixings:
        for unit in state.units.component(fixing.units).tolist():
            op = fixing.operation
            name = "" if op is None else f"{op.primitive.name} in {op.module or '(top)'} "
            reasons.setdefault(unit, (f"{name}{fixing.why}", "" if op is None else op.line))
    found: dict[str, Pinned] = {}
    for use in state.layers:
        for labels, size in use.makes:
            if labels is None:
                continue
            stay = labels[state.units.find(labels) == FIXED]
            if not len(stay) or (path := module_of(use.parameter)) in found:
                continue
            known = [reasons[u] for u in state.units.component(stay).tolist() if u in reasons]
            reason, line = known[0] if known else ("meets the network's input, or a constant", "")
            found[path] = Pinned(path, len(stay), size, reason, line)
    return tuple(found.values())
