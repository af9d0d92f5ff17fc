"""Widths chosen by MACs against widths chosen by a measured table: ``python benchmarks/latency_loop.py --help``.

For each network and number format: a table of times on this computer and one of instructions of a Cortex-M4F in QEMU
(`reds_jax.deploy.latency.measure`); four nested subnetworks chosen for the same values by MACs, by time and by instructions, at
the same fractions of the full network's cost, and by time and by instructions at what the choice by MACs costs; all of them
exported as C, run as wholes, and compared with what the tables predicted. The values are log-retention of decaying scores,
``(1 + u)^-a`` with one random exponent a group: nothing is trained, and no accuracy is measured. Needs gcc, qemu-system-arm
and arm-none-eabi-gcc.
"""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from reds_jax import report
from reds_jax.cost import width_problem
from reds_jax.deploy.board import device, host
from reds_jax.deploy.c.export import Dtype, export
from reds_jax.deploy.latency.measure import Statistic, measure
from reds_jax.deploy.latency.table import LatencyTable
from reds_jax.deploy.lowering.lower import lower
from reds_jax.graph import ChannelGraph
from reds_jax.graph.trace import trace
from reds_jax.knapsack import WidthProblem, solve_nested
from reds_jax.models import ds_cnn_s, mobilenet_v1

WHOLE = Path(__file__).parent / "latency_loop" / "whole.c"
NETWORKS = {"DS-CNN S": (lambda: ds_cnn_s(), (49, 10, 1)), "MobileNetV1 0.25": (lambda: mobilenet_v1(2, 0.25), (96, 96, 3))}
MEASURED = ("latency_us", "instructions")
SHORT = {"macs": "MACs", "latency_us": "time", "instructions": "instructions"}


@dataclass(frozen=True)
class Options:
    """Widths chosen by MACs against widths chosen by a measured table of time or instructions."""

    output: Path = Path("experiments/latency")
    """table.md, results.json, latency.png and tables/ go here"""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """which networks"""
    dtypes: tuple[Dtype, ...] = ("int8", "float32")
    """which number formats"""
    budgets: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """fractions of the full network's cost"""
    points: int = 6
    """widths of a group in the grid of the tables"""
    step: int = 4
    """widths are multiples of this, in the tables and in the choices"""
    floor: float = 0.125
    """smallest width of a group, as a fraction of it"""
    passes: int = 101
    """passes of every timing"""
    statistic: Statistic = "minimum"
    """what is taken of the passes, for calls and for whole networks; on a busy machine the median of long runs is too large"""
    seed: int = 0
    """of the exponents of the scores that are measured"""
    more_seeds: int = 20
    """so many further seeds are solved and not measured"""


def scores(graph: ChannelGraph, seed: int) -> dict[str, np.ndarray]:
    """Decaying scores, with one exponent a group."""
    rng = np.random.default_rng(seed)
    return {g.name: (1.0 + np.arange(g.size)) ** -rng.uniform(0.3, 1.5) for g in graph.groups}


def choose(problem: WidthProblem, options: Options) -> dict[str, Any]:
    """The nested widths by every resource at the budgets, and by the measured ones at the cost of the choice by MACs."""
    full = problem.costs(problem.full_widths)
    found = {name: solve_nested(problem, [{name: b * full[name]} for b in options.budgets]) for name in ("macs", *MEASURED)}
    for name in MEASURED:
        found[f"{name}, equal"] = solve_nested(problem, [{name: s.costs[name]} for s in found["macs"].solutions])
    return found


