"""How the exact width solver grows, beside HiGHS and CP-SAT: ``python benchmarks/knapsack_growth.py --help``.

Chains of fully connected layers with true MACs and seeded scores. One of four sizes grows while the others stay: the units of
a layer, the number of layers, the number of resources (MACs, then latencies with random coefficients), the number of nested
subnetworks (solved jointly). Every run is a process of its own (`knapsack_peers.py`) with a limit of time and of memory, and
every answer is checked by the library's own costs and values: a budget that is exceeded, a value above the bound of the exact
solver, or a wrong claim of an optimum makes the command fail. A peer that leaves a run unproven is not asked for larger sizes,
nor for the rest of that size. Printed are medians, the exponent p of the fit ``seconds = c * size ** p`` (least squares on
logarithms, over the larger half of the proven sizes, by the medians of CPU time, which other users of a machine disturb least),
and the sizes at which 1 s and 10 s are passed. Without ``--full`` it stops at half of the sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from knapsack_peers import SOLVERS, Case, ask, faults, missing
from knapsack_shapes import SHAPES

EXACT = "exact"
SIZES = {
    "units": ([16, 32, 64, 128, 256, 512, 1024], [16, 32, 64, 128, 256, 512, 1024, 2048, 4096]),
    "layers": ([3, 5, 10, 20, 50], [3, 5, 10, 20, 50, 100, 200]),
    "resources": ([1, 2, 3], [1, 2, 3, 4]),
    "subnetworks": ([2, 5], [2, 3, 5, 10, 20]),
}
LARGE = {"units": 4096, "layers": 20}
SECONDS = (1.0, 10.0)
"""What takes less than this counts as interactive, and as a wait."""
FAR = 100.0

Row = dict[str, Any]


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float] | None:
    """(p, c) of the fit seconds = c * size ** p over the larger half of the sizes, but three of them at least; None below two.

    >>> [round(v, 6) for v in fit([1, 2, 4, 8, 16, 32], [9, 9, 9, 32, 128, 512])]
    [2.0, 0.5]
    """
    first = min(len(sizes) // 2, max(len(sizes) - 3, 0))
    if len(sizes) < 2:
        return None
    p, c = np.polyfit(np.log(sizes[first:]), np.log(seconds[first:]), 1)
    return float(p), float(np.exp(c))


def passes(sizes: Sequence[float], seconds: Sequence[float], limit: float) -> tuple[float, bool] | None:
    """The size at which ``limit`` seconds are passed, and whether that lies outside of the sizes; None if it cannot be told.

    Between two sizes it is interpolated on logarithms; outside it follows the curve of `fit`, a hundredfold at most.

    >>> passes([1, 4], [0.25, 4], 1.0), passes([1, 2], [1, 2], 10)
    ((2.0, False), (10.0, True))
    """
    inside = next((i for i in range(1, len(sizes)) if seconds[i - 1] <= limit < seconds[i]), None)
    if inside is not None:
        ends = slice(inside - 1, inside + 1)
        found = np.exp(np.interp(np.log(limit), np.log(seconds[ends]), np.log(sizes[ends])))
        return round(float(found), 6), False
    curve = fit(sizes, seconds)
    if curve is None or curve[0] <= 0:
        return None
    found = (np.log(limit) - np.log(curve[1])) / curve[0]
    return (round(float(np.exp(found)), 6), True) if abs(found - np.log(sizes[-1])) < np.log(FAR) else None


def measure(options: argparse.Namespace, axis: str, size: int, of: dict[str, int], known: dict[Any, Row]) -> list[Row]:
    """One row for each solver that is still asked: its runs of one size. None of the answers ``known`` is asked for again."""
    shapes = list(SHAPES) if axis == "large" else options.shapes
    cases = [Case(**of, shape=shape, percent=percent, seed=seed, value=options.value)
             for shape in shapes for seed in range(options.seeds) for percent in options.percent]  # fmt: skip
    rows = []
    for solver in options.asked[axis]:
        answers: list[Row] = []
        wrong: list[str] = []
        for case in cases:
            if (solver, case) not in known:
                known[solver, case] = ask(solver, case, options.time_limit, options.memory_mb)
            answer, best = known[solver, case], None if solver == EXACT else known.get((EXACT, case))
            wrong += [f"{solver}, {case}: {fault}" for fault in faults(case, answer, best)]
            answers.append({**answer, "case": case})
            if solver != EXACT and not answer.get("proven"):
                break
        rows.append({"solver": solver, "axis": axis, "size": size, **of, **summary(answers, len(cases)), "wrong": wrong})
    return rows


def summary(answers: list[Row], asked: int) -> Row:
    """The medians and extremes of the runs of one solver at one size; runs that ended without an answer count by their time."""
    took, cpu = ([a.get(key, a["seconds"]) for a in answers] for key in ("seconds", "cpu"))
    proven = [bool(a.get("proven")) for a in answers]
    gaps = [0.0 if p else gap(a) for p, a in zip(proven, answers, strict=True)]
    failed = [a["failed"] for a in answers if "failed" in a]
    return {
        "asked": asked, "runs": len(answers), "proven": sum(proven),
        "median_s": statistics.median(took), "max_s": max(took), "median_cpu_s": statistics.median(cpu), "max_cpu_s": max(cpu),
        "largest_gap": None if None in gaps else max(g for g in gaps if g is not None),
        "peak_mb": max((a["peak_mb"] for a in answers if "peak_mb" in a), default=None),
        "failed": failed[0] if failed else None,
    }  # fmt: skip


def gap(answer: Row) -> float | None:
    """The bound minus the value of an answer; None without both."""
    if answer.get("widths") is None or answer["bound"] is None:
        return None
    problem, widths = answer["case"].problem(), answer["widths"]
    return max(answer["bound"] - math.fsum(problem.evaluate(tuple(w)) for w in widths), 0.0)


def fits(rows: Sequence[Row]) -> list[Row]:
    """For each axis and solver the exponent, and the sizes at which it passes the limits of ``SECONDS``."""
    found = []
    for axis, solver in dict.fromkeys((r["axis"], r["solver"]) for r in rows):
        done = [r for r in rows if (r["axis"], r["solver"]) == (axis, solver) and r["proven"] == r["asked"]]
        sizes, seconds = [r["size"] for r in done], [r["median_cpu_s"] for r in done]
        curve = fit(sizes, seconds)
        at = {f"{limit:g}": passes(sizes, seconds, limit) for limit in SECONDS}
        found.append({"axis": axis, "solver": solver, "sizes": sizes, "exponent": None if curve is None else curve[0],
                      "seconds_at_size_1": None if curve is None else curve[1], "passes": at})  # fmt: skip
    return [f for f in found if f["axis"] != "large"]


def show(row: Row) -> str:
    """One line of the table that is printed."""
    gap, peak = row["largest_gap"], row["peak_mb"]
    return (f"{row['axis']:11} {row['size']:5} {row['solver']:7} {row['median_s']:9.3f} {row['max_s']:9.3f} "
            f"{row['median_cpu_s']:9.3f} {row['max_cpu_s']:9.3f} {row['proven']:3}/{row['runs']:<3} "
            f"{'-' if gap is None else f'{gap:.1e}':>8} {'-' if peak is None else f'{peak:.0f}':>6} "
            f"{row['failed'] or ''}")  # fmt: skip


def show_fit(of: Row) -> str:
    """One line: the exponent and where it stops being interactive."""
    at = {t: "unknown" if p is None else f"{p[0]:.3g}{' (extrapolated)' if p[1] else ''}" for t, p in of["passes"].items()}
    grows = "no fit" if of["exponent"] is None else f"exponent {of['exponent']:.2f}"
    return f"{of['axis']:11} {of['solver']:7} {grows}; " + ", ".join(f"{t} s at {size}" for t, size in at.items())


def plot(path: Path, rows: Sequence[Row]) -> None:
    """A panel for each axis, both scales logarithmic: median CPU seconds of every solver, hollow where not all is proven."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = [axis for axis in SIZES if any(r["axis"] == axis for r in rows)]
    figure, panels = plt.subplots(1, len(axes), figsize=(4 * len(axes), 3.6), sharey=True, squeeze=False, layout="constrained")
    for axis, panel in zip(axes, panels[0], strict=True):
        for number, solver in enumerate(SOLVERS):
            one = [r for r in rows if (r["axis"], r["solver"]) == (axis, solver)]
            done = [r for r in one if r["proven"] == r["asked"]]
            rest = [r for r in one if r["proven"] < r["asked"]]
            panel.loglog([r["size"] for r in done], [r["median_cpu_s"] for r in done], "o-", color=f"C{number}", label=solver)
            panel.loglog([r["size"] for r in rest], [r["median_cpu_s"] for r in rest], "o", color=f"C{number}", mfc="none")
        fixed = next(r for r in rows if r["axis"] == axis)
        panel.set_xlabel(axis)
        panel.set_title(", ".join(f"{fixed[name]} {name}" for name in ("units", "layers") if name != axis), fontsize=9)
        sizes = sorted({r["size"] for r in rows if r["axis"] == axis})
        panel.set_xticks(sizes, [str(s) for s in sizes], fontsize=7, rotation=45)
        panel.minorticks_off()
        panel.axhline(1.0, color="grey", lw=0.5)
    panels[0][0].set_ylabel("CPU seconds to the proof, median")
    panels[0][0].legend()
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="*", default=list(SIZES), choices=list(SIZES), help="what grows; none: --large alone")
    parser.add_argument("--sizes", type=int, nargs="+", help="instead of the sizes of the axes")
    parser.add_argument("--full", action="store_true", help="4096 units, 200 layers, 4 resources, 20 subnetworks; --large")
    parser.add_argument("--large", action="store_true", help="also 20 layers of 4096 units, scores of all shapes")
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS), choices=list(SOLVERS), help="who is asked")
    parser.add_argument("--units", type=int, default=64, help="units of a layer where they are not what grows")
    parser.add_argument("--layers", type=int, default=5, help="number of layers where it is not what grows")
    parser.add_argument("--value", default="ces", choices=["ces", "log_retention", "sum"], help="kind of value")
    parser.add_argument("--shapes", nargs="+", default=["exponential", "gamma"], choices=list(SHAPES), help="of the scores")
    parser.add_argument("--percent", type=int, nargs="+", default=[25, 75], help="capacities, %% of the full cost")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds of wall time for one run")
    parser.add_argument("--memory-mb", type=int, default=12_000, help="address space of one run")
    parser.add_argument("--results", type=Path, help="a JSON file to write, and a picture beside it")
    options = parser.parse_args(arguments)
    absent = {solver: why for solver in options.solvers if (why := missing(solver))}
    for solver, why in absent.items():
        print(f"{solver}: {why}")
    here = [solver for solver in SOLVERS if solver in options.solvers and solver not in absent]
    options.asked = {axis: list(here) for axis in (*SIZES, "large")}
    rows: list[Row] = []
    known: dict[Any, Row] = {}
    print(f"{'axis':11} {'size':>5} {'solver':7} {'median s':>9} {'max s':>9} {'cpu med s':>9} {'cpu max s':>9} {'proven':>7} "
          f"{'gap':>8} {'MB':>6}")  # fmt: skip
    work = [(axis, size, {"units": options.units, "layers": options.layers, axis: size})
            for axis in options.axes for size in options.sizes or SIZES[axis][options.full]]  # fmt: skip
    work += [("large", LARGE["layers"], LARGE)] * (options.full or options.large)
    for axis, size, of in work:
        found = measure(options, axis, size, of, known)
        print("\n".join(map(show, found)), flush=True)
        options.asked[axis] = [r["solver"] for r in found if r["solver"] == EXACT or r["proven"] == r["asked"]]
        rows += found
    for of in fits(rows):
        print(show_fit(of))
    if options.results:
        write(options, arguments, rows, absent)
    wrong = [fault for row in rows for fault in row["wrong"]]
    if wrong:
        print("WRONG:", *wrong, sep="\n  ", file=sys.stderr)
        raise SystemExit(1)


def write(options: argparse.Namespace, arguments: Sequence[str] | None, rows: list[Row], absent: dict[str, str]) -> None:
    """The record, and the picture beside it."""
    from reds_jax.report import environment

    packages = sorted({p for solver in options.solvers if solver not in absent for p in SOLVERS[solver][1]})
    command = shlex.join(["python", "benchmarks/knapsack_growth.py", *(sys.argv[1:] if arguments is None else arguments)])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    solvers = {p: version(p) for p in packages}
    machine = {**environment(), "cores_used": cores, "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d %H:%M")}
    given = {name: getattr(options, name) for name in ("value", "shapes", "percent", "seeds", "time_limit", "memory_mb")}
    record = {"command": command, "machine": machine, "solvers": solvers, "missing": absent, **given,
              "rows": rows, "fits": fits(rows)}  # fmt: skip
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.axes:
        plot(options.results.with_suffix(".png"), rows)


if __name__ == "__main__":
    main()
