"""The exact solver, with NumPy alone: Lagrangian bounds fix almost every arc, and label setting decides among the rest.

``dense`` holds a problem as integers over the arcs of its layered graph; ``dual`` finds the multipliers; ``fixing`` drops the
arcs that cannot matter; ``labels`` searches what is left; ``solver`` puts these together, for as many arcs as fit into memory.
``wide`` takes any problem: groups of thousands of widths are first narrowed to the few that may matter. ``remainder`` keeps
all choices above a value, and ``feasible`` says what cannot be met.
"""

from reds_jax.knapsack.exact.feasible import explain, smallest_cost
from reds_jax.knapsack.exact.wide import solve_exact

__all__ = ["explain", "smallest_cost", "solve_exact"]
