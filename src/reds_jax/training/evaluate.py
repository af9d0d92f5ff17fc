"""Accuracy and loss of every subnetwork, exact over all examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn.lowering import uses_dot
from reds_jax.training.checks import integer
from reds_jax.training.inputs import Model, Normalisation, check_model, read, variables_of
from reds_jax.widths import Width, check_width


@dataclass(frozen=True)
class Evaluation:
    """The result for one subnetwork.

    Args:
        correct: examples whose label has the highest logit (the first of equal ones).
        examples: all of them.
        loss: mean cross-entropy in nats.
    """

    correct: int
    examples: int
    loss: float

    @property
    def accuracy(self) -> float:
        """``correct / examples``."""
        return self.correct / self.examples


def evaluate(
    model: Model,
    params: Any,
    batch_stats: Sequence[Any],
    widths: Sequence[Width],
    images: Any,
    labels: Any,
    *,
    normalise: Normalisation | None = None,
    batch_size: int = 500,
) -> tuple[Evaluation, ...]:
    """Run every subnetwork with its own statistics over all images; the last batch is filled up and masked.

    Args:
        model: the network; compiled once a width, and not again for the same model, shapes and batch size.
        params: the full parameters.
        batch_stats: of each subnetwork; empty dicts without batch norm.
        widths: of the subnetworks.
        images: [N, H, W, C], uint8 or floats.
        labels: integers [N].
        normalise: as in training.
        batch_size: images a batch; it does not change the result (but for the rounding of the loss).

    Raises:
        InvalidArgumentError: no examples, or numbers that do not fit.
    """
    check_model(model)
    if len(batch_stats) != len(widths):
        raise InvalidArgumentError("there must be batch statistics for each subnetwork", got=len(batch_stats),
                                   allowed=f"{len(widths)}")
    if len(images) != len(labels) or len(images) == 0:
        raise InvalidArgumentError("images and labels do not fit", got=(len(images), len(labels)),
                                   allowed="as many labels as images, at least one")
    size = min(integer("batch_size", batch_size, 1), len(images))
    count = -(-len(images) // size)
    indices = np.arange(count * size).reshape(count, size)
    images, labels = jnp.asarray(images), jnp.asarray(labels)
    results = []
    for width, stats in zip(widths, batch_stats, strict=True):
        losses, correct = _sums(variables_of(params, stats), images, labels, indices, model=model,
                                width=check_width(width), normalise=normalise, dot=uses_dot())
        loss = float(np.asarray(losses, np.float64).sum() / len(images))
        results.append(Evaluation(int(np.asarray(correct).sum()), len(images), loss))
    return tuple(results)


@partial(jax.jit, static_argnames=("model", "width", "normalise", "dot"))
def _sums(
    variables: Any, images: jax.Array, labels: jax.Array, indices: jax.Array, *, model: Model, width: Width,
    normalise: Normalisation | None, dot: bool,
) -> tuple[jax.Array, jax.Array]:
    """Sum of the losses and number of correct answers in each batch; indices from N on do not count."""
    del dot  # the trace reads the form itself (`reds_jax.nn.lowering`); as an argument it keeps the forms apart

    def batch(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        real = rows < len(images)
        rows = jnp.minimum(rows, len(images) - 1)
        logits = model.apply(variables, read(images, rows, normalise), width=width)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels[rows])
        right = logits.argmax(-1) == labels[rows]
        return jnp.where(real, losses, 0).sum(), (real & right).sum()

    return jax.lax.map(batch, indices)
