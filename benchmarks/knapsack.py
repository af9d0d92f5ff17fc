"""How long the exact width solver takes on the networks of the literature: ``python benchmarks/knapsack.py --help``.

Each row is an instance (network, width step, resources, kind of value) at several capacities and shapes of importance
scores, all seeded. A run solves a fresh problem, its graph included. The MACs at full width are asserted. Wall time is
what counts; CPU time is what to compare on a machine that others use too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from knapsack_shapes import SHAPES

from reds_jax.knapsack import Table, WidthProblem, allowed_widths, prefix_sum, solve, solve_nested

PERCENT = (10, 25, 50, 75)


@dataclass(frozen=True)
class Chain:
    """A chain of groups: units, coefficients of macs, of weight bytes (int8), and of the maps alive in each layer."""

    units: tuple[int, ...]
    pair_macs: tuple[int, ...]
    unit_macs: tuple[int, ...]
    pair_bytes: tuple[int, ...]
    unit_bytes: tuple[int, ...]
    before_map: tuple[int, ...]
    own_map: tuple[int, ...]
    macs: float
    tolerance: float = 0.0

    def full_macs(self) -> int:
        before = (1, *self.units[:-1])
        return sum(p * a * b + u * b for p, u, a, b in zip(self.pair_macs, self.unit_macs, before, self.units, strict=True))


def dnn(units: int, macs: int) -> Chain:
    return Chain((units,) * 3, (0, 1, 1), (250, 0, 12), (0, 1, 1), (254, 4, 16), (250, 1, 1), (1, 1, 1), macs)


def cnn(first: int, second: int, linear: int, macs: int) -> Chain:
    return Chain(
        (first, second, linear, 128), (0, 40 * 64, 64, 1), (40 * 280, 0, 0, 12), (0, 40, 64, 1), (44, 4, 4, 16),
        (490, 280, 64, 1), (280, 64, 1, 1), macs,
    )  # fmt: skip


def separable(units: Sequence[int], area: Sequence[int], first_kernel: int, input_map: int, classes: int, macs: float,
              tolerance: float = 0.0) -> Chain:  # fmt: skip
    """A convolution, then depthwise 3x3 + pointwise blocks; area[i] is the map of group i, the depthwise runs before."""
    last = len(units) - 1
    unit_macs = [9 * area[i + 1] if i < last else classes for i in range(len(units))]
    unit_macs[0] += first_kernel * area[0]
    unit_bytes = [13 + 4 if i < last else classes + 4 for i in range(len(units))]
    unit_bytes[0] += first_kernel
    return Chain(
        tuple(units), (0, *area[1:]), tuple(unit_macs), (0, *[1] * last), tuple(unit_bytes),
        (input_map, *area[1:]), tuple(area), macs, tolerance,
    )  # fmt: skip


def mobilenet(alpha: float, side: int, macs: float) -> Chain:
    units = [int(u * alpha) for u in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    area, now = [(side // 2) ** 2], side // 2
    for stride in (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        now = -(-now // stride)
        area.append(now * now)
    return separable(units, area, 27, 3 * side * side, 2, macs, tolerance=5e-4)


CHAINS = {
    "DNN S": dnn(144, 79_200),
    "DNN L": dnn(436, 494_424),
    "CNN S": cnn(28, 30, 16, 2_498_304),
    "CNN L": cnn(60, 76, 58, 12_636_672),
    "DS-CNN S": separable([64] * 5, [125] * 5, 40, 490, 12, 2_656_768),
    "DS-CNN L": separable([276] * 6, [250, *[65] * 5], 40, 490, 12, 28_327_812),
    "MobileNetV1 0.25@96": mobilenet(0.25, 96, 7.49e6),
    "MobileNetV1 1.0@96": mobilenet(1.0, 96, 104.3e6),
    "MobileNetV1 1.0@224": mobilenet(1.0, 224, 567.7e6),
}
RESNETS = {"ResNet-8": ((16, 32, 64), 1, 12_501_632), "ResNet-18@32": ((64, 128, 256, 512), 2, 555_422_720)}


def scores_of(units: Sequence[int], shape: str, seed: int, floats: bool) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, list(SHAPES).index(shape)])
    found = []
    for count in units:
        score = np.sort(SHAPES[shape](rng, count))[::-1]
        score = score / score.sum() * rng.lognormal(0, 0.5)
        found.append(score if floats else np.rint(score * 1e6).astype(np.int64))
    return found


def chain_problem(net: Chain, step: int, shape: str, seed: int, value: str, extra: int) -> WidthProblem:
    """``extra`` further resources: 1 weight bytes, 2 also the peak of the maps, 3 also a latency of random coefficients."""
    kernels = None
    scores = scores_of(net.units, shape, seed, floats=value == "log_retention")
    if value == "pair":
        rng = np.random.default_rng([seed, 99])
        kernels = [None]
        for before, score in pairwise(scores):
            kernels.append(np.rint(np.outer(score, before) / before.sum() * rng.gamma(1.0, size=(len(score), len(before)))))
        kernels = [None if k is None else np.asarray(k, dtype=np.int64) for k in kernels]
    more: dict[str, dict[str, tuple]] = {}
    if extra:
        more = {"resources": {"weight_bytes": (net.pair_bytes, net.unit_bytes)}}
    if extra > 1:
        more["peaks"] = {"peak_bytes": (net.before_map, net.own_map)}
    if extra > 2:
        rng = np.random.default_rng([seed, 77])
        slow = rng.uniform(0.5, 2.0, size=(2, len(net.units)))  # time for each MAC differs from layer to layer
        pair, unit = (np.rint(slow * (net.pair_macs, net.unit_macs))).astype(int).tolist()
        more["resources"]["latency"] = (pair, unit)
    problem = WidthProblem.chain(
        scores=scores, pair_macs=net.pair_macs, unit_macs=net.unit_macs, step=step, kernel_scores=kernels,
        value="log_retention" if value == "log_retention" else "sum", **more,
    )  # fmt: skip
    full = problem.cost("macs", problem.full_widths)
    assert full == net.full_macs(), (full, net.full_macs())
    assert abs(full - net.macs) <= net.tolerance * net.macs, (full, net.macs)
    return problem


def resnet_problem(name: str, step: int, shape: str, seed: int) -> WidthProblem:
    """Stages of basic blocks on 32x32 inputs; a stage has one width s, every block an inner width m; a 1x1 shortcut."""
    stages, blocks, macs = RESNETS[name]
    classes = 10
    groups, units, pairs, singles = [], [], [], {}
    before = None
    for i, width in enumerate(stages):
        area = (32 >> i) ** 2
        stage = f"s{i}"
        source = before or stage
        if before is None:
            groups.append(stage)
            units.append(width)
            singles[stage] = 27 * area
        for b in range(blocks):
            inner = f"m{i}{b}"
            groups.append(inner)
            units.append(width)
            pairs += [(source if b == 0 else stage, inner, 9 * area), (inner, stage, 9 * area)]
            if before is not None and b == 0:
                groups.append(stage)
                units.append(width)
                pairs.append((before, stage, area))
        before = stage
    assert before is not None
    singles[before] = singles.get(before, 0) + classes
    widths = {g: np.asarray(allowed_widths(u, step, 1)) for g, u in zip(groups, units, strict=True)}
    scores = scores_of(units, shape, seed, floats=False)
    problem = WidthProblem(
        tuple(groups), tuple(tuple(widths[g].tolist()) for g in groups),
        tuple(Table((g,), prefix_sum(s, widths[g].tolist())) for g, s in zip(groups, scores, strict=True)),
        {"macs": (*[Table((a, b), np.multiply.outer(widths[a], widths[b]) * f) for a, b, f in pairs],
                  *[Table((g,), widths[g] * u) for g, u in singles.items()])},
    )  # fmt: skip
    assert problem.cost("macs", problem.full_widths) == macs, problem.cost("macs", problem.full_widths)
    return problem


INSTANCES: dict[str, tuple[Callable[[str, int], WidthProblem], float | None]] = {}


def _add(net: str, step: int, value: str = "sum", extra: int = 0, target: float | None = None) -> None:
    name = f"{net} step {step} {value}" + ("", ", weights", ", weights, peak", ", weights, peak, latency")[extra]
    INSTANCES[name] = (lambda shape, seed: chain_problem(CHAINS[net], step, shape, seed, value, extra), target)


for _net in ("DNN S", "DNN L", "CNN S", "CNN L", "MobileNetV1 0.25@96"):
    _add(_net, 1)
for _value in ("sum", "pair", "log_retention"):
    _add("DS-CNN S", 1, _value, target=0.02)
    _add("DS-CNN L", 1, _value, target=1.0)
_add("DS-CNN S", 1, extra=2)
for _extra in (1, 2, 3):
    _add("DS-CNN L", 1, extra=_extra, target=1.0)
_add("DS-CNN L", 1, "log_retention", extra=2, target=1.0)
_add("MobileNetV1 1.0@96", 8)
for _value in ("sum", "log_retention"):
    _add("MobileNetV1 1.0@224", 8, _value, target=0.1)
    _add("MobileNetV1 1.0@224", 1, _value, target=3.0)
INSTANCES["ResNet-8 step 1 sum"] = (lambda shape, seed: resnet_problem("ResNet-8", 1, shape, seed), None)
INSTANCES["ResNet-18@32 step 8 sum"] = (lambda shape, seed: resnet_problem("ResNet-18@32", 8, shape, seed), None)


def run_nested(options: argparse.Namespace) -> None:
    """Nested widths by each order, and the joint optimum, for the macs at 1/N, ..., N/N of the full cost."""
    print(f"{'instance':32} {'shape':12} {'N':>3} {'order':10} {'total':>9} {'worst':>9} {'proven':>6} {'seconds':>9}")
    for name, (make, _) in INSTANCES.items():
        if options.only not in name or "weights" in name:
            continue
        for shape in options.shapes:
            problem = make(shape, 0)
            full = problem.cost("macs", problem.full_widths)
            for count in options.nested:
                capacities = [{"macs": full * (s + 1) // count} for s in range(count)]
                for order in ("bottom_up", "top_down", "joint", "exact"):
                    exact = order == "exact"
                    start = time.perf_counter()
                    answer = solve_nested(
                        problem, capacities, order="joint" if exact else order, exact_joint=exact,
                        time_limit=options.time_limit,
                    )  # fmt: skip
                    seconds = time.perf_counter() - start
                    print(
                        f"{name:32} {shape:12} {count:3} {order:10} {answer.certificate:9.6f} {min(answer.certificates):9.6f} "
                        f"{answer.proven_optimal!s:>6} {seconds:9.3f}",
                        flush=True,
                    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run the instances whose name contains this")
    parser.add_argument("--percent", type=int, nargs="+", default=list(PERCENT), help="capacities, %% of the full cost")
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES), help="shapes of the scores")
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each; their median counts")
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for one solve")
    parser.add_argument("--verbose", action="store_true", help="one line for each solve")
    parser.add_argument("--nested", type=int, nargs="+", help="solve for these numbers of nested subnetworks instead")
    options = parser.parse_args()
    if options.nested:
        run_nested(options)
        return
    print(
        f"{'instance':46} {'runs':>4} {'median s':>9} {'max s':>9} {'cpu med s':>9} {'cpu max s':>9} {'proven':>7}  "
        f"{'slowest':27} target s (median)"
    )
    for name, (make, target) in INSTANCES.items():
        if options.only not in name:
            continue
        runs = []
        for shape in options.shapes:
            for seed in range(options.seeds):
                for percent in options.percent:
                    seconds, cpu, answer = [], [], None
                    for _ in range(options.repeats):
                        problem = make(shape, seed)
                        full = problem.costs(problem.full_widths)
                        capacities = {k: v * percent // 100 for k, v in full.items() if k != "peak_bytes"}
                        if "peak_bytes" in full:
                            capacities["peak_bytes"] = full["peak_bytes"] * min(percent + 25, 100) // 100
                        start, spent = time.perf_counter(), time.process_time()
                        answer = solve(problem, capacities, time_limit=options.time_limit)
                        seconds.append(time.perf_counter() - start)
                        cpu.append(time.process_time() - spent)
                    assert answer is not None
                    runs.append((statistics.median(seconds), f"{shape} {percent}% seed {seed}", answer, statistics.median(cpu)))
                    if options.verbose:
                        print("   ", *runs[-1][:2], answer.value, answer.widths, answer.proven_optimal, flush=True)
        slowest = max(runs, key=lambda run: run[0])
        median = statistics.median(run[0] for run in runs)
        proven = sum(run[2].proven_optimal for run in runs)
        goal = "" if target is None else f"{target} {'met' if median <= target else 'MISSED'}"
        print(
            f"{name:46} {len(runs):4} {median:9.4f} {slowest[0]:9.4f} {statistics.median(run[3] for run in runs):9.4f} "
            f"{max(run[3] for run in runs):9.4f} {proven:3}/{len(runs):<3}  {slowest[1]:27} {goal}",
            flush=True,
        )


if __name__ == "__main__":
    main()
