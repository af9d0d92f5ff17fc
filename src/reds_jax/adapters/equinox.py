"""equinox modules as pure models: the arrays of floats are the params, ``eqx.nn.State`` is in batch_stats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from reds_jax.adapters.flags import flag_values, keywords
from reds_jax.adapters.pure import PureModel, Variables, arguments, cannot_draw, dropout_is_on
from reds_jax.adapters.trees import Shapes, at, batch_stats_of, check_shapes, checked_collections, nested, shapes_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.optional import needs

with needs("equinox", "a module of equinox"):
    import equinox as eqx

Path = tuple[Any, ...]


class Static:
    """What a partitioned module has beside its parameters; equal by value where everything in it can be compared."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree
        leaves, treedef = jax.tree.flatten(tree)
        key = (treedef, tuple(map(_by_value, leaves)))
        try:
            hash(key)
        except TypeError:
            self._key: Any = id(tree)  # the object lives as long as this does
        else:
            self._key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@dataclass(frozen=True)
class EquinoxModel(PureModel):
    """An equinox module, unmodified, written for one example as equinox's are: it is mapped over N.

    It is called as ``model(x)``, with ``key=`` (one for each example) and ``state=`` where its call takes arguments of these
    names; with ``state`` it returns (outputs, state). Training is told by ``eqx.nn.inference_mode``; with ``dropout=False``
    every ``eqx.nn.Dropout`` has rate 0. Adapt ``model`` by itself, or the pair ``(model, state)`` of `eqx.nn.make_with_state`.
    """

    static: Static
    treedef: Any  # of the parameters
    params: tuple[Path, ...]
    state: Any  # its treedef, or None
    batch_stats: tuple[Path, ...]
    shapes: Shapes

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        on = dropout_is_on(train, dropout)
        model, state = self._merged(variables)
        model = eqx.nn.inference_mode(model, value=not train)
        if not on:
            model = eqx.tree_at(_rates, model, replace_fn=lambda _: 0.0)
        taken = keywords(type(model).__call__)
        told: dict[str, Any] = flag_values(taken, train, on)
        examples = jax.tree.leaves(inputs)[0].shape[0]
        keys = jax.random.split(key, examples) if on and key is not None and "key" in taken else None

        def one(inputs: Any, key: Any, state: Any) -> Any:
            args, kwargs = arguments(inputs)
            kwargs = {**kwargs, **told, **({"key": key} if "key" in taken else {})}
            return (model(*args, **kwargs), None) if state is None else model(*args, state=state, **kwargs)

        over = jax.vmap(one, in_axes=(0, 0, None), out_axes=(0, None), axis_name=_batch_axis(model))
        try:
            outputs, state = over(inputs, keys, state)
        except RuntimeError as error:
            if "requires a key" not in str(error):
                raise
            raise cannot_draw(type(model).__name__, on) from error
        if not train:
            return outputs, batch_stats_of(variables)
        return outputs, nested(zip(self.batch_stats, jax.tree.leaves(state), strict=True))

    def restore(self, variables: Variables) -> Any:
        """The framework's own model with these variables; the pair ``(model, state)`` where there is a state."""
        model, state = self._merged(variables)
        return model if state is None else (model, state)

    def _merged(self, variables: Variables) -> tuple[Any, Any]:
        check_shapes(variables, self.shapes)
        params = jax.tree.unflatten(self.treedef, [at(variables["params"], path) for path in self.params])
        model = eqx.combine(params, self.static.tree)
        if self.state is None:
            return model, None
        return model, jax.tree.unflatten(self.state, [at(batch_stats_of(variables), path) for path in self.batch_stats])


def adapt_equinox(model: Any, state: Any = None, variables: Any = None) -> tuple[EquinoxModel, Variables]:
    """The pure model of ``model`` (and its state) and their variables, or the ones given in their place."""
    if state is None and any(map(_is_index, jax.tree.leaves(model, is_leaf=_is_index))):
        raise InvalidArgumentError(f"{type(model).__name__} has a state that is not given",
                                   hint="Pass the pair (model, state) of eqx.nn.make_with_state(...).")
    arrays, static = eqx.partition(model, eqx.is_inexact_array, is_leaf=_is_index)
    params, treedef = jax.tree_util.tree_flatten_with_path(arrays)
    moving = _state_leaves(model, state)
    own = {"params": nested(params), "batch_stats": nested(moving)}
    adapted = EquinoxModel(Static(static), treedef, tuple(path for path, _ in params),
                           None if state is None else jax.tree.structure(state), tuple(path for path, _ in moving),
                           shapes_of(own))
    if variables is not None:
        check_shapes(checked_collections(variables), adapted.shapes)
    return adapted, own if variables is None else checked_collections(variables)


def _state_leaves(model: Any, state: Any) -> list[tuple[Path, Any]]:
    """(path, array) of the state in its own order; an entry has the path of the layer that reads it."""
    if state is None:
        return []
    path_of: dict[Any, Path] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(model, is_leaf=_is_index):
        if _is_index(leaf):
            path_of.setdefault(leaf.marker, path)
    treedef = jax.tree.structure(state)
    markers = treedef.node_data()[1]
    entries = jax.tree.leaves(state, is_leaf=lambda node: node is not state)
    return [((*path_of[marker], *inner), leaf) for marker, entry in zip(markers, entries, strict=True)
            for inner, leaf in jax.tree_util.tree_leaves_with_path(entry)]


def _is_index(node: Any) -> bool:
    return isinstance(node, eqx.nn.StateIndex)


def _is_dropout(node: Any) -> bool:
    return isinstance(node, eqx.nn.Dropout)


def _rates(model: Any) -> list[Any]:
    return [node.p for node in jax.tree.leaves(model, is_leaf=_is_dropout) if _is_dropout(node)]


def _batch_axis(model: Any) -> Any:
    """The axis that the batch norms of ``model`` average over, by the name that they call it."""
    def is_norm(node: Any) -> bool:
        return isinstance(node, eqx.nn.BatchNorm)

    names = {node.axis_name for node in jax.tree.leaves(model, is_leaf=is_norm) if is_norm(node)}
    if len(names) > 1:
        raise InvalidArgumentError("the batch norms average over several axes", got=sorted(map(str, names)), allowed="one axis")
    return names.pop() if names else "batch"


def _by_value(leaf: Any) -> Any:
    if isinstance(leaf, (jax.Array, np.ndarray)):
        array = np.asarray(leaf)
        return array.shape, str(array.dtype), array.tobytes()
    return leaf
