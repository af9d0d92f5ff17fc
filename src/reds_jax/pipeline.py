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

Each stage is a function of the results before it; nothing is kept elsewhere. `nest` runs them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from rich.console import Console

from reds_jax import importance
from reds_jax.adapters import adapt
from reds_jax.baselines import uniform_widths
from reds_jax.checks import integer, number, one_of, several
from reds_jax.cost import width_problem
from reds_jax.data import DataSet, StreamedData
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.permute import descending, permute
from reds_jax.graph.trace import trace
from reds_jax.knapsack import NestedSolution, WidthProblem, solve_nested
from reds_jax.knapsack.exact import explain
from reds_jax.layer_rules import LayerRule, check_rules
from reds_jax.network import NestedNetwork
from reds_jax.report import MethodResult, SubnetworkResult
from reds_jax.training import FitConfig, Objective, evaluate, fit, recalibrate
from reds_jax.training.fit import prepare

Scores = dict[str, np.ndarray]
Method = Literal["reds", "uniform_sorted", "uniform_unsorted", "paper", "magnitude"]
Observer = Callable[[str, Any], None]
"""Told what each stage found: ("groups", ChannelGraph), ("scores", Scores), ("widths", Choice), ("metric", MethodResult).
A stage that takes long is told in words (str) what begins."""


@dataclass(frozen=True)
class Subnetworks:
    """How the subnetworks are chosen.

    Args:
        budgets: MACs of each subnetwork as fractions of the full network's; 1.0 is the full network.
        importance: how units are scored, see `reds_jax.importance.score`.
        scoring_batches: mini-batches of training data that the scores are computed on.
        value: what the knapsack maximises: the product of the retained importance of all groups (log_retention), or the sum.
        floor: smallest width of a group, as a fraction of it.
        step: widths are multiples of this (4, 8 or 16 where kernels want it).
        order: joint, or the paper's bottom_up or top_down.
        cost: true MACs, or the paper's fixed full fan-in.
        peak_memory_bytes: bound on the activation memory of every subnetwork; none by default.
        rules: for single layers by path pattern, ``"block_*/conv:floor=0.5,multiple_of=8"`` or ``"stem:exclude"``; see
            `reds_jax.layer_rules.LayerRule`.
    """

    budgets: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    importance: importance.Method = "taylor"
    scoring_batches: int = 100
    value: Literal["log_retention", "sum"] = "log_retention"
    floor: float = 0.25
    step: int = 1
    order: Literal["joint", "bottom_up", "top_down"] = "joint"
    cost: Literal["true", "full_fan_in"] = "true"
    peak_memory_bytes: int | None = None
    rules: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ascending = "distinct numbers in (0, 1], ascending, for example 0.25 0.5 0.75 1.0"
        budgets = tuple(number("a budget", b, 0, 1, above=True) for b in several("budgets", self.budgets, ascending))
        if not budgets or list(budgets) != sorted(set(budgets)):
            raise InvalidArgumentError("the budgets are not ascending fractions of the full MACs", got=self.budgets,
                                       allowed=ascending)
        object.__setattr__(self, "budgets", budgets)
        object.__setattr__(self, "rules", several("rules", self.rules, "rules for single layers"))
        for name, allowed in (("importance", importance.METHODS), ("value", ("log_retention", "sum")),
                              ("order", ("joint", "bottom_up", "top_down")), ("cost", ("true", "full_fan_in"))):
            one_of(name, getattr(self, name), allowed)
        integer("scoring_batches", self.scoring_batches, 1)
        integer("step", self.step, 1)
        number("floor", self.floor, 0, 1)
        if self.peak_memory_bytes is not None:
            integer("peak_memory_bytes", self.peak_memory_bytes, 1)
        for rule in self.rules:
            LayerRule.parse(rule)


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


@dataclass(frozen=True)
class Choice:
    """Nested widths, ascending; ``solution`` is the solver's answer with its certificate, None for uniform widths."""

    method: Method
    widths: tuple[tuple[int, ...], ...]
    solution: NestedSolution | None


