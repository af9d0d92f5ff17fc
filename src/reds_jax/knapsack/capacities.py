"""The capacities of one subnetwork, and of several nested ones, checked against the problem."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reds_jax.errors import InvalidArgumentError
from reds_jax.knapsack.problem import WidthProblem, unknown_resource

Limit = float | np.integer | np.floating
"""A capacity as it is given: a number of Python or of NumPy."""


def check_capacities(problem: WidthProblem, capacities: Mapping[str, Limit]) -> dict[str, float]:
    """The capacities as Python numbers, in the order of the problem's resources and peaks.

    Raises:
        InvalidArgumentError: if it is no mapping, names an unknown resource, or holds something that is not a number.
    """
    if not isinstance(capacities, Mapping):
        known = ", ".join(repr(n) for n in (*problem.resources, *problem.peaks))
        raise InvalidArgumentError(
            "capacities must map the name of a resource to its limit", got=capacities, allowed=f"names: {known}"
        )
    for name, limit in capacities.items():
        if name not in problem.resources and name not in problem.peaks:
            raise unknown_resource(problem, name)
        number = isinstance(limit, (int, float, np.integer, np.floating)) and not isinstance(limit, bool)
        if not number or math.isnan(limit):
            raise InvalidArgumentError(f"the capacity of {name!r} is not a number", got=limit, allowed="a number")
    given = {name: capacities[name] for name in (*problem.resources, *problem.peaks) if name in capacities}
    if not given and (problem.resources or problem.peaks):
        known = ", ".join(repr(n) for n in (*problem.resources, *problem.peaks))
        raise InvalidArgumentError(
            "no capacity is given", got=dict(capacities), allowed=f"a limit for at least one of {known}",
            hint="Give math.inf to leave a resource unlimited.",
        )  # fmt: skip
    return {name: v.item() if isinstance(v, (np.integer, np.floating)) else v for name, v in given.items()}


def sorted_capacities(
    problem: WidthProblem, capacities: Sequence[Mapping[str, Limit] | Limit]
) -> list[dict[str, float]]:
    """Checked capacities, from the smallest subnetwork to the largest (by the first resource, then the second, ...)."""
    if isinstance(capacities, (Mapping, str)) or not isinstance(capacities, (Sequence, np.ndarray)) or not len(capacities):
        raise InvalidArgumentError(
            "capacities must be a sequence, one entry for each subnetwork", got=capacities, allowed="[...], at least one"
        )
    names = (*problem.resources, *problem.peaks)
    found = []
    for entry in capacities:
        if isinstance(entry, Mapping):
            found.append(check_capacities(problem, entry))
        elif len(names) == 1:
            found.append(check_capacities(problem, {names[0]: entry}))
        else:
            raise InvalidArgumentError(
                "a number as capacity needs a problem with one resource", got=entry,
                allowed=f"a dict with names among {names}",
            )  # fmt: skip
    return sorted(found, key=lambda limit: tuple(limit.get(name, math.inf) for name in names))


def tightened(problem: WidthProblem, limits: list[dict[str, float]]) -> list[dict[str, float]]:
    """Where costs grow with the widths, a subnetwork must also meet the capacities of the larger ones that contain it."""
    tight = [dict(limit) for limit in limits]
    for name in (*problem.resources, *problem.peaks):
        tables = problem.resources.get(name, problem.peaks.get(name, ()))
        if all(t.grows() for t in tables):
            least = math.inf
            for limit in reversed(tight):
                least = min(least, limit.get(name, math.inf))
                if least < math.inf:
                    limit[name] = least
    return tight
