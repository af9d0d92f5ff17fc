"""What an experiment shows of each stage, line by line, before it begins and when it has ended."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from reds_jax import report
from reds_jax.choice import Choice
from reds_jax.console import escape
from reds_jax.graph import ChannelGraph
from reds_jax.learned import Amplitudes
from reds_jax.report import MethodResult


class Stages:
    """Prints what each stage does and found, and keeps the channel graph for the record."""

    def __init__(self, console: Console) -> None:
        self._console, self._begin = console, time.monotonic()
        self.graph: ChannelGraph | None = None

    def __call__(self, stage: str, text: str) -> None:
        seconds = time.monotonic() - self._begin
        self._console.print(f"[dim]{seconds:6.1f} s[/] [bold]{stage:<9}[/] {escape(text)}", highlight=False, soft_wrap=True)

    def observe(self, stage: str, found: Any) -> None:
        """Show what a stage of `reds_jax.pipeline` begins with, or its result."""
        if isinstance(found, str):
            self(stage, found)
        elif isinstance(found, ChannelGraph):
            if self.graph is None:
                self(stage, "what can be cut, what stays and why, and what it costs")
                self._console.print(found.summary(), highlight=False, markup=False, soft_wrap=True)
            self.graph = found
        elif isinstance(found, Amplitudes):
            fitted = ", ".join(f"{name} {a:.3g}" for name, a in found.amplitude.items())
            self(stage, f"rank correlation {found.rank_correlation:.2f} on widths that the fit has not seen, "
                 f"{found.of_equal:.2f} of equal amplitudes: " + (f"gamma {found.gamma:g}, {fitted}" if found.used else
                                            f"not used, gamma {found.gamma:g} and all amplitudes 1"))
        elif isinstance(found, Choice):
            assert self.graph is not None  # the groups come first
            self._console.print(_width_table(found, self.graph))
            if (solved := found.solution) is not None:
                proven = "proven optimal jointly" if solved.proven_optimal else "not proven optimal jointly"
                self(stage, f"certificate {solved.certificate:.4f} of the separate optima ({solved.promise}), {proven}, "
                     f"{solved.seconds:.2f} s")
        elif isinstance(found, MethodResult):
            self(stage, report.LABELS[found.method] + ": " + ", ".join(
                f"{found.metric.text(s.test_metric)} at {100 * s.macs_fraction:.1f} % MACs" for s in found.subnetworks))
        else:
            self(stage, "share of the importance in the better half of each group: "
                 + ", ".join(f"{name} {_better_half(scores):.2f}" for name, scores in found.items()))


def _better_half(scores: np.ndarray) -> float:
    total = scores.sum()
    return float(scores[: len(scores) // 2].sum() / total) if total > 0 else 0.5


def _width_table(choice: Choice, graph: ChannelGraph) -> Table:
    table = Table(title=f"widths: {report.LABELS[choice.method]}")
    predicted = choice.predicted or ()
    for column in ("MACs", "true %", *(f"predicted {p.unit}" for p in predicted[:1]), "weight bytes", "peak bytes", "widths"):
        table.add_column(column, justify="left" if column == "widths" else "right")
    for i, w in enumerate(choice.widths):
        macs = graph.macs(w)
        table.add_row(f"{macs:,}", f"{100 * macs / choice.whole_macs:.2f}", *map(str, predicted[i : i + 1]),
                      f"{graph.param_bytes(w):,}", f"{graph.peak_memory_bytes(w):,}", " ".join(map(str, w)))
    return table
