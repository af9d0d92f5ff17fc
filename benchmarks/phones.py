"""Sizes and times of the files for phones: ``python benchmarks/phones.py --help``.

For every network one ONNX file and one .tflite file with four subnetworks (25, 50, 75, 100 % of the channels), beside the file
of the full network alone, written by the same code. Weights and batch statistics are random: neither size nor time depends on
them. Times are the smallest of many inferences of one example on one thread. Needs ``pip install 'reds_jax[onnx,litert]'``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from reds_jax.deploy.phone import litert, onnx
from reds_jax.graph.trace import trace
from reds_jax.models import build
from reds_jax.testing import random_variables

NETWORKS = {"dnn_l": (25, 10, 1), "cnn_l": (25, 10, 1), "ds_cnn_s": (49, 10, 1), "ds_cnn_l": (49, 10, 1),
            "resnet8": (32, 32, 3)}
WIDTHS = (0.25, 0.5, 0.75, 1.0)


def microseconds(run: Callable[[], Any], repeat: int) -> float:
    """The smallest time of an inference."""
    run()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * min(times)


def onnx_runner(path: Path, k: int, x: np.ndarray, *, alone: bool) -> Callable[[], np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = {"input": x} if alone else {"input": x, "subnetwork": np.array(k)}
    return lambda: session.run(None, feed)[0]


def litert_runner(path: Path, k: int, x: np.ndarray, *, alone: bool) -> Callable[[], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    runner = interpreter.get_signature_runner(f"subnetwork_{0 if alone else k}")
    return lambda: runner(input=x)["output"]


def main(networks: tuple[str, ...] = tuple(NETWORKS), repeat: int = 50) -> None:
    """Print the table that docs/deploy_phones.md shows.

    Args:
        networks: names of library networks.
        repeat: inferences that are timed.
    """
    forms: dict[str, tuple[Any, dict[str, Any], Any]] = {
        "ONNX": (onnx, {}, onnx_runner), "LiteRT": (litert, {}, litert_runner),
        "LiteRT, copies 1/16": (litert, {"copies": 1 / 16}, litert_runner),
        "LiteRT int8": (litert, {"dtype": "int8"}, litert_runner),
        "LiteRT int8, copies 1/16": (litert, {"dtype": "int8", "copies": 1 / 16}, litert_runner)}
    print("| network | file | kB | alone, kB | ratio | without tables | largest error | 25 / 50 / 75 / 100 %, us | alone, us |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in networks:
            model, x = build(name), np.random.default_rng(0).normal(size=(1, *NETWORKS[name])).astype(np.float32)
            trees = [random_variables(model, x, seed=k) for k in range(len(WIDTHS))]
            trees = [{**tree, "params": trees[0]["params"]} for tree in trees]
            graph = trace(model, trees[0], x)
            for form, (module, options, runner) in forms.items():
                made = module.export(model, trees, graph, WIDTHS, Path(folder) / "nested", **options)
                full = module.export(model, trees[-1], graph, WIDTHS[-1:], Path(folder) / "alone",
                                     **{key: v for key, v in options.items() if key == "dtype"})
                times, errors = [], []
                for k in range(len(WIDTHS)):
                    run, expected = runner(made.path, k, x, alone=False), made.expected(k, x)
                    errors.append(np.abs(run() - expected).max() / np.abs(expected).max())
                    times.append(microseconds(run, repeat))
                single = microseconds(runner(full.path, 0, x, alone=True), repeat)
                print(f"| {name} | {form} | {made.file_bytes / 1000:,.1f} | {full.file_bytes / 1000:,.1f} "
                      f"| {made.file_bytes / full.file_bytes:.3f} "
                      f"| {(made.file_bytes - made.table_bytes) / full.file_bytes:.3f} | {max(errors):.0e} "
                      f"| {' / '.join(f'{t:,.0f}' for t in times)} | {single:,.0f} |", flush=True)


if __name__ == "__main__":
    tyro.cli(main)
