"""The theorems on nested knapsacks in their own setting: a 0/1 knapsack with additive costs and exact numbers, without jax.

``optimum``, ``bottom_up``, ``top_down``, ``best_of_both`` and ``joint_optimum`` solve an ``Instance``; ``bounds`` says what
their chains are worth at least, ``tight_instance`` builds the instances that are worst, and ``certificate`` compares the two
for a chain at hand. ``any_budget_order`` serves every capacity by a prefix of one order. ``three_parts`` and ``blocks`` are
the lemmas behind the bounds. Where a cost is a product of two widths, the bounds do not hold: ``bilinear_ratios`` and
``scaling`` say what does, ``bilinear_nesting_ratio`` what nesting costs, ``any_width_ratio`` what one order keeps at every
capacity; ``real_widths`` are the best real widths for CES. Widths of networks are chosen by ``reds_jax.knapsack``.

The proofs: proofs/README.md.
"""

from reds_jax.theory import bounds, scaling
from reds_jax.theory.any_budget import OrderRatio, any_budget_order, best_order, head_order, longest_prefix, order_ratio
from reds_jax.theory.any_width import any_width_instance, any_width_ratio, one_layer_first
from reds_jax.theory.bilinear import bilinear_instance, bilinear_min_ratio, bilinear_nesting_ratio, bilinear_ratios
from reds_jax.theory.certificate import Certificate, certificate
from reds_jax.theory.chains import Order, Ties, best_of_both, bottom_up, every_chain, top_down
from reds_jax.theory.items import Chain, Instance, Number, Selection
from reds_jax.theory.joint import joint_optimum
from reds_jax.theory.optimum import optimal_sets, optimum
from reds_jax.theory.parts import Parts, blocks, three_parts
from reds_jax.theory.quadratic import Quadratic
from reds_jax.theory.real_widths import ProductCost, real_widths
from reds_jax.theory.solvers import Method
from reds_jax.theory.tight import Theorem, Tight, tight_instance

__all__ = [
    "Certificate", "Chain", "Instance", "Method", "Number", "Order", "OrderRatio", "Parts", "ProductCost", "Quadratic",
    "Selection", "Theorem", "Ties", "Tight", "any_budget_order", "any_width_instance", "any_width_ratio", "best_of_both",
    "best_order", "bilinear_instance", "bilinear_min_ratio", "bilinear_nesting_ratio", "bilinear_ratios", "blocks",
    "bottom_up", "bounds", "certificate", "every_chain", "head_order", "joint_optimum", "longest_prefix", "one_layer_first",
    "optimal_sets", "optimum", "order_ratio", "real_widths", "scaling", "three_parts", "tight_instance", "top_down",
]
