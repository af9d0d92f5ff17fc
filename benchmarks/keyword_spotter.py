"""A trained keyword spotter on emulated Cortex-M, from raw audio: ``python benchmarks/keyword_spotter.py --help``.

The run of ``reds speech_commands`` is exported to int8 with its front end, in float32 and in integers. The test clips go
through QEMU as samples, a piece of 20 ms after the other, for every subnetwork, and what it stores as input and output of the
network is compared with Python: MFCC in NumPy, quantised, simulated. Counted are instructions (no cycles), flash and RAM of
the firmware ``microphone.c``. Then the test clips in a row are listened to by the compiled code, and some of them are drawn.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from keyword_spotter_picture import picture
from rich.console import Console

from reds_jax import report
from reds_jax.data import MFCC
from reds_jax.deploy import saved_run
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.deploy.c.exported import Exported
from reds_jax.deploy.front_end.c_text import Arithmetic
from reds_jax.deploy.front_end.host import HostListener
from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter, of_run
from reds_jax.deploy.front_end.scoring import Spoken, score
from reds_jax.deploy.front_end.spotter import Settings, spot
from reds_jax.deploy.saved_run import SavedRun
from reds_jax.training.arrays import read_json, write_text

PROGRAM = Path(__file__).with_suffix(".c")
STUBS = """
static volatile int there = 1;
int read_samples(int16_t *samples, int count) { samples[0] = (int16_t)count; return there; }
void say(const char *word, unsigned subnetwork) { (void)word; (void)subnetwork; }
"""
HOP = 5  # frames from inference to inference in the table: ten inferences a second
FORMS: tuple[tuple[Arithmetic, str], ...] = (("float32", "m4"), ("fixed", "m4"), ("fixed", "m0"))
COLUMNS = ("MFCC in", "processor", "subnetwork", "MACs", "accuracy in Python", "from audio in QEMU", "inputs that differ",
           "answers that differ", "a frame", "an inference", "a second of audio", "of which MFCC", "flash", "RAM")


@dataclass(frozen=True)
class Options:
    """Which run, how many clips, and where the record goes."""

    run: Path
    """Output folder of reds speech_commands."""
    data: str | None = None
    """Where the data of the run are now, if they have moved."""
    clips: int | None = None
    """Only the first so many test clips; all by default."""
    words: int = 7
    """Clips in the recording of the picture."""
    seed: int = 0
    """Of the clips in the picture."""
    output: Path | None = None
    """Folder for keyword_spotter.md, .json and .png."""


def python(exported: Exported, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stored inputs [N, items] and outputs [subnetworks, N, classes] of the clips."""
    quantized, spotter = exported.quantized, exported.front_end
    assert quantized is not None
    assert spotter is not None
    grid = quantized.input_scale
    stored = np.stack([spotter.features(clip, grid) for clip in waveforms])[..., None]
    real = ((stored.astype(np.int32) - grid.zero) * np.float32(grid.scale)).astype(np.float32)
    outputs = np.stack([exported.expected(k, real) for k in range(len(exported.facts["subnetworks"]))])
    return stored.reshape(len(stored), -1), outputs


def on_device(exported: Exported, waveforms: np.ndarray, board: str) -> dict[str, Any]:
    """What a board stores of the clips, and its counts; with the subnetworks that fit it."""
    facts, mfcc = exported.facts, exported.front_end.mfcc  # type: ignore[union-attr]
    samples, largest, printed = mfcc.window + (facts["input_shape"][0] - 1) * mfcc.stride, len(facts["subnetworks"]), ""
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        (here / "clips").write_bytes(waveforms[:, :samples].astype("<i2").tobytes())
        (here / "main.c").write_text(PROGRAM.read_text(encoding="utf-8"), encoding="utf-8")
        defines = [f"-DCLIPS={len(waveforms)}u", f'-DCLIPS_FILE="{here / "clips"}"', f"-DCLIP_PIECES={samples // mfcc.stride}u",
                   f"-DREDS_LISTEN_WINDOW={HOP}"]
        while not printed:
            largest -= 1
            try:
                printed = device.execute(exported.folder, here, board, *defines, f"-DREDS_LARGEST={largest}", timeout=3000)
            except device.DoesNotFitError:
                if not largest:
                    raise
        (here / "main.c").write_text((exported.folder / "examples" / "reds_microphone.c").read_text(encoding="utf-8") + STUBS,
                                     encoding="utf-8")
        sizes = device.sizes(exported.folder, here, board, f"-DREDS_LISTEN_WINDOW={HOP}", f"-DREDS_LARGEST={largest}")
    rows = [line.split() for line in printed.splitlines()]

    def stored(what: str, items: int) -> np.ndarray:
        return np.array([np.frombuffer(bytes.fromhex(r[3]), np.int8)[:items] for r in rows if r[0] == what])

    def counts(what: str, k: int) -> list[int]:
        return [int(r[2]) for r in rows if r[0] == what and int(r[1]) == k]

    inputs, outputs = stored("input", facts["input_items"]), stored("output", facts["output_items"])
    frames = counts("frame", 0)
    return {"inputs": inputs, "outputs": outputs.reshape(largest + 1, len(waveforms), -1), "sizes": sizes,
            "frame": {"mean": float(np.mean(frames)), "largest": max(frames)}, "listener_bytes": int(rows[-1][2]),
            "inference": [float(np.mean(counts("inference", k)) - np.mean(frames)) for k in range(largest + 1)]}


