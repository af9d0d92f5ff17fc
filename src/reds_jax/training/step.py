"""The training step: every nested subnetwork, one gradient, one optax update; many steps in one dispatch.

The examples stay on the device as they are (images as uint8). Each step gathers a batch, augments and normalises it, runs
the subnetworks from the widest to the narrowest in one trace, so that what they have in common is computed once
(`reds_jax.run`), and makes one update with the gradient of the weighted mean of their losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax.core import unfreeze
from jax.core import Tracer
from jax.sharding import Mesh

from reds_jax.adapters.pure import typed_key
from reds_jax.adapters.trees import batch_stats_of, checked_collections
from reds_jax.array_types import Int
from reds_jax.checks import integer, number, one_of
from reds_jax.data.tree import Tree, leaves, rows
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import PRODUCTS, products
from reds_jax.private import among, variables_of, with_private
from reds_jax.run import run_nested
from reds_jax.training.augment import Augment, augmentation
from reds_jax.training.averaged import Averaged
from reds_jax.training.inputs import (
    Augmentation,
    Model,
    Normalisation,
    check_examples,
    gather,
    holds_arrays,
    in_32_bits,
    pure_model,
    trainable,
)
from reds_jax.training.loss import nested_loss, subnetwork_weights
from reds_jax.training.losses import AnyArray
from reds_jax.training.mesh import over, replicated, shared_out
from reds_jax.training.objective import Objective, default_objective
from reds_jax.training.sandwich import sandwich_choices, widest_first
from reds_jax.widths import Width, check_widths

Metrics = dict[str, jax.Array]


@partial(jax.tree_util.register_dataclass, data_fields=("params", "batch_stats", "opt_state", "step", "key"), meta_fields=())
@dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes.

    Args:
        params: the full parameters, shared by the subnetworks; where there is a `reds_jax.Private`, each has its own.
        batch_stats: the batch statistics of each subnetwork, full-shaped, in the order of the widths; empty dicts for a model
            without batch norm.
        opt_state: of the optax optimizer.
        step: updates made so far, int32.
        key: the key of the run; step t uses ``fold_in(key, t)``.
    """

    params: Any
    batch_stats: tuple[Any, ...]
    opt_state: Any
    step: Any
    key: Any

    @classmethod
    def create(
        cls, variables: Any, optimizer: optax.GradientTransformation, subnetworks: int, key: jax.Array, *,
        private: Iterable[str] = (),
    ) -> TrainState:
        """The state before the first step; every subnetwork begins with the parameters and statistics in ``variables``.

        Floats of 16 bits become 32: the sums of an optimizer and moving averages need them. The parameters in ``private``
        (``"params/norm/scale"``) are trained by every subnetwork for itself.

        Raises:
            InvalidArgumentError: ``variables`` has no "params", or collections other than "params" and "batch_stats", or a
                parameter that is no float.
        """
        variables = checked_collections(unfreeze(variables))
        integer("the number of subnetworks", subnetworks, 1)
        params = with_private({"params": trainable(variables["params"])}, private, subnetworks)["params"]
        stats = jax.tree.map(in_32_bits, batch_stats_of(variables))
        return cls(params, (stats,) * subnetworks, optimizer.init(params), jnp.zeros((), jnp.int32), typed_key(key))


Step = Callable[[TrainState, Tree, Tree, Any], tuple[TrainState, Metrics]]
"""(state, inputs, targets, indices) -> (state, metrics), see `make_train_step`."""
Draw = Callable[[Any, jax.Array], Sequence[Any]]
"""(parameters, key) -> the parameters of further subnetworks that take part in one step, zeros where they are cut."""


