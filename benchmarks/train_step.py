"""How long a nested training step takes, beside its peers and its floor: ``python benchmarks/train_step.py --help``.

For every network the step over four nested subnetworks (uniform widths with at most 100, 75, 50 and 25 % of the MACs; loss and
gradient of each, one Adam step) by this library as `fit` runs it, in a compiled loop over steps; by plain JAX with `lax.conv`,
a call for each step; in PyTorch. All start from the same parameters and batches, and the same first loss is asserted. They run
in turn, round after round, warm; what counts are the ratios of one round. What compiles for long, and another checkout, runs in
a process of its own, in the same turns.

    python benchmarks/train_step.py --networks "DS-CNN S" --cores 1 --results runs/step
    python benchmarks/train_step.py --compare COMMIT --fail-above 1.05      # against a record of that commit
    git worktree add ../before COMMIT && python benchmarks/train_step.py --against ../before --variants ours
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import step_report
from step_networks import CASES, Case
from step_variants import APART, OURS, VARIANTS, Apart, Job, cores, ready, timed

from reds_jax.run import run_nested
from reds_jax.run.partial_sums import WORTH
from reds_jax.testing import counting

PASSES = 5  # an activation is written and read once forwards, read once backwards; its gradient is written and read once


def rates() -> dict[str, float]:
    """The peak of this machine: float32 products, and the bytes that copies of 4 MiB read and write, one on each core."""
    a = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(jnp.matmul)
    sources = [np.ones(2**20, np.float32) for _ in range(cores())]
    copies = [np.empty_like(source) for source in sources]

    def copy(k: int) -> None:
        for _ in range(50):
            np.copyto(copies[k], sources[k])

    def best(call: Callable[[], Any]) -> float:
        seconds = []
        for _ in range(8):
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    with ThreadPoolExecutor(cores()) as pool:
        moving = best(lambda: list(pool.map(copy, range(cores()))))
    multiplying = best(lambda: product(a, a).block_until_ready())
    return {"gflops": 2 * 2048**3 / multiplying / 1e9, "gigabytes_per_second": 2 * 4 * 2**20 * 50 * cores() / moving / 1e9}


def floor(job: Job, rate: dict[str, float]) -> dict[str, Any]:
    """What the step cannot beat: its products at the peak, then its activations at the rate of copies.

    The MACs and the outputs of all convolutions and matrix products are counted in the program of the nested step, so what
    subnetworks share counts once; ``3 macs`` for forwards and backwards.
    """
    macs, moved = counted(program_of(job))
    if jax.default_backend() == "cpu":  # its forms multiply less, by partial sums; counted before they are lowered
        with patch.dict(WORTH, lax=WORTH["dot"]):
            macs, _ = counted(program_of(job))
    batch = job.labels.shape[1]
    products = 1e3 * 3 * 2 * macs * batch / (1e9 * rate["gflops"])
    activations = 1e3 * PASSES * moved * batch / (1e9 * rate["gigabytes_per_second"])
    return {"macs": macs, "activation_bytes": moved, "passes": PASSES, **rate, "products_ms": products,
            "activations_ms": activations, "ms": products + activations}


def program_of(job: Job) -> counting.Straight:
    """The program of the nested step forwards, for one example."""
    return counting.straight(partial(outputs, job), job.variables, job.images[0])


def counted(program: counting.Straight) -> tuple[int, int]:
    """MACs, and the bytes of the results of all convolutions and matrix products."""
    products = [e for e in program.equations if e.name in ("dot_general", "conv_general_dilated")]
    return counting.macs(program), sum(program.bytes_of[e.outputs[0]] for e in products)


def outputs(job: Job, variables: Any, x: jax.Array) -> list[jax.Array]:
    """Of all subnetworks in training, what they share computed once."""
    statistics = [variables.get("batch_stats", {})] * len(job.fractions)
    results = run_nested(job.case.model, variables["params"], statistics, x, job.fractions, train=True)
    return [z for z, _ in results]


def measure(
    variants: dict[str, Callable[[], tuple[float, float]]], rounds: int, seconds: float
) -> dict[str, tuple[list[float], list[float]]]:
    """Milliseconds a step of every variant by both clocks, a list over the rounds, which run forwards and backwards in turn.

    Stops after ``seconds``, with at least 3 rounds, or as many as are asked for.
    """
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in variants}
    begin = time.perf_counter()
    for i in range(rounds):
        for name in list(variants)[:: -1 if i % 2 else 1]:
            for values, value in zip(found[name], variants[name](), strict=True):
                values.append(value)
        if i >= 2 and time.perf_counter() - begin > seconds:
            break
    return found


def measured(name: str, case: Case, options: argparse.Namespace, rate: dict[str, float]) -> dict[str, Any]:
    """All variants of a network, built and timed: its record, but for the machine."""
    job = Job.of(case, options.subnetworks, options.seed)
    order = {"network": name, "batch": case.batch, "steps": case.steps, "seed": options.seed, "fractions": job.fractions}
    found: dict[str, Any] = {}
    missing: dict[str, str] = {}
    calls: dict[str, Callable[[], tuple[float, float]]] = {}
    ways: list[tuple[str, str, Path | None]] = [(variant, variant, None) for variant in options.variants]
    if options.against is not None:
        ways.append((f"ours at {commit_of(options.against)}", OURS, options.against))
    try:
        for way, variant, checkout in ways:
            if "torch" in variant and find_spec("torch") is None:
                missing[way] = "PyTorch is not installed"
                continue
            begin = time.perf_counter()
            if checkout is None and variant not in APART:
                made, loss = ready(job, variant)
                calls[way] = partial(timed, made)
            else:
                try:
                    calls[way] = apart = Apart({**order, "variant": variant}, options.build_limit, checkout)
                except (TimeoutError, ChildProcessError) as error:
                    missing[way] = str(error)
                    continue
                loss = apart.first_loss
            seconds = time.perf_counter() - begin
            found[way] = {"first_loss": loss, "build_seconds": seconds}
            print(f"  {way}: built and run once in {seconds:.1f} s, first loss {loss:.5f}", flush=True)
        for full in (True, False):
            losses = {v: one["first_loss"] for v, one in found.items() if v.startswith("full") == full}
            if losses:
                np.testing.assert_allclose(list(losses.values()), next(iter(losses.values())), rtol=1e-3, err_msg=str(losses))
        for way, (wall, cpu) in measure(calls, options.rounds, options.seconds).items():
            found[way].update(wall_ms=wall, cpu_ms=cpu)
    finally:
        for call in calls.values():
            if isinstance(call, Apart):
                call.close()
    shares = [case.graph.macs(f) / case.graph.macs() for f in job.fractions]
    return {"network": name, "batch": case.batch, "steps": case.steps, "cores": cores(), "seed": options.seed,
            "load": os.getloadavg()[0], "fractions": job.fractions, "mac_shares": shares, "floor": floor(job, rate),
            "variants": found, "missing": missing}


def commit_of(checkout: Path) -> str:
    return subprocess.run(["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12"], check=True,
                          stdout=subprocess.PIPE, encoding="utf-8").stdout.strip()


def machine() -> dict[str, Any]:
    """Processor, versions, commit, form, load, and what the environment says of threads, processors' code and memory."""
    from reds_jax.report import environment

    told = {k: v for k, v in os.environ.items()
            if k.startswith(("MALLOC_", "OMP_", "MKL_", "ONEDNN_", "XLA_", "JAX_", "GLIBC_TUNABLES", "LD_PRELOAD"))}
    return {**environment(), "torch": version("torch") if find_spec("torch") else None, "threads": cores(),
            "load": os.getloadavg()[0], "environment": told, "date": time.strftime("%Y-%m-%d %H:%M")}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES), metavar="NETWORK", help=", ".join(CASES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="VARIANT",
                        help=", ".join(VARIANTS))
    parser.add_argument("--subnetworks", type=int, choices=(4, 10), default=4)
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--rounds", type=int, default=25, help="of every network, at most")
    parser.add_argument("--seconds", type=float, default=60, help="after which no round of a network begins, but the third")
    parser.add_argument("--build-limit", type=float, default=180, help="seconds for torch.compile, and for another checkout")
    parser.add_argument("--total", type=float, default=3600, help="seconds after which no network begins")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=Path("runs/step"), help="where records go, in the commit's folder")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="this library's step in another checkout, in turn")
    parser.add_argument("--compare", metavar="COMMIT", help="with the records of that commit, in --results or experiments/step")
    parser.add_argument("--fail-above", type=float, metavar="RATIO", help="exit with 1 if a network is slower than that")
    parser.add_argument("--smoke", action="store_true", help="do they agree: two networks, tiny batches, one round, no record")
    options = parser.parse_args(arguments)
    if options.against is not None and not (options.against / "src" / "reds_jax").is_dir():
        parser.error("--against names another checkout of this repository")
    if options.fail_above is not None and options.compare is None:
        parser.error("--fail-above needs --compare COMMIT")
    if options.compare is not None and OURS not in options.variants:
        parser.error(f"--compare needs the variant {OURS!r}")
    return options


