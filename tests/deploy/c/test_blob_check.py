"""The check of weights from outside (reds_blob.c): what is whole and fits is taken, everything else is named."""

import ctypes
import struct
import zlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.deploy.board import host
from reds_jax.deploy.c import blob

FITS, NOT_ALIGNED, NO_WEIGHTS, OTHER_FORMAT, OTHER_NETWORK, CUT_SHORT, DAMAGED = range(7)
LAYOUT = blob.layout("a network")


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """``reds_blob_check`` on bytes at an address that is a multiple of 4, or ``shift`` further."""
    runtime = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
    library = tmp_path_factory.mktemp("blob") / "blob.so"
    done = host.run([host.compiler(), *host.WARNINGS, "-O2", "-shared", "-fPIC", str(runtime / "reds_blob.c"), "-o",
                     str(library)])
    assert done.returncode == 0, done.stderr
    function = ctypes.CDLL(str(library)).reds_blob_check
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_uint32)

    def checked(data: bytes, bytes_of_network: int, *, shift: int = 0) -> int:
        memory = np.zeros(len(data) + 8, np.uint8)
        start = -memory.ctypes.data % 4 + shift
        memory[start : start + len(data)] = np.frombuffer(data, np.uint8)
        return function(memory.ctypes.data + start, len(data), np.array(LAYOUT, np.uint32).ctypes.data, bytes_of_network)

    checked.function = function
    return checked


contents = st.binary(max_size=64).map(lambda b: b + bytes(-len(b) % 4))


@given(contents, st.integers(0, 2**32 - 1), st.binary(max_size=8))
def test_what_was_packed_for_the_network_fits_also_with_bytes_behind_it(check, content, revision, behind):
    data = blob.pack(content, LAYOUT, revision)
    assert check(data + behind, len(data)) == FITS
    assert struct.unpack("<I", data[20:24]) == (revision,)


@given(contents, st.data())
def test_one_changed_bit_is_refused_wherever_it_is(check, content, draw):
    data = bytearray(blob.pack(content, LAYOUT))
    size = len(data)
    bit = draw.draw(st.integers(0, 8 * size - 1))
    data[bit // 8] ^= 1 << bit % 8
    expected = (NO_WEIGHTS if bit < 32 else OTHER_FORMAT if bit < 64 else OTHER_NETWORK if bit < 160 else DAMAGED)
    assert check(bytes(data), size) == expected


@given(contents, st.data())
def test_what_was_cut_off_is_refused(check, content, draw):
    data = blob.pack(content, LAYOUT)
    kept = draw.draw(st.integers(0, len(data) - 1))
    assert check(data[:kept], len(data)) == (NO_WEIGHTS if kept < 28 else CUT_SHORT)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_refused(check, data):
    assert check(data, 28) != FITS or (data[:4] == b"REDS" and zlib.crc32(data[:24]) == struct.unpack("<I", data[24:28])[0])


def test_weights_of_another_layout_or_size_null_and_odd_addresses_are_named(check):
    data = blob.pack(bytes(8), LAYOUT)
    assert check(blob.pack(bytes(8), blob.layout("another network")), len(data)) == OTHER_NETWORK
    assert check(data, len(data) + 4) == OTHER_NETWORK
    assert check(data, len(data), shift=2) == NOT_ALIGNED
    assert check.function(None, 0, np.array(LAYOUT, np.uint32).ctypes.data, 28) == NOT_ALIGNED
