"""`Slimmable`: any flax.linen module, called with a width."""

from __future__ import annotations

from typing import Any

import flax.linen as nn

from reds_jax.adapters.flags import flag_values, keywords
from reds_jax.adapters.linen import LinenModel
from reds_jax.adapters.pure import arguments
from reds_jax.run import run
from reds_jax.widths import Width


class Slimmable(nn.Module):
    """A plain flax.linen module that runs at any width; its variables are those of the module.

    ``Slimmable(model).apply(variables, x, width=0.5)`` keeps half of every channel group: the program of the model runs with
    its parameters cut (`reds_jax.run`). The width is static: a fraction, or `Widths` from ``graph.widths``. With
    ``train=True`` and ``mutable=["batch_stats"]`` the batch statistics are updated at the channels that stay.

    Args:
        model: a flax.linen module, unmodified; it is told about training by whichever argument it takes (``train``,
            ``deterministic``, ``use_running_average``, ...).

    >>> import jax, jax.numpy as jnp
    >>> net = Slimmable(nn.Sequential([nn.Dense(8), nn.relu, nn.Dense(2)]))
    >>> variables = net.init(jax.random.key(0), jnp.ones((1, 4)))
    >>> net.apply(variables, jnp.ones((3, 4)), width=0.5).shape
    (3, 2)
    """

    model: nn.Module

    def setup(self) -> None:
        nn.share_scope(self, self.model)

    def __call__(self, x: Any, width: Width = 1.0, *, train: bool = False) -> Any:
        """The outputs at a width; ``x`` is an array [N, ...], or a tuple or dict of arrays."""
        if self.is_initializing():
            args, kwargs = arguments(x)
            return self.model(*args, **kwargs, **flag_values(keywords(type(self.model).__call__), train, train))
        pure = LinenModel(self.model.unbind()[0].clone(parent=None, name=None))
        scope: Any = self.scope
        key = scope.rngs["dropout"].as_jax_rng() if train and self.has_rng("dropout") else None  # as the module's own call
        outputs, stats = run(pure, self.variables, x, width, train=train, key=key)
        if train and self.is_mutable_collection("batch_stats"):
            for name, tree in stats.items():
                self.put_variable("batch_stats", name, tree)
        return outputs
