"""Which architectures go how far: ``python benchmarks/architectures.py`` writes docs/architectures.md.

Every network of tests/architectures (as users write them, unmodified) goes through trace, two steps of nested training at 50
and 100 % of the channels, and the exports; what an export answers is compared with `reds_jax.run` at both widths.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import numpy as np
import tyro

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "architectures"))

import zoo_equinox
import zoo_keras
import zoo_linen_blocks
import zoo_linen_convolutions
import zoo_linen_tokens
import zoo_nnx

from reds_jax import trace
from reds_jax.adapters import adapt
from reds_jax.deploy import HostNetwork, export
from reds_jax.deploy.phone import litert, onnx
from reds_jax.errors import RedsError
from reds_jax.graph import ChannelGraph
from reds_jax.run import run, run_nested

FRAMEWORKS = {"flax.linen": (zoo_linen_convolutions, zoo_linen_blocks, zoo_linen_tokens), "flax.nnx": (zoo_nnx,),
              "equinox": (zoo_equinox,), "Keras 3": (zoo_keras,)}
INTRODUCTION = """\
Made by `python benchmarks/architectures.py` from the networks of `tests/architectures`, which are written as their users write
them, with nothing of this library in them. *Groups* are channel groups that can be cut (and their channels); *stay* is how
many further layers keep channels (`graph.summary()` says which and why); *trains* is two steps of nested training at 50 and
100 % of the channels. An export counts if it answers as `reds_jax.run` at both widths; the last column is what the first
export that refuses says. C, ONNX and LiteRT go through one device program, so they know the same operations."""
Answers = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Network:
    """A traced network and what it answers at its two widths."""

    model: Any
    variables: Any
    inputs: Any
    graph: ChannelGraph
    expected: tuple[list[np.ndarray], ...]


def made(case: Any) -> Network:
    given, variables, inputs = case.build()
    graph = trace(given, variables, inputs)
    model, variables = adapt(given, variables)
    expected = tuple([np.asarray(a) for a in jax.tree.leaves(run(model, variables, inputs, w)[0])] for w in (0.5, 1.0))
    return Network(model, variables, inputs, graph, expected)


def trains(n: Network) -> str:
    """Two steps of nested training, all finite."""
    stats = [n.variables.get("batch_stats", {})] * 2

    @jax.jit
    def step(params: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            results = run_nested(n.model, params, stats, n.inputs, [0.5, 1.0], train=True, key=key)
            return sum(jnp.mean(jnp.square(y)) for outputs, _ in results for y in jax.tree.leaves(outputs))

        value, gradient = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, g: p - 1e-3 * g, params, gradient)

    params = n.variables["params"]
    for i in range(2):
        value, params = step(params, jax.random.key(i))
        if not np.isfinite(value) or not all(np.isfinite(a).all() for a in jax.tree.leaves(params)):
            return "not finite"
    return "yes"


def exported(n: Network, write: Callable[[Path], Answers]) -> tuple[str, str]:
    """``("yes", "")``, or ``("no", why)``."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = write(Path(folder))
        except RedsError as error:
            return "no", re.sub(r" \([^()]*:\d+\)", "", error.what)
        for k, expected in enumerate(n.expected):
            found = answer(k)
            if not np.allclose(found, expected[0], rtol=1e-3, atol=1e-4):
                return "WRONG", f"subnetwork {k} differs by {np.abs(found - expected[0]).max():.3g}"
    return "yes", ""


def as_c(n: Network) -> Callable[[Path], Answers]:
    def write(folder: Path) -> Answers:
        export(n.model, n.variables, n.graph, [0.5, 1.0], folder / "c")
        host = HostNetwork(folder / "c")

        def answer(k: int) -> np.ndarray:
            host.adapt(k)
            return np.asarray(host.invoke(np.asarray(n.inputs))).reshape(n.expected[k][0].shape)

        return answer

    return write


def as_onnx(n: Network) -> Callable[[Path], Answers]:
    def write(folder: Path) -> Answers:
        import onnxruntime

        path = onnx.export(n.model, n.variables, n.graph, [0.5, 1.0], folder / "n.onnx").path
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return lambda k: session.run(None, {"input": n.inputs, "subnetwork": np.array(k)})[0]

    return write


def as_litert(n: Network) -> Callable[[Path], Answers]:
    def write(folder: Path) -> Answers:
        from ai_edge_litert.interpreter import Interpreter

        path = litert.export(n.model, n.variables, n.graph, [0.5, 1.0], folder / "n.tflite").path
        interpreter = Interpreter(str(path))
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], n.inputs.shape)
        return lambda k: interpreter.get_signature_runner(f"subnetwork_{k}")(input=n.inputs)["output"]

    return write


def row(name: str, framework: str, n: Network) -> str:
    """One line of the table."""
    groups, stays = n.graph.groups, [p.path for p in n.graph.pinned if "output of the network" not in p.reason]
    results = [exported(n, how(n)) for how in (as_c, as_onnx, as_litert)]
    why = next((reason for _, reason in results if reason), "")
    cells = [name, framework, f"{len(groups)} ({sum(g.size for g in groups)})", str(len(stays)), trains(n),
             *(answer for answer, _ in results), why.replace("|", "/")]
    return f"| {' | '.join(cells)} |"


def main(output: Path = ROOT / "docs" / "architectures.md", only: tuple[str, ...] = ()) -> None:
    """Write the table.

    Args:
        output: the page.
        only: names of architectures; all by default.
    """
    rows, refused = [], []
    for framework, modules in FRAMEWORKS.items():
        for case in (case for module in modules for case in module.ZOO if not only or case.name in only):
            try:
                rows.append(row(case.name, framework, made(case)))
            except RedsError as error:
                refused.append(f"| {case.name} | {framework} | {error.what} |")
            print((rows or refused)[-1], flush=True)
    page = [
        "# Which architectures go how far", "",
        *INTRODUCTION.splitlines(), "",
        "| architecture | framework | groups | stay | trains | C | ONNX | LiteRT | why not |",
        "|---|---|---:|---:|---|---|---|---|---|", *rows, "",
    ]
    if refused:
        page += ["Not traced:", "", "| architecture | framework | why |", "|---|---|---|", *refused, ""]
    if not only:
        output.write_text("\n".join(page))


if __name__ == "__main__":
    tyro.cli(main)
