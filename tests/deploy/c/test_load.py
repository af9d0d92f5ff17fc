"""Weights from outside: a network that is given those of another training answers as that one, and refuses all others."""

import ctypes

import numpy as np
import pytest
from c_exports import make_case
from device_cases import case_of
from every_layer import SHAPE, Everything
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from reds_jax.data import Normalise
from reds_jax.deploy.board.host import FITS, HostNetwork
from reds_jax.deploy.c import blob
from reds_jax.deploy.c.export import export


@pytest.fixture(scope="module", params=["int8", "float32"])
def two(request, tmp_path_factory):
    """Two trainings of one network, exported, and the bytes of their weights."""
    folder, found = tmp_path_factory.mktemp("load"), []
    for seed in (0, 7):
        case = case_of(Everything(), SHAPE, seed=seed)
        made = make_case(case, request.param, folder / str(seed), revision=10 + seed)
        found.append((case, made, (made.folder / "reds_weights.bin").read_bytes()))
    return found


@pytest.fixture(scope="module")
def network(two):
    """The first, compiled."""
    return HostNetwork(two[0][1].folder)


def answers(made, network, x) -> None:
    for k in range(2):
        assert network.adapt(k)
        made.assert_answers(network, k, x)


def test_a_network_that_is_given_other_weights_is_the_other_network_and_back(two):
    (case, first, own), (_, second, other) = two
    network = HostNetwork(first.folder, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover")
    revision = network._function("revision")
    answers(first, network, case.x)
    assert revision() == 10
    assert network.load(other) == FITS[0]
    answers(second, network, case.x)
    assert revision() == 17
    info = network._function("info", ctypes.c_uint32)
    info.restype = ctypes.POINTER(ctypes.c_float * 4)
    if second.quantized:  # the grids of input and output are the other's too
        assert info(1).contents[2] == np.float32(second.quantized.output_scale(1).scale)
        np.testing.assert_array_equal(network.quantize(case.x), second.given(case.x))
    assert network.load(own + bytes(64)) == FITS[0]
    answers(first, network, case.x)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_pixels_lie_on_the_grid_of_the_loaded_weights(tmp_path, dtype):
    """What a camera sees is normalised as in the other training, and put on its grid."""
    exported = []
    for k, factor in enumerate((1.0, 3.0)):
        case = case_of(Everything(), SHAPE, seed=k)
        exported.append(export(case.model, case.trees, case.graph, case.widths, tmp_path / str(k), dtype, revision=k,
                               calibration=[factor * case.x], normalise=Normalise((0.4,) * 3, (0.1 / factor,) * 3)))
    first, second = (HostNetwork(e.folder) for e in exported)
    pixels = np.arange(2 * 6 * 6 * 3, dtype=np.uint8).reshape(2, *SHAPE)
    assert not np.array_equal(first.from_pixels(pixels), second.from_pixels(pixels))
    assert first.load((exported[1].folder / "reds_weights.bin").read_bytes()) == FITS[0]
    np.testing.assert_array_equal(first.from_pixels(pixels), second.from_pixels(pixels))
    for k in range(2):
        assert first.adapt(k)
        assert second.adapt(k)
        np.testing.assert_array_equal(first.invoke(first.from_pixels(pixels)), second.invoke(second.from_pixels(pixels)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_damaged_weights_are_refused_and_nothing_changes(two, network, data):
    (case, _, _), (_, _, other) = two
    bad = bytearray(other)
    for _ in range(data.draw(st.integers(1, 3))):
        bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    bad = bytes(bad[: data.draw(st.just(len(bad)) | st.integers(0, len(bad)))])
    assume(bad != other)
    assert network.load(bad) != FITS[0]
    answers(two[0][1], network, case.x[:1])


def test_weights_of_another_network_are_refused(two, tmp_path):
    (case, first, own), _ = two
    other = case_of(Everything(), SHAPE, (0.25, 1.0))
    made = make_case(other, "int8" if first.quantized else "float32", tmp_path, revision=1)
    data = (made.folder / "reds_weights.bin").read_bytes()
    network = HostNetwork(first.folder)
    assert network.load(data) == FITS[4]
    assert network.load(blob.pack(own[24:-4], blob.layout("another"))) == FITS[4]
    assert network.load(b"") == FITS[2]
    answers(first, network, case.x)


def test_a_build_without_the_larger_subnetworks_takes_the_same_weights(two):
    (case, first, _), (_, second, other) = two
    network = HostNetwork(first.folder, "-DREDS_LARGEST=0", "-O1")
    assert network.load(other) == FITS[0]
    assert network.adapt(0)
    assert not network.adapt(1)
    second.assert_answers(network, 0, case.x)
