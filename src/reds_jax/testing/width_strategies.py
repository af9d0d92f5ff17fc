"""Hypothesis strategies for width problems: the costs and values that networks have, small enough to be enumerated.

``width_chains`` and ``width_graphs`` draw problems, ``width_problems`` both; ``width_cases`` draws problems with capacities for
several nested subnetworks, among them ``near_tight_widths``, on which one order of solving is far from the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple, get_args

import numpy as np

from reds_jax.knapsack import Table, WidthProblem, allowed_widths, ces, log_retention, prefix_sum
from reds_jax.optional import needs

with needs("hypothesis", "a strategy"):
    from hypothesis import strategies as st

Objective = Literal["sum", "log_retention", "ces", "any"]
"""``"any"``: any integers, which need not grow with the width."""
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
GAMMAS = (-1.0, 0.5, 1.0, 2.0)
TOPS = (1, 3, 50, 10**6)


class WidthCase(NamedTuple):
    """A width problem, and for each nested subnetwork its capacities, ascending in every resource."""

    problem: WidthProblem
    capacities: tuple[dict[str, int], ...]


@st.composite
def width_chains(
    draw: st.DrawFn, *, max_groups: int = 4, max_units: int = 5, floats: bool = False, kernels: bool = True
) -> WidthProblem:
    """Chains (``WidthProblem.chain``) of sorted scores: products of neighbours, further resources, a peak, steps, floors.

    Args:
        max_groups: at most as many groups.
        max_units: at most as many units in each.
        floats: scores are floats; else integers.
        kernels: values may be those of kernels, tables over two groups.
    """
    count = draw(st.integers(1, max_groups))
    units = draw(st.lists(st.integers(1, max_units), min_size=count, max_size=count))
    top = draw(st.sampled_from(TOPS))
    number = st.floats(0, top, width=32) if floats else st.integers(0, top)
    scores = [sorted(draw(st.lists(number, min_size=u, max_size=u)), reverse=True) for u in units]
    coefficients = st.lists(st.integers(0, 6), min_size=count, max_size=count)
    resources = {f"r{i}": (draw(coefficients), draw(coefficients)) for i in range(draw(st.integers(0, 2)))}
    peaks = {"peak": (draw(coefficients), draw(coefficients))} if draw(st.booleans()) else {}
    matrices = None
    if kernels and not floats and draw(st.booleans()):
        shapes = list(zip(units, [1, *units[:-1]], strict=True))
        entry = st.integers(0, top)
        matrices = [
            None if draw(st.booleans()) else np.array(draw(st.lists(entry, min_size=a * b, max_size=a * b))).reshape(a, b)
            for a, b in shapes
        ]
    valued: Sequence[Literal["sum", "log_retention"]] = ["sum"] if matrices is not None else ["sum", "log_retention"]
    return WidthProblem.chain(
        scores=scores,
        pair_macs=draw(coefficients),
        unit_macs=draw(coefficients),
        value=draw(st.sampled_from(valued)),
        cost=draw(st.sampled_from(["true", "full_fan_in"])),
        min_width=[draw(st.integers(1, u)) for u in units],
        step=draw(st.integers(1, 3)),
        kernel_scores=matrices,
        kernel_score=draw(st.sampled_from(["first", "best"])),
        resources=resources,
        peaks=peaks,
    )


@st.composite
def width_graphs(
    draw: st.DrawFn, *, max_groups: int = 3, max_units: int = 5, objectives: Sequence[Objective] = OBJECTIVES
) -> WidthProblem:
    """Costs of networks that are no chains: residual ties, concatenations, depthwise layers, fixed ends, maps that shrink.

    A group may be written by several layers (a tie), a layer may read several groups (a concatenation), its own group (a
    block inside a residual) or a fixed input. The resources are "macs", perhaps "param_bytes", and perhaps the peak "memory".

    Args:
        max_groups: at most as many groups.
        max_units: at most as many units in each.
        objectives: how prefixes are valued.
    """
    count = draw(st.integers(1, max_groups))
    widths = [draw(_some_widths(max_units)) for _ in range(count)]
    layers = [([0] * 0, draw(st.integers(1, 3)), 0)]  # groups that are read, fixed channels that are read, the group written
    for target in range(1, count):
        layers.append(([draw(st.integers(0, target - 1))], 0, target))
    for _ in range(draw(st.integers(0, 2))):  # ties, concatenations
        read = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=2, unique=True))
        layers.append((read, draw(st.integers(0, 2)), draw(st.integers(0, count - 1))))
    areas = sorted(draw(st.lists(st.sampled_from([1, 4, 16]), min_size=len(layers), max_size=len(layers))), reverse=True)
    macs, weights, alive = [], [], []
    for (read, fixed, target), area in zip(layers, areas, strict=True):
        kernel = draw(st.sampled_from([1, 9]))
        weights += _layer(widths, read, fixed, target, 4 * kernel)
        macs += _layer(widths, read, fixed, target, area * kernel)
        alive += [Table(target, _of(widths, target) * area + fixed * area)]
        alive += [_pair(widths, g, target, lambda a, b, n=area: (a + b) * n) for g in read if g != target]
    for g in range(count):
        if draw(st.booleans()):  # depthwise, and the bias
            macs.append(Table(g, _of(widths, g) * 9 * areas[min(g, len(areas) - 1)]))
            weights.append(Table(g, _of(widths, g) * 40))
    macs.append(Table(count - 1, _of(widths, count - 1) * draw(st.integers(0, 10))))  # the classes
    resources = {"macs": tuple(macs), **({"param_bytes": tuple(weights)} if draw(st.booleans()) else {})}
    objective = draw(st.sampled_from(list(objectives)))
    gamma = {"log_retention": 0.0, "ces": draw(st.sampled_from(GAMMAS))}.get(objective)
    values = tuple(Table(g, draw(_values(objective, w, gamma))) for g, w in enumerate(widths))
    names = tuple(f"g{i}" for i in range(count))
    return WidthProblem(names, tuple(widths), values, resources, {"memory": tuple(alive)} if draw(st.booleans()) else {}, gamma)


def width_problems(*, max_groups: int = 3, max_units: int = 5) -> st.SearchStrategy[WidthProblem]:
    """Problems of both kinds, with integers or floats as values."""
    chains = [width_chains(max_groups=max_groups, max_units=max_units, floats=floats) for floats in (False, True)]
    graphs = width_graphs(max_groups=max_groups, max_units=max_units)
    return st.one_of(graphs, *chains, graphs)


@st.composite
def near_tight_widths(draw: st.DrawFn, *, stages: int = 2, noise: bool = True) -> WidthCase:
    """Two layers, cost n1 * n2, capacities K, 2K, ..., jK: worst cases for bottom-up, for top-down, and for any nesting.

    One layer has K units worth x, the other jK units worth y. With x a little above y the smallest stage takes the first layer
    and the largest optimum the second (``reds_jax.theory.bilinear_instance``); with x a little below jy the largest stage takes
    the second layer and the smallest optimum the first. Between them, at x = (1+j)/2 y and x = sqrt(j) y, every nested choice
    loses, in total or in the worse stage. With noise: a better unit, a worse one, a unit less, capacities off by one.

    Args:
        stages: j.
        noise: if False, the families alone.
    """
    j = max(stages, 2)
    k, scale = draw(st.integers(j + 1, 8)), draw(st.sampled_from([10, 100, 1000]))
    shares = [1 + Fraction(1, scale), j - Fraction(1, scale), Fraction(1 + j, 2), Fraction(round(math.sqrt(j) * scale), scale)]
    layers = [[int(draw(st.sampled_from(shares)) * 2 * scale)] * k, [2 * scale] * (j * k)]
    limits = [k * (i + 1) for i in range(stages)]
    if noise and draw(st.booleans()):
        layers = [[units[0] + draw(st.integers(0, 2)), *units[draw(st.integers(1, 2)):-1], units[-1] - draw(st.integers(0, 2))]
                  for units in layers]  # fmt: skip
        limits = [c + draw(st.integers(-1, 1)) for c in limits]
    problem = WidthProblem.chain(scores=draw(st.permutations(layers)), pair_macs=[0, 1], unit_macs=[0, 0])
    return WidthCase(problem, tuple({"macs": c} for c in limits))


@st.composite
def width_cases(
    draw: st.DrawFn, problems: st.SearchStrategy[WidthProblem] | None = None, *, stages: int = 2
) -> WidthCase:
    """Problems with capacities that the smallest widths meet: ``problems`` and, unless they are given, near-tight ones.

    Each resource and peak, or all but one of several, has a capacity between its smallest and its full cost in every stage.

    Args:
        problems: costs must not fall as a width grows; default ``width_problems()``.
        stages: the number of subnetworks.
    """
    if problems is None and draw(st.integers(0, 2)) == 0:
        return draw(near_tight_widths(stages=stages))
    problem = draw(width_problems() if problems is None else problems)
    least, full = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)
    names = sorted(full)
    left_out = draw(st.sampled_from([None, *names])) if len(names) > 1 else None
    shares = {n: sorted(draw(st.lists(st.integers(0, 24), min_size=stages, max_size=stages))) for n in names if n != left_out}
    return WidthCase(problem, tuple(
        {n: math.floor(least[n] + (full[n] - least[n]) * Fraction(share[s], 24)) for n, share in shares.items()}
        for s in range(stages)))  # fmt: skip


@st.composite
def _some_widths(draw: st.DrawFn, max_units: int) -> tuple[int, ...]:
    """Multiples of a step from a floor on, and the full width."""
    size = draw(st.integers(1, max_units))
    return allowed_widths(size, step=draw(st.sampled_from([1, 1, 2, 3])), floor=draw(st.integers(1, size)))


@st.composite
def _values(draw: st.DrawFn, objective: Objective, widths: tuple[int, ...], gamma: float | None) -> np.ndarray:
    """The value of every allowed width of a group."""
    if objective == "any":
        return np.array(draw(st.lists(st.integers(-9, 99), min_size=len(widths), max_size=len(widths))))
    top = draw(st.sampled_from(TOPS))
    scores = sorted(draw(st.lists(st.integers(0, top), min_size=widths[-1], max_size=widths[-1])), reverse=True)
    if objective == "ces":
        assert gamma is not None
        return ces(scores, widths, gamma=gamma)
    return prefix_sum(scores, widths) if objective == "sum" else log_retention(scores, widths)


def _of(widths: Sequence[tuple[int, ...]], group: int) -> np.ndarray:
    return np.array(widths[group], dtype=np.int64)


def _pair(widths: Sequence[tuple[int, ...]], a: int, b: int, entry) -> Table:
    """A table over two different groups."""
    return Table((a, b), entry(_of(widths, a)[:, None], _of(widths, b)[None, :]))


def _layer(widths: Sequence[tuple[int, ...]], read: Sequence[int], fixed: int, target: int, factor: int) -> list[Table]:
    """``factor * (fixed + sum of the groups that are read) * target``, one table for each product; its own group is squared."""
    own = _of(widths, target)
    tables = [Table(target, own * fixed * factor)] if fixed else []
    for g in read:
        if g == target:
            tables.append(Table(g, own * own * factor))
        elif g < target:  # either form of a table: of products, or of all entries
            tables.append(Table.of_products((g, target), [(_of(widths, g) * factor, own)]))
        else:
            tables.append(_pair(widths, g, target, lambda a, b: a * b * factor))
    return tables
