"""From audio to the input of a network, on a device: an `MFCC` as C, in float32 or in integers, and the numbers that it gives.

`c_files` writes the tables of a front end and the runtime ``reds_mfcc``, which takes samples as they come and makes frames of
them; `FixedTables` computes what the C code in integers does, bit for bit, and `FixedGrid` what an int8 network reads of it.
"""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax.deploy.front_end.c_text import c_files
    from reds_jax.deploy.front_end.fixed import FixedGrid, FixedTables
    from reds_jax.deploy.front_end.on_board import Measured, measure
    from reds_jax.deploy.front_end.tables import Tables

__all__ = ["FixedGrid", "FixedTables", "Measured", "Tables", "c_files", "measure"]

__getattr__ = exports(__name__, {
    "c_files": "reds_jax.deploy.front_end.c_text", "Tables": "reds_jax.deploy.front_end.tables",
    **dict.fromkeys(["FixedGrid", "FixedTables"], "reds_jax.deploy.front_end.fixed"),
    **dict.fromkeys(["Measured", "measure"], "reds_jax.deploy.front_end.on_board"),
})
