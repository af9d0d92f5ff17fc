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
        tied = _tied(graph)
        for g in graph.groups:
            lines.append(f"  {g.name:<{width}}  {g.size:>5}  {tied[g.name]}".rstrip())
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
    for name, cost in (("MACs", graph.macs), ("parameter bytes", graph.param_bytes), ("peak memory bytes", graph.peak_memory_bytes)):
        low, high = cost(least), cost(full)
        share = f"  budgets from {100 * low / high:.1f} % can be met" if high and graph.groups else ""
        lines.append(f"  {name:<17}  {low:>14,}  {high:>14,}{share}")
    return "\n".join(lines)


def _tied(graph: ChannelGraph) -> dict[str, str]:
    """For every group the other layers whose output channels belong to it."""
    found: dict[str, list[str]] = {g.name: [] for g in graph.groups}
    for p in graph.parameters:
        if not p.path.endswith("/kernel") or not p.axes or (last := p.axes[-1]) is None:
            continue
        path = p.path.removeprefix("params/").removesuffix("/kernel")
        for index in sorted({int(g) for g in last.group if g >= 0}):
            name = graph.groups[index].name
            if path != name.split("[")[0]:
                found[name].append(path)
    return {name: f"with {', '.join(paths)}" if paths else "" for name, paths in found.items()}
