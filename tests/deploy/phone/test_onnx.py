"""One ONNX file answers as every subnetwork, for any batch, and is hardly larger than the full network alone."""

import json
import sys

import flax.linen as nn
import numpy as np
import pytest
from bodies import BODIES, FUNCTIONS, Body, Keywords, depthwise
from device_cases import case_of
from exported_files import FUNCTIONS as NAMES
from exported_files import assert_answers, assert_whole_or_not_at_all, explicit_padding, grows_late, reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from library_networks import LIBRARY

from reds_jax.deploy.phone import onnx as exporter
from reds_jax.errors import InvalidArgumentError, MissingDependencyError
from reds_jax.models.dnn import DNN
from reds_jax.network import NestedNetwork
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
runtime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
QUARTERS = (0.25, 0.5, 0.75, 1.0)


def run(path):
    """Runs subnetwork k of a file on a batch."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    several = len(session.get_inputs()) > 1
    return lambda k, x: session.run(None, {"input": x, **({"subnetwork": np.array(k)} if several else {})})[0]


def exported(case, path):
    return exporter.export(case.model, case.trees, case.graph, case.widths, path)


def alone(case, path):
    """The file of the full network."""
    return exporter.export(case.model, case.trees[-1], case.graph, case.widths[-1:], path)


@pytest.mark.parametrize("name", LIBRARY)
def test_library_networks(library, name, tmp_path):
    case = library(name)
    exported(case, tmp_path / "nested.onnx")
    assert_answers(case, run(tmp_path / "nested.onnx"))


@pytest.mark.parametrize("body", [*BODIES, explicit_padding, grows_late], ids=lambda body: body.__name__)
def test_users_networks(body, tmp_path):
    case = case_of(Body(body), (7, 5, 3), (0.2, 0.7, 1.0))
    exported(case, tmp_path / "nested.onnx")
    assert_answers(case, run(tmp_path / "nested.onnx"))


def test_a_sequence(tmp_path):
    case = case_of(Keywords(), (17, 4), (0.2, 0.7, 1.0))
    exported(case, tmp_path / "nested.onnx")
    assert_answers(case, run(tmp_path / "nested.onnx"))


@pytest.mark.parametrize("name", NAMES)
def test_functions(name, tmp_path):
    case = case_of(Body(lambda x: FUNCTIONS[name](4 * nn.Dense(6, name="dense")(x.mean((1, 2))))), (2, 3, 4), (0.5, 1.0), n=40)
    exported(case, tmp_path / "nested.onnx")
    assert_answers(case, run(tmp_path / "nested.onnx"))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(data=st.data())
def test_random_networks(data, tmp_path):
    net, shape = data.draw(draws.networks(device=True))
    case = case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph)))
    exported(case, tmp_path / "nested.onnx")
    assert_answers(case, run(tmp_path / "nested.onnx"))


def test_as_jax_answers(library, tmp_path):
    case = library("ds_cnn")
    made = exported(case, tmp_path / "nested.onnx")
    for k in range(3):
        np.testing.assert_allclose(run(made.path)(k, case.x), made.expected(k, case.x), rtol=0, atol=1e-4)


def test_the_subnetwork_is_an_index(library, tmp_path):
    """Counted from the end too; an index that no subnetwork has is an error of the runtime."""
    case = library("dnn_l")
    made = exported(case, tmp_path / "nested.onnx")
    answer = run(made.path)
    np.testing.assert_array_equal(answer(-1, case.x), answer(2, case.x))
    assert np.abs(answer(0, case.x) - answer(2, case.x)).max() > 1e-3
    with pytest.raises(Exception, match=r"out of (data )?bounds"):
        answer(3, case.x)
    record = {p.key: json.loads(p.value) for p in onnx.load(made.path).metadata_props}
    assert record["widths"] == [list(w.values_tuple()) for w in case.widths]
    assert record["groups"] == [group.name for group in case.graph.groups]
    assert record["macs"] == [case.graph.macs(w) for w in case.widths]


def numbers(path):
    """How many entries all float constants of a file have."""
    return sum(int(np.prod(i.dims)) for i in onnx.load(path).graph.initializer if i.data_type == onnx.TensorProto.FLOAT)


@pytest.mark.parametrize("make", [lambda: DNN(12, (128, 128)), lambda: Body(wide_without_norm)], ids=["dnn", "depthwise"])
def test_the_weights_are_there_once(make, tmp_path):
    """Without batch norm four subnetworks in one file take as many constants as one, and 2 % more bytes at most."""
    case = case_of(make(), (10, 8, 3), QUARTERS)
    made, full = exported(case, tmp_path / "nested.onnx"), alone(case, tmp_path / "alone.onnx")
    assert numbers(made.path) == numbers(full.path)
    assert made.weight_bytes == sum(op.weights.nbytes for op in made.program.operations if op.weights is not None)
    assert made.table_bytes == full.table_bytes == 0
    assert made.file_bytes == made.path.stat().st_size <= 1.02 * full.file_bytes


def wide_without_norm(x):
    x = nn.Conv(96, (3, 3), name="conv")(x)
    return nn.Conv(128, (3, 3), name="next")(depthwise(x))


@pytest.mark.parametrize("name", ["ds_cnn_s", "ds_cnn_l", "resnet8"])
def test_batch_norm_adds_its_tables_alone(library, name, tmp_path):
    case = library(name)
    made, full = exported(case, tmp_path / "nested.onnx"), alone(case, tmp_path / "alone.onnx")
    assert made.table_bytes > 0
    assert numbers(made.path) == numbers(full.path) + made.table_bytes // 4
    assert made.file_bytes - made.table_bytes <= 1.02 * full.file_bytes


def test_one_subnetwork_is_an_ordinary_model(library, tmp_path):
    case = library("ds_cnn")
    made = alone(case, tmp_path / "alone.onnx")
    graph = onnx.load(made.path).graph
    assert [i.name for i in graph.input] == ["input"]
    assert not {node.op_type for node in graph.node} & {"Slice", "Gather", "Pad"}
    found = run(made.path)(0, case.x)
    np.testing.assert_allclose(found, reference(case, 2), rtol=0, atol=1e-5 * np.abs(found).max())


def test_a_nested_network_brings_its_variables(library, tmp_path):
    case = library("ds_cnn")
    network = NestedNetwork(case.model, case.trees[0]["params"], tuple(t["batch_stats"] for t in case.trees),
                            tuple(case.widths), tuple(case.graph.macs(w) for w in case.widths))
    made = exporter.export(case.model, None, case.graph, network, tmp_path / "nested.onnx")
    assert made.path.read_bytes() == exported(case, tmp_path / "again.onnx").path.read_bytes()


def test_a_file_is_written_whole_or_not_at_all(library, tmp_path, monkeypatch):
    case = library("ds_cnn")
    path = exported(case, tmp_path / "nested.onnx").path
    assert_whole_or_not_at_all(path, lambda: alone(case, path), monkeypatch)


def test_what_is_wrong_is_said(library, tmp_path, monkeypatch):
    case = library("ds_cnn")
    with pytest.raises(InvalidArgumentError, match="not nested"):
        exporter.export(case.model, case.trees, case.graph, case.widths[::-1], tmp_path / "nested.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'reds_jax\[onnx\]'"):
        exported(case, tmp_path / "nested.onnx")
    assert not list(tmp_path.iterdir())