def make_train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    widths: Sequence[Width],
    *,
    objective: Objective | None = None,
    weights: str | Sequence[float] = "uniform",
    sizes: Sequence[float] | None = None,
    distill: float = 0.0,
    sandwich: int | None = None,
    normalise: Normalisation | None = None,
    augment: str | Augmentation = "none",
    share: bool = True,
    compute_dtype: str = "float32",
) -> Step:
    """The compiled function ``(state, inputs, targets, indices) -> (state, metrics)``.

    ``theta <- update(theta, grad sum_i pi_i L_i(theta))``, once for every row of ``indices``. ``widths=[1.0]`` is ordinary
    training. Its arguments: inputs [N, ...] and targets [N, ...], arrays or trees of arrays (targets None: the inputs as they
    are read); indices [steps, batch], of which rows of -1 at the end are skipped, so that a shorter rest needs no compilation.
    Its metrics: ``loss`` [subnetworks] (of the objective, without distillation) and ``metric`` [subnetworks], both means over
    the steps in which the subnetwork took part (NaN if in none); ``objective`` [steps] and ``grad_norm`` [steps] (0 in skipped
    rows); ``finite`` [], whether every loss and gradient and the new parameters are.

    Args:
        model: the network.
        optimizer: an optax transformation; `reds_jax.training.Optimizer` builds one.
        widths: of the subnetworks, in any order; metrics and batch statistics follow it.
        objective: what is learnt and reported; by default `classification` for integer targets [N].
        weights: ``pi_i``, see `subnetwork_weights`.
        sizes: number of parameters of each subnetwork, for ``weights="sqrt_params"``.
        distill: see `nested_loss`; the teacher is the widest subnetwork, with an `averaged` optimizer at the average of its
            weights (and with the statistics of the batch).
        sandwich: None: every subnetwork in every step. k: the widest, the narrowest, and k of the others, drawn anew in
            each step with weights ``pi_i (N - 2) / k``, so that the expected gradient is the one of all. Each set of
            k is a branch of the compiled step, so at most 32 sets. (One of two drawn, DS-CNN S with four subnetworks on a
            CPU: 0.75 of the time of all four.)
        normalise: inputs as the model reads them (`reds_jax.data.Normalise`); by default ``x / 255`` for uint8.
        augment: a preset of `reds_jax.training.augment`, or a function (key, inputs) -> float inputs; one that holds arrays,
            as a pytree, is an argument of the compiled step.
        share: compute what subnetworks have in common once; the result is the same.
        compute_dtype: of the operands of products, "float32" or "bfloat16", see `FitConfig`.

    Raises:
        InvalidArgumentError: an option that is not allowed; in the first call, examples that do not suit the model and the
            objective (`reds_jax.training.inputs.check_examples`).

    Source: REDS (Corti et al. 2023), section 1.5; the sandwich rule and distillation, Yu and Huang 2019, arXiv 1903.05134.
    """
    build = step_builder(model, optimizer, widths, weights=weights, sizes=sizes, distill=distill, sandwich=sandwich,
                         normalise=normalise, augment=augment, share=share, compute_dtype=compute_dtype)
    if objective is not None:
        objective.check_distill(distill)
    step: Step | None = None

    def train_step(
        state: TrainState, inputs: Tree, targets: Tree, indices: Int[AnyArray, "steps batch"]
    ) -> tuple[TrainState, Metrics]:
        nonlocal step
        if step is None:
            if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((inputs, targets))):  # there are no values yet
                return build(default_objective(targets) if objective is None else objective)(state, inputs, targets, indices)
            variables = variables_of(state.params, state.batch_stats, 0)
            step = build(check_examples(objective, pure_model(model, variables), variables, inputs, targets, normalise,
                                        "training {}")[0])
        return step(state, inputs, targets, indices)

    return train_step


