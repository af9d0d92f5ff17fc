"""How the widths of the subnetworks are chosen, from sorted scores: by the exact knapsack, or as the rivals do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from reds_jax import importance
from reds_jax.baselines import live_units, uniform_widths
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
        budgets: MACs of each subnetwork as fractions of the full network's; 1.0 is the full network, if it meets all bounds.
        base_macs: MACs that the budgets are fractions of; by default the full network's, of a wider one its base's (`within`).
        importance: how units are scored and sorted, see `reds_jax.importance.score`.
        scoring_batches: mini-batches of training data that the scores are computed on.
        value: what the knapsack maximises, from the importance that every group retains: ces (keeping little of one group is
            ever dearer), learned (the same with an amplitude for each group, fitted to the losses of sampled widths, where that
            ranks widths better than ces does), the product (log_retention), or the sum. What a group retains counts what goes
            around it (`reds_jax.run.bypass`), but for the sum.
        gamma: of ces: how much dearer; 0 is log_retention.
        samples: widths whose losses are measured for learned, over all budgets below 1.
        supernet: for learned, this share of the epochs of nested training (rounded) first trains the full network and random
            widths near the budgets, so that losses of widths are those of trained ones; see `reds_jax.supernet`. 0: the losses
            are measured on the given network.
        floor: smallest width of a group, as a fraction of it; one unit by default, which ces does not come near.
        step: widths are multiples of this (4, 8 or 16 where kernels want it).
        order: joint, or the paper's bottom_up or top_down.
        cost: true MACs, or the paper's fixed full fan-in.
        weight_bytes: bound on the parameters of the largest subnetwork, which are what is stored; none by default.
        peak_memory_bytes: bound on the activation memory of every subnetwork; none by default.
        rules: for single layers by path pattern, ``"block_*/conv:floor=0.5,multiple_of=8"`` or ``"stem:exclude"``; see
            `reds_jax.layer_rules.LayerRule`.
        before_training: report what every subnetwork does before the nested training as well, on validation data: with batch
            statistics of its own, and with repaired consumers besides, see `reds_jax.repair`.
    """

    budgets: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    base_macs: int | None = None
    importance: importance.Method = "explained"
    scoring_batches: int = 100
    value: Value = "ces"
    gamma: float = 2.0
    samples: int = 120
    supernet: float = 0.0
    floor: float = 0.0
    step: int = 1
    order: Literal["joint", "bottom_up", "top_down"] = "joint"
    cost: Literal["true", "full_fan_in"] = "true"
    weight_bytes: int | None = None
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
        number("supernet", self.supernet, 0, 1)
        integer("scoring_batches", self.scoring_batches, 1)
        integer("step", self.step, 1)
        number("floor", self.floor, 0, 1)
        for name in ("base_macs", "weight_bytes", "peak_memory_bytes"):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1)
        for rule in self.rules:
            LayerRule.parse(rule)

    def within(self, base: ChannelGraph) -> Subnetworks:
        """The options of a wider network that is to cost no more than ``base``.

        Budgets are fractions of the base's MACs, and the largest subnetwork has at most its bytes of parameters. So widths can
        grow beyond the base at equal cost (AutoSlim; Yu and Huang 2019, arXiv 1903.11728).

        Args:
            base: from `reds_jax.trace`.
        """
        stored = base.param_bytes()
        return replace(self, base_macs=base.macs(),
                       weight_bytes=stored if self.weight_bytes is None else min(stored, self.weight_bytes))

    def whole_macs(self, graph: ChannelGraph) -> int:
        """The MACs that the budgets are fractions of: those of the base, or of the full network."""
        return graph.macs() if self.base_macs is None else self.base_macs


@dataclass(frozen=True)
class Choice:
    """Nested widths, ascending; ``solution`` is the solver's answer with its certificate, None for uniform widths.

    Args:
        method: how they were chosen.
        widths: of each subnetwork.
        solution: of the solver.
        whole_macs: what the budgets are fractions of.
    """

    method: Method
    widths: tuple[tuple[int, ...], ...]
    solution: NestedSolution | None
    whole_macs: int


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
    amplitudes: Amplitudes | None = None, bypass: Mapping[str, float] | None = None,
) -> Choice:
    """Widths of nested subnetworks, one for each budget: by the exact knapsack over true costs, or uniform.

    Without ``amplitudes`` the value ``learned`` is ``ces``. Uniform widths meet the same bounds; the floor is not for them.
    """
    if method.startswith("uniform"):
        problem, limits = _problem(graph, _alike(graph), replace(options, floor=0.0))
        units = {g.name: g.size for g in graph.groups} | (live_units(sorted_scores) if method == "uniform_live" else {})
        return Choice(method, tuple(uniform_widths(problem, limits, units=units)), None, options.whole_macs(graph))
    problem, limits = _problem(graph, sorted_scores, options, amplitudes, bypass)
    solution = solve_nested(problem, limits, order=options.order)
    widths = [s.widths for s in solution.solutions]
    full = problem.costs(problem.full_widths)
    if options.budgets[-1] == 1.0 and all(full[name] <= limit for name, limit in limits[-1].items()):
        widths[-1] = problem.full_widths  # of equal values the solver takes the cheapest, and would drop dead units
    return Choice(method, tuple(widths), solution, options.whole_macs(graph))


def _alike(graph: ChannelGraph) -> Scores:
    """Scores where none matter."""
    return {g.name: np.ones(g.size) for g in graph.groups}


def _problem(
    graph: ChannelGraph, sorted_scores: Scores, options: Subnetworks, amplitudes: Amplitudes | None = None,
    bypass: Mapping[str, float] | None = None,
) -> tuple[WidthProblem, list[dict[str, float]]]:
    """The width problem, and the capacities of each subnetwork: what bounds the largest bounds those within it."""
    given = {"param_bytes": options.weight_bytes, "peak_memory_bytes": options.peak_memory_bytes}
    bounds = {name: limit for name, limit in given.items() if limit is not None}
    value: Any = "ces" if options.value == "learned" else options.value
    if amplitudes is not None:
        value = amplitudes.values(sorted_scores, bypass)
    problem = width_problem(graph, sorted_scores, value=value, gamma=options.gamma, floor=options.floor, step=options.step,
                            cost=options.cost, resources=("macs", *bounds), rules=options.rules, bypass=bypass)
    if amplitudes is not None:
        problem = replace(problem, gamma=amplitudes.gamma)
    return problem, [{"macs": int(b * options.whole_macs(graph)), **bounds} for b in options.budgets]


def check_budgets(graph: ChannelGraph, options: Subnetworks, method: Method = "reds") -> None:
    """Whether the budgets can be met, which does not depend on the weights.

    Every cost grows with the widths, so the smallest widths that are allowed have to meet the smallest budget.

    Raises:
        InfeasibleError: no widths meet it.
    """
    if method.startswith("uniform"):
        choose_widths(graph, {}, options, method)
        return
    problem, (smallest, *_) = _problem(graph, _alike(graph), options)
    costs = problem.costs(problem.smallest_widths)
    if any(costs[name] > limit for name, limit in smallest.items()):
        raise explain(problem, smallest)
