"""From a channel graph and sorted scores to a width problem: true costs as integer tables. Imports no jax.

A layer costs ``factor * (c + sum_g k_g n_g) * (d + sum_h l_h n_h)`` MACs: a product of linear forms in the widths, expanded
into tables over one or two groups. Peak memory is one table per step of the schedule.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from reds_jax.checks import integer, number, several
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph, Size
from reds_jax.knapsack import Table, WidthProblem, ces, log_retention, pair_sum, prefix_sum
from reds_jax.layer_rules import LayerRule, allowed

RESOURCES = ("macs", "param_bytes", "peak_memory_bytes")
Scores = Mapping[str, np.ndarray]
KernelScores = Mapping[tuple[str, str], np.ndarray]


@runtime_checkable
class MeasuredCost(Protocol):
    """What makes tables of a cost for any allowed widths, such as `reds_jax.deploy.latency.LatencyTable`."""

    def tables(self, graph: ChannelGraph, widths: Sequence[Sequence[int] | np.ndarray]) -> Sequence[Table]:
        """The tables over the allowed widths of every group, in the order of ``graph.groups``; their sum is the cost."""
        ...


def width_problem(
    graph: ChannelGraph,
    scores: Scores,
    *,
    value: Literal["log_retention", "sum", "ces"] | Mapping[str, Sequence[float] | np.ndarray] = "ces",
    gamma: float = 2.0,
    step: int = 1,
    floor: float | int | Mapping[str, int] = 0.0,
    resources: Sequence[str] = ("macs",),
    cost: Literal["true", "full_fan_in"] = "true",
    kernel_scores: KernelScores | None = None,
    kernel_score: Literal["first", "best"] = "first",
    extra_resources: Mapping[str, Sequence[Table] | MeasuredCost] | None = None,
    rules: Sequence[LayerRule | str] = (),
    bypass: Mapping[str, float] | None = None,
) -> WidthProblem:
    """The problem of choosing the widths of a network's channel groups.

    maximise ``sum_i V_i(n_i)`` subject to the capacities on the resources, with n_i from the allowed widths.

    Args:
        graph: from `reds_jax.trace`.
        scores: importance per unit in DESCENDING order, {group: [size]} (the network is permuted already).
        value: of keeping n units, with prefix sums S_i and R_i(n) = S_i(n) / S_i(U), the share of the importance that is kept:
            ``"log_retention"``: ``log R_i(n)``, which ignores the scale of a layer and punishes starving it; ``"ces"``:
            ``(1 - R_i(n)^-gamma) / gamma``, which punishes it more and needs no floor (`reds_jax.knapsack.ces`); ``"sum"``:
            ``S_i(n)`` (Corti et al. 2023); or a table of your own, {group: value of width 1 .. U}.
        gamma: of ``"ces"``.
        step: widths are multiples of this (and the full width): 4, 8 or 16 where kernels want it.
        floor: smallest width, as a fraction of the group, an integer for all, or {group: integer}.
        resources: any of ``"macs"``, ``"param_bytes"``, ``"peak_memory_bytes"`` (a maximum over the schedule).
        cost: ``"true"``, or ``"full_fan_in"``: a unit is charged for the full width of the layer before it, as the paper's
            published accounting does. It overstates the cost of a subnetwork; it is there to reproduce the paper.
        kernel_scores: from `reds_jax.importance.kernel_scores`; with ``value="sum"`` a group that reads another group is
            valued by its kernels, a pair table, instead of by its units.
        kernel_score: ``"first"``: the kernels that a prefix deploys; ``"best"``: the paper's DS-CNN objective, which counts
            the best kernels of each filter although a prefix cannot choose them.
        extra_resources: further tables over widths, or what makes them: ``{"latency_us": table}`` with a `LatencyTable` of
            `reds_jax.deploy.latency`.
        rules: for single layers by path pattern, see `reds_jax.layer_rules.LayerRule`.
        bypass: beta of groups that have one, from `reds_jax.run.bypass`: R is then ``beta + (1 - beta) S(n) / S(U)``.
    """
    resources = several("resources", resources, ", ".join(RESOURCES))
    if unknown := sorted(set(map(str, resources)) - set(RESOURCES)):
        raise InvalidArgumentError("unknown resource", got=unknown, allowed=", ".join(RESOURCES),
                                   hint="A table of your own goes into extra_resources.")
    if not graph.groups:
        raise InvalidArgumentError("the network has no channel group whose width could be chosen",
                                   hint=graph.summary())
    if cost not in ("true", "full_fan_in"):
        raise InvalidArgumentError("unknown cost", got=cost, allowed="'true', 'full_fan_in'")
    if not isinstance(scores, Mapping):
        raise InvalidArgumentError("the scores are no mapping", got=type(scores).__name__, allowed="{group name: [group size]}")
    floors = [_floor(floor, g.name, g.size) for g in graph.groups]
    widths = [np.asarray(w) for w in allowed(graph, step=step, floor=floors, rules=rules)]
    build = _Tables(graph, widths)
    tables: dict[str, tuple[Table, ...]] = {}
    peaks: dict[str, tuple[Table, ...]] = {}
    if "macs" in resources:
        full = [g.size for g in graph.groups]
        for layer in graph.layers:
            sizes = layer.sizes
            if cost == "full_fan_in" and len(sizes) == 2 and sizes[1].terms:
                sizes = (Size(sizes[0](full)), sizes[1])
            build.add(layer.factor, sizes)
        tables["macs"] = build.take()
    if "param_bytes" in resources:
        for p in graph.parameters:
            if p.path.startswith("params/"):
                build.add(p.itemsize, [p.size(i) for i in range(len(p.shape))])
        tables["param_bytes"] = build.take()
    if "peak_memory_bytes" in resources:
        peaks["peak_memory_bytes"] = build.peak([s.alive_bytes for s in graph.schedule])
    for name, extra in (extra_resources or {}).items():
        tables[name] = tuple(extra if isinstance(extra, Sequence) else extra.tables(graph, [w.tolist() for w in widths]))
    values = _values(graph, scores, widths, value, gamma, kernel_scores, kernel_score, bypass or {})
    return WidthProblem(tuple(g.name for g in graph.groups), tuple(tuple(w.tolist()) for w in widths), values, tables, peaks,
                        gamma={"log_retention": 0.0, "ces": gamma}.get(value) if isinstance(value, str) else None)


def _floor(floor: float | int | Mapping[str, int], name: str, size: int) -> int:
    if isinstance(floor, Mapping):
        return integer(f"the floor of {name!r}", floor.get(name, 1), 0)
    if isinstance(floor, numbers.Integral):
        return min(integer("a floor", floor, 0), size)
    if not 0 <= number("a floor", floor, 0) <= 1:
        raise InvalidArgumentError("a floor is out of range", got=floor, allowed="a fraction in [0, 1], or an integer")
    return max(1, math.ceil(floor * size))


def _values(graph, scores, widths, value, gamma, kernel_scores, kernel_score, bypass) -> tuple[Table, ...]:
    if isinstance(value, Mapping):
        return tuple(Table((g.name,), np.asarray(_of(value, g.name, g.size))[w - 1])
                     for g, w in zip(graph.groups, widths, strict=True))
    tables = {"log_retention": log_retention, "sum": prefix_sum, "ces": partial(ces, gamma=gamma)}
    if value not in tables:
        raise InvalidArgumentError("unknown value", got=value, allowed="'ces', 'log_retention', 'sum', or {group: table}")
    if kernel_scores is not None and value != "sum":
        raise InvalidArgumentError("kernel scores need value='sum'", got=value)
    index = {g.name: i for i, g in enumerate(graph.groups)}
    pairs = kernel_scores or {}
    found = [Table((before, name), pair_sum(matrix, kernel_score=kernel_score, previous_widths=widths[index[before]],
                                            widths=widths[index[name]]))
             for (before, name), matrix in pairs.items()]
    by_pair = {name for _, name in pairs}
    around = {} if value == "sum" else {name: {"bypass": beta} for name, beta in bypass.items()}
    found += [Table((g.name,), tables[value](_of(scores, g.name, g.size), w, **around.get(g.name, {})))
              for g, w in zip(graph.groups, widths, strict=True) if g.name not in by_pair]
    return tuple(found)


def _of(by_group: Mapping[str, Sequence[float] | np.ndarray], name: str, size: int) -> Sequence[float] | np.ndarray:
    if name not in by_group or len(by_group[name]) != size:
        raise InvalidArgumentError(f"group {name!r} needs {size} numbers, one per unit",
                                   got=len(by_group[name]) if name in by_group else "nothing")
    return by_group[name]


class _Tables:
    """Integer tables by groups, summed as they come: as monomials in the widths, of one or more groups each."""

    def __init__(self, graph: ChannelGraph, widths: list[np.ndarray]) -> None:
        self._names = [g.name for g in graph.groups]
        self._widths = widths
        self._sums: dict[tuple[int, ...], int] = {}

    def add(self, factor: int, sizes: Sequence[Size]) -> None:
        """Add ``factor * product of sizes``, expanded into monomials in the widths."""
        monomials: dict[tuple[int, ...], int] = {(): factor}
        for size in sizes:
            parts = [((), size.constant), *(((g,), k) for g, k in size.terms)]
            product: dict[tuple[int, ...], int] = {}
            for groups, a in monomials.items():
                for more, b in parts:
                    key = tuple(sorted(groups + more))
                    product[key] = product.get(key, 0) + a * b
            monomials = {key: a for key, a in product.items() if a}
        for groups, coefficient in monomials.items():
            self._sums[groups] = self._sums.get(groups, 0) + coefficient

    def take(self) -> tuple[Table, ...]:
        """The tables so far; start again."""
        sums, self._sums = self._sums, {}
        by_groups: dict[tuple[int, ...], list[tuple[int, tuple[int, ...]]]] = {}
        for groups, coefficient in sums.items():
            over = tuple(dict.fromkeys(groups)) or (0,)  # a constant cost goes to the first group
            by_groups.setdefault(over, []).append((coefficient, tuple(groups.count(g) for g in over)))
        return tuple(self._table(over, monomials) for over, monomials in by_groups.items())

    def peak(self, steps: Sequence[Size]) -> tuple[Table, ...]:
        """One table per step that no other step dominates."""
        found = []
        for size in dict.fromkeys(s for s in steps if not any(_dominates(t, s) for t in steps)):
            over = tuple(g for g, _ in size.terms) or (0,)
            one = tuple(0 for _ in over)
            linear = [(k, tuple(int(g == h) for h in over)) for g, k in size.terms]
            found.append(self._table(over, [(size.constant, one), *linear]))
        return tuple(found)

    def _table(self, over: tuple[int, ...], monomials: Sequence[tuple[int, tuple[int, ...]]]) -> Table:
        """The sum of ``coefficient * product of width ** power`` over some groups."""
        products = [[self._widths[g] ** power for g, power in zip(over, powers, strict=True)] for _, powers in monomials]
        for product, (coefficient, _) in zip(products, monomials, strict=True):
            product[0] = product[0] * coefficient
        return Table.of_products([self._names[g] for g in over], products)


def _dominates(a: Size, b: Size) -> bool:
    """Whether ``a`` is at least ``b`` at every width, and not the same."""
    more = dict(a.terms)
    return a != b and a.constant >= b.constant and all(more.get(g, 0) >= k for g, k in b.terms)
