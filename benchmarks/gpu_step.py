"""The nested training step on a GPU, beside PyTorch and the ceilings of the device: ``python benchmarks/gpu_step.py --help``.

Needs jax, flax, optax and numpy, with what they bring, and for the peers torch. For every network the step over four nested
subnetworks (`train_step.py`), in float32 (products in TF32, as JAX and PyTorch multiply on such a GPU) and with products in
bfloat16 (parameters and statistics in float32; PyTorch by autocast), by this library as `fit` runs it, by PyTorch eager,
channels last, with the shared stem computed once, and by ``torch.compile``. The variants of a network are compiled at once, in
processes of their own, and timed one at a time, in turn. What counts are milliseconds, and how much of them products at the
measured peak and activations at the measured bandwidth would take.

    PYTHONPATH=src python benchmarks/gpu_step.py --results runs/gpu
    PYTHONPATH=src python benchmarks/gpu_step.py --smoke            # on any device: do they agree?
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import step_report
from step_networks import ON_GPU, Case
from step_variants import IN_BFLOAT16, OURS, VARIANTS, Apart, Job
from train_step import floor, machine, measure

PEERS = ("torch, shared", "torch, compiled")
NAMES = (OURS, *PEERS, "full, ours")
AGREE = {"float32": 5e-3, "bfloat16": 3e-2}  # of the first losses: TF32 has 11 bits, bfloat16 8


def ceilings(size: int, megabytes: int) -> dict[str, float]:
    """The peak of the device: products of square matrices in both types, bytes that adding a number reads and writes."""

    def best(call: Any, *arguments: Any) -> float:
        call(*arguments).block_until_ready()
        seconds = []
        for _ in range(10):
            begin = time.perf_counter()
            call(*arguments).block_until_ready()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    found = {}
    for dtype in AGREE:
        a = jax.random.normal(jax.random.key(0), (size, size), jnp.float32).astype(dtype)
        found[f"{dtype}_gflops"] = 2 * size**3 / best(jax.jit(jnp.matmul), a, a) / 1e9
    x = jax.random.normal(jax.random.key(0), (megabytes * 2**18,), jnp.float32)
    return {**found, "gigabytes_per_second": 2 * x.nbytes / best(jax.jit(lambda x: x + 1), x) / 1e9}


def built(
    name: str, case: Case, options: argparse.Namespace, job: Job, limit: float
) -> tuple[dict[str, Apart], dict[str, str], dict[str, float]]:
    """The variants, compiled and run once within the limit; why others are not there; seconds of the building."""
    order = {"network": name, "batch": case.batch, "steps": case.steps, "seed": options.seed, "fractions": job.fractions}

    def one(variant: str) -> tuple[Apart | str, float]:
        begin = time.perf_counter()
        try:
            return Apart({**order, "variant": variant}, limit), time.perf_counter() - begin
        except (TimeoutError, ChildProcessError) as error:
            return str(error), time.perf_counter() - begin

    with ThreadPoolExecutor(len(options.variants)) as pool:
        answers = dict(zip(options.variants, pool.map(one, options.variants), strict=True))
    ready = {v: a for v, (a, _) in answers.items() if isinstance(a, Apart)}
    return ready, {v: a for v, (a, _) in answers.items() if isinstance(a, str)}, {v: s for v, (_, s) in answers.items()}


def dtype_of(variant: str) -> str:
    return "bfloat16" if variant.endswith("bfloat16") else "float32"


def agree(losses: dict[str, float]) -> None:
    """Raises if the variants of one type, of the nested network or of the full one, do not begin with the same loss."""
    for dtype, tolerance in AGREE.items():
        for full in (True, False):
            same = {v: x for v, x in losses.items() if v.startswith("full") == full and dtype_of(v) == dtype}
            if same:
                np.testing.assert_allclose(list(same.values()), next(iter(same.values())), rtol=tolerance, err_msg=str(same))


def measured(
    name: str, case: Case, options: argparse.Namespace, rate: dict[str, float], left: float
) -> dict[str, Any]:
    """All variants of a network, built and timed in the seconds that are left: its record, but for the machine."""
    job = Job.of(case, 4, options.seed)
    ready, missing, seconds = built(name, case, options, job, max(0.0, min(options.build_limit, left - options.seconds)))
    try:
        agree({v: a.first_loss for v, a in ready.items()})
        found = {v: {"first_loss": ready[v].first_loss, "build_seconds": seconds[v], "wall_ms": wall, "cpu_ms": cpu}
                 for v, (wall, cpu) in measure(dict(ready), options.rounds, options.seconds).items()}
    finally:
        for apart in ready.values():
            apart.close()
    bandwidth = {"gigabytes_per_second": rate["gigabytes_per_second"]}
    floors = {dtype: floor(job, {**bandwidth, "gflops": rate[f"{dtype}_gflops"]}) for dtype in AGREE}
    shares = [case.graph.macs(f) / case.graph.macs() for f in job.fractions]
    return {"network": name, "batch": case.batch, "steps": case.steps, "seed": options.seed, "fractions": job.fractions,
            "mac_shares": shares, "floors": floors, "variants": found, "missing": missing}


def table(record: dict[str, Any]) -> str:
    """What one network took, in Markdown."""
    lines = [f"{record['network']}, batch {record['batch']}, MACs "
             + ", ".join(f"{s:.0%}" for s in record["mac_shares"]), "",
             "| variant | ms a step (quartiles) | times ours of this type, in one round | built, s | products | activations |",
             "|---|---:|---:|---:|---:|---:|"]
    for variant, one in record["variants"].items():
        time, dtype = step_report.spread(one["wall_ms"]), dtype_of(variant)
        ours, nested = OURS if dtype == "float32" else f"{OURS}, {dtype}", not variant.startswith("full")
        ratio, shares = "", ["", ""]
        if nested and ours in record["variants"]:
            ratio = str(over(record["variants"][ours]["wall_ms"], one["wall_ms"]))
        if nested:
            of = record["floors"][dtype]
            shares = [f"{of[f'{part}_ms'] / time.median:.0%}" for part in ("products", "activations")]
        lines.append(f"| {variant} | {time} | {ratio} | {one['build_seconds']:.0f} | {' | '.join(shares)} |")
    return "\n".join([*lines, *(f"| {variant} | {why} | | | | |" for variant, why in record["missing"].items())])


def summary(records: Sequence[dict[str, Any]], folder: str) -> str:
    """The records of one commit, in Markdown: a row for every network and type of its products that this library was timed in.

    *products* and *activations* are the shares of this library's step that its products take at the measured peak and its
    activations at the measured bandwidth (`train_step.floor`); *nested / full* is how many steps of the full network alone the
    nested step takes, in one round. ``folder`` is where their files are, seen from the page.
    """
    about, rates = records[0]["machine"], [r["ceilings"] for r in records]

    def rate(key: str, unit: float = 1) -> str:
        return " to ".join(f"{one(r[key] for r in rates) / unit:.0f}" for one in (min, max))

    products = ", ".join(f"{dtype} {rate(f'{dtype}_gflops', 1e3)}" for dtype in AGREE)
    lines = [f"{min(r['machine']['date'] for r in records)}, one {records[0]['device']}; jax {about['versions']['jax']}, "
             f"torch {about['torch']}. Measured in the same calls: products of square matrices, TFLOP/s: {products}; memory, "
             f"GB/s: {rate('gigabytes_per_second')}. Medians; ratios in one round, with quartiles.", "",
             f"| network, batch | products in | ours, ms | times ours: {' | '.join(PEERS)} | products | activations "
             "| nested / full |", "|---|---|---:|" + "---:|" * (len(PEERS) + 3)]
    for record in sorted(records, key=lambda r: r["network"].lower()):
        variants, missing = record["variants"], record["missing"]
        for dtype in AGREE:
            suffix = "" if dtype == "float32" else f", {dtype}"
            if OURS + suffix not in variants:
                continue
            ours, full = variants[OURS + suffix]["wall_ms"], variants.get(f"full, ours{suffix}")
            peers = [str(over(ours, variants[name]["wall_ms"])) if name in variants else missing.get(name, "not measured")
                     for name in (peer + suffix for peer in PEERS)]
            median = step_report.spread(ours).median
            shares = [f"{record['floors'][dtype][f'{part}_ms'] / median:.0%}" for part in ("products", "activations")]
            whole = str(over(full["wall_ms"], ours)) if full else "not measured"
            title = f"[{record['network']}, {record['batch']}]({folder}/{file_name(record['network'])})"
            lines.append(f"| {title} | {dtype} | {step_report.figures(median)} | "
                         f"{' | '.join([*peers, *shares, whole])} |")
    return "\n".join(lines)


def over(base: Sequence[float], other: Sequence[float]) -> step_report.Spread:
    """How many times as long as ``base``, round by round."""
    return step_report.spread([b / a for a, b in zip(base, other, strict=True)])


def file_name(network: str) -> str:
    return f"{step_report.slug(network, 4, 1).removesuffix('_1_core')}.json"


def parse() -> argparse.Namespace:
    choices = [*VARIANTS, *IN_BFLOAT16]
    default = [*NAMES, *(f"{name}, bfloat16" for name in NAMES)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=ON_GPU, default=list(ON_GPU)[:-1], metavar="NETWORK",
                        help=", ".join(ON_GPU))
    parser.add_argument("--variants", nargs="+", choices=choices, default=default, metavar="VARIANT", help=", ".join(choices))
    parser.add_argument("--rounds", type=int, default=15, help="of every network, at most")
    parser.add_argument("--seconds", type=float, default=15, help="after which no round of a network begins, but the third")
    parser.add_argument("--build-limit", type=float, default=240, help="seconds in which a variant must be compiled")
    parser.add_argument("--total", type=float, default=480, help="seconds of all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("runs/gpu"), help="where records go")
    parser.add_argument("--smoke", action="store_true", help="do they agree: small batches, one round, no record")
    return parser.parse_args()


def main() -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several processes share the device
    options, begin = parse(), time.monotonic()
    cases = {name: ON_GPU[name] for name in options.networks}
    if options.smoke:
        options.rounds, cases = 1, {name: replace(ON_GPU[name], batch=8, steps=2) for name in ("DS-CNN L", "ViT, small")}
    about, rate = machine(), ceilings(512, 16) if options.smoke else ceilings(8192, 2048)
    print(json.dumps({**about, "device": jax.devices()[0].device_kind, **rate}, indent=2), flush=True)
    for name, case in cases.items():
        left = options.total - (time.monotonic() - begin)
        if left < 2 * options.seconds:
            print(f"\n{name}: not begun, {left:.0f} of {options.total:.0f} s are left")
            continue
        record = {"command": shlex.join(["python", "benchmarks/gpu_step.py", *sys.argv[1:]]), "machine": about,
                  "device": jax.devices()[0].device_kind, "ceilings": rate, **measured(name, case, options, rate, left)}
        print(f"\n{table(record)}\n\n{time.monotonic() - begin:.0f} s", flush=True)
        if not options.smoke:
            options.results.mkdir(parents=True, exist_ok=True)
            file = options.results / file_name(name)
            file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
