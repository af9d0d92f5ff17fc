"""MFCC: TensorFlow's numbers, a slow loop written from the definitions, one meaning in NumPy and in JAX."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.data import MFCC
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.trace import trace
from reds_jax.models import dnn_s
from reds_jax.network import NestedNetwork

on_device = jax.jit(lambda x, mfcc: mfcc(x), static_argnames="mfcc")


def clips(count: int = 3, samples: int = 16000) -> np.ndarray:
    """Chirps over a little noise, int16; the last is silence but for one sample."""
    t = np.arange(samples) / 16000
    x = np.stack([3000 * np.sin(2 * np.pi * (150 * (i + 1) * t + 900 * i * t**2)) * np.exp(-3 * t) for i in range(count)])
    x += 20 * np.random.default_rng(0).standard_normal(x.shape)
    x[-1] = 0
    x[-1, samples // 2] = 900
    return np.round(x).astype(np.int16)


def slow(clip: np.ndarray, window: int, stride: int, coefficients: int = 10, bands: int = 40) -> np.ndarray:
    """[frames, coefficients] in float64: NumPy's transform, the bands bin by bin between the middles of their neighbours."""
    x = clip / 32768
    middles = np.linspace(1127 * np.log(1 + 20 / 700), 1127 * np.log(1 + 4000 / 700), bands + 2)
    rows = []
    for start in range(0, len(x) - window + 1, stride):
        frame = x[start : start + window] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window))
        magnitude, energy = np.abs(np.fft.rfft(frame, 1024)), np.zeros(bands)
        for f in range(int(1.5 + 20 / 15.625), int(4000 / 15.625) + 1):
            mel = 1127 * np.log(1 + f * 15.625 / 700)
            for b in range(bands):
                rising = (mel - middles[b]) / (middles[b + 1] - middles[b])
                falling = (middles[b + 2] - mel) / (middles[b + 2] - middles[b + 1])
                energy[b] += magnitude[f] * max(0.0, min(rising, falling))
        logs = np.log(np.maximum(energy, 1e-12))
        rows.append([np.sqrt(2 / bands) * sum(logs[b] * np.cos(np.pi * k * (b + 0.5) / bands) for b in range(bands))
                     for k in range(coefficients)])
    return np.array(rows)


@pytest.mark.parametrize(("stride_ms", "frames"), [(20, 49), (40, 25)])
def test_the_numbers_of_tensorflow(stride_ms, frames):
    folder = Path(os.environ.get("REDS_DATA", "."))
    if not (folder / "mfcc_golden.npz").exists():
        pytest.skip("REDS_DATA names no folder with mfcc_golden.npz")
    with np.load(folder / "mfcc_golden.npz") as file:
        pcm, golden = file["pcm"], file[f"mfcc_40_{stride_ms}"]
    mfcc = MFCC(stride_ms=stride_ms)
    for found in (mfcc(pcm), mfcc(pcm.astype(np.float32) / 32768), np.asarray(on_device(jnp.asarray(pcm), mfcc))):
        assert found.shape == (len(pcm), frames, 10, 1)
        assert np.abs(found[..., 0] - golden).max() < 1e-4


@pytest.mark.parametrize(("window_ms", "stride_ms"), [(40, 40), (40, 30)])
def test_the_definition(window_ms, stride_ms):
    """Also where the stride does not divide the window; short clips, as the loop is slow."""
    pcm, mfcc = clips(samples=2400), MFCC(window_ms, stride_ms)
    expected = np.stack([slow(clip, mfcc.window, mfcc.stride) for clip in pcm])
    assert expected.shape[1] == mfcc.frames(2400)
    for found in (mfcc(pcm), np.asarray(on_device(jnp.asarray(pcm), mfcc))):
        np.testing.assert_allclose(found[..., 0], expected, atol=1e-4)


def test_numpy_stays_numpy_and_silence_is_finite():
    silence = MFCC()(np.zeros((2, 16000), np.int16))
    assert isinstance(silence, np.ndarray)
    assert silence.dtype == np.float32
    assert isinstance(MFCC()(jnp.zeros((1, 640))), jax.Array)
    np.testing.assert_allclose(silence[..., 0, 0], np.sqrt(2 / 40) * 40 * np.log(1e-12), rtol=1e-5)


@pytest.mark.parametrize(("call", "message"), [
    (lambda: MFCC(coefficients=41), "coefficients is out of range"), (lambda: MFCC(high_hz=9000), "high_hz is out of range"),
    (lambda: MFCC(sample_rate=22050), "no even number of samples"),
    (lambda: MFCC()(np.zeros((1, 600), np.int16)), "640 or more"),
    (lambda: MFCC()(np.zeros((1, 900), np.uint8)), "takes waveforms"), (lambda: MFCC()(jnp.zeros(900)), "takes waveforms"),
])
def test_what_cannot_be_read_is_refused(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


def test_a_saved_network_reads_waveforms_again(tmp_path):
    """The file holds what the inputs are made of, so that loading needs no argument."""
    model, mfcc, pcm = dnn_s(), MFCC(stride_ms=40), clips()
    variables = model.init(jax.random.key(0), mfcc(pcm))
    graph = trace(model, variables, mfcc(pcm))
    network = NestedNetwork(model, variables["params"], ({},), (graph.full_widths,), (graph.macs(),), mfcc(pcm), mfcc)
    network.save(tmp_path / "model", architecture={"name": "dnn_s", "arguments": {}})
    again = NestedNetwork.load(tmp_path / "model")
    assert again.normalise == mfcc
    np.testing.assert_array_equal(again.apply(0, again.read(pcm)), network.apply(0, network.read(pcm)))
