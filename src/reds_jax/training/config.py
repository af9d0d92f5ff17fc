"""How to train: one frozen configuration, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from reds_jax.checks import integer, number, one_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import PRODUCTS
from reds_jax.training.augment import PRESETS
from reds_jax.training.averaged import check_decay
from reds_jax.training.inputs import Augmentation
from reds_jax.training.loss import WEIGHTS
from reds_jax.training.schedule import Optimizer


def check_teacher(distill: float, average: float) -> None:
    """How much is distilled, and the decay of the average that the teacher runs with."""
    number("distill", distill, 0, 1)
    if check_decay(average) and not distill:
        raise InvalidArgumentError("distill_average is of a teacher, and nothing is distilled", got=average,
                                   allowed="0, or distill above 0")


NORMS = ("shared", "private")


@dataclass(frozen=True)
class FitConfig:
    """How to train; checked when made.

    Args:
        epochs: over the training split; each has ``N // batch_size`` steps over a new permutation. Of a stream, see `Stream`.
        batch_size: examples a step; with a stream, the size of its batches.
        steps_per_dispatch: steps in one call of the compiled step, one log line each.
        optimizer: and its learning-rate schedule, in steps.
        weights: of the subnetworks in the loss, see `subnetwork_weights`.
        distill: see `nested_loss`.
        distill_average: decay of the moving average of the weights that the teacher runs with, see `averaged`; 0: it runs with
            the weights as they are.
        sandwich: see `make_train_step`.
        norms: whether the scale and the offset of every batch norm are shared by the subnetworks, or each has its own and
            trains it ("private"), from the one that it is given: ``y_i = gamma_i (x - mu_i) / sqrt(var_i + epsilon) + beta_i``
            in subnetwork i. The weights stay shared. A batch norm is told by its statistics, in the program of inference
            (`reds_jax.program.norms`); one without scale and offset has nothing that is trained, and layer and group norms
            stay shared. Behind a private norm subnetworks have less in common, so a step takes longer.
        augment: a preset for images: "none", "flip", "flip_shift", "flip_shift_rotate"; or a function, see `make_train_step`.
        share: see `make_train_step`.
        compute_dtype: "bfloat16": the operands of matrix products and convolutions are rounded to it in training steps, in the
            gradient too; all else is float32 (`reds_jax.lowering.products`): parameters, gradients, optimizer, norms and their
            statistics, depthwise convolutions, the loss, and all of it in validation, in `recalibrate` and in an export.
        seed: of the order of the examples and of everything random in the steps.
        patience: stop after so many epochs without a better mean validation metric; None: never.
        recalibrate_batches: batches of training inputs whose exact statistics each subnetwork is validated with (and
            returned with); 0: the moving averages.
        evaluate_batch_size: examples a batch in validation.
        checkpoint_dispatches: a checkpoint after so many dispatches, beside the one after each epoch; None: only that.

    Raises:
        InvalidArgumentError: a value that is not allowed.

    Source: private norms are the switchable batch normalization of Yu et al. 2019, "Slimmable Neural Networks", section 3.2,
    arXiv 1812.08928.
    """

    epochs: int = 10
    batch_size: int = 100
    steps_per_dispatch: int = 10
    optimizer: Optimizer = field(default_factory=Optimizer)
    weights: str | tuple[float, ...] = "uniform"
    distill: float = 0.0
    distill_average: float = 0.0
    sandwich: int | None = None
    norms: Literal["shared", "private"] = "shared"
    augment: str | Augmentation = "none"
    share: bool = True
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    patience: int | None = None
    recalibrate_batches: int = 20
    evaluate_batch_size: int = 500
    checkpoint_dispatches: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "steps_per_dispatch", "evaluate_batch_size"):
            integer(name, getattr(self, name), 1)
        for name in ("patience", "checkpoint_dispatches"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        for name, low in (("recalibrate_batches", 0), ("seed", 0)):
            integer(name, getattr(self, name), low)
        if isinstance(self.weights, str):
            one_of("weights", self.weights, WEIGHTS)
        check_teacher(self.distill, self.distill_average)
        one_of("norms", self.norms, NORMS)
        one_of("compute_dtype", self.compute_dtype, PRODUCTS)
        if isinstance(self.augment, str) or not callable(self.augment):
            one_of("augmentation", self.augment, PRESETS)
        if self.sandwich is not None:
            integer("sandwich", self.sandwich, 0)
        if not isinstance(self.optimizer, Optimizer):
            raise InvalidArgumentError("optimizer has the wrong type", got=self.optimizer, allowed="an Optimizer(...)")
