"""The training step: every nested subnetwork, one gradient, one optax update; many steps in one dispatch.

The images stay on the device as uint8. Each step gathers a batch, augments and normalises it, runs the subnetworks from
the widest to the narrowest in one trace, so that what they have in common is computed once (`reds_jax.nn.sharing`),
and makes one update with the gradient of the weighted mean of their losses.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.core import unfreeze

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import sharing
from reds_jax.training.augment import augmentation
from reds_jax.training.checks import integer, number
from reds_jax.training.inputs import Augmentation, Model, Normalisation, read, variables_of
from reds_jax.training.loss import nested_loss, subnetwork_weights
from reds_jax.widths import Width, Widths, check_width

Metrics = dict[str, jax.Array]
MAX_CHOICES = 32
"""Most sets of subnetworks that the sandwich rule may choose from: each is compiled."""


@partial(jax.tree_util.register_dataclass, data_fields=("params", "batch_stats", "opt_state", "step", "key"), meta_fields=())
@dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes.

    Args:
        params: the full parameters, shared by the subnetworks.
        batch_stats: the batch statistics of each subnetwork, full-shaped, in the order of the widths; empty dicts for a model
            without batch norm.
        opt_state: of the optax optimizer.
        step: updates made so far, int32.
        key: the key of the run; step t uses ``fold_in(key, t)``.
    """

    params: Any
    batch_stats: tuple[Any, ...]
    opt_state: Any
    step: jax.Array
    key: jax.Array

    @classmethod
    def create(
        cls, variables: Any, optimizer: optax.GradientTransformation, subnetworks: int, key: jax.Array
    ) -> TrainState:
        """The state before the first step; every subnetwork begins with the batch statistics in ``variables``.

        Raises:
            InvalidArgumentError: ``variables`` has no "params", or collections other than "params" and "batch_stats".
        """
        variables = unfreeze(variables)
        if "params" not in variables or set(variables) - {"params", "batch_stats"}:
            raise InvalidArgumentError("the variables of the model have other collections", got=sorted(variables),
                                       allowed="'params' and, with batch norm, 'batch_stats'")
        integer("the number of subnetworks", subnetworks, 1)
        params = jax.tree.map(jnp.asarray, variables["params"])
        stats = jax.tree.map(jnp.asarray, variables.get("batch_stats", {}))
        return cls(params, (stats,) * subnetworks, optimizer.init(params), jnp.zeros((), jnp.int32), key)


Step = Callable[[TrainState, jax.Array, jax.Array, jax.Array], tuple[TrainState, Metrics]]


