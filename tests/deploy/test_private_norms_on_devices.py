"""Norms that every subnetwork has of its own reach the device, and take no byte more than shared ones."""

import subprocess
from dataclasses import replace

import jax
import numpy as np
import pytest
from bodies import Body, preactivation
from c_exports import make_case
from device_cases import assert_same_function, case_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reds_jax.adapters import adapt
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.phone import litert, onnx
from reds_jax.errors import InvalidArgumentError, TraceError
from reds_jax.graph.trace import INFERENCE, traced
from reds_jax.program.flat import leaf_path
from reds_jax.program.norms import norm_parameters
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")


def with_private_norms(case, seed=0):
    """The same network with another scale and offset in each subnetwork."""
    pure, first = adapt(case.model, case.trees[0])
    norms, rng = norm_parameters(traced(pure, first, case.x).programs[INFERENCE]), np.random.default_rng(seed)
    trees = [jax.tree_util.tree_map_with_path(
        lambda path, a: rng.normal(size=a.shape).astype(np.float32) if leaf_path(path) in norms else a, tree)
        for tree in case.trees]
    return replace(case, trees=trees, program=lower(case.model, trees, case.widths, case.x))


@pytest.fixture(scope="module")
def cases(library):
    """A network with shared norms and the same with private ones; of one the norms lie before their layers."""
    shared = (library("ds_cnn"), case_of(Body(preactivation), (7, 5, 3), (0.25, 0.6, 1.0)))
    return [(case, with_private_norms(case)) for case in shared]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(st.data())
def test_random_networks(data):
    net, shape = data.draw(draws.networks(device=True, max_layers=4))
    assert_same_function(with_private_norms(case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph)))))


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_the_c_answers_as_every_subnetwork_and_its_constants_take_no_more_bytes(cases, compiler, tmp_path, dtype):
    for number, pair in enumerate(cases):
        networks, constants = [], []
        for name, case in zip(("shared", "private"), pair, strict=True):
            assert_same_function(case)
            folder = tmp_path / f"{name}{number}"
            made = make_case(case, dtype, folder)
            networks.append((made, compiler.load(folder)))
            subprocess.run(["gcc", "-c", "src/reds_model.c", "-o", "model.o"], cwd=folder, check=True)
            sections = subprocess.run(["size", "-A", "model.o"], cwd=folder, check=True, capture_output=True, text=True).stdout
            constants.append([line.split()[:2] for line in sections.splitlines() if ".rodata" in line or ".data" in line])
        (_, before), (made, after) = networks
        for fact in ("weight_bytes", "table_bytes", "largest_table_bytes"):
            assert before.facts[fact] == after.facts[fact] > 0
        assert constants[0] == constants[1] != []
        for k in (2, 0, 1):
            after.adapt(k)
            made.assert_answers(after, k, pair[1].x)


def test_a_nested_network_with_private_norms_in_one_file(cases, tmp_path):
    """Of LiteRT and of ONNX: what is exported is the nested network as it is trained, and the tables stay as long."""
    for pair in cases:
        for package, exporter, suffix in (("ai_edge_litert", litert, "tflite"), ("onnx", onnx, "onnx")):
            pytest.importorskip(package)
            files = [exporter.export(case.model, case.trees, case.graph, case.widths, tmp_path / f"{i}.{suffix}")
                     for i, case in enumerate(pair)]
            assert files[0].weight_bytes == files[1].weight_bytes
            assert files[0].table_bytes == files[1].table_bytes > 0


def test_weights_of_a_layer_that_differ_are_refused(cases, tmp_path):
    case = cases[1][1]
    kernel = case.trees[1]["params"]["logits"]["kernel"]
    other = [case.trees[0], {**case.trees[1], "params": {**case.trees[1]["params"], "logits": {"kernel": kernel + 1}}}]
    with pytest.raises(InvalidArgumentError, match="no array 'params/logits/bias'"):
        onnx.export(case.model, other, case.graph, case.widths[:2], tmp_path / "a.onnx")
    other[1]["params"]["logits"]["bias"] = case.trees[0]["params"]["logits"]["bias"]
    with pytest.raises(TraceError, match="in module 'Body/logits' .*weights that differ between subnetworks"):
        lower(case.model, other, case.widths[:2], case.x)
