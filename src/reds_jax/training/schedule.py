"""Learning-rate schedules and optimizers by name, as configurations that are checked when they are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import optax

from reds_jax.checks import integer, number, one_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.training.averaged import Averaged

SCHEDULES = ("constant", "piecewise", "cosine")
OPTIMIZERS = ("adam", "adamw", "sgd")


@dataclass(frozen=True)
class Schedule:
    """The learning rate of every step t = 0, 1, 2, ...

    - ``"constant"``: ``learning_rate``.
    - ``"piecewise"``: ``values[i]`` for ``boundaries[i-1] <= t < boundaries[i]``.
    - ``"cosine"``: linear from 0 in ``warmup_steps``, then ``r (e + (1 - e)(1 + cos(pi (t - w) / (T - w))) / 2)`` down to
      ``end_fraction * learning_rate`` at ``total_steps`` T, and constant from there.

    Args:
        kind: one of the names.
        learning_rate: of "constant", and the highest of "cosine"; positive.
        boundaries: steps at which "piecewise" changes, ascending, positive.
        values: learning rates of "piecewise", one more than boundaries.
        warmup_steps: of "cosine", below ``total_steps``.
        total_steps: of "cosine".
        end_fraction: of "cosine", in [0, 1].

    Raises:
        InvalidArgumentError: a value that is not allowed.

    >>> [float(Schedule("piecewise", boundaries=(10,), values=(0.5, 0.25)).build()(t)) for t in (0, 9, 10)]
    [0.5, 0.5, 0.25]
    """

    kind: Literal["constant", "piecewise", "cosine"] = "constant"
    learning_rate: float = 1e-3
    boundaries: tuple[int, ...] = ()
    values: tuple[float, ...] = ()
    warmup_steps: int = 0
    total_steps: int | None = None
    end_fraction: float = 0.0

    def __post_init__(self) -> None:
        one_of("schedule", self.kind, SCHEDULES)
        number("learning_rate", self.learning_rate, 0, above=True)
        number("end_fraction", self.end_fraction, 0, 1)
        integer("warmup_steps", self.warmup_steps, 0)
        for boundary in self.boundaries:
            integer("a boundary", boundary, 1)
        for value in self.values:
            number("a value of the schedule", value, 0, above=True)
        if self.kind == "piecewise":
            if len(self.values) != len(self.boundaries) + 1:
                raise InvalidArgumentError("a piecewise schedule has the wrong number of values", got=self.values,
                                           allowed=f"{len(self.boundaries) + 1} values for {len(self.boundaries)} boundaries")
            if any(a >= b for a, b in pairwise(self.boundaries)):
                raise InvalidArgumentError("the boundaries are not ascending", got=self.boundaries)
        elif self.boundaries or self.values:
            raise InvalidArgumentError("boundaries and values belong to the piecewise schedule", got=self.kind,
                                       allowed="kind='piecewise'")
        if self.kind == "cosine":
            if self.total_steps is None:
                raise InvalidArgumentError("a cosine schedule needs total_steps", allowed="the number of steps of the run")
            integer("total_steps", self.total_steps, self.warmup_steps + 1)
        elif self.total_steps is not None or self.warmup_steps:
            raise InvalidArgumentError("total_steps and warmup_steps belong to the cosine schedule", got=self.kind,
                                       allowed="kind='cosine'")

    def build(self) -> optax.Schedule:
        """The function from the step to the learning rate."""
        if self.kind == "constant":
            return optax.constant_schedule(self.learning_rate)
        if self.kind == "piecewise":
            return optax.join_schedules([optax.constant_schedule(v) for v in self.values], list(self.boundaries))
        assert self.total_steps is not None
        cosine = optax.cosine_decay_schedule(self.learning_rate, self.total_steps - self.warmup_steps, self.end_fraction)
        if not self.warmup_steps:
            return cosine
        warmup = optax.linear_schedule(0.0, self.learning_rate, self.warmup_steps)
        return optax.join_schedules([warmup, cosine], [self.warmup_steps])


@dataclass(frozen=True)
class Optimizer:
    """An optimizer by name: "adam", "adamw" (decoupled ``weight_decay``) or "sgd" (with ``momentum``, ``nesterov``).

    Args:
        name: one of the names.
        schedule: the learning rate.
        weight_decay: of "adamw", from 0.
        momentum: of "sgd", in [0, 1).
        nesterov: of "sgd".

    Raises:
        InvalidArgumentError: a value that is not allowed.
    """

    name: Literal["adam", "adamw", "sgd"] = "adam"
    schedule: Schedule = field(default_factory=Schedule)
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        one_of("optimizer", self.name, OPTIMIZERS)
        if not isinstance(self.schedule, Schedule):
            raise InvalidArgumentError("the schedule of an optimizer is no Schedule", got=self.schedule,
                                       allowed="reds_jax.training.Schedule", hint="Schedule('constant', 0.001).")
        number("weight_decay", self.weight_decay, 0)
        number("momentum", self.momentum, 0, 1)
        if self.momentum == 1:
            raise InvalidArgumentError("momentum is out of range", got=1, allowed="a number from 0, below 1")
        if self.weight_decay and self.name != "adamw":
            raise InvalidArgumentError(f"weight_decay does not belong to {self.name!r}", got=self.weight_decay,
                                       allowed="name='adamw'")
        if self.nesterov and self.name != "sgd":
            raise InvalidArgumentError(f"nesterov does not belong to {self.name!r}", allowed="name='sgd'")

    def build(self) -> optax.GradientTransformation:
        """The optax transformation; its state holds the learning rate of the last update (`learning_rate_of`)."""
        schedule = self.schedule.build()
        if self.name == "adam":
            return optax.inject_hyperparams(_adam)(learning_rate=schedule)
        if self.name == "adamw":
            return optax.inject_hyperparams(_adamw, static_args="weight_decay")(
                learning_rate=schedule, weight_decay=self.weight_decay)
        return optax.inject_hyperparams(_sgd, static_args=("momentum", "nesterov"))(
            learning_rate=schedule, momentum=self.momentum or None, nesterov=self.nesterov)


def _adam(learning_rate: Any) -> optax.GradientTransformation:
    return optax.adam(learning_rate)


def _adamw(learning_rate: Any, weight_decay: float) -> optax.GradientTransformation:
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def _sgd(learning_rate: Any, momentum: float | None, nesterov: bool) -> optax.GradientTransformation:
    return optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov)


def learning_rate_of(opt_state: Any) -> float | None:
    """The learning rate of the last update, read from the state of an `Optimizer`; None for any other optimizer.

    Args:
        opt_state: of any optimizer of optax.
    """
    inner = opt_state.inner if isinstance(opt_state, Averaged) else opt_state
    hyperparams = getattr(inner, "hyperparams", {})
    return float(hyperparams["learning_rate"]) if "learning_rate" in hyperparams else None