def nest(
    model: Any,
    variables: Any,
    data: DataSet | StreamedData,
    config: FitConfig,
    options: Subnetworks | None = None,
    *,
    objective: Objective | None = None,
    method: Method = "reds",
    folder: str | Path | None = None,
    console: Console | None = None,
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
            every group, filling the budget), ``"paper"`` (the sum of the Taylor scores, bottom-up, no floor), ``"magnitude"``.
        folder: for the training's log and checkpoints; a stopped run goes on from there.
        console: where training shows its progress.
        observe: called with (stage, what it found).
    """
    options = options or Subnetworks()
    _, variables = adapt(model, variables)
    observe("groups", "tracing the network")
    graph = trace(model, variables, data.example())
    check(model, variables, graph, data, config, options, method=method, objective=objective)
    options = for_method(method, options)
    observe("groups", graph)
    scores: Scores = {}
    if method != "uniform_unsorted":
        observe("scores", f"the importance of every unit, on {options.scoring_batches} batches")
        scores = score(model, variables, graph, data, options, objective=objective, batch_size=config.batch_size,
                       seed=config.seed)
        variables, scores = sort(variables, graph, scores)
        observe("scores", scores)
    observe("widths", "choosing the widths")
    choice = choose_widths(graph, scores, options, method)
    observe("widths", choice)
    widths = [graph.widths(w) for w in choice.widths]
    begin = time.monotonic()
    trained = fit(model, variables, widths, data.train, data.validation, config, objective=objective,
                  normalise=data.normalise, folder=folder, console=console, sizes=[graph.param_count(w) for w in widths])
    seconds = time.monotonic() - begin
    observe("metric", "batch statistics of each subnetwork, then its metric on validation and test data")
    stats = recalibrate(model, {"params": trained.params, "batch_stats": trained.batch_stats[-1]}, widths, data.train,
                        key=jax.random.key(config.seed), batch_size=config.batch_size,
                        batches=config.recalibrate_batches or None, normalise=data.normalise)
    network = NestedNetwork(model, trained.params, stats, tuple(widths), tuple(graph.macs(w) for w in widths), data.example(),
                            data.normalise, data.class_names if isinstance(data, DataSet) else None)
    result = judge(network, graph, data, options, choice, objective=objective, train_seconds=seconds)
    observe("metric", result)
    return network, result


def check(
    model: Any, variables: Any, graph: ChannelGraph, data: DataSet | StreamedData, config: FitConfig, options: Subnetworks, *,
    method: Method = "reds", objective: Objective | None = None,
) -> None:
    """Refuse all of `nest` that can be refused, before its first step: rules, budgets, options of the training, examples.

    Whether the budgets can be met does not depend on the weights: every cost grows with the widths, so the smallest widths
    that are allowed have to meet the smallest budget.

    Raises:
        InvalidArgumentError: an option that is not allowed, or examples that do not suit the model and the objective.
        InfeasibleError: no widths meet a budget; it names the resource and the smallest budget that could be met.
    """
    options = for_method(method, options)
    check_rules(graph, options.rules)
    if method.startswith("uniform"):
        choose_widths(graph, {}, options, method)
    else:
        problem, (smallest, *_) = _problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, options)
        costs = problem.costs(tuple(widths[0] for widths in problem.widths))
        if any(costs[name] > limit for name, limit in smallest.items()):
            raise explain(problem, smallest)
    count = len(options.budgets)
    prepare(model, variables, [graph.full_widths] * count, data.train, data.validation, config, objective=objective,
            sizes=[graph.param_count()] * count, normalise=data.normalise, test=data.test)


def for_method(method: Method, options: Subnetworks) -> Subnetworks:
    """The options with what a rival changes of them."""
    changes: dict[str, dict[str, Any]] = {
        "reds": {}, "uniform_sorted": {}, "uniform_unsorted": {}, "magnitude": {"importance": "l1"},
        "paper": {"importance": "taylor", "value": "sum", "floor": 0.0, "order": "bottom_up"},
    }
    if method not in changes:
        raise InvalidArgumentError("unknown method", got=method, allowed=", ".join(changes))
    return replace(options, **changes[method])


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


def choose_widths(graph: ChannelGraph, sorted_scores: Scores, options: Subnetworks, method: Method = "reds") -> Choice:
    """Widths of nested subnetworks, one for each budget: by the exact knapsack over true costs, or uniform."""
    if method.startswith("uniform"):
        return Choice(method, tuple(uniform_widths(graph, [int(b * graph.macs()) for b in options.budgets],
                                                   step=options.step, rules=options.rules)), None)
    problem, limits = _problem(graph, sorted_scores, options)
    solution = solve_nested(problem, limits, order=options.order)
    widths = [s.widths for s in solution.solutions]
    if options.budgets[-1] == 1.0 and options.peak_memory_bytes is None:
        widths[-1] = problem.full_widths  # of equal values the solver takes the cheapest, and would drop dead units
    return Choice(method, tuple(widths), solution)


def _problem(
    graph: ChannelGraph, sorted_scores: Scores, options: Subnetworks
) -> tuple[WidthProblem, list[dict[str, float]]]:
    """The width problem, and the capacities of each subnetwork."""
    bounds: dict[str, float] = {}
    if options.peak_memory_bytes is not None:
        bounds["peak_memory_bytes"] = options.peak_memory_bytes
    problem = width_problem(graph, sorted_scores, value=options.value, floor=options.floor, step=options.step,
                            cost=options.cost, resources=("macs", *bounds), rules=options.rules)
    full = problem.cost("macs", problem.full_widths)
    return problem, [{"macs": int(b * full), **bounds} for b in options.budgets]


def judge(
    network: NestedNetwork, graph: ChannelGraph, data: DataSet | StreamedData, options: Subnetworks, choice: Choice, *,
    train_seconds: float, objective: Objective | None = None,
) -> MethodResult:
    """Read the metric, on validation and (once, at the end) on test data."""
    measured = [evaluate(network.model, network.params, network.batch_stats, network.widths, split, objective=objective,
                         normalise=data.normalise) for split in (data.validation, data.test)]
    metric = measured[0][0].reported
    full = graph.macs()
    subnetworks = tuple(
        SubnetworkResult(budget, macs, macs / full, graph.param_bytes(w), graph.peak_memory_bytes(w), w.values_tuple(),
                         metric.name, on_validation.metric, on_test.metric, on_test.loss)
        for budget, macs, w, on_validation, on_test in zip(options.budgets, network.macs, network.widths, *measured,
                                                            strict=True))
    solved = choice.solution
    if solved is None:
        return MethodResult(choice.method, metric, subnetworks, None, None, None, train_seconds)
    return MethodResult(choice.method, metric, subnetworks, solved.certificate, solved.proven_optimal, solved.seconds,
                        train_seconds)

