"""Which subnetworks a step trains: the order from the widest to the narrowest, and the sets of the sandwich rule."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from reds_jax.checks import integer
from reds_jax.errors import InvalidArgumentError
from reds_jax.widths import Width, Widths, check_widths

MAX_CHOICES = 32
"""Most sets of subnetworks that the sandwich rule may choose from: each is compiled."""


def widest_first(widths: Sequence[Width]) -> tuple[int, ...]:
    """The indices of the subnetworks from the widest to the narrowest.

    Raises:
        InvalidArgumentError: no widths, a wrong one, or fractions below 1 beside `Widths`, which cannot be compared.

    >>> widest_first([0.25, 1.0, 0.5])
    (1, 2, 0)
    """
    widths = check_widths(widths)
    fractions = [w for w in widths if not isinstance(w, Widths) and w != 1]
    if fractions and any(isinstance(w, Widths) for w in widths):
        raise InvalidArgumentError("fractions below 1 and Widths cannot be compared", got=fractions,
                                   hint="Make all of them Widths: graph.widths(fraction).")
    scale = [sum(w.values()) if isinstance(w, Widths) else (math.inf if w == 1 else w) for w in widths]
    return tuple(sorted(range(len(widths)), key=lambda i: -scale[i]))


def sandwich_choices(
    order: tuple[int, ...], pi: tuple[float, ...], sandwich: int | None
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Every set of subnetworks that a step may train, the widest first, with the weights of its losses."""
    middle = order[1:-1]
    if sandwich is None:
        return [(order, tuple(pi[i] for i in order))]
    k = integer("sandwich", sandwich, 0, len(middle))
    sets = math.comb(len(middle), k)
    if sets > MAX_CHOICES:
        raise InvalidArgumentError(f"sandwich={k} of {len(middle)} subnetworks has too many sets to compile", got=sets,
                                   allowed=f"up to {MAX_CHOICES}", hint="Take fewer subnetworks, or another k.")
    factor = len(middle) / k if k else 1.0
    choices = []
    for drawn in itertools.combinations(middle, k):
        choice = (order[0], *drawn, *order[1:][-1:])
        choices.append((choice, tuple(pi[i] * (factor if i in drawn else 1.0) for i in choice)))
    return choices
