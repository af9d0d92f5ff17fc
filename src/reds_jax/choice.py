"""How the widths of the subnetworks are chosen, from sorted scores: by the exact knapsack, or as the rivals do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from reds_jax import importance
from reds_jax.baselines import live_units, uniform_widths
from reds_jax.checks import integer, number, one_of, several
from reds_jax.cost import width_problem
from reds_jax.deploy.latency.table import LatencyTable
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.knapsack import NestedSolution, WidthProblem, solve, solve_nested
from reds_jax.knapsack.values import check_gamma
from reds_jax.layer_rules import LayerRule
from reds_jax.learned import Amplitudes
from reds_jax.report import Predicted

Scores = dict[str, np.ndarray]
Value = Literal["ces", "learned", "log_retention", "sum"]
Method = Literal["reds", "uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude"]
METHODS: tuple[Method, ...] = ("reds", "uniform_sorted", "uniform_live", "uniform_unsorted", "paper", "magnitude")


@dataclass(frozen=True)
class Subnetworks:
    """How the subnetworks are chosen.

    A subnetwork of budget b costs at most ``b M`` MACs; with a latency table L its widths n also obey ``L(n) <= b L_0``, in
    microseconds or instructions. M and L_0 are what the full network costs, or ``base_macs`` and ``base_latency``.

    Args:
        budgets: MACs of each subnetwork as fractions of the full network's, and, with a latency table, what it costs by that
            as well; 1.0 is the full network, if it meets all bounds.
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
        latency_table: file of what ``reds deploy latency`` measured of this network, in microseconds or instructions: every
            budget holds for that too. Widths are no smaller than the smallest that was measured; choose the multiples that
            were, which is step=4 unless the table was asked for others. None by default.
        base_latency: what the table's budgets are fractions of, in its unit: a deadline, say. By default what it says of the
            full network; of a wider one, of its base (`within`).
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
    latency_table: Path | None = None
    base_latency: float | None = None
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
        if self.latency_table is not None and not isinstance(self.latency_table, (str, Path)):
            raise InvalidArgumentError("latency_table is no file", got=type(self.latency_table).__name__, allowed="a path")
        if self.base_latency is not None:
            number("base_latency", self.base_latency, 0, above=True)
            if self.latency_table is None:
                raise InvalidArgumentError("base_latency has no latency table", got=self.base_latency,
                                           allowed="base_latency with latency_table")
        for rule in self.rules:
            LayerRule.parse(rule)

    def within(self, base: ChannelGraph) -> Subnetworks:
        """The options of a wider network that is to cost no more than ``base``.

        Budgets are fractions of the base's MACs, and the largest subnetwork has at most its bytes of parameters. So widths can
        grow beyond the base at equal cost (AutoSlim; Yu and Huang 2019, arXiv 1903.11728). A latency table is of the wider
        network; the base costs what it says of the base's widths, unless ``base_latency`` says otherwise.

        Args:
            base: from `reds_jax.trace`.

        Raises:
            CheckpointError: the file of the latency table is not there, or holds none.
            InvalidArgumentError: it is of a network that does not contain the base.
        """
        stored, table = base.param_bytes(), self.read_table()
        return replace(self, base_macs=base.macs(),
                       weight_bytes=stored if self.weight_bytes is None else min(stored, self.weight_bytes),
                       base_latency=self.base_latency if table is None or self.base_latency is not None
                       else table.narrower(base).cost(base, 1.0))

    def whole_macs(self, graph: ChannelGraph) -> int:
        """The MACs that the budgets are fractions of: those of the base, or of the full network."""
        return graph.macs() if self.base_macs is None else self.base_macs

    def read_table(self, graph: ChannelGraph | None = None) -> LatencyTable | None:
        """The latency table, None where there is none; see `reds_jax.deploy.latency.LatencyTable.load`."""
        return None if self.latency_table is None else LatencyTable.load(self.latency_table, graph)

    def whole_latency(self, graph: ChannelGraph, table: LatencyTable) -> float:
        """What the budgets are fractions of, in the unit of the table: what the base costs, or the full network."""
        return table.cost(graph, 1.0) if self.base_latency is None else self.base_latency


@dataclass(frozen=True)
class Choice:
    """Nested widths, ascending; ``solution`` is the solver's answer with its certificate, None for uniform widths.

    Args:
        method: how they were chosen.
        widths: of each subnetwork.
        solution: of the solver.
        whole_macs: what the budgets are fractions of.
        predicted: what each subnetwork costs by the latency table, if there is one.
    """

    method: Method
    widths: tuple[tuple[int, ...], ...]
    solution: NestedSolution | None
    whole_macs: int
    predicted: tuple[Predicted, ...] | None = None

    @classmethod
    def of(
        cls, graph: ChannelGraph, options: Subnetworks, method: Method, widths: Sequence[Sequence[int]],
        solution: NestedSolution | None = None,
    ) -> Choice:
        """The choice of these widths, with what the options have them compared with."""
        predicted = None
        if (table := options.read_table(graph)) is not None:
            whole, costs = options.whole_latency(graph, table), [table.cost(graph, w) for w in widths]
            predicted = tuple(Predicted(table.unit, cost, cost / whole) for cost in costs)
        return cls(method, tuple(tuple(w) for w in widths), solution, options.whole_macs(graph), predicted)


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
        return Choice.of(graph, options, method, uniform_widths(problem, limits, units=units))
    problem, limits = _problem(graph, sorted_scores, options, amplitudes, bypass)
    solution = solve_nested(problem, limits, order=options.order)
    widths = [s.widths for s in solution.solutions]
    full = problem.costs(problem.full_widths)
    if options.budgets[-1] == 1.0 and all(full[name] <= limit for name, limit in limits[-1].items()):
        widths[-1] = problem.full_widths  # of equal values the solver takes the cheapest, and would drop dead units
    return Choice.of(graph, options, method, widths, solution)


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
    table, floor = options.read_table(graph), options.floor
    if table is not None:
        measured = table.smallest(graph)
        floor = {g.name: max(measured[g.name], math.ceil(options.floor * g.size)) for g in graph.groups}
    problem = width_problem(graph, sorted_scores, value=value, gamma=options.gamma, floor=floor, step=options.step,
                            cost=options.cost, resources=("macs", *bounds), rules=options.rules, bypass=bypass,
                            extra_resources={} if table is None else {table.unit: table})
    if amplitudes is not None:
        problem = replace(problem, gamma=amplitudes.gamma)
    whole = {} if table is None else {table.unit: options.whole_latency(graph, table)}
    return problem, [{"macs": int(b * options.whole_macs(graph)), **{unit: b * cost for unit, cost in whole.items()}, **bounds}
                     for b in options.budgets]


def check_budgets(graph: ChannelGraph, options: Subnetworks, method: Method = "reds") -> None:
    """Whether the budgets can be met, which does not depend on the weights.

    The smallest budget is met by the smallest widths that are allowed if by any: all costs grow with the widths, but for those
    of a latency table, where the solver decides.

    Raises:
        InfeasibleError: no widths meet it.
        CheckpointError: the file of the latency table is not there, or holds none.
        InvalidArgumentError: it is of another network.
    """
    if method.startswith("uniform"):
        choose_widths(graph, {}, options, method)
        return
    problem, (smallest, *_) = _problem(graph, _alike(graph), options)
    costs = problem.costs(problem.smallest_widths)
    if any(costs[name] > limit for name, limit in smallest.items()):
        solve(problem, smallest)
