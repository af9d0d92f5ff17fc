"""Properties of nested networks, for your own modules as well as for ours.

The assertions need nothing but the library. `reds_jax.testing.strategies` draws random architectures, permutations and
widths with hypothesis, and is imported by itself: ``pip install 'reds_jax[testing]'``.
"""

from reds_jax.testing.assertions import assert_counts, assert_permutation_invariant, assert_prefix_is_mask, in_jax
from reds_jax.testing.interpret import interpret
from reds_jax.testing.masked import masked_apply
from reds_jax.testing.networks import LayerSpec, RandomNet, random_variables

__all__ = ["LayerSpec", "RandomNet", "assert_counts", "assert_permutation_invariant", "assert_prefix_is_mask", "in_jax",
           "interpret", "masked_apply", "random_variables"]