def measure(exported: Exported, saved: SavedRun, waveforms: np.ndarray, labels: np.ndarray, board: str) -> dict[str, Any]:
    """Compare a board with Python."""
    spotter = exported.front_end
    assert spotter is not None
    inputs, outputs = python(exported, waveforms)
    found = on_device(exported, waveforms, board)
    moved = np.abs(found["inputs"].astype(int) - inputs)
    same = moved.max(axis=1) == 0
    per_second = 1000 / spotter.mfcc.stride_ms
    subnetworks = []
    for k, out in enumerate(found["outputs"]):
        assert np.array_equal(out[same], outputs[k][same]), "the network in C is another one than in Python"
        inference = found["inference"][k]
        subnetworks.append({
            "macs": saved.network.macs[k], "python": float((outputs[k].argmax(-1) == labels).mean()),
            "device": float((out.argmax(-1) == labels).mean()),
            "other_classes": int((out.argmax(-1) != outputs[k].argmax(-1)).sum()),
            "other_outputs": int((out != outputs[k]).any(axis=1).sum()), "inference": inference,
            "second": per_second * found["frame"]["mean"] + per_second / HOP * inference})
    sections = found["sizes"]
    return {
        "arithmetic": spotter.arithmetic, "board": board, "clips": len(waveforms), "hop": HOP,
        "input_entries": int(moved.size), "input_entries_that_differ": int((moved > 0).sum()),
        "largest_difference": int(moved.max()), "clips_that_differ": int((~same).sum()), "frame": found["frame"],
        "front_end_second": per_second * found["frame"]["mean"],
        "flash": sections["text"] + sections["rodata"] + sections["data"], "ram": sections["data"] + sections["bss"],
        "sections": sections, "listener_bytes": found["listener_bytes"], "subnetworks": subnetworks}


def lines(record: dict[str, Any]) -> list[list[str]]:
    """The rows of the table."""
    differ = f"{record['input_entries_that_differ']:,} of {record['input_entries']:,}"
    result = []
    for k, sub in enumerate(record["subnetworks"]):
        result.append([
            record["arithmetic"], device.BOARDS[record["board"]].name, str(k), f"{sub['macs']:,}",
            f"{100 * sub['python']:.2f} %", f"{100 * sub['device']:.2f} %", differ,
            f"{sub['other_outputs']} clips, {sub['other_classes']} classes",
            f"{record['frame']['mean']:,.0f}", f"{sub['inference']:,.0f}", f"{sub['second'] / 1e6:.1f} M",
            f"{100 * record['front_end_second'] / sub['second']:.0f} %", f"{record['flash']:,}",
            f"{record['ram']:,}"])
    return result


def stream(saved: SavedRun, split: str, seed: int) -> tuple[np.ndarray, list[Spoken], np.ndarray]:
    """The clips of a split in a row, in random order: samples, the words in them, and the order."""
    clips, mfcc = saved.data.splits[split], saved.data.normalise
    assert isinstance(mfcc, MFCC)
    order, frames = np.random.default_rng(seed).permutation(len(clips)), clips.inputs.shape[1] // mfcc.stride
    words = KeywordSpotter(mfcc, saved.data.class_names or ()).words
    spoken = [Spoken(i * frames, (i + 1) * frames, int(label)) for i, label in enumerate(clips.labels[order]) if words[label]]
    return clips.inputs[order].ravel(), spoken, order


