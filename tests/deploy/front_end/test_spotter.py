"""Posteriors, smoothing and decisions: the C of reds_spotter.c, its twin in Python, and what the header promises."""

import ctypes
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest

from reds_jax.deploy.board.host import WARNINGS, compiler
from reds_jax.deploy.front_end.spotter import ONE, Settings, exponent_step, softmax_float32, softmax_int8, spot, windows
from reds_jax.errors import InvalidArgumentError

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")
SHIM = """
#include "reds_spotter.h"
static uint16_t history[64 * 16];
static uint32_t sums[16], quiet[16];
static reds_spotter s;
int start(const uint32_t *v, uint32_t classes, const uint8_t *words, uint32_t frames, uint32_t most) {
    const reds_spotter_settings settings = {v[0], v[1], v[2], v[3]};
    s.classes = classes;
    s.words = words;
    s.history = history;
    s.sums = sums;
    s.quiet = quiet;
    return (int)reds_spotter_start(&s, &settings, frames, most);
}
uint32_t decide(const uint16_t *p) { return reds_spotter_decide(&s, p); }
uint32_t mean(uint32_t c) { return reds_spotter_mean(&s, c); }
uint32_t one(void) { return REDS_POSTERIOR(1.0) + 0 * REDS_ONE; }
uint32_t threshold(void) { return REDS_POSTERIOR(0.6); }
"""


@pytest.fixture(scope="module")
def c(tmp_path_factory) -> ctypes.CDLL:
    here = tmp_path_factory.mktemp("spotter")
    (here / "shim.c").write_text(SHIM)
    runtime = resources.files("reds_jax.deploy.c") / "runtime"
    subprocess.run([compiler(), *WARNINGS, "-O1", "-Wno-missing-prototypes", "-shared", "-fPIC", f"-I{runtime}",
                    str(runtime / "reds_spotter.c"), str(here / "shim.c"), "-o", str(here / "s.so")], check=True)
    library = ctypes.CDLL(str(here / "s.so"))
    for name in ("decide", "mean", "one", "threshold"):
        getattr(library, name).restype = ctypes.c_uint32
    return library


def softmax_c(c: ctypes.CDLL, outputs: np.ndarray, step: int | None) -> np.ndarray:
    found = np.empty(outputs.shape, np.uint16)
    for row, p in zip(np.ascontiguousarray(outputs), found, strict=True):
        data, n, to = ctypes.c_void_p(row.ctypes.data), ctypes.c_uint32(len(row)), ctypes.c_void_p(p.ctypes.data)
        if step is None:
            c.reds_posteriors_f32(data, n, to)
        else:
            c.reds_posteriors_s8(data, n, ctypes.c_uint32(step), to)
    return found


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@needs_compiler
@pytest.mark.parametrize("scale", [1e-6, 0.01, 0.11, 1.0, 300.0])
def test_the_softmax_of_int8_outputs(c, scale: float) -> None:
    """C = Python bit for bit, both to 1e-4 of the real one, and a larger output never has a smaller posterior."""
    outputs = np.random.default_rng(0).integers(-128, 128, (200, 12)).astype(np.int8)
    outputs[0], outputs[1], outputs[2, :6] = 127, [-128] + [127] * 11, outputs[2, 6:]
    found = softmax_int8(outputs, exponent_step(scale))
    np.testing.assert_array_equal(softmax_c(c, outputs, exponent_step(scale)), found)
    np.testing.assert_allclose(found / ONE, softmax(outputs * scale), rtol=0, atol=1e-4)
    order = np.argsort(outputs, axis=-1)
    assert (np.diff(np.take_along_axis(found.astype(int), order, -1)) >= 0).all()


