"""Widths without a solver: the same fraction of every group, filling the budget. The rival in every comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reds_jax.errors import InfeasibleError
from reds_jax.graph.channels import ChannelGraph


def uniform_widths(graph: ChannelGraph, macs: Sequence[int], *, step: int = 1) -> list[tuple[int, ...]]:
    """For every budget the widest uniform widths within it, nested, the rest of the budget filled channel by channel.

    ``n_i = floor(t U_i)`` at the largest t that fits; then the groups with the largest remainder ``t U_i - n_i`` take one
    step more as long as the budget allows it. Each budget starts from the widths of the one below.

    Args:
        graph: from `reds_jax.trace`.
        macs: the budgets, in any order; the result follows it.
        step: widths are multiples of this, or full.
    """
    sizes = np.array([g.size for g in graph.groups])
    found: dict[int, tuple[int, ...]] = {}
    below = np.minimum(np.full_like(sizes, step), sizes)
    for budget in sorted(set(macs)):
        if graph.macs(below.tolist()) > budget:
            raise InfeasibleError("no uniform widths are that small", resource="macs", smallest=graph.macs(below.tolist()),
                                  got=budget, allowed=f"at least {graph.macs(below.tolist())} MACs")

        def at(t: float, least: np.ndarray = below) -> np.ndarray:
            return np.clip(np.where(t >= 1, sizes, np.floor(t * sizes / step).astype(int) * step), least, sizes)

        low, high = 0.0, 1.0
        if graph.macs(at(1.0).tolist()) <= budget:
            low = 1.0
        for _ in range(60 if low < 1 else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if graph.macs(at(middle).tolist()) <= budget else (low, middle)
        widths, remainder = at(low), low * sizes - at(low)
        for i in np.argsort(-remainder, kind="stable"):
            wider = widths.copy()
            wider[i] = min(widths[i] + step, sizes[i])
            if graph.macs(wider.tolist()) <= budget:
                widths = wider
        below = widths
        found[budget] = tuple(int(n) for n in widths)
    return [found[b] for b in macs]
