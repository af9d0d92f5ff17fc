"""Values of very different sizes: the widths that cannot belong to anything as good as what is known are left out.

The tables of floats are counted in a fraction of their largest entry. A width that ruins everything, such as one unit of
hundreds under `reds_jax.knapsack.ces`, would then decide how exactly all others are told apart.
"""

from __future__ import annotations

import numpy as np

from reds_jax.knapsack.problem import WidthProblem
from reds_jax.knapsack.table import table_scale

SHRINKS = 64.0
"""Leave widths out only if the largest entries fall by this factor: less changes no answer."""


def hopeful(problem: WidthProblem, least: float) -> WidthProblem | None:
    """The problem without the widths below the first that may be worth ``least``, all others at their best; None if alike.

    A width n of group g is left out if ``V_g(n) + sum over all other tables of the largest entry < least``, and so are all
    narrower ones that are. No widths worth at least ``least`` are lost.

    Args:
        problem: the width problem; integer values are exact already.
        least: the value of some feasible widths.
    """
    arrays = [t.array for t in problem.values]
    if all(a.dtype.kind == "i" for a in arrays):
        return None
    top, low = sum(float(a.max()) for a in arrays), []
    slack = 1e-9 * table_scale([np.minimum(np.abs(a), abs(least)) for a in arrays])  # for the rounding of sums
    for g, widths in enumerate(problem.widths):
        own = [t.array for t in problem.values if t.groups == (g,)]
        reach = top + sum((a - a.max() for a in own), np.zeros(len(widths)))
        low.append(widths[int(np.argmax(reach >= least - slack))])
    narrower = problem.restrict(lower=low)
    return narrower if table_scale([t.array for t in narrower.values]) * SHRINKS < table_scale(arrays) else None