@needs_compiler
def test_the_softmax_of_floats(c) -> None:
    """The same in floats; what is not a number is no posterior, and does not change the others."""
    rng = np.random.default_rng(1)
    outputs = (rng.normal(size=(200, 7)) * 10 ** rng.uniform(-3, 3, (200, 1))).astype(np.float32)
    np.testing.assert_allclose(softmax_float32(outputs) / ONE, softmax(outputs.astype(np.float64)), rtol=0, atol=1e-4)
    odd = np.array([[np.nan, 1, 2], [1, np.nan, 2], [np.nan] * 3, [np.inf, 1, 2], [-np.inf, 1, 1], [3e38, -3e38, 0]],
                   np.float32)
    found = np.concatenate([softmax_float32(outputs), np.pad(softmax_float32(odd), ((0, 0), (0, 4)))])
    np.testing.assert_array_equal(softmax_c(c, outputs, None), found[: len(outputs)])
    np.testing.assert_array_equal(softmax_c(c, odd, None), softmax_float32(odd))
    assert softmax_float32(odd)[:3, 0].tolist() == [0, softmax_float32(np.float32([[1, 2]]))[0, 0], 0]
    assert softmax_float32(odd)[4].tolist() == [0, ONE // 2, ONE // 2]


def stream(seed: int, inferences: int = 300, classes: int = 5) -> np.ndarray:
    """Posteriors that stay for a while: words come and go."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.normal(size=(inferences // 6, classes)) * 2, 6, axis=0) + rng.normal(size=(inferences, classes))
    return np.minimum(np.round(softmax(levels) * ONE), ONE).astype(np.uint16)


def heard_in_c(c: ctypes.CDLL, p: np.ndarray, words: list[bool], settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    mask = np.array(words, np.uint8)
    values = (ctypes.c_uint32 * 4)(settings.hop, settings.window, settings.stored_threshold, settings.refractory)
    assert c.start(values, p.shape[1], ctypes.c_void_p(mask.ctypes.data), 49, 64) == 0
    decided, means = [], []
    for row in p:
        decided.append(c.decide(ctypes.c_void_p(row.ctypes.data)))
        means.append([c.mean(i) for i in range(p.shape[1])])
    return np.array(decided), np.array(means)


@needs_compiler
@pytest.mark.parametrize("settings", [
    Settings(1, 1, 0.5, 0), Settings(5, 4, 0.4, 20), Settings(7, 64, 0.25, 10), Settings(3, 9, 0.3, 1),
    Settings(49, 2, 1.0, 49), Settings(2, 3, 1e-9, 2**32 - 1),
], ids=str)
def test_decisions_are_those_of_the_definition(c, settings: Settings) -> None:
    """C = Python; both = means, argmax, threshold and refractory time written down once more, in exact fractions."""
    p, words = stream(3), [False, False, True, True, True]
    expected_means, detections = spot(p, words, settings, first=49)
    decided, means = heard_in_c(c, p, words, settings)
    np.testing.assert_array_equal(means, expected_means)
    found = [(49 + settings.hop * i, int(word)) for i, word in enumerate(decided) if word != 2**32 - 1]
    assert found == [(d.frame, d.word) for d in detections]
    expected: list[tuple[int, int]] = []
    for i in range(len(p)):
        past = p[max(0, i - settings.window + 1) : i + 1].astype(int)
        total, frame = past.sum(0), 49 + settings.hop * i
        best = int(total.argmax())
        early = any(word == best and frame - before < settings.refractory for before, word in expected)
        if words[best] and total[best] >= settings.stored_threshold * len(past) and not early:
            expected.append((frame, best))
    assert found == expected
    assert expected or settings.threshold == 1.0
    again, _ = heard_in_c(c, p, words, settings)  # a start forgets everything
    np.testing.assert_array_equal(again, decided)


@needs_compiler
def test_settings_that_are_refused(c) -> None:
    words = (ctypes.c_uint8 * 5)()
    allowed = [5, 4, 100, 0]
    for at, value, status in ((0, 0, 1), (0, 50, 1), (1, 0, 2), (1, 65, 2), (2, 0, 3), (2, ONE + 1, 3), (0, 49, 0), (1, 64, 0),
                              (2, ONE, 0)):
        given = [*allowed]
        given[at] = value
        assert c.start((ctypes.c_uint32 * 4)(*given), 5, words, 49, 64) == status, (at, value)
    assert c.one() == ONE
    assert c.threshold() == Settings(threshold=0.6).stored_threshold
    for wrong in ({"hop": 0}, {"window": 0}, {"threshold": 0}, {"threshold": 1.01}, {"refractory": -1}, {"hop": 1.5}):
        with pytest.raises(InvalidArgumentError):
            Settings(**wrong)
    with pytest.raises(InvalidArgumentError):
        spot(np.zeros((3, 4), np.uint16), [True] * 5, Settings(), first=49)


def test_windows_begin_with_the_first_whole_one() -> None:
    features = np.arange(10)[:, None]
    assert windows(features, 4, 3)[:, 0, 0].tolist() == [0, 3, 6]
    assert windows(features[:4], 4, 4).shape == (1, 4, 1)
    assert windows(features[:3], 4, 1).shape == (0, 4, 1)
