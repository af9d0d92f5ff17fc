"""The front end in C: the numbers of the training front end in float32, those of its NumPy model in integers, bit for bit."""

import os
import re
import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from compiled_front_end import CompiledFrontEnd, compiled, reference, write

from reds_jax.data import MFCC
from reds_jax.deploy.board import host
from reds_jax.deploy.front_end.fixed import FixedTables

LOW_RATE = {"sample_rate": 1000, "low_hz": 0, "high_hz": 500, "stride_ms": 3}
SETTINGS = [
    MFCC(), MFCC(stride_ms=40), MFCC(window_ms=25, stride_ms=10, coefficients=13, bands=23, low_hz=0, high_hz=8000),
    MFCC(window_ms=32, bands=1, coefficients=1, high_hz=8000),  # a power of two
    MFCC(window_ms=8, stride_ms=27, high_hz=7999.0),  # frames with a gap between them, and bands without a bin
    MFCC(window_ms=64, sample_rate=8000), MFCC(window_ms=70, bands=90, coefficients=90),
    *(MFCC(window_ms=ms, bands=3, coefficients=3, **LOW_RATE) for ms in (2, 4, 6, 8, 10, 32)),
]


def clips(mfcc: MFCC, samples: int) -> np.ndarray:
    """Chirps over noise, int16, each ten times as quiet as the one before."""
    t, rng = np.arange(samples) / mfcc.sample_rate, np.random.default_rng(1)
    x = 6000 * np.sin(2 * np.pi * (mfcc.sample_rate / 80 * t + mfcc.sample_rate / 10 * t**2)) * np.exp(-3 * t)
    x = (x + 200 * rng.standard_normal(samples)) * np.array([[1], [0.1], [0.01]])
    return np.round(x).astype(np.int16)


