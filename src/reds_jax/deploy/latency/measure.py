"""Measures a latency table: times of single calls on this computer, or instructions of a Cortex-M in QEMU.

Times are those of a monotonic clock around each call, the reading of the clock taken off: several passes over all cases, after
one to warm up, and of each case the median (or the minimum). They are as good as the machine is quiet. Instructions are exact
and repeatable; they are no cycles.

Both are taken at a grid of widths and at some widths outside of it, where the interpolation is compared with what was measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from reds_jax import report
from reds_jax.deploy.board import device, host, image
from reds_jax.deploy.c.export import Dtype
from reds_jax.deploy.latency.program import Measured, cases, kernels, plan, text
from reds_jax.deploy.latency.table import LatencyTable, OperationCost
from reds_jax.deploy.lowering.program import Program
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.graph import ChannelGraph

Machine = Literal["host", "m4", "m0"]
Statistic = Literal["median", "minimum"]


def measure(
    program: Program, graph: ChannelGraph, dtype: Dtype = "float32", *, machine: Machine = "host", points: int = 5,
    multiple: int = 4, checks: int = 2, passes: int = 31, statistic: Statistic = "median", flags: Sequence[str] = ("-O2",),
    cc: str | None = None, seed: int = 0,
) -> LatencyTable:
    """The cost of every operation at a grid of widths.

    Args:
        program: of the full network: ``lower(model, [variables], [graph.full_widths], example)``. Its weights are not
            used; with int8 a softmax at the end is left out, as in an exported network.
        graph: the channel graph of the network.
        dtype: number format of the kernels.
        machine: ``"host"``: microseconds on this computer. ``"m4"``, ``"m0"``: instructions of a Cortex-M4F or Cortex-M0 in
            QEMU; the code of the M0 runs on the larger board as well, so that every layer fits.
        points: widths of a group in the grid, from the smallest multiple to the full width.
        multiple: the grid has multiples of this, and the full width. The kernels work on blocks of four channels: the
            cost has steps in between, which a grid of multiples of 4 does not see. Choose widths with ``step=multiple``.
        checks: widths of every operation outside of the grid; the error of the interpolation there is in the facts.
        passes, statistic, flags, cc: of the host.
        seed: of the random weights and inputs, and of the checks.

    Raises:
        DoesNotFitError: the weights and the largest arrays do not fit the memory of the board.
        MissingDependencyError: no C compiler, or no QEMU.
    """
    if dtype not in get_args(Dtype) or machine not in get_args(Machine) or statistic not in get_args(Statistic) or passes < 1:
        raise InvalidArgumentError("this cannot be measured", got=(dtype, machine, statistic, passes),
                                   allowed="float32 or int8; host, m4 or m0; median or minimum; at least one pass")
    if dtype == "int8":
        program = program.without_softmax()
    measured = plan(program, graph, points=points, multiple=multiple, checks=checks, seed=seed)
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        folder = Path(temporary)
        for name, source in kernels(dtype).items():
            (folder / name).write_text(source, encoding="utf-8")
        (folder / "latency.c").write_text(text(program, measured, dtype, seed), encoding="utf-8")
        found, facts = (_on_host(folder, passes, statistic, tuple(flags), cc) if machine == "host"
                        else _in_qemu(folder, machine))
    if len(found) != len(cases(measured)):
        raise RedsError("the measuring program stopped early")
    operations, error = _operations(measured, found)
    facts |= {"interpolation": error, "points": points, "multiple": multiple, "seed": seed,
              "commit": report.environment()["commit"]}
    return LatencyTable("latency_us" if machine == "host" else "instructions", dtype,
                        tuple((g.name, g.size) for g in graph.groups), tuple(graph.layers), operations, facts)


def _on_host(folder: Path, passes: int, statistic: Statistic, flags: tuple[str, ...],
             cc: str | None) -> tuple[np.ndarray, dict[str, Any]]:
    program, compiler = folder / "latency", host.compiler(cc)
    sources = [str(p) for p in sorted(folder.glob("*.c"))]
    _run([compiler, *host.WARNINGS, *flags, f"-I{folder}", "-o", str(program), *sources])
    lines = _run([str(program), str(passes)]).splitlines()
    nanoseconds = np.array([[float(v) for v in line.split()[1:]] for line in lines])
    low, middle = np.maximum(nanoseconds.min(axis=1), 0), np.maximum(np.median(nanoseconds, axis=1), 0)
    version = _run([compiler, "--version"]).splitlines()[0]
    return (middle if statistic == "median" else low) / 1e3, {
        "machine": report.environment()["machine"], "compiler": version, "flags": " ".join(flags),
        "clock": "CLOCK_MONOTONIC around every call", "passes": passes, "statistic": statistic,
        "median_over_minimum": float(middle.sum() / max(low.sum(), 1e-9))}


def _in_qemu(folder: Path, machine: str) -> tuple[np.ndarray, dict[str, Any]]:
    board, m4 = device.BOARDS[machine], device.BOARDS["m4"]
    runs_on = replace(board, machine=m4.machine, timer=m4.timer, flash=m4.flash, ram=m4.ram)  # it has more memory
    try:
        built = image.link(sorted(folder.glob("*.c")), folder, runs_on)
    except device.DoesNotFitError as error:
        raise device.DoesNotFitError("the weights and the arrays of the largest layer do not fit the memory of the board",
                                     hint="A narrower network fits, or int8.") from error
    lines = [line for line in image.emulate(built, runs_on, timeout=600).splitlines() if line.startswith("case ")]
    tools = device.versions()
    return np.array([int(line.split()[1]) for line in lines], np.float64), {
        "machine": f"{board.name} in QEMU, instructions", "compiler": tools["arm-none-eabi-gcc"],
        "flags": " ".join((*board.flags, *image.FLAGS)), "qemu": tools["qemu-system-arm"]}


def _run(command: list[str]) -> str:
    done = host.run(command)
    if done.returncode:
        raise RedsError(f"{' '.join(command[:4])} ... failed (status {done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout


def _operations(measured: Sequence[Measured], found: np.ndarray) -> tuple[tuple[OperationCost, ...], dict[str, float]]:
    """The grid of every operation, and how far the interpolation is off at the checks."""
    by_operation: list[list[float]] = [[] for _ in measured]
    for (i, _), cost in zip(cases(measured), found, strict=True):
        by_operation[i].append(float(cost))
    operations, pairs = [], []
    for m, costs in zip(measured, by_operation, strict=True):
        shape = tuple(map(len, m.grid))
        inside = int(np.prod(shape))
        op = OperationCost(m.operation.name, m.operation.kind, m.sizes, m.grid, np.reshape(costs[:inside], shape))
        operations.append(op)
        pairs += [(float(op.at(*widths)), cost) for widths, cost in zip(m.checks, costs[inside:], strict=True)]
    predicted, true = np.array(pairs).reshape(-1, 2).T
    if not true.sum() > 0:
        return tuple(operations), {"checks": len(pairs), "sum_of_errors_over_sum": 0.0, "bias": 0.0, "largest_relative": 0.0}
    off = predicted - true
    large = true >= 0.01 * true.max()  # of a call that takes no time, the error means nothing
    return tuple(operations), {
        "checks": len(pairs), "sum_of_errors_over_sum": float(np.abs(off).sum() / true.sum()),
        "bias": float(off.sum() / true.sum()), "largest_relative": float(np.abs(off[large] / true[large]).max())}

