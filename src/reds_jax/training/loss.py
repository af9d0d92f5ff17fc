"""The loss of nested training: a weighted mean over every subnetwork, with in-place distillation as an option."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from reds_jax.array_types import Array, Float
from reds_jax.checks import integer, number, one_of, several
from reds_jax.errors import InvalidArgumentError
from reds_jax.training.objective import Objective, default_objective

WEIGHTS = ("uniform", "sqrt_params")


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
        given = several("weights", kind, "a name, or a number for each subnetwork")
        raw = [number("a weight", value, 0, above=True) for value in given]
        if len(raw) != subnetworks:
            raise InvalidArgumentError("there must be one weight for each subnetwork", got=len(raw),
                                       allowed=f"{subnetworks} weights")
    total = math.fsum(raw)
    return tuple(value / total for value in raw)


def check_sizes(sizes: Sequence[float], subnetworks: int) -> tuple[float, ...]:
    """One positive number of parameters for each subnetwork."""
    sizes = several("sizes", sizes, "a number for each subnetwork")
    if len(sizes) != subnetworks:
        raise InvalidArgumentError("there must be one size for each subnetwork", got=len(sizes),
                                   allowed=f"{subnetworks} sizes")
    return tuple(number("a size", size, 0, above=True) for size in sizes)


def nested_loss(
    outputs: Sequence[Any], targets: Any, weights: Sequence[float] | None = None, *, objective: Objective | None = None,
    distill: float = 0.0, teacher: int = 0, taught: Any = None,
) -> tuple[Float[Array, ""], Float[Array, " subnetworks"]]:
    """``sum_i pi_i L_i``, to be minimised, and the losses ``l_i`` of the subnetworks without distillation, to be shown.

    ``l_i`` is the mean over the examples of ``objective.loss(outputs_i, targets)``; ``L_i = (1 - d) l_i + d D_i`` with
    ``d = distill`` and ``D_i`` the mean of ``objective.distill(outputs_i, outputs_teacher)``; ``L_teacher = l_teacher``. The
    teacher's outputs get no gradient from the other subnetworks.

    With `reds_jax.run.run_nested` this is all that a training loop of your own needs.

    Args:
        outputs: of every subnetwork, [batch, ...] each (or trees of arrays).
        targets: [batch, ...].
        weights: ``pi_i``, used as they are; None: all ``1 / N``.
        objective: by default `classification` for integer targets [batch].
        distill: ``d`` in [0, 1]; 0: targets only, 1: the others learn from the teacher alone.
        teacher: index of the largest subnetwork in ``outputs``.
        taught: the teacher's outputs, where they are not those of ``outputs[teacher]`` (which is not taught all the same).

    Raises:
        InvalidArgumentError: shapes that do not belong together, a number of weights other than N, an objective that cannot be
            distilled, or targets that do not tell what the objective is.

    Source: in-place distillation, US-Nets (Yu and Huang 2019, arXiv 1903.05134).
    """
    pi = (1 / len(outputs),) * len(outputs) if weights is None else tuple(weights)
    if len(pi) != len(outputs):
        raise InvalidArgumentError("there must be one weight for each subnetwork", got=len(pi),
                                   allowed=f"{len(outputs)} weights")
    objective = default_objective(targets) if objective is None else objective
    distill = objective.check_distill(distill)
    for y in outputs:
        objective.check_form(y, targets)
    plain = [objective.loss(y, targets).mean() for y in outputs]
    losses = list(plain)
    if distill > 0 and objective.distill is not None:
        taught = jax.lax.stop_gradient(outputs[teacher] if taught is None else taught)
        for i, y in enumerate(outputs):
            if i != teacher:
                losses[i] = (1 - distill) * plain[i] + distill * objective.distill(y, taught).mean()
    total = sum((p * loss for p, loss in zip(pi, losses, strict=True)), jnp.zeros(()))
    return total, jnp.stack(plain)
