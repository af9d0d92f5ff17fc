"""`run` and `run_nested`: a model at a width, and several nested subnetworks together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer

from reds_jax.adapters import PureModel, adapt
from reds_jax.adapters.pure import typed_key
from reds_jax.adapters.trees import check_arrays, check_shapes, shapes_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.trace import INFERENCE, Mode, Traced, traced
from reds_jax.lowering import form, traced_as
from reds_jax.private import variables_of
from reds_jax.program.flat import Call, Item, Value, leaves_by_path
from reds_jax.run.dependence import Dependence, dependences
from reds_jax.run.fuse import fused
from reds_jax.run.held import Held
from reds_jax.run.interpreter import Narrow
from reds_jax.run.segments import segmented
from reds_jax.run.sharing import Env, Shared
from reds_jax.widths import Width, check_width, check_widths


def run(
    model: Any, variables: Any, inputs: Any, width: Width = 1.0, *, train: bool = False, dropout: bool | None = None,
    key: jax.Array | None = None,
) -> tuple[Any, Any]:
    """A model at a width: its outputs, and the batch statistics behind the call.

    The program of the full model runs with every parameter cut to the channels that stay, each operation at its own size:
    the outputs are those of the full network whose other channels are zero after every operation. Differentiable. Inside
    your own ``jax.jit`` the width is static; outside it is compiled here, once for each width and shape of the inputs.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: the full variables, ``{"params": ..., "batch_stats": ...}``.
        inputs: an array [N, ...], or a tuple or dict of arrays for a model with several inputs.
        width: a fraction of every channel group, or `Widths` from ``graph.widths``.
        train: use the statistics of the batch, and return the moving ones updated at the channels that stay.
        dropout: by default as ``train``.
        key: what dropout draws from; all widths draw the same masks.

    Raises:
        WidthError: a width that is not allowed, or that belongs to another network.
        InvalidArgumentError: dropout without a key.
    """
    pure, variables = adapt(model, variables)
    width, key = check_width(width), None if key is None else typed_key(key)
    check_arrays(inputs)
    if not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((variables, inputs, key))):
        return _compiled(variables, inputs, key, pure=pure, width=width, train=train, dropout=dropout, lowered=traced_as())
    (result,) = run_nested(pure, variables["params"], [variables.get("batch_stats", {})], inputs, [width], train=train,
                           dropout=dropout, key=key)
    return result


@partial(jax.jit, static_argnames=("pure", "width", "train", "dropout", "lowered"))
def _compiled(
    variables: Any, inputs: Any, key: Any, *, pure: PureModel, width: Width, train: bool, dropout: bool | None,
    lowered: tuple[str, str, bool],
) -> tuple[Any, Any]:
    del lowered  # the trace reads it itself (`reds_jax.lowering`); as an argument it keeps the forms apart
    return run(pure, variables, inputs, width, train=train, dropout=dropout, key=key)


def run_nested(
    model: Any, params: Any, batch_stats: Sequence[Any], inputs: Any, widths: Sequence[Width], *, train: bool = False,
    dropout: bool | None = None, key: jax.Array | None = None, share: bool = True,
) -> tuple[tuple[Any, Any], ...]:
    """Several subnetworks on the same inputs: (outputs, batch statistics) of each, in the order of ``widths``; see `run`.

    Args:
        params: the full parameters, shared by all; where there is a `reds_jax.Private`, each has its own.
        batch_stats: the batch statistics of each subnetwork; empty dicts without batch norm.
        share: compute what subnetworks have in common once; the results are the same.
    """
    widths = check_widths(widths)
    check_statistics(batch_stats, len(widths))
    trees = [variables_of(params, batch_stats, k) for k in range(len(widths))]
    pure, _ = adapt(model, trees[0])
    for tree in trees[1:]:
        check_shapes(tree, shapes_of(trees[0]))
    key = None if key is None else typed_key(key)
    return run_traced(traced(pure, trees[0], inputs), trees, inputs, widths, train=train, dropout=dropout, key=key, share=share)


def check_statistics(batch_stats: Sequence[Any], subnetworks: int) -> None:
    """There is a tree of batch statistics for each subnetwork, empty without batch norm."""
    several = isinstance(batch_stats, (list, tuple))
    if not several or len(batch_stats) != subnetworks:
        raise InvalidArgumentError("there must be batch statistics for each subnetwork",
                                   got=len(batch_stats) if several else type(batch_stats).__name__,
                                   allowed=f"a sequence of {subnetworks}, as there are widths")


def run_traced(
    traced: Traced, variables: Sequence[Any], inputs: Any, widths: Sequence[Width], *, train: bool = False,
    dropout: bool | None = None, key: jax.Array | None = None, share: bool = True,
) -> tuple[tuple[Any, Any], ...]:
    """The same for a traced model; the arrays of ``variables`` may be cut already."""
    mode: Mode = (train, train if dropout is None else dropout)
    if mode[1] and not train:
        raise InvalidArgumentError("dropout is on in inference", allowed="dropout=True with train=True")
    program = traced.programs[mode]
    if key is None:
        if any(x is program.inputs[-1] for item in program.operations for x in item.inputs):
            raise InvalidArgumentError("dropout needs random numbers, and there is no key", hint="Pass key=jax.random.key(0).")
        key = jax.random.key(0)
    leaves = [leaves_by_path(v) for v in variables]
    own = {v.number: path for path, v in program.leaves.items() if any(mine[path] is not leaves[0][path] for mine in leaves)}
    items, depends = _prepared(traced, mode, frozenset(own), form() == "fused")
    subnetworks = [Narrow(traced.numbering, traced.graph.integers(w), {n: id(mine[path]) for n, path in own.items()})
                   for w, mine in zip(widths, leaves, strict=True)]
    order = sorted(range(len(widths)), key=lambda i: -sum(subnetworks[i].integers))
    shared = Shared(depends, [subnetworks[i] for i in order]) if share and len(widths) > 1 else None
    results: list[Any] = [None] * len(widths)
    for i in order:
        narrow = subnetworks[i]
        mine = leaves[i]
        env = narrow.start(program, mine, inputs, key)
        narrow.run(items, env, shared)
        outputs = jax.tree.unflatten(program.structure, [narrow.read(x, env).plain() for x in program.outputs])
        states = {path: _put_back(narrow, program.leaves[path], mine[path], narrow.read(x, env).plain())
                  for path, x in program.states.items()}
        results[i] = outputs, _updated(variables[i].get("batch_stats", {}), states)
    return tuple(results)


@lru_cache(maxsize=256)
def _prepared(traced: Traced, mode: Mode, own: frozenset[int], kernels: bool) -> tuple[Sequence[Item], dict[int, Dependence]]:
    program = traced.programs[mode]
    items: Sequence[Item] = fused(program) if mode != INFERENCE else program.items
    if kernels:
        full = Narrow(traced.numbering, tuple(g.size for g in traced.numbering.groups))
        items = segmented(items, (*program.outputs, *program.states.values()), (*program.leaves.values(), *program.inputs),
                          partial(_derivative, full))
    return items, dependences(items, traced.numbering, own)


def _derivative(full: Narrow, call: Call, x: np.ndarray) -> np.ndarray:
    """The derivative of a call at full width, entry by entry, while a function is traced as well."""
    (value,) = (v for v in call.arguments if isinstance(v, Value))

    def function(x: Any) -> Any:
        env: Env = {value.number: Held(x)}
        full.run([call], env)
        return full.read(call.operation.outputs[0], env).plain()

    with jax.ensure_compile_time_eval():
        _, back = jax.vjp(function, jax.numpy.asarray(x))  # a rule may be forwards or backwards
        (slope,) = back(jax.numpy.ones_like(x))
        return np.asarray(slope)


def _put_back(narrow: Narrow, value: Value, full: Any, new: Any) -> Any:
    """The new entries at the channels that stay, in the full array and of its type, whatever the model computes with."""
    new = new.astype(full.dtype)
    if np.shape(full) == np.shape(new):
        return new
    kept = [np.arange(n) if (k := narrow.kept(value, i)) is None else k for i, n in enumerate(value.shape)]
    if all(np.array_equal(k, np.arange(len(k))) for k in kept):  # compiles to one copy, and not to a scatter and its derivative
        return lax.dynamic_update_slice(jax.numpy.asarray(full), new, (0,) * new.ndim)
    return jax.numpy.asarray(full).at[np.ix_(*kept)].set(new)


def _updated(stats: Any, new: dict[str, Any]) -> Any:
    """The tree of batch statistics with its new leaves."""
    if not new:
        return stats
    paths = leaves_by_path({"batch_stats": stats})
    return jax.tree.unflatten(jax.tree.structure(stats), [new.get(path, leaf) for path, leaf in paths.items()])
