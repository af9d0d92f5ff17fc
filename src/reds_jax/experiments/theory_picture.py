"""The picture and the table of ``theory.py``."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reds_jax.errors import MissingDependencyError
from reds_jax.experiments.theory_cases import ADDITIVE, METHODS, SETTINGS
from reds_jax.experiments.theory_exhaustive import RATIOS
from reds_jax.report import cell, code

COLOURS = {"bottom_up": "C0", "top_down": "C1", "best": "C2", "joint": "C3"}
MARKERS = {"bottom_up": "^", "top_down": "v", "best": "o", "joint": "D"}


def plot(path: Path, groups: Sequence[Mapping[str, Any]]) -> None:
    """Draw for each setting and number of stages the least and the mean ratio of each stage, and what is proved."""
    try:
        import matplotlib
    except ImportError as missing:
        raise MissingDependencyError("matplotlib is not installed", hint="pip install matplotlib") from missing
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    settings = [s for s in SETTINGS if any(g["setting"] == s for g in groups)]
    counts = sorted({g["stages"] for g in groups})
    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure(figsize=(2.5 * len(settings) + 0.6, 2.1 * len(counts) + 0.9), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(counts), len(settings), sharey=True, squeeze=False)
        for axes, stages in zip(grid, counts, strict=True):
            axes[0].set_ylabel(f"N = {stages}: value / optimum")
            for panel, setting in zip(axes, settings, strict=True):
                here = [g for g in groups if (g["setting"], g["stages"]) == (setting, stages)]
                for i, group in enumerate(here):
                    _draw(panel, group, (i - 1.5) * 0.16)
                panel.set_ylim(0, 1.04)
                panel.grid(axis="y", color="0.92")
                panel.set_axisbelow(True)
                panel.set_xticks(range(stages + 1), [*map(str, range(1, stages + 1)), "Σ"])
                if stages == counts[0]:
                    note = "" if setting in ADDITIVE else "\n(additive bounds do not hold)"
                    panel.set_title(SETTINGS[setting] + note, fontsize=9)
                if stages == counts[-1]:
                    panel.set_xlabel("stage (Σ: total)")
        handles, labels = grid[0][0].get_legend_handles_labels()
        handles.append(Line2D([], [], color="0.4", linewidth=2.4))
        labels.append("proved, in the colour of the method")
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
        try:
            figure.savefig(temporary, format="png", dpi=100, metadata={"Software": None})
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _draw(panel: Any, group: Mapping[str, Any], shift: float) -> None:
    """One method: a line from the least to the mean of each stage and of the total, and a bar at what is proved."""
    method = group["method"]
    least, mean = [*group["least"], group["least_total"]], [*group["mean"], group["mean_total"]]
    proved = [*group["proved"], group["proved_total"]]
    places = [i + shift for i in range(len(least))]
    panel.vlines(places, least, mean, color=COLOURS[method], linewidth=1, alpha=0.6)
    panel.plot(places, least, linestyle="none", marker=MARKERS[method], markersize=3.5, color=COLOURS[method],
               label=f"{METHODS[method]}: least, line to the mean")
    known = [(x, p) for x, p in zip(places, proved, strict=True) if p > 0]
    panel.hlines([p for _, p in known], [x - 0.09 for x, _ in known], [x + 0.09 for x, _ in known], color=COLOURS[method],
                 linewidth=2.4)


def markdown(results: Mapping[str, Any]) -> str:
    """ratios.md: what was run, on what, and the tables."""
    run = results["environment"]
    lines = [
        "# Achieved and proved ratios of nested chains", "",
        f"- command: {code(results['command'])}",
        f"- seed {results['seed']}, commit {run['commit']}, {cell(run['machine'])}, {results['seconds']:.0f} s", "",
        "A ratio is the value of a stage over its separate optimum; the total is the sum over the stages over the sum of the "
        "optima. Least and mean are over all cases of a row. *Proved* is the least ratio that the theorems promise for any of "
        "these cases; \"-\" where none does: for stages of the joint optimum, which may give up one stage for another, for "
        "increments smaller than an item, and for products of widths in networks, where the additive theorems do not hold (the "
        "worst cases have two layers, for which 1/j is proved).", "",
    ]
    for setting, title in SETTINGS.items():
        here = [g for g in results["groups"] if g["setting"] == setting]
        if not here:
            continue
        lines += [
            f"## {title[0].upper()}{title[1:]}", "",
            "| N | method | cases | least stage | proved there | at stage | least total | mean total | proved total |",
            "|---:|---|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for g in here:
            at = min(range(g["stages"]), key=lambda j: g["least"][j])
            note = "" if g["proven"] == g["cases"] else f" (proven on {g['proven']})"
            lines.append(
                f"| {g['stages']} | {METHODS[g['method']]}{note} | {g['cases']} | {g['least'][at]:.4f} | "
                f"{bound(g['proved'][at])} | {at + 1} | {g['least_total']:.4f} | {g['mean_total']:.4f} | "
                f"{bound(g['proved_total'])} |")
        lines.append("")
    if results["exhaustive"] is not None:
        found = results["exhaustive"]
        lines += [
            f"## Every instance of {found['items']} items", "",
            f"{found['instances']:,} instances: weights to c, profits to {found['profit']}, capacities (c, 2c) for c up to "
            f"{found['capacity']}, ties broken for the worst.", "",
            "| ratio | least | proved | weights | profits | capacities |", "|---|---:|---:|---|---|---|",
        ]
        for m in found["minima"]:
            numbers = (" ".join(map(str, m[key])) for key in ("weights", "profits", "capacities"))
            lines.append(f"| {RATIOS[m['ratio']][0]} | {m['least']} | {m['proved']} | {' | '.join(numbers)} |")
        lines.append("")
    return "\n".join([*lines, "![achieved ratios against the proved bounds](bounds.png)", ""])


def bound(ratio: float, digits: int = 4) -> str:
    """A promise as a number, "-" where there is none."""
    return f"{ratio:.{digits}f}" if ratio > 0 else "-"
