"""A program in 8 bits at any row of widths: the grids and multipliers of the subnetwork that contains the row.

No sum can leave 32 bits: it has a part of the terms of one that is bounded by the absolute values of all of them.
"""

from __future__ import annotations

from dataclasses import replace

from reds_jax.deploy.int8.quantize import QuantizedProgram, Requantize, Step
from reds_jax.deploy.lowering.row import Row, at_row, of_subnetwork


def at_row_int8(quantized: QuantizedProgram, k: int, row: Row, macs: int) -> QuantizedProgram:
    """The int8 program of one subnetwork, as `reds_jax.deploy.lowering.row.at_row`."""
    program = at_row(quantized.program, k, row, macs)

    def cut(step: Step, output: int) -> Step:
        if not isinstance(step, Requantize):
            return step
        kept = of_subnetwork(quantized.program.tensors[output], k, row)
        return replace(step, multiplier=step.multiplier[kept], offset=step.offset[kept])

    steps = tuple(cut(step, op.output)
                  for step, op in zip(quantized.steps[k], program.operations, strict=True))
    return replace(quantized, program=program, scales=(quantized.scales[k],), steps=(steps,))
