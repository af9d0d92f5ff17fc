"""The loss of nested training: a weighted mean over every subnetwork, with in-place distillation as an option."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from reds_jax.errors import InvalidArgumentError
from reds_jax.training.checks import integer, number, one_of

WEIGHTS = ("uniform", "sqrt_params")


def softmax_cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, ""]:
    """Mean over the batch of ``-log softmax(logits)[label]``, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def soft_cross_entropy(
    logits: Float[Array, "batch classes"], teacher: Float[Array, "batch classes"]
) -> Float[Array, ""]:
    """Mean over the batch of ``-sum_c softmax(teacher)_c log softmax(logits)_c``; no gradient reaches ``teacher``."""
    targets = jax.nn.softmax(jax.lax.stop_gradient(teacher))
    return optax.softmax_cross_entropy(logits, targets).mean()


def subnetwork_weights(
    kind: str | Sequence[float], subnetworks: int, *, sizes: Sequence[float] | None = None
) -> tuple[float, ...]:
    """The weights ``pi_i`` of the subnetworks in the loss: positive, of sum 1.

    ``"uniform"``: ``pi_i = 1 / N``. ``"sqrt_params"``: ``pi_i = sqrt(a_i) / sum_j sqrt(a_j)``, where ``a_i`` is the number (or
    the fraction) of parameters of subnetwork i. A sequence is divided by its sum.

    Args:
        kind: one of the names, or N positive numbers.
        subnetworks: their number N.
        sizes: parameters of each subnetwork, for ``"sqrt_params"``.

    Raises:
        InvalidArgumentError: an unknown name, a number of weights other than N, a weight that is not positive, no sizes.

    Source: REDS (Corti et al. 2023), section 1.5.

    >>> subnetwork_weights("sqrt_params", 2, sizes=(4, 1))
    (0.6666666666666666, 0.3333333333333333)
    """
    integer("the number of subnetworks", subnetworks, 1)
    if isinstance(kind, str):
        one_of("weights", kind, WEIGHTS)
        if kind == "uniform":
            return (1 / subnetworks,) * subnetworks
        if sizes is None:
            raise InvalidArgumentError("weights='sqrt_params' needs the sizes of the subnetworks",
                                       hint="Pass sizes=[parameters of each subnetwork].")
        raw = [math.sqrt(size) for size in check_sizes(sizes, subnetworks)]
    else:
        raw = [number("a weight", value, 0, above=True) for value in kind]
        if len(raw) != subnetworks:
            raise InvalidArgumentError("there must be one weight for each subnetwork", got=len(raw),
                                       allowed=f"{subnetworks} weights")
    total = math.fsum(raw)
    return tuple(value / total for value in raw)


def check_sizes(sizes: Sequence[float], subnetworks: int) -> tuple[float, ...]:
    """One positive number of parameters for each subnetwork."""
    if len(sizes) != subnetworks:
        raise InvalidArgumentError("there must be one size for each subnetwork", got=len(sizes),
                                   allowed=f"{subnetworks} sizes")
    return tuple(number("a size", size, 0, above=True) for size in sizes)


def nested_loss(
    logits: Sequence[Float[Array, "batch classes"]], labels: Int[Array, " batch"], weights: Sequence[float], *,
    distill: float = 0.0, teacher: int = 0,
) -> tuple[Float[Array, ""], Float[Array, " subnetworks"]]:
    """``sum_i pi_i L_i`` and the cross-entropies ``CE_i`` of the subnetworks, in nats.

    ``L_i = (1 - d) CE(logits_i, labels) + d CE(logits_i, softmax(logits_teacher))`` with ``d = distill``, and
    ``L_teacher = CE(logits_teacher, labels)``. The teacher's logits get no gradient from the other subnetworks.

    Args:
        logits: [batch, classes] of every subnetwork.
        labels: [batch].
        weights: ``pi_i``, used as they are.
        distill: ``d`` in [0, 1]; 0: labels only, 1: the others learn from the teacher alone.
        teacher: index of the full network in ``logits``.

    Source: in-place distillation, US-Nets (Yu and Huang 2019, arXiv 1903.05134).
    """
    if len(weights) != len(logits):
        raise InvalidArgumentError("there must be one weight for each subnetwork", got=len(weights),
                                   allowed=f"{len(logits)} weights")
    number("distill", distill, 0, 1)
    hard = [softmax_cross_entropy(y, labels) for y in logits]
    losses = list(hard)
    if distill > 0:
        for i, y in enumerate(logits):
            if i != teacher:
                losses[i] = (1 - distill) * hard[i] + distill * soft_cross_entropy(y, logits[teacher])
    total = sum((pi * loss for pi, loss in zip(weights, losses, strict=True)), jnp.zeros(()))
    return total, jnp.stack(hard)
