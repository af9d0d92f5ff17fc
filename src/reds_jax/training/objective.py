"""What a network learns and what is reported of it: classification, binary, regression, reconstruction, or your own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from reds_jax.checks import integer, number, one_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.training.losses import (
    AnyArray,
    BinaryLabels,
    Check,
    ClassLabels,
    CrossEntropy,
    Difference,
    Numbers,
    first_is_right,
    sigmoid_cross_entropy,
    sign_is_right,
    soft_cross_entropy,
    soft_sigmoid_cross_entropy,
)
from reds_jax.training.metric import Metric

Values = Callable[[Any, Any], AnyArray]
"""(outputs, targets) -> one value per example, [N]: pure, traceable, hashable (a function, or a frozen dataclass)."""


@dataclass(frozen=True)
class Objective:
    """What the loss is, and what is reported. Hashable, so that it can be a static argument of a compiled function.

    Args:
        name: of the objective, for the record.
        loss: (outputs, targets) -> [N]; the mean over the examples is minimised.
        metric: (outputs, targets) -> [N]; the mean over the examples is reported, and chooses the best epoch.
        metric_name: in words.
        unit: of the metric; "%" for a share, whose values are fractions of 1.
        higher_is_better: the direction of the metric.
        distill: (outputs, outputs of the teacher) -> [N], for distillation; None: it cannot be distilled.
        check: what outputs and targets must be; None: ``loss`` and ``metric`` must give [N], and targets must be finite.

    Outputs are what the network returns, targets what the data have: arrays, or tuples and dicts of arrays. Targets None in
    the data are the inputs as the network reads them.

    >>> Objective("cubic", lambda y, t: abs(y - t).sum(1) ** 3, lambda y, t: abs(y - t).sum(1), "distance", "mm").reported
    Metric(name='distance', unit='mm', higher_is_better=False)
    """

    name: str
    loss: Values
    metric: Values
    metric_name: str
    unit: str = ""
    higher_is_better: bool = False
    distill: Values | None = None
    check: Check | None = None

    @property
    def reported(self) -> Metric:
        """Name, unit and direction of the metric."""
        return Metric(self.metric_name, self.unit, self.higher_is_better)

    def check_form(self, outputs: Any, targets: Any) -> None:
        """Raise an `InvalidArgumentError` if shapes or types do not belong together; works on tracers and on shapes."""
        if self.check is not None:
            self.check.form(outputs, targets)
        leaves = jax.tree.leaves(outputs)
        n = leaves[0].shape[:1] if leaves else ()
        if len(n) != 1 or any(leaf.shape[:1] != n for leaf in leaves):
            raise InvalidArgumentError("the outputs of the network do not have the examples in front",
                                       got=[list(leaf.shape) for leaf in leaves], allowed="[N, ...]")
        for name, function in (("loss", self.loss), ("metric", self.metric)):
            found = jax.eval_shape(function, outputs, targets)
            if getattr(found, "shape", None) != n:
                raise InvalidArgumentError(f"the {name} of the objective {self.name!r} has no value per example",
                                           got=jax.tree.map(lambda leaf: list(leaf.shape), found), allowed="[N]",
                                           hint="Take the mean over all axes but the first.")

    def check_distill(self, distill: float) -> float:
        """``distill`` as a number in [0, 1]; an error if this objective cannot be distilled."""
        value = number("distill", distill, 0, 1)
        if value and self.distill is None:
            raise InvalidArgumentError(f"the objective {self.name!r} cannot be distilled", got=f"distill={value}",
                                       allowed="distill=0", hint="Give Objective(distill=...): (outputs, teacher) -> [N].")
        return value


def classification(
    classes: int | None = None, *, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
) -> Objective:
    """Softmax cross-entropy in nats; accuracy is reported. Outputs [N, K] with integer labels [N].

    Dense as well: outputs [N, ..., K] with labels [N, ...], per example a mean over the positions.
    ``L = w_y ((1 - e) (-log p_y) + e mean_k(-log p_k))`` with ``p = softmax(outputs)``.

    Args:
        classes: K, to be checked; by default as many as the network has outputs.
        class_weights: ``w``, a positive number per class. The sum of the losses is that of a set in which every example of
            class c is repeated w_c times.
        label_smoothing: ``e`` in [0, 1).

    Source: Szegedy et al. 2016 (arXiv 1512.00567), section 7, for label smoothing.
    """
    weights = None if class_weights is None else tuple(number("a class weight", w, 0, above=True) for w in class_weights)
    if classes is not None:
        integer("classes", classes, 2)
    if weights is not None and len(weights) != (classes or len(weights)):
        raise InvalidArgumentError("there must be one weight for each class", got=len(weights), allowed=f"{classes}")
    if number("label_smoothing", label_smoothing, 0, 1) == 1:
        raise InvalidArgumentError("label_smoothing is out of range", got=1, allowed="a number from 0, below 1")
    return Objective("classification", CrossEntropy(weights, float(label_smoothing)), first_is_right, "accuracy", "%", True,
                     soft_cross_entropy, ClassLabels(classes if weights is None else len(weights)))


def binary() -> Objective:
    """Cross-entropy of one logit in nats; accuracy is reported. Outputs [N] or [N, 1] with labels [N] of 0 and 1 (or dense)."""
    return Objective("binary", sigmoid_cross_entropy, sign_is_right, "accuracy", "%", True, soft_sigmoid_cross_entropy,
                     BinaryLabels())


def regression(loss: Literal["mse", "mae", "huber"] = "mse", *, unit: str = "") -> Objective:
    """Numbers: outputs and targets of the same shape [N, ...]; per example a mean over all other axes.

    Args:
        loss: "mse" (reported: mean squared error), "mae" or "huber" with delta 1 (reported: mean absolute error).
        unit: of what is reported.
    """
    one_of("loss", loss, ("mse", "mae", "huber"))
    kind, name = ("mse", "mean squared error") if loss == "mse" else ("mae", "mean absolute error")
    return Objective("regression", Difference(loss), Difference(kind), name, unit, False, Difference(loss), Numbers())


def reconstruction(loss: Literal["mse", "mae", "huber"] = "mse", *, unit: str = "") -> Objective:
    """`regression` on the inputs as the network reads them (a Split without targets), or on what they shall become.

    Args:
        loss: as for `regression`.
        unit: of the outputs, for the report.
    """
    base = regression(loss, unit=unit)
    return Objective("reconstruction", base.loss, base.metric, base.metric_name, unit, False, base.distill, base.check)


def default_objective(targets: Any) -> Objective:
    """`classification` for integer labels [N], the one case that leaves no doubt.

    Raises:
        InvalidArgumentError: any other targets; the message has the objectives there are.
    """
    if hasattr(targets, "dtype") and np.issubdtype(targets.dtype, np.integer) and targets.ndim == 1:
        return classification()
    got = "none" if targets is None else jax.tree.map(lambda a: f"{a.dtype} {list(a.shape)}", targets)
    raise InvalidArgumentError(
        "the targets do not tell what the objective is", got=got,
        allowed="objective=classification() (of positions, too), binary(), regression(), reconstruction(), or an Objective")
