"""The nested training step of this checkout against that of another one: ``python benchmarks/step_against.py CHECKOUT``.

For every network four nested subnetworks at uniform widths (the same fractions in both), ten steps of Adam in one compiled
loop. Two processes, one for each checkout, run in turn, round after round; what counts is the median of the ratios. The other
checkout may be older than `reds_jax.run`: it is then run through ``model.apply(..., width)`` and ``reds_jax.nn.sharing``.

    git worktree add ../before COMMIT && python benchmarks/step_against.py ../before
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
FRACTIONS = (1.0, 0.86, 0.7, 0.49)
NETWORKS = {  # name: (function of reds_jax.models, its arguments, input, batch, classes, steps)
    "DNN L": ("dnn_l", {}, (25, 10, 1), 100, 12, 40),
    "CNN S": ("cnn_s", {}, (49, 10, 1), 100, 12, 5),
    "DS-CNN S": ("ds_cnn_s", {}, (49, 10, 1), 100, 12, 5),
    "MobileNetV1 0.25": ("mobilenet_v1", {"classes": 2, "alpha": 0.25}, (96, 96, 3), 32, 2, 2),
}


def steps_of(name: str) -> Callable[[], float]:
    """Runs the steps once and returns the seconds of one, in the checkout that is on the path."""
    import jax
    import jax.numpy as jnp
    import optax

    from reds_jax import models

    build, arguments, shape, batch, classes, steps = NETWORKS[name]
    model = getattr(models, build)(**arguments)
    key = jax.random.key(0)
    x = jax.random.normal(key, (steps, batch, *shape))
    y = jax.random.randint(key, (steps, batch), 0, classes)
    variables = model.init(key, x[0, :1])
    stats = variables.get("batch_stats", {})
    try:
        from reds_jax.run import run_nested
    except ImportError:
        from reds_jax.nn import sharing  # type: ignore[import-not-found]

        def outputs(params: Any, x: Any) -> list[Any]:
            with sharing():
                return [model.apply({"params": params, "batch_stats": stats}, x, f, train=True, mutable=["batch_stats"])[0]
                        for f in FRACTIONS]
    else:
        def outputs(params: Any, x: Any) -> list[Any]:
            return [z for z, _ in run_nested(model, params, [stats] * len(FRACTIONS), x, FRACTIONS, train=True)]

    optimizer = optax.adam(1e-3)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return jnp.stack([optax.softmax_cross_entropy_with_integer_labels(z, y).mean() for z in outputs(params, x)]).mean()

    def step(carry: Any, batch: Any) -> Any:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, updates), state), value

    carry = (variables["params"], optimizer.init(variables["params"]))
    compiled = jax.jit(lambda c, b: jax.lax.scan(step, c, b)).lower(carry, (x, y)).compile()
    jax.block_until_ready(compiled(carry, (x, y)))

    def once() -> float:
        begin = time.perf_counter()
        jax.block_until_ready(compiled(carry, (x, y)))
        return (time.perf_counter() - begin) / steps

    return once


def serve() -> None:
    """Times a network for every line of the input that names one."""
    ready: dict[str, Callable[[], float]] = {}
    for line in sys.stdin:
        name = line.strip()
        if name not in ready:
            ready[name] = steps_of(name)
        print(ready[name](), flush=True)


def worker(checkout: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    return subprocess.Popen([sys.executable, __file__, "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env=environment)


def ask(process: subprocess.Popen[str], name: str) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(name + "\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", help="the other checkout")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    if options.checkout is None or not (options.checkout / "src" / "reds_jax").is_dir():
        parser.error("name another checkout of this repository")
    workers = {"this": worker(HERE), "other": worker(options.checkout.resolve())}
    results = {}
    print(f"{'network':18} {'this, ms':>9} {'other, ms':>9} {'ratio':>7} {'quartiles':>15}")
    for name in options.networks:
        for process in workers.values():
            ask(process, name)  # compiles
        times: dict[str, list[float]] = {"this": [], "other": []}
        for i in range(options.rounds):
            for which in ("this", "other") if i % 2 else ("other", "this"):
                times[which].append(1e3 * ask(workers[which], name))
        ratios = sorted(a / b for a, b in zip(times["this"], times["other"], strict=True))
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"{name:18} {statistics.median(times['this']):9.2f} {statistics.median(times['other']):9.2f} {middle:7.3f} "
              f"{low:7.3f} {high:7.3f}", flush=True)
        results[name] = {"this_ms": times["this"], "other_ms": times["other"], "ratio": middle, "quartiles": [low, high]}
    for process in workers.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
    if options.json:
        options.json.write_text(json.dumps({"cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
                                            "rounds": options.rounds, "results": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
