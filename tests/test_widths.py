"""Widths: what is allowed, and how a fraction is rounded."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.errors import WidthError
from reds_jax.widths import Widths, check_width, fraction_of


@given(st.floats(0, 1, exclude_min=True), st.integers(1, 10_000))
def test_a_fraction_keeps_at_least_one_and_at_most_all(fraction: float, size: int) -> None:
    n = fraction_of(fraction, size)
    assert 1 <= n <= size
    assert n == 1 or abs(n - fraction * size) <= 0.5 + 1e-9


@given(st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True), st.integers(1, 1000))
def test_a_larger_fraction_keeps_no_less(a: float, b: float, size: int) -> None:
    assert fraction_of(min(a, b), size) <= fraction_of(max(a, b), size)


@pytest.mark.parametrize("width", [0, -0.5, 1.0001, 2, float("nan"), float("inf"), True, "0.5", None, [0.5], 1j])
def test_a_width_that_is_not_allowed(width: object) -> None:
    with pytest.raises(WidthError, match=r"a fraction in \(0, 1\], or Widths") as caught:
        check_width(width)  # type: ignore[arg-type]
    assert repr(width) in str(caught.value) or width is None
    assert "graph.widths" in str(caught.value)


def test_what_is_allowed() -> None:
    widths = Widths.of({"a": 1})
    for width in (1, 1.0, 0.001, np.float32(0.5), widths):
        assert check_width(width) is width


def test_widths_are_a_mapping_that_can_be_a_static_argument() -> None:
    widths = Widths.of({"stem": 8, "block": np.int64(12)})
    assert dict(widths) == {"stem": 8, "block": 12}
    assert (len(widths), list(widths), widths.values_tuple()) == (2, ["stem", "block"], (8, 12))
    assert widths == Widths((("stem", 8), ("block", 12)))
    assert hash(widths) == hash(Widths.of({"stem": np.int32(8), "block": 12}))
    assert widths != Widths.of({"stem": 8, "block": 11})
    assert pickle.loads(pickle.dumps(widths)) == widths
    assert all(type(n) is int for n in widths.values_tuple())


@pytest.mark.parametrize("n", [0, -1, 2.7, 2.0, True, "3", None])
def test_a_group_that_has_no_positive_integer(n: object) -> None:
    with pytest.raises(WidthError, match="the width of group 'stem' is not a positive integer"):
        Widths.of({"stem": n})  # type: ignore[dict-item]

