"""The mixed-integer program, for cvxpy with HiGHS: the general formulation, and the check on the exact solver.

Flow form. A binary x_g[b] for each width of a group, one of them 1; for each set of groups that share a table a vector
y >= 0 over the combinations of their widths, whose marginals are the x: it is 1 at the chosen combination. Values and costs
are linear in x and y. A combination that a peak forbids has no y.

Bits form, where values are unary and concave, and costs linear or bilinear in two widths: n = lo + step * sum 2^k beta_k,
and a product n_i n_j needs one r_k = n_i beta_k for each bit, which four linear inequalities fix.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reds_jax.errors import InfeasibleError, MissingDependencyError
from reds_jax.knapsack.bits import BitsModel, fits_bits
from reds_jax.knapsack.dense import TOLERANCE, table_scale
from reds_jax.knapsack.exact import Outcome
from reds_jax.knapsack.problem import Table, WidthProblem

OPTIONS = {"mip_rel_gap": 0.0, "primal_feasibility_tolerance": 1e-9, "mip_feasibility_tolerance": 1e-9}
MAX_CUTS = 50
FLOW_LIMIT = 5_000

Masks = Mapping[tuple[int, ...], np.ndarray]


def import_cvxpy() -> Any:
    """cvxpy, or an error that says how to install it."""
    try:
        import cvxpy
    except ImportError as error:
        raise MissingDependencyError(
            'method="milp" needs cvxpy and highspy', hint="Install them: pip install cvxpy highspy"
        ) from error
    return cvxpy


class FlowModel:
    """The flow form of one problem under its capacities.

    Args:
        problem: the width problem.
        limits: name -> capacity.
        masks: for some tuples of groups (ascending) the combinations that need to be considered; others are left out.
    """

    def __init__(self, problem: WidthProblem, limits: Mapping[str, float], masks: Masks | None = None) -> None:
        cp = import_cvxpy()
        sizes = [len(w) for w in problem.widths]
        limited = {n: v for n, v in limits.items() if not math.isinf(v)}
        allowed: dict[tuple[int, ...], np.ndarray] = {}
        sums = {"": problem.values} | {n: problem.resources[n] for n in limited if n in problem.resources}
        merged = {name: _merge(tables) for name, tables in sums.items()}
        for name, tables in problem.peaks.items():
            if name in limited:
                for span, array in _merge(tables, np.maximum).items():
                    inside = array <= limited[name]
                    allowed[span] = allowed.get(span, np.True_) & inside
        for span, mask in (masks or {}).items():
            allowed[span] = allowed.get(span, np.True_) & mask
        spans = sorted({s for m in merged.values() for s in m} | set(allowed))
        self.x = [cp.Variable(n, boolean=True) for n in sizes]
        self.constraints: list[Any] = [cp.sum(x) == 1 for x in self.x]
        parts: dict[tuple[int, ...], tuple[Any, np.ndarray]] = {}
        for span in spans:
            shape = [sizes[g] for g in span]
            inside = np.broadcast_to(allowed.get(span, np.True_), shape)
            kept = np.flatnonzero(inside)
            if len(span) == 1:
                parts[span] = (self.x[span[0]], np.arange(sizes[span[0]]))
                if len(kept) < sizes[span[0]]:
                    self.constraints.append(self.x[span[0]][np.flatnonzero(~inside)] == 0)
                continue
            if not len(kept):
                self.constraints.append(cp.sum(self.x[span[0]]) == 0)
                continue
            y = cp.Variable(len(kept), nonneg=True)
            for axis, index in enumerate(np.unravel_index(kept, shape)):
                self.constraints.append(_incidence(index, shape[axis]) @ y == self.x[span[axis]])
            parts[span] = (y, kept)
        self.offset = 0.0
        self.scale = max(table_scale([t.array for t in problem.values]), 1e-300) / 1e4

        def total(name: str, unit: float) -> Any:
            terms = [(a.ravel()[parts[s][1]] / unit) @ parts[s][0] for s, a in merged[name].items() if s in parts]
            return cp.sum(cp.hstack(terms)) if terms else cp.Constant(0.0)

        self.value = total("", self.scale)
        for name, limit in limited.items():
            if name in problem.resources:
                unit = max(abs(limit), 1.0)
                slack = TOLERANCE * table_scale([t.array for t in problem.resources[name]])
                whole = all(t.array.dtype.kind == "i" for t in problem.resources[name])
                self.constraints.append(total(name, unit) <= (math.floor(limit) if whole else limit + slack) / unit)
        self.widths = {
            name: np.asarray(w, dtype=np.float64) @ x for name, w, x in zip(problem.groups, problem.widths, self.x, strict=True)
        }
        self.problem, self.limits = problem, limits

    def chosen(self) -> tuple[int, ...] | None:
        """The widths of the solver's solution, or None if it has none."""
        found = []
        for x, widths in zip(self.x, self.problem.widths, strict=True):
            if x.value is None or len(x.value) != len(widths):
                return None
            level = np.asarray(x.value)
            best = int(np.argmax(level))
            if abs(level[best] - 1) > 1e-3 or abs(level.sum() - 1) > 1e-3:
                return None
            found.append(widths[best])
        return tuple(found)

    def exclude(self, widths: Sequence[int]) -> tuple[Any, int]:
        """How many groups have these widths, as an expression, and the number of groups."""
        return sum(x[w.index(n)] for x, w, n in zip(self.x, self.problem.widths, widths, strict=True)), len(widths)

    def at_least(self, group: int, width: int) -> Any:
        """The binary expression "the group has at least this width"."""
        return sum((self.x[group][i] for i, w in enumerate(self.problem.widths[group]) if w >= width), start=0)


