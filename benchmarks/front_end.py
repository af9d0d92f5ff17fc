"""The MFCC front end on devices: ``python benchmarks/front_end.py --help``.

Instructions of a frame on emulated Cortex-M processors (QEMU counts instructions, not cycles), memory, and, with the recorded
clips of REDS_DATA, how far the front end in integers is from the training front end: in the coefficients, and in what an int8
network reads. On the boards integers must equal the model in NumPy bit for bit.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from rich.console import Console

from reds_jax import report
from reds_jax.data import MFCC
from reds_jax.deploy.board import device, host
from reds_jax.deploy.front_end.c_text import Arithmetic, c_files
from reds_jax.deploy.front_end.fixed import FixedGrid, FixedTables
from reds_jax.deploy.front_end.on_board import measure
from reds_jax.deploy.front_end.tables import Tables
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import RedsError
from reds_jax.training.arrays import write_text

FRONT_ENDS = {"20 ms": MFCC(stride_ms=20), "40 ms": MFCC(stride_ms=40)}
RUNS: tuple[tuple[Arithmetic, str], ...] = (("float32", "m4"), ("fixed", "m4"), ("fixed", "m0"))
COLUMNS = ("arithmetic", "processor", "a frame", "a second, 20 ms", "a second, 40 ms", "code", "tables", "samples", "scratch")
ERRORS = ("stride", "numbers", "against", "largest error", "mean error")
STORED = ("stride", "numbers", "input grid", "scale", "other by 1", "other by more")

COUNTS = ("Instructions in QEMU (not cycles) of a frame and of a second of audio; bytes of the runtime's code, of the tables, "
          "of the samples of a window, and of the scratch, which may lie in the arena of the network.")
CLIPS = "Errors of the coefficients on 24 recorded clips, those in C from the Cortex-M4F; TensorFlow is its operation."
INPUTS = ("What an int8 network reads instead of the number of the training front end: the share of the entries that is "
          "another, by 1 or by more, on a grid that covers all coefficients of the clips, and on one that clips them.")


@dataclass(frozen=True)
class Options:
    """Where the record goes."""

    output: Path | None = None
    """Folder for front_end.md and front_end.json."""


def chirp(samples: int) -> np.ndarray:
    """What the counts are taken on; those in integers depend on the samples by less than one in a hundred."""
    t = np.arange(samples) / 16000
    noise = 20 * np.random.default_rng(0).standard_normal(samples)
    return np.round(3000 * np.sin(2 * np.pi * (300 * t + 900 * t**2)) + noise).astype(np.int16)


def on_board(arithmetic: Arithmetic, board: str) -> dict[str, Any]:
    """Instructions of a frame, checked against this machine, and bytes."""
    mfcc = FRONT_ENDS["20 ms"]
    clip = chirp(mfcc.window + 4 * mfcc.stride)
    measured = measure(mfcc, arithmetic, board, clip)
    if arithmetic == "fixed":
        right = np.array_equal(measured.coefficients, FixedTables.of(mfcc)(clip[None])[0])
    else:
        right = np.abs(measured.coefficients - mfcc(clip[None])[0, ..., 0]).max() < 1e-4
    if not right:
        raise RedsError(f"the front end ({arithmetic}) has other numbers on {device.BOARDS[board].name}")
    tables = Tables.of(mfcc)
    entries = len(tables.half) + len(tables.sine) + len(tables.weights) + tables.basis.size
    return {"arithmetic": arithmetic, "processor": device.BOARDS[board].name, "frame": int(measured.frame.max()),
            "push": int(measured.push[1:].max()), "code_bytes": code_bytes(mfcc, arithmetic, board),
            "table_bytes": entries * (4 if arithmetic == "float32" else 2) + 4 * mfcc.bands,
            "sample_bytes": 2 * mfcc.window, "scratch_bytes": 16 * tables.quarter}


def code_bytes(mfcc: MFCC, arithmetic: Arithmetic, board: str) -> int:
    """The runtime's code and constants, as compiled for a board."""
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here, total = Path(temporary), 0
        for name, text in c_files(mfcc, "t", arithmetic).items():
            (here / name).write_text(text, encoding="utf-8")
        for source in sorted(here.glob("reds_mfcc*.c")):
            host.run(["arm-none-eabi-gcc", *device.FLAGS, *device.BOARDS[board].flags, "-c", str(source), "-o", f"{source}.o"])
            total += int(host.run(["arm-none-eabi-size", f"{source}.o"]).stdout.splitlines()[1].split()[0])
    return total


