"""What one list of widths keeps at budgets that nobody told it: ``python benchmarks/any_budget.py --help``.

The library's networks with seeded scores. At budgets of MACs spaced by equal factors, from 5 % of the full network (or its
smallest widths, if these cost more) up, the widths of every method are compared with the optimum of ``solve``: the lists of
``any_budget_order`` through 0, 4 and 10 nested optima, and chains of 4 and 10 nested subnetworks alone, of which the
largest that fits is taken.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from knapsack_shapes import SHAPES

from reds_jax.cost import width_problem
from reds_jax.experiments.theory_cases import MODELS, traced
from reds_jax.knapsack import WidthProblem, any_budget_order, solve, solve_nested
from reds_jax.knapsack.solution import ratio
from reds_jax.report import environment

VALUES = {"ces": 0.0, "log_retention": 0.25, "sum": 0.25}  # with the floor that each is used with
LISTS, CHAINS = (0, 4, 10), (4, 10)


def problem_of(network: str, value: str, shape: str, seed: int, resources: tuple[str, ...] = ("macs",)) -> WidthProblem:
    graph = traced(network)
    rng = np.random.default_rng([seed, list(SHAPES).index(shape)])
    scores = {g.name: np.sort(SHAPES[shape](rng, g.size))[::-1] for g in graph.groups}
    return width_problem(
        graph, scores, value=value, floor=VALUES[value], step=MODELS[network][1], resources=resources  # type: ignore[arg-type]
    )


def between(problem: WidthProblem, count: int, least: float = 0.0) -> list[dict[str, float]]:
    """Budgets by equal factors, the smallest widths (or a share of the full cost) and the full ones left out."""
    low, high = problem.costs(problem.smallest_widths), problem.costs(problem.full_widths)
    start = {n: max(low[n], least * high[n]) for n in low}
    return [{n: start[n] * (high[n] / start[n]) ** (k / (count + 1)) for n in low} for k in range(1, count + 1)]


def of_chain(problem: WidthProblem, count: int) -> Callable[[dict[str, float]], tuple[int, ...]]:
    """The largest of a chain of nested subnetworks that fits, beside the smallest widths and the full ones."""
    stages = [problem.smallest_widths, *solve_nested(problem, between(problem, count)).widths]

    def widths(budget: dict[str, float]) -> tuple[int, ...]:
        return [w for w in stages if all(c <= budget[n] for n, c in problem.costs(w).items())][-1]

    return widths


def compare(problem: WidthProblem, budgets: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """For every method the least and the mean ratio to the optimum, and the seconds to make it."""
    optima = [solve(problem, budget, time_limit=60) for budget in budgets]
    makers: dict[str, Callable[[], Callable[[dict[str, float]], tuple[int, ...]]]] = {}
    makers |= {f"list through {n}": lambda n=n: any_budget_order(problem, anchors=n).widths for n in LISTS}
    makers |= {f"chain of {n}": lambda n=n: of_chain(problem, n) for n in CHAINS}
    found = {}
    for name, make in makers.items():
        start = time.process_time()
        widths = make()
        seconds = time.process_time() - start
        values = [problem.evaluate(widths(budget)) for budget in budgets]
        ratios = [ratio(v, max(o.value if o.proven_optimal else o.bound, v), len(problem.groups), problem.gamma)
                  for v, o in zip(values, optima, strict=True)]
        found[name] = {"least": min(ratios), "mean": float(np.mean(ratios)), "cpu_seconds": round(seconds, 2)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--values", nargs="+", default=list(VALUES), choices=list(VALUES))
    parser.add_argument("--shapes", nargs="+", default=["exponential", "lognormal"], choices=list(SHAPES))
    parser.add_argument("--budgets", type=int, default=24)
    parser.add_argument("--resources", nargs="+", default=["macs"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="a JSON file to write")
    options = parser.parse_args()
    command, machine, rows = " ".join(["python", *sys.argv]), environment(), []
    for network in options.networks:
        for value in options.values:
            for shape in options.shapes:
                problem = problem_of(network, value, shape, options.seed, tuple(options.resources))
                found = compare(problem, between(problem, options.budgets, 0.05))
                rows.append({"network": network, "value": value, "shape": shape, "methods": found})
                shown = "  ".join(f"{name}: {f['least']:.3f} {f['mean']:.3f}" for name, f in found.items())
                print(f"{network:12} {value:13} {shape:11} {shown}", flush=True)
                if options.results:
                    record = {"command": command, "machine": machine, "budgets": options.budgets, "rows": rows}
                    options.results.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
