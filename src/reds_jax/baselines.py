"""Widths without a solver: the same fraction of every group, filling the budget. The rival in every comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reds_jax.checks import integer
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.knapsack import WidthProblem
from reds_jax.knapsack.capacities import Limit, sorted_capacities, tightened

DEAD = 1e-6
"""A unit whose score is at most this share of the largest of its group adds nothing."""


def live_units(scores: Mapping[str, Sequence[float] | np.ndarray]) -> dict[str, int]:
    """How many units of each group have a score above ``DEAD`` times the largest; without a positive score all of them.

    With ``units=live_units(scores)`` `uniform_widths` drops dead units first: the fairer rival where a network has some.

    Args:
        scores: importance per unit in descending order, {group: [units]}.

    >>> live_units({"a": [3.0, 1.0, 0.0], "b": [0.0, 0.0]})
    {'a': 2, 'b': 2}
    """
    return {name: int((np.asarray(s) > DEAD * s[0]).sum()) if len(s) and s[0] > 0 else len(s) for name, s in scores.items()}


def uniform_widths(
    problem: WidthProblem,
    capacities: Sequence[Mapping[str, Limit] | Limit],
    *,
    units: Mapping[str, int] | None = None,
) -> list[tuple[int, ...]]:
    """For each subnetwork the widest uniform widths within all its capacities, nested, the rest filled unit by unit.

    ``n_i = floor(t U_i)``, the largest allowed width up to it, at the largest t that fits. Where a peak alone stands in the way
    of a larger t, the groups that raise it stop and the others go on together. Then the groups with the largest remainder
    ``t U_i - n_i`` take one step more as long as all capacities allow it. Each subnetwork starts from the widths of the one
    below.

    Args:
        problem: from `reds_jax.width_problem`; its values do not matter.
        capacities: for each subnetwork, as for `reds_jax.knapsack.solve_nested`; the answer goes from small to large.
        units: {group: U_i}, by default the largest allowed width: what the fractions are of, up to the next allowed width, and
            more of which only the full network has.

    Raises:
        InfeasibleError: the smallest widths exceed a capacity; it names the resource and what they cost.
    """
    units = units or {}
    if unknown := sorted(set(units) - set(problem.groups)):
        raise InvalidArgumentError("the units name an unknown group", got=unknown, allowed=", ".join(problem.groups))
    sizes = np.array([integer(f"the units of {name!r}", units.get(name, widths[-1]), 1)
                      for name, widths in zip(problem.groups, problem.widths, strict=True)])
    choices = [np.array(w) for w in problem.widths]
    choices = [c[: int((c < u).sum()) + 1] for c, u in zip(choices, sizes, strict=True)]
    sizes = np.maximum(sizes, [c[-1] for c in choices])
    found: list[tuple[int, ...]] = []
    below = problem.smallest_widths
    for limits in tightened(problem, sorted_capacities(problem, capacities)):
        if exceeded := _exceeded(problem, below, limits):
            name, cost = exceeded[0], problem.cost(exceeded[0], below)
            raise InfeasibleError(f"no uniform widths meet the capacity of {name!r}", resource=name, smallest=cost,
                                  got=limits[name], allowed=f"{cost} or more")
        if not _exceeded(problem, problem.full_widths, limits):
            below = problem.full_widths
        else:
            below = _filled(problem, limits, choices, sizes, below)
        found.append(below)
    return found


def _exceeded(problem: WidthProblem, widths: Sequence[int], limits: Mapping[str, float]) -> list[str]:
    """The resources of which the widths need more than there is: they fit if there is none."""
    return [name for name, limit in limits.items() if problem.cost(name, widths) > limit]


def _filled(
    problem: WidthProblem, limits: Mapping[str, float], choices: Sequence[np.ndarray], sizes: np.ndarray,
    below: tuple[int, ...],
) -> tuple[int, ...]:
    """The widest uniform widths within the limits, at least ``below``, which fit."""
    stopped: dict[int, int] = {}  # group -> its width

    def at(t: float) -> list[int]:
        """The largest allowed widths up to ``t U``, at least those of the subnetwork below."""
        return [stopped[i] if i in stopped else int(max(n, c[c <= t * u + 1e-9].max(initial=c[0])))
                for i, (n, c, u) in enumerate(zip(below, choices, sizes, strict=True))]

    low = 0.0
    while _exceeded(problem, at(1.0), limits):
        high = 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if not _exceeded(problem, at(middle), limits) else (low, middle)
        widths, beyond = at(low), at(high)
        raising = {i for name in limits for i in _above(problem, name, beyond, limits[name]) if beyond[i] > widths[i]}
        if not raising:
            break
        stopped.update({i: widths[i] for i in raising})
    else:
        low = 1.0
    widths = at(low)
    for i in np.argsort(-(low * sizes - np.array(widths)), kind="stable"):
        wider = list(widths)
        wider[i] = int(choices[i][choices[i] > widths[i]].min(initial=choices[i][-1]))
        if widths[i] <= low * sizes[i] and not _exceeded(problem, wider, limits):  # not where the one below has filled already
            widths = wider
    return tuple(widths)


def _above(problem: WidthProblem, name: str, widths: Sequence[int], limit: float) -> set[int]:
    """The groups of the tables of a peak that are above the limit."""
    index = problem.index(widths)
    return {axis for t in problem.peaks.get(name, ()) for axis in t.groups  # type: ignore[union-attr]
            if t.entry([index[a] for a in t.groups]) > limit}  # type: ignore[index]
