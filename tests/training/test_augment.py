import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.training import Augment, augmentation
from reds_jax.training.augment import PRESETS, flip, rotate, shift

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 2), np.uint8)


def test_flip_mirrors_the_flagged_images():
    flags = jnp.array([True, False, True, False, False])
    expected = IMAGES.copy()
    expected[[0, 2]] = IMAGES[[0, 2], :, ::-1]
    np.testing.assert_array_equal(flip(jnp.asarray(IMAGES), flags), expected)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=5, max_size=5))
def test_shift_is_padding_and_a_crop(shifts):
    padded = np.pad(IMAGES, ((0, 0), (8, 8), (8, 8), (0, 0)))
    expected = np.stack([p[8 - dr : 14 - dr, 8 - dc : 15 - dc] for p, (dr, dc) in zip(padded, shifts, strict=True)])
    np.testing.assert_array_equal(shift(jnp.asarray(IMAGES), jnp.array(shifts)), expected)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_are_exact_rotations(quarters):
    square = IMAGES[:, :6, :6]
    turned = rotate(jnp.asarray(square), jnp.full(5, quarters * np.pi / 2))
    np.testing.assert_allclose(turned, np.rot90(square, quarters, axes=(1, 2)), atol=1e-2)


def test_rotation_interpolates_linearly():
    """A plane stays a plane inside: the rotated ramp is the ramp read at the rotated places."""
    ramp = np.mgrid[:9, :9][1][None, :, :, None].astype(np.float32)
    turned = np.asarray(rotate(jnp.asarray(ramp), jnp.array([0.2])))[0, 2:7, 2:7, 0]
    r, c = np.mgrid[-2:3, -2:3]
    np.testing.assert_allclose(turned, np.cos(0.2) * c - np.sin(0.2) * r + 4, atol=1e-4)


@pytest.mark.parametrize("name", PRESETS[1:])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_presets_keep_shape_and_scale_and_follow_the_key(name, dtype):
    images = np.repeat(np.repeat(IMAGES, 2, 1), 2, 2).astype(dtype)
    run = jax.jit(augmentation(name))
    a, b, other = (run(jax.random.key(seed), images) for seed in (0, 0, 1))
    assert a.shape == images.shape
    assert a.dtype == jnp.float32
    assert 0 <= float(a.min()) <= float(a.max()) <= 255.001
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, other)


def test_every_flip_and_shift_occurs_and_no_other():
    """One bright pixel shows what was done to each of many copies."""
    images = np.zeros((2000, 7, 9, 1), np.uint8)
    images[:, 3, 3] = 200
    result = np.asarray(Augment(flips=True, max_shift=2)(jax.random.key(3), jnp.asarray(images)))
    places, counts = np.unique(np.argwhere(result == 200)[:, 1:3], axis=0, return_counts=True)
    assert {tuple(p) for p in places.tolist()} == {(3 + i, c + j) for i in range(-2, 3) for j in range(-2, 3) for c in (3, 5)}
    assert counts.sum() == 2000


def test_wrong_options_and_images():
    assert augmentation("none") is None
    with pytest.raises(InvalidArgumentError, match="unknown augmentation"):
        augmentation("colour")
    with pytest.raises(InvalidArgumentError, match="max_shift"):
        Augment(max_shift=-1)
    with pytest.raises(InvalidArgumentError, match="max_angle"):
        Augment(max_angle=4.0)
    with pytest.raises(InvalidArgumentError, match="takes images"):
        Augment(flips=True)(jax.random.key(0), jnp.zeros((2, 3)))
