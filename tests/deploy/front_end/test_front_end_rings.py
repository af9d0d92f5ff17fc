"""The rings of the front end: frames do not depend on how samples come, features are in time order; and the way to int8."""

from fractions import Fraction

import numpy as np
import pytest
from compiled_front_end import compiled
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data import MFCC
from reds_jax.deploy.front_end.fixed import FixedGrid
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError

OVERLAPPING, APART = MFCC(window_ms=8, stride_ms=3), MFCC(window_ms=4, stride_ms=7)
PIECES = st.lists(st.sampled_from([1, 2, 7, 63, 64, 65, 160, 500]), min_size=1, max_size=6)


@pytest.mark.parametrize("mfcc", [OVERLAPPING, APART], ids=["overlapping", "apart"])
@given(pieces=PIECES)
@settings(max_examples=25, deadline=None)
def test_frames_do_not_depend_on_the_pieces(mfcc, pieces):
    c, clip = compiled(mfcc), np.random.default_rng(0).integers(-3000, 3000, 2000).astype(np.int16)
    np.testing.assert_array_equal(c.float32(clip, pieces), c.float32(clip))
    np.testing.assert_array_equal(c.fixed(clip, pieces), c.fixed(clip))


@pytest.mark.parametrize("mfcc", [OVERLAPPING, APART], ids=["overlapping", "apart"])
@given(pieces=st.lists(st.integers(0, 200), max_size=40))
@settings(max_examples=50, deadline=None)
def test_a_push_stops_where_a_frame_is_complete(mfcc, pieces):
    clip, at, frames = np.arange(8000).astype(np.int16), 0, 0
    for offered, taken, frame in compiled(mfcc).pushed(clip, pieces):
        end = mfcc.window + frames * mfcc.stride  # of the frame that is not complete yet
        assert taken == min(offered, end - at)
        at += taken
        frames += at == end
        complete = frames > 0 and at == mfcc.window + (frames - 1) * mfcc.stride  # still, where nothing was offered
        assert frame == (list(range(at - mfcc.window, at)) if complete else [])


@given(length=st.integers(1, 6), count=st.integers(1, 20), int8=st.booleans())
@settings(max_examples=50, deadline=None)
def test_features_are_the_last_frames_in_time_order(length, count, int8):
    rng = np.random.default_rng(count)
    frames = rng.integers(-128, 128, (count, 5)).astype(np.int8) if int8 else rng.normal(size=(count, 5)).astype(np.float32)
    zero = -77 if int8 else 0
    padded = np.concatenate([np.full((length, 5), zero, frames.dtype), frames])
    windows = list(compiled(OVERLAPPING).windows(frames, length, zero))
    assert [n for _, n in windows] == [min(i + 1, length) for i in range(count)]
    for i, (window, _) in enumerate(windows):
        np.testing.assert_array_equal(window, padded[i + 1 : i + 1 + length])


@given(scale=st.floats(0.01, 4), zero=st.integers(-128, 127), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_float_coefficients_go_to_the_grid_as_in_python(scale, zero, seed):
    scale = float(np.float32(scale))
    x = np.random.default_rng(seed).normal(size=200).astype(np.float32) * np.float32(70)
    x[:64] = (np.arange(-32, 32) + np.float32(0.5)) * np.float32(scale)  # halves
    x[64:66] = np.inf, -np.inf
    np.testing.assert_array_equal(compiled(OVERLAPPING).float_to_int8(x, scale, zero), Scale(scale, zero).quantize(x))


@given(scale=st.floats(2.0**-13, 100), zero=st.integers(-128, 127), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_integers_go_to_the_nearest_grid_point(scale, zero, seed):
    grid = FixedGrid.of(Scale(scale, zero))
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.integers(-(2**31), 2**31, 50), (rng.normal(size=50) * 100 * scale * 65536).clip(-2**31, 2**31 - 1),
                        [0, -(2**31), 2**31 - 1]]).astype(np.int32)
    found = compiled(OVERLAPPING).fixed_to_int8(x, grid)
    np.testing.assert_array_equal(found, grid.quantize(x))
    for value, stored in zip(x.tolist(), found.tolist(), strict=True):
        exact = Fraction(value, 65536) / Fraction(scale) + zero
        nearest = min(127, max(-128, exact))
        assert abs(stored - nearest) <= Fraction(1, 2) + Fraction(1, 2**grid.shift)


def test_a_grid_that_is_too_fine_is_refused():
    with pytest.raises(InvalidArgumentError, match="scale of the input is too small"):
        FixedGrid.of(Scale(2.0**-16, 0))
