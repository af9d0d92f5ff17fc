"""The picture and the tables of proofs/one_shape.md: ``python proofs/evidence/shape.py``.

True MACs of the networks whose default and uniform widths were compared, all groups worth the same (A = 1) and of the same
exponent; nothing is drawn at random. What was measured is read from experiments/compare.
"""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import numpy as np
from scipy.optimize import brentq
from scipy.stats import spearmanr

from reds_jax import models, report, trace
from reds_jax.cost import width_problem
from reds_jax.experiments.compare import by_budget, difference
from reds_jax.experiments.theory_cases import MODELS, traced
from reds_jax.graph import ChannelGraph
from reds_jax.knapsack import ces, solve, solve_nested
from reds_jax.optional import needs
from reds_jax.theory import ProductCost, real_widths
from reds_jax.training.arrays import write_bytes, write_text

FOLDER = Path(__file__).parent
RECORDS = FOLDER.parents[1] / "experiments" / "compare"
SHARE, GAMMA = 0.25, 2.0
UNIFORM, CES = "uniform", "CES, gamma 2"


class Compared(NamedTuple):
    """A network in a record of default against uniform widths."""

    title: str
    record: str
    model: str
    arguments: dict[str, object]
    shape: tuple[int, ...]


COMPARED = (
    Compared("CNN L, Speech Commands", "speech_commands_cnn_l", "cnn_l", {"classes": 12}, (49, 10, 1)),
    Compared("CNN S, Speech Commands", "speech_commands_cnn_s_16", "cnn_s", {"classes": 12}, (49, 10, 1)),
    Compared("DNN S, Speech Commands", "speech_commands_dnn_s", "dnn_s", {"classes": 12}, (250,)),
    Compared("ResNet-8, CIFAR-10", "cifar10_resnet8", "resnet8", {"classes": 10}, (32, 32, 3)),
    Compared("DNN L, Speech Commands", "speech_commands_dnn_l", "dnn_l", {"classes": 12}, (250,)),
    Compared("DS-CNN S, Speech Commands", "speech_commands_ds_cnn_s", "ds_cnn_s", {"classes": 12}, (49, 10, 1)),
    Compared("vision DS-CNN S, Fashion-MNIST", "fashion_mnist_ds_cnn_s", "vision_ds_cnn_s", {"classes": 10}, (28, 28, 1)),
    Compared("vision DS-CNN S, CIFAR-10", "cifar10_ds_cnn_s", "vision_ds_cnn_s", {"classes": 10, "pool": (16, 5)}, (32, 32, 3)),
    Compared("MobileNetV1 0.25, photographs", "vww_photographs", "mobilenet_v1",
             {"classes": 2, "alpha": 0.25, "activation": "relu"}, (96, 96, 3)),
    Compared("DS-CNN L, Speech Commands", "speech_commands_ds_cnn_l", "ds_cnn_l", {"classes": 12}, (49, 10, 1)),
)  # fmt: skip


def graph_of(network: Compared) -> ChannelGraph:
    """Its channel graph; its MACs are those of the record."""
    model, x = models.build(network.model, network.arguments), jax.numpy.zeros((1, *network.shape))
    graph = trace(model, jax.eval_shape(model.init, jax.random.key(0), x), x)
    full = rounds(network)[0]["cells"][UNIFORM]["subnetworks"][-1]["macs"]
    assert graph.macs() == full, (network.title, graph.macs(), full)
    return graph


def rounds(network: Compared) -> list[dict]:
    """What was recorded."""
    return json.loads((RECORDS / network.record / "results.json").read_text(encoding="utf-8"))["rounds"]


def measured(network: Compared) -> np.ndarray:
    """Default minus uniform at 25 % of the MACs, percent of right answers, one number for each round."""
    default, uniform = (by_budget(rounds(network), name, "test_metric")[SHARE] for name in (CES, UNIFORM))
    return default - uniform


def uniform_share(cost: ProductCost, budget: float) -> float:
    """The share that every group keeps under a budget."""
    return cast(float, brentq(lambda s: cost.macs(np.full(len(cost.fixed), s)) - budget, 1e-6, 1, xtol=1e-12))


