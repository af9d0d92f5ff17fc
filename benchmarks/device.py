"""Networks of the literature on emulated Cortex-M processors: ``python benchmarks/device.py --help``; ``make device`` runs it.

Every network is exported to C99 with random weights and its own batch statistics for each of four subnetworks, built for a
Cortex-M4F and a Cortex-M0 and run in QEMU, where every subnetwork must give the recorded answers (int8: bit for bit).
Instructions are counted exactly; they are not cycles. The sizes are compared with those of one network per subnetwork, built
from the extracted subnetworks, and with one binary mask per smaller subnetwork over the full weights.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console

from reds_jax import models, report
from reds_jax.deploy.board import device
from reds_jax.deploy.c.export import export
from reds_jax.graph.trace import trace
from reds_jax.run.extract import extract
from reds_jax.training.arrays import write_text

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
COLUMNS = ("network", "processor", "width", "MACs", "instructions", "per MAC", "reference", "adapt", "by budget", "arena bytes")
FLASH = ("network", "code", "weights", "tables", "nested", "4 networks", "full + 3 masks", "RAM", "folding")
# taken earlier: a first prototype for the MLP; for DS-CNN S the convolutions alone in CMSIS-NN on dense tensors of that width
REFERENCES = {
    ("mlp", "int8", "m4"): (22_674, 49_340, 80_478, 116_097), ("mlp", "float32", "m4"): (26_759, 58_919, 96_711, 140_135),
    ("mlp", "int8", "m0"): (71_646, None, None, 369_728), ("ds_cnn_s", "int8", "m4"): (1_550_000, None, None, 7_640_000),
}


@dataclass(frozen=True)
class Network:
    """A network, the shape of its input, and the number formats and boards that it is tried on."""

    name: str
    model: nn.Module
    shape: tuple[int, ...]
    formats: tuple[str, ...] = ("int8",)


def networks() -> tuple[Network, ...]:
    return (
        Network("mlp", models.DNN(12, (128, 128)), (250,), ("int8", "float32")),
        Network("dnn_s", models.build("dnn_s", {}), (25, 10, 1), ("int8", "float32")),
        Network("ds_cnn_s", models.build("ds_cnn_s", {}), (49, 10, 1), ("int8", "float32")),
        Network("mobilenet_v1_025", models.build("mobilenet_v1", {"alpha": 0.25, "activation": "relu"}), (96, 96, 3)),
    )


@dataclass(frozen=True)
class Options:
    """What is measured, and where the record goes."""

    only: tuple[str, ...] = ()
    """Names of the networks; all by default."""
    boards: tuple[str, ...] = ("m4", "m0")
    """m4: Cortex-M4F (mps2-an386); m0: Cortex-M0 (microbit, 256 kB flash, 16 kB RAM)."""
    separate: bool = True
    """Also export every subnetwork alone, to compare the sizes."""
    seed: int = 0
    """Of weights, statistics and inputs."""
    output: Path | None = None
    """Folder for table.md and results.json."""


def random_variables(network: Network, seed: int) -> list[Any]:
    """One tree a subnetwork: the same parameters, statistics of its own."""
    shapes = network.model.init(jax.random.key(seed), jnp.zeros((1, *network.shape)))

    def near(rng: np.random.Generator, a: Any) -> Any:
        """Statistics beside the initial ones (mean 0, variance 1)."""
        return jnp.asarray(a + rng.uniform(-0.2, 0.2, a.shape), a.dtype)

    def of_subnetwork(k: int) -> Any:
        rng = np.random.default_rng((seed, k))
        return {name: jax.tree.map(partial(near, rng), tree) if name == "batch_stats" else tree
                for name, tree in shapes.items()}

    return [of_subnetwork(k) for k in range(len(FRACTIONS))]


def measure(network: Network, dtype: str, options: Options, folder: Path) -> dict[str, Any]:
    """Export, run on the boards, and compare the sizes."""
    trees = random_variables(network, options.seed)
    rng = np.random.default_rng(options.seed)
    batch = rng.normal(size=(16, *network.shape)).astype(np.float32)
    graph = trace(network.model, trees[0], jnp.asarray(batch))
    widths = [graph.widths(f) for f in FRACTIONS]
    exported = export(network.model, trees, graph, widths, folder / "nested", dtype,  # type: ignore[arg-type]
                          calibration=[batch], rule="minmax")
    found: dict[str, Any] = {"network": network.name, "dtype": dtype, "facts": exported.facts, "boards": {}}
    for board in options.boards:
        try:
            found["boards"][board] = device.run(exported.folder, board)
        except device.DoesNotFitError as error:
            found["boards"][board] = error.what
    if options.separate:
        found["separate"] = []
        for k, w in enumerate(widths):
            small, variables = extract(network.model, trees[k], graph, w)
            alone = trace(small, variables, jnp.asarray(batch))
            export(small, variables, alone, [alone.full_widths], folder / f"alone_{k}", dtype,  # type: ignore[arg-type]
                       calibration=[batch], rule="minmax")
            try:
                found["separate"].append(device.run(folder / f"alone_{k}", "m4"))
            except device.DoesNotFitError:
                found["separate"].append(None)
    return found


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """The table of instructions."""
    subs, lines = found["facts"]["subnetworks"], []
    for board, run in found["boards"].items():
        name = device.BOARDS[board].name
        references = REFERENCES.get((found["network"], found["dtype"], board), (None,) * len(FRACTIONS))
        what = f"{found['network']} {found['dtype']}"
        if isinstance(run, str):
            lines.append([what, name, "any", "-", run, *["-"] * 5])
            continue
        for k, s in enumerate(run.subnetworks):
            lines.append([what, name, f"{100 * FRACTIONS[k]:.0f} %", f"{s.macs:,}", f"{s.invoke:,}", f"{s.invoke / s.macs:.2f}",
                          f"{references[k]:,}" if references[k] else "-", str(s.adapt), str(s.adapt_to_budget),
                          f"{subs[k]['arena_bytes']:,}"])
        if run.left_out:
            lines.append([what, name, "larger", "-", run.left_out.rstrip("."), *["-"] * 5])
    return lines


def sizes(found: Mapping[str, Any]) -> list[str] | None:
    """Flash of one nested network, of one network a subnetwork, and of the full one with masks (Cortex-M4F)."""
    nested, alone = found["boards"].get("m4"), found.get("separate")
    if not isinstance(nested, device.Run) or not alone or None in alone:
        return None
    facts, code = found["facts"], nested.sections["text"]
    constants = facts["weight_bytes"] + facts["table_bytes"]
    separate = sum(r.sections["rodata"] for r in alone) - sum(_examples(found, alone=True) for _ in alone)
    full = alone[-1].sections["rodata"] - _examples(found, alone=True)
    weights = facts["weight_bytes"] // (1 if found["dtype"] == "int8" else 4)
    masks = (len(FRACTIONS) - 1) * -(-weights // 8)
    return [f"{found['network']} {found['dtype']}", f"{code:,}", f"{facts['weight_bytes']:,}", f"{facts['table_bytes']:,}",
            f"{nested.sections['rodata'] - _examples(found):,}", f"{separate:,}", f"{full + masks:,}",
            f"{nested.sections['data'] + nested.sections['bss']:,}", f"{constants / facts['weight_bytes']:.2f}"]


def _examples(found: Mapping[str, Any], *, alone: bool = False) -> int:
    """Bytes of the recorded examples in the image, which are no part of a network."""
    facts, size = found["facts"], 1 if found["dtype"] == "int8" else 4
    return 4 * size * (facts["input_items"] + facts["output_items"] * (1 if alone else len(FRACTIONS)))


def main(options: Options, command: str) -> None:
    """Measure and print; write the record where one is wanted."""
    records, lines, flash = [], [], []
    for network in networks():
        if options.only and network.name not in options.only:
            continue
        for dtype in network.formats:
            with tempfile.TemporaryDirectory(prefix="reds_jax_") as folder:
                found = measure(network, dtype, options, Path(folder))
            records.append(found)
            lines += rows(found)
            flash += [line] if (line := sizes(found)) else []
            print(f"{network.name} {dtype} done", file=sys.stderr)
    adapt = max((int(line[7]) for line in lines if line[7].isdigit()), default=0)
    text = "\n\n".join([
        "Instructions in QEMU (not cycles); every answer equals the recorded one. Reference: for the MLP a first prototype, "
        "for DS-CNN S the convolutional layers in CMSIS-NN on dense tensors of that width.",
        _markdown(COLUMNS, lines),
        f"The paper's adaptation takes 38 us at 64 MHz, {device.PAPER_ADAPTATION:,} cycles. Here it takes at most {adapt} "
        f"instructions: {adapt / 64:.2f} us at 64 MHz, if every instruction took one cycle.",
        "Bytes on the Cortex-M4F: the nested network's code, weights, tables (scale and offset per channel and subnetwork) and "
        "all its constants; the constants of four separate networks, and of the full one with a bit per weight for each "
        "smaller subnetwork; RAM; and what folding per subnetwork makes of the weights, (weights + tables) / weights.",
        _markdown(FLASH, flash)])
    Console().print(text, highlight=False, soft_wrap=True, markup=False)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_text(options.output / "table.md", f"Command: `{command}`\n\n{text}\n")
        write_text(options.output / "results.json", report.to_json(
            {"command": command, "environment": report.environment(), "tools": device.versions(), "runs": records}))


def _markdown(columns: tuple[str, ...], body: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in ([*columns], ["---"] * len(columns), *body))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__), f"python benchmarks/device.py {shlex.join(sys.argv[1:])}".strip())
