"""Networks of the literature on emulated processors: ``python benchmarks/device.py --help``; ``make device`` runs it.

Every network is exported to C99 with random weights and its own batch statistics for each of four subnetworks, built for the
boards and run in QEMU, where every subnetwork must give the recorded answers (int8: bit for bit). Instructions are counted
exactly; they are not cycles. Those of the Cortex-M4F are also bounded in cycles, by a model (`reds_jax.deploy.board.cycles`).

``--cmsis PATH``, a checkout of CMSIS-NN, runs the same int8 networks layer by layer in CMSIS-NN, with dense tensors of the
widths of each subnetwork, on the same boards, and compares. Without it the counts of CMSIS-NN are those of the record.

The sizes are compared with those of one network per subnetwork, built from the extracted subnetworks, and with one binary mask
per smaller subnetwork over the full weights.
"""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cmsis_layers
import cmsis_nn
import device_tables as tables
import jax.numpy as jnp
import tyro
from device_networks import FRACTIONS, Prepared, networks, prepare
from rich.console import Console

from reds_jax import report
from reds_jax.deploy.board import device
from reds_jax.deploy.board.boards import BoardName
from reds_jax.deploy.c.export import export
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.trace import trace
from reds_jax.run.extract import extract
from reds_jax.training.arrays import write_text

RECORD = Path(__file__).parents[1] / "experiments" / "device" / "results.json"


@dataclass(frozen=True)
class Options:
    """What is measured, and where the record goes."""

    only: tuple[str, ...] = ()
    """Names of the networks; all by default."""
    boards: tuple[BoardName, ...] = ("m4", "m0", "m3", "m55", "rv32")
    """As of `reds deploy device`; float32 runs on the Cortex-M4F and M0, the comparison with CMSIS-NN on all."""
    cmsis: Path | None = None
    """A checkout of CMSIS-NN; without it its counts are read from the record."""
    separate: bool = True
    """Also export every subnetwork alone, to compare the sizes."""
    seed: int = 0
    """Of weights, statistics and inputs."""
    output: Path | None = None
    """Folder for table.md and results.json."""


def measure(prepared: Prepared, dtype: str, options: Options, folder: Path) -> dict[str, Any]:
    """Export, run on the boards, and compare the sizes. ``compared`` are the runs in int8 to be set beside CMSIS-NN's."""
    network, batch = prepared.network, prepared.batch
    exported = export(network.model, prepared.trees, prepared.graph, prepared.widths, folder / "nested",
                      dtype,  # type: ignore[arg-type]
                      calibration=[batch], rule="minmax")
    found: dict[str, Any] = {"network": network.name, "dtype": dtype, "facts": exported.facts, "boards": {}, "compared": {},
                             "program": exported.program.without_softmax()}
    for board in options.boards if dtype == "int8" else [b for b in options.boards if b in ("m4", "m0")]:
        try:
            run = device.run(exported.folder, board, cycles=board == "m4")
            found["boards"][board] = run
        except device.DoesNotFitError as error:
            run, found["boards"][board] = None, error.what
        if dtype == "int8" and (roomy := cmsis_nn.roomy(board)) is not device.BOARDS[board]:
            run = device.run(exported.folder, roomy)
        if dtype == "int8" and run is not None:
            found["compared"][board] = run
    if options.separate:
        found["separate"] = []
        for k, w in enumerate(prepared.widths):
            small, variables = extract(network.model, prepared.trees[k], prepared.graph, w)
            alone = trace(small, variables, jnp.asarray(batch))
            export(small, variables, alone, [alone.full_widths], folder / f"alone_{k}", dtype,  # type: ignore[arg-type]
                   calibration=[batch], rule="minmax")
            try:
                found["separate"].append(device.run(folder / f"alone_{k}", "m4"))
            except device.DoesNotFitError:
                found["separate"].append(None)
    return found


def in_cmsis(found: dict[str, Any], libraries: dict[str, list[cmsis_nn.Library]], here: Path) -> list[dict[str, Any]]:
    """A row for each board and subnetwork: the best of the builds of CMSIS-NN."""
    program = found["program"]
    nets = [cmsis_layers.net(program, k) for k in range(len(FRACTIONS))]
    rows = []
    for board, builds in libraries.items():
        runs = [_run(library, nets, here / f"{board}_{i}") for i, library in enumerate(builds)]
        for k, net in enumerate(nets):
            chosen, bounds = cmsis_nn.best([run[k] for run in runs])
            rows.append({"network": found["network"], "board": board, "subnetwork": k, "macs": program.macs[k],
                         "instructions": chosen.instructions, "cycles": bounds, "build": " ".join(chosen.build),
                         "layers": [[layer.name, n] for layer, n in zip(net.layers, chosen.layers, strict=True)]})
    return rows


def _run(library: cmsis_nn.Library, nets: list[cmsis_layers.Net], here: Path) -> list[cmsis_nn.Found]:
    """All subnetworks in one image, or each in its own where they do not fit the board together."""
    try:
        return library.run(nets, here)
    except device.DoesNotFitError:
        return [found for net in nets for found in library.run([net], here)]


