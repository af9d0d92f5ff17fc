"""How much stack an inference takes: ``NAME_invoke``, a kernel, and what the kernel calls.

Nothing recurses, the one function that is called through a pointer is that of a map of floats, and no array on the stack has a
length that is known at run time only: the most is a maximum over the chains of calls, and the same for every subnetwork. How
long a frame is, the compiler decides. The bounds are for GCC 12 at -O2 on a Cortex-M0 and a Cortex-M4F, with some room; a test
compares them with the call graph that the compiler writes (``-fcallgraph-info=su``), and with the stack that an inference leaves
written to.
"""

from __future__ import annotations

from collections.abc import Iterable

from reds_jax.deploy.c.spread import Spread

KERNELS = {"int8": 352, "float32": 448}
"""Bytes of any kernel, with all that it calls."""
RANGES = {"int8": 608, "float32": 816}
"""The same of the kernels of reds_ranges.h, which call others."""
FUNCTION = 96
"""Bytes of a function of single floats, with all that it calls."""
INVOKE, INVOKE_ANY_WIDTHS = 64, 96
"""Bytes of ``NAME_net_invoke`` itself, and of what calls it."""


def bound(dtype: str, *, any_widths: bool, spreads: Iterable[Spread] = ()) -> int:
    """The bytes of stack that one inference takes at most.

    Args:
        any_widths: whether any row of widths may be asked for: the ranges of a row are made on the stack.
        spreads: those of all operations that have one.
    """
    spreads = list(spreads)
    made = sum(12 * (len(s.reads) + len(s.makes)) + 32 for s in spreads)
    return (RANGES if spreads else KERNELS)[dtype] + (INVOKE_ANY_WIDTHS + made if any_widths else INVOKE)
