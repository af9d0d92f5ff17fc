"""The instances of ``theory.py``: drawn, solved in every order, and compared with what is proved about them.

In the additive settings a case is a set of items, or a width problem that is one: if every unit beyond the smallest widths
costs the same as the others of its group and none is worth more than the one before, the prefix constraint costs nothing
and the theorems of ``reds_jax.theory.bounds`` hold. With products of widths as costs none of them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, eye_array, kron

from reds_jax import models
from reds_jax.cost import width_problem
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.knapsack import WidthProblem, solve_nested
from reds_jax.theory import (
    Chain,
    Instance,
    bilinear_instance,
    bilinear_ratios,
    bottom_up,
    bounds,
    joint_optimum,
    optimum,
    tight_instance,
    top_down,
)

SETTINGS = {
    "random": "random items",
    "tight_bottom_up": "near-tight for bottom-up",
    "tight_top_down": "near-tight for top-down",
    "models_additive": "models, additive cost",
    "models_true": "models, true MACs",
    "bilinear": "worst case of bilinear cost",
}
ADDITIVE = ("random", "tight_bottom_up", "tight_top_down", "models_additive")
METHODS = {"bottom_up": "bottom-up", "top_down": "top-down", "best": "best of both", "joint": "joint"}

# the input of each model, and the step of its widths
MODELS: dict[str, tuple[tuple[int, ...], int]] = {
    "dnn_s": ((250,), 1), "cnn_s": ((49, 10, 1), 1), "ds_cnn_s": ((49, 10, 1), 1), "resnet8": ((32, 32, 3), 4),
    "mobilenet_v1": ((96, 96, 3), 8),
}  # fmt: skip
LARGEST = Fraction(3, 4)  # of the cost beyond the smallest widths: the last capacity of the models
NODES = 50  # of the branch and bound for the joint optimum of many stages


@dataclass(frozen=True)
class Case:
    """One instance, what every method reached on it, and what is proved.

    Attributes:
        setting: a key of ``SETTINGS``.
        label: the instance in words, enough to build it again.
        optima: the separate optimum of each stage, nesting ignored.
        values: for each method the value of each stage.
        proved: for each method the least ratio of each stage that a theorem promises, 0 where none does.
        proved_total: the same for the total over the sum of the optima.
        joint_proven: no nested choice has a larger total than "joint".
    """

    setting: str
    label: str
    optima: tuple[int, ...]
    values: Mapping[str, tuple[int, ...]]
    proved: Mapping[str, tuple[Fraction, ...]]
    proved_total: Mapping[str, Fraction]
    joint_proven: bool

    @property
    def stages(self) -> int:
        """N."""
        return len(self.optima)

    def ratios(self, method: str) -> tuple[Fraction, ...]:
        """The value over the optimum of each stage, 1 where both are 0."""
        return tuple(Fraction(v, o) if o else Fraction(1) for v, o in zip(self.values[method], self.optima, strict=True))

    def total_ratio(self, method: str) -> Fraction:
        """The total value over the sum of the optima."""
        best = sum(self.optima)
        return Fraction(sum(self.values[method]), best) if best else Fraction(1)

    def broken(self) -> list[str]:
        """The promises that this case does not keep: none, unless the library or a proof is wrong."""
        found = [f"{m}, stage {j + 1}" for m in METHODS
                 for j, (r, p) in enumerate(zip(self.ratios(m), self.proved[m], strict=True)) if r < p]
        return found + [f"{m}, total" for m in METHODS if self.total_ratio(m) < self.proved_total[m]]


def draw(setting: str, stages: int, count: int, rng: np.random.Generator, names: Sequence[str]) -> Iterator[Case]:
    """``count`` cases of a setting; for the models so many draws of scores of each of ``names``."""
    for i in range(count):
        if setting == "random":
            yield item_case(setting, *_random_items(stages, rng))
        elif setting in ("tight_bottom_up", "tight_top_down"):
            yield item_case(setting, *_near_tight(setting, i, stages, rng))
        elif setting == "bilinear":
            yield _bilinear_case(i, stages, rng)
        else:
            for name in names:
                yield _model_case(setting, name, stages, rng)


def item_case(setting: str, instance: Instance, limits: tuple[int, ...], label: str = "") -> Case:
    """The case of integer items: every chain is computed in exact arithmetic."""
    chains = {"bottom_up": bottom_up(instance, limits), "top_down": top_down(instance, limits)}
    chains["best"] = max(chains.values(), key=lambda chain: chain.total)
    chains["joint"], proven = _joint(instance, limits, chains["best"])
    text = label or f"weights {_show(instance.weights)}; profits {_show(instance.profits)}; capacities {_show(limits)}"
    optima = tuple(int(optimum(instance, c).value) for c in limits)
    values = {name: tuple(int(v) for v in chain.values) for name, chain in chains.items()}
    return Case(setting, text, optima, values, *promises(instance, limits, optima), proven)


def width_case(setting: str, problem: WidthProblem, limits: Sequence[int], label: str) -> Case:
    """The case of a width problem; promises if its costs are additive, see ``items_of``, or n1 * n2 of two layers."""
    found = {order: solve_nested(problem, limits, order=order) for order in ("bottom_up", "top_down", "joint")}
    found["best"] = max((found["bottom_up"], found["top_down"]), key=lambda solution: sum(solution.values))
    optima = tuple(int(o.value) for o in found["joint"].optima)
    values = {name: tuple(int(v) for v in found[name].values) for name in METHODS}
    if setting in ADDITIVE:
        (resource,) = problem.resources
        always = problem.cost(resource, problem.smallest_widths)
        proved = promises(items_of(problem), tuple(int(c - always) for c in limits), optima)
    elif setting == "bilinear":
        proved = _combined(bilinear_ratios(limits), bilinear_ratios(limits, "top_down"), optima)
    else:
        proved = _nothing(len(limits))
    return Case(setting, label, optima, values, *proved, found["joint"].proven_optimal)


def promises(
    instance: Instance, limits: tuple[int, ...], optima: Sequence[int]
) -> tuple[dict[str, tuple[Fraction, ...]], dict[str, Fraction]]:
    """What T1, T2, T3, T5 and T6 promise for each stage and for the total; 0 where an assumption does not hold.

    A constant that is added to values and optima, as the units that are always there, makes no ratio smaller.
    """
    count = len(limits)
    stage, total = _nothing(count)
    if max(instance.weights, default=0) > limits[0]:
        return stage, total
    down = bounds.top_down_ratios(limits, instance=instance)
    if bounds.granularity_of(instance, limits):
        up = bounds.granular_ratios(limits, instance=instance)
    else:
        up = (Fraction(1), *[Fraction(0)] * (count - 1))
    if count > 1:
        up = (up[0], max(up[1], bounds.bottom_up_ratio(limits[:2], instance=instance)), *up[2:])
    stage, total = _combined(up, down, optima)
    if count == 2:
        either = max(total["best"], bounds.nesting_ratio(limits, instance=instance))
        total |= {"best": either, "joint": either}
    return stage, total


def _combined(
    up: tuple[Fraction, ...], down: tuple[Fraction, ...], optima: Sequence[int]
) -> tuple[dict[str, tuple[Fraction, ...]], dict[str, Fraction]]:
    """What promises for the stages of both orders say of the better order, and of the totals."""
    stage, total = _nothing(len(optima))
    stage |= {"bottom_up": up, "top_down": down, "best": tuple(map(min, up, down))}
    best = sum(optima)
    for name, ratios in (("bottom_up", up), ("top_down", down)):
        total[name] = sum((r * o for r, o in zip(ratios, optima, strict=True)), Fraction(0)) / best if best else Fraction(1)
    either = max(total["bottom_up"], total["top_down"])
    return stage, total | {"best": either, "joint": either}


def items_of(problem: WidthProblem) -> Instance:
    """The items of a width problem with additive costs: for every group its steps beyond the smallest width.

    Raises:
        InvalidArgumentError: if a table spans several groups, the steps of a group cost different amounts, or a step is worth
            more than the one before. The problem is no 0/1 knapsack then.
    """
    ((resource, costs),) = problem.resources.items()
    steps: list[list[np.ndarray]] = []
    for tables in (costs, problem.values):
        sums = [np.zeros(len(w), np.int64) for w in problem.widths]
        for table in tables:
            if len(table.groups) > 1:
                raise InvalidArgumentError(f"the values or the costs {resource!r} are not additive",
                                           got=f"a table over {table.groups}")
            axis = next(iter(table.groups))
            index = axis if isinstance(axis, int) else problem.groups.index(axis)
            sums[index] = sums[index] + table.array
        steps.append([np.diff(s) for s in sums])
    for name, weights, profits in zip(problem.groups, *steps, strict=True):
        if len(set(weights.tolist())) > 1 or (np.diff(profits) > 0).any():
            raise InvalidArgumentError("the steps of a group cost different amounts, or are not worth less and less", got=name)
    weights, profits = (tuple(int(x) for array in arrays for x in array) for arrays in steps)
    return Instance(weights, profits)


def _nothing(stages: int) -> tuple[dict[str, tuple[Fraction, ...]], dict[str, Fraction]]:
    return {name: (Fraction(0),) * stages for name in METHODS}, {name: Fraction(0) for name in METHODS}


def _random_items(stages: int, rng: np.random.Generator) -> tuple[Instance, tuple[int, ...]]:
    """Weights up to an increment; profits drawn alone, or close to the weights."""
    unit, count = 12, stages + 8
    weights = rng.integers(1, unit, size=count, endpoint=True)
    profits = rng.integers(1, 30, size=count, endpoint=True)
    if rng.random() < 0.5:
        profits = 3 * weights + rng.integers(0, 6, size=count, endpoint=True)
    items = Instance(tuple(weights.tolist()), tuple(profits.tolist()))
    return items, tuple(unit * (i + 1) for i in range(stages))


def _near_tight(setting: str, i: int, stages: int, rng: np.random.Generator) -> tuple[Instance, tuple[int, ...]]:
    """A worst-case family at a random profit, every second time with one more item of little worth."""
    profit = int(rng.integers(5, 500))
    if setting == "tight_top_down":
        two = tight_instance("T2", profit=profit)
        tight = two if stages == 2 else tight_instance("T5", stages=stages, profit=profit)
    elif stages == 2:
        tight = tight_instance(("T1", "T6", "T7")[i % 3], profit=profit)
    else:
        tight = tight_instance("T3", stages=stages, granularity=1 + i % 2 if stages < 10 else 1, profit=profit)
    limits = tuple(int(c) for c in tight.capacities)
    items = [(int(w), int(p)) for w, p in zip(tight.instance.weights, tight.instance.profits, strict=True)]
    if i % 2:
        items.append((int(rng.integers(1, max(max(w for w, _ in items), 2))), int(rng.integers(1, 1 + max(profit // 20, 1)))))
    return Instance.of(*items), limits


def _joint(instance: Instance, limits: tuple[int, ...], known: Chain) -> tuple[Chain, bool]:
    """The best chain, and whether that is proven: by states for few stages, else by a MILP with ``NODES`` nodes."""
    if len(limits) <= 4:
        return joint_optimum(instance, limits), True
    stages, count = len(limits), len(instance)
    fits = kron(eye_array(stages), csr_array(np.array(instance.weights, float)[None]))
    nested = kron(csr_array(np.eye(stages - 1, stages) - np.eye(stages - 1, stages, 1)), eye_array(count))
    found = milp(
        -np.tile(np.array(instance.profits, float), stages), integrality=np.ones(stages * count), bounds=Bounds(0, 1),
        constraints=[LinearConstraint(fits, ub=np.array(limits, float)), LinearConstraint(nested, ub=0.0)],  # pyright: ignore
        options={"mip_rel_gap": 0.0, "node_limit": NODES},
    )  # fmt: skip
    if found.x is None:
        return known, False
    rows = np.round(found.x).reshape(stages, count)
    chain = Chain(instance, limits, tuple(tuple(np.flatnonzero(row).tolist()) for row in rows))
    return max(chain, known, key=lambda c: c.total), found.status == 0


def _bilinear_case(i: int, stages: int, rng: np.random.Generator) -> Case:
    """The families on which one order falls to 1/N, alternately for bottom-up and for top-down."""
    units, profit = int(rng.integers(stages + 1, 3 * stages)), int(rng.integers(10, 300))
    order = "top_down" if i % 2 else "bottom_up"
    problem, limits = bilinear_instance(order, stages=stages, units=units, profit=profit)
    return width_case("bilinear", problem, limits, f"bilinear_instance({order!r}, {stages=}, {units=}, {profit=})")


def _model_case(setting: str, name: str, stages: int, rng: np.random.Generator) -> Case:
    """Widths of a model with drawn integer scores: each group has its own scale and its own decay."""
    graph = traced(name)
    scores = {g.name: np.sort(1 + rng.gamma(rng.uniform(0.3, 3), 300 * rng.lognormal(), g.size).astype(np.int64))[::-1]
              for g in graph.groups}
    cost = "full_fan_in" if setting == "models_additive" else "true"
    problem = width_problem(graph, scores, value="sum", floor=0.0, step=MODELS[name][1], cost=cost)
    least, most = (int(problem.cost("macs", w)) for w in (problem.smallest_widths, problem.full_widths))
    unit = int(LARGEST * (most - least) / stages)
    drawn = ", ".join(f"{g} {s.sum()}" for g, s in scores.items())
    limits = [least + unit * (i + 1) for i in range(stages)]
    return width_case(setting, problem, limits, f"{name}, MACs {_show(limits)}; sums of scores: {drawn}")


@cache
def traced(name: str) -> ChannelGraph:
    """The channel graph of a model, from its shapes alone.

    Raises:
        InvalidArgumentError: for a model that the experiment does not have.
    """
    if name not in MODELS:
        raise InvalidArgumentError("the experiment has no such model", got=name, allowed=", ".join(MODELS))
    model, x = models.build(name), jnp.zeros((1, *MODELS[name][0]))
    return trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)


def _show(numbers: Sequence[object]) -> str:
    return " ".join(map(str, numbers))
