"""One instance of the width problem, given to one solver in a process of its own, and its answer checked.

The solvers: this library's exact one; HiGHS by the MILP of the library (``method="milp"``; for nested subnetworks its flow
form over all widths); CP-SAT of OR-Tools, if it is installed. Each sees the same scores, the same true MACs (products of
widths) and the same capacities. A solver that hangs or runs out of memory costs its own process only.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from knapsack_shapes import SHAPES

from reds_jax.knapsack import WidthProblem, solve, solve_nested
from reds_jax.knapsack.joint import improve_joint
from reds_jax.knapsack.table import table_scale

Stages = tuple[tuple[int, ...], ...]
Coefficients = dict[str, tuple[list[int], list[int]]]

GRACE = 30.0
"""Seconds beyond its time limit after which a solver is ended."""
TOLERANCE = 1e-10
"""Two optima agree within this fraction of the largest possible total; the solvers round values to about 1e-12 of it."""


@dataclass(frozen=True)
class Case:
    """A chain of ``layers`` fully connected layers of ``units`` units, between 784 inputs and 10 classes.

    ``resources``: MACs, then latencies with random coefficients. Subnetwork s of N may use s / N of ``percent`` of every
    resource of the full network.
    """

    units: int
    layers: int
    resources: int = 1
    subnetworks: int = 1
    shape: str = "exponential"
    percent: int = 50
    seed: int = 0
    value: Literal["sum", "log_retention", "ces"] = "ces"

    def _scores_and_generator(self) -> tuple[list[np.ndarray], np.random.Generator]:
        rng = np.random.default_rng([self.seed, list(SHAPES).index(self.shape)])
        return [np.sort(SHAPES[self.shape](rng, self.units))[::-1] for _ in range(self.layers)], rng

    def coefficients(self) -> Coefficients:
        """For each resource the coefficients of n[i-1] * n[i], and of n[i]."""
        _, rng = self._scores_and_generator()
        pair = [0] + [100] * (self.layers - 1)
        unit = [78_400] + [0] * (self.layers - 2) + [1000]
        slow = rng.uniform(0.5, 2.0, size=(self.resources - 1, self.layers))  # time for each MAC differs from layer to layer
        times = [tuple(np.rint(s * c).astype(int).tolist() for c in (pair, unit)) for s in slow]
        return {"macs": (pair, unit), **{f"latency{i}": (of[0], of[1]) for i, of in enumerate(times)}}

    def problem(self) -> WidthProblem:
        """The instance as a problem of this library."""
        scores, _ = self._scores_and_generator()
        (pair, unit), *_ = (of := self.coefficients()).values()
        more = {name: both for name, both in of.items() if name != "macs"}
        return WidthProblem.chain(scores=scores, pair_macs=pair, unit_macs=unit, resources=more, value=self.value)

    def capacities(self, problem: WidthProblem) -> list[dict[str, int]]:
        """Those of each subnetwork, from the smallest to the largest."""
        full, parts = problem.costs(problem.full_widths), 100 * self.subnetworks
        return [{name: int(cost) * self.percent * s // parts for name, cost in full.items()}
                for s in range(1, self.subnetworks + 1)]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """Widths of each subnetwork, or None; an upper bound on the total value, or None; whether it claims the optimum."""

    widths: Stages | None
    bound: float | None
    proven: bool


def exact(case: Case, problem: WidthProblem, limits: list[dict[str, int]], seconds: float) -> Answer:
    """This library's solver, and its joint optimum of nested subnetworks."""
    if len(limits) == 1:
        one = solve(problem, limits[0], time_limit=seconds)
        return Answer((one.widths,), one.bound, one.proven_optimal)
    nested = solve_nested(problem, limits, exact_joint=True, time_limit=seconds)
    return Answer(nested.widths, nested.bound, nested.proven_optimal)


def highs(case: Case, problem: WidthProblem, limits: list[dict[str, int]], seconds: float) -> Answer:
    """HiGHS by cvxpy: the bits or the flow form; for nested subnetworks the flow forms tied together, over all widths."""
    if len(limits) == 1:
        one = solve(problem, limits[0], method="milp", time_limit=seconds)
        return Answer((one.widths,), one.bound, one.proven_optimal)
    return Answer(*improve_joint(problem, limits, [], None, time_limit=seconds))


