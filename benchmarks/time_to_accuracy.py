"""How long until all four nested subnetworks are accurate: ``python benchmarks/time_to_accuracy.py --data folder:DIR``.

The vision DS-CNN S on Fashion-MNIST, from the same parameters, uniform widths with at most 100 / 75 / 50 / 25 % of the MACs:

- nested, ours: the compiled step and the order of examples of `fit`, all subnetworks in each step;
- separate, ours: four trainings with the same step, one for each width, one after the other;
- nested, torch: slimmable training in PyTorch, the shared stem computed once, in the same order.

After every epoch each subnetwork gets its own batch statistics and is validated, by the same code for all, and a way stops when
its worst one reaches the target. Only training is timed, compiling included: wall time and processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from step_networks import CASES
from step_variants import cores
from train_step import machine

from reds_jax import data
from reds_jax.training import FitConfig, TrainState, evaluate, make_train_step, recalibrate
from reds_jax.training.feed import ArrayFeed

CASE = CASES["vision DS-CNN S"]


class Trainer(Protocol):
    """Trains on examples by their rows, and tells the parameters."""

    def steps(self, rows: np.ndarray) -> None:
        """A step for each row of ``rows`` [steps, batch]; a row of -1 is none."""
        ...

    def params(self) -> Any:
        """As the JAX model has them."""
        ...


class Library:
    """One dispatch of the compiled step at a time."""

    def __init__(self, images: data.DataSet, variables: Any, fractions: Sequence[float], rate: float) -> None:
        optimizer = optax.adam(rate)
        self.step = make_train_step(CASE.model, optimizer, fractions, normalise=images.normalise)
        self.state = TrainState.create(variables, optimizer, len(fractions), jax.random.key(0))
        self.examples = jnp.asarray(images.train.inputs), jnp.asarray(images.train.targets)

    def steps(self, rows: np.ndarray) -> None:
        self.state, _ = self.step(self.state, *self.examples, rows)
        jax.block_until_ready(self.state)

    def params(self) -> Any:
        return self.state.params


class Torch:
    """Images that are normalised beforehand, one step at a time."""

    def __init__(self, images: data.DataSet, variables: Any, fractions: Sequence[float], rate: float) -> None:
        import torch_step

        module = CASE.model.model
        self.trainer = torch_step.Trainer(module, variables["params"], fractions, rate, threads=cores())
        normalise = images.normalise or (lambda x: x / 255)
        self.x, self.y = torch_step.tensors(np.asarray(normalise(images.train.inputs), np.float32), images.train.targets)

    def steps(self, rows: np.ndarray) -> None:
        for row in rows[rows[:, 0] >= 0]:
            self.trainer.step(self.x[row], self.y[row])

    def params(self) -> Any:
        return self.trainer.net.params()


def reach(trainer: Trainer, validate: Callable[[Any], list[float]], feed: ArrayFeed, target: float) -> dict[str, Any]:
    """Train in the order of `fit` until the worst of the subnetworks reaches the target, or the epochs are over."""
    wall = cpu = first = 0.0
    epochs: list[dict[str, Any]] = []
    while len(epochs) < feed.config.epochs and not (epochs and min(epochs[-1]["accuracy"]) >= target):
        begin, used = time.perf_counter(), time.process_time()
        for dispatch in range(-(-feed.steps_per_epoch // feed.config.steps_per_dispatch)):
            trainer.steps(feed.indices(len(epochs), dispatch))
            first = first or time.perf_counter() - begin
        wall, cpu = wall + time.perf_counter() - begin, cpu + time.process_time() - used
        accuracy = validate(trainer.params())
        epochs.append({"wall_seconds": wall, "cpu_seconds": cpu, "accuracy": accuracy})
        print(f"  epoch {len(epochs)}: {wall:.1f} s, accuracy {' '.join(f'{a:.4f}' for a in accuracy)}", flush=True)
    return {"reached": min(epochs[-1]["accuracy"]) >= target, "epochs": epochs, "first_dispatch_seconds": first}


def table(results: dict[str, Any]) -> str:
    """A row for each way: the sums of its trainings when the last of them reaches the target.

    >>> run = {"reached": True, "first_dispatch_seconds": 2.0, "epochs": [
    ...     {"wall_seconds": 9.0, "cpu_seconds": 17.0, "accuracy": [0.9, 0.85]}]}
    >>> print(table({"target": 0.85, "ways": {"nested": [run]}}))
    | way | reached 85.0 % | epochs | training, s | processor, s | first dispatches, compiled, s | validation accuracy % |
    |---|---|---:|---:|---:|---:|---|
    | nested | yes | 1 | 9.0 | 17.0 | 2.0 | 90.0 85.0 |
    """
    lines = [f"| way | reached {100 * results['target']:.1f} % | epochs | training, s | processor, s "
             "| first dispatches, compiled, s | validation accuracy % |", "|---|---|---:|---:|---:|---:|---|"]
    for name, runs in results["ways"].items():
        last = [run["epochs"][-1] for run in runs]
        wall, cpu = (sum(one[clock] for one in last) for clock in ("wall_seconds", "cpu_seconds"))
        lines.append(f"| {name} | {'yes' if all(run['reached'] for run in runs) else 'no'} "
                     f"| {' + '.join(str(len(run['epochs'])) for run in runs)} | {wall:.1f} | {cpu:.1f} "
                     f"| {sum(run['first_dispatch_seconds'] for run in runs):.1f} "
                     f"| {' '.join(f'{100 * a:.1f}' for one in last for a in one['accuracy'])} |")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="where Fashion-MNIST is, as `reds fashion_mnist --data`")
    parser.add_argument("--limit", type=int, help="at most so many images a split")
    parser.add_argument("--target", type=float, default=0.85, help="validation accuracy of the worst subnetwork")
    parser.add_argument("--epochs", type=int, default=12, help="at most")
    parser.add_argument("--batch", type=int, default=CASE.batch)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--cores", type=int, help="use only this many processor cores")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the results here")
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    images = data.load("fashion_mnist", options.data, seed=options.seed, limit=options.limit)
    variables, fractions = CASE.variables(options.seed), CASE.fractions(4)
    feed = ArrayFeed(images.train.inputs, images.train.targets,
                     FitConfig(epochs=options.epochs, batch_size=options.batch, seed=options.seed))

    def validated(widths: Sequence[float]) -> Callable[[Any], list[float]]:
        def validate(params: Any) -> list[float]:
            stats = recalibrate(CASE.model, {**variables, "params": params}, widths, images.train, key=jax.random.key(0),
                                batch_size=options.batch, batches=min(20, len(images.train) // options.batch),
                                normalise=images.normalise)
            found = evaluate(CASE.model, params, stats, widths, images.validation, normalise=images.normalise)
            return [one.accuracy for one in found]

        return validate

    ways: dict[str, tuple[type[Library] | type[Torch], list[list[float]]]] = {
        "nested, ours": (Library, [fractions]), "separate, ours": (Library, [[f] for f in fractions])}
    if find_spec("torch") is None:
        print("PyTorch is not installed, so its row is left out; `pip install torch` brings it.")
    else:
        ways["nested, torch"] = Torch, [fractions]
    results: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/time_to_accuracy.py", *sys.argv[1:]]), "machine": machine(),
        "seed": options.seed, "target": options.target, "fractions": fractions, "ways": {},
        "data": {"source": images.source, "synthetic": images.synthetic, "train": len(images.train),
                 "validation": len(images.validation)}}
    for name, (kind, parts) in ways.items():
        runs = []
        for widths in parts:
            print(f"{name}, widths {widths}", flush=True)
            trainer = kind(images, variables, widths, options.learning_rate)
            runs.append(reach(trainer, validated(widths), feed, options.target))
        results["ways"][name] = runs
    print(f"\n{images.source}, {len(images.train)} training images\n\n{table(results)}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
