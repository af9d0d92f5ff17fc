"""Widths without a solver: the same fraction of every group, filling the budget. The rival in every comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from reds_jax.checks import number, several
from reds_jax.errors import InfeasibleError
from reds_jax.graph.channels import ChannelGraph
from reds_jax.layer_rules import LayerRule, allowed

DEAD = 1e-6
"""A unit whose score is at most this share of the largest of its group adds nothing."""


def live_uniform_widths(
    graph: ChannelGraph,
    scores: Mapping[str, Sequence[float] | np.ndarray],
    macs: Sequence[int],
    *,
    step: int = 1,
    rules: Sequence[LayerRule | str] = (),
) -> list[tuple[int, ...]]:
    """Dead units dropped first, then `uniform_widths` of what lives: the fairer rival where a network has dead units.

    The live units of a group are those whose score is above ``DEAD`` times the largest, up to the next allowed width; in
    a group without a positive score, and in one without scores, all. A budget of all MACs keeps the full network.

    Args:
        graph: from `reds_jax.trace`.
        scores: importance per unit in descending order, {group: [units]}.
        macs, step, rules: as for `uniform_widths`.
    """
    live = {name: int((np.asarray(s) > DEAD * s[0]).sum()) for name, s in scores.items() if len(s) and s[0] > 0}
    return uniform_widths(graph, macs, step=step, rules=rules, live=live)


def uniform_widths(
    graph: ChannelGraph,
    macs: Sequence[int],
    *,
    step: int = 1,
    rules: Sequence[LayerRule | str] = (),
    live: Mapping[str, int] | None = None,
) -> list[tuple[int, ...]]:
    """For every budget the widest uniform widths within it, nested, the rest of the budget filled channel by channel.

    ``n_i = floor(t U_i)`` at the largest t that fits, among the widths that are allowed; then the groups with the largest
    remainder ``t U_i - n_i`` take one step more as long as the budget allows it. Each budget starts from the widths of the
    one below.

    Args:
        graph: from `reds_jax.trace`.
        macs: the budgets, in any order; the result follows it.
        step: widths are multiples of this, or full.
        rules: for single layers by path pattern, see `reds_jax.layer_rules.LayerRule`.
        live: {group: units}, which the fractions are of, and more of which only the full network has; all by default.
    """
    if not graph.groups:
        raise InfeasibleError("the network has no channel group whose width could be chosen", resource="macs",
                              smallest=graph.macs(), hint=graph.summary())
    sizes = np.array([g.size for g in graph.groups])
    choices = [np.array(w) for w in allowed(graph, step=step, floor=[1] * len(sizes), rules=rules)]
    most = tuple(int(c[-1]) for c in choices)
    if live:
        needed = [live.get(g.name, g.size) for g in graph.groups]
        choices = [c[: int((c < n).sum()) + 1] for c, n in zip(choices, needed, strict=True)]
        sizes = np.array([c[-1] if n < u else u for c, n, u in zip(choices, needed, sizes, strict=True)])

    def at(t: float, least: Sequence[int]) -> list[int]:
        """The largest allowed widths up to ``t U``, at least those of the budget below."""
        return [int(max(n, c[c <= t * u + 1e-9].max(initial=c[0]))) for n, c, u in zip(least, choices, sizes, strict=True)]

    found: dict[float, tuple[int, ...]] = {}
    below = [int(c[0]) for c in choices]
    budgets = tuple(number("a budget of MACs", b, 0) for b in several("macs", macs, "a number of MACs for each budget"))
    for budget in sorted(set(budgets)):
        if graph.macs(below) > budget:
            raise InfeasibleError("no uniform widths are that small", resource="macs", smallest=graph.macs(below),
                                  got=budget, allowed=f"at least {graph.macs(below)} MACs")
        if graph.macs(most) <= budget:
            found[budget] = most
            continue
        low, high = (1.0, 1.0) if graph.macs(at(1.0, below)) <= budget else (0.0, 1.0)
        for _ in range(60 if low < 1 else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if graph.macs(at(middle, below)) <= budget else (low, middle)
        widths = at(low, below)
        for i in np.argsort(-(low * sizes - np.array(widths)), kind="stable"):
            wider = list(widths)
            wider[i] = int(choices[i][choices[i] > widths[i]].min(initial=choices[i][-1]))
            if widths[i] <= low * sizes[i] and graph.macs(wider) <= budget:  # not where the budget below has filled already
                widths = wider
        found[budget] = tuple(below := widths)
    return [found[b] for b in budgets]
