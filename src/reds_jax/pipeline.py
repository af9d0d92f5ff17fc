"""From a trained network to certified nested subnetworks: the stages in order. Read this file first.

    trained network
      -> trace            one look at the jaxpr: channel groups, true costs                    ChannelGraph
      -> importance       a score for every unit of every group, on training batches           scores
      -> permute          every group in descending order; the function is unchanged           variables
      -> width problem    true costs as tables; the value of keeping n units of a group        WidthProblem
      -> solve_nested     widths of N nested subnetworks, with a certificate                    NestedSolution
      -> train            the objective averaged over every subnetwork, one optax step          params
      -> recalibrate      batch statistics of each subnetwork                                   NestedNetwork
      -> evaluate         the metric of every subnetwork                                        MethodResult

Each stage is a function of the results before it; nothing is kept elsewhere. `nest` runs them all. The value of a group
counts what goes around it (`reds_jax.run.bypass`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from reds_jax import importance
from reds_jax.adapters import adapt
from reds_jax.checks import several
from reds_jax.choice import Choice, Method, Scores, Subnetworks, check_budgets, choose_widths, for_method
from reds_jax.data import DataSet, StreamedData
from reds_jax.data.normalise import reader
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.permute import descending, permute
from reds_jax.graph.trace import trace
from reds_jax.layer_rules import check_rules
from reds_jax.learned import Amplitudes, equal_amplitudes, fit_amplitudes, shares_at
from reds_jax.measured import held_out, measured_losses, untrained
from reds_jax.network import NestedNetwork, check_nested
from reds_jax.processes import from_first
from reds_jax.repaired import repair
from reds_jax.report import BeforeTraining, MethodResult, SubnetworkResult
from reds_jax.run.bypass import bypass_shares
from reds_jax.sampled import sample_widths
from reds_jax.supernet import WIDTHS, train_supernet
from reds_jax.training import FitConfig, Objective, evaluate, fit, recalibrate
from reds_jax.training.fit import prepare

Observer = Callable[[str, Any], None]
"""Told what each stage found: ("groups", ChannelGraph), ("scores", Scores), ("widths", Amplitudes), ("widths", Choice),
("metric", MethodResult).
A stage that takes long is told in words (str) what begins."""


def scoring_batches(
    data: DataSet | StreamedData, *, batches: int, batch_size: int, seed: int
) -> Iterator[tuple[Any, Any]]:
    """Random mini-batches of training inputs and targets, without repetition as long as they last; of a stream the first."""
    if isinstance(data, StreamedData):
        yield from islice(data.train, batches)
        return
    rng = np.random.default_rng(seed)
    size = min(batch_size, len(data.train))
    order = np.concatenate([rng.permutation(len(data.train)) for _ in range(-(-batches * size // len(data.train)))])
    for i in range(batches):
        taken = data.train.take(order[i * size : (i + 1) * size])
        yield taken.inputs, taken.targets


def nest(
    model: Any,
    variables: Any,
    data: DataSet | StreamedData,
    config: FitConfig,
    options: Subnetworks | None = None,
    *,
    objective: Objective | None = None,
    method: Method = "reds",
    widths: Sequence[Sequence[int]] | None = None,
    folder: str | Path | None = None,
    console: Console | None = None,
    devices: int | None = None,
    observe: Observer = lambda stage, found: None,
) -> tuple[NestedNetwork, MethodResult]:
    """All stages: turn a trained network into nested subnetworks, train them together, and measure them.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes, unmodified.
        variables: its trained variables; None where the model holds them itself.
        data: train, validation and test examples, in memory or streams of batches.
        config: how the nested subnetworks are trained; ``config.seed`` seeds the scores as well.
        options: how the subnetworks are chosen; by default budgets of 25, 50, 75 and 100 % of the MACs.
        objective: what is learnt and reported; by default `classification` for integer targets [N].
        method: ``"reds"``, or a rival for comparison: ``"uniform_sorted"`` and ``"uniform_unsorted"`` (the same fraction of
            every group, filling the budget), ``"uniform_live"`` (of the units whose score is not zero), ``"paper"`` (the sum of
            the Taylor scores, bottom-up, no floor), ``"magnitude"``.
        widths: of the subnetworks, one for every budget, to be trained instead of such as are chosen; the units are scored and
            sorted as always.
        folder: for the training's log and checkpoints; a stopped run goes on from there.
        console: where training shows its progress.
        devices: that share the examples of every batch in training, for the batch statistics and for the metrics, see `fit`;
            scores and losses of sampled widths are computed on one of them (of several processes each on one of its own).
        observe: called with (stage, what it found).

    Raises:
        InvalidArgumentError: examples of any split that do not suit model and objective, before anything is run.
    """
    options = options or Subnetworks()
    _, variables = adapt(model, variables)
    observe("groups", "tracing the network")
    graph = trace(model, variables, data.example())
    check(model, variables, graph, data, config, options, method=method, objective=objective, widths=widths,
          devices=devices)
    options = for_method(method, options)
    observe("groups", graph)
    scores: Scores = {}
    if method != "uniform_unsorted":
        observe("scores", f"the importance of every unit, on {options.scoring_batches} batches")
        scores = score(model, variables, graph, data, options, objective=objective, batch_size=config.batch_size,
                       seed=config.seed)
        variables, scores = sort(variables, graph, scores)
        observe("scores", scores)
    amplitudes = after = None
    bypass: dict[str, float] = {}
    if widths is None and options.value != "sum" and not method.startswith("uniform"):
        bypass = bypass_of(model, variables, data, options, batch_size=config.batch_size, seed=config.seed)
        if bypass:
            observe("widths", "what goes around a group, as a share of what it is added to: "
                    + ", ".join(f"{name} {beta:.2f}" for name, beta in bypass.items()))
    if widths is None and learns(options, method):
        if epochs := supernet_epochs(options, config):
            observe("widths", f"a supernet: the full network and random widths, {epochs} of {config.epochs} epochs")
            near = near_budgets(graph, options, WIDTHS, config.seed)[0]
            after = train_supernet(
                model, variables, graph, near, data.train, data.validation, config, epochs, objective=objective,
                normalise=data.normalise, folder=None if folder is None else Path(folder) / "supernet", console=console,
                devices=devices)
            variables = {"params": after.params, **({"batch_stats": s} if (s := after.batch_stats[0]) else {})}
            config = replace(config, epochs=config.epochs - epochs)
        observe("widths", "the losses of sampled widths, and amplitudes fitted to them")
        amplitudes = learn(model, variables, graph, scores, data, options, objective=objective, seed=config.seed,
                           bypass=bypass)
        observe("widths", amplitudes)
    if widths is None:
        observe("widths", "choosing the widths")
        choice = choose_widths(graph, scores, options, method, amplitudes, bypass)
        choice = Choice.of(graph, options, method, from_first(lambda: choice.widths), choice.solution)
    else:
        choice = Choice.of(graph, options, method, widths)
    observe("widths", choice)
    chosen = [graph.widths(w) for w in choice.widths]
    before = None
    if options.before_training:
        observe("metric", "the subnetworks before the nested training, with statistics of their own and repaired")
        before = measure_before_training(model, variables, graph, choice, data, config, options, objective=objective,
                                         devices=devices)
    begin = time.monotonic()
    trained = fit(model, variables, chosen, data.train, data.validation, config, objective=objective,
                  normalise=data.normalise, folder=folder, console=console, sizes=[graph.param_count(w) for w in chosen],
                  after=after, devices=devices)
    seconds = time.monotonic() - begin
    observe("metric", "batch statistics of each subnetwork, then its metric on validation and test data")
    stats = recalibrate(model, {"params": trained.params, "batch_stats": trained.batch_stats[-1]}, chosen, data.train,
                        key=jax.random.key(config.seed), batch_size=config.batch_size,
                        batches=config.recalibrate_batches or None, normalise=data.normalise, devices=devices)
    network = NestedNetwork(model, trained.params, stats, tuple(chosen), tuple(graph.macs(w) for w in chosen), data.example(),
                            data.normalise, data.class_names if isinstance(data, DataSet) else None)
    result = judge(network, graph, data, options, choice, objective=objective, train_seconds=seconds, before=before,
                   devices=devices)
    observe("metric", result)
    return network, result


def check(
    model: Any, variables: Any, graph: ChannelGraph, data: DataSet | StreamedData, config: FitConfig, options: Subnetworks, *,
    method: Method = "reds", objective: Objective | None = None, widths: Sequence[Sequence[int]] | None = None,
    devices: int | None = None,
) -> None:
    """Refuse all of `nest` that can be refused, before its first step: rules, budgets, options of the training, examples.

    Raises:
        InvalidArgumentError: an option that is not allowed, a latency table of another network, or examples that do not suit
            the model and the objective.
        CheckpointError: the file of the latency table is not there, or holds none.
        InfeasibleError: no widths meet a budget; it names the resource and the smallest budget that could be met.
    """
    options = for_method(method, options)
    check_rules(graph, options.rules)
    if widths is None:
        check_budgets(graph, options, method)
    else:
        _check_widths(graph, options, widths)
    if widths is None and learns(options, method) and (epochs := supernet_epochs(options, config)):
        if epochs == config.epochs:
            raise InvalidArgumentError("the supernet leaves no epoch for the subnetworks", got=f"supernet={options.supernet}",
                                       allowed=f"less than the {config.epochs} epochs of nested training")
        if config.norms != "shared":
            raise InvalidArgumentError("a supernet has one scale and offset for all", got=f"norms={config.norms!r}",
                                       allowed="norms='shared'", hint="Or supernet=0.")
        whole = isinstance(data, DataSet)  # of a stream nothing is left out
        if whole and (rest := len(data.train) - len(held_out(data.train, config.seed)[0])) < config.batch_size:
            raise InvalidArgumentError("the supernet has less than one batch: a part of the training split is held out",
                                       got=rest, allowed=f"{config.batch_size} examples or more",
                                       hint="Take a smaller batch_size, or supernet=0.")
    count = len(options.budgets)
    prepare(model, variables, [graph.full_widths] * count, data.train, data.validation, config, objective=objective,
            sizes=[graph.param_count()] * count, normalise=data.normalise, test=data.test, devices=devices)


def _check_widths(graph: ChannelGraph, options: Subnetworks, widths: Sequence[Sequence[int]]) -> None:
    """Widths that a caller gives: nested, one for every budget and within it."""
    chosen = tuple(graph.widths(w) for w in several("widths", widths, "the widths of each subnetwork"))
    if len(chosen) != len(options.budgets):
        raise InvalidArgumentError("there must be widths for each budget", got=len(chosen), allowed=str(len(options.budgets)))
    check_nested(chosen)
    table = options.read_table(graph)
    for w, budget in zip(chosen, options.budgets, strict=True):
        most = int(budget * options.whole_macs(graph))
        if graph.macs(w) > most:
            raise InvalidArgumentError(f"these widths cost more than the budget of {budget:g}", got=w.values_tuple(),
                                       allowed=f"at most {most} MACs, and they cost {graph.macs(w)}")
        if table is not None and (cost := table.cost(graph, w)) > (limit := budget * options.whole_latency(graph, table)):
            raise InvalidArgumentError(f"these widths cost more than the budget of {budget:g}", got=w.values_tuple(),
                                       allowed=f"at most {limit:,.1f} {table.unit}, and they cost {cost:,.1f} by the table")


def score(
    model: Any, variables: Any, graph: ChannelGraph, data: DataSet | StreamedData, options: Subnetworks, *, batch_size: int,
    seed: int, objective: Objective | None = None,
) -> Scores:
    """Importance of every unit, on training data, with frozen batch statistics."""
    batches = scoring_batches(data, batches=options.scoring_batches, batch_size=batch_size, seed=seed)
    return importance.score(options.importance, model, variables, graph, batches, preprocess=data.normalise,
                            objective=objective, seed=seed)


def sort(variables: Any, graph: ChannelGraph, scores: Mapping[str, np.ndarray]) -> tuple[Any, Scores]:
    """The variables with the units of every group in descending order, and the scores in that order."""
    orders = descending(scores, graph)
    return permute(variables, graph, scores), {g.name: np.asarray(scores[g.name])[orders[g.name]] for g in graph.groups}


def bypass_of(
    model: Any, variables: Any, data: DataSet | StreamedData, options: Subnetworks, *, batch_size: int, seed: int
) -> dict[str, float]:
    """What goes around the groups that have a bypass, on the first ten of the scoring batches; see `reds_jax.run.bypass`."""
    batches = scoring_batches(data, batches=min(10, options.scoring_batches), batch_size=batch_size, seed=seed)
    return bypass_shares(*adapt(model, variables), (inputs for inputs, _ in batches), seed=seed,
                         read=reader(data.normalise))


def learns(options: Subnetworks, method: Method) -> bool:
    """Whether amplitudes are fitted to losses of sampled widths: not where all budgets are the full network."""
    narrower = options.budgets[0] < 1 or options.base_macs is not None
    return options.value == "learned" and narrower and not method.startswith("uniform")


def supernet_epochs(options: Subnetworks, config: FitConfig) -> int:
    """Epochs of nested training that train a supernet."""
    return round(options.supernet * config.epochs)


def near_budgets(
    graph: ChannelGraph, options: Subnetworks, count: int, seed: int, around: Sequence[Sequence[int]] | None = None
) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """At least ``count`` random widths in all, as many near each budget below 1, and which budget each is near.

    Where there are further bounds, near the MACs of the uniform widths that meet all of them.
    """
    most: Sequence[float] = [b * options.whole_macs(graph) for b in options.budgets]
    if (options.weight_bytes, options.peak_memory_bytes, options.latency_table) != (None, None, None):
        within = choose_widths(graph, {}, options, "uniform_sorted").widths
        most = [min(macs, graph.macs(w)) for macs, w in zip(most, within, strict=True)]
    shares = [macs / graph.macs() for macs in most if macs < graph.macs()] or [1.0]
    each = -(-count // len(shares))
    widths = sample_widths(graph, shares, each, seed=seed, step=options.step, rules=options.rules,
                           around=None if around is None else around[: len(shares)])
    return widths, np.repeat(np.arange(len(shares)), each)


def learn(
    model: Any, variables: Any, graph: ChannelGraph, scores: Scores, data: DataSet | StreamedData, options: Subnetworks, *,
    seed: int, objective: Objective | None = None, bypass: Mapping[str, float] | None = None,
) -> Amplitudes:
    """Amplitudes of the groups, from the losses of sampled widths near the budgets, on training data.

    Half of the widths are spread around uniform ones, the other half around those that the first half's fit makes optimal.
    Widths whose loss is not finite are left out.
    """
    half = max(-(-options.samples // 2), 4 * (len(graph.groups) + 1))
    judged, _ = held_out(data.train, seed)

    def measured(around: Sequence[Sequence[int]] | None, seed_of_widths: int) -> tuple[Any, np.ndarray, np.ndarray]:
        widths, near = near_budgets(graph, options, half, seed_of_widths, around)
        return widths, near, measured_losses(model, variables, graph, widths, judged, objective=objective,
                                             normalise=data.normalise)

    def fitted(widths: Sequence[Sequence[int]], near: np.ndarray, losses: np.ndarray) -> Amplitudes:
        finite = np.isfinite(losses)
        if finite.sum() < 4 * (len(graph.groups) + 1):
            return equal_amplitudes(scores, options.gamma)
        return fit_amplitudes(shares_at(scores, np.array(widths)[finite].tolist(), bypass), losses[finite], near=near[finite],
                              otherwise=options.gamma, seed=seed)

    first = measured(None, seed)
    best = choose_widths(graph, scores, options, "reds", fitted(*first), bypass).widths
    second = measured(best, seed + 1)
    return fitted([*first[0], *second[0]], *(np.concatenate(pair) for pair in zip(first[1:], second[1:], strict=True)))


def measure_before_training(
    model: Any, variables: Any, graph: ChannelGraph, choice: Choice, data: DataSet | StreamedData, config: FitConfig,
    options: Subnetworks, *, objective: Objective | None = None, devices: int | None = None,
) -> tuple[BeforeTraining, ...]:
    """The validation metric of every subnetwork without training: with statistics of its own, and repaired as well."""
    batches = scoring_batches(data, batches=options.scoring_batches, batch_size=config.batch_size, seed=config.seed)
    widths = [graph.widths(w) for w in choice.widths]
    alone = repair(model, variables, graph, widths, batches, preprocess=data.normalise, seed=config.seed)

    def metric(variables: Any, widths: tuple[int, ...]) -> float:
        return untrained(model, variables, graph, widths, data.train, data.validation, objective=objective,
                         normalise=data.normalise, batches=config.recalibrate_batches or None, batch_size=config.batch_size,
                         seed=config.seed, devices=devices).metric

    return tuple(BeforeTraining(metric(variables, w), metric(repaired, w))
                 for w, repaired in zip(choice.widths, alone, strict=True))


def judge(
    network: NestedNetwork, graph: ChannelGraph, data: DataSet | StreamedData, options: Subnetworks, choice: Choice, *,
    train_seconds: float, objective: Objective | None = None, before: Sequence[BeforeTraining] | None = None,
    devices: int | None = None,
) -> MethodResult:
    """Read the metric, on validation and (once, at the end) on test data; ``before`` is what was measured before training."""
    measured = [evaluate(network.model, network.params, network.batch_stats, network.widths, split, objective=objective,
                         normalise=data.normalise, devices=devices) for split in (data.validation, data.test)]
    metric = measured[0][0].reported
    whole = options.whole_macs(graph)
    subnetworks = tuple(
        SubnetworkResult(budget, macs, macs / whole, graph.param_bytes(w), graph.peak_memory_bytes(w), w.values_tuple(),
                         metric.name, on_validation.metric, on_test.metric, on_test.loss, early, predicted)
        for budget, macs, w, on_validation, on_test, early, predicted in zip(
            options.budgets, network.macs, network.widths, *measured, before or [None] * len(network),
            choice.predicted or [None] * len(network), strict=True))
    solved = choice.solution
    if solved is None:
        return MethodResult(choice.method, metric, subnetworks, None, None, None, train_seconds)
    return MethodResult(choice.method, metric, subnetworks, solved.certificate, solved.proven_optimal, solved.seconds,
                        train_seconds, solved.promise)

