"""The ways in which `train_step.py` runs a nested step: this library's forms, plain JAX, PyTorch, another checkout."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from step_networks import CASES, ON_GPU, Case

from reds_jax.lowering import lowering
from reds_jax.run import run_nested
from reds_jax.training import TrainState, make_train_step

OURS = "ours"
RATE = 1e-3


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job(NamedTuple):
    """What a variant is to train: a network at some widths, from given variables, on batches [steps, N, H, W, C]."""

    case: Case
    variables: Any
    images: np.ndarray
    labels: np.ndarray
    fractions: Sequence[float]

    @classmethod
    def of(cls, case: Case, subnetworks: int, seed: int) -> Job:
        return cls(case, case.variables(seed), *case.examples(seed), case.fractions(subnetworks))


class Ready(NamedTuple):
    """A variant that is compiled: takes some steps and returns the loss of the first."""

    run: Callable[[], float]
    steps: int


def library(job: Job, *, form: str = "auto", dtype: str = "float32") -> Ready:
    """`make_train_step`, which `fit` calls: all steps in one dispatch."""
    optimizer, (steps, batch) = optax.adam(RATE), job.labels.shape
    step = make_train_step(job.case.model, optimizer, job.fractions, compute_dtype=dtype)
    state = TrainState.create(job.variables, optimizer, len(job.fractions), jax.random.key(0))
    images, labels = (jnp.asarray(a.reshape(-1, *a.shape[2:])) for a in (job.images, job.labels))
    rows = jnp.arange(steps * batch, dtype=jnp.int32).reshape(steps, batch)

    def run() -> float:
        nonlocal state
        with lowering(form):
            state, metrics = step(state, images, labels, rows)
        return float(metrics["objective"][0])

    return Ready(run, steps)


def flax(job: Job) -> Ready:
    """One compiled step of JAX, called once: the plain module at full width, else each subnetwork with its own ``lax.conv``."""
    optimizer, module = optax.adam(RATE), getattr(job.case.model, "model", job.case.model)
    statistics = job.variables.get("batch_stats", {})
    mode = {"train": True} if statistics else {}

    def outputs(params: Any, x: jax.Array) -> list[jax.Array]:
        if job.fractions == [1.0]:
            return [module.apply({**job.variables, "params": params}, x, **mode, mutable=["batch_stats"])[0]]
        each = [statistics] * len(job.fractions)
        return [z for z, _ in run_nested(job.case.model, params, each, x, job.fractions, train=True, share=False)]

    def loss(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.stack([optax.softmax_cross_entropy_with_integer_labels(z, y).mean() for z in outputs(params, x)]).mean()

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, jax.Array]:
        value, gradient = jax.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value

    params, state = job.variables["params"], optimizer.init(job.variables["params"])
    x, y = jnp.asarray(job.images[0]), jnp.asarray(job.labels[0])

    def run() -> float:
        nonlocal params, state
        with lowering("lax"):
            params, state, value = step(params, state, x, y)
        jax.block_until_ready(params)
        return float(value)

    return Ready(run, 1)


def pytorch(job: Job, *, shared: bool = True, compiled: bool = False, dtype: str = "float32") -> Ready:
    """The same steps in PyTorch, eager or by ``torch.compile``, on the device that JAX runs on."""
    import torch_step

    module, device = getattr(job.case.model, "model", job.case.model), "cuda" if jax.default_backend() == "gpu" else "cpu"
    trainer = torch_step.Trainer(module, job.variables["params"], job.fractions, RATE, shared=shared, compiled=compiled,
                                 threads=cores(), device=device, dtype=dtype)
    batches = [torch_step.tensors(x, y, device) for x, y in zip(job.images, job.labels, strict=True)]

    def run() -> float:
        first, *_ = [trainer.step(*batch) for batch in batches]
        if device == "cuda":  # the last update too
            torch_step.torch.cuda.synchronize()
        return float(first)

    return Ready(run, len(batches))


VARIANTS: dict[str, Callable[[Job], Ready]] = {
    OURS: library,
    "ours, no kernel": partial(library, form="dot"),
    "flax, lax.conv": flax,
    "torch, shared": pytorch,
    "torch": partial(pytorch, shared=False),
    "torch, compiled": partial(pytorch, compiled=True),
    "full, ours": library,
    "full, flax": flax,
    "full, torch": pytorch,
}
APART = ("torch, compiled",)  # may not finish
IN_BFLOAT16: dict[str, Callable[[Job], Ready]] = {
    f"{OURS}, bfloat16": partial(library, dtype="bfloat16"),
    "ours, no kernel, bfloat16": partial(library, form="dot", dtype="bfloat16"),
    "torch, shared, bfloat16": partial(pytorch, dtype="bfloat16"),
    "torch, bfloat16": partial(pytorch, shared=False, dtype="bfloat16"),
    "torch, compiled, bfloat16": partial(pytorch, compiled=True, dtype="bfloat16"),
    "full, ours, bfloat16": partial(library, dtype="bfloat16"),
    "full, torch, bfloat16": partial(pytorch, dtype="bfloat16"),
}


def ready(job: Job, variant: str) -> tuple[Ready, float]:
    """The variant, compiled and run once, and its first loss."""
    build = {**VARIANTS, **IN_BFLOAT16}[variant]
    made = build(job._replace(fractions=[1.0]) if variant.startswith("full") else job)
    return made, made.run()


def timed(made: Ready) -> tuple[float, float]:
    """Milliseconds a step, by the clock and of the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    made.run()
    return 1e3 * (time.perf_counter() - wall) / made.steps, 1e3 * (time.process_time() - cpu) / made.steps


class Apart:
    """A variant in a process of its own, perhaps of another checkout; it answers a line with a line.

    Args:
        order: what `serve` is given.
        limit: seconds until it must be compiled and run once.
        checkout: whose library it runs; None: this one's.

    Raises:
        TimeoutError: it did not finish.
        ChildProcessError: it ended.
    """

    def __init__(self, order: dict[str, Any], limit: float, checkout: Path | None = None) -> None:
        environment = os.environ if checkout is None else {**os.environ, "PYTHONPATH": str(checkout / "src")}
        self.process = subprocess.Popen([sys.executable, __file__, json.dumps(order)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, encoding="utf-8", env=environment, start_new_session=True)
        try:
            self.first_loss = self._answer(limit)["first_loss"]
        except BaseException:
            self.close()
            raise

    def __call__(self) -> tuple[float, float]:
        assert self.process.stdin is not None
        print("again", file=self.process.stdin, flush=True)
        return tuple(self._answer(600)["ms"])

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise TimeoutError(f"did not finish in {limit:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise ChildProcessError(f"failed with exit code {self.process.wait()}")
        return json.loads(line)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # what compiles may have started others
        with self.process:  # its pipes are closed
            pass


def serve(order: dict[str, Any]) -> None:
    """Be the other process."""
    answers, sys.stdout = sys.stdout, sys.stderr
    case = replace({**CASES, **ON_GPU}[order["network"]], batch=order["batch"], steps=order["steps"])
    job = Job(case, case.variables(order["seed"]), *case.examples(order["seed"]), order["fractions"])
    made, loss = ready(job, order["variant"])
    print(json.dumps({"first_loss": loss}), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps({"ms": timed(made)}), file=answers, flush=True)


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
