"""Scale and offset of every batch norm, found in the program of inference by what they are combined with."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from reds_jax.program.flat import Program, Value
from reds_jax.program.rules.shapes import VIEWS

AFFINE = VIEWS | {"add", "sub", "mul", "div", "neg", "convert_element_type", "copy"}


class _Made(NamedTuple):
    """How a value comes about.

    ``kind`` is "statistics" or "parameters" for what is computed from these alone, "normalised" for what statistics have
    shifted or scaled, "other" for anything else; ``paths`` are the parameters, if they alone make it; ``inputs``: it depends
    on the network's inputs.
    """

    kind: Literal["statistics", "parameters", "normalised", "other"]
    paths: frozenset[str] = frozenset()
    inputs: bool = False


def norm_parameters(program: Program) -> frozenset[str]:
    """The paths of the scale and the offset of every batch norm of an inference program, ``params/norm/scale``.

    In inference a batch norm is ``a x + b`` per channel, and only there statistics meet an activation: the chain of sums,
    products and quotients with at most one activation in each, that begins at the statistics. A vector of parameters in that
    chain is a scale or an offset, whatever its name and however the norm is written. A layer norm or a group norm has no
    statistics, so it is none.

    Args:
        program: in inference.
    """
    made = {value.number: _Made("parameters", frozenset([path])) if path.startswith("params/") else _Made("statistics")
            for path, value in program.leaves.items()}
    made |= {value.number: _Made("other", inputs=True) for value in program.inputs}
    found: set[str] = set()
    for op in program.operations:
        operands = [made[x.number] for x in op.inputs if isinstance(x, Value) and x.number in made]  # the others are constants
        kinds, inputs = {m.kind for m in operands}, [m.inputs for m in operands]
        paths = frozenset().union(*(m.paths for m in operands))
        if not operands:
            continue
        if kinds == {"statistics"} or kinds == {"parameters"}:
            result = _Made(operands[0].kind, paths)
        elif (op.primitive.name in AFFINE and kinds & {"statistics", "normalised"} and sum(inputs) <= 1
              and all(_is_vector(program.leaves[path].shape) for path in paths)):
            found |= paths
            result = _Made("normalised", inputs=any(inputs))
        else:
            result = _Made("other", inputs=any(inputs))
        made.update((value.number, result) for value in op.outputs)
    return frozenset(found)


def _is_vector(shape: tuple[int, ...]) -> bool:
    """Whether at most one axis is longer than 1."""
    return bool(shape) and int(np.prod(shape)) == max(shape)