def cp_sat(case: Case, problem: WidthProblem, limits: list[dict[str, int]], seconds: float) -> Answer:
    """CP-SAT, one worker: an integer for each width, an element constraint for its value, a product for each pair.

    Values are rounded to 2^-46 of the largest possible total, as CP-SAT takes integers only.
    """
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    scale = table_scale([t.array for t in problem.values]) * len(limits)
    step = 2.0 ** math.ceil(math.log2(scale * 2.0**-46))
    gains = {int(t.groups[0]): np.rint(t.array / step).astype(np.int64) for t in problem.values}
    stages, total = [], []
    for limit in limits:
        n = [model.new_int_var(w[0], w[-1], "") for w in problem.widths]
        for g, width in enumerate(n):
            value = model.new_int_var(int(gains[g].min()), int(gains[g].max()), "")
            model.add_element(width - problem.widths[g][0], gains[g].tolist(), value)
            total.append(value)
        products = []
        for (a, b), (low, high) in zip(pairwise(n), pairwise(problem.widths), strict=True):
            product = model.new_int_var(low[0] * high[0], low[-1] * high[-1], "")
            model.add_multiplication_equality(product, [a, b])
            products.append(product)
        for name, (pair, unit) in case.coefficients().items():
            priced = [c * v for c, v in zip(pair[1:], products, strict=True)] + [c * v for c, v in zip(unit, n, strict=True)]
            model.add(sum(priced) <= limit[name])
        if stages:
            for small, large in zip(stages[-1], n, strict=True):
                model.add(small <= large)
        stages.append(n)
    model.maximize(sum(total))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = seconds
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Answer(None, None, False)
    widths = tuple(tuple(solver.value(v) for v in n) for n in stages)
    return Answer(widths, solver.best_objective_bound * step, status == cp_model.OPTIMAL)


SOLVERS: dict[str, tuple[Callable[[Case, WidthProblem, list[dict[str, int]], float], Answer], tuple[str, ...]]] = {
    "exact": (exact, ()), "HiGHS": (highs, ("cvxpy", "highspy")), "CP-SAT": (cp_sat, ("ortools",)),
}  # fmt: skip
"""By name: the solver, and the packages that it needs."""


def missing(solver: str) -> str | None:
    """Why a solver cannot be asked here, or None."""
    absent = [package for package in SOLVERS[solver][1] if find_spec(package) is None]
    return f"{', '.join(absent)} not installed" if absent else None


def ask(solver: str, case: Case, seconds: float, memory_mb: int) -> dict[str, Any]:
    """The answer of a solver in a process of its own.

    Returns:
        ``widths``, ``bound``, ``proven``, wall ``seconds``, ``cpu`` seconds and ``peak_mb`` of that process; or ``failed``, a
        sentence, with the ``seconds`` until then.
    """
    command = [sys.executable, __file__, json.dumps([solver, asdict(case), seconds, memory_mb])]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=seconds + GRACE, check=False,
                              env={**os.environ, **threads})  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"failed": f"ended after {seconds + GRACE:g} s", "seconds": time.perf_counter() - start}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        return {"failed": said[0][:200], "seconds": time.perf_counter() - start}
    return json.loads(lines[-1])


def faults(case: Case, answer: dict[str, Any], best: dict[str, Any] | None = None) -> list[str]:
    """What is wrong with an answer, by the library's own costs and values; ``best`` is the answer of the exact solver.

    None may be worth more than the bound of the exact solver, and one that claims the optimum not less than its widths.
    """
    known = best is not None and best.get("widths") is not None
    if "failed" in answer or answer["widths"] is None:
        return ["claims that nothing is feasible, but the exact solver has widths"] if known and answer.get("proven") else []
    problem, widths = case.problem(), [tuple(w) for w in answer["widths"]]
    found = []
    for s, (w, limits) in enumerate(zip(widths, case.capacities(problem), strict=True)):
        found += [f"subnetwork {s} costs {cost} {name}, allowed are {limits[name]}"
                  for name, cost in problem.costs(w).items() if cost > limits[name]]  # fmt: skip
    found += [f"subnetwork {s} is not inside the next" for s, (a, b) in enumerate(pairwise(widths))
              if any(x > y for x, y in zip(a, b, strict=True))]  # fmt: skip
    if best is not None and known:
        value, other = (math.fsum(problem.evaluate(tuple(w)) for w in one["widths"]) for one in (answer, best))
        slack = TOLERANCE * table_scale([t.array for t in problem.values]) * case.subnetworks
        if best["bound"] is not None and value > best["bound"] + slack:
            found.append(f"worth {value}, above the exact solver's bound {best['bound']}")
        if answer["proven"] and value < other - slack:
            found.append(f"claims that {value} is the optimum, but {other} is feasible")
    return found


def peak_mb() -> float:
    """The largest resident memory of this process so far; what its parent used does not count."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Solve the case of the command line and print the answer: what ``ask`` runs."""
    solver, given, seconds, memory_mb = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 2**20,) * 2)
    case, (function, packages) = Case(**given), SOLVERS[solver]
    for package in packages:
        __import__("ortools.sat.python.cp_model" if package == "ortools" else package)  # not timed
    problem = case.problem()
    limits = case.capacities(problem)
    start, spent = time.perf_counter(), time.process_time()
    try:
        answer = function(case, problem, limits, seconds)
    except TimeoutError:
        answer = Answer(None, None, False)
    taken = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - spent, "peak_mb": peak_mb()}
    print(json.dumps({**asdict(answer), **taken}))


if __name__ == "__main__":
    main()
