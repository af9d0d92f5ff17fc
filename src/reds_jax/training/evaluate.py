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
from reds_jax.training.inputs import Model, Normalisation, check_model, floats, variables_of
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
    """Run every subnetwork with its own statistics over all images; the last batch is filled up and the filling not counted.

    Args:
        model: the network; compiled once a width, and not again for the same model, shape of an image and batch size.
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
    total = len(images)
    size = min(integer("batch_size", batch_size, 1), total)
    images, labels = np.asarray(images), np.asarray(labels)
    results = []
    for width, stats in zip(widths, batch_stats, strict=True):
        loss, correct = 0.0, 0
        for start in range(0, total, size):
            rows = np.minimum(np.arange(start, start + size), total - 1)  # the last batch is filled with the last image
            losses, right = _batch(variables_of(params, stats), images[rows], labels[rows], model=model,
                                   width=check_width(width), normalise=normalise, dot=uses_dot())
            real = total - start
            loss += float(np.asarray(losses, np.float64)[:real].sum())
            correct += int(np.asarray(right)[:real].sum())
        results.append(Evaluation(correct, total, loss / total))
    return tuple(results)


@partial(jax.jit, static_argnames=("model", "width", "normalise", "dot"))
def _batch(
    variables: Any, images: jax.Array, labels: jax.Array, *, model: Model, width: Width, normalise: Normalisation | None,
    dot: bool,
) -> tuple[jax.Array, jax.Array]:
    """The loss of each image and whether it is answered correctly; one compilation serves splits of every size."""
    del dot  # the trace reads the form itself (`reds_jax.nn.lowering`); as an argument it keeps the forms apart
    integers = jnp.issubdtype(images.dtype, jnp.integer)
    logits = model.apply(variables, floats(images, normalise, integers=integers), width=width)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses, logits.argmax(-1) == labels