def recorded(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """On the recorded clips, by the Cortex-M4F: errors of the coefficients, and of the input of an int8 network."""
    errors, stored = [], []
    with np.load(folder / "mfcc_golden.npz") as file:
        pcm, golden = file["pcm"], {stride: file[f"mfcc_40_{stride[:2]}"] for stride in FRONT_ENDS}
    for stride, mfcc in FRONT_ENDS.items():
        trained, single, fixed = mfcc(pcm)[..., 0], on_clips("float32", mfcc, pcm), on_clips("fixed", mfcc, pcm)
        if not np.array_equal(fixed, FixedTables.of(mfcc)(pcm)):
            raise RedsError("the front end in integers has other numbers on the Cortex-M4F than here")
        for name, found in (("training front end", trained), ("C, float32", single), ("C, integers", fixed / 65536)):
            for other, expected in (("TensorFlow", golden[stride]), ("training front end", trained)):
                if name != other:
                    error = np.abs(found - expected)
                    errors.append({"stride": stride, "numbers": name, "against": other, "largest": float(error.max()),
                                   "mean": float(error.mean())})
        for name, part in (("all values", 1.0), ("30 % of their range", 0.3)):
            grid = Scale.of_range(part * trained.min(), part * trained.max())
            reads = grid.quantize(trained).astype(int)
            for numbers, other in (("TensorFlow", grid.quantize(golden[stride])), ("C, float32", grid.quantize(single)),
                                   ("C, integers", FixedGrid.of(grid).quantize(fixed))):
                apart = np.abs(other.astype(int) - reads)
                stored.append({"stride": stride, "numbers": numbers, "grid": name, "scale": grid.scale,
                               "other_by_1": float((apart == 1).mean()), "other_by_more": float((apart > 1).mean())})
    return errors, stored


def on_clips(arithmetic: Arithmetic, mfcc: MFCC, pcm: np.ndarray) -> np.ndarray:
    """The coefficients of every clip from the Cortex-M4F, which gets them in a row: a clip is a whole number of strides."""
    found = measure(mfcc, arithmetic, "m4", pcm.ravel()).coefficients
    step = pcm.shape[1] // mfcc.stride
    return np.stack([found[i * step : i * step + mfcc.frames(pcm.shape[1])] for i in range(len(pcm))])


def main(options: Options, command: str) -> None:
    """Measure and print; write the record where one is wanted."""
    runs = [on_board(*run) for run in RUNS]
    record: dict[str, Any] = {"command": command, "environment": report.environment(), "tools": device.versions(), "runs": runs}
    parts = [COUNTS, _markdown(COLUMNS, ([
        r["arithmetic"], r["processor"], f"{r['frame']:,}",
        *(f"{(r['frame'] + r['push']) * 1000 // mfcc.stride_ms:,}" for mfcc in FRONT_ENDS.values()),
        *(f"{r[f'{key}_bytes']:,}" for key in ("code", "table", "sample", "scratch"))] for r in runs))]
    folder = Path(os.environ.get("REDS_DATA", "."))
    if (folder / "mfcc_golden.npz").exists():
        errors, stored = recorded(folder)
        record |= {"errors": errors, "stored": stored}
        parts += [CLIPS, _markdown(ERRORS, ([
            e["stride"], e["numbers"], e["against"], f"{e['largest']:.2g}", f"{e['mean']:.2g}"] for e in errors))]
        parts += [INPUTS, _markdown(STORED, ([
            s["stride"], s["numbers"], s["grid"], f"{s['scale']:.3g}", f"{100 * s['other_by_1']:.3f} %",
            f"{100 * s['other_by_more']:.3f} %"] for s in stored))]
    text = "\n\n".join(parts)
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_text(options.output / "front_end.md", f"Command: `{command}`\n\n{text}\n")
        write_text(options.output / "front_end.json", report.to_json(record))


def _markdown(columns: tuple[str, ...], body: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*columns], ["---"] * len(columns), *body))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__), f"python benchmarks/front_end.py {shlex.join(sys.argv[1:])}".strip())
