"""Augmented waveforms: each clip is itself, moved, with a piece of the noise at a volume that is allowed."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from reds_jax.data import MFCC, ClipAugment, Split
from reds_jax.data.clip_augment import add_noise, shift_clips
from reds_jax.errors import InvalidArgumentError
from reds_jax.models import DNN, dnn_s
from reds_jax.training import FitConfig, TrainState, make_train_step
from reds_jax.training.fit import _description, prepare

CLIPS = np.random.default_rng(0).integers(-9000, 9000, (60, 400)).astype(np.int16)
NOISE = np.random.default_rng(1).integers(-30000, 30000, 900).astype(np.int16)

called = jax.jit(lambda augment, key, x: augment(key, x))


def test_a_shift_moves_every_sample():
    found = np.asarray(shift_clips(jnp.asarray(CLIPS[:3]), jnp.array([7, 0, -9]), 10))
    np.testing.assert_array_equal(found[0], np.concatenate([np.zeros(7), CLIPS[0, :-7]]))
    np.testing.assert_array_equal(found[1], CLIPS[1])
    np.testing.assert_array_equal(found[2], np.concatenate([CLIPS[2, 9:], np.zeros(9)]))


@pytest.mark.parametrize("scale", [1, 32768])
def test_noise_is_added_at_its_volume_and_cut_off_at_full_scale(scale):
    clips, noise = (a if scale == 1 else (a / scale).astype(np.float32) for a in (CLIPS[:2], NOISE))
    found = np.asarray(add_noise(jnp.asarray(clips), jnp.asarray(noise), jnp.array([5, 500]), jnp.array([0.1, 1.0])))
    exact = np.stack([clips[0] + 0.1 * noise[5:405], clips[1] + 1.0 * noise[500:900]])
    assert found.dtype == clips.dtype
    np.testing.assert_allclose(found, np.clip(exact, -32768 / scale, 32767 / scale), atol=0.51 if scale == 1 else 4e-5)
    assert (np.abs(exact[1]) > 32768 / scale).any()


def test_every_clip_is_itself_moved_with_a_piece_of_the_noise():
    """Found again by trying every shift and every start: what is left is the noise, at 0 to 0.1, for about 0.8 of the clips."""
    augment = ClipAugment(NOISE, max_shift=3)
    found = np.asarray(called(augment, jax.random.key(0), jnp.asarray(CLIPS))).astype(float)
    pieces = np.lib.stride_tricks.sliding_window_view(NOISE.astype(float), 400)
    volumes, shifts = [], []
    for clip, out in zip(CLIPS, found, strict=True):
        best = (np.inf, 0.0, 0)
        for d in range(-3, 4):
            rest = out - np.pad(clip, 3)[3 - d : 403 - d]
            volume = pieces @ rest / (pieces**2).sum(1)
            error = ((rest - volume[:, None] * pieces) ** 2).mean(1)
            best = min(best, (error.min(), volume[error.argmin()], d))
        assert best[0] < 0.3  # rounding alone: 1/12
        volumes.append(best[1])
        shifts.append(best[2])
    assert min(volumes) > -1e-4
    assert max(volumes) < 0.1001
    assert 35 <= sum(v > 1e-3 for v in volumes) <= 57
    assert set(shifts) == set(range(-3, 4))


def test_equal_settings_and_noise_are_equal():
    """So that the program is compiled once; a different recording is another augmentation."""
    a, b = ClipAugment(NOISE), ClipAugment(jnp.asarray(NOISE))
    assert (a, hash(a), repr(a)) == (b, hash(b), repr(b))
    assert a not in (ClipAugment(NOISE[1:]), ClipAugment(NOISE, volume=0.2), ClipAugment())
    assert "0x" not in repr(a)
    assert FitConfig(augment=a) == FitConfig(augment=b)


def read(x):
    return x.astype(np.float32) / np.float32(32768)


def step_of(noise):
    """(step, its arguments, variables, augmentation): one step on all clips that changes nothing."""
    model, optimizer, augment = DNN(12, (4,)), optax.sgd(0.0), ClipAugment(noise, max_shift=3)
    variables = model.init(jax.random.key(0), read(CLIPS))
    state = TrainState.create(variables, optimizer, 1, jax.random.key(5))
    arguments = state, jnp.asarray(CLIPS), jnp.asarray(np.arange(60) % 12), np.arange(60, dtype=np.int32)[None]
    return make_train_step(model, optimizer, [1.0], normalise=read, augment=augment), arguments, model, variables, augment


def test_the_step_takes_the_noise_as_an_argument():
    """The program of the step does not hold it."""
    step, arguments, *_ = step_of(NOISE)
    compiled, = (eqn for eqn in jax.make_jaxpr(step)(*arguments).eqns if eqn.primitive.name in ("jit", "pjit"))
    assert NOISE.shape in [v.aval.shape for v in compiled.invars]


@pytest.mark.slow
def test_the_step_learns_from_augmented_clips():
    step, arguments, model, variables, augment = step_of(NOISE)
    _, metrics = step(*arguments)
    key = jax.random.split(jax.random.fold_in(jax.random.key(5), 0), 3)[0]
    logits = model.apply(variables, read(called(augment, key, arguments[1])))
    expected = optax.softmax_cross_entropy_with_integer_labels(logits, arguments[2]).mean()
    assert float(metrics["loss"][0]) == pytest.approx(float(expected), rel=1e-4)


def test_a_checkpoint_knows_the_noise_by_its_digest():
    """So a run goes on with the same recordings only; the recordings themselves are not written."""
    split = Split(np.tile(CLIPS, (1, 2)), np.arange(60) % 12)
    mfcc, model = MFCC(window_ms=20, stride_ms=10), dnn_s()
    variables = model.init(jax.random.key(0), mfcc(split.inputs))

    def described(noise):
        config = FitConfig(batch_size=30, augment=ClipAugment(noise))
        run, start = prepare(model, variables, [1.0], split, split, config, normalise=mfcc)
        return json.dumps(_description(run, start.state, None))

    assert described(NOISE) == described(NOISE.copy()) != described(NOISE[::-1])
    assert len(described(NOISE)) < 3000


@pytest.mark.parametrize(("call", "message"), [
    (lambda: ClipAugment(max_shift=-1), "max_shift is out of range"), (lambda: ClipAugment(volume=2), "volume is out of range"),
    (lambda: ClipAugment()(jax.random.key(0), jnp.zeros((2, 49, 10, 1))), "takes waveforms"),
    (lambda: ClipAugment(NOISE[:300])(jax.random.key(0), jnp.asarray(CLIPS)), "the noise has the wrong form"),
    (lambda: ClipAugment(NOISE / 1.0)(jax.random.key(0), jnp.asarray(CLIPS)), "the noise has the wrong form"),
])
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()
