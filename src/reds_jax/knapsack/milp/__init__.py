"""The mixed-integer program, for cvxpy with HiGHS: the general formulation, and the check on the exact solver.

Flow form. A binary x_g[b] for each width of a group, one of them 1; for each set of groups that share a table a vector
y >= 0 over the combinations of their widths, whose marginals are the x: it is 1 at the chosen combination. Values and costs
are linear in x and y. A combination that a peak forbids has no y.

Bits form, where values are unary and concave, and costs linear or bilinear in two widths: n = lo + step * sum 2^k beta_k,
and a product n_i n_j needs one r_k = n_i beta_k for each bit, which four linear inequalities fix.
"""

from reds_jax.knapsack.milp.solver import solve_milp

__all__ = ["solve_milp"]
