"""ONNX and LiteRT files of joined, grouped, shuffled, dilated and padded networks answer as every subnetwork."""

import numpy as np
import pytest
from exported_files import assert_answers
from joined_bodies import OTHERS, QUICK

from reds_jax.deploy.phone import litert, onnx

pytestmark = pytest.mark.usefixtures("as_users_write")

FEW = ("joined_again", "joined_vectors", "multiplied_joined", "shuffled", "dilated_once")
NAMES = [*FEW, *(pytest.param(b.__name__, marks=pytest.mark.slow) for b in (*QUICK, *OTHERS) if b.__name__ not in FEW)]


@pytest.mark.parametrize("name", NAMES)
def test_onnx(joined, tmp_path, name: str) -> None:
    pytest.importorskip("onnx", reason="the package onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    case = joined(name)
    onnx.export(case.model, case.trees, case.graph, case.widths, tmp_path / "nested.onnx")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(tmp_path / "nested.onnx"), options, providers=["CPUExecutionProvider"])
    assert_answers(case, lambda k, x: session.run(None, {"input": x, "subnetwork": np.array(k)})[0])


@pytest.mark.parametrize(("dtype", "copies", "tolerance"), [
    ("float32", 0, 1e-5), *(pytest.param(*rest, marks=pytest.mark.slow) for rest in [("float32", 1, 1e-5), ("int8", 0, 0.05)])])
@pytest.mark.parametrize("name", NAMES)
def test_litert(joined, tmp_path, name: str, dtype, copies: float, tolerance: float) -> None:
    runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="the package ai-edge-litert is not installed")
    case = joined(name)
    litert.export(case.model, case.trees, case.graph, case.widths, tmp_path / "nested.tflite", dtype, copies=copies)
    interpreter = runtime.Interpreter(str(tmp_path / "nested.tflite"), num_threads=1)
    assert_answers(case, lambda k, x: interpreter.get_signature_runner(f"subnetwork_{k}")(input=x)["output"], tolerance)
