"""``python -m reds_jax.deploy``: from the output folder of an experiment to C99 for a board, and what it costs there."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from rich.table import Table

from reds_jax import report
from reds_jax.console import console, guard
from reds_jax.deploy import accuracy, saved_run
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.deploy.int8.calibrate import Rule
from reds_jax.deploy.latency.command import Latency
from reds_jax.deploy.phone import litert, onnx
from reds_jax.deploy.policy.command import Policy
from reds_jax.errors import InvalidArgumentError
from reds_jax.training.arrays import write_text


@dataclass(frozen=True)
class Export:
    """Write a trained nested network as C99: one copy of the weights, every subnetwork."""

    run: tyro.conf.Positional[Path]
    """Output folder of an experiment (python -m reds_jax.experiments.vww --output ...)."""
    folder: tyro.conf.Positional[Path]
    """Where the C goes; an older export in it is replaced."""
    dtype: Literal["float32", "int8"] = "int8"
    """Number format; int8 is calibrated on training data of the run."""
    data: str | None = None
    """Where the data of the run are now, if they have moved (as --data of the experiment)."""
    calibration: int = 256
    """How many training examples calibrate int8."""
    rule: Rule = "mse"
    """Ranges of int8: all values seen, or the clip with the smallest squared error."""
    name: str = "reds"
    """Prefix of the C identifiers."""
    accuracy: int | None = None
    """Also measure test accuracy: of Flax, of the exact simulation, and of the compiled C on so many examples."""

    def __call__(self, console: Console, command: str) -> None:
        saved = saved_run.read(self.run, data=self.data)
        exported = export(saved.network.model, None, saved.graph, saved.network, self.folder, self.dtype,
                              calibration=saved.calibration(self.calibration), rule=self.rule,
                              normalise=saved.data.pixel_scale, name=self.name)
        facts = exported.facts
        console.print(f"{self.folder}: {facts['weight_bytes']:,} bytes of weights, once; {facts['table_bytes']:,} bytes of "
                      f"scales and offsets for {len(facts['subnetworks'])} subnetworks; try: make -C {self.folder}",
                      highlight=False, soft_wrap=True)
        if self.accuracy is None:
            return
        rows = accuracy.measure(saved, exported, compiled_examples=self.accuracy, name=self.name)
        table = Table(title=f"test accuracy, {saved.data.source}, {rows[0].examples:,} images")
        for column in ("MACs", "Flax float32", f"{self.dtype} simulated", "compiled C", "images", "C = simulation"):
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(f"{row.macs:,}", *(f"{100 * v:.2f} %" for v in (row.flax, row.simulated, row.compiled)),
                          f"{row.compiled_examples:,}", "yes" if row.same else "NO")
        console.print(table)
        write_text(self.folder / "accuracy.json", report.to_json({
            "command": command, "data": saved.data.source, "fingerprint": saved.data.fingerprint,
            "environment": report.environment(), "subnetworks": [row.record() for row in rows]}))


@dataclass(frozen=True)
class Device:
    """Run exported networks on emulated Cortex-M processors (QEMU): instructions, flash and RAM."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that `export` wrote."""
    boards: tuple[Literal["m4", "m0"], ...] = ("m4", "m0")
    """m4: Cortex-M4F, 4 MB flash and RAM (mps2-an386). m0: Cortex-M0, 256 kB flash, 16 kB RAM (microbit)."""
    name: str = "reds"
    """Prefix of the C identifiers."""
    output: Path | None = None
    """Also write the table there: a .md file, and the same as .json beside it."""

    def __call__(self, console: Console, command: str) -> None:
        rows, records = [], []
        for folder in self.folders:
            model = json.loads((folder / "model.json").read_text()) if (folder / "model.json").exists() else {}
            for board in self.boards:
                try:
                    found = device.run(folder, board, name=self.name)
                except device.DoesNotFitError as error:
                    rows.append([folder.name, device.BOARDS[board].name, "-", "-", "-", "-", "-", "-", error.what])
                    continue
                rows += [[folder.name, found.board.name, str(k), f"{s.macs:,}", f"{s.invoke:,}", f"{s.invoke / s.macs:.2f}",
                          str(s.adapt), str(s.adapt_to_budget),
                          f"{found.flash:,} / {model['subnetworks'][k]['arena_bytes']:,}"]
                         for k, s in enumerate(found.subnetworks)]
                if found.left_out:
                    rows.append([folder.name, found.board.name, "larger", "-", "-", "-", "-", "-", found.left_out])
                records.append({"folder": folder.name, "board": found.board.name, "sections": found.sections,
                                "subnetworks": found.subnetworks, "left_out": found.left_out})
        columns = ["network", "processor", "subnetwork", "MACs", "instructions", "per MAC", "adapt", "adapt to budget",
                   "flash / arena bytes"]
        table = Table(*columns, title="instructions in QEMU (not cycles); every answer equals the recorded one")
        for row in rows:
            table.add_row(*row)
        console.print(table)
        console.print(f"The paper's adaptation takes 38 us at 64 MHz, that is {device.PAPER_ADAPTATION:,} cycles.")
        if self.output is not None:
            lines = [columns, ["---"] * len(columns), *rows]
            write_text(self.output, f"Command: `{command}`\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")
            write_text(self.output.with_suffix(".json"), report.to_json(
                {"command": command, "environment": report.environment(), "tools": device.versions(), "runs": records}))


@dataclass(frozen=True)
class Phone:
    """Write a trained nested network as one file for phones and PCs: .onnx or .tflite."""

    run: tyro.conf.Positional[Path]
    """Output folder of an experiment."""
    file: tyro.conf.Positional[Path]
    """Where it goes; .onnx (the subnetwork is an input) or .tflite (every subnetwork is a signature)."""
    dtype: Literal["float32", "int8"] = "float32"
    """int8 (.tflite only): 8-bit weights, all else in floats."""
    data: str | None = None
    """Where the data of the run are now, if they have moved."""

    def __call__(self, console: Console, command: str) -> None:
        if self.file.suffix not in (".onnx", ".tflite") or (self.file.suffix == ".onnx" and self.dtype != "float32"):
            raise InvalidArgumentError("there is no such file format", got=(self.file.name, self.dtype),
                                       allowed=".onnx in float32, .tflite in float32 or int8")
        saved = saved_run.read(self.run, data=self.data)
        arguments = (saved.network.model, None, saved.graph, saved.network, self.file)
        written = onnx.export(*arguments) if self.file.suffix == ".onnx" else litert.export(*arguments, self.dtype)
        console.print(f"{self.file}: {written.file_bytes:,} bytes, {written.weight_bytes:,} of them weights, once; "
                      f"{len(saved.network)} subnetworks", highlight=False, soft_wrap=True)


Command = (
    Annotated[Export, tyro.conf.subcommand("export")] | Annotated[Device, tyro.conf.subcommand("device")]
    | Annotated[Phone, tyro.conf.subcommand("phone")]
    | Annotated[Latency, tyro.conf.subcommand("latency")]
    | Annotated[Policy, tyro.conf.subcommand("policy")]
)


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = tyro.cli(Command, args=argv, prog="python -m reds_jax.deploy", description=__doc__)  # type: ignore[arg-type]
    command(console(), f"python -m reds_jax.deploy {shlex.join(argv)}")


if __name__ == "__main__":
    main()
