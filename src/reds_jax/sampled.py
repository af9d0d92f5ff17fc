"""Random widths near budgets, to learn from: not nested, and spread around uniform or given ones. Imports no jax."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reds_jax.checks import integer, number, several
from reds_jax.errors import InfeasibleError, InvalidArgumentError
from reds_jax.graph.channels import ChannelGraph
from reds_jax.layer_rules import LayerRule, allowed


def sample_widths(
    graph: ChannelGraph,
    macs_fractions: Sequence[float],
    count: int,
    *,
    seed: int = 0,
    spread: float = 0.5,
    step: int = 1,
    rules: Sequence[LayerRule | str] = (),
    around: Sequence[Sequence[int]] | None = None,
) -> list[tuple[int, ...]]:
    """Random widths around uniform ones at each budget, ``count`` of each, that fill it; those of a budget follow each other.

    ``n_g = min(U_g, floor(t U_g exp(spread z_g)))``, z normal, at the largest t within the budget; then each group, in random
    order, takes one step more if the budget allows it. A group that costs little is not filled up: its amplitude would not be
    seen. Nothing is nested.

    Args:
        graph: from `reds_jax.trace`.
        macs_fractions: the budgets, as fractions of the full network's MACs.
        count: of widths for each budget.
        seed: of what is drawn.
        spread: of the logarithms around uniform widths; 0 gives uniform ones.
        step, rules: as in `reds_jax.cost.width_problem`.
        around: widths for each budget, to be taken in place of U.

    Raises:
        InfeasibleError: the smallest widths are above a budget.
    """
    rng = np.random.default_rng(integer("seed", seed, 0))
    integer("count", count, 1)
    number("spread", spread, 0)
    sizes = np.array([g.size for g in graph.groups])
    choices = [np.array(w) for w in allowed(graph, step=step, floor=[1] * len(sizes), rules=rules)]
    found = []
    fractions = several("macs_fractions", macs_fractions, "fractions of the MACs")
    centres = [sizes] * len(fractions) if around is None else [np.array(graph.integers(w)) for w in around]
    if len(centres) != len(fractions):
        raise InvalidArgumentError("there must be widths to sample around for each budget", got=len(centres),
                                   allowed=str(len(fractions)))
    for fraction, centre in zip(fractions, centres, strict=True):
        budget = int(number("a fraction of the MACs", fraction, 0, 1, above=True) * graph.macs())
        if (least := graph.macs([int(c[0]) for c in choices])) > budget:
            raise InfeasibleError("no widths are that small", resource="macs", smallest=least, got=budget,
                                  allowed=f"at least {least} MACs")
        found += [_filled(graph, choices, centre * np.exp(spread * rng.standard_normal(len(sizes))), budget, rng)
                  for _ in range(count)]
    return found


def _filled(
    graph: ChannelGraph, choices: list[np.ndarray], towards: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """The widest widths in proportion to ``towards`` within the budget, and a step more where what is left allows that."""

    def at(t: float) -> list[int]:
        return [int(c[c <= t * u + 1e-9].max(initial=c[0])) for c, u in zip(choices, towards, strict=True)]

    low, high = 0.0, float(max(c[-1] / u for c, u in zip(choices, towards, strict=True)))
    if graph.macs(at(high)) <= budget:
        return tuple(at(high))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if graph.macs(at(middle)) <= budget else (low, middle)
    widths = at(low)
    for g in rng.permutation(len(choices)):
        wider = list(widths)
        wider[g] = int(choices[g][choices[g] > widths[g]].min(initial=choices[g][-1]))
        if graph.macs(wider) <= budget:
            widths = wider
    return tuple(widths)
