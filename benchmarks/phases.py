"""What surrounds training: how long each stage takes, what a nested step holds in memory, what `make vww` compiles.

    python benchmarks/phases.py stages --networks "MobileNetV1 1.0" --cores 1 --rounds 3
    python benchmarks/phases.py memory --networks "MobileNetV1 0.25" --cores 1
    python benchmarks/phases.py vww --cores 1
    python benchmarks/phases.py smoke        # all but vww, on tiny networks: is all there; no record

**stages**: in a process of its own, without programs that an earlier process compiled, each stage is called twice; what the
first call takes more is compiling, imports and what is remembered. **memory**: one Adam step of four nested subnetworks in
one process, against four networks of the same widths in another, each with its own weights, optimizer and step. A process
that has only the library and the data is subtracted. **vww**: a clone, `make install`, and `reds vww` without and with the
programs that an earlier run compiled.

The seconds of the processor are the measure where a machine is shared; those of the clock are recorded beside them.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import phases_report
from compile_clock import CompileClock, Part, longest, totals
from step_networks import CASES, LARGE, Case, ResNet18
from step_report import file_name
from step_variants import RATE, cores
from train_step import machine

from reds_jax import Subnetworks, adapt, extract, importance, trace
from reds_jax.choice import choose_widths
from reds_jax.deploy import export
from reds_jax.errors import RedsError
from reds_jax.lowering import lowering
from reds_jax.pipeline import sort
from reds_jax.run.bypass import bypass_shares
from reds_jax.training import TrainState, make_train_step, recalibrate

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = {**LARGE, "MobileNetV1 0.25": CASES["MobileNetV1 0.25"]}
TINY = {"a tiny ResNet": Case(partial(ResNet18, 10, 32, (1,)), (16, 16, 3), 10, 2, 1)}
BUDGETS, MULTIPLE, BATCHES = (0.25, 0.5, 0.75, 1.0), 8, 4
WAYS = ("alone", "nested", "separate", "separate, lax.conv")


def case_of(order: dict[str, Any]) -> Case:
    case = (TINY if order["tiny"] else NETWORKS)[order["network"]]
    return case if order.get("batch") is None else replace(case, batch=order["batch"])


class Watch:
    """Times calls by the clock and of the processor, with what JAX compiles meanwhile."""

    def __init__(self, clock: CompileClock) -> None:
        self.clock, self.stages = clock, []

    def __call__(self, stage: str, call: Callable[[], Any], *, refused: bool = False) -> Any:
        """What the second call returns. With ``refused`` an error of the library is recorded, and None returned."""
        record: dict[str, Any] = {"stage": stage, "calls": []}
        self.stages.append(record)
        result = None
        for _ in range(2):
            seen, wall, processor = len(self.clock.parts), time.perf_counter(), time.process_time()
            try:
                result = jax.block_until_ready(call())
            except RedsError as error:
                if not refused:
                    raise
                record["error"] = f"{type(error).__name__}: {error}"
                break
            seconds, used = time.perf_counter() - wall, time.process_time() - processor
            record["calls"].append({"seconds": seconds, "processor_seconds": used, "jax": totals(self.clock.parts[seen:])})
        took = ", ".join(f"{one['processor_seconds']:.2f} s" for one in record["calls"])
        print(f"  {stage}: {took}{record.get('error', '')}", file=sys.stderr, flush=True)
        return result


def stages(order: dict[str, Any]) -> dict[str, Any]:
    """Be the process in which the stages run: the seconds of each, and what JAX compiled for longest."""
    case, key = case_of(order), jax.random.key(order["seed"])
    images, labels = replace(case, steps=BATCHES).examples(order["seed"])
    model, x = case.model, np.zeros((1, *case.image), np.float32)
    options = Subnetworks(budgets=BUDGETS, step=MULTIPLE)
    clock = CompileClock()
    with clock.listen(), tempfile.TemporaryDirectory() as folder:
        watch = Watch(clock)
        init = jax.jit(model.init)
        variables = watch("init", lambda: init(key, x))
        graph = watch("trace", lambda: trace(model, variables, x))
        scores = watch("scores", lambda: importance.score("explained", model, variables, graph, [(images[0], None)]))
        watch("scores, Taylor", lambda: importance.score("taylor", model, variables, graph, [(images[0], labels[0])]))
        variables, scores = watch("sort", lambda: sort(variables, graph, scores))
        bypass = watch("bypass", lambda: bypass_shares(*adapt(model, variables), [images[0]]))
        choice = watch("widths", lambda: choose_widths(graph, scores, options, bypass=bypass))
        widths = [graph.widths(w) for w in choice.widths]
        each = watch("statistics", lambda: recalibrate(model, variables, widths, images.reshape(-1, *case.image), key=key,
                                                       batch_size=case.batch))
        trees = [{**variables, "batch_stats": statistics} for statistics in each]
        for dtype in ("float32", "int8"):
            watch(f"export, {dtype}", partial(export, model, trees, graph, widths, Path(folder) / dtype, dtype,
                                              calibration=[images[0]]), refused=True)
        written = {path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
                   for path in Path(folder).iterdir()}
    return {"batch": case.batch, "image": case.image, "batches": BATCHES, "macs": [graph.macs(w) for w in widths],
            "whole_macs": graph.macs(), "parameters": graph.param_count(), "proven_optimal": choice.solution.proven_optimal,
            "exported_bytes": written, "stages": watch.stages, "longest": longest(clock.parts, 10)}


def memory(order: dict[str, Any]) -> dict[str, Any]:
    """Be a process that takes one Adam step in one of the `WAYS`: its bytes, its losses and its compilation.

    Everything of a way is compiled, then taken once. The networks of ``separate`` take their steps one after the other, so that
    the temporary results of one are there at a time.
    """
    case, way = case_of(order), order["way"]
    images, labels = (jnp.asarray(a[0]) for a in replace(case, steps=1).examples(order["seed"]))
    rows, optimizer, key = jnp.arange(case.batch, dtype=jnp.int32)[None], optax.adam(RATE), jax.random.key(order["seed"])
    variables = jax.tree.map(np.asarray, case.variables(order["seed"]))  # NumPy cuts them without a program for each array
    fractions = case.fractions(len(BUDGETS))
    if way == "nested":
        networks = [(case.model, variables, fractions)]
    else:
        networks = [(*extract(case.model, variables, case.graph, f), [1.0]) for f in fractions] if way != "alone" else []
    del variables
    states = [TrainState.create(own, optimizer, len(widths), key) for _, own, widths in networks]
    steps = [make_train_step(model, optimizer, widths) for model, _, widths in networks]
    del networks
    give_back()
    clock, found = CompileClock(), {"resident_bytes": process_bytes("VmRSS")}
    with clock.listen(), lowering("lax" if way.endswith("lax.conv") else "auto"):
        programs = [jax.jit(step).lower(state, images, labels, rows).compile()
                    for step, state in zip(steps, states, strict=True)]
        found |= {"compiled_peak_bytes": process_bytes("VmHWM"), "jax": totals(clock.parts), "losses": [], "programs": []}
        give_back()
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins anew
        for i, program in enumerate(programs):
            states[i], metrics = jax.block_until_ready(program(states[i], images, labels, rows))
            found["losses"] += [float(loss) for loss in metrics["loss"]]
            about = program.memory_analysis()
            found["programs"].append({
                "argument_bytes": about.argument_size_in_bytes, "output_bytes": about.output_size_in_bytes,
                "temporary_bytes": about.temp_size_in_bytes, "code_bytes": about.generated_code_size_in_bytes})
    return {**found, "peak_bytes": process_bytes("VmHWM"), "batch": case.batch, "image": case.image, "fractions": fractions}


def give_back() -> None:
    """Give the system what was freed, such as the memory of the compiler, so that it does not count as memory of a step."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # glibc
        libc.malloc_trim(0)


