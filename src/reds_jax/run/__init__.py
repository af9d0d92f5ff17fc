"""Running the traced program of a model at a width: the one mechanism that executes subnetworks."""

from reds_jax.run.nested import run, run_nested

__all__ = ["run", "run_nested"]
