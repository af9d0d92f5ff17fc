"""What the subnetworks of a recorded comparison cost on a device: ``python benchmarks/cost_of_comparison.py FOLDER``.

Reads ``FOLDER/results.json`` of ``reds compare``, exports the widths that each variant had in its first round as C (int8), runs
every subnetwork on an emulated Cortex-M4F (QEMU), and writes ``FOLDER/cost.md``: the recorded accuracy beside true MACs and
instructions for one inference. Weights are random: instructions do not depend on them. Needs qemu-system-arm and
arm-none-eabi-gcc.
"""

from __future__ import annotations

import json
import shlex
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from reds_jax import models, report
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.experiments.compare import network_of
from reds_jax.graph.trace import trace
from reds_jax.training.arrays import write_text

SHAPES = {"mfcc_40_20": (49, 10, 1), "mfcc_40_40": (25, 10, 1)}


@dataclass(frozen=True)
class Options:
    """What the subnetworks of a recorded comparison cost on a device."""

    folder: tyro.conf.Positional[Path]
    """with results.json; cost.md goes there"""
    seed: int = 0
    """of weights and inputs"""


def instructions(model: Any, shape: tuple[int, ...], widths: list[list[int]], seed: int) -> list[int]:
    """Instructions of one inference of each subnetwork, exported together as int8."""
    inputs = np.random.default_rng(seed).normal(size=(8, *shape)).astype(np.float32)
    variables = jax.jit(model.init)(jax.random.key(seed), inputs[:1])
    graph = trace(model, variables, inputs[:1])
    with tempfile.TemporaryDirectory(prefix="cost_") as temporary:
        exported = export(model, variables, graph, widths, Path(temporary) / "net", "int8", calibration=[inputs],
                          examples=inputs[:1], name="net")
        return [s.invoke for s in device.run(exported.folder, "m4", name="net", examples=1).subnetworks]


def main(options: Options) -> None:
    record = json.loads((options.folder / "results.json").read_text(encoding="utf-8"))
    network = network_of(record["command"])[1]
    model, first = models.build(network.architecture, network.arguments), record["rounds"][0]["cells"]
    rows = []
    for name, cell in first.items():
        subnetworks = cell["subnetworks"]
        counts = instructions(model, SHAPES[network.normalise or ""], [s["widths"] for s in subnetworks], options.seed)
        for i, s in enumerate(subnetworks):
            mean = np.mean([100 * one["cells"][name]["subnetworks"][i]["test_metric"] for one in record["rounds"]])
            rows.append(f"| {name} | {100 * s['budget']:g} % | {100 * s['macs_fraction']:.1f} % | {counts[i] / 1e3:,.0f} | "
                        f"{100 * counts[i] / counts[-1]:.1f} % | {mean:.2f} | {' '.join(map(str, s['widths']))} |")
        print(*rows[-len(subnetworks):], sep="\n")
    about = report.environment()
    command = shlex.join(["python", "benchmarks/cost_of_comparison.py", str(options.folder)])
    write_text(options.folder / "cost.md", "\n".join([
        f"# {record['title']}: accuracy, MACs and instructions", "",
        f"`{command}`, commit {about['commit']}, {', '.join(device.versions().values())}", "",
        "Accuracy: the recorded mean over the rounds. Instructions of a Cortex-M4F in QEMU, int8, for one inference, with the "
        "widths of the first round.", "",
        "| variant | budget | true MACs | thousand instructions | of the full network's | test accuracy % | widths |",
        "|---|---:|---:|---:|---:|---:|---|", *rows, ""]))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
