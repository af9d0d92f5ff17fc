"""The C files of a front end: what is written, and what is refused by name."""

import numpy as np
import pytest

from reds_jax.data import MFCC, Normalise
from reds_jax.deploy.front_end import FixedTables, Tables, c_files
from reds_jax.deploy.front_end.tables import LONGEST
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError


@pytest.mark.parametrize(("call", "message"), [
    (lambda: c_files(Normalise((0.5,), (0.5,))), "is an MFCC; got 'Normalise'"),
    (lambda: c_files(MFCC(window_ms=4001)), f"window is too long.*up to {LONGEST} samples"),
    (lambda: c_files(MFCC(bands=4097)), "too many bands.*up to 4096"),
    (lambda: c_files(MFCC(), "2nd"), "no prefix of C identifiers"),
    (lambda: c_files(MFCC(), arithmetic="int8"), "no such arithmetic.*'float32' or 'fixed'"),
    (lambda: c_files(MFCC(), "reds", "fixed", Scale(1e-5, 0)), "scale of the input is too small"),
    (lambda: FixedTables.of(MFCC())(np.zeros((1, 640), np.float32)), "takes waveforms.*int16"),
    (lambda: FixedTables.of(MFCC())(np.zeros((1, 639), np.int16)), "takes waveforms.*640 or more"),
])
def test_what_the_device_does_not_run_is_refused(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


def test_the_header_names_the_sizes_and_the_grid():
    mfcc, grid = MFCC(stride_ms=40, coefficients=12), Scale(0.75, -3)
    single, fixed = c_files(mfcc, "kws", grid=grid), c_files(mfcc, "kws", "fixed", grid)
    for header in (single["kws_front_end.h"], fixed["kws_front_end.h"]):
        for line in ("SAMPLE_RATE 16000u", "WINDOW 640u", "STRIDE 640u", "COEFFICIENTS 12u", "SCRATCH 1024u"):
            assert f"#define KWS_MFCC_{line} " in header.replace("\n", " ")
    assert "#define KWS_MFCC_SCALE 0.75f " in single["kws_front_end.h"]
    assert "#define KWS_MFCC_ZERO (-3)\n" in single["kws_front_end.h"]
    assert "extern const reds_mfcc_grid kws_front_end_grid;" in fixed["kws_front_end.h"]
    assert "GRID" not in c_files(mfcc, "kws", "fixed")["kws_front_end.h"].upper()
    assert set(single) ^ set(fixed) == {"reds_mfcc_f32.c", "reds_mfcc_s32.c"}


@pytest.mark.parametrize("mfcc", [MFCC(), MFCC(window_ms=40, bands=1, coefficients=1), MFCC(window_ms=1000, bands=400)])
def test_the_tables_of_integers_use_their_bits_and_no_sum_can_leave_32(mfcc):
    fixed, t = FixedTables.of(mfcc), Tables.of(mfcc)
    largest = 2 * 32768 * fixed.half[: mfcc.window // 2].astype(int).sum() * 2 * 2**fixed.fraction / 65536  # |2 X|
    assert largest < 2**31 * 0.99
    assert fixed.fraction == 0 or 2.2 * largest > 2**31 * 0.9
    sums = np.abs(fixed.basis.astype(int)).sum(axis=0).max() * 2**10  # a logarithm is below 64, with 20 bits behind the point
    assert sums < 2**31
    assert fixed.basis_fraction >= 17
    np.testing.assert_allclose(fixed.weights / 65536, t.weights, atol=2**-16)
    np.testing.assert_allclose(fixed.basis / 2.0 ** (fixed.basis_fraction - 4), t.basis * np.log(2), atol=2**-16)
