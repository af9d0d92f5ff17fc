"""From audio to the word in C: the same however the samples are cut, and the same as in Python."""

import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as trials
from hypothesis import strategies as st
from listeners import FRAMES, NAMES, make, speech

from reds_jax.data import MFCC
from reds_jax.deploy.front_end import Heard, HostListener, KeywordSpotter, Settings, listen
from reds_jax.deploy.front_end.spotter import posteriors, spot
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")
INT8 = ("int8", "fixed")
FEW = trials(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def same(a: Heard, b: Heard) -> None:
    assert a.detections == b.detections
    for name in ("frames", "subnetworks", "posteriors", "means", "inputs", "outputs"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@FEW
@given(pieces=st.lists(st.one_of(st.integers(1, 20), st.integers(300, 700), st.integers(1000, 9000)), min_size=1, max_size=5),
       settings=st.builds(Settings, st.integers(1, FRAMES), st.integers(1, 8), st.floats(0.2, 1.0), st.integers(0, 40)),
       seed=st.integers(0, 3))
@pytest.mark.parametrize("kind", ["fixed", pytest.param("float32", marks=pytest.mark.slow)])
def test_what_is_heard_does_not_depend_on_how_the_samples_were_cut(spotters, kind, pieces, settings, seed) -> None:
    """One sample at a time or all at once; and the first inference is made as soon as its last frame is complete."""
    exported, listener = spotters(kind)
    waveform = speech(seed, 1)[4000:12000]
    heard = listener.listen(waveform, settings, pieces=(len(waveform),))
    same(listener.listen(waveform, settings, pieces=pieces), heard)
    frames = exported.front_end.mfcc.frames(len(waveform))
    assert heard.frames.tolist() == list(range(FRAMES, frames + 1, settings.hop))


@pytest.mark.parametrize(("kind", "settings"), [
    ("int8", Settings(3, 5, 0.35, 10)), ("fixed", Settings(9, 8, 0.2, 200)), *(
        pytest.param(*given, marks=pytest.mark.slow) for given in (
            ("fixed", Settings(1, 1, 0.5, 0)), ("float32", Settings(3, 5, 0.35, 10)), ("softmax", Settings(3, 5, 0.35, 10))))
], ids=str)
def test_c_is_the_python_of_it(spotters, kind, settings) -> None:
    """Network, posteriors, means and decisions number for number from the frames that C computed; the frames to 1e-4."""
    exported, listener = spotters(kind)
    found = set()
    for seed in range(2):
        waveform = speech(seed)
        for k in range(3):
            assert listener.adapt(k)
            heard = listener.listen(waveform, settings)
            expected = listen(exported, waveform, settings, k, features=frames_of(heard.inputs, settings.hop))
            if kind in INT8:
                same(heard, expected)
            np.testing.assert_array_equal(heard.frames, expected.frames)
            np.testing.assert_allclose(heard.outputs, expected.outputs, rtol=0, atol=1e-4 * np.abs(expected.outputs).max())
            np.testing.assert_array_equal(heard.posteriors, posteriors(exported, k, heard.outputs))
            means, detections = spot(heard.posteriors, exported.front_end.words, settings, first=FRAMES)
            np.testing.assert_array_equal(heard.means, means)
            assert heard.detections == detections
            own = listen(exported, waveform, settings, k)
            if kind == "fixed":
                same(heard, own)
            elif kind == "int8":
                moved = heard.inputs.astype(int) - own.inputs
                assert np.abs(moved).max() <= 1
                assert (moved != 0).mean() < 1e-3
            else:
                np.testing.assert_allclose(heard.inputs, own.inputs, rtol=0, atol=1e-4)
            found |= {d.word for d in heard.detections}
    assert len(found) > 1
    assert found <= {2, 3, 4}  # neither silence nor what is unknown


def frames_of(x: np.ndarray, hop: int) -> np.ndarray:
    """The frames of a stream, [F, ...], from what was read at every inference, [I, frames, ...]."""
    return np.concatenate([x[0], *(row[-hop:] for row in x[1:])])


@pytest.mark.parametrize("kind", ["int8", pytest.param("float32", marks=pytest.mark.slow)])
def test_another_subnetwork_between_two_frames(spotters, kind) -> None:
    """It makes the next inference; the means go on over those of the one before."""
    exported, listener = spotters(kind)
    waveform, settings = speech(2), Settings(4, 5, 0.3, 12)
    listener.adapt(0)
    heard = listener.listen(waveform, settings, adapt={20: 2, 21: 1, 22: 2, 60: 1})
    switched = [2 if 20 < f <= 60 else 1 if f > 60 else 0 for f in heard.frames]
    assert heard.subnetworks.tolist() == switched
    assert {0, 1, 2} == set(switched)
    assert listener.active == 1
    expected = listen(exported, waveform, settings, switched, features=frames_of(heard.inputs, 4))
    if kind == "int8":
        same(heard, expected)
    np.testing.assert_allclose(heard.outputs, expected.outputs, rtol=0, atol=1e-4 * np.abs(expected.outputs).max())


def test_settings_and_recordings_that_are_refused(spotters) -> None:
    exported, listener = spotters("int8")
    waveform = speech(0, 1)
    for settings in (Settings(hop=FRAMES + 1), Settings(window=9)):
        with pytest.raises(InvalidArgumentError):
            listener.listen(waveform, settings)
        with pytest.raises(InvalidArgumentError):
            listen(exported, waveform, settings)
    for wrong in (waveform.astype(np.float32), waveform[None]):
        with pytest.raises(InvalidArgumentError):
            listener.listen(wrong)
    with pytest.raises(InvalidArgumentError, match="for every inference"):
        listen(exported, waveform, k=[0, 1])
    short = listener.listen(waveform[:3000])  # 7 frames: nothing is heard, and nothing is wrong
    assert (len(short.frames), short.detections, short.outputs.shape[0]) == (0, (), 0)
    same(listener.listen(waveform), listener.listen(waveform))


def test_a_spotter_that_does_not_fit_the_network(tmp_path, spotters) -> None:
    with pytest.raises(InvalidArgumentError, match=r"does not read the frames.*\[frames, 9, 1\]"):
        make(tmp_path / "c", "float32", KeywordSpotter(MFCC(coefficients=9), NAMES))
    assert not (tmp_path / "c").exists()
    with pytest.raises(InvalidArgumentError, match="another number of outputs"):
        KeywordSpotter(MFCC(), NAMES[:4]).check((9, 10, 1), 5, "dense", "int8")
    exported, _ = spotters("int8")
    assert exported.facts["front_end"]["words"] == [False, False, True, True, True]
    for wrong in ({"mfcc": None}, {"class_names": ("a", "a")}, {"class_names": "yes"}, {"class_names": ("_silence_",)},
                  {"no_words": ("three", "four")}, {"window": 0}, {"window": 65536}, {"example": "radio"},
                  {"arithmetic": "int16"}):
        with pytest.raises(InvalidArgumentError):
            KeywordSpotter(**{"mfcc": MFCC(), "class_names": NAMES, **wrong})
    with pytest.raises(InvalidArgumentError, match="argmax"):
        KeywordSpotter(MFCC(), NAMES).check((9, 10, 1), 5, "argmax", "int8")
    with pytest.raises(InvalidArgumentError, match="integers"):
        KeywordSpotter(MFCC(), NAMES, arithmetic="fixed").check((9, 10, 1), 5, "dense", "float32")


def test_an_export_without_a_front_end_has_no_listener(exports) -> None:
    made = exports("dnn_s", "int8")
    with pytest.raises(InvalidArgumentError, match="no front end"):
        HostListener(made.folder, "-O1")
