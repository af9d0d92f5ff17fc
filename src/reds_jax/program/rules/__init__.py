"""How units pass through each operation: one rule a primitive. What has no rule keeps everything that it touches."""

from __future__ import annotations

from collections.abc import Sequence

from reds_jax.program.flat import Program
from reds_jax.program.rules import calls, elementwise, layers, reductions, shapes
from reds_jax.program.walk import Rule, Walk
from reds_jax.program.walk import walk as _walk

RULES: dict[str, Rule] = {**elementwise.RULES, **shapes.RULES, **reductions.RULES, **layers.RULES, **calls.RULES}


def walk(*programs: Program) -> Walk:
    """Pass units through the programs of one model with the rules of this package; see `reds_jax.program.walk`.

    Args:
        programs: inference first, then training.
    """
    return _walk(programs, RULES)


__all__: Sequence[str] = ["RULES", "walk"]
