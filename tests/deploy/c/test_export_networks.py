"""What the compiled networks answer: floats to 1e-4 of what JAX answers, int8 bit for bit, every subnetwork, in any order."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from bodies import (
    Body,
    dense_on_an_image,
    dense_on_an_image_channel_by_channel,
    depthwise_on_an_image,
    max_pool_on_an_image,
    mean_pool_on_an_image,
    normalised_then_padded,
    raw_and_activated,
    twice_the_image,
)
from c_exports import make
from device_cases import case_of, inputs, pushed
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reds_jax.deploy.c.export import export
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet
from reds_jax.testing import strategies as draws

pytestmark = pytest.mark.usefixtures("as_users_write")

DTYPES = ("float32", "int8")
NETWORKS = ("dnn_s", "cnn", "ds_cnn", "mobilenet_relu6", "mobilenet", "resnet8", "resnet")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_library_networks(library, exports, networks, name: str, dtype: str) -> None:
    made, network, x = exports(name, dtype), networks(name, dtype), library(name).x
    assert len(network) == 3
    for k in (2, 0, 1):
        assert network.adapt(k)
        assert network.active == k
        made.assert_answers(network, k, x)


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
@pytest.mark.parametrize("dtype", DTYPES)
def test_clang_has_no_warnings_and_the_same_answers(library, exports, compiler, dtype: str) -> None:
    for name in ("ds_cnn", "resnet"):
        made = exports(name, dtype)
        network = compiler.load(made.folder, cc="clang")
        for k in range(3):
            network.adapt(k)
            made.assert_answers(network, k, library(name).x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("body", [dense_on_an_image, dense_on_an_image_channel_by_channel, max_pool_on_an_image,
                                  mean_pool_on_an_image, depthwise_on_an_image, normalised_then_padded, raw_and_activated,
                                  twice_the_image],
                         ids=lambda body: body.__name__)
def test_what_reads_an_image_first(compiler, tmp_path, body, dtype: str) -> None:
    """An image [H, W, 3] lies in another order than the arrays behind it."""
    case = case_of(Body(body), (7, 5, 3))
    made = make(case.program, case.x, dtype, tmp_path / "export")
    network = compiler.load(made.folder)
    for k in range(2):
        network.adapt(k)
        made.assert_answers(network, k, case.x)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(st.data())
def test_random_networks(compiler, tmp_path_factory, data: st.DataObject) -> None:
    net, shape = data.draw(draws.networks(device=True))
    case = case_of(net, shape, lambda graph: data.draw(draws.nested_widths(graph)))
    dtype = data.draw(st.sampled_from(DTYPES))
    program, x = case.program, case.x
    if dtype == "int8":
        program = pushed(program, data.draw(st.lists(st.sampled_from([0.0, -1.0, 1.0, 1.0, 300.0]), min_size=1)))
        x = np.concatenate([x, 3 * inputs(shape, 2, 1)])  # some are larger than what was calibrated with
    try:
        made = make(program, case.x, dtype, tmp_path_factory.mktemp("random") / "export")
    except InvalidArgumentError as error:
        if "too large for a ReLU6" not in str(error):
            raise
        assume(False)
    network = compiler.load(made.folder)
    order = data.draw(st.lists(st.integers(0, program.subnetworks - 1), min_size=1, max_size=6))
    for k in order:  # what ran before, in the same arena, changes nothing
        assert network.adapt(k)
        made.assert_answers(network, k, x)
        assert network.active == k


def test_adapting_between_invocations_changes_no_answer(library, exports, networks) -> None:
    """Every bit is the same as in a network that has never been another one."""
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        made, network = exports("resnet", dtype), networks("resnet", dtype)
        x = made.given(library("resnet").x)
        first = {}
        for k in rng.integers(0, 3, 40):
            assert network.adapt(int(k))
            assert not [network.adapt_to_budget(0), network.adapt(99)][rng.integers(0, 2)]
            answer = network.invoke(x).tobytes()
            assert first.setdefault(int(k), answer) == answer
        assert len(set(first.values())) == 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_tables_are_shared_only_where_all_of_them_agree(compiler, tmp_path, dtype: str) -> None:
    """Two subnetworks whose batch statistics differ in one channel, the last; and two that do not differ."""
    norm = LayerSpec("dense", 4, norm=True, act="relu")
    case = case_of(RandomNet((norm,), ((),), 2), (5,), (1.0, 1.0))
    *rest, logits = case.program.operations
    other = rest[0].scale[0] * np.float32([1, 1, 1, 3])
    sizes = []
    for second in (rest[0].scale[0], other):
        hidden = replace(rest[0], scale=(rest[0].scale[0], second), offset=(rest[0].offset[0],) * 2)
        program = replace(case.program, operations=(hidden, *rest[1:], logits))
        made = make(program, case.x, dtype, tmp_path / str(len(sizes)))
        network = compiler.load(made.folder)
        sizes.append(network.facts["table_bytes"])
        for k in range(2):
            network.adapt(k)
            made.assert_answers(network, k, case.x)
    assert sizes[1] > sizes[0] == network.facts["largest_table_bytes"] == 8 * (4 + 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_export_of_a_model(compiler, tmp_path, dtype: str) -> None:
    """From the model itself, with JAX for the calibration and the recorded answers; the softmax is part of a float network."""
    conv = LayerSpec("conv", 4, (2, 2), norm=True, act="leaky_relu")
    net = RandomNet((conv,), ((LayerSpec("flatten"),),), 3, ending="softmax")
    case = case_of(net, (4, 3, 2), n=12)
    done = export(net, case.trees, case.graph, case.widths, tmp_path / "export", dtype, calibration=[case.x])
    network = compiler.load(done.folder)
    for k in range(2):
        network.adapt(k)
        x = case.x if dtype == "float32" else done.quantized.input_scale.quantize(case.x)
        expected, found = done.expected(k, case.x), network.invoke(x)
        if dtype == "int8":
            np.testing.assert_array_equal(found, expected)
        else:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
            np.testing.assert_allclose(found, case.expected(k), rtol=0, atol=1e-4)
    assert network.facts["ends_in"] == "softmax"
    assert [s["macs"] for s in network.facts["subnetworks"]] == list(case.program.macs)
