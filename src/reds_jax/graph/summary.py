"""The channel graph in words: groups, what stays and why, costs, and which budgets can be met. Imports no jax."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reds_jax.graph.channels import ChannelGraph


def summary(graph: ChannelGraph) -> str:
    """See `reds_jax.graph.ChannelGraph.summary`."""
    lines = []
    if graph.groups:
        total = sum(g.size for g in graph.groups)
        lines.append(f"{len(graph.groups)} channel groups with {total} channels that can be cut:")
        width = max(len(g.name) for g in graph.groups)
        for g in graph.groups:
            tied = ", ".join(path for path in g.layers if path != g.name)
            lines.append(f"  {g.name:<{width}}  {g.size:>5}{f'  with {tied}' if tied else ''}")
    else:
        lines.append("Nothing can be cut: no layer makes channels that are free to go.")
    if graph.pinned:
        lines.append("channels that stay at full width:")
        width = max(len(p.path) for p in graph.pinned)
        for p in graph.pinned:
            count = f"{p.size}" if p.channels == p.size else f"{p.channels} of {p.size}"
            lines.append(f"  {p.path:<{width}}  {count:>5}  {p.reason}{f' ({p.line})' if p.line else ''}")
    least, full = [1] * len(graph.groups), [g.size for g in graph.groups]
    lines.append("costs of one example, least (one channel a group) and full:")
    costs = {"MACs": graph.macs, "parameter bytes": graph.param_bytes, "peak memory bytes": graph.peak_memory_bytes}
    for name, cost in costs.items():
        low, high = cost(least), cost(full)
        share = f"  budgets from {100 * low / high:.1f} % can be met" if high and graph.groups else ""
        lines.append(f"  {name:<17}  {low:>14,}  {high:>14,}{share}")
    return "\n".join(lines)

