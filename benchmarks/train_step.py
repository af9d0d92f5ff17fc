"""How long a nested training step takes: ``python benchmarks/train_step.py --help``.

For every network: one full-width step, and the step over four nested subnetworks (uniform widths with 100, 75, 50 and 25 %
of the MACs; loss and gradient of each, one Adam step) without and with sharing, in the form that is slower on a CPU, and
in PyTorch; the full step also by the plain flax module. A call runs several steps over data on the device. All variants run
in turn, round after round, in one process; what counts are the ratios of one round, and their median.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from reds_jax import Slimmable, trace
from reds_jax.graph import ChannelGraph
from reds_jax.lowering import lowering
from reds_jax.models import cnn_s, dnn_l, ds_cnn_s, mobilenet_v1
from reds_jax.run import run_nested

RATE = 1e-3
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Case:
    """A network, its images and batch size, the name of its PyTorch twin, how often a call steps, and the target."""

    model: Slimmable
    image: tuple[int, int, int]
    batch: int
    twin: str
    steps: int
    target: float | None  # nested over full


CASES = {
    "DNN L": Case(dnn_l(), (25, 10, 1), 100, "dnn", 40, 1.9),
    "CNN S": Case(cnn_s(), (49, 10, 1), 100, "cnn", 10, None),
    "DS-CNN S": Case(ds_cnn_s(), (49, 10, 1), 100, "ds_cnn", 5, 2.3),
    "MobileNetV1 0.25": Case(mobilenet_v1(2, 0.25), (96, 96, 3), 32, "mobilenet", 2, 2.2),
}
VARIANTS = ("full", "full, plain flax", "nested, naive", "nested, shared", "nested, lax", "torch", "torch, full")


@cache
def graph_of(case: Case) -> ChannelGraph:
    x = jax.ShapeDtypeStruct((1, *case.image), jnp.float32)
    return trace(case.model, jax.eval_shape(case.model.init, jax.random.key(0), x), x)


def macs(case: Case, fraction: float) -> int:
    """Multiply-accumulates of one image at a uniform width."""
    return graph_of(case).macs(fraction)


def fraction_for(case: Case, share: float) -> float:
    """The largest uniform width, in hundredths, with at most this share of the MACs."""
    full = macs(case, 1.0)
    return max(f / 100 for f in range(1, 101) if macs(case, f / 100) <= share * full)


def make_steps(case: Case, variables: Any, images: np.ndarray, labels: np.ndarray, fractions: Sequence[float], *,
               share: bool = False, form: str = "auto", plain: bool = False) -> Callable[[], float]:
    """A function that takes one Adam step for every batch in images [steps, N, H, W, C]; returns the first loss."""
    optimiser = optax.adam(RATE)
    stats = [variables.get("batch_stats", {})] * len(fractions)

    def alone(params: Any, x: jax.Array) -> list[tuple[Any, Any]]:
        """The module by itself, as flax runs it."""
        given = {**variables, "params": params}
        mode = {"train": True} if "batch_stats" in variables else {}
        return [case.model.model.apply(given, x, **mode, mutable=["batch_stats"])]

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        results = alone(params, x) if plain else run_nested(case.model, params, stats, x, fractions, train=True, share=share)
        losses = [optax.softmax_cross_entropy_with_integer_labels(z, y).mean() for z, _ in results]  # statistics are dropped
        return jnp.stack(losses).mean()

    def step(carry: Any, batch: Any) -> tuple[Any, jax.Array]:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(params, updates), state), value

    @jax.jit
    def scan(carry: Any, batches: Any) -> tuple[Any, jax.Array]:
        return jax.lax.scan(step, carry, batches)

    carry = (variables["params"], optimiser.init(variables["params"]))
    batches = (jnp.asarray(images), jnp.asarray(labels))
    with lowering(form):
        compiled = scan.lower(carry, batches).compile()

    def steps() -> float:
        nonlocal carry
        carry, values = compiled(carry, batches)
        return float(values[0])

    return steps


def channel_first_rows(params: Any, layer: str, channels: int) -> Any:
    """PyTorch flattens C, H, W, so its kernel has the rows in that order."""
    kernel = np.asarray(params[layer]["kernel"])
    turned = kernel.reshape(-1, channels, kernel.shape[1]).swapaxes(0, 1).reshape(kernel.shape)
    return {**params, layer: {**params[layer], "kernel": turned}}


def torch_steps(case: Case, params: Any, *arguments: Any) -> Callable[[], float]:
    import torch_step as peer
    from torch.nn.functional import leaky_relu, relu

    strides = [s for _, s in getattr(case.model.model, "blocks", ())]
    forward = {"dnn": peer.dnn, "cnn": peer.cnn, "ds_cnn": peer.separable((1,) * 4, relu),
               "mobilenet": peer.separable(strides, lambda x: leaky_relu(x, 0.3))}[case.twin]
    if case.twin == "cnn":
        params = channel_first_rows(params, "linear", case.model.model.convolutions[1])  # type: ignore[attr-defined]
    return peer.make_steps(forward, params, *arguments, RATE, threads=len(os.sched_getaffinity(0)))


def build(case: Case, variants: Sequence[str], seed: int) -> tuple[dict[str, Callable[[], float]], list[float]]:
    """The variants, compiled and run once; each starts from the same loss, which is asserted."""
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(case.steps, case.batch, *case.image)).astype(np.float32)
    labels = rng.integers(0, case.model.model.classes, (case.steps, case.batch))  # type: ignore[attr-defined]
    variables = jax.jit(case.model.init)(jax.random.key(seed), images[0])
    fractions = [fraction_for(case, share) for share in (1.0, 0.75, 0.5, 0.25)]
    made: dict[str, Callable[[], float]] = {}
    losses: dict[str, float] = {}
    for name in variants:
        widths = [1.0] if "full" in name else fractions
        start = time.perf_counter()
        if name.startswith("torch"):
            made[name] = torch_steps(case, variables["params"], images, labels, widths)
        else:
            made[name] = make_steps(case, variables, images, labels, widths, share="shared" in name,
                                    form="lax" if "lax" in name else "auto", plain="plain" in name)
        losses[name] = made[name]()
        print(f"  {name}: built and run once in {time.perf_counter() - start:.1f} s, first loss {losses[name]:.5f}", flush=True)
    for kind in (True, False):
        same = [v for k, v in losses.items() if ("full" in k) == kind]
        if same:
            np.testing.assert_allclose(same, same[0], rtol=1e-3)
    return made, fractions


def measure(
    made: dict[str, Callable[[], float]], steps: int, rounds: int, seconds: float, clock: str
) -> dict[str, list[float]]:
    """Milliseconds a step of every variant, a list over the rounds; stops after ``seconds``, with at least 3 rounds."""
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in made}
    begin = time.perf_counter()
    for i in range(rounds):
        for name, run in made.items():
            start = now()
            run()
            times[name].append(1e3 * (now() - start) / steps)
        if i >= 2 and time.perf_counter() - begin > seconds:
            break
    return times


def report(name: str, case: Case, times: dict[str, list[float]], fractions: list[float]) -> dict[str, Any]:
    shares = [macs(case, f) / macs(case, 1.0) for f in fractions]
    base, reference = times.get("full"), times.get("torch")
    widths = ", ".join(f"{f:.2f} ({s:.0%})" for f, s in zip(fractions, shares, strict=True))
    print(f"\n{name}: batch {case.batch}, {len(next(iter(times.values())))} rounds of {case.steps} steps, widths {widths}"
          + (f", target {case.target} x full" if case.target else ""))
    print(f"  {'variant':16} {'ms a step':>10} {'lowest':>8} {'x full':>8} {'torch is slower by':>19}")
    rows = {}
    for variant, ms in times.items():
        over = statistics.median(a / b for a, b in zip(ms, base, strict=True)) if base else math.nan
        peer = statistics.median(b / a for a, b in zip(ms, reference, strict=True)) if reference else math.nan
        print(f"  {variant:16} {statistics.median(ms):10.2f} {min(ms):8.2f} {over:8.2f} {peer:19.2f}")
        rows[variant] = {"median_ms": statistics.median(ms), "min_ms": min(ms), "over_full": over, "torch_over_this": peer}
    return {"network": name, "batch": case.batch, "fractions": fractions, "mac_shares": shares, "target": case.target,
            "variants": rows}


def machine(torch_version: str | None) -> dict[str, Any]:
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.processor()) if Path("/proc/cpuinfo").exists() else ""
    return {"processor": model, "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
            "backend": jax.default_backend(), "jax": jax.__version__, "torch": torch_version,
            "python": platform.python_version()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=60, help="time limit for the rounds of one network")
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--clock", choices=CLOCKS, default="wall",
                        help="cpu: processor time, with --cores 1 for a machine that others use too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    try:
        import torch
        version = torch.__version__
    except ImportError:
        version = None
        print("PyTorch is not installed, so its column is left out; `pip install torch` brings it.")
    variants = [v for v in options.variants if version or not v.startswith("torch")]
    about = {**machine(version), "clock": options.clock, "seed": options.seed}
    print(about)
    results = []
    for name in options.networks:
        print(f"\n{name}", flush=True)
        made, fractions = build(CASES[name], variants, options.seed)
        times = measure(made, CASES[name].steps, options.rounds, options.seconds, options.clock)
        results.append(report(name, CASES[name], times, fractions))
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
