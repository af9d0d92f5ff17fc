"""The checks of arguments under the name that they had: see `reds_jax.checks`."""

from reds_jax.checks import integer, number, one_of

__all__ = ["integer", "number", "one_of"]
