"""The approximation scheme beside the exact solver: ``python benchmarks/knapsack_fptas.py --help``.

First the networks of ``knapsack.py`` under a capacity in MACs, then the chains of proofs/complexity.md that hold a subset-sum
problem with numbers of 37 binary digits: there the exact solver has about as many labels as there are subsets. For each
epsilon the share of the optimum that is lost (of the loss, where values are losses), what the bound leaves open, and seconds of
processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from knapsack import INSTANCES

from reds_jax.knapsack import Solution, WidthProblem, solve

MODELS = ("DNN S", "CNN S", "DS-CNN S step 1 sum", "DS-CNN S step 1 log_retention", "DS-CNN L step 1 sum",
          "MobileNetV1 1.0@224 step 8 sum", "ResNet-8 step 1 sum")  # fmt: skip


def subset_sum(count: int) -> tuple[WidthProblem, int]:
    """A chain over ``count`` random numbers, and the capacity that lets half of their sum be reached."""
    numbers = [int(a) for a in np.random.default_rng(count).integers(10**10, 10**11, size=count)]
    scores = [s for a in numbers for s in ((a, a), (0, 0))]
    factors = [a for a in numbers for _ in range(2)]
    return WidthProblem.chain(scores=scores, pair_macs=factors, unit_macs=[0] * len(factors)), 3 * sum(numbers)


def cases(options: argparse.Namespace) -> Iterator[tuple[str, WidthProblem, int]]:
    for wanted in options.models:
        name = next(key for key in INSTANCES if key.startswith(wanted))
        for shape in options.shapes:
            problem = INSTANCES[name][0](shape, 0)
            full = problem.cost("macs", problem.full_widths)
            for percent in options.percent:
                yield f"{name}, {shape}, {percent} %", problem, int(full) * percent // 100
    for count in options.numbers:
        yield f"subset sum of {count} numbers", *subset_sum(count)


def timed(solving: Callable[[], Solution]) -> tuple[Solution | None, float]:
    """The solution, None if the time was over before there was one, and seconds of processor time."""
    start = time.process_time()
    try:
        found = solving()
    except TimeoutError:
        found = None
    return found, time.process_time() - start


def measure(name: str, problem: WidthProblem, capacity: int, options: argparse.Namespace) -> dict[str, Any]:
    limit = {"macs": capacity}
    exact, seconds = timed(lambda: solve(problem, limit, time_limit=options.time_limit))
    if exact is None:
        raise SystemExit(f"{name}: the exact solver found no widths in {options.time_limit} s")
    row: dict[str, Any] = {"case": name, "groups": len(problem.groups), "exact_s": seconds, "proven": exact.proven_optimal}
    for epsilon in options.epsilons:
        found, seconds = timed(lambda e=epsilon: solve(problem, limit, method="fptas", epsilon=e))
        assert found is not None
        best = abs(float(exact.value)) or 1.0
        lost, open_ = ((exact.value - found.value) / best, (found.bound - found.value) / (abs(found.bound) or 1.0))
        if not (exact.bound >= found.value and found.bound >= exact.value - 1e-9 * best and open_ <= epsilon * (1 + 1e-12)):
            raise SystemExit(f"{name}, epsilon {epsilon}: {found} does not fit {exact}")
        row[f"epsilon_{epsilon:g}"] = {"lost": float(lost), "open": float(open_), "s": seconds}
    return row


def show(row: dict[str, Any]) -> str:
    schemes = [f"{of['lost']:10.2e} {of['open']:8.1e} {of['s']:8.3f}" for key, of in row.items() if key.startswith("epsilon")]
    return f"{row['case']:52} {row['exact_s']:8.3f}{' ' if row['proven'] else '*'} | " + " | ".join(schemes)


def table(record: dict[str, Any]) -> str:
    """The record as a page: what made it, and a line for each case."""
    epsilons = [key for key in record["rows"][0] if key.startswith("epsilon")]
    machine = record["machine"]
    lines = ["# The approximation scheme beside the exact solver", "",
             f"`{record['command']}`, commit {machine['commit']}, {machine['date']}, {machine['machine']}, load "
             f"{machine['load']:.1f}. Seconds are of processor time. *Lost*: of the optimum (of the loss, where values are "
             "losses). *Open*: what the scheme's own bound leaves open, at most epsilon.", "",
             "| case | exact: s | " + " | ".join(f"{key.replace('_', ' ')}: lost | open | s" for key in epsilons) + " |",
             "|---|---:|" + "---:|---:|---:|" * len(epsilons)]  # fmt: skip
    for row in record["rows"]:
        proven = "" if row["proven"] else f", not proven in {record['time_limit']:.0f} s"
        cells = [f"{row[key]['lost']:.1e} | {row[key]['open']:.1e} | {row[key]['s']:.2f}" for key in epsilons]
        lines.append(f"| {row['case']} | {row['exact_s']:.2f}{proven} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(MODELS), help="the first instance of knapsack.py that begins so")
    parser.add_argument("--shapes", nargs="+", default=["gamma", "flat"], help="of the scores")
    parser.add_argument("--percent", type=int, nargs="+", default=[25], help="capacities, %% of the full cost")
    parser.add_argument("--numbers", type=int, nargs="*", default=[10, 14, 18, 20, 22, 24, 26], help="of the subset sums")
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.1, 0.01, 0.001])
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds of wall time for the exact solver")
    parser.add_argument("--results", type=Path, help="a JSON file to write, and a page beside it")
    options = parser.parse_args(arguments)
    print("exact: s (*: not proven); for each epsilon the share lost, the share left open, s: ", *options.epsilons)
    rows = []
    for case in cases(options):
        rows.append(measure(*case, options))
        print(show(rows[-1]), flush=True)
    if options.results:
        from reds_jax.report import environment

        command = shlex.join(["python", "benchmarks/knapsack_fptas.py", *(sys.argv[1:] if arguments is None else arguments)])
        machine = {**environment(), "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d %H:%M")}
        record = {"command": command, "machine": machine, "time_limit": options.time_limit, "rows": rows}
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        options.results.with_suffix(".md").write_text(table(record), encoding="utf-8")


if __name__ == "__main__":
    main()
