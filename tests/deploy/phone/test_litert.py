"""One .tflite file answers as every subnetwork, for any batch, and is hardly larger than the full network alone."""

import sys

import flax.linen as nn
import numpy as np
import pytest
from bodies import BODIES, FUNCTIONS, Body, Conv, Keywords, depthwise
from device_cases import case_of
from exported_files import FUNCTIONS as NAMES
from exported_files import assert_answers, assert_whole_or_not_at_all, explicit_padding, grows_late, reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library_networks import LIBRARY
from scipy import special

from reds_jax.deploy.phone import litert as exporter
from reds_jax.deploy.phone.litert_functions import ERFC
from reds_jax.errors import InvalidArgumentError, MissingDependencyError
from reds_jax.models.dnn import DNN
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")

runtime = pytest.importorskip("ai_edge_litert.interpreter", reason="the package ai-edge-litert is not installed")
QUARTERS = (0.25, 0.5, 0.75, 1.0)


def run(path):
    """Runs subnetwork k of a file on a batch."""
    interpreter = runtime.Interpreter(str(path), num_threads=1)
    return lambda k, x: interpreter.get_signature_runner(f"subnetwork_{k}")(input=x)["output"]


def exported(case, path, dtype="float32", **options):
    return exporter.export(case.model, case.trees, case.graph, case.widths, path, dtype, **options)


def alone(case, path, dtype="float32"):
    """The file of the full network."""
    return exporter.export(case.model, case.trees[-1], case.graph, case.widths[-1:], path, dtype)


@pytest.mark.parametrize(("name", "copies"), [*((name, 0) for name in LIBRARY), ("dnn_l", 1), ("ds_cnn", 1 / 16),
                                              ("mobilenet", 1 / 16), ("resnet", 1 / 16), ("resnet", 1)])
def test_library_networks(library, name, copies, tmp_path):
    case = library(name)
    exported(case, tmp_path / "nested.tflite", copies=copies)
    assert_answers(case, run(tmp_path / "nested.tflite"))


@pytest.mark.parametrize("body", [*BODIES, explicit_padding, grows_late], ids=lambda body: body.__name__)
def test_users_networks(body, tmp_path):
    case = case_of(Body(body), (7, 5, 3), (0.2, 0.7, 1.0))
    exported(case, tmp_path / "nested.tflite")
    assert_answers(case, run(tmp_path / "nested.tflite"))


def test_a_sequence(tmp_path):
    case = case_of(Keywords(), (17, 4), (0.2, 0.7, 1.0))
    exported(case, tmp_path / "nested.tflite")
    assert_answers(case, run(tmp_path / "nested.tflite"))


@pytest.mark.parametrize("name", NAMES)
def test_functions(name, tmp_path):
    case = case_of(Body(lambda x: FUNCTIONS[name](4 * nn.Dense(6, name="dense")(x.mean((1, 2))))), (2, 3, 4), (0.5, 1.0), n=40)
    exported(case, tmp_path / "nested.tflite")
    assert_answers(case, run(tmp_path / "nested.tflite"))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(data=st.data())
def test_random_networks(data, tmp_path):
    net, shape = data.draw(draws.networks(device=True))
    case = case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph)))
    exported(case, tmp_path / "nested.tflite", copies=data.draw(st.sampled_from([0, 0.1, 1])))
    assert_answers(case, run(tmp_path / "nested.tflite"))


@pytest.mark.parametrize(("name", "copies"), [("dnn_l", 0), ("cnn_s", 0), ("ds_cnn_s", 0), ("ds_cnn_l", 0), ("resnet8", 0),
                                              ("dnn_s", 1 / 16), ("vision_ds_cnn_s", 1 / 16), ("resnet", 1 / 16)])
def test_8_bit_weights(library, name, copies, tmp_path):
    """Every subnetwork is as near to the floats as 8 bits are."""
    case = library(name)
    made = exported(case, tmp_path / "nested.tflite", "int8", copies=copies)
    assert made.file_bytes < exported(case, tmp_path / "floats.tflite", copies=copies).file_bytes
    assert_answers(case, run(made.path), tolerance=0.05)
    assert np.abs(run(made.path)(2, case.x) - reference(case, 2)).max() > 1e-6


def test_a_relu_is_not_fused_into_what_others_read(tmp_path):
    """Of a convolution without bias, of a product and of a sum, that are read as they are too."""
    def body(x):
        x = Conv(4, use_bias=False, name="conv")(x)
        for layer in ("a", "b"):
            y = Conv(x.shape[-1], use_bias=False, name=layer)(x)
            x = x * y if layer == "a" else x + y
            x = Conv(4, use_bias=False, name=f"next_{layer}")(nn.relu(x)) + nn.relu6(x) - x
        return nn.relu(x) + x

    case = case_of(Body(body), (7, 5, 3), (0.5, 1.0))
    exported(case, tmp_path / "nested.tflite")
    assert_answers(case, run(tmp_path / "nested.tflite"))


def test_the_polynomial_of_the_error_function():
    x = np.linspace(0, 10, 2001)
    p = np.polynomial.polynomial.polyval(2 / (2 + x), (0, *ERFC))
    np.testing.assert_allclose(p, special.erfcx(x), rtol=1e-7)


@pytest.mark.parametrize(("function", "operation"), [
    (lambda x: nn.gelu(x, approximate=False), "GELU"), (nn.gelu, "GELU"), (nn.hard_swish, "HARD_SWISH"),
    (lambda x: x * nn.relu6(x + 3) / 6, "RELU6"), (nn.sigmoid, "LOGISTIC"), (nn.tanh, "TANH")])
