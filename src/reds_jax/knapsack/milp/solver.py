"""The best widths by the MILP: solved, rounded to widths, re-evaluated, and cut off if they cost too much."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reds_jax.errors import InfeasibleError
from reds_jax.knapsack.milp.bits import BitsModel, fits_bits
from reds_jax.knapsack.milp.flow import FlowModel
from reds_jax.knapsack.milp.highs import run_highs
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import Outcome
from reds_jax.knapsack.table import TOLERANCE, table_scale

MAX_CUTS = 50
FLOW_LIMIT = 5_000

def over_budget(problem: WidthProblem, limits: Mapping[str, float], widths: Sequence[int]) -> bool:
    """Whether the costs of these widths, re-evaluated from the tables, exceed a capacity."""
    for name, limit in limits.items():
        cost = problem.cost(name, widths)
        tables = problem.resources.get(name, problem.peaks.get(name, ()))
        slack = 0.0 if isinstance(cost, int) else 2 * TOLERANCE * table_scale([t.array for t in tables])
        if cost > limit + slack:
            return True
    return False


def value_gap(problem: WidthProblem, scale: float) -> float:
    """The absolute gap, in scaled units, below which a solution is optimal."""
    whole = all(t.array.dtype.kind == "i" for t in problem.values)
    return 0.9 / scale if whole else 1e-8


def solve_milp(
    problem: WidthProblem,
    limits: Mapping[str, float],
    *,
    time_limit: float | None = None,
    constraints: Callable[[dict[str, Any], Any], list[Any]] | None = None,
    form: str | None = None,
) -> Outcome:
    """The best widths by the MILP; ``form`` is "flow", "bits", or None for the smaller one.

    Widths are rounded from the binaries, and their costs re-evaluated from the tables; widths over a capacity (which the
    solver's tolerance may let through) are cut off, and the program is solved again.

    Args:
        problem: the width problem.
        limits: name -> limit.
        time_limit: seconds; None for as long as it takes.
        constraints: as for `reds_jax.knapsack.solve`.
        form: "flow", "bits", or None.
    """
    deadline = None if time_limit is None else time.monotonic() + time_limit
    if form is None:
        pairs = sum(t.array.size for t in problem.values if t.array.ndim > 1)
        pairs += sum(t.array.size for name in limits for t in problem.resources.get(name, ()) if t.array.ndim > 1)
        form = "bits" if pairs > FLOW_LIMIT and fits_bits(problem, limits) else "flow"
    model: FlowModel | BitsModel = BitsModel(problem, limits) if form == "bits" else FlowModel(problem, limits)
    rows = list(model.constraints)
    if constraints is not None:
        rows += list(constraints(dict(model.widths), model.value * model.scale))
    gap = min(value_gap(problem, model.scale), 0.5)
    for _ in range(MAX_CUTS):
        run = run_highs(model.value, rows, gap, deadline)
        if run.status == "infeasible":
            if constraints is not None:
                raise InfeasibleError(
                    "no widths meet the capacities together with the extra constraints", resource="constraints",
                    smallest=math.nan, hint="Solve without them first, to see which of the two cannot be met.",
                )  # fmt: skip
            return Outcome(None, None, True)
        bound = (run.bound + model.offset) * model.scale
        widths = model.chosen()
        if widths is None:
            return Outcome(None, bound, False)
        if not over_budget(problem, limits, widths):
            value = problem.evaluate(widths)
            if run.status != "optimal":
                return Outcome(widths, bound, False)
            whole = isinstance(value, int)
            return Outcome(widths, value if whole else max(bound, value), True)
        same, count = model.exclude(widths)
        rows.append(same <= count - 1)
    raise RuntimeError(f"HiGHS returned {MAX_CUTS} choices of widths over a capacity; rescale the costs")
