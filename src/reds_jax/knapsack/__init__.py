"""Choosing widths: a knapsack over true costs, solved exactly, with NumPy alone.

From the bottom up: ``values`` and ``table``; ``layered`` and ``chain``, which know tables only; ``problem``; the solvers
``exact``, ``fptas``, ``milp`` and ``brute``; ``solve`` for one subnetwork; ``joint``, ``promise`` and ``nested`` for several,
``any_budget`` for budgets that are not known yet. The theorems on nested knapsacks with additive costs are in
``reds_jax.theory``.
"""

from reds_jax.knapsack.any_budget import WidthOrder, any_budget_order
from reds_jax.knapsack.nested import solve_nested
from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.solution import NestedSolution, Promise, Solution
from reds_jax.knapsack.solve import solve
from reds_jax.knapsack.table import Table
from reds_jax.knapsack.values import allowed_widths, ces, log_retention, pair_sum, prefix_sum, retained_share

__all__ = [
    "NestedSolution",
    "Promise",
    "Solution",
    "Table",
    "WidthOrder",
    "WidthProblem",
    "allowed_widths",
    "any_budget_order",
    "ces",
    "log_retention",
    "pair_sum",
    "prefix_sum",
    "retained_share",
    "solve",
    "solve_nested",
]
