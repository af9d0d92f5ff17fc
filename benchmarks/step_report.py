"""Records of `train_step.py` as tables, as a plot, and one against another; read by experiments/summary.py as well."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Record = Mapping[str, Any]
OURS = "ours"
RECORDED = Path(__file__).resolve().parents[1] / "experiments" / "step"


class Spread(NamedTuple):
    """The median and the quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{figures(self.median)} ({figures(self.low)} to {figures(self.high)})"


def figures(value: float) -> str:
    """Three significant figures, never an exponent.

    >>> figures(0.04567), figures(3.14159), figures(1234.5)
    ('0.0457', '3.14', '1234')
    """
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def spread(values: Sequence[float]) -> Spread:
    """The median and the quartiles of one value or more."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return Spread(median, low, high)


def times(record: Record, variant: str, clock: str = "wall_ms") -> Spread:
    """Milliseconds a step."""
    return spread(record["variants"][variant][clock])


def over_ours(record: Record, variant: str) -> Spread:
    """How many times as long a variant takes as this library, round by round."""
    ours, other = (record["variants"][name]["wall_ms"] for name in (OURS, variant))
    return spread([b / a for a, b in zip(ours, other, strict=True)])


def over_floor(record: Record, variant: str = OURS) -> float:
    """How many times as long as the floor."""
    return times(record, variant).median / record["floor"]["ms"]


def title(record: Record) -> str:
    cores = f"{record['cores']} core{'s' if record['cores'] > 1 else ''}"
    return f"{record['network']}, batch {record['batch']}, {len(record['fractions'])} subnetworks, {cores}"


def slug(network: str, subnetworks: int, cores: int) -> str:
    """The name of a record's file.

    >>> slug("a user's ResNet", 4, 1)
    'a_users_resnet_4_subnetworks_1_core'
    """
    return f"{file_name(network)}_{subnetworks}_subnetworks_{cores}_core{'s' if cores > 1 else ''}"


def file_name(network: str) -> str:
    """A network's name in that of a file.

    >>> file_name("MobileNetV1 0.25")
    'mobilenetv1_0_25'
    """
    return "".join(c if c.isalnum() else "_" for c in network.lower().replace("'", ""))


def table(record: Record) -> str:
    """What one network took, in Markdown: a row for every variant."""
    floor, rounds = record["floor"], len(next(iter(record["variants"].values()))["wall_ms"])
    widths = ", ".join(f"{f:.2f} ({s:.0%} of the MACs)" for f, s in zip(record["fractions"], record["mac_shares"], strict=True))
    lines = [f"{title(record)}; {rounds} rounds; uniform widths {widths}", "",
             "| variant | ms a step (quartiles) | processor ms | times ours, in one round | times the floor |",
             "|---|---:|---:|---:|---:|"]
    for name in record["variants"]:
        ratio = str(over_ours(record, name)) if OURS in record["variants"] else ""
        of_floor = "" if name.startswith("full") else figures(over_floor(record, name))  # the floor is of the nested step
        used = figures(times(record, name, "cpu_ms").median)
        lines.append(f"| {name} | {times(record, name)} | {used} | {ratio} | {of_floor} |")
    lines += [f"| {name} | {why} | | | |" for name, why in record["missing"].items()]
    lines += ["", f"Floor {figures(floor['ms'])} ms: {floor['macs']:,} MACs an example forwards, three times that in all, at "
              f"{figures(floor['gflops'])} GFLOP/s take {figures(floor['products_ms'])} ms; {floor['activation_bytes']:,} "
              f"bytes of activations an example, {floor['passes']} times, take {figures(floor['activations_ms'])} ms at "
              f"{figures(floor['gigabytes_per_second'])} GB/s."]
    return "\n".join(lines)


def read(folder: Path) -> list[dict[str, Any]]:
    """The records in a folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*_subnetworks*.json"))]


PEERS = ("ours, no kernel", "torch, shared", "torch", "torch, compiled", "flax, lax.conv")


