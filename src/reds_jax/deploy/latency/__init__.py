"""What the operations of a network cost on a machine: the `table` for the width solver, and how it is measured.

`program` (with ``program.c``) makes the calls, `measure` times or counts them.
"""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax.deploy.latency.table import LatencyTable

__all__ = ["LatencyTable"]

__getattr__ = exports(__name__, {"LatencyTable": "reds_jax.deploy.latency.table"})