def recorded(path: Path) -> dict[str, Any]:
    """What the record says of CMSIS-NN, or nothing if there is none."""
    if not path.exists():
        return {"rows": []}
    return json.loads(path.read_text(encoding="utf-8")).get("cmsis_nn") or {"rows": []}


def main(options: Options, command: str) -> None:
    """Measure and print; write the record where one is wanted."""
    chosen = [n for n in networks() if not options.only or n.name in options.only]
    if unknown := set(options.only) - {n.name for n in chosen}:
        raise InvalidArgumentError("there are no such networks", got=", ".join(sorted(unknown)),
                                   allowed=", ".join(n.name for n in networks()))
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {what}", file=sys.stderr)

    records, rows = [], []
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        libraries = {}
        if options.cmsis is not None:
            for board in options.boards:
                libraries[board] = [cmsis_nn.Library(options.cmsis, cmsis_nn.roomy(board), build, here / f"cmsis_{board}_{i}")
                                    for i, build in enumerate(cmsis_nn.builds(board))]
                say(f"CMSIS-NN built for {board}")
        for network in chosen:
            prepared = prepare(network, options.seed)
            for dtype in network.formats:
                found = measure(prepared, dtype, options, here / network.name / dtype)
                records.append(found)
                if libraries and dtype == "int8":
                    rows += in_cmsis(found, libraries, here / network.name / "cmsis_nn")
                say(f"{network.name} {dtype} done")
    known = recorded(RECORD)
    if options.cmsis:
        known = {"commit": cmsis_nn.version(options.cmsis), "command": command, "environment": report.environment(),
                 "tools": device.versions(options.boards), "rows": json.loads(report.to_json(rows))}
    text = tables_of(records, known, fresh=options.cmsis is not None)
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        for found in records:
            del found["program"]
        environment = report.environment()  # of the tree before anything is written into it
        write_text(options.output / "table.md", f"Command: `{command}`, {time.monotonic() - began:.0f} s\n\n{text}\n")
        write_text(options.output / "results.json", report.to_json(
            {"command": command, "environment": environment, "tools": device.versions(options.boards), "runs": records,
             "cmsis_nn": known}))


def tables_of(records: Sequence[dict[str, Any]], known: dict[str, Any], *, fresh: bool) -> str:
    """The text of the record."""
    lines = [line for found in records for line in tables.instructions(found)]
    flash = [line for found in records if (line := tables.sizes(found))]
    ours = {(found["network"], board): run for found in records for board, run in found["compared"].items()}
    adapt = max((s.adapt for run in ours.values() for s in run.subnetworks), default=0)
    compared = tables.compared(ours, known["rows"])
    when = "not measured, nothing recorded"
    if known["rows"]:
        when = f"commit {known['commit'][:7]}{'' if fresh else ', as recorded'}"
    ahead = sum(line[-1] == "yes" for line in compared)
    return "\n\n".join([
        "Instructions in QEMU; every answer equals the recorded one. Cycles: lower and upper bound of a model of the "
        "Cortex-M4F, no measurement.",
        tables.markdown(tables.COLUMNS, lines),
        f"The paper's adaptation takes 38 us at 64 MHz, {device.PAPER_ADAPTATION:,} cycles. Here it takes at most {adapt} "
        f"instructions: {adapt / 64:.2f} us at 64 MHz, if every instruction took one cycle.",
        f"Beside CMSIS-NN ({when}), int8, the whole network: its layers on dense tensors of the widths of each subnetwork, one "
        "set of weights for each, the best of its builds (-O2, -Ofast; with assembly in its requantisation where the processor "
        "has Thumb-2); ours on a prefix of one set of weights, -O2. Every output of CMSIS-NN is compared with its formulas. "
        f"The Cortex-M0 has here the memory of the Cortex-M3's board. Ahead in {ahead} of {len(compared)}.",
        tables.markdown(tables.COMPARED, compared),
        "CMSIS-NN by layer at full width, instructions on the Cortex-M4F:",
        tables.markdown(("network", "layers"), tables.by_layer(known["rows"], "m4")),
        "Bytes on the Cortex-M4F: the nested network's code, weights, tables (scale and offset per channel and subnetwork) and "
        "all its constants; the constants of four separate networks, and of the full one with a bit per weight for each "
        "smaller subnetwork; RAM; and what folding per subnetwork makes of the weights, (weights + tables) / weights.",
        tables.markdown(tables.FLASH, flash)])


def command_of(arguments: Sequence[str]) -> str:
    """What was called, without the place of the checkout on this machine."""
    words = ["PATH" if before == "--cmsis" else word for before, word in zip(["", *arguments], arguments, strict=False)]
    return f"python benchmarks/device.py {shlex.join(words)}".strip()


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__), command_of(sys.argv[1:]))