def _merge(tables: Sequence[Table], join: np.ufunc = np.add) -> dict[tuple[int, ...], np.ndarray]:
    """Tables by the ascending tuple of their groups, those over the same groups joined."""
    merged: dict[tuple[int, ...], np.ndarray] = {}
    for table in tables:
        order = np.argsort([int(g) for g in table.groups])
        span = tuple(int(table.groups[i]) for i in order)
        array = table.array.transpose(order)
        merged[span] = join(merged[span], array) if span in merged else array
    return merged


def _incidence(index: np.ndarray, rows: int) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(index)), (index, np.arange(len(index)))), shape=(rows, len(index)))


@dataclass
class Run:
    """What HiGHS said: "optimal", "infeasible" or "limit", and its bound on the scaled value."""

    status: str
    bound: float


def run_highs(objective: Any, constraints: list[Any], gap: float, deadline: float | None) -> Run:
    """Maximise with HiGHS; every status is looked at.

    Raises:
        RuntimeError: for a status that is none of optimal, infeasible, or a limit.
    """
    cp = import_cvxpy()
    program = cp.Problem(cp.Maximize(objective), constraints)
    options: dict[str, Any] = {**OPTIONS, "mip_abs_gap": gap}
    if deadline is not None:
        options["time_limit"] = max(deadline - time.monotonic(), 0.01)
    with warnings.catch_warnings():
        # cvxpy says so at a time limit; the status and the rounded widths are checked below
        warnings.filterwarnings("ignore", message="Solution may be inaccurate", category=UserWarning)
        program.solve(solver=cp.HIGHS, warm_start=False, highs_options=options)
    if program.status in ("infeasible", "infeasible_or_unbounded"):
        return Run("infeasible", -math.inf)
    if program.status not in ("optimal", "user_limit"):
        raise RuntimeError(f"HiGHS ended with the status {program.status!r}; the program may be badly scaled")
    bound = -float(program.solver_stats.extra_stats.mip_dual_bound)
    return Run("optimal" if program.status == "optimal" else "limit", bound)


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
