"""``reds deploy``: from the output folder of an experiment to C99 for a board, and what it costs there."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from reds_jax import report
from reds_jax.console import console, escape, guard
from reds_jax.deploy import accuracy, folder, one_file, saved_run
from reds_jax.deploy.board import device
from reds_jax.deploy.board.boards import BoardName
from reds_jax.deploy.c.export import export
from reds_jax.deploy.escape import markdown_cell, markdown_code
from reds_jax.deploy.front_end.keyword_spotter import Example, of_run
from reds_jax.deploy.int8.calibrate import PERCENTAGE, Rule
from reds_jax.deploy.int8.quality import Quality, QuantizationWarning
from reds_jax.deploy.latency.command import Latency
from reds_jax.deploy.phone import litert, onnx
from reds_jax.deploy.policy.command import Policy
from reds_jax.deploy.profile_command import Profile
from reds_jax.errors import InvalidArgumentError
from reds_jax.options import read_options

_MARK = b"reds_jax.deploy device"


@dataclass(frozen=True)
class Export:
    """Write a trained nested network as C99: one copy of the weights, every subnetwork."""

    run: Path
    """Output folder of an experiment (reds vww --output ...)."""
    folder: Path
    """Where the C goes; the files of an older export in it are replaced, all others stay."""
    dtype: Literal["float32", "int8"] = "int8"
    """Number format; int8 is calibrated on training data of the run."""
    data: str | None = None
    """Where the data of the run are now, if they have moved (as --data of the experiment)."""
    other_data: bool = False
    """Go on with data of another fingerprint than those that the run was trained on."""
    calibration: int | None = None
    """How many training examples calibrate int8; by default 256, or all if there are fewer."""
    rule: Rule = "mse"
    """Ranges of int8: all values seen, the clip with the smallest squared error, or all but the outermost values."""
    percentage: float = PERCENTAGE
    """How many of the values the ranges of --rule percentile cover."""
    any_widths: bool = False
    """The C code also has a function that takes any row of widths between the smallest and the largest subnetwork."""
    revision: int | None = None
    """A number for these weights: the C code then can be given those of another training of the network."""
    front_end: Literal["mfcc", "mfcc_fixed"] | None = None
    """Of a run that reads MFCC: the C code also goes from audio to the word, and says which words are in WAV files. The MFCC
    are computed in float32, or in integers, for a core without an FPU (mfcc_fixed)."""
    example: Example | None = None
    """With a front end, also an example for a board: the main loop of a firmware with a microphone."""
    name: str = "reds"
    """Prefix of the C identifiers."""
    accuracy: int | None = None
    """Also measure test accuracy: of Flax, of the exact simulation, and of the compiled C on so many examples at most."""

    def __call__(self, console: Console, command: str) -> None:
        if self.accuracy is not None and self.accuracy < 1:
            raise InvalidArgumentError("accuracy is measured on examples", got=self.accuracy, allowed="1 or more")
        folder.check(self.folder, [f"{self.name}_accuracy.json"] * (self.accuracy is not None), name=self.name)
        if self.example is not None and self.front_end is None:
            raise InvalidArgumentError("the example listens to a microphone, and the export has no front end", got=self.example,
                                       hint="Add --front-end mfcc.")
        saved = saved_run.read(self.run, data=self.data, other_data=self.other_data)
        front_end = None if self.front_end is None else of_run(
            saved.data, self.example, "float32" if self.front_end == "mfcc" else "fixed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", QuantizationWarning)  # told below, with the table
            exported = export(saved.network.model, None, saved.graph, saved.network, self.folder, self.dtype,
                              calibration=saved.calibration(self.calibration), rule=self.rule, percentage=self.percentage,
                              normalise=saved.data.pixel_scale, name=self.name, any_widths=self.any_widths,
                              revision=self.revision, front_end=front_end)
        facts = exported.facts
        if exported.quality is not None:
            show(console, exported.quality)
        console.print(f"{escape(self.folder)}: {facts['weight_bytes']:,} bytes of weights, once; "
                      f"{facts['table_bytes']:,} bytes of scales and offsets for {len(facts['subnetworks'])} subnetworks; "
                      f"try: make -C {escape(shlex.quote(str(self.folder)))}", highlight=False, soft_wrap=True)
        if front_end is not None:
            console.print(f"which words are in a WAV file: make -C {escape(shlex.quote(str(self.folder)))} listen, then "
                          f"{escape(shlex.quote(str(self.folder / 'build' / f'{self.name}_listen_wav')))} FILE.wav",
                          highlight=False, soft_wrap=True)
        if self.accuracy is None:
            return
        rows = accuracy.measure(saved, exported, compiled_examples=self.accuracy, name=self.name)
        table = Table(title=f"test accuracy, {escape(saved.data.source)}, {rows[0].examples:,} images")
        for column in ("MACs", "Flax float32", f"{self.dtype} simulated", "compiled C", "images", "C = simulation"):
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(f"{row.macs:,}", *(f"{100 * v:.2f} %" for v in (row.flax, row.simulated, row.compiled)),
                          f"{row.compiled_examples:,}", "yes" if row.same else "NO")
        console.print(table)
        folder.add(self.folder, f"{self.name}_accuracy.json", report.to_json({
            "command": command, "data": saved.data.source, "fingerprint": saved.data.fingerprint,
            "environment": report.environment(), "subnetworks": [row.record() for row in rows]}), name=self.name)


def show(console: Console, quality: Quality) -> None:
    """The quality of an int8 export as a table, and a line for every subnetwork that is below a bound."""
    count = len(quality.agreement)
    table = Table("layer", title=f"int8 against float, {quality.examples} calibration examples: signal to noise in dB")
    for k in range(count):
        table.add_column(f"subnetwork {k}", justify="right")
    for i, name in enumerate(quality.layers):
        table.add_row(escape(name), *("-" if (v := row[i]) is None else f"{v:.1f}" for row in quality.sqnr_db))
    table.add_row("same answer", *("-" if a is None else f"{a:.1%}" for a in quality.agreement))
    console.print(table)
    for text in quality.warnings():
        console.print(f"warning: {escape(text)}", style="yellow", highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Device:
    """Run exported networks on emulated processors (QEMU): instructions, flash and RAM."""

    folders: tuple[Path, ...]
    """Folders that `export` wrote."""
    boards: tuple[BoardName, ...] = ("m4", "m0")
    """m0: Cortex-M0, 256 kB flash, 16 kB RAM (microbit). The others have 4 MB of RAM and of flash, the M55 512 kB: m3 Cortex-M3
    (mps2-an385), m4 Cortex-M4F (mps2-an386), m7 Cortex-M7 (mps2-an500), m33 Cortex-M33 (mps2-an505), m55 Cortex-M55 with Helium
    (mps3-an547), rv32 RISC-V rv32imc (virt)."""
    cycles: bool = False
    """Also bound the cycles of the Cortex-M4F, by a model of its instructions; needs a C compiler for this computer."""
    name: str = "reds"
    """Prefix of the C identifiers."""
    output: Path | None = None
    """Also write the table there: a .md file, and the same as .json beside it."""

    def __call__(self, console: Console, command: str) -> None:
        rows, records = [], []
        if self.output is not None:
            if self.output.suffix != ".md":
                raise InvalidArgumentError("the table cannot be written there", got=str(self.output), allowed="a .md file")
            for path in (self.output, self.output.with_suffix(".json")):
                one_file.check(path, _MARK)
        for path in self.folders:
            model, network = folder.facts(path, self.name), path.resolve().name
            for board in self.boards:
                try:
                    found = device.run(path, board, name=self.name, cycles=self.cycles and board == "m4")
                except device.DoesNotFitError as error:
                    rows.append([network, device.BOARDS[board].name, *["-"] * 8, error.what])
                    continue
                rows += [[network, found.board.name, str(k), f"{s.macs:,}", f"{s.invoke:,}", f"{s.invoke / s.macs:.2f}",
                          "-" if s.cycles is None else str(s.cycles), str(s.adapt), str(s.adapt_to_budget),
                          "-" if s.adapt_to is None else str(s.adapt_to),
                          f"{found.flash:,} / {model['subnetworks'][k]['arena_bytes']:,}"]
                         for k, s in enumerate(found.subnetworks)]
                if found.left_out:
                    rows.append([network, found.board.name, "larger", *["-"] * 7, found.left_out])
                records.append({"folder": network, "board": found.board.name, "sections": found.sections,
                                "subnetworks": found.subnetworks, "left_out": found.left_out})
        columns = ["network", "processor", "subnetwork", "MACs", "instructions", "per MAC", "cycles", "adapt",
                   "adapt to budget", "adapt to widths", "flash / arena bytes"]
        table = Table(*columns, title="instructions in QEMU (not cycles); every answer equals the recorded one")
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)
        console.print(f"The paper's adaptation takes 38 us at 64 MHz, that is {device.PAPER_ADAPTATION:,} cycles.")
        if self.output is not None:
            lines = [columns, ["---"] * len(columns), *rows]
            text = "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)
            head = f"Command: {markdown_code(command)} (written by {_MARK.decode()})"
            one_file.write(self.output, f"{head}\n\n{text}\n".encode(), _MARK)
            one_file.write(self.output.with_suffix(".json"), report.to_json(
                {"written_by": _MARK.decode(), "command": command, "environment": report.environment(),
                 "tools": device.versions(self.boards), "runs": records}).encode(), _MARK)


@dataclass(frozen=True)
class Phone:
    """Write a trained nested network as one file for phones and PCs: .onnx or .tflite."""

    run: Path
    """Output folder of an experiment."""
    file: Path
    """Where it goes; .onnx (the subnetwork is an input) or .tflite (every subnetwork is a signature)."""
    dtype: Literal["float32", "int8"] = "float32"
    """int8 (.tflite only): 8-bit weights, all else in floats."""
    data: str | None = None
    """Where the data of the run are now, if they have moved."""

    def __call__(self, console: Console, command: str) -> None:
        if self.file.suffix not in (".onnx", ".tflite") or (self.file.suffix == ".onnx" and self.dtype != "float32"):
            raise InvalidArgumentError("there is no such file format", got=(self.file.name, self.dtype),
                                       allowed=".onnx in float32, .tflite in float32 or int8")
        saved = saved_run.read(self.run, data=self.data, other_data=True)  # only the shape of the data matters
        arguments = (saved.network.model, None, saved.graph, saved.network, self.file)
        written = onnx.export(*arguments) if self.file.suffix == ".onnx" else litert.export(*arguments, self.dtype)
        console.print(f"{escape(self.file)}: {written.file_bytes:,} bytes, {written.weight_bytes:,} of them weights, once; "
                      f"{len(saved.network)} subnetworks", highlight=False, soft_wrap=True)


Command = Export | Device | Profile | Phone | Latency | Policy


@guard
def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and run; the exit codes are those of `reds_jax.console`."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command = read_options(Command, argv, command="reds deploy", description=__doc__)
    command(console(), f"reds deploy {shlex.join(argv)}")


if __name__ == "__main__":
    main()