def time_wholes(folder: Path, count: int, facts: Mapping[str, Any], options: Options) -> np.ndarray:
    """Microseconds [networks, subnetworks, passes] of the networks n0, n1, ... of a folder, in turn in one process."""
    with tempfile.TemporaryDirectory(prefix="latency_") as temporary:
        here = Path(temporary)
        element = "int8_t" if facts["dtype"] == "int8" else "float"
        names = " ".join(f"NETWORK(n{i})" for i in range(count))
        lines = [f'#include "n{i}_model.h"' for i in range(count)]
        lines += [f"#define ELEMENT {element}", f"#define INPUT_ITEMS {facts['input_items']}u", f"#define NETWORKS {names}",
                  f"#define OUTPUT_ITEMS {facts['output_items']}u", f"#define SUBNETWORKS {len(options.budgets)}u"]
        (here / "networks.h").write_text("\n".join(lines) + "\n")
        program = host.build(folder, here / "whole", "-O2", f"-I{here}", main=WHOLE, name=None)
        done = subprocess.run([str(program), str(options.passes)], capture_output=True, text=True, check=True)
    rows = [[float(v) for v in line.split()] for line in done.stdout.splitlines()]
    return np.array(rows).reshape(count, len(options.budgets), -1) / 1e3


def run(network: str, dtype: Dtype, options: Options) -> dict[str, Any]:
    """One network in one number format: tables, choices, and the choices as wholes."""
    build, shape = NETWORKS[network]
    model, example = build(), jnp.zeros((1, *shape), jnp.float32)
    variables = jax.jit(model.init)(jax.random.key(options.seed), example)
    graph = trace(model, variables, example)
    program = lower(model, [variables], [graph.full_widths], example)
    tables = {t.unit: t for t in (
        measure(program, graph, dtype, machine=machine, points=options.points, multiple=options.step, checks=4,
                passes=options.passes, statistic=options.statistic) for machine in ("host", "m4"))}

    def problem(seed: int) -> WidthProblem:
        return width_problem(graph, scores(graph, seed), value="log_retention", step=options.step, floor=options.floor,
                             extra_resources=tables)

    solved = choose(problem(options.seed), options)
    inputs = np.random.default_rng(options.seed).normal(size=(8, *shape)).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="latency_") as temporary:
        tree, facts = Path(temporary) / "networks", {}
        for i, nested in enumerate(solved.values()):
            exported = export(model, variables, graph, list(nested.widths), tree, dtype,
                              calibration=[inputs] if dtype == "int8" else None, examples=inputs[:1], name=f"n{i}")
            facts = exported.facts
        passes = time_wholes(tree, len(solved), facts, options)
        counted = [device.run(tree, "m4", name=f"n{i}", examples=1).subnetworks for i in range(len(solved))]
    statistic = np.median if options.statistic == "median" else np.min
    choices = {}
    for i, (name, nested) in enumerate(solved.items()):
        rows = []
        for k, s in enumerate(nested.solutions):
            rows.append({"budget": options.budgets[k], "widths": s.widths, "value": s.value, "macs": s.costs["macs"],
                         "retained": math.exp(s.value / len(graph.groups)),
                         "predicted": {unit: s.costs[unit] for unit in MEASURED},
                         "measured": {"latency_us": float(statistic(passes[i, k])), "instructions": counted[i][k].invoke},
                         "time_of_passes": {"minimum": float(passes[i, k].min()), "median": float(np.median(passes[i, k]))}})
        choices[name] = {"subnetworks": rows, "certificate": nested.certificate}
    gains: dict[str, list[list[float]]] = {unit: [] for unit in MEASURED}
    for seed in range(1000, 1000 + options.more_seeds):
        again = choose(problem(seed), options)
        for unit in MEASURED:
            gains[unit].append([math.exp((a - b) / len(graph.groups)) - 1
                                for a, b in zip(again[f"{unit}, equal"].values, again["macs"].values, strict=True)])
    return {"network": network, "dtype": dtype, "full": problem(options.seed).costs(graph.integers(1.0)), "choices": choices,
            "interpolation": {unit: t.facts["interpolation"] for unit, t in tables.items()},
            "spread": tables["latency_us"].facts["median_over_minimum"], "gains_at_equal_cost": gains, "tables": tables}


