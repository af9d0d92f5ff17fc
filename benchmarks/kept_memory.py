"""What `reds_jax.keep_memory` gains and costs: ``python benchmarks/kept_memory.py --networks "DS-CNN S" --cores 1``.

The nested step of `train_step.py` in two processes, which differ in ``REDS_KEEP_MEMORY`` alone, in turn, round after round: the
clock, the processor's time (of the user and of the system), page faults, and the memory that is resident. With one step a
dispatch, as a training loop of one's own calls it, and with ten, as `fit` may do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from step_networks import CASES
from step_variants import Job, library

from reds_jax import keep_memory
from reds_jax.report import environment

FIGURES = ("ms", "processor ms", "of the system, ms", "page faults", "resident MiB", "at most MiB")


def resident() -> float:
    """MiB."""
    return int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize() / 2**20


def serve(network: str, steps: int) -> None:
    """Be one of the processes: a line in, the figures of ten steps out, by step."""
    state = keep_memory()
    case = replace(CASES[network], steps=steps)
    made = library(Job.of(case, 4, 0))
    made.run()
    print(json.dumps(state), flush=True)
    for _ in sys.stdin:
        before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(10 // steps):
            made.run()
        seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
        user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
        print(json.dumps([100 * seconds, 100 * (user + system), 100 * system, (after.ru_minflt - before.ru_minflt) / 10,
                          resident(), after.ru_maxrss / 1024]), flush=True)


def measure(network: str, steps: int, rounds: int) -> None:
    """Print the medians over the rounds, and the ratio within a round."""
    ways, found = {}, {"0": [], "1": []}
    for switch in found:
        ways[switch] = subprocess.Popen([sys.executable, __file__, "--serve", network, str(steps)], encoding="utf-8",
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env={**os.environ, "REDS_KEEP_MEMORY": switch})
    states = [json.loads(way.stdout.readline()) for way in ways.values()]
    for i in range(rounds):
        for switch in list(ways)[:: -1 if i % 2 else 1]:
            print("again", file=ways[switch].stdin, flush=True)
            found[switch].append(json.loads(ways[switch].stdout.readline()))
    for way in ways.values():
        way.communicate()
    given_back, kept = map(np.array, found.values())
    print(f"\n{network}, {steps} step(s) a dispatch; memory {' against '.join(states)}; {rounds} rounds; a step:\n")
    print(f"| | {' | '.join(FIGURES)} |\n|---|{'---:|' * len(FIGURES)}")
    for name, figures in (("given back", given_back), ("kept", kept)):
        print(f"| {name} | {' | '.join(f'{x:,.0f}' for x in np.median(figures, 0))} |")
    ratios = np.median(kept / np.maximum(given_back, 1e-9), 0)
    print(f"| ratio in one round | {' | '.join(f'{x:.2f}' if k != 2 else '' for k, x in enumerate(ratios))} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=["DS-CNN S"])
    parser.add_argument("--steps", nargs="+", type=int, choices=(1, 10), default=[1, 10], help="of a dispatch")
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    print(json.dumps(environment(), indent=2))
    for network in options.networks:
        for steps in options.steps:
            measure(network, steps, options.rounds)


if __name__ == "__main__":
    main()
