"""Models of any framework on JAX as pure functions of their variables, by one entrance: `adapt`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, overload

import flax.linen as nn

from reds_jax.adapters.linen import LinenModel, adapt_linen
from reds_jax.adapters.pure import FunctionModel, PureModel, Variables
from reds_jax.adapters.trees import checked_collections
from reds_jax.errors import InvalidArgumentError

if TYPE_CHECKING:
    import equinox as eqx
    import keras
    from flax import nnx

__all__ = ["FunctionModel", "LinenModel", "PureModel", "Variables", "adapt"]


@overload
def adapt(model: nn.Module, variables: Any) -> tuple[PureModel, Variables]: ...
@overload
def adapt(model: nnx.Module | keras.Model | eqx.Module | tuple[eqx.Module, eqx.nn.State],
          variables: Any = None) -> tuple[PureModel, Variables]: ...
@overload
def adapt(model: PureModel | Callable[..., Any], variables: Any) -> tuple[PureModel, Variables]: ...


def adapt(model: Any, variables: Any = None) -> tuple[PureModel, Variables]:
    """The pure model of ``model``, and its variables ``{"params": tree, "batch_stats": tree}``.

    Args:
        model: a flax.linen module or `reds_jax.Slimmable`, a flax.nnx module, an equinox module (or a pair of it and its
            state), a Keras 3 model on JAX, a pure function ``f(variables, *inputs)``, or a `PureModel`.
        variables: of a linen module those of ``module.init``; None where the framework keeps them in the model, or others
            of the same shapes.

    Raises:
        InvalidArgumentError: no such model, or the variables do not belong to it.
    """
    if _is_of(model, "reds_jax.slimmable", "Slimmable"):
        model = model.model
    if isinstance(model, PureModel):
        return model, checked_collections(variables)
    if isinstance(model, nn.Module):
        return adapt_linen(model, variables)
    if _is_of(model, "keras", "Model"):  # before nnx, whose modules Keras models may be
        from reds_jax.adapters.keras import adapt_keras
        return adapt_keras(model, variables)
    if _is_of(model, "flax.nnx", "Module"):
        from reds_jax.adapters.nnx import adapt_nnx
        return adapt_nnx(model, variables)
    module, state = model if isinstance(model, tuple) and len(model) == 2 else (model, None)
    if _is_of(module, "equinox", "Module"):
        from reds_jax.adapters.equinox import adapt_equinox
        return adapt_equinox(module, state, variables)
    if callable(model) and not inspect.isclass(model):
        return FunctionModel(model), checked_collections(variables)
    raise InvalidArgumentError("this is no model", got=model, allowed="a flax.linen, flax.nnx or equinox module, a Keras 3 "
                               "model, or a function f(variables, *inputs)", hint="Pass an instance, not its class.")


def _is_of(model: Any, package: str, name: str) -> bool:
    """Whether ``model`` is of that class; a package that is not imported has made no model."""
    return package in sys.modules and isinstance(model, getattr(sys.modules[package], name))
