"""How much stack an inference takes: ``NAME_invoke``, a kernel, and what the kernel calls.

Nothing recurses, no function is called through a pointer, and no array on the stack has a length that is known at run time
only: the most is a maximum over the chains of calls, and the same for every subnetwork. The compiler decides how long a frame
is. The bounds are for GCC 12 at -O2 on a Cortex-M0 and a Cortex-M4F, with some room; a test compares them with the call graph
that the compiler writes (``-fcallgraph-info=su``), and with the stack that an inference leaves written to.
"""

from __future__ import annotations

KERNELS = {"int8": 320, "float32": 448}
"""Bytes of any kernel, with all that it calls."""
INVOKE, INVOKE_ANY_WIDTHS = 64, 96
"""Bytes of ``NAME_net_invoke`` itself, and of what calls it."""


def bound(dtype: str, *, any_widths: bool) -> int:
    """The bytes of stack that one inference takes at most."""
    return KERNELS[dtype] + (INVOKE_ANY_WIDTHS if any_widths else INVOKE)
