"""The front end on emulated Cortex-M: the numbers of this machine, and instruction counts, which are exact and therefore tests.

The counts hold for gcc 12 at -O2, with which they were taken, and newer.
"""

import shutil

import numpy as np
import pytest
from compiled_front_end import reference

from reds_jax.data import MFCC
from reds_jax.deploy.front_end.fixed import FixedTables
from reds_jax.deploy.front_end.on_board import measure
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="qemu-system-arm and arm-none-eabi-gcc are not installed (Debian packages qemu-system-arm, gcc-arm-none-eabi)")
CLIP = np.concatenate([np.random.default_rng(0).integers(-size, size + 1, 900) for size in (32767, 9)]).astype(np.int16)


@pytest.mark.parametrize(("board", "frame", "push"), [("m4", 98_000, 2_700), ("m0", 185_000, 3_400)])
def test_integers_are_those_of_the_model(board, frame, push):
    found, mfcc = measure(MFCC(), "fixed", board, CLIP), MFCC()
    np.testing.assert_array_equal(found.coefficients, FixedTables.of(mfcc)(CLIP[None])[0])
    assert found.frame.max() <= frame
    assert found.push[1:].max() <= push


def test_the_fpu_has_the_numbers_of_the_training_front_end():
    found = measure(MFCC(), "float32", "m4", CLIP)
    np.testing.assert_allclose(found.coefficients, reference(MFCC(), CLIP), atol=1e-4, rtol=0)
    assert found.frame.max() <= 70_000


@pytest.mark.parametrize("clip", [np.zeros(639, np.int16), np.zeros(700, np.int32), np.zeros((2, 700), np.int16)],
                         ids=["short", "int32", "two"])
def test_what_is_no_clip_is_refused(clip):
    with pytest.raises(InvalidArgumentError, match="this is no clip"):
        measure(MFCC(), "fixed", "m4", clip)