def process_bytes(name: str) -> int:
    """Resident now (VmRSS) or at most (VmHWM) of this process, as Linux says it; proc(5)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def apart(part: str, order: dict[str, Any]) -> dict[str, Any]:
    """What a part finds in a process of its own, which keeps no compiled programs and reads none."""
    done = subprocess.run([sys.executable, __file__, "serve", part, json.dumps(order)], stdout=subprocess.PIPE, check=True,
                          encoding="utf-8", env={**os.environ, "REDS_KEEP_COMPILED": "0", "JAX_ENABLE_COMPILATION_CACHE": "0"})
    return json.loads(done.stdout)


def measured(network: str, options: argparse.Namespace) -> dict[str, Any]:
    """One network: the stages over all rounds, or the memory of all ways."""
    order = {"network": network, "seed": options.seed, "tiny": options.tiny, "batch": options.batch}
    if options.part == "stages":
        return {"rounds": [apart("stages", order) for _ in range(options.rounds)]}
    chosen = [way for way in WAYS if way in options.ways or way == "alone"]
    ways = {way: [apart("memory", {**order, "way": way}) for _ in range(options.rounds)] for way in chosen}
    for way in chosen[1:] if "nested" in ways else ():  # the same networks and batch
        np.testing.assert_allclose(ways[way][0]["losses"], ways["nested"][0]["losses"], rtol=1e-3, err_msg=way)
    return {"ways": ways}


def vww(options: argparse.Namespace) -> dict[str, Any]:
    """`make vww` in a fresh clone: installing, then the run without and with the programs that the first one compiled."""
    arguments = ["vww", *options.arguments]
    with tempfile.TemporaryDirectory() as folder:
        checkout, found = Path(folder) / "checkout", {"arguments": arguments, "install": None, "runs": []}
        python = Path(options.python or checkout / ".venv" / "bin" / "python")
        if options.python is None:
            subprocess.run(["git", "clone", "--quiet", str(ROOT), str(checkout)], check=True)
            before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(["make", "install"], cwd=checkout, check=True, stdout=sys.stderr)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            found["install"] = {"seconds": time.perf_counter() - begin, "processor_seconds":
                                after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}
        for i in range(2):
            parts = Path(folder) / "parts.json"
            subprocess.run([str(python), str(ROOT / "benchmarks" / "compile_clock.py"), str(parts), *arguments, "--output",
                            f"{folder}/run_{i}"], check=True, stdout=sys.stderr,
                           env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"})
            one = json.loads(parts.read_text(encoding="utf-8"))
            of_jax = [Part(**part) for part in one.pop("parts")]
            found["runs"].append({**one, "jax": totals(of_jax), "longest": longest(of_jax, 10)})
        return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("stages", "memory", "vww", "smoke", "serve"), metavar="{stages,memory,vww,smoke}")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, metavar="NETWORK", help=", ".join(NETWORKS),
                        default=list(LARGE))
    parser.add_argument("--ways", nargs="+", choices=WAYS[1:], default=list(WAYS[1:]), metavar="WAY",
                        help=f"of memory: {', '.join(WAYS[1:])}")
    parser.add_argument("--batch", type=int, help="examples; by default the network's own")
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", metavar="FILE", help="of vww: an interpreter that has the library, instead of installing")
    parser.add_argument("--results", type=Path, default=Path("runs/phases"), help="folder of the records")
    options, options.arguments = parser.parse_known_args(arguments)
    if options.arguments and options.part not in ("vww", "serve"):
        parser.error(f"unknown: {shlex.join(options.arguments)}; options of the experiment are for vww")
    options.tiny = False
    return options


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        answers, sys.stdout = sys.stdout, sys.stderr
        json.dump({"stages": stages, "memory": memory}[sys.argv[2]](json.loads(sys.argv[3])), answers)
        return
    options, begin = parse(), time.monotonic()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    if options.part == "smoke":
        smoke(options)
        return
    about = {"command": shlex.join(["python", "benchmarks/phases.py", *sys.argv[1:]]), "machine": machine(), "cores": cores()}
    print(json.dumps(about, indent=2), flush=True)
    for network in options.networks if options.part != "vww" else [""]:
        found = vww(options) if options.part == "vww" else {"network": network, **measured(network, options)}
        record = {"part": options.part, **about, **found, "load": os.getloadavg()[0]}
        print(f"\n{phases_report.table(record)}", flush=True)
        options.results.mkdir(parents=True, exist_ok=True)
        name = "_".join([options.part, *([file_name(network)] if network else [])])
        (options.results / f"{name}.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"\nRecords: {options.results}; {time.monotonic() - begin:.0f} s")


def smoke(options: argparse.Namespace) -> None:
    """All of stages and memory on a tiny network, and its tables; an error where something is missing."""
    options.tiny, options.rounds, options.ways = True, 1, ["nested", "separate"]
    for options.part in ("stages", "memory"):
        for network in TINY:
            print(f"\n{phases_report.table({'part': options.part, 'network': network, **measured(network, options)})}")


if __name__ == "__main__":
    main()
