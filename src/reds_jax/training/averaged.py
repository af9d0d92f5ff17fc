"""A moving average of the parameters beside an optimizer: the weights that a teacher runs with."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax

from reds_jax.checks import number
from reds_jax.errors import InvalidArgumentError


def check_decay(decay: float) -> float:
    """A decay of an average, in [0, 1)."""
    if number("the decay of an average", decay, 0, 1) == 1:
        raise InvalidArgumentError("an average with a decay of 1 does not move", got=decay, allowed="a number from 0, below 1")
    return decay


class Averaged(NamedTuple):
    """The state of an optimizer, and the average of the parameters that it has made."""

    inner: Any
    average: Any


def averaged(optimizer: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """The same updates; its state also has ``a <- decay a + (1 - decay) theta``, theta the parameters behind the update.

    ``a`` begins with the parameters that training begins with. With such an optimizer the teacher of `make_train_step` runs
    with ``a`` in place of theta, and costs one further run of the widest subnetwork, without a gradient.

    Args:
        optimizer: an optax transformation.
        decay: in [0, 1); the average is over about ``1 / (1 - decay)`` steps.

    Source: mean teacher, Tarvainen and Valpola 2017, arXiv 1703.01780.

    >>> import jax.numpy as jnp
    >>> opt = averaged(optax.sgd(1.0), 0.75)
    >>> _, state = opt.update(jnp.array(4.0), opt.init(jnp.array(8.0)), jnp.array(8.0))
    >>> float(state.average)
    7.0
    """
    check_decay(decay)

    def init(params: Any) -> Averaged:
        return Averaged(optimizer.init(params), params)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Averaged]:
        changes, inner = optimizer.update(updates, state.inner, params)
        new = optax.apply_updates(params, changes)
        average = jax.tree.map(lambda a, theta: decay * a + (1 - decay) * theta, state.average, new)
        return changes, Averaged(inner, average)

    return optax.GradientTransformation(init, update)
