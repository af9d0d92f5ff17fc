"""Run a model at a width: full variables in, full batch statistics out; several widths in one trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import flax.linen as nn
from flax.core import unfreeze

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import sharing
from reds_jax.widths import Width


def run(
    model: Any, variables: Any, inputs: Any, width: Width = 1.0, *, train: bool = False, dropout: bool | None = None,
    key: Any = None,
) -> tuple[Any, Any]:
    """(outputs, batch statistics) of ``model`` at a static width.

    Args:
        model: a flax.linen module, or a pure function of (variables, inputs).
        variables: "params" and "batch_stats", full.
        inputs: an array for f(x), a tuple for f(*inputs), a dict for f(**inputs).
        width: a fraction or `Widths`.
        train: use the statistics of the batch and update the moving ones.
        dropout: None: as ``train``.
        key: feeds dropout.
    """
    stats = variables.get("batch_stats", {})
    if not isinstance(model, nn.Module):
        if width != 1:
            raise InvalidArgumentError("only a flax.linen module runs at a width", got=width, allowed="1.0")
        return model(variables, inputs, train=train, dropout=dropout, key=key)
    variables = {"params": variables["params"], **({"batch_stats": stats} if stats else {})}
    args, kwargs = _arguments(inputs)
    drops = train if dropout is None else dropout

    def without_dropout(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        return args[0] if isinstance(context.module, nn.Dropout) else call(*args, **kwargs)

    with nullcontext() if drops else nn.intercept_methods(without_dropout):
        if not train:
            return model.apply(variables, *args, width=width, **kwargs), stats
        outputs, updated = model.apply(variables, *args, width=width, train=True, mutable=["batch_stats"],
                                       rngs={"dropout": key} if drops and key is not None else {}, **kwargs)
    return outputs, unfreeze(updated).get("batch_stats", {})


def run_nested(
    model: Any, params: Any, batch_stats: Sequence[Any], inputs: Any, widths: Sequence[Width], *, train: bool = False,
    dropout: bool | None = None, key: Any = None, share: bool = True,
) -> tuple[tuple[Any, Any], ...]:
    """`run` at every width, in the order of ``widths``, each with its own statistics; common work is done once."""
    with sharing() if share else nullcontext():
        return tuple(run(model, {"params": params, "batch_stats": stats}, inputs, width, train=train, dropout=dropout, key=key)
                     for width, stats in zip(widths, batch_stats, strict=True))


def _arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, tuple):
        return inputs, {}
    return ((), dict(inputs)) if isinstance(inputs, Mapping) else ((inputs,), {})
