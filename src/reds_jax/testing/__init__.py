"""Properties of nested networks and of nested knapsacks, for your own modules and solvers as well as for ours.

`assert_permutation_invariant`, `assert_prefix_is_mask` and `assert_counts` take a model of any framework, and need nothing but
the library.
`assert_nested_guarantee` and `check_nested_guarantee` take a solver of knapsacks, or a chain; `assert_width_solver` and
`check_nested_widths` a solver of width problems, or its widths. `reds_jax.testing.strategies` draws random architectures,
permutations, widths, width problems, and knapsack instances, among them near-tight ones and those that break an assumption.
The strategies and what takes a solver need hypothesis: ``pip install 'reds_jax[testing]'``. docs/property_tests.md has
examples.
"""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports
from reds_jax.testing.assertions import (
    NothingChecked,
    assert_counts,
    assert_permutation_invariant,
    assert_prefix_is_mask,
    in_jax,
)
from reds_jax.testing.interpret import interpret
from reds_jax.testing.masked import masked_apply, masked_run
from reds_jax.testing.networks import LayerSpec, RandomNet, random_variables

if TYPE_CHECKING:
    from reds_jax.testing.knapsack_strategies import assert_nested_guarantee, check_nested_guarantee
    from reds_jax.testing.width_solvers import assert_width_solver, check_nested_widths

__all__ = ["LayerSpec", "NothingChecked", "RandomNet", "assert_counts", "assert_nested_guarantee",
           "assert_permutation_invariant", "assert_prefix_is_mask", "assert_width_solver", "check_nested_guarantee",
           "check_nested_widths", "in_jax", "interpret", "masked_apply", "masked_run", "random_variables"]

__getattr__ = exports(__name__, {
    "assert_nested_guarantee": "reds_jax.testing.knapsack_strategies",
    "assert_width_solver": "reds_jax.testing.width_solvers",
    "check_nested_guarantee": "reds_jax.testing.knapsack_strategies",
    "check_nested_widths": "reds_jax.testing.width_solvers",
})