def widest_first(widths: Sequence[Width]) -> tuple[int, ...]:
    """The indices of the subnetworks from the widest to the narrowest.

    Raises:
        InvalidArgumentError: no widths, a wrong one, or fractions below 1 beside `Widths`, which cannot be compared.

    >>> widest_first([0.25, 1.0, 0.5])
    (1, 2, 0)
    """
    if not widths:
        raise InvalidArgumentError("there are no widths", allowed="a width for each subnetwork")
    for width in widths:
        check_width(width)
    fractions = [w for w in widths if not isinstance(w, Widths) and w != 1]
    if fractions and any(isinstance(w, Widths) for w in widths):
        raise InvalidArgumentError("fractions below 1 and Widths cannot be compared", got=fractions,
                                   hint="Make all of them Widths: graph.widths(fraction).")
    scale = [sum(w.values()) if isinstance(w, Widths) else (math.inf if w == 1 else w) for w in widths]
    return tuple(sorted(range(len(widths)), key=lambda i: -scale[i]))


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    widths: Sequence[Width],
    *,
    weights: str | Sequence[float] = "uniform",
    sizes: Sequence[float] | None = None,
    distill: float = 0.0,
    sandwich: int | None = None,
    normalise: Normalisation | None = None,
    augment: str | Augmentation = "none",
    share: bool = True,
) -> Step:
    """The compiled function ``(state, images, labels, indices) -> (state, metrics)``.

    ``theta <- update(theta, grad sum_i pi_i L_i(theta))``, once for every row of ``indices``. ``widths=[1.0]`` is ordinary
    training. Its arguments: images [N, H, W, C], uint8 (or floats); labels [N]; indices [steps, batch], of which rows of -1
    at the end are skipped, so that a shorter rest needs no compilation. Its metrics: ``loss`` [subnetworks] (mean
    cross-entropy in nats, without distillation) and ``accuracy`` [subnetworks], both means over the steps in which the
    subnetwork took part (NaN if in none); ``objective`` [steps] and ``grad_norm`` [steps] (0 in skipped rows);
    ``finite`` [], whether the new parameters are.

    Args:
        model: the network.
        optimizer: an optax transformation; `reds_jax.training.Optimizer` builds one.
        widths: of the subnetworks, in any order; metrics and batch statistics follow it.
        weights: ``pi_i``, see `subnetwork_weights`.
        sizes: number of parameters of each subnetwork, for ``weights="sqrt_params"``.
        distill: see `nested_loss`; the teacher is the widest subnetwork.
        sandwich: None: every subnetwork in every step. k: the widest, the narrowest, and k of the others, drawn anew in
            each step with weights ``pi_i (N - 2) / k``, so that the expected gradient is the one of all. Each set of
            k is a branch of the compiled step, so at most 32 sets. (One of two drawn, DS-CNN S with four subnetworks on a
            CPU: 0.75 of the time of all four.)
        normalise: pixels to floats (`reds_jax.data.Normalise`); by default ``x / 255`` for uint8.
        augment: a preset of `reds_jax.training.augment`, or a function (key, images) -> float images.
        share: compute what subnetworks have in common once; the result is the same.

    Raises:
        InvalidArgumentError: an option that is not allowed; in the first call, arrays whose shapes do not fit.

    Source: REDS (Corti et al. 2023), section 1.5; the sandwich rule and distillation, Yu and Huang 2019, arXiv 1903.05134.
    """
    order = widest_first(widths)
    pi = subnetwork_weights(weights, len(widths), sizes=sizes)
    number("distill", distill, 0, 1)
    augmenter = augmentation(augment) if isinstance(augment, str) else augment
    choices = sandwich_choices(order, pi, sandwich)

    def loss(params: Any, stats: tuple[Any, ...], x: jax.Array, y: jax.Array, key: jax.Array, choice: tuple[int, ...],
             factors: tuple[float, ...]) -> tuple[jax.Array, tuple[tuple[Any, ...], jax.Array, jax.Array]]:
        logits, updated = [], list(stats)
        with sharing() if share else nullcontext():
            for i in choice:
                out, new = model.apply(variables_of(params, stats[i]), x, width=widths[i], train=True,
                                       mutable=["batch_stats"], rngs={"dropout": key})
                logits.append(out)
                updated[i] = unfreeze(new).get("batch_stats", {})
        total, hard = nested_loss(logits, y, factors, distill=distill)
        correct = jnp.stack([(out.argmax(-1) == y).mean() for out in logits])
        return total, (tuple(updated), hard, correct)

    def branch(choice: tuple[int, ...], factors: tuple[float, ...]) -> Callable[..., Any]:
        at = jnp.array(choice)

        def compute(params: Any, stats: tuple[Any, ...], x: jax.Array, y: jax.Array, key: jax.Array):
            value = jax.value_and_grad(loss, has_aux=True)(params, stats, x, y, key, choice, factors)
            (total, (updated, hard, correct)), gradient = value
            none = jnp.zeros(len(widths))
            return gradient, updated, total, (none.at[at].set(hard), none.at[at].set(correct), none.at[at].set(1.0))

        return compute

    branches = [branch(choice, factors) for choice, factors in choices]

    def one(state: TrainState, images: jax.Array, labels: jax.Array, rows: jax.Array):
        key = jax.random.fold_in(state.key, state.step)
        augment_key, dropout_key, choice_key = jax.random.split(key, 3)
        x = read(images, rows, normalise, augment=augmenter, key=augment_key)
        arguments = (state.params, state.batch_stats, x, labels[rows], dropout_key)
        if len(branches) == 1:
            gradient, stats, total, sums = branches[0](*arguments)
        else:
            drawn = jax.random.randint(choice_key, (), 0, len(branches))
            gradient, stats, total, sums = jax.lax.switch(drawn, branches, *arguments)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = replace(state, params=params, batch_stats=stats, opt_state=opt_state, step=state.step + 1)
        norm = jnp.sqrt(sum((jnp.vdot(g, g) for g in jax.tree.leaves(gradient)), jnp.zeros(())))
        return new, total, norm, jnp.stack(sums)

    @jax.jit
    def train_step(
        state: TrainState, images: jax.Array, labels: jax.Array, indices: jax.Array
    ) -> tuple[TrainState, Metrics]:
        _check_shapes(state, images, labels, indices, len(widths))
        steps = (indices[:, 0] >= 0).sum()

        def body(t: jax.Array, carry: Any) -> Any:
            state, objective, grad_norm, sums = carry
            state, total, norm, now = one(state, images, labels, indices[t])
            return state, objective.at[t].set(total), grad_norm.at[t].set(norm), sums + now

        nothing = jnp.zeros(len(indices))
        carry = (state, nothing, nothing, jnp.zeros((3, len(widths))))
        state, objective, grad_norm, (losses, correct, count) = jax.lax.fori_loop(0, steps, body, carry)
        finite = jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params)]))
        return state, {"loss": losses / count, "accuracy": correct / count, "objective": objective,
                       "grad_norm": grad_norm, "finite": finite}

    return train_step


def sandwich_choices(
    order: tuple[int, ...], pi: tuple[float, ...], sandwich: int | None
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Every set of subnetworks that a step may train, the widest first, with the weights of its losses."""
    middle = order[1:-1]
    if sandwich is None:
        return [(order, tuple(pi[i] for i in order))]
    k = integer("sandwich", sandwich, 0, len(middle))
    sets = math.comb(len(middle), k)
    if sets > MAX_CHOICES:
        raise InvalidArgumentError(f"sandwich={k} of {len(middle)} subnetworks has too many sets to compile", got=sets,
                                   allowed=f"up to {MAX_CHOICES}", hint="Take fewer subnetworks, or another k.")
    factor = len(middle) / k if k else 1.0
    choices = []
    for drawn in itertools.combinations(middle, k):
        choice = (order[0], *drawn, *order[1:][-1:])
        choices.append((choice, tuple(pi[i] * (factor if i in drawn else 1.0) for i in choice)))
    return choices


def _check_shapes(state: TrainState, images: jax.Array, labels: jax.Array, indices: jax.Array, subnetworks: int) -> None:
    if len(state.batch_stats) != subnetworks:
        raise InvalidArgumentError("the state is of another number of subnetworks", got=len(state.batch_stats),
                                   allowed=f"{subnetworks}, as the step has widths")
    if labels.ndim != 1 or len(labels) != len(images):
        raise InvalidArgumentError("images and labels do not fit", got=(images.shape, labels.shape),
                                   allowed="images [N, ...] and labels [N]")
    if indices.ndim != 2 or not jnp.issubdtype(indices.dtype, jnp.integer):
        raise InvalidArgumentError("indices have the wrong form", got=(str(indices.dtype), indices.shape),
                                   allowed="integers [steps, batch]")
