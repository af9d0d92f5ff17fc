"""Records of `phases.py` as tables; read by experiments/summary.py as well."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from step_report import figures

Record = Mapping[str, Any]
MIB = 2**20


def stages(record: Record) -> str:
    """What one network's stages took, medians over the rounds: a row for every stage."""
    rounds = record["rounds"]
    lines = [f"{network(record, rounds[0])}; {rounds[0]['whole_macs'] / 1e6:,.0f} million MACs, "
             f"{rounds[0]['parameters'] / 1e6:.1f} million parameters; {count(len(rounds), 'process')}:", "",
             "| stage | first call, s | of it compiling, s | programs | second call, s | of it compiling, s |",
             "|---|---:|---:|---:|---:|---:|"]
    for i, stage in enumerate(rounds[0]["stages"]):
        same = [one["stages"][i] for one in rounds]
        cells = []
        for call in range(2):
            calls = [one["calls"][call] for one in same if len(one["calls"]) > call]
            if not calls:
                cells += [stage["error"] if call == 0 else "", *[""] * (2 - call)]
                continue
            cells += [figures(statistics.median(c["processor_seconds"] for c in calls)),
                      figures(statistics.median(c["jax"]["processor_seconds"] for c in calls))]
            cells += [str(calls[0]["jax"]["compiled"])] if call == 0 else []
        lines.append(f"| {stage['stage']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def memory(record: Record) -> str:
    """What one step takes in memory, medians over the rounds: a row for every way."""
    ways, mebibytes = record["ways"], lambda b: f"{b / MIB:,.0f}"
    alone = statistics.median(one["resident_bytes"] for one in ways["alone"])
    lines = [f"{network(record, ways['alone'][0])}; {count(len(ways['alone']), 'process')} of each kind; without the "
             f"{mebibytes(alone)} MiB of a process that has the library and the data:", "",
             "| one Adam step of four networks | weights and optimizer, MiB | peak in the step, MiB | peak with compiling, MiB "
             "| XLA: arguments, MiB | XLA: temporary, MiB | compiling, s |", "|---|---:|---:|---:|---:|---:|---:|"]
    for way, rounds in ways.items():
        if way == "alone":
            continue
        peaks = [statistics.median(one[name] for one in rounds) - alone
                 for name in ("resident_bytes", "peak_bytes", "compiled_peak_bytes")]
        programs = rounds[0]["programs"]
        peaks += [sum(p["argument_bytes"] for p in programs), max(p["temporary_bytes"] for p in programs)]
        seconds = figures(statistics.median(one["jax"]["processor_seconds"] for one in rounds))
        lines.append(f"| {way} | {' | '.join(map(mebibytes, peaks))} | {seconds} |")
    return "\n".join(lines)


def vww(record: Record) -> str:
    """The parts of `make vww`, and the functions that compile for longest."""
    runs = record["runs"]
    lines = ["| seconds of the processor | empty cache | filled cache |", "|---|---:|---:|"]
    if record["install"] is not None:
        lines.append(f"| make install | {figures(record['install']['processor_seconds'])} | |")
    parts = {
        "JAX traces, lowers and compiles": lambda run: run["jax"]["processor_seconds"],
        "the compiler of the C++ kernel, and git": lambda run: run["others_seconds"],
        "all else": lambda run: run["processor_seconds"] - run["jax"]["processor_seconds"],
    }
    lines += [f"| {name} | {' | '.join(figures(part(run)) for run in runs)} |" for name, part in parts.items()]
    programs = [f"{run['jax']['compiled']}, {run['jax']['read']}" for run in runs]
    lines += [f"| programs compiled, read | {' | '.join(programs)} |", "", "The longest compilations with an empty cache:", "",
              "| function | seconds of the processor | programs |", "|---|---:|---:|"]
    lines += [f"| `{f['name']}` | {figures(f['processor_seconds'])} | {f['compiled']} |" for f in runs[0]["longest"]]
    return "\n".join(lines)


def network(record: Record, one: Record) -> str:
    """Its name and inputs."""
    return f"{record['network']} at {' x '.join(map(str, one['image']))}, batch {one['batch']}"


def count(number: int, of: str) -> str:
    """
    >>> count(1, "process"), count(3, "process")
    ('one process', '3 processes')
    """
    return f"one {of}" if number == 1 else f"{number} {of}es"


def table(record: Record) -> str:
    """The table of a record, whatever part it is of."""
    return TABLES[record["part"]](record)


TABLES = {"stages": stages, "memory": memory, "vww": vww}


def summary(folder: Path) -> str:
    """The records in a folder, each with its command, its commit and its table, in Markdown."""
    found = []
    parts = list(TABLES)
    for path in sorted(folder.glob("*.json"), key=lambda path: (parts.index(path.stem.split("_")[0]), path)):
        record = json.loads(path.read_text(encoding="utf-8"))
        about = record["machine"]
        found += [f"`{record['command']}` at commit [{about['commit']}]({folder.name}/{path.name}), {about['date']}, "
                  f"{about['machine']}, of which {record['cores']} used, load {record['load']:.1f}; jax "
                  f"{about['versions']['jax']}; form {about['form']}.", "", table(record), ""]
    return "\n".join(found).rstrip() or "Not recorded yet."