def machine() -> dict[str, Any]:
    about = report.environment()
    first = subprocess.run([host.compiler(), "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return {"machine": about["machine"], "commit": about["commit"], "load": os.getloadavg()[0], "compiler": f"{first}, -O2",
            "python": platform.python_version(), "versions": about["versions"], **device.versions()}


def off(rows: Sequence[Mapping[str, Any]], unit: str) -> list[float]:
    return [r["predicted"][unit] / r["measured"][unit] - 1 for r in rows]


def prediction_table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| network | | unit | single calls, between the points of the grid: off by, at most | whole networks: "
             "prediction ÷ measurement - 1, at 25 / 50 / 75 / 100 % | the largest |", "|---|---|---|---|---|---:|"]
    for r in records:
        for unit in MEASURED:
            e = r["interpolation"][unit]
            errors = [off(c["subnetworks"], unit) for c in r["choices"].values()]
            means = " / ".join(f"{statistics.mean(column):+.1%}" for column in zip(*errors, strict=True))
            largest = max((v for row in errors for v in row), key=abs)
            lines.append(f"| {r['network']} | {r['dtype']} | {SHORT[unit]} | {e['sum_of_errors_over_sum']:.1%}, "
                         f"{e['largest_relative']:.1%} | {means} | {largest:+.1%} |")
    return [*lines, ""]


def budget_table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a choice at a budget costs in truth, as a fraction of the full network's measured cost."""
    lines = ["| network | | budget | measured time of the choice by MACs | by time | measured instructions of the choice by "
             "MACs | by instructions | retained importance by MACs, by time, by instructions |",
             "|---|---|---:|---:|---:|---:|---:|---|"]
    for r in records:
        macs = r["choices"]["macs"]["subnetworks"]
        for k, row in enumerate(macs[:-1]):
            cells = []
            for unit in MEASURED:
                for name in ("macs", unit):
                    now = r["choices"][name]["subnetworks"]
                    cells.append(f"{now[k]['measured'][unit] / now[-1]['measured'][unit]:.1%}")
            kept = ", ".join(f"{r['choices'][n]['subnetworks'][k]['retained']:.3f}" for n in ("macs", *MEASURED))
            lines.append(f"| {r['network']} | {r['dtype']} | {row['budget']:.0%} | {' | '.join(cells)} | {kept} |")
    return [*lines, ""]