def main() -> None:
    options, begin = parse(), time.monotonic()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    cases = {name: CASES[name] for name in options.networks}
    if options.smoke:
        cases = {name: replace(CASES[name], batch=4, steps=2) for name in ("DS-CNN S", "a user's ResNet")}
        options.rounds, options.variants = 1, [v for v in options.variants if v not in APART]
    files = {name: step_report.slug(name, options.subnetworks, cores()) for name in cases}
    folders = (options.results, step_report.RECORDED)
    before = {name: step_report.recorded(options.compare, files[name], folders) for name in cases} if options.compare else {}
    about, rate, records, slower = machine(), rates(), [], False
    folder = options.results / about["commit"]
    print(json.dumps(about, indent=2))
    for name, case in cases.items():
        if time.monotonic() - begin > options.total:
            print(f"\n{name}: not begun, {options.total:.0f} s are over")
            continue
        print(f"\n{name}", flush=True)
        record = {"command": shlex.join(["python", "benchmarks/train_step.py", *sys.argv[1:]]), "machine": about,
                  **measured(name, case, options, rate)}
        print(f"\n{step_report.table(record)}")
        if options.smoke:
            continue
        records.append(record)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{files[name]}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if options.compare:
            compared = step_report.compare(record, before[name])
            print(f"\n{compared}")
            slower = slower or (options.fail_above is not None and compared.ratio.median > options.fail_above)
    if records and OURS in options.variants:
        step_report.plot(folder / f"{step_report.slug('step', options.subnetworks, cores())}.png", records)
    print(f"\n{f'Records and plot: {folder}; ' if records else ''}{time.monotonic() - begin:.0f} s")
    if slower:
        sys.exit(1)


if __name__ == "__main__":
    main()