def enough_for_uniform(cost: ProductCost, exponent: float) -> float:
    """The part of the budget with which the best real widths are worth as much as uniform ones with all of it."""
    m, full = len(cost.fixed), cost.macs(np.ones(len(cost.fixed)))
    g, budget = np.full(m, GAMMA * exponent), SHARE * full
    lost = lambda r: float(np.sum(r**-g))  # noqa: E731
    uniform = lost(np.full(m, uniform_share(cost, budget)))
    excess = lambda b: lost(real_widths(cost, b * budget, worth=np.ones(m), exponents=g)) / uniform - 1  # noqa: E731
    return cast(float, brentq(excess, 0.2, 1, xtol=1e-4))


def thresholds() -> list[str]:
    """The gamma from which on no layer of a chain of alike ones is full."""
    lines = [
        "## From which gamma on all layers of a chain of alike ones are inside", "",
        "Least gamma (e = 1) with every layer below its full width, real widths. *Enough* is 2 / log2(1 / share), proved for "
        "every length; three layers need exactly half of it.", "",
        "| share of MACs | 3 layers | 4 | 5 | 6 | 8 | 16 | enough |", "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for share in (0.1, 0.125, 0.25, 0.5, 0.75, 0.9):
        enough, cells = 2 / math.log2(1 / share), []
        for m in (3, 4, 5, 6, 8, 16):
            cost = ProductCost(np.eye(m, k=1) + np.eye(m, k=-1), np.zeros(m))
            def excess(gamma: float, cost: ProductCost = cost, share: float = share, m: int = m) -> float:
                r = real_widths(cost, share * (m - 1), worth=np.ones(m), exponents=np.full(m, gamma), upper=1e9)
                return float(np.log(r.max()))
            cells.append(f"{brentq(excess, 0.08 * enough, enough, xtol=1e-3):.2f}")
        lines.append(f"| {share:g} | {' | '.join(cells)} | {enough:.2f} |")
    return lines


def networks() -> tuple[list[str], list[tuple[str, float, np.ndarray]]]:
    """How far the MACs touched are from proportional, what uniform widths cost for that, and what was measured."""
    lines = [
        "## Networks: MACs touched, and uniform widths", "",
        f"CES with gamma = {GAMMA:g}, all groups worth the same, {SHARE:.0%} of the true MACs, real widths. *MACs touched*: in "
        "percent of the full network's, group by group, those of a pair counted for both; *ratio* is largest / least. "
        "*Enough*: the part of the budget with which the best widths are worth what uniform ones are with all of it, for e = 1 "
        "and e = 1/2. *Recorded widths*: what the default kept in the record, mean over the rounds, in percent. *Measured*: "
        "default minus uniform widths in the same order, percent of right answers, mean, standard error over the rounds and z.",
        "",
        "| network | MACs touched | ratio | best widths, % | recorded widths, % | enough, e = 1 | e = 1/2 | measured |",
        "|---|---|---:|---|---|---:|---:|---:|",
    ]
    points = []
    for network in COMPARED:
        graph = graph_of(network)
        cost, sizes = ProductCost.of(graph), np.array([g.size for g in graph.groups])
        ones = np.ones(len(sizes))
        touched = cost.touched(ones)
        best = real_widths(cost, SHARE * graph.macs(), worth=ones, exponents=GAMMA * ones)
        kept = np.mean([cell["widths"] / sizes for one in rounds(network) for cell in one["cells"][CES]["subnetworks"]
                        if cell["budget"] == SHARE], axis=0)
        enough = [enough_for_uniform(cost, e) for e in (1.0, 0.5)]
        points.append((network.title, enough[0], measured(network)))
        shown = lambda values, digits=0: " ".join(f"{100 * v:.{digits}f}" for v in values)  # noqa: E731
        cells = (network.title, shown(touched / graph.macs(), 1), f"{touched.max() / touched.min():.1f}", shown(best),
                 shown(kept), *(f"{one:.3f}" for one in enough), difference(measured(network)))
        lines.append(f"| {' | '.join(cells)} |")
    order: Any = spearmanr([1 - enough for _, enough, _ in points], [apart.mean() for *_, apart in points])
    lines += ["", f"Rank correlation (Spearman) over these {len(points)} between 1 - enough (e = 1) and what was measured: "
              f"{order.statistic:+.2f}, p = {order.pvalue:.2f}."]
    return lines, points


def nesting() -> list[str]:
    """What nesting costs whole widths, for CES and for the sum."""
    budgets = (0.25, 0.5, 0.75)
    lines = [
        "## What nesting costs whole widths", "",
        "The loss of nested widths (joint) at 25, 50 and 75 % of the true MACs together, over that of the separate optima, "
        "minus 1, in percent; scores j^-1/2 in every group, no smallest width but one step. Proved for real widths: 0 for CES.",
        "",
        "| network | step | CES, gamma 2 | CES, gamma 1/2 | log | sum |", "|---|---:|---:|---:|---:|---:|",
    ]
    for name, (_, step) in MODELS.items():
        graph, cells = traced(name), []
        for gamma in (2.0, 0.5, 0.0, -1.0):
            value = {g.name: ces((1 + np.arange(g.size)) ** -0.5, gamma=gamma) for g in graph.groups}
            problem = width_problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, value=value, step=step)
            found = solve_nested(problem, [{"macs": int(b * graph.macs())} for b in budgets])
            cells.append(f"{100 * (sum(found.values) / sum(s.value for s in found.optima) - 1):.3f}")
        lines.append(f"| {name} | {step} | {' | '.join(cells)} |")
    return lines


