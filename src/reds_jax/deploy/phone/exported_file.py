"""What the exporters of one file (ONNX, LiteRT) return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.simulate import outputs


@dataclass(frozen=True)
class ExportedFile:
    """What was written.

    Args:
        path: the file, of ``file_bytes`` bytes.
        program: what it computes, in floats.
        weight_bytes: the weights, once (and the copies that were allowed).
        table_bytes: the scales and offsets (from batch norm) that the smaller subnetworks have for themselves.
        dtype: number format of the weights.
    """

    path: Path
    program: Program
    file_bytes: int
    weight_bytes: int
    table_bytes: int
    dtype: str = "float32"

    def expected(self, k: int, x: np.ndarray) -> np.ndarray:
        """What subnetwork k answers, [N, outputs] float32, as JAX computes it."""
        return outputs(self.program, k, x)
