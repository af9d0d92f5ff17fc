"""Choosing widths: a knapsack over true costs, solved exactly, with NumPy alone."""

from reds_jax.knapsack.nested import NestedSolution, solve_nested
from reds_jax.knapsack.problem import Table, WidthProblem
from reds_jax.knapsack.solve import Solution, solve
from reds_jax.knapsack.values import allowed_widths, log_retention, pair_sum, prefix_sum

__all__ = [
    "NestedSolution",
    "Solution",
    "Table",
    "WidthProblem",
    "allowed_widths",
    "log_retention",
    "pair_sum",
    "prefix_sum",
    "solve",
    "solve_nested",
]