def test_an_operation_of_the_runtime_where_it_is_the_same(function, operation, tmp_path):
    """Written another way it is several, never a nearly equal one."""
    case = case_of(Body(lambda x: Conv(3, name="next")(function(Conv(4, name="conv")(x)))), (4, 5, 3), (1.0,))
    exported(case, tmp_path / "one.tflite")
    names = [op["op_name"] for op in runtime.Interpreter(str(tmp_path / "one.tflite"))._get_ops_details()]
    if operation == "RELU6":
        assert "HARD_SWISH" not in names
        assert "MINIMUM" in names
    else:
        assert names.count(operation) == 1
        assert not {"MUL", "ADD", "EXP", "ABS"} & set(names)


def test_as_jax_answers(library, tmp_path):
    case = library("ds_cnn")
    made = exported(case, tmp_path / "nested.tflite")
    for k in range(3):
        np.testing.assert_allclose(run(made.path)(k, case.x), made.expected(k, case.x), rtol=0, atol=1e-4)


def test_the_signatures(library, tmp_path):
    case = library("dnn_l")
    made = exported(case, tmp_path / "nested.tflite")
    interpreter = runtime.Interpreter(model_content=made.path.read_bytes(), num_threads=1)  # from memory too
    names = {"inputs": ["input"], "outputs": ["output"]}
    assert interpreter.get_signature_list() == {f"subnetwork_{k}": names for k in range(3)}
    answers = [interpreter.get_signature_runner(f"subnetwork_{k}")(input=case.x)["output"] for k in range(3)]
    assert np.abs(answers[0] - answers[2]).max() > 1e-3


def wide_without_norm(x):
    x = nn.Conv(96, (3, 3), name="conv")(x)
    return nn.Conv(128, (3, 3), name="next")(depthwise(x))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("make", [lambda: DNN(12, (256, 256)), lambda: Body(wide_without_norm)], ids=["dnn", "depthwise"])
def test_the_weights_are_there_once(make, dtype, tmp_path):
    case = case_of(make(), (10, 8, 3), QUARTERS)
    made, full = exported(case, tmp_path / "nested.tflite", dtype), alone(case, tmp_path / "alone.tflite", dtype)
    assert made.weight_bytes == full.weight_bytes == sum(
        op.weights.size * (1 if dtype == "int8" and op.kind != "depthwise" else 4)
        for op in made.program.operations if op.weights is not None)
    assert made.table_bytes == full.table_bytes == 0
    assert made.file_bytes == made.path.stat().st_size <= 1.1 * full.file_bytes


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_batch_norm_adds_its_tables(library, dtype, tmp_path):
    case = library("ds_cnn_l")
    made, full = exported(case, tmp_path / "nested.tflite", dtype), alone(case, tmp_path / "alone.tflite", dtype)
    assert made.weight_bytes == full.weight_bytes
    assert made.table_bytes > 0
    assert made.file_bytes - made.table_bytes <= 1.1 * full.file_bytes


def test_copies_are_what_was_allowed(library, tmp_path):
    """The smallest subnetwork gets its own dense weights, and the next does not."""
    case = library("dnn_l")
    once = exported(case, tmp_path / "once.tflite")
    copied, all_copied = (exported(case, tmp_path / f"{copies}.tflite", copies=copies) for copies in (1 / 16, 1))
    small = [op.weights.nbytes for op in once.program.operations if op.weights is not None]
    first = [4 * once.program.row(op, 0) * once.program.tensors[op.output].channels[0] for op in once.program.operations]
    copies = sum(n for n, most, op in zip(first, small, once.program.operations, strict=True)
                 if n <= most / 16 and once.program.row(op, 0) < op.weights.shape[1])
    assert copied.weight_bytes == once.weight_bytes + copies
    assert 0 < copied.file_bytes - once.file_bytes <= once.weight_bytes / 16
    assert exported(case, tmp_path / "fewer.tflite", copies=1 / 20).weight_bytes == once.weight_bytes
    assert all_copied.file_bytes > 1.2 * once.file_bytes


def test_constants_lie_at_multiples_of_16(library, tmp_path):
    """As the schema asks, so that vector units can load them from the mapped file."""
    from ai_edge_litert import schema_py_generated as schema

    data = exported(library("ds_cnn"), tmp_path / "nested.tflite").path.read_bytes()
    model = schema.Model.GetRootAs(data, 0)
    inside, views = [], []
    for i in range(model.BuffersLength()):
        buffer = model.Buffers(i)
        if buffer.DataLength():
            inside.append(buffer._tab.Vector(buffer._tab.Offset(4)))
        elif buffer.Size():
            views.append(buffer.Offset())
            assert buffer.Offset() + buffer.Size() <= len(data)
    assert len(inside) > 5
    assert len(set(views)) < len(views)
    assert not [start for start in inside + views if start % 16]


def test_a_file_is_written_whole_or_not_at_all(library, tmp_path, monkeypatch):
    case = library("ds_cnn")
    path = exported(case, tmp_path / "nested.tflite").path
    assert_whole_or_not_at_all(path, lambda: alone(case, path), monkeypatch)


def test_what_is_wrong_is_said(library, tmp_path, monkeypatch):
    case = library("ds_cnn")
    with pytest.raises(InvalidArgumentError, match="number format"):
        exported(case, tmp_path / "nested.tflite", "int4")
    with pytest.raises(InvalidArgumentError, match="copies"):
        exported(case, tmp_path / "nested.tflite", copies=-1)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'reds_jax\[litert\]'"):
        exported(case, tmp_path / "nested.tflite")
    assert not list(tmp_path.iterdir())
