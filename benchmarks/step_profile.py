"""What a nested training step spends its time on, by samples of the processor: needs `perf` (Debian: linux-perf).

    python benchmarks/step_profile.py --networks "MobileNetV1 0.25" --cores 1 --results runs/profile

The step runs in a process of its own; after it was compiled and has run once, `perf` notes where every thread is, with the
calls that led there, so many times a second of the processor. A sample belongs to the first line of `PARTS` that names one of
its calls. Shares of samples hardly depend on what else the machine does; milliseconds do: `train_step.py` measures those.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from step_networks import CASES
from step_report import file_name
from step_variants import OURS, Job, ready
from train_step import machine

ALLOCATOR = ("_int_malloc", "_int_free", "malloc", "free", "cfree", "_int_memalign", "unlink_chunk", "malloc_consolidate")
PRODUCTS = ("YnnFusionThunk", "DotThunk", "ConvolutionThunk")
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("between products: forwards", ("segment_forward",)),
    ("between products: backwards", ("segment_backward",)),
    ("convolutions", ("conv_", "namespace)::Inputs<", "namespace)::Kernel<", "namespace)::run<")),
    ("copies", ("CopyThunk",)),
    ("compiled loops", ("KernelThunk", "[unknown]")),
    ("the system", ("[kernel",)),
)
"""{part: in the name of a function, or of what holds it}. What XLA compiles itself has no name: "[unknown]"."""
INNER = ("dot_fp32", "dot_", "gebp", "gemm_kernel", "sgemm", "TensorContractionKernel")
"""Functions that multiply, among those of a matrix product; the others of it pack operands and divide the work."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=["DNN L", "DS-CNN S", "MobileNetV1 0.25"],
                        metavar="NETWORK", help=", ".join(CASES))
    parser.add_argument("--subnetworks", type=int, default=4)
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--seconds", type=float, default=10, help="of samples")
    parser.add_argument("--rate", type=int, default=199, help="samples in a second of the processor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("runs/profile"), help="folder of the records")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def serve(options: argparse.Namespace) -> None:
    """Run the steps of one network until the process is ended; says when it is ready."""
    made, _ = ready(Job.of(CASES[options.networks[0]], options.subnetworks, options.seed), OURS)
    print("ready", flush=True)
    while True:
        made.run()


def stacks(text: str) -> Iterable[list[str]]:
    """The samples in what `perf script` prints: the names of the functions, the innermost first.

    >>> list(stacks("tf_XLAEigen \\n   12 inner\\n   34 outer(int) (a b)\\n\\npython \\n   7f [unknown]\\n"))
    [['inner', 'outer(int) (a b)'], ['[unknown]']]
    """
    for sample in text.split("\n\n"):
        calls = [line.split(None, 1)[1] for line in sample.splitlines()[1:] if len(line.split(None, 1)) == 2]
        if calls:
            yield calls


def part_of(calls: Sequence[str]) -> str:
    """The part that a sample belongs to.

    >>> part_of(["_int_malloc", "operator new", "xla::cpu::DotThunk::Execute"]), part_of(["[unknown]"])
    ('allocation', 'compiled loops')
    >>> part_of(["ynn::dot_fp32", "xla::cpu::DotThunk::Execute"]), part_of(["ynn::copy", "xla::cpu::YnnFusionThunk::Execute"])
    ('products', 'around products')
    """
    if calls[0].split("@")[0].split(".")[0] in ALLOCATOR:
        return "allocation"
    for name, marks in PARTS[:3]:
        if any(mark in call for call in calls for mark in marks):
            return name
    if any(mark in call for call in calls for mark in PRODUCTS):
        return "products" if any(mark in calls[0] for mark in INNER) else "around products"
    return next((name for name, marks in PARTS[3:] if any(mark in call for call in calls for mark in marks)), "the rest")


def profiled(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """Samples of each part."""
    order = [sys.executable, __file__, "--serve", "--networks", network, "--subnetworks", str(options.subnetworks),
             "--seed", str(options.seed), *(["--cores", str(options.cores)] if options.cores else [])]
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen(order, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise ChildProcessError(f"{network}: the process with the steps ended; its message is above")
            data = f"{folder}/samples"
            subprocess.run(["perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(options.rate), "--call-graph",
                            "dwarf,16384", "--pid", str(process.pid), "--output", data, "--", "sleep", str(options.seconds)],
                           check=True)
        finally:
            process.terminate()
        printed = subprocess.run(["perf", "script", "--input", data, "--no-inline", "--fields", "comm,ip,sym"], check=True,
                                 stdout=subprocess.PIPE, text=True, encoding="utf-8").stdout
    return dict(Counter(part_of(calls) for calls in stacks(printed)).most_common())


def table(records: Sequence[Mapping[str, Any]]) -> str:
    """The shares, in percent, a row for every network, in Markdown.

    >>> print(table([{"network": "a", "cores": 1, "samples": {"products": 3, "the rest": 1}}]))
    | network | cores | samples | products | the rest |
    |---|---:|---:|---:|---:|
    | a | 1 | 4 | 75 | 25 |
    """
    parts = list(dict.fromkeys(part for record in records for part in record["samples"]))
    lines = [f"| network | cores | samples | {' | '.join(parts)} |", f"|---|{'---:|' * (len(parts) + 2)}"]
    for record in records:
        total = sum(record["samples"].values())
        shares = (f"{100 * record['samples'].get(part, 0) / total:.0f}" for part in parts)
        lines.append(f"| {record['network']} | {record['cores']} | {total} | {' | '.join(shares)} |")
    return "\n".join(lines)


def summary(folder: Path) -> str:
    """The records in a folder, in Markdown."""
    paths = sorted(folder.glob("*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    if not records:
        return "Not recorded yet."
    about = records[0]["machine"]
    commit = f"[{about['commit']}]({folder.name}/{paths[0].name})"
    return (f"`{records[0]['command']}` at commit {commit}, {about['date']}, {about['machine']}; jax "
            f"{about['versions']['jax']}; form {about['form']}. Percent of the samples:\n\n{table(records)}")


def main() -> None:
    options, begin = parse(), time.monotonic()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.serve:
        serve(options)
    about, records = machine(), []
    for network in options.networks:
        record = {"command": shlex.join(["python", "benchmarks/step_profile.py", *sys.argv[1:]]), "machine": about,
                  "network": network, "subnetworks": options.subnetworks, "cores": len(os.sched_getaffinity(0)),
                  "samples": profiled(network, options)}
        records.append(record)
        options.results.mkdir(parents=True, exist_ok=True)
        name = f"{file_name(network)}_{record['cores']}.json"
        (options.results / name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(f"\n{table(records)}", flush=True)
    print(f"\nRecords: {options.results}; {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