def summary(records: Sequence[Record], link: str) -> str:
    """The records of one commit, in Markdown: this library's step, how many times as long its peers take, and the floor.

    ``link`` is the file that the commit leads to.
    """
    about = records[0]["machine"]
    given = "".join(f", {name}={value}" for name, value in about["environment"].items())
    lines = [f"Commit [{about['commit']}]({link}), {about['date']}, {about['machine']}; jax {about['versions']['jax']}, "
             f"torch {about['torch']}; form {about['form']}{given}. Medians; ratios in one round, with quartiles.", "",
             f"| network, batch | subnetworks | cores | ours, ms | times ours: {' | '.join(PEERS)} | ours, times the floor |",
             "|---|---:|---:|---:|" + "---:|" * (len(PEERS) + 1)]
    for record in sorted(records, key=lambda r: (len(r["fractions"]), r["network"].lower(), r["cores"])):
        peers = [str(over_ours(record, p)) if p in record["variants"] else record["missing"].get(p, "") for p in PEERS]
        lines.append(f"| {record['network']}, {record['batch']} | {len(record['fractions'])} | {record['cores']} "
                     f"| {figures(times(record, OURS).median)} | {' | '.join(peers)} | {figures(over_floor(record))} |")
    return "\n".join(lines)


class Comparison(NamedTuple):
    """A network in two records: ``ratio`` is new over old, ``peak`` that of what the machine multiplies in a second."""

    title: str
    ratio: Spread
    peak: float

    def __str__(self) -> str:
        return f"{self.title}: new / old {self.ratio}; the machine multiplies {figures(self.peak)} times as fast"


def compare(new: Record, old: Record) -> Comparison:
    """This library's step in two records: the ratio of the medians, and the least and the most that their quartiles allow."""
    a, b = times(new, OURS), times(old, OURS)
    return Comparison(title(new), Spread(a.median / b.median, a.low / b.high, a.high / b.low),
                      new["floor"]["gflops"] / old["floor"]["gflops"])


def recorded(commit: str, name: str, folders: Sequence[Path]) -> dict[str, Any]:
    """The record ``name`` of a commit, in the first of the folders that has it.

    Raises:
        FileNotFoundError: none has it.
    """
    for folder in folders:
        for path in sorted(folder.glob(f"{commit}*/{name}.json")):
            return json.loads(path.read_text(encoding="utf-8"))
    raise FileNotFoundError(f"no record {name} of commit {commit} in {', '.join(map(str, folders))}")


def plot(path: Path, records: Sequence[Record]) -> None:
    """What every variant takes in units of this library's step, with quartiles, on a logarithmic axis; a line at the floor."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(2, len(records))
    rows = -(-len(records) // columns)
    figure = Figure(figsize=(6 * columns, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for i, record in enumerate(records):
        axes = figure.add_subplot(rows, columns, i + 1)
        names = [name for name in record["variants"] if not name.startswith("full")]
        ratios = [over_ours(record, name) for name in names]
        errors = [[r.median - r.low for r in ratios], [r.high - r.median for r in ratios]]
        axes.errorbar([r.median for r in ratios], range(len(names)), xerr=errors, fmt="o", markersize=4, capsize=2)
        for y, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
            axes.annotate(f"{figures(times(record, name).median)} ms", (ratio.median, y), (0, 5), fontsize=7, ha="center",
                          textcoords="offset points")
        axes.axvline(1 / over_floor(record), color="C3", linewidth=1, label="floor")
        axes.axvline(1, color="0.8", linewidth=1, zorder=0)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_yticks(range(len(names)), names)
        axes.margins(x=0.1, y=0.2)
        axes.invert_yaxis()
        axes.set_title(title(record), fontsize=9, parse_math=False)
        axes.set_xlabel("times this library's nested step", fontsize=8)
        axes.tick_params(labelsize=8)
        axes.legend(frameon=False, fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", dpi=150)
