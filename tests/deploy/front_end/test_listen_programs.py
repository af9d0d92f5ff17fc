"""The programs beside a keyword spotter: the one for WAV files with what it refuses, the firmware's main loop, the boards."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from listeners import FRAMES, NAMES, speech

from reds_jax.deploy.board.host import WARNINGS, compiler
from reds_jax.deploy.front_end import Settings, listen

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
from keyword_spotter import on_device  # pyright: ignore[reportMissingImports]

pytestmark = pytest.mark.skipif(not shutil.which("make") or not any(map(shutil.which, ("cc", "gcc", "clang"))),
                                reason="make and a C compiler are not installed")
needs_board = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="qemu-system-arm and arm-none-eabi-gcc are not installed (Debian packages qemu-system-arm, gcc-arm-none-eabi)")
FORMAT = struct.pack("<HHIIHH", 1, 1, 16000, 32000, 2, 16)
HEARS = """
#include <stdio.h>
int read_samples(short *samples, int count);
void say(const char *word, unsigned subnetwork);
int read_samples(short *samples, int count) { return (int)fread(samples, 2, count > 77 ? 77 : (size_t)count, stdin); }
void say(const char *word, unsigned subnetwork) { printf("%s %u\\n", word, subnetwork); }
"""


@pytest.fixture(scope="module")
def spotter(spotters):
    """An export with all its programs, and `make listen` done in it."""
    exported, _ = spotters("int8")
    done = subprocess.run(["make", "-C", str(exported.folder), "CFLAGS=-O1 -Werror", "listen"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
    return exported


def run(exported, *arguments: object) -> subprocess.CompletedProcess[str]:
    program = exported.folder / "build" / "reds_listen_wav"
    return subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True, check=False)


def wav(path: Path, samples: np.ndarray, *, form: bytes = FORMAT, before: bytes = b"", size: int | None = None,
        head: bytes = b"RIFF", cut: int = 0) -> Path:
    """A WAV file, or one that is wrong in one respect."""
    data = samples.astype("<i2").tobytes()
    chunks = before + b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    whole = head + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks
    path.write_bytes(whole[: len(whole) - cut])
    return path


def test_a_recording_is_heard_as_in_python(spotter, spotters, tmp_path) -> None:
    """Times, words and means of every subnetwork, and of one that is asked for."""
    waveform, settings, words = speech(2), Settings(3, 4, 0.35, 20), 0
    path = wav(tmp_path / "r.wav", waveform)
    options = ["-s", 3, "-n", 4, "-t", 0.35, "-r", 20]
    done = run(spotter, *options, "-p", path)
    assert (done.returncode, done.stderr) == (0, "")
    for k in range(3):
        lines = [line.split(": ", 2)[2].split() for line in done.stdout.splitlines() if f": subnetwork {k}: " in line]
        listener = spotters("int8")[1]
        listener.adapt(k)
        heard = listener.listen(waveform, settings)
        means = [[int(v) for v in row[3:]] for row in lines if row[2] == "posteriors"]
        np.testing.assert_array_equal(means, heard.means)
        times = [float(row[0]) for row in lines if row[2] == "posteriors"]
        np.testing.assert_allclose(times, 0.04 + 0.02 * (heard.frames - 1), atol=6e-4)
        found = [(row[0], row[2]) for row in lines if row[2] != "posteriors"]
        assert found == [(f"{0.04 + 0.02 * (d.frame - 1):.3f}", NAMES[d.word]) for d in heard.detections]
        words += len(found)
    assert words > 5
    one = run(spotter, *options, "-p", "-k", 1, path).stdout
    assert one == "".join(line for line in done.stdout.splitlines(keepends=True) if ": subnetwork 1: " in line)


def test_a_clip_is_one_word(spotter, tmp_path) -> None:
    """No longer than what the network reads at once; what is missing is silence."""
    whole = 640 + (FRAMES - 1) * 320
    for length in (1, 1000, whole, whole + 319):
        waveform = speech(1, 1)[6000 : 6000 + length]
        padded = np.zeros(whole, np.int16)
        padded[: min(length, whole)] = waveform[:whole]
        done = run(spotter, wav(tmp_path / "c.wav", waveform))
        expected = [NAMES[listen(spotter, padded, Settings(FRAMES, 1), k).outputs[0].argmax()] for k in range(3)]
        assert done.stdout.splitlines() == [f"{tmp_path / 'c.wav'}: subnetwork {k}: {word}" for k, word in enumerate(expected)]
    assert len(run(spotter, "-t", 0.01, wav(tmp_path / "c.wav", speech(1, 1)[: whole + 320])).stdout.splitlines()) <= 3


@pytest.mark.parametrize("more", [
    {"before": b"LIST\x05\0\0\0abcde\0"}, {"size": 0xFFFFFFFF}, {"form": FORMAT + b"\0\0"},
    {"form": struct.pack("<HHIIHH", 0xFFFE, 1, 16000, 32000, 2, 16) + struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)},
], ids=["another chunk", "of unknown length", "with an extension", "extensible"])
def test_forms_of_wav_that_are_read(spotter, tmp_path, more) -> None:
    samples = speech(3, 1)
    expected = run(spotter, "-p", wav(tmp_path / "a.wav", samples)).stdout
    assert expected.count("posteriors") == 3 * len(range(FRAMES, 50, 5))
    found = run(spotter, "-p", wav(tmp_path / "a.wav", samples, **more))
    assert (found.stdout, found.stderr) == (expected, "")


@pytest.mark.parametrize(("more", "said"), [
    ({"head": b"RIFX"}, "no WAV file"),
    ({"form": struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)}, "got 3, allowed: format 1"),
    ({"form": struct.pack("<HHIIHH", 1, 2, 16000, 64000, 4, 16)}, "several channels; got 2"),
    ({"form": struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)}, "got 8000, allowed: 16000 samples a second"),
    ({"form": struct.pack("<HHIIHH", 1, 1, 16000, 16000, 1, 8)}, "got 8, allowed: 16 bits"), ({"form": FORMAT[:14]}, "cut off"),
    ({"cut": 7}, "the file is cut off: 4 samples are missing"), ({"size": 31999}, "in the midst of one"),
    ({"size": 0}, "no samples"), ({"before": b"data\x02\0\0\0\1\0"}, "before their description"),
    ({"cut": 32000 + 8}, "no samples"), ({"cut": 32000 + 40}, "no WAV"),
], ids=str)
def test_files_that_are_refused(spotter, tmp_path, more, said: str) -> None:
    done = run(spotter, "-k", 0, wav(tmp_path / "a.wav", speech(0, 1), **more))
    assert done.returncode == 1
    assert said in done.stderr
    assert done.stderr.startswith(f"{tmp_path / 'a.wav'}: ")
    assert done.stderr.count("\n") == 1
    assert f"{tmp_path}/nothing.wav: the file cannot be opened\n" == run(spotter, tmp_path / "nothing.wav").stderr


@pytest.mark.parametrize(("arguments", "said"), [
    (["-s", 0, "x"], "hop"), (["-s", FRAMES + 1, "x"], "hop"), (["-n", 0, "x"], "window"), (["-n", 9, "x"], "window"),
    (["-t", 0, "x"], "threshold"), (["-t", 1.5, "x"], "threshold"), (["-k", 3, "x"], "subnetwork"),
    (["-k", 0.5, "x"], "integer"),
    (["-s", "-1", "x"], "number"), (["-s", "two", "x"], "number"), (["-s"], "number"), (["-x", 1, "x"], "no such option"),
    (["-pp", "x"], "no such option"), ([], "no file"),
], ids=str)
def test_options_that_are_refused(spotter, arguments: list, said: str) -> None:
    done = run(spotter, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr.splitlines()[0]
    assert "usage: reds_listen_wav" in done.stderr


def test_the_main_loop_of_a_firmware(spotters, tmp_path) -> None:
    """With the two functions of the user it hears what Python hears; and no source needs a flag to find the headers."""
    (tmp_path / "user.c").write_text(HEARS)
    spotter, listener = spotters("int8")
    sources = sorted(map(str, (spotter.folder / "src").glob("*.c")))
    for source in sources:
        subprocess.run([compiler(), *WARNINGS, "-fsyntax-only", source], check=True)
    subprocess.run([compiler(), *WARNINGS, "-O1", f"-I{spotter.folder / 'include'}", *sources, str(tmp_path / "user.c"),
                    str(spotter.folder / "examples" / "reds_microphone.c"), "-o", str(tmp_path / "m")], check=True)
    waveform = np.concatenate([speech(seed) for seed in range(3)])
    done = subprocess.run([str(tmp_path / "m")], input=waveform.astype(np.int16).tobytes(), capture_output=True, check=True)
    listener.adapt(2)
    expected = listener.listen(waveform, Settings(5, 5, 0.6, 50)).detections
    assert done.stdout.decode().splitlines() == [f"{NAMES[d.word]} 2" for d in expected]
    assert expected


@pytest.mark.slow
def test_under_the_sanitizers(spotter, tmp_path) -> None:
    """No read outside of an array, no undefined arithmetic; by both compilers, and the header in C++."""
    folder, waveform = spotter.folder, speech(1)
    expected = run(spotter, "-p", wav(tmp_path / "r.wav", waveform)).stdout
    sources = [*map(str, sorted((folder / "src").glob("*.c"))),
               *(str(folder / "examples" / file) for file in ("wav.c", "reds_listen_wav.c"))]
    for cc in filter(shutil.which, ("gcc", "clang")):
        subprocess.run([cc, *WARNINGS, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
                        f"-I{folder / 'include'}", *sources, "-o", str(tmp_path / cc)], check=True)
        done = subprocess.run([str(tmp_path / cc), "-p", str(tmp_path / "r.wav")], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == (expected, "")
    if shutil.which("g++"):
        (tmp_path / "x.cpp").write_text('#include "reds_listen.h"\nreds_listener l;\n')
        subprocess.run(["g++", "-Wall", "-Wextra", "-Werror", f"-I{folder / 'include'}", "-fsyntax-only",
                        str(tmp_path / "x.cpp")], check=True)


@needs_board
@pytest.mark.parametrize(("kind", "board"), [
    ("fixed", "m0"), *(pytest.param(kind, "m4", marks=pytest.mark.slow) for kind in ("fixed", "int8"))])
def test_on_boards_from_raw_audio(spotters, kind: str, board: str) -> None:
    """What a board stores of every clip is what this computer stores, at every width: bit for bit."""
    exported, listener = spotters(kind)
    clips = speech(0, 3).reshape(3, -1)[:, 4000:9000]
    found = on_device(exported, clips, board)
    for k in range(3):
        listener.adapt(k)
        heard = [listener.listen(clip[: 640 + (FRAMES - 1) * 320], Settings(FRAMES, 1)) for clip in clips]
        np.testing.assert_array_equal(found["outputs"][k], np.concatenate([h.outputs for h in heard]))
        np.testing.assert_array_equal(found["inputs"], np.concatenate([h.inputs.reshape(1, -1) for h in heard]))
    assert all(n > 0 for n in found["inference"])
    assert found["frame"]["mean"] > 10_000
    assert found["sizes"]["bss"] >= found["listener_bytes"] > 3000
