"""How the widths of the subnetworks are chosen, from sorted scores: by the exact knapsack, or as the rivals do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from reds_jax import importance
from reds_jax.baselines import live_uniform_widths
from reds_jax.checks import integer, number, one_of, several
from reds_jax.cost import width_problem
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.knapsack import NestedSolution, WidthProblem, solve_nested
from reds_jax.knapsack.exact import explain
from reds_jax.knapsack.values import check_gamma
from reds_jax.layer_rules import LayerRule
from reds_jax.learned import Amplitudes

Scores = dict[str, np.ndarray]
Value = Literal["ces", "learned", "log_retention", "sum"]
Method = Literal["reds", "uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude"]
METHODS: tuple[Method, ...] = ("reds", "uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude")


@dataclass(frozen=True)
class Subnetworks:
    """How the subnetworks are chosen.

    Args:
        budgets: MACs of each subnetwork as fractions of the full network's; 1.0 is the full network.
        importance: how units are scored and sorted, see `reds_jax.importance.score`.
        scoring_batches: mini-batches of training data that the scores are computed on.
        value: what the knapsack maximises, from the importance that every group retains: ces (keeping little of one group is
            ever dearer), learned (the same with an amplitude for each group, fitted to the losses of sampled widths), the
            product (log_retention), or the sum.
        gamma: of ces: how much dearer; 0 is log_retention.
        samples: widths whose losses are measured for learned, over all budgets below 1.
        floor: smallest width of a group, as a fraction of it; one unit by default, which ces does not come near.
        step: widths are multiples of this (4, 8 or 16 where kernels want it).
        order: joint, or the paper's bottom_up or top_down.
        cost: true MACs, or the paper's fixed full fan-in.
        peak_memory_bytes: bound on the activation memory of every subnetwork; none by default.
        rules: for single layers by path pattern, ``"block_*/conv:floor=0.5,multiple_of=8"`` or ``"stem:exclude"``; see
            `reds_jax.layer_rules.LayerRule`.
        before_training: report what every subnetwork does before the nested training as well, on validation data: with batch
            statistics of its own, and with repaired consumers besides, see `reds_jax.repair`.
    """

    budgets: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    importance: importance.Method = "explained"
    scoring_batches: int = 100
    value: Value = "ces"
    gamma: float = 2.0
    samples: int = 200
    floor: float = 0.0
    step: int = 1
    order: Literal["joint", "bottom_up", "top_down"] = "joint"
    cost: Literal["true", "full_fan_in"] = "true"
    peak_memory_bytes: int | None = None
    rules: tuple[str, ...] = ()
    before_training: bool = False

    def __post_init__(self) -> None:
        ascending = "distinct numbers in (0, 1], ascending, for example 0.25 0.5 0.75 1.0"
        budgets = tuple(number("a budget", b, 0, 1, above=True) for b in several("budgets", self.budgets, ascending))
        if not budgets or list(budgets) != sorted(set(budgets)):
            raise InvalidArgumentError("the budgets are not ascending fractions of the full MACs", got=self.budgets,
                                       allowed=ascending)
        object.__setattr__(self, "budgets", budgets)
        object.__setattr__(self, "rules", several("rules", self.rules, "rules for single layers"))
        for name, allowed in (("importance", importance.METHODS), ("value", get_args(Value)),
                              ("order", ("joint", "bottom_up", "top_down")), ("cost", ("true", "full_fan_in"))):
            one_of(name, getattr(self, name), allowed)
        check_gamma(self.gamma)
        integer("samples", self.samples, 8)
        integer("scoring_batches", self.scoring_batches, 1)
        integer("step", self.step, 1)
        number("floor", self.floor, 0, 1)
        if self.peak_memory_bytes is not None:
            integer("peak_memory_bytes", self.peak_memory_bytes, 1)
        for rule in self.rules:
            LayerRule.parse(rule)


@dataclass(frozen=True)
class Choice:
    """Nested widths, ascending; ``solution`` is the solver's answer with its certificate, None for uniform widths."""

    method: Method
    widths: tuple[tuple[int, ...], ...]
    solution: NestedSolution | None


def for_method(method: Method, options: Subnetworks) -> Subnetworks:
    """The options with what a rival changes of them."""
    changes: dict[str, dict[str, Any]] = {
        "reds": {}, "uniform_sorted": {}, "uniform_live": {}, "uniform_unsorted": {}, "magnitude": {"importance": "l1"},
        "paper": {"importance": "taylor", "value": "sum", "floor": 0.0, "order": "bottom_up"},
    }
    one_of("method", method, METHODS)
    return replace(options, **changes[method])


def choose_widths(
    graph: ChannelGraph, sorted_scores: Scores, options: Subnetworks, method: Method = "reds",
    amplitudes: Amplitudes | None = None,
) -> Choice:
    """Widths of nested subnetworks, one for each budget: by the exact knapsack over true costs, or uniform.

    Without ``amplitudes`` the value ``learned`` is ``ces``.
    """
    if method.startswith("uniform"):
        live = sorted_scores if method == "uniform_live" else {}
        return Choice(method, tuple(live_uniform_widths(graph, live, [int(b * graph.macs()) for b in options.budgets],
                                                        step=options.step, rules=options.rules)), None)
    problem, limits = _problem(graph, sorted_scores, options, amplitudes)
    solution = solve_nested(problem, limits, order=options.order)
    widths = [s.widths for s in solution.solutions]
    if options.budgets[-1] == 1.0 and options.peak_memory_bytes is None:
        widths[-1] = problem.full_widths  # of equal values the solver takes the cheapest, and would drop dead units
    return Choice(method, tuple(widths), solution)


def _problem(
    graph: ChannelGraph, sorted_scores: Scores, options: Subnetworks, amplitudes: Amplitudes | None = None
) -> tuple[WidthProblem, list[dict[str, float]]]:
    """The width problem, and the capacities of each subnetwork."""
    bounds: dict[str, float] = {}
    if options.peak_memory_bytes is not None:
        bounds["peak_memory_bytes"] = options.peak_memory_bytes
    given: Any = "ces" if options.value == "learned" else options.value
    problem = width_problem(graph, sorted_scores, value=given if amplitudes is None else amplitudes.values(sorted_scores),
                            gamma=options.gamma, floor=options.floor, step=options.step, cost=options.cost,
                            resources=("macs", *bounds), rules=options.rules)
    if amplitudes is not None:
        problem = replace(problem, gamma=amplitudes.gamma)
    full = problem.cost("macs", problem.full_widths)
    return problem, [{"macs": int(b * full), **bounds} for b in options.budgets]


def check_budgets(graph: ChannelGraph, options: Subnetworks, method: Method = "reds") -> None:
    """Whether the budgets can be met, which does not depend on the weights.

    Every cost grows with the widths, so the smallest widths that are allowed have to meet the smallest budget.

    Raises:
        InfeasibleError: no widths meet it.
    """
    if method.startswith("uniform"):
        choose_widths(graph, {}, options, method)
        return
    problem, (smallest, *_) = _problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, options)
    costs = problem.costs(tuple(widths[0] for widths in problem.widths))
    if any(costs[name] > limit for name, limit in smallest.items()):
        raise explain(problem, smallest)