def picture(points: list[tuple[str, float, np.ndarray]]) -> bytes:
    """Left and middle: best widths at every budget, real and whole. Right: what uniform widths cost, and what was measured."""
    with needs("matplotlib", "a plot"):
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure(figsize=(10.4, 3.2), layout="constrained")
        FigureCanvasAgg(figure)
        *left, right = figure.subplots(1, 3)
        budgets, few = np.linspace(0.03, 1, 50), np.linspace(0.1, 0.9, 9)
        for axes, network in zip(left, (COMPARED[5], COMPARED[1]), strict=True):
            graph = graph_of(network)
            cost, m = ProductCost.of(graph), len(graph.groups)
            same = {"worth": np.ones(m), "exponents": np.full(m, GAMMA)}
            real = np.array([real_widths(cost, b * graph.macs(), **same) for b in budgets])
            problem = width_problem(graph, {g.name: np.ones(g.size) for g in graph.groups}, value="ces", gamma=GAMMA)
            whole = np.array([solve(problem, {"macs": int(b * graph.macs())}).widths for b in few])
            for i, group in enumerate(graph.groups):
                line, = axes.plot(100 * budgets, real[:, i], linewidth=1, label=f"{group.name}, {group.size}")
                axes.plot(100 * few, whole[:, i] / group.size, ".", markersize=4, color=line.get_color())
            axes.plot(100 * budgets, [uniform_share(cost, b * graph.macs()) for b in budgets], color="0.6", linestyle=":",
                      label="uniform")
            axes.set_xlabel("budget, % of the MACs")
            axes.set_ylabel("share of the units kept")
            axes.set_ylim(0, 1.04)
            axes.set_title(f"{network.title.split(',')[0]}: CES, $\\gamma$ = {GAMMA:g}; lines real, dots whole", fontsize=8)
            axes.legend(frameon=False, fontsize=6, loc="lower right")
        for title, enough, apart in points:
            error = apart.std(ddof=1) / math.sqrt(len(apart))
            right.errorbar(100 * (1 - enough), apart.mean(), yerr=error, fmt="o", markersize=3, label=title)
        right.axhline(0, color="0.8", linewidth=1)
        right.set_xlabel("% of the budget wasted by uniform widths")
        right.set_ylabel("default - uniform, points at 25 %")
        right.set_title("MACs touched explain little of what was measured", fontsize=8)
        right.legend(frameon=False, fontsize=5.5, loc="upper right")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()


if __name__ == "__main__":
    rows, points = networks()
    head = ["# Best widths of all budgets: thresholds, networks, nesting", "", "- command: `python proofs/evidence/shape.py`",
            f"- commit {report.environment()['commit']}; nothing is random", ""]
    write_text(FOLDER / "shape.md", "\n".join([*head, *thresholds(), "", *rows, "", *nesting(), ""]))
    write_bytes(FOLDER / "shape.png", picture(points))
