"""cvxpy with HiGHS: asked for where it is needed, and every status looked at."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass
from typing import Any

from reds_jax.optional import needs

OPTIONS = {"mip_rel_gap": 0.0, "primal_feasibility_tolerance": 1e-9, "mip_feasibility_tolerance": 1e-9}


def import_cvxpy() -> Any:
    """cvxpy, or an error that says how to install it."""
    with needs("cvxpy", 'method="milp"'):
        import cvxpy
        import highspy  # noqa: F401  (the solver that cvxpy calls)
    return cvxpy


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
