"""Importance of every unit of every channel group: explained, taylor, magnitude, random, with one signature.

``explained``, ``taylor``, ``magnitude`` and ``random`` take (model, variables, graph, batches) and return {group name: float64
[size]}; ``score`` picks one by name. But for ``explained``, a saliency is computed for every weight, and a unit's score is the
sum over all weights that belong to it: its incoming weights, its bias and batch-norm entries, its depthwise kernel and its
outgoing weights, in every layer that a residual ties together.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters import PureModel, adapt
from reds_jax.adapters.trees import batch_stats_of
from reds_jax.array_types import Array, Float
from reds_jax.checks import integer
from reds_jax.data.normalise import reader
from reds_jax.errors import InvalidArgumentError
from reds_jax.explained import pivoted_cholesky
from reds_jax.graph.channels import Axis, ChannelGraph, Parameter
from reds_jax.lowering import traced_as
from reds_jax.private import variables_of
from reds_jax.program.flat import leaf_path
from reds_jax.run import run
from reds_jax.run.contributions import gram_matrices
from reds_jax.training.inputs import Model, check_examples, check_finite, check_inputs, gather, trainable
from reds_jax.training.objective import Objective

Method = Literal["explained", "taylor", "taylor_absolute", "taylor_squared", "l1", "l2", "random"]
METHODS: tuple[Method, ...] = ("explained", "taylor", "taylor_absolute", "taylor_squared", "l1", "l2", "random")


def score(
    method: Method,
    model: Model,
    variables: Any,
    graph: ChannelGraph,
    batches: Iterable[tuple[Any, Any]] = (),
    *,
    preprocess: Callable[[Any], Any] | None = None,
    objective: Objective | None = None,
    members: Literal["all", "makers"] = "all",
    seed: int = 0,
) -> dict[str, Float[np.ndarray, " _units"]]:
    """Importance of every unit, {group name: [size]}; higher is more important.

    For a unit u with weights W_u and mini-batches b, with frozen batch statistics (in training mode ``w * dL/dw`` of a filter
    in front of a batch norm sums to nothing, since the loss does not depend on its scale):

    - ``taylor``: ``sum_{w in W_u} |w * sum_b dL_b/dw|`` (Corti et al. 2023, REDS, section 3)
    - ``taylor_absolute``: ``sum_{w in W_u} sum_b |w * dL_b/dw|``
    - ``taylor_squared``: ``sum_{w in W_u} sum_b (w * dL_b/dw)^2`` (Molchanov et al. 2019, arXiv 1906.10771, eq. 8)
    - ``explained``: the residual pivots of a pivoted Cholesky decomposition of ``G``, the Gram matrix of what the units
      contribute to the layers that read them, see `explained`
    - ``l1``, ``l2``: ``sum |w|`` and ``sqrt(sum w^2)`` (magnitude)
    - ``random``: uniform in (0, 1), from ``seed``

    Args:
        method: one of the above.
        model, variables, graph: the network and its channel graph.
        batches: pairs (inputs [N, ...], targets [N, ...] or None), all of one size; used by the taylor methods. A `Stream` is
            such batches as well.
        preprocess: inputs as the model reads them, inside the compiled function; by default ``x / 255`` for uint8.
        objective: whose loss is taken, its mean over a batch; by default `classification` for integer targets [N].
        members: ``"makers"`` leaves the outgoing weights out.
        seed: of ``random``.

    Raises:
        InvalidArgumentError: an unknown method, no batches for a Taylor method, or examples that do not suit model and
            objective (`reds_jax.training.inputs.check_examples`).
    """
    if method not in METHODS:
        raise InvalidArgumentError("unknown importance", got=method, allowed=", ".join(METHODS))
    if method == "random":
        rng = np.random.default_rng(integer("seed", seed, 0))
        return {g.name: rng.random(g.size) for g in graph.groups}
    if method == "explained":
        return explained(model, variables, graph, batches, preprocess=preprocess, seed=seed)
    if method in ("l1", "l2"):
        check_finite(variables)
        power = jnp.abs if method == "l1" else jnp.square
        units = unit_scores(jax.tree.map(power, adapt(model, variables)[1]["params"]), graph, members=members)
        return units if method == "l1" else {name: np.sqrt(s) for name, s in units.items()}
    saliency = taylor_saliency(method, model, variables, batches, preprocess=preprocess, objective=objective)
    return unit_scores(saliency, graph, members=members)


def explained(
    model: Model, variables: Any, graph: ChannelGraph, batches: Iterable[tuple[Any, Any]] = (), *,
    preprocess: Callable[[Any], Any] | None = None, seed: int = 0,
) -> dict[str, Float[np.ndarray, " _units"]]:
    """What each unit adds to the units before it, in the order in which a prefix explains most: {group name: [size]}.

    A score for every unit alone ignores that units repeat each other. Here the scores of a group are the pivots of
    `reds_jax.explained.pivoted_cholesky` of its Gram matrix (`reds_jax.run.contributions`): the unit with the largest score
    explains most of what the group contributes to the layers that read it, the next one most of what that leaves. Sorted by
    these scores the units are in the order of the decomposition. Needs no targets and no loss, and about a thousand examples.

    Exact where a layer reads the units as they are: a dense layer, a convolution (its windows are rows, a random part of
    them), a flatten, several readers of a residual stream, whose matrices add up. Layers between a unit and its reader
    (activation, batch norm with frozen statistics, depthwise convolution, pooling) run as they are. What the reader's own
    batch norm and activation make of the contributions is not seen.
    """
    model, variables = adapt(model, variables)
    check_finite(variables)
    inputs = (check_inputs(batch[0], f"inputs of scoring batch {i}", preprocess) for i, batch in enumerate(batches))
    grams = gram_matrices(model, variables, inputs, read=reader(preprocess), seed=seed)
    if graph.groups and not grams:
        raise InvalidArgumentError("the importance 'explained' needs data", hint="Pass batches=[(inputs, labels), ...].")
    scores = {}
    for group in graph.groups:
        found = pivoted_cholesky(grams[group.name])
        scores[group.name] = np.zeros(group.size)
        scores[group.name][found.order] = found.pivots
    return scores


def taylor(
    model: Model, variables: Any, graph: ChannelGraph, batches: Iterable[tuple[Any, Any]] = (), *,
    form: Literal["sum", "absolute", "squared"] = "sum", **options: Any,
) -> dict[str, Float[np.ndarray, " _units"]]:
    """First-order Taylor importance, see `score`: the paper's ``"sum"``, ``"absolute"``, or Molchanov's ``"squared"``."""
    methods: dict[str, Method] = {"sum": "taylor", "absolute": "taylor_absolute", "squared": "taylor_squared"}
    if form not in methods:
        raise InvalidArgumentError("unknown form of the Taylor importance", got=form, allowed=", ".join(methods))
    return score(methods[form], model, variables, graph, batches, **options)


def magnitude(
    model: Model, variables: Any, graph: ChannelGraph, batches: Iterable[tuple[Any, Any]] = (), *,
    norm: Literal[1, 2] = 1, **options: Any,
) -> dict[str, Float[np.ndarray, " _units"]]:
    """The L1 or L2 norm of all weights of a unit, see `score`; ``batches`` are not read."""
    if norm not in (1, 2):
        raise InvalidArgumentError("unknown norm", got=norm, allowed="1, 2")
    return score("l1" if norm == 1 else "l2", model, variables, graph, batches, **options)


def random(
    model: Model, variables: Any, graph: ChannelGraph, batches: Iterable[tuple[Any, Any]] = (), **options: Any
) -> dict[str, Float[np.ndarray, " _units"]]:
    """Uniform random scores from ``seed``, the control of every comparison; ``batches`` are not read."""
    return score("random", model, variables, graph, batches, **options)


def taylor_saliency(
    method: Method, model: Model, variables: Any, batches: Iterable[tuple[Any, Any]], *,
    preprocess: Callable[[Any], Any] | None = None, objective: Objective | None = None,
) -> Any:
    """The first-order Taylor saliency of every weight, a tree like ``variables["params"]``; see `score`."""
    model, variables = adapt(model, variables)
    params, frozen = trainable(variables["params"]), batch_stats_of(variables)
    total, seen = jax.tree.map(jnp.zeros_like, params), 0
    for batch in batches:
        if not isinstance(batch, (tuple, list)) or len(batch) != 2:
            raise InvalidArgumentError("a scoring batch is no pair", got=type(batch).__name__, allowed="(inputs, targets)",
                                       hint="Pass batches=[(inputs, labels), ...].")
        objective, inputs = check_examples(objective, model, variables_of(params, (frozen,), 0), batch[0], batch[1], preprocess,
                                           f"{{}} of scoring batch {seen}")
        total, seen = _accumulate(total, params, frozen, inputs, batch[1], method=method, model=model, preprocess=preprocess,
                                  objective=objective, lowering=traced_as()), seen + 1
    if not seen:
        raise InvalidArgumentError(f"the importance {method!r} needs data", hint="Pass batches=[(inputs, labels), ...].")
    return jax.tree.map(lambda w, t: jnp.abs(w * t), params, total) if method == "taylor" else total


@partial(jax.jit, static_argnames=("method", "model", "preprocess", "objective", "lowering"))
def _accumulate(
    total: Any, params: Any, frozen: Any, inputs: Any, targets: Any, *, method: Method, model: PureModel,
    preprocess: Callable[[Any], Any] | None, objective: Objective, lowering: Hashable,
) -> Any:
    """The sum with one batch more."""
    del lowering  # the trace reads the form itself; as an argument it keeps the forms apart

    def batch_loss(params: Any) -> Float[Array, ""]:
        x, y = gather(inputs, targets, slice(None), preprocess)
        outputs, _ = run(model, variables_of(params, (frozen,), 0), x)
        return objective.loss(outputs, y).mean()

    gradient = jax.grad(batch_loss)(params)
    if method == "taylor":
        return jax.tree.map(jnp.add, total, gradient)
    power = jnp.abs if method == "taylor_absolute" else jnp.square
    return jax.tree.map(lambda t, w, g: t + power(w * g), total, params, gradient)


def unit_scores(
    saliency: Any, graph: ChannelGraph, *, members: Literal["all", "makers"] = "all"
) -> dict[str, Float[np.ndarray, " _units"]]:
    """Sum a saliency per weight (a tree like ``variables["params"]``) over the weights of every unit: {group: [size]}."""
    if members not in ("all", "makers"):
        raise InvalidArgumentError("unknown members", got=members, allowed="'all', 'makers'")
    scores = [np.zeros(g.size) for g in graph.groups]
    arrays = _arrays(saliency)
    for parameter in graph.parameters:
        if not parameter.path.startswith("params/"):
            continue
        array = _array(arrays, parameter)
        for i, axis in enumerate(parameter.axes):
            if axis is None or (members == "makers" and _reads(parameter, i)):
                continue
            along = array.sum(tuple(j for j in range(array.ndim) if j != i))
            for g in np.unique(axis.group[axis.group >= 0]):
                here = axis.group == g
                scores[g] += np.bincount(axis.unit[here], along[here], len(scores[g]))
    return {g.name: s for g, s in zip(graph.groups, scores, strict=True)}


def _reads(parameter: Parameter, axis: int) -> bool:
    """Whether an axis of a kernel is its input: the last axis but one, where the last one is the output."""
    return parameter.path.endswith("/kernel") and axis == len(parameter.shape) - 2


def kernel_scores(saliency: Any, graph: ChannelGraph) -> dict[tuple[str, str], Float[np.ndarray, "_units_out _units_in"]]:
    """Saliency of every kernel, for the layers between two groups: {(group in, group out): [units out, units in]}.

    Row j, column i is the sum over the weights by which unit j of the group reads unit i of the group before. The sums over
    a row are a part of `unit_scores`. Used where the width solver takes pair values.
    """
    arrays = _arrays(saliency)
    found: dict[tuple[str, str], np.ndarray] = {}
    for parameter in graph.parameters:
        if not parameter.path.startswith("params/") or sum(a is not None for a in parameter.axes) != 2:
            continue
        i, o = (k for k, a in enumerate(parameter.axes) if a is not None)
        array = _array(arrays, parameter)
        matrix = array.sum(tuple(k for k in range(array.ndim) if k not in (i, o)))  # [in, out]
        reads, makes = parameter.axes[i], parameter.axes[o]
        for g in _groups(reads):
            for h in _groups(makes):
                if g == h:
                    continue
                units_in, units_out = graph.groups[g], graph.groups[h]
                table = found.setdefault((units_in.name, units_out.name), np.zeros((units_out.size, units_in.size)))
                rows, columns = np.flatnonzero(reads.group == g), np.flatnonzero(makes.group == h)  # type: ignore[union-attr]
                block = matrix[np.ix_(rows, columns)].T
                at = np.ix_(makes.unit[columns], reads.unit[rows])  # type: ignore[union-attr]
                np.add.at(table, at, block)
    return found


def _groups(axis: Axis | None) -> list[int]:
    return [] if axis is None else [int(g) for g in np.unique(axis.group) if g >= 0]


def _arrays(saliency: Any) -> dict[str, Float[np.ndarray, " _units"]]:
    return {f"params/{leaf_path(path)}": np.asarray(a, np.float64)
            for path, a in jax.tree_util.tree_leaves_with_path(saliency)}


def _array(arrays: dict[str, np.ndarray], parameter: Parameter) -> np.ndarray:
    array = arrays.get(parameter.path)
    if array is None or array.shape != parameter.shape:
        raise InvalidArgumentError(f"there is no saliency for {parameter.path!r}", got=None if array is None else array.shape,
                                   allowed=f"shape {parameter.shape}", hint="Pass a tree like variables['params'].")
    return array
