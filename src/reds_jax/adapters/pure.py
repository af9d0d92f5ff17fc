"""`PureModel`: what every framework's model becomes, a pure function of its variables; and plain functions as such.

The variables of every model are ``{"params": tree, "batch_stats": tree}``: what is trained, and all other arrays that the model
reads or updates. The second may be missing.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.adapters.flags import flag_values, keywords
from reds_jax.adapters.trees import batch_stats_of
from reds_jax.errors import InvalidArgumentError

Variables = dict[str, Any]


class PureModel(abc.ABC):
    """A model at full width as a pure, hashable function; two that mean the same are equal, so they share compilations."""

    @abc.abstractmethod
    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        """The outputs, and the batch statistics behind the call (with ``train=False``: as they were given).

        Args:
            variables: ``{"params": tree, "batch_stats": tree}``.
            inputs: an array is passed as f(x), a tuple as f(*inputs), a dict as f(**inputs); N in front.
            train: normalise by the statistics of the batch and update the moving ones.
            dropout: whether dropout is on; None: as ``train``. Recalibration runs ``train=True, dropout=False``.
            key: what dropout draws from; needed where it is on.

        Raises:
            InvalidArgumentError: the variables belong to another architecture, or a key is missing.
        """


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a call with ``inputs``: x -> f(x), a tuple -> f(*xs), a dict -> f(**xs)."""
    if isinstance(inputs, dict):
        return (), inputs
    return (inputs if isinstance(inputs, tuple) else (inputs,)), {}


def dropout_is_on(train: bool, dropout: bool | None) -> bool:
    """Whether dropout is on: None means "as train", and in inference it is off."""
    if dropout and not train:
        raise InvalidArgumentError("dropout is on in inference", got={"train": train, "dropout": dropout},
                                   allowed="dropout=True with train=True only")
    return train if dropout is None else dropout


def typed_key(key: Any) -> jax.Array:
    """A key of `jax.random.key`; one of the older ``jax.random.PRNGKey`` [2] is turned into it."""
    if isinstance(key, (jax.Array, np.ndarray)):
        if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and not key.shape:
            return jnp.asarray(key)
        if key.dtype == np.uint32 and key.shape == (2,):
            return jax.random.wrap_key_data(jnp.asarray(key), impl="threefry2x32")
    raise InvalidArgumentError("this is no key of jax.random", got=key, allowed="one key",
                               hint="Pass key=jax.random.key(0).")


def cannot_draw(what: str, dropout: bool) -> InvalidArgumentError:
    """The error for random numbers that the model draws without a key."""
    if dropout:
        return InvalidArgumentError(f"{what} draws random numbers, and there is no key",
                                    hint="Pass key=jax.random.key(seed), or switch dropout off.")
    return InvalidArgumentError(f"{what} draws random numbers where dropout is off",
                                hint="Let it draw in training only, and by the dropout layers of its framework.")


@dataclass(frozen=True)
class FunctionModel(PureModel):
    """A pure function ``f(variables, *inputs)`` as a model. It is told ``train``, ``dropout`` and ``key`` if it takes them.

    Args:
        function: returns the outputs, or with ``stateful`` a pair (outputs, new batch statistics). Its keyword arguments
            of these names are filled, and those that mean the same (``training``, ``deterministic``, ...).
        stateful: whether ``function`` returns new batch statistics; in inference they are dropped.
    """

    function: Callable[..., Any]
    stateful: bool = False

    def __call__(self, variables: Variables, inputs: Any, *, train: bool = False, dropout: bool | None = None,
                 key: jax.Array | None = None) -> tuple[Any, Any]:
        on = dropout_is_on(train, dropout)
        args, kwargs = arguments(inputs)
        taken = keywords(self.function)
        told = {"dropout": on, "key": key if on else None}
        outputs = self.function(variables, *args, **kwargs, **flag_values(taken, train, on),
                                **{name: value for name, value in told.items() if name in taken})
        if not self.stateful:
            return outputs, batch_stats_of(variables)
        outputs, batch_stats = outputs
        return outputs, batch_stats if train else batch_stats_of(variables)
