"""What an export wrote, and what the compiled network will answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from reds_jax.deploy.c.any_widths import AnyWidths
from reds_jax.deploy.int8.quality import Quality
from reds_jax.deploy.int8.quantize import QuantizedProgram
from reds_jax.deploy.int8.row import at_row_int8
from reds_jax.deploy.int8.simulate import outputs_int8
from reds_jax.deploy.lowering.program import Program
from reds_jax.deploy.lowering.row import at_row
from reds_jax.deploy.lowering.simulate import outputs
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike

Dtype = Literal["float32", "int8"]


@runtime_checkable
class FrontEnd(Protocol):
    """What stands before a network, as `reds_jax.deploy.front_end.KeywordSpotter`: it adds C files of its own."""

    def check(self, input_shape: tuple[int, ...], outputs: int, ends_in: str, dtype: str) -> None:
        """An `InvalidArgumentError` unless it can stand before a network of such inputs and outputs."""

    def facts(self) -> dict[str, Any]:
        """What NAME_model.json records of it."""
        ...

    def files(self, emitter: Any, facts: dict[str, Any]) -> dict[str, str]:
        """The text of its C files by name."""
        ...


@dataclass(frozen=True, eq=False)
class Exported:
    """What `export` wrote.

    Args:
        folder: with the C files.
        program: in floats.
        quantized: for int8 only, else None.
        facts: what model.json holds: bytes of weights, tables and arena, MACs, ...
        quality: of int8, for each subnetwork, else None.
        rows: which rows of widths it takes, with ``any_widths``, else None.
        graph: of the network.
        front_end: of a keyword spotter, else None.
    """

    folder: Path
    program: Program
    quantized: QuantizedProgram | None
    facts: dict[str, Any]
    quality: Quality | None = None
    rows: AnyWidths | None = None
    graph: ChannelGraph | None = None
    front_end: FrontEnd | None = None

    def expected(self, k: int, x: np.ndarray) -> np.ndarray:
        """What the compiled subnetwork k answers: [N, outputs], float32 or int8 (bit for bit)."""
        if self.quantized is not None:
            return outputs_int8(self.quantized, k, x)
        return outputs(self.program, k, x)

    def subnetwork_of(self, widths: WidthLike) -> int:
        """The subnetwork whose tables a row of widths runs with on the device: the smallest that contains it."""
        rows, row = self._row(widths)
        return rows.subnetwork(row)

    def expected_at(self, widths: WidthLike, x: np.ndarray) -> np.ndarray:
        """What the device answers after ``adapt_to(widths)``, [N, outputs], float32 or int8 (bit for bit).

        In floats that is ``reds_jax.run(model, variables of subnetwork_of(widths), x, widths)``.

        Raises:
            WidthError: a row that the device refuses.
        """
        rows, row = self._row(widths)
        assert self.graph is not None
        k, macs = rows.subnetwork(row), self.graph.macs(row)
        if self.quantized is not None:
            return outputs_int8(at_row_int8(self.quantized, k, row, macs), 0, x)
        return outputs(at_row(self.program, k, row, macs), 0, x)

    def _row(self, widths: WidthLike) -> tuple[AnyWidths, tuple[int, ...]]:
        if self.rows is None or self.graph is None:
            raise InvalidArgumentError("the network was exported for its subnetworks only", hint="export(any_widths=True)")
        return self.rows, self.rows.integers(self.graph.integers(widths))
