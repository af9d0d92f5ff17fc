"""Keras 3 models on the JAX backend as pure models, by ``stateless_call``."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax

from reds_jax.adapters.pure import PureModel, Variables, arguments, cannot_draw, dropout_is_on
from reds_jax.adapters.trees import Shapes, at, batch_stats_of, check_shapes, checked_collections, nested, shapes_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.optional import needs

with needs("keras", "a model of Keras"):
    import keras

Path = tuple[str, ...]
_RATES = ("rate", "dropout", "recurrent_dropout", "stddev")  # of dropout, attention, recurrent and noise layers


@dataclass(frozen=True)
class KerasModel(PureModel):
    """A Keras 3 model, unmodified and built: trainable weights are the params, the other weights are in batch_stats.

    Paths are those of Keras, ``params/conv2d/kernel``. The seeds of random layers come from the key, metrics keep their
    state. With ``dropout=False`` dropout and noise layers have rate 0 for the call. Two are equal if they are of one model
    object. A model whose ``call`` takes no ``training`` is never told, as in Keras itself.
    """

    model: keras.Model
    params: tuple[Path, ...]
    batch_stats: tuple[Path, ...]
    shapes: Shapes

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        on = dropout_is_on(train, dropout)
        check_shapes(variables, self.shapes)
        trainable = [at(variables["params"], path) for path in self.params]
        moving = [at(batch_stats_of(variables), path) for path in self.batch_stats]
        ours = {id(v): value for v, value in zip(self.model.non_trainable_weights, moving, strict=True)}
        before = [jax.numpy.asarray(ours.get(id(v), v.value)) for v in self.model.non_trainable_variables]
        seeds = [i for i, v in enumerate(self.model.non_trainable_variables) if v.name == "seed_generator_state"]
        if on and key is not None:
            for i in seeds:
                before[i] = jax.random.bits(jax.random.fold_in(key, i), before[i].shape, before[i].dtype)
        args, kwargs = self._arguments(inputs, train)
        with contextlib.nullcontext() if on else _without_dropout(self.model):
            outputs, after = self.model.stateless_call(trainable, before, *args, **kwargs)
        if key is None or not on:
            for i in seeds:
                if after[i] is not before[i]:
                    raise cannot_draw(f"{self.model.name} ({self.model.non_trainable_variables[i].path})", on)
        if not train:
            return outputs, batch_stats_of(variables)
        new = {id(v): value for v, value in zip(self.model.non_trainable_variables, after, strict=True)}
        return outputs, nested((path, new[id(v)]) for path, v in zip(self.batch_stats, self.model.non_trainable_weights,
                                                                     strict=True))

    def restore(self, variables: Variables) -> keras.Model:
        """The model itself, with these variables assigned to its weights."""
        check_shapes(variables, self.shapes)
        for weights, paths, tree in ((self.model.trainable_weights, self.params, variables["params"]),
                                     (self.model.non_trainable_weights, self.batch_stats, batch_stats_of(variables))):
            for weight, path in zip(weights, paths, strict=True):
                weight.assign(at(tree, path))
        return self.model

    def _arguments(self, inputs: Any, train: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """A call that takes one argument has all inputs in it, as functional models do; another takes them one by one."""
        named = [p for p in inspect.signature(self.model.call).parameters.values() if p.kind is not p.VAR_KEYWORD]
        told = {"training": train} if any(p.name == "training" for p in named) else {}
        taken = [p for p in named if p.name not in ("training", "mask")]
        if len(taken) == 1 and taken[0].kind is not taken[0].VAR_POSITIONAL and isinstance(inputs, (tuple, dict)):
            return (list(inputs) if isinstance(inputs, tuple) else inputs,), told
        args, kwargs = arguments(inputs)
        return args, {**kwargs, **told}


def adapt_keras(model: keras.Model, variables: Any = None) -> tuple[KerasModel, Variables]:
    """The pure model of ``model`` and its variables, or the ones given in their place."""
    if keras.backend.backend() != "jax":
        raise InvalidArgumentError("Keras runs on another backend", got=keras.backend.backend(), allowed="jax",
                                   hint='Set KERAS_BACKEND=jax in the environment before keras is imported.')
    if not model.built:
        raise InvalidArgumentError(f"the Keras model {model.name!r} has no weights yet", hint="Call it once on an input.")
    trainable, others = _paths(model.trainable_weights), _paths(model.non_trainable_weights)
    own = {"params": nested((path, w.value) for path, w in zip(trainable, model.trainable_weights, strict=True)),
           "batch_stats": nested((path, w.value) for path, w in zip(others, model.non_trainable_weights, strict=True))}
    adapted = KerasModel(model, trainable, others, shapes_of(own))
    if variables is not None:
        check_shapes(checked_collections(variables), adapted.shapes)
    return adapted, own if variables is None else checked_collections(variables)


def _paths(weights: list[Any]) -> tuple[Path, ...]:
    """The paths of Keras; of several weights with one path, the later ones are numbered."""
    seen: dict[Path, int] = {}
    paths = []
    for weight in weights:
        path = tuple(weight.path.split("/"))
        count = seen[path] = seen.get(path, -1) + 1
        paths.append((*path[:-1], f"{path[-1]}_{count}") if count else path)
    return tuple(paths)


@contextlib.contextmanager
def _without_dropout(model: keras.Model) -> Iterator[None]:
    """The layers of ``model`` that draw random numbers at rate 0; what they had is put back."""
    found = [(layer, name, getattr(layer, name)) for layer in model._flatten_layers(include_self=True, recursive=True)
             if hasattr(layer, "seed_generator") for name in _RATES if isinstance(getattr(layer, name, None), (int, float))]
    try:
        for layer, name, _ in found:
            setattr(layer, name, 0.0)
        yield
    finally:
        for layer, name, value in found:
            setattr(layer, name, value)
