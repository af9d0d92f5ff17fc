"""A reading of many photographs is kept: stopped at any moment it goes on, and a part that is not whole is never read."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reds_jax.data import photographs, progress, vww_data
from reds_jax.data.photo_cache import photograph_folder
from reds_jax.data.photographs import LabelledFile, read_images

COUNT = 60


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Photographs whose red is their number."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for k in range(COUNT):
        Image.new("RGB", (9, 7), (k, 0, 0)).save(folder / f"{k}.png")
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, as they are read."""
    names: list[str] = []
    read_image = photographs.read_image

    def noted(path: Path, resolution: int) -> np.ndarray:
        names.append(path.name)
        return read_image(path, resolution)

    monkeypatch.setattr(photographs, "read_image", noted)
    return names


def files(place: Path, numbers: object = range(COUNT)) -> list[LabelledFile]:
    return [LabelledFile(f"{k}.png", k % 2, place) for k in numbers]  # type: ignore[attr-defined]


def check(place: Path, cache: Path | None, numbers: object = range(COUNT), resolution: int = 4) -> None:
    split, skipped = read_images(files(place, numbers), resolution, cache=cache)
    assert not skipped
    assert split.images.shape[1:] == (resolution, resolution, 3)
    assert split.images[:, 0, 0, 0].tolist() == list(numbers)  # type: ignore[call-overload]
    assert split.labels.tolist() == [k % 2 for k in numbers]  # type: ignore[attr-defined]


def test_what_was_read_is_not_read_again(place: Path, tmp_path: Path, reads: list[str]) -> None:
    """Neither in another order nor as a part of more; at another resolution it is."""
    cache = tmp_path / "cache"
    check(place, cache, range(40))
    assert len(reads) == 40
    check(place, cache, [7, 3, 39, 0])
    assert len(reads) == 40
    check(place, cache)
    assert sorted(reads[40:]) == sorted(f"{k}.png" for k in range(40, 60))
    check(place, cache)
    assert len(reads) == 60
    check(place, cache, resolution=5)
    assert len(reads) == 120
    check(place, cache)
    assert len(reads) == 120
    check(place, None)
    assert len(reads) == 180


def test_files_of_several_folders_keep_their_order(place: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for k in range(4):
        Image.new("RGB", (9, 7), (100 + k, 0, 0)).save(other / f"{k}.png")
    mixed = [file for pair in zip(files(place, range(4)), files(other, range(4)), strict=True) for file in pair]
    for _ in range(2):
        split, _ = read_images(mixed, 4, cache=tmp_path / "cache")
        assert split.images[:, 0, 0, 0].tolist() == [0, 100, 1, 101, 2, 102, 3, 103]


def test_a_file_that_changed_is_read_again(place: Path, tmp_path: Path, reads: list[str]) -> None:
    cache = tmp_path / "cache"
    check(place, cache)
    Image.new("RGB", (9, 7), (200, 0, 0)).save(place / "3.png")
    os.utime(place / "3.png", ns=(1, 1))
    split, _ = read_images(files(place), 4, cache=cache)
    assert split.images[3, 0, 0, 0] == 200
    assert reads[60:] == ["3.png"]
    (place / "5.png").unlink()
    (place / "8.png").write_text("no image")
    for _ in range(2):  # what cannot be read is tried again, and the others keep their places
        split, skipped = read_images(files(place), 4, cache=cache)
        assert [line.split()[0] for line in skipped] == ["5.png", "8.png"]
        assert len(split) == 58
        assert split.images[-1, 0, 0, 0] == 59


@pytest.mark.parametrize("stop", [1, 17, 59])
def test_a_reading_that_is_stopped_goes_on(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int) -> None:
    cache, counted, read_image = tmp_path / "cache", [], photographs.read_image

    def stopped(path: Path, resolution: int) -> np.ndarray:
        counted.append(path.name)
        if len(counted) == stop + 1:
            raise KeyboardInterrupt
        return read_image(path, resolution)

    monkeypatch.setattr(photographs, "read_image", stopped)
    with pytest.raises(KeyboardInterrupt):
        read_images(files(place), 4, cache=cache)
    check(place, cache)
    assert len(counted) <= COUNT + 1 + 6  # at most the part that was under way is read twice
    check(place, cache)


def test_parts_that_are_not_whole_are_made_anew(place: Path, tmp_path: Path, reads: list[str]) -> None:
    cache = tmp_path / "cache"
    check(place, cache)
    parts = sorted(cache.rglob("*.npz"))
    whole = parts[0].read_bytes()
    other = parts[1].read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-30] + bytes(30), whole[:200] + b"\xff" * 40 + whole[240:]):
        parts[0].write_bytes(damaged)
        (parts[0].parent / f".{parts[0].name}.12345678").write_bytes(whole[:99])  # what a kill leaves behind
        before = len(reads)
        check(place, cache)
        assert len(reads) > before
    short = io.BytesIO()
    with np.load(io.BytesIO(other)) as arrays:
        np.savez(short, names=arrays["names"], stamps=arrays["stamps"][:-1], images=arrays["images"])
    parts[1].write_bytes(short.getvalue())
    check(place, cache)


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(place: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.warns(UserWarning, match="photographs are not kept for the next reading .*XDG_CACHE_HOME"):
        check(place, tmp_path / "cache", range(3))


def test_a_large_folder_is_cached_and_says_how_far_it_is(
        coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        reads: list[str]) -> None:
    """The same data come from the cache, for another seed too; a small folder leaves none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    small = vww_data(f"folder:{coco}", resolution=8)
    assert not photograph_folder().exists()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(photographs, "CACHED_FROM", 20)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert vww_data(f"folder:{coco}", resolution=8).fingerprint == small.fingerprint
    assert "reading photographs: 6 of 6, 0.0 min left" in capsys.readouterr().err
    before = len(reads)
    assert vww_data(f"folder:{coco}", resolution=8).fingerprint == small.fingerprint
    assert vww_data(f"folder:{coco}", resolution=8, seed=5).fingerprint != small.fingerprint
    assert len(reads) == before == 52


@pytest.mark.slow
def test_a_process_that_is_killed_leaves_parts_that_are_whole(place: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    code = ("import sys, time; from pathlib import Path; from reds_jax.data import photographs as p; r = p.read_image\n"
            "p.read_image = lambda *a: (time.sleep(0.05), r(*a))[1]\n"
            f"p.read_images([p.LabelledFile(f'{{k}}.png', k % 2, Path(sys.argv[1])) for k in range({COUNT})], 4,"
            " cache=Path(sys.argv[2]))")
    process = subprocess.Popen([sys.executable, "-c", code, str(place), str(cache)])
    while not list(cache.rglob("[0-9]*.npz")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(list(cache.rglob("[0-9]*.npz"))) < 40
    check(place, cache)