def choose(
    listener: HostListener, saved: SavedRun, words: tuple[bool, ...], seed: int
) -> tuple[Settings, list[dict[str, Any]]]:
    """Window and threshold of the largest subnetwork on the validation clips: most words heard, less false alarms."""
    samples, spoken, _ = stream(saved, "validation", seed)
    listener.adapt(len(listener) - 1)
    heard, tried = listener.listen(samples, Settings(HOP, 1, 1.0), pieces=(len(samples),)), []
    for window in (1, 3, 5, 8):
        for threshold in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
            settings = Settings(HOP, window, threshold)
            found = score(spot(heard.posteriors, words, settings, first=int(heard.frames[0]))[1], spoken)
            tried.append({"window": window, "threshold": threshold, **vars(found)})
    best = max(tried, key=lambda t: t["heard"] - t["false_alarms"])
    return Settings(HOP, best["window"], best["threshold"]), tried


def listened(listener: HostListener, saved: SavedRun, settings: Settings, seed: int) -> list[dict[str, Any]]:
    """Every subnetwork on the test clips in a row."""
    samples, spoken, _ = stream(saved, "test", seed)
    result = []
    for k in range(len(listener)):
        listener.adapt(k)
        found = score(listener.listen(samples, settings, pieces=(len(samples),)).detections, spoken)
        result.append({**vars(found), "seconds": len(samples) / 16000})
    return result


def main(options: Options, command: str) -> None:
    """Measure and print; write the record where one is wanted."""
    saved = saved_run.read(options.run, data=options.data)
    test = saved.data.test
    waveforms = test.inputs[: options.clips]
    exports, records = {}, []
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as folder:
        for arithmetic, board in FORMS:
            if arithmetic not in exports:
                spotter = of_run(saved.data, "microphone", arithmetic)
                exports[arithmetic] = export(
                    saved.network.model, None, saved.graph, saved.network, Path(folder) / arithmetic, "int8",
                    calibration=saved.calibration(), front_end=spotter)
            records.append(measure(exports[arithmetic], saved, waveforms, test.labels[: len(waveforms)], board))
            print(f"{arithmetic} on {board} done", file=sys.stderr)
        exported = exports["float32"]
        listener = HostListener(exported.folder, "-O3")
        settings, tried = choose(listener, saved, exported.front_end.words, options.seed)
        streams = listened(listener, saved, settings, options.seed)
        samples, _, order = stream(saved, "test", options.seed)
        labels = saved.data.test.labels[order[: options.words]]
        drawn, said = picture(exported, samples[: options.words * waveforms.shape[1]], labels, settings)
    table = [COLUMNS, ["---"] * len(COLUMNS), *(line for record in records for line in lines(record))]
    heard = [["subnetwork", "words heard", "false alarms"], ["---"] * 3,
             *([str(k), f"{s['heard']} of {s['said']}", f"{s['false_alarms']} in {s['seconds']:.0f} s"]
               for k, s in enumerate(streams))]
    text = "\n\n".join([
        f"The run: `{read_json(options.run / 'config.json')['command']}`.",
        f"{len(waveforms)} test clips ({saved.data.source}), int8; instructions in QEMU (not cycles): of one frame, of one "
        f"inference with posteriors and decision, and of a second of audio with an inference every {HOP} frames. Flash and RAM "
        "are those of the firmware `microphone.c`, all of it but the stack.", markdown(table),
        f"All test clips in a row (hop {settings.hop}, window {settings.window}, threshold {settings.threshold:g}, refractory "
        f"time {settings.refractory} frames; window and threshold are the best of {len(tried)} on the validation clips by the "
        "largest subnetwork), by the compiled C code:", markdown(heard),
        "![audio, and the mean posteriors of the smallest and the largest subnetwork](keyword_spotter.png)"])
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        environment = report.environment()  # of the tree before anything is written into it
        head = f"Command: `{command}`, commit {environment['commit']}."
        write_text(options.output / "keyword_spotter.md", f"{head}\n\n{text}\n")
        (options.output / "keyword_spotter.png").write_bytes(drawn)
        write_text(options.output / "keyword_spotter.json", report.to_json({
            "command": command, "environment": environment, "tools": device.versions(), "data": saved.data.source,
            "fingerprint": saved.data.fingerprint, "settings": vars(settings), "tried_on_validation": tried, "boards": records,
            "streams": streams, "picture": said}))


def markdown(rows: Any) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__), f"python benchmarks/keyword_spotter.py {shlex.join(sys.argv[1:])}".strip())
