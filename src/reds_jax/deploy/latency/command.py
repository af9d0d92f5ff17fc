"""``reds deploy latency``: measure what the layers of a trained network cost, for the width solver."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from reds_jax.console import escape
from reds_jax.deploy import one_file, saved_run
from reds_jax.deploy.latency.measure import Machine, Statistic, measure
from reds_jax.deploy.latency.table import MARK, LatencyTable
from reds_jax.deploy.lowering.lower import lower
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph


@dataclass(frozen=True)
class Latency:
    """Measure a latency table: what every layer costs at a grid of widths, on this machine or in QEMU."""

    run: Path
    """Output folder of an experiment (reds vww --output ...)."""
    output: Path
    """Where the table goes, a .json file."""
    dtype: Literal["float32", "int8"] = "int8"
    """Number format of the kernels."""
    machine: Machine = "host"
    """host: microseconds on this computer. m4, m0: instructions of a Cortex-M4F or Cortex-M0, counted in QEMU."""
    points: int = 5
    """Widths of every channel group in the grid."""
    multiple: int = 4
    """The grid has multiples of this; choose widths with the same --subnetworks.step."""
    passes: int = 31
    """How often every call is timed (host)."""
    statistic: Statistic = "median"
    """What is taken of the passes (host)."""
    flags: str = "-O2"
    """Flags of the C compiler (host); those that the network will be compiled with."""
    cc: str | None = None
    """C compiler (host), if not that of CC."""
    data: str | None = None
    """Where the data of the run are now, if they have moved (as --data of the experiment)."""
    seed: int = 0
    """Of the random weights and inputs."""

    def __call__(self, console: Console, command: str) -> None:
        if self.output.suffix != ".json":
            raise InvalidArgumentError("the table cannot be written there", got=str(self.output), allowed="a .json file")
        one_file.check(self.output, MARK)
        saved = saved_run.read(self.run, data=self.data, other_data=True)  # only the shape of the data matters
        network, graph = saved.network, saved.graph
        example = np.zeros((1, *graph.input_shape), np.float32)
        program = lower(network.model, [network.variables(-1)], [graph.full_widths], example)
        table = measure(
            program, graph, self.dtype, machine=self.machine, points=self.points, multiple=self.multiple, passes=self.passes,
            statistic=self.statistic, flags=self.flags.split(), cc=self.cc, seed=self.seed)
        table = replace(table, facts={"command": command, **table.facts})
        table.save(self.output)
        show(console, table, graph)
        console.print(f"Budgets that hold for it as well: --subnetworks.latency-table {escape(shlex.quote(str(self.output)))} "
                      f"--subnetworks.step {self.multiple} of an experiment; or width_problem(graph, scores, "
                      f'step={self.multiple}, extra_resources={{"{table.unit}": LatencyTable.load(...)}})', highlight=False,
                      soft_wrap=True)


def show(console: Console, table: LatencyTable, graph: ChannelGraph) -> None:
    """What the full network costs, layer by layer, and how far the interpolation is off."""
    columns = ("layer", "kind", "measured widths", table.unit, "share")
    shown = Table(*columns, title=f"{escape(table.facts['machine'])}, {table.dtype}: the full network")
    full = graph.integers(1.0)
    total = table.cost(graph, 1.0)
    for op in table.operations:
        cost = float(op.at(*(size(full) for size in op.sizes)))
        measured = " x ".join(str(len(p)) for p in op.points)
        shown.add_row(escape(op.name), op.kind, measured, f"{cost:,.1f}", f"{cost / max(total, 1e-9):.1%}")
    console.print(shown)
    error = table.facts["interpolation"]
    console.print(f"{total:,.1f} {table.unit} in all, {graph.macs():,} MACs. At {error['checks']} widths outside of the grid "
                  f"the interpolation is off by {error['sum_of_errors_over_sum']:.1%} of the cost, at most "
                  f"{error['largest_relative']:.1%} of one call.", highlight=False, soft_wrap=True)