@pytest.mark.parametrize("mfcc", SETTINGS, ids=lambda m: f"{m.window}_{m.stride}_{m.bands}")
def test_frames_are_those_of_the_training_front_end(mfcc):
    c, x = compiled(mfcc), clips(mfcc, mfcc.window + 9 * mfcc.stride + mfcc.stride // 2)
    expected = np.stack([reference(mfcc, clip) for clip in x])
    np.testing.assert_allclose(mfcc(x)[..., 0], expected, atol=2e-4, rtol=0)
    single, fixed = np.stack([c.float32(clip) for clip in x]), FixedTables.of(mfcc)(x)
    np.testing.assert_allclose(single, expected, atol=3e-5, rtol=0)
    assert np.abs(single - expected).mean() < 2e-6
    np.testing.assert_array_equal([c.fixed(clip) for clip in x], fixed)
    np.testing.assert_allclose(fixed / 65536, expected, atol=0.01, rtol=0)


@pytest.mark.parametrize("stride_ms", [20, 40])
def test_the_recorded_clips(stride_ms):
    folder = Path(os.environ.get("REDS_DATA", "."))
    if not (folder / "mfcc_golden.npz").exists():
        pytest.skip("REDS_DATA names no folder with mfcc_golden.npz")
    with np.load(folder / "mfcc_golden.npz") as file:
        pcm, golden = file["pcm"], file[f"mfcc_40_{stride_ms}"]
    mfcc = MFCC(stride_ms=stride_ms)
    c, trained = compiled(mfcc), mfcc(pcm)[..., 0]
    found, fixed = np.stack([c.float32(clip) for clip in pcm]), np.stack([c.fixed(clip) for clip in pcm])
    assert np.abs(found - golden).max() < 1e-4
    assert np.abs(found - trained).max() < 1e-4
    np.testing.assert_array_equal(fixed, FixedTables.of(mfcc)(pcm))
    assert np.abs(fixed / 65536 - golden).max() < 0.02
    assert np.abs(fixed / 65536 - golden).mean() < 3e-4


@pytest.mark.parametrize("flags", [("gcc", "-O3"), ("clang", "-O2"), ("gcc", "-O0", "-DREDS_HALVES", "-DREDS_PLAIN")])
def test_integers_are_the_same_from_every_compiler(flags):
    if not shutil.which(flags[0]):
        pytest.skip(f"{flags[0]} is not installed")
    mfcc = SETTINGS[2]
    c, x = CompiledFrontEnd(mfcc, *flags[1:], cc=flags[0]), clips(mfcc, 1600)
    np.testing.assert_array_equal([c.fixed(clip) for clip in x], FixedTables.of(mfcc)(x))
    np.testing.assert_allclose([c.float32(clip) for clip in x], [reference(mfcc, clip) for clip in x], atol=1e-4, rtol=0)


def test_silence_is_the_floor():
    c, silence = compiled(MFCC()), np.zeros(700, np.int16)
    floor = np.sqrt(2 / 40) * 40 * np.log(1e-12)
    assert c.float32(silence)[0, 0] == pytest.approx(floor, rel=1e-6)
    assert c.fixed(silence)[0, 0] / 65536 == pytest.approx(floor, abs=5e-3)
    for found in (c.float32(silence)[0, 1:], c.fixed(silence)[0, 1:] / 65536):
        np.testing.assert_allclose(found, 0, atol=5e-3)


@pytest.mark.parametrize("mfcc", [MFCC(), SETTINGS[2], SETTINGS[3], SETTINGS[10]], ids=lambda m: f"{m.window}_{m.bands}")
def test_the_largest_samples_fit_32_bits(mfcc):
    """Signs that follow a cosine make a bin, and the sums on the way to it, as large as they get; the model has 64 bits."""
    n, length = np.arange(mfcc.window), mfcc.transform_length
    loudest = [np.where(np.cos(2 * np.pi * k * n / length + phase) >= 0, 32767, -32768)
               for k in (0, 1, 2, 7, length // 8, length // 4, length // 2) for phase in (0.0, np.pi / 2, np.pi)]
    impulses = [np.where(n == at, value, 0) for at in (0, 1, mfcc.window // 2, mfcc.window - 1) for value in (-32768, 1, -1)]
    x = np.array([*loudest, *impulses, np.full_like(n, -32768), np.full_like(n, -1)], np.int16)
    x = np.concatenate([x, np.random.default_rng(0).integers(-32768, 32768, (4, mfcc.window), np.int16)])
    c, fixed = compiled(mfcc), FixedTables.of(mfcc)
    np.testing.assert_array_equal([c.fixed(clip) for clip in x], fixed(x))
    np.testing.assert_allclose(c.fixed(x[-1]) / 65536, reference(mfcc, x[-1]), atol=0.01)
    np.testing.assert_allclose(c.float32(x[-1]), reference(mfcc, x[-1]), atol=1e-4)
    assert np.isfinite([c.float32(clip) for clip in x]).all()


def test_a_quiet_frame_is_as_exact_as_a_loud_one():
    """The samples of a frame are scaled to 16 bits: 2^8 times as loud is 8 more in every logarithm, and nothing else."""
    mfcc = MFCC(bands=20, coefficients=20)
    quiet = np.random.default_rng(3).integers(-127, 128, 1280).astype(np.int16)
    quiet[::5] = 127  # so that every frame has the same largest sample
    fixed = FixedTables.of(mfcc)
    difference = fixed((quiet * 128)[None]) - fixed(quiet[None])
    assert np.abs(difference[..., 0] / 65536 - np.sqrt(2 / 20) * 20 * 7 * np.log(2)).max() < 1e-3
    assert np.abs(difference[..., 1:]).max() <= 65536 * 1e-3


def test_the_tables_in_the_source_are_the_functions():
    text = (resources.files("reds_jax.deploy.c") / "runtime" / "reds_mfcc_s32.c").read_text(encoding="utf-8")
    found = {name: [int(v) for v in re.findall(r"\d+", body)]
             for name, body in re.findall(r"uint16_t (\w+)\[\d+\] = \{([^}]*)\}", text)}
    assert set(found) == {"roots", "logarithms"}
    assert np.abs(np.array(found["roots"]) - 65536 * np.sqrt(np.arange(64, 257) / 256)).max() <= 1
    assert np.abs(np.array(found["logarithms"]) - 65536 * np.log2(1 + np.arange(129) / 128)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("mfcc", [SETTINGS[4], SETTINGS[2], SETTINGS[7], SETTINGS[9]], ids=lambda m: f"{m.window}_{m.bands}")
def test_nothing_outside_of_the_memory_is_read(mfcc, tmp_path):
    program = tmp_path / "program"
    sources = write(mfcc, tmp_path)[:-1]
    done = host.run([host.compiler("gcc"), *host.WARNINGS, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover",
                     f"-I{tmp_path}", "-o", str(program), *sources, str(Path(__file__).parent / "front_end_main.c")])
    if done.returncode and "cannot find" in done.stderr:
        pytest.skip("gcc has no sanitizers here")
    assert done.returncode == 0, done.stderr
    clip = clips(mfcc, mfcc.window + 5 * mfcc.stride)[0]
    (tmp_path / "clip").write_bytes(clip.tobytes())
    with (tmp_path / "clip").open("rb") as file:
        done = host.run([str(program)], stdin=file)
    assert done.returncode == 0, done.stderr
    words = np.array([line.split() for line in done.stdout.splitlines()], np.int64).astype(np.uint32)
    c, count = compiled(mfcc), mfcc.coefficients
    np.testing.assert_array_equal(words[:, :count].view(np.float32), c.float32(clip))
    np.testing.assert_array_equal(words[:, count:].view(np.int32), c.fixed(clip))
