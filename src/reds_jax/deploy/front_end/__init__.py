"""From audio to the input of a network, on the device: the tables of an `MFCC` as C, and its fixed-point twin."""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax.deploy.front_end.c_text import c_files
    from reds_jax.deploy.front_end.tables import Tables

__all__ = ["Tables", "c_files"]

__getattr__ = exports(__name__, {"c_files": "reds_jax.deploy.front_end.c_text", "Tables": "reds_jax.deploy.front_end.tables"})
