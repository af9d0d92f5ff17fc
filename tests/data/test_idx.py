"""Idx files: what is written is read back, and no damaged file is taken for a whole one."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data.idx import read_idx, read_idx_folder, write_idx
from reds_jax.errors import DataError

WriteFolder = Callable[..., None]
shapes = st.lists(st.integers(0, 6), min_size=1, max_size=3)


def array(shape: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@settings(deadline=None)
@given(shape=shapes, seed=st.integers(0, 99), suffix=st.sampled_from(["", ".gz"]))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, shape: list[int], seed: int, suffix: str) -> None:
    path = tmp_path_factory.mktemp("idx") / f"values{suffix}"
    values = array(shape, seed)
    write_idx(path, values)
    np.testing.assert_array_equal(read_idx(path, len(shape)), values)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_file_cut_at_any_byte_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"values{suffix}"
    write_idx(path, array([4, 3, 5], 0))
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="values"):
            read_idx(path, 3)
    path.write_bytes(data + b"\0" if not suffix else gzip.compress(gzip.decompress(data) + b"\0"))
    with pytest.raises(DataError, match="another length"):
        read_idx(path, 3)


def test_a_flipped_bit_in_a_gzip_file_changes_no_value_unseen(tmp_path: Path) -> None:
    path = tmp_path / "values.gz"
    values = array([4, 3, 5], 0)
    write_idx(path, values)
    data = bytearray(path.read_bytes())
    refused = 0
    for position in range(len(data)):
        data[position] ^= 0x10
        path.write_bytes(bytes(data))
        try:
            np.testing.assert_array_equal(read_idx(path, 3), values)  # a bit that gzip does not use
        except DataError:
            refused += 1
        data[position] ^= 0x10
    assert refused > len(data) / 2


@pytest.mark.parametrize("header", ["00000803", "00000d02", "01000802", "50004b03"])
def test_another_kind_of_file_is_an_error(tmp_path: Path, header: str) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes.fromhex(header) + bytes(20))
    with pytest.raises(DataError, match="no idx file of uint8 with 2 dimensions"):
        read_idx(path, 2)


def test_dimensions_that_overflow_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "values"
    path.write_bytes(bytes.fromhex("00000803") + b"\xff" * 12)
    with pytest.raises(DataError, match="another length"):
        read_idx(path, 3)


def test_a_folder_with_and_without_gz(tmp_path: Path, write_folder: WriteFolder) -> None:
    write_folder(tmp_path)
    x_train, y_train, x_test, y_test = read_idx_folder(tmp_path)
    assert x_train.shape == (30, 28, 28, 1)
    assert x_test.shape == (10, 28, 28, 1)
    assert y_train.tolist() == [i % 10 for i in range(30)]
    assert len(y_test) == 10


def test_a_folder_that_is_not_whole(tmp_path: Path, write_folder: WriteFolder) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_idx_folder(tmp_path / "none")
    write_folder(tmp_path, labels=29)
    with pytest.raises(DataError, match="differ in number"):
        read_idx_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(30, np.uint8))
    with pytest.raises(DataError, match="t10k-labels"):
        read_idx_folder(tmp_path)
    with pytest.raises(DataError, match="missing"):
        read_idx(tmp_path / "t10k-labels-idx1-ubyte", 1)


def test_only_uint8_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="uint8"):
        write_idx(tmp_path / "values", np.zeros(3, np.int32))
