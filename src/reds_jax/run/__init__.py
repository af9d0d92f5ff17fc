"""Running the traced program of a model at a width: the one mechanism that executes subnetworks."""

from reds_jax.run.lowering import lowering
from reds_jax.run.nested import run, run_nested

__all__ = ["lowering", "run", "run_nested"]
