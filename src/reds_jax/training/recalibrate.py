"""The batch statistics of each subnetwork, exact over given images instead of a moving average.

A subnetwork sees other sums in every layer than the full network, so the full network's statistics ruin it. Here
each layer is normalised by the statistics of the batch, as in training, and those are pooled over all batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.core import unfreeze
from flax.traverse_util import flatten_dict, unflatten_dict

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import BatchNorm, sharing
from reds_jax.nn.lowering import uses_dot
from reds_jax.training.checks import integer
from reds_jax.training.inputs import Model, Normalisation, check_model, read, variables_of
from reds_jax.training.step import widest_first
from reds_jax.widths import Width

Path = tuple[str, ...]


def recalibrate(
    model: Model,
    variables: Any,
    widths: Sequence[Width],
    images: Any,
    *,
    key: jax.Array,
    batch_size: int = 100,
    batches: int | None = None,
    normalise: Normalisation | None = None,
) -> tuple[Any, ...]:
    """The batch statistics of every subnetwork, pooled over batches b = 1..B by the law of total variance.

    ``mean = avg_b mean_b`` and ``var = avg_b var_b + avg_b (mean_b - mean)^2``: the mean and the (biased) variance over all
    positions of all B batches. Channels that a subnetwork does not keep get 0 and are never read.

    Args:
        model: the network.
        variables: "params" and "batch_stats"; the values of the latter do not matter.
        widths: of the subnetworks, in any order; the result follows it. All run in one trace and share what they can.
        images: [N, H, W, C], of the training split; uint8 or floats.
        key: draws which images, without replacement.
        batch_size: images a batch; at most N are used.
        batches: B; by default all N images, but for the rest that fills no batch.
        normalise: as in training.

    Returns:
        For every width the statistics in the form of ``variables["batch_stats"]``; empty dicts without batch norm.

    Raises:
        InvalidArgumentError: no images, an option out of range, or a layer that keeps no statistics.

    Source: "post-statistics of batch norm", US-Nets (Yu and Huang 2019, arXiv 1903.05134), with the exact variance.
    """
    check_model(model)
    order = widest_first(widths)
    if "params" not in variables:
        raise InvalidArgumentError("the variables have no params", got=sorted(variables))
    if not variables.get("batch_stats"):
        return ({},) * len(widths)
    integer("batch_size", batch_size, 1)
    if len(images) == 0:
        raise InvalidArgumentError("there are no images to recalibrate with", allowed="at least one")
    size = min(batch_size, len(images))
    count = len(images) // size if batches is None else min(integer("batches", batches, 1), len(images) // size)
    indices = jax.random.permutation(key, len(images))[: count * size].reshape(count, size)
    means_and_variances = _batch_moments(
        unfreeze(variables), jnp.asarray(images), indices, model=model, widths=tuple(widths[i] for i in order),
        normalise=normalise, dot=uses_dot())
    pooled = [_pool(moments) for moments in means_and_variances]
    return tuple(pooled[order.index(i)] for i in range(len(widths)))


@partial(jax.jit, static_argnames=("model", "widths", "normalise", "dot"))
def _batch_moments(
    variables: Any, images: jax.Array, indices: jax.Array, *, model: Model, widths: tuple[Width, ...],
    normalise: Normalisation | None, dot: bool,
) -> tuple[Any, ...]:
    """What ``batch_stats`` holds for each batch alone, stacked over the batches; for every width, the widest first."""
    del dot  # the trace reads the form itself (`reds_jax.nn.lowering`); as an argument it keeps the forms apart

    def moments(rows: jax.Array) -> tuple[Any, ...]:
        x = read(images, rows, normalise)
        results = []
        with sharing():
            for width in widths:
                results.append(_moments(model, variables["params"], zeros, x, width))
        return tuple(results)

    zeros = jax.tree.map(jnp.zeros_like, variables["batch_stats"])
    return jax.lax.map(moments, indices)


def _moments(model: Model, params: Any, zeros: Any, x: jax.Array, width: Width) -> Any:
    """Mean and variance of the batch ``x`` in every layer.

    The update of a moving statistic that is 0 is ``(1 - momentum) * batch``; divided by ``1 - momentum`` it is the batch's,
    to one rounding. The momentum of each layer is seen while the model runs.
    """
    momenta: dict[Path, float] = {}

    def see(next_function: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, BatchNorm) and context.method_name == "__call__":
            if context.module.momentum == 1:
                raise InvalidArgumentError(f"the layer {'/'.join(context.module.path)!r} keeps no batch statistics",
                                           got=1, allowed="a momentum below 1")
            momenta[tuple(context.module.path)] = context.module.momentum
        return next_function(*args, **kwargs)

    with nn.intercept_methods(see):
        _, updated = model.apply(variables_of(params, zeros), x, width=width, train=True, mutable=["batch_stats"],
                                 rngs={"dropout": jax.random.key(0)})
    flat: dict[Path, Any] = flatten_dict(unfreeze(updated)["batch_stats"])
    for path in flat:
        if path[:-1] not in momenta:
            raise InvalidArgumentError(f"the layer {'/'.join(path[:-1])!r} has batch statistics that cannot be recalibrated",
                                       allowed="reds_jax.nn.BatchNorm, run at every width")
    return unflatten_dict({path: value / (1 - momenta[path[:-1]]) for path, value in flat.items()})


def _pool(moments: Any) -> Any:
    """The statistics over all batches, pooled in float64; each leaf comes as [batches, C]."""
    flat = {path: np.asarray(leaf) for path, leaf in flatten_dict(moments).items()}
    pooled = {}
    for path, leaf in flat.items():
        total = leaf.astype(np.float64).mean(0)
        if path[-1] == "var":
            total += flat[(*path[:-1], "mean")].astype(np.float64).var(0)
        pooled[path] = jnp.asarray(total, leaf.dtype)
    return unflatten_dict(pooled)
