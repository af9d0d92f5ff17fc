"""Losses and metrics with one value per example, [N], and what they ask of outputs and targets.

Outputs and targets have the examples in front; over all other axes the mean is taken. Nothing is broadcast: shapes that do
not belong together are an error, and so is a label that no output stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from reds_jax.array_types import Array, Float, Integer, Shaped
from reds_jax.errors import InvalidArgumentError

AnyArray = Array | np.ndarray
"""On the device or in NumPy: both are taken."""


@runtime_checkable
class Check(Protocol):
    """What an objective asks: of the shapes, when it is traced; of the values, once before anything runs."""

    def form(self, outputs: Any, targets: Any) -> None:
        """Raise an `InvalidArgumentError` if shapes or types do not belong together."""

    def values(self, outputs: Any, targets: Any, what: str) -> None:
        """Raise an `InvalidArgumentError` if a value of ``what`` (NumPy arrays) is not allowed."""


def per_example(values: Float[AnyArray, "batch ..."]) -> Float[AnyArray, " batch"]:
    """The mean over all axes but the first, [N]."""
    return values.reshape(values.shape[0], -1).mean(1)


@dataclass(frozen=True)
class CrossEntropy:
    """``w_y * ((1 - e) * -log p_y + e * mean_k -log p_k)`` with ``p = softmax(outputs)``: see `classification`."""

    class_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0

    def __call__(
        self, outputs: Float[AnyArray, "batch *positions classes"], labels: Integer[AnyArray, "batch *positions"]
    ) -> Float[AnyArray, " batch"]:
        log_p = jax.nn.log_softmax(outputs)
        losses = -jnp.take_along_axis(log_p, labels[..., None].astype(jnp.int32), axis=-1)[..., 0]
        if self.label_smoothing:
            losses = (1 - self.label_smoothing) * losses - self.label_smoothing * log_p.mean(-1)
        if self.class_weights is not None:
            losses = jnp.asarray(self.class_weights, losses.dtype)[labels] * losses
        return per_example(losses)


def soft_cross_entropy(
    outputs: Float[AnyArray, "batch *positions classes"], teacher: Float[AnyArray, "batch *positions classes"]
) -> Float[AnyArray, " batch"]:
    """``-sum_c softmax(teacher)_c log softmax(outputs)_c``, per example."""
    return per_example(optax.softmax_cross_entropy(outputs, jax.nn.softmax(teacher)))


def first_is_right(
    outputs: Float[AnyArray, "batch *positions classes"], labels: Integer[AnyArray, "batch *positions"]
) -> Float[AnyArray, " batch"]:
    """Share of the positions whose label has the highest output (the first of equal ones)."""
    first = outputs.argmax(-1)
    return per_example((first == labels.astype(first.dtype)).astype(jnp.float32))


def _logits(outputs: AnyArray, labels: AnyArray) -> AnyArray:
    return outputs[..., 0] if outputs.ndim == labels.ndim + 1 else outputs


def sigmoid_cross_entropy(
    outputs: Float[AnyArray, "batch ..."], labels: Shaped[AnyArray, "batch ..."]
) -> Float[AnyArray, " batch"]:
    """``-y log s - (1 - y) log(1 - s)`` with ``s = sigmoid(output)``, per example."""
    logits = _logits(outputs, labels)
    return per_example(optax.sigmoid_binary_cross_entropy(logits, labels.astype(logits.dtype)))


def soft_sigmoid_cross_entropy(
    outputs: Float[AnyArray, "batch *rest"], teacher: Float[AnyArray, "batch *rest"]
) -> Float[AnyArray, " batch"]:
    """`sigmoid_cross_entropy` with ``sigmoid(teacher)`` in place of the labels."""
    return per_example(optax.sigmoid_binary_cross_entropy(outputs, jax.nn.sigmoid(teacher)))


def sign_is_right(outputs: Float[AnyArray, "batch ..."], labels: Shaped[AnyArray, "batch ..."]) -> Float[AnyArray, " batch"]:
    """Share of the positions where the output is positive just if the label is above 1/2."""
    return per_example(((_logits(outputs, labels) > 0) == (labels.astype(jnp.float32) > 0.5)).astype(jnp.float32))


@dataclass(frozen=True)
class Difference:
    """``d^2`` (mse), ``|d|`` (mae), or ``d^2 / 2`` up to 1 and ``|d| - 1/2`` from there on (huber), of d = output - target."""

    kind: Literal["mse", "mae", "huber"]

    def __call__(
        self, outputs: Float[AnyArray, "batch *rest"], targets: Shaped[AnyArray, "batch *rest"]
    ) -> Float[AnyArray, " batch"]:
        difference = outputs - targets.astype(outputs.dtype)
        if self.kind == "huber":
            return per_example(optax.huber_loss(difference))
        return per_example(jnp.square(difference) if self.kind == "mse" else jnp.abs(difference))


def _array(outputs: Any, targets: Any) -> None:
    for name, value in (("outputs", outputs), ("targets", targets)):
        if not hasattr(value, "shape"):
            raise InvalidArgumentError(f"this objective takes one array of {name}", got=type(value).__name__,
                                       hint="For several, write an Objective of your own over all of them.")


def _first(bad: np.ndarray, targets: np.ndarray) -> tuple[Any, str]:
    """The first bad value and where it is."""
    at = tuple(int(i) for i in np.argwhere(bad)[0])
    return targets[at].item(), f"row {at[0]}" + (f", position {list(at[1:])}" if at[1:] else "")


@dataclass(frozen=True)
class ClassLabels:
    """Outputs [N, ..., K] with integer labels [N, ...] in 0..K-1."""

    classes: int | None = None

    def form(self, outputs: Any, targets: Any) -> None:
        _array(outputs, targets)
        if not np.issubdtype(targets.dtype, np.integer) or outputs.ndim < 2 or outputs.shape[:-1] != targets.shape:
            raise InvalidArgumentError(
                "outputs and labels do not belong together",
                got=(list(outputs.shape), f"{targets.dtype} {list(targets.shape)}"),
                allowed="outputs [N, ..., classes] with integer labels [N, ...]",
                hint="Numbers are learnt by regression(), one logit by binary().")
        if outputs.shape[-1] == 1:
            raise InvalidArgumentError("a network with one output has no classes to choose from", got=list(outputs.shape),
                                       allowed="an output for each class", hint="One logit is trained with objective=binary().")
        if self.classes is not None and outputs.shape[-1] != self.classes:
            raise InvalidArgumentError("the network has another number of outputs than there are classes",
                                       got=outputs.shape[-1], allowed=f"{self.classes}")

    def values(self, outputs: Any, targets: np.ndarray, what: str) -> None:
        classes = outputs.shape[-1]
        bad = (targets < 0) | (targets >= classes)
        if bad.any():
            label, where = _first(bad, targets)
            raise InvalidArgumentError(
                f"the {what} have a label that no output stands for in {where}", got=label,
                allowed=f"0 to {classes - 1}, as the network has {classes} outputs")


@dataclass(frozen=True)
class BinaryLabels:
    """Outputs [N, ...] or [N, ..., 1] with labels [N, ...], 0 or 1 (or numbers between them)."""

    def form(self, outputs: Any, targets: Any) -> None:
        _array(outputs, targets)
        if outputs.shape not in (targets.shape, (*targets.shape, 1)):
            raise InvalidArgumentError("outputs and labels do not belong together",
                                       got=(list(outputs.shape), list(targets.shape)),
                                       allowed="one output for each label: [N] or [N, 1] with labels [N]")

    def values(self, outputs: Any, targets: np.ndarray, what: str) -> None:
        bad = (targets < 0) | (targets > 1)
        if bad.any():
            label, where = _first(bad, targets)
            raise InvalidArgumentError(f"the {what} have a label that is not binary in {where}", got=label, allowed="0 to 1")


@dataclass(frozen=True)
class Numbers:
    """Outputs and targets of the same shape [N, ...]."""

    def form(self, outputs: Any, targets: Any) -> None:
        _array(outputs, targets)
        if outputs.shape != targets.shape:
            raise InvalidArgumentError(
                "outputs and targets have different shapes", got=(list(outputs.shape), list(targets.shape)),
                allowed="equal shapes [N, ...]; nothing is broadcast",
                hint="Reshape the targets: targets[:, None] is [N, 1]." if outputs.shape == (*targets.shape, 1) else "")

    def values(self, outputs: Any, targets: np.ndarray, what: str) -> None:
        """Any finite number is allowed."""