def step_builder(
    model: Model, optimizer: optax.GradientTransformation, widths: Sequence[Width], *, weights: str | Sequence[float],
    sizes: Sequence[float] | None, distill: float, sandwich: int | None, normalise: Normalisation | None,
    augment: str | Augmentation, share: bool, draw: Draw | None = None, mesh: Mesh | None = None,
    compute_dtype: str = "float32",
) -> Callable[[Objective], Step]:
    """The options of `make_train_step`, checked; the compiled step without a look at the values, for an objective.

    What ``draw`` makes of the parameters runs as the widest subnetwork does, and its loss counts as much as that of the others
    on average; its batch statistics are not kept.
    """
    widths = check_widths(widths)
    order = widest_first(widths)
    pi = subnetwork_weights(weights, len(widths), sizes=sizes)
    number("distill", distill, 0, 1)
    one_of("compute_dtype", compute_dtype, PRODUCTS)
    augmenter = augmentation(augment) if isinstance(augment, str) else augment
    choices = sandwich_choices(order, pi, sandwich)

    def taught(average: Any, stats: tuple[Any, ...], x: Any, key: jax.Array) -> Any:
        """The outputs of the widest subnetwork with other weights."""
        i = order[0]
        return run_nested(model, among(average, [i]), [stats[i]], x, [widths[i]], train=True, key=key)[0][0]

    def loss(params: Any, average: Any, stats: tuple[Any, ...], x: Any, y: Any, key: jax.Array, choice: tuple[int, ...],
             factors: tuple[float, ...], objective: Objective) -> tuple[jax.Array, Any]:
        results = run_nested(model, among(params, choice), [stats[i] for i in choice], x, [widths[i] for i in choice],
                             train=True, key=key, share=share)
        outputs, updated = [out for out, _ in results], list(stats)
        for i, (_, new) in zip(choice, results, strict=True):
            updated[i] = new
        metric = jnp.stack([objective.metric(out, y).mean() for out in outputs])
        drawn = [] if draw is None else [
            run_nested(model, p, [stats[order[0]]], x, [widths[order[0]]], train=True, key=key)[0][0]
            for p in draw(among(params, [order[0]]), jax.random.fold_in(key, 1))]
        pi = (*factors, *[sum(factors) / len(factors)] * len(drawn))
        teacher = None if average is None else taught(average, stats, x, key)
        total, plain = nested_loss([*outputs, *drawn], y, [p / sum(pi) for p in pi] if drawn else pi, objective=objective,
                                   distill=distill, taught=teacher)
        return total, (tuple(updated), plain[: len(outputs)], metric)

    def branch(choice: tuple[int, ...], factors: tuple[float, ...], objective: Objective) -> Callable[..., Any]:
        at = jnp.array(choice)

        def compute(params: Any, average: Any, stats: tuple[Any, ...], x: Any, y: Any, key: jax.Array):
            with products(compute_dtype):
                value = jax.value_and_grad(loss, has_aux=True)(params, average, stats, x, y, key, choice, factors, objective)
            (total, (updated, plain, metric)), gradient = value
            none = jnp.zeros(len(widths))
            return gradient, updated, total, (none.at[at].set(plain), none.at[at].set(metric), none.at[at].set(1.0))

        return compute

    def build(objective: Objective) -> Step:
        objective.check_distill(distill)
        branches = [branch(choice, factors, objective) for choice, factors in choices]

        def one(state: TrainState, inputs: Tree, targets: Tree, rows: jax.Array, augmenter: Augmentation | None):
            key = jax.random.fold_in(state.key, state.step)
            augment_key, dropout_key, choice_key = jax.random.split(key, 3)
            batch = gather(inputs, targets, shared_out(rows, mesh), normalise, augment=augmenter, key=augment_key)
            x, y = shared_out(batch, mesh)
            average = state.opt_state.average if distill and isinstance(state.opt_state, Averaged) else None
            arguments = (state.params, average, state.batch_stats, x, y, dropout_key)
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

        def steps_of(
            state: TrainState, inputs: Tree, targets: Tree, indices: jax.Array, held: Augmentation | None
        ) -> tuple[TrainState, Metrics]:
            augment = augmenter if held is None else held
            _check_form(state, inputs, targets, indices, len(widths), augment)
            steps = (indices[:, 0] >= 0).sum()

            def body(t: jax.Array, carry: Any) -> Any:
                state, objective, grad_norm, sums = carry
                state, total, norm, now = one(state, inputs, targets, indices[t], augment)
                return state, objective.at[t].set(total), grad_norm.at[t].set(norm), sums + now

            nothing = jnp.zeros(len(indices))
            carry = (state, nothing, nothing, jnp.zeros((3, len(widths))))
            state, totals, grad_norm, (losses, metric, count) = jax.lax.fori_loop(0, steps, body, carry)
            finite = jnp.all(jnp.stack([jnp.isfinite(a).all() for a in (totals, grad_norm, *jax.tree.leaves(state.params))]))
            return state, {"loss": losses / count, "metric": metric / count, "objective": totals, "grad_norm": grad_norm,
                           "finite": finite}

        held = replicated(augmenter, mesh) if holds_arrays(augmenter) else None
        return partial(jax.jit(steps_of) if mesh is None else over(mesh, steps_of), held=held)

    return build


def _check_form(
    state: TrainState, inputs: Tree, targets: Tree, indices: jax.Array, subnetworks: int, augmenter: Augmentation | None
) -> None:
    if len(state.batch_stats) != subnetworks:
        raise InvalidArgumentError("the state is of another number of subnetworks", got=len(state.batch_stats),
                                   allowed=f"{subnetworks}, as the step has widths")
    variables_of(state.params, state.batch_stats, 0)  # refuses private parameters of another number
    if targets is not None and rows(inputs) != rows(targets):
        raise InvalidArgumentError("inputs and targets differ in number", got=(rows(inputs), rows(targets)))
    if indices.ndim != 2 or not jnp.issubdtype(indices.dtype, jnp.integer):
        raise InvalidArgumentError("indices have the wrong form", got=(str(indices.dtype), indices.shape),
                                   allowed="integers [steps, batch]")
    dense = targets is not None and any(array.ndim > 2 for _, array in leaves(targets))
    if isinstance(augmenter, Augment) and dense:
        raise InvalidArgumentError("this augmentation would move the inputs and not the targets", got=augmenter,
                                   allowed="targets [N] or [N, K], or no targets", hint="Augment both in the data.")