def equal_table(records: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = ["| network | | equal in | subnetwork | MACs: by MACs, by the table | measured: by MACs, by the table | ratio | "
             "retained importance: by MACs, by the table | gain | the same, other scores: median (range) |",
             "|---|---|---|---:|---:|---:|---:|---:|---:|---:|"]
    for r in records:
        for unit in MEASURED:
            base, other = (r["choices"][n]["subnetworks"] for n in ("macs", f"{unit}, equal"))
            for k, (a, b) in enumerate(zip(base[:-1], other[:-1], strict=True)):
                over = b["measured"][unit] / a["measured"][unit]
                more = [g[k] for g in r["gains_at_equal_cost"][unit]]
                spread = f"{statistics.median(more):+.2%} ({min(more):+.2%} to {max(more):+.2%})" if more else "-"
                cells = (r["network"], r["dtype"], SHORT[unit], f"{a['budget']:.0%}", f"{a['macs']:,}, {b['macs']:,}",
                         f"{a['measured'][unit]:,.0f}, {b['measured'][unit]:,.0f}", f"{over:.3f}",
                         f"{a['retained']:.4f}, {b['retained']:.4f}", f"{b['retained'] / a['retained'] - 1:+.2%}", spread)
                lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def markdown(results: Mapping[str, Any]) -> str:
    about, records, options = results["machine"], results["records"], results["options"]
    lines = [
        "# Widths chosen by MACs, by time and by instructions", "",
        f"- command: `{results['command']}`",
        f"- seed {options['seed']}, commit {about['commit']}, {about['machine']}, load {about['load']:.1f}, jax "
        f"{about['versions']['jax']}; {results['seconds']:.0f} s in all",
        f"- host: {about['compiler']}, CLOCK_MONOTONIC, {options['statistic']} of {options['passes']} interleaved passes",
        f"- Cortex-M4F: {about['arm-none-eabi-gcc']}, {about['qemu-system-arm']}; instructions, not cycles",
        f"- grid of {options['points']} widths a group, widths are multiples of {options['step']}, floor {options['floor']:g}; "
        "values: log-retention of the scores (1 + u)^-a, one random a in [0.3, 1.5] a group; untrained weights, no accuracies",
        "",
        "Retained importance is the geometric mean over the groups, exp(value / groups).", "",
        "## How well the sum of the layers predicts a network", "",
        "The tables are summed over the layers; the networks are run as wholes from the exported C, every inference on another "
        "input. Mean over the five choices.", "", *prediction_table(records),
        "## A budget in MACs is not a budget of time", "",
        "Measured cost as a fraction of the full network's, for widths chosen at a budget of MACs and at the same budget of "
        "the measured resource. The choice by MACs keeps more because it spends more.", "", *budget_table(records),
        "## At equal cost", "",
        "By the table, at what the table says that the choice by MACs costs. The last column solves "
        f"{options['more_seeds']} other draws of the scores and measures nothing.", "",
        *equal_table(records), "![cost and retained importance](latency.png)", ""]
    return "\n".join(lines)


def plot(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Retained importance against measured cost, for the choices at budgets and at equal cost."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure(figsize=(2.6 * len(records) + 0.6, 5.0), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2, len(records), squeeze=False)
        for column, r in enumerate(records):
            for row, unit in enumerate(MEASURED):
                axes = grid[row][column]
                full = r["choices"]["macs"]["subnetworks"][-1]["measured"][unit]
                for name, style, label in (("macs", "o-", "chosen by MACs"), (unit, "s--", "by the table, at the budgets"),
                                           (f"{unit}, equal", "x:", "by the table, at the cost of the choice by MACs")):
                    rows = r["choices"][name]["subnetworks"]
                    axes.plot([100 * x["measured"][unit] / full for x in rows], [x["retained"] for x in rows], style,
                              label=label, markersize=5, fillstyle="none")
                for b in (25, 50, 75):
                    axes.axvline(b, color="0.9", zorder=0)
                axes.set_xlabel(f"measured {SHORT[unit]} %")
                if row == 0:
                    axes.set_title(f"{r['network']}, {r['dtype']}", fontsize=9)
                if column == 0:
                    axes.set_ylabel("retained importance (geometric mean)")
        figure.legend(*grid[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
        figure.savefig(path, dpi=110, metadata={"Software": None})


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = tyro.cli(Options, args=given, description=__doc__)
    about, start = machine(), time.perf_counter()
    print(about, flush=True)
    (options.output / "tables").mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "benchmarks/latency_loop.py", *given])
    records = []
    for network in options.networks:
        for dtype in options.dtypes:
            record = run(network, dtype, options)
            tables: dict[str, LatencyTable] = record.pop("tables")
            for unit, table in tables.items():
                name = f"{network.lower().replace(' ', '_').replace('-', '_')}_{dtype}_{unit}.json"
                table.save(options.output / "tables" / name)
            records.append(record)
            print(f"  {network}, {dtype}: {time.perf_counter() - start:.0f} s", flush=True)
    results = {"command": command, "machine": about, "options": asdict(options), "seconds": time.perf_counter() - start,
               "records": records}
    (options.output / "results.json").write_text(json.dumps(results, indent=1, default=str) + "\n")
    (options.output / "table.md").write_text(markdown(results))
    plot(options.output / "latency.png", records)
    print(markdown(results))
    return results


if __name__ == "__main__":
    main()
