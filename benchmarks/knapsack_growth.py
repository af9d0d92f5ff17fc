"""How the exact width solver grows with widths, layers and resources: ``python benchmarks/knapsack_growth.py --help``.

Chains of fully connected layers with true MACs and seeded scores. One of three sizes grows while the other two stay: the
units of a layer, the number of layers, the number of resources (MACs, then latencies with random coefficients). Printed are
medians and the exponent p of the fit ``seconds = c * size ** p`` (least squares on logarithms, over the medians of CPU time,
which other users of a machine disturb least). Without ``--full`` it takes some minutes, and stops at half of the sizes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
from knapsack import SHAPES

from reds_jax.knapsack import WidthProblem, solve

UNITS, LAYERS = 256, 10
SIZES = {
    "units": ([64, 128, 256, 512, 1024], [64, 128, 256, 512, 1024, 2048, 4096]),
    "layers": ([5, 10, 20, 50], [5, 10, 20, 50, 100, 200]),
    "resources": ([1, 2, 3], [1, 2, 3, 4]),
}


def instance(units: int, layers: int, resources: int, shape: str, seed: int, value: str) -> WidthProblem:
    """A chain of layers; the first reads 784 inputs, the last feeds 10 classes."""
    rng = np.random.default_rng([seed, list(SHAPES).index(shape)])
    scores = [np.sort(SHAPES[shape](rng, units))[::-1] for _ in range(layers)]
    pair = [0] + [100] * (layers - 1)
    unit = [78_400] + [0] * (layers - 2) + [1000]
    slow = rng.uniform(0.5, 2.0, size=(resources - 1, layers))  # time for each MAC differs from layer to layer
    more = {f"latency{i}": [np.rint(s * c).astype(int).tolist() for c in (pair, unit)] for i, s in enumerate(slow)}
    return WidthProblem.chain(scores=scores, pair_macs=pair, unit_macs=unit, resources=more, value=value)


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """p of the fit seconds = c * size ** p."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]) if len(sizes) > 1 else float("nan")


def measure(options: argparse.Namespace, axis: str, size: int) -> dict[str, object]:
    """The runs of one size: every shape, seed and percentage."""
    sizes = {"units": UNITS, "layers": options.layers, "resources": 1, axis: size}
    wall, cpu, gaps = [], [], []
    for shape in options.shapes:
        for seed in range(options.seeds):
            for percent in options.percent:
                problem = instance(**sizes, shape=shape, seed=seed, value=options.value)
                capacities = {name: cost * percent // 100 for name, cost in problem.costs(problem.full_widths).items()}
                start, spent = time.perf_counter(), time.process_time()
                answer = solve(problem, capacities, time_limit=options.time_limit)
                wall.append(time.perf_counter() - start)
                cpu.append(time.process_time() - spent)
                gaps.append(None if answer.proven_optimal else answer.bound - answer.value)
    return {
        **sizes, "axis": axis, "size": size, "runs": len(wall), "median_s": statistics.median(wall), "max_s": max(wall),
        "median_cpu_s": statistics.median(cpu), "max_cpu_s": max(cpu), "proven": gaps.count(None),
        "largest_gap": max((g for g in gaps if g is not None), default=0.0),
        "peak_mb_so_far": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axes", nargs="+", default=list(SIZES), choices=list(SIZES), help="what grows")
    parser.add_argument("--sizes", type=int, nargs="+", help="instead of the sizes of the axes")
    parser.add_argument("--full", action="store_true", help="units to 4096, layers to 200, resources to 4")
    parser.add_argument("--layers", type=int, default=LAYERS, help="number of layers where it is not what grows")
    parser.add_argument("--value", default="ces", choices=["ces", "log_retention", "sum"], help="kind of value")
    parser.add_argument("--shapes", nargs="+", default=["exponential", "gamma"], choices=list(SHAPES), help="of the scores")
    parser.add_argument("--percent", type=int, nargs="+", default=[25, 50, 75], help="capacities, %% of the full cost")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--time-limit", type=float, default=120.0, help="seconds for one solve")
    parser.add_argument("--results", type=Path, help="a JSON file to write")
    options = parser.parse_args()
    rows, exponents = [], {}
    print(f"{'axis':10} {'size':>5} {'runs':>4} {'median s':>9} {'max s':>9} {'cpu med s':>9} {'cpu max s':>9} {'proven':>7} "
          f"{'MB':>5}")  # fmt: skip
    for axis in options.axes:
        found = []
        for size in options.sizes or SIZES[axis][options.full]:
            row = measure(options, axis, size)
            found.append(row)
            print(f"{axis:10} {size:5} {row['runs']:4} {row['median_s']:9.3f} {row['max_s']:9.3f} {row['median_cpu_s']:9.3f} "
                  f"{row['max_cpu_s']:9.3f} {row['proven']:3}/{row['runs']:<3} {row['peak_mb_so_far']:5}",
                  flush=True)  # fmt: skip
        exponents[axis] = exponent([r["size"] for r in found], [r["median_cpu_s"] for r in found])
        print(f"{axis:10} exponent {exponents[axis]:.2f}", flush=True)
        rows += found
    if options.results:
        text = json.dumps({"value": options.value, "rows": rows, "exponents": exponents}, indent=1)
        options.results.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
