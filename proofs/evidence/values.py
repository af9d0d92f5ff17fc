"""The picture and the table of proofs/values_and_bottlenecks.md: ``python proofs/evidence/values.py``.

Chains of alike layers whose units are alike, cost = the sum of the products of neighbours; the library's networks. Widths by
the exact solver. Nothing is drawn at random.
"""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np

from reds_jax import report
from reds_jax.cost import width_problem
from reds_jax.experiments.theory_cases import MODELS, traced
from reds_jax.knapsack import Table, WidthProblem, ces, solve
from reds_jax.optional import needs
from reds_jax.training.arrays import write_bytes, write_text

UNITS = 64
GAMMAS = (-1.0, -0.5, 0.0, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
SHARES = (0.125, 0.25, 0.5, 0.75)
FOLDER = Path(__file__).parent


def widths(groups: int, share: float, gamma: float) -> tuple[int, ...]:
    """The optimum of a chain of ``groups`` alike layers at a share of the full MACs."""
    plain = WidthProblem.chain(scores=[[1] * UNITS] * groups, pair_macs=[0] + [1] * (groups - 1), unit_macs=[0] * groups)
    values = tuple(Table((name,), ces([1] * UNITS, gamma=gamma)) for name in plain.groups)
    problem = WidthProblem(plain.groups, plain.widths, values, plain.resources)
    return solve(problem, {"macs": int(share * (groups - 1) * UNITS**2)}).widths


def along_the_seesaw(gamma: float, steps: np.ndarray) -> np.ndarray:
    """The value of three alike layers at half of their units, the outer ones times t and the middle one through t."""

    def value(r: np.ndarray) -> np.ndarray:
        return np.log(r) if gamma == 0 else (1 - r**-gamma) / gamma

    return 2 * value(0.5 * steps) + value(0.5 / steps)


def table() -> str:
    """Widths by the length of the chain, the share of the MACs and gamma."""
    lines = [
        "# Widths of chains of alike layers, by value", "",
        "- command: `python proofs/evidence/values.py`",
        f"- commit {report.environment()['commit']}; nothing is random", "",
        f"Layers of {UNITS} alike units, cost n1 n2 + n2 n3 + ..., no smallest width but 1, value CES, all amplitudes 1. "
        "*Spread* is widest / narrowest; *at most* is 2^(1/gamma), proved for real widths.", "",
        "| layers | share of MACs | gamma | widths | spread | at most |", "|---:|---:|---:|---|---:|---:|",
    ]
    for groups in (3, 4, 5):
        for share in SHARES:
            for gamma in GAMMAS:
                n = widths(groups, share, gamma)
                most = f"{2 ** (1 / gamma):.2f}" if gamma > 0 else "-"
                lines.append(f"| {groups} | {share:g} | {gamma:g} | {' '.join(map(str, n))} | {max(n) / min(n):.2f} | {most} |")
    return "\n".join([*lines, "", *networks(), ""])


def networks() -> list[str]:
    """The narrowest layer of the library's networks, in shares of its units."""
    gammas = (-1.0, 0.0, 1.0, 2.0, 4.0)
    lines = [
        "## Networks", "",
        "The smallest share of its units that a layer keeps, true MACs, all units of a layer alike, no smallest width but 1. "
        "Uniform widths keep at most the root of the share of the MACs: 0.32, 0.5, 0.71.", "",
        f"| network | share of MACs | {' | '.join(f'gamma {gamma:g}' for gamma in gammas)} |",
        f"|---|---:|{'---:|' * len(gammas)}",
    ]
    for name in MODELS:
        graph = traced(name)
        scores = {g.name: np.ones(g.size) for g in graph.groups}
        for share in (0.1, 0.25, 0.5):
            least = []
            for gamma in gammas:
                value = {group: ces(units, gamma=gamma) for group, units in scores.items()}
                kept = solve(width_problem(graph, scores, value=value, floor=0.0), {"macs": int(share * graph.macs())}).widths
                least.append(min(n / g.size for n, g in zip(kept, graph.groups, strict=True)))
            lines.append(f"| {name} | {share:g} | " + " | ".join(f"{r:.2f}" for r in least) + " |")
    return lines


def picture() -> bytes:
    """Left: the value along the see-saw. Right: the optimum of five alike layers as gamma grows."""
    with needs("matplotlib", "a plot"):
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure(figsize=(8.4, 3.1), layout="constrained")
        FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        steps = np.geomspace(0.52, 1.92, 101)
        for gamma, name in ((-1.0, "sum"), (0.0, "log"), (1.0, "CES"), (2.0, "CES")):
            value = along_the_seesaw(gamma, steps)
            left.plot(steps, (value - value[50]) / np.ptp(value), label=f"{name}, $\\gamma$ = {gamma:g}")
        left.set_xscale("log", base=2)
        left.set_xticks([0.5, 2**-0.5, 1, 2**0.5, 2], ["1/2", "1/√2", "1", "√2", "2"])
        left.set_xlabel("t: outer layers times t, middle layer through t, same cost")
        left.set_ylabel("value, from t = 1 on, scaled")
        left.legend(frameon=False)
        right.axhline(math.sqrt(0.25) * UNITS, color="0.8", linewidth=1)
        optima = np.array([widths(5, 0.25, gamma) for gamma in GAMMAS])
        for i, style in enumerate(("o-", "s-", "D-", "s--", "o--")):
            right.plot(range(len(GAMMAS)), optima[:, i], style, markersize=3, label=f"layer {i + 1}")
        right.set_xticks(range(len(GAMMAS)), [f"{gamma:g}" for gamma in GAMMAS])
        right.set_xlabel("$\\gamma$")
        right.set_ylabel(f"width, of {UNITS}")
        right.set_ylim(0, UNITS + 2)
        right.set_title("optimum of five alike layers at 25 % of the MACs; grey: uniform", fontsize=8)
        right.legend(frameon=False, ncols=2)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()


if __name__ == "__main__":
    write_text(FOLDER / "values.md", table())
    write_bytes(FOLDER / "values.png", picture())
