"""What ``reds data describe`` says of a data set, its sheet of images, and the set that ``reds data prepare-vww`` writes."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reds_jax.data import DataSet, Split, vww_data
from reds_jax.data.__main__ import main
from reds_jax.data.catalogue import LOADERS
from reds_jax.data.describe import balance, facts, repeats
from reds_jax.data.sheet import contact_sheet
from reds_jax.data.tfds_builder import prepare_vww
from reds_jax.errors import DataError


def windows(**changes: object) -> DataSet:
    """Sensor windows as a tree of arrays: no images."""
    def split(start: int, labels: list[int]) -> Split:
        n = len(labels)
        wave = np.arange(start, start + 3 * n, dtype=np.float32).reshape(n, 3)
        return Split({"wave": wave, "rate": np.full((n, 1), 16, np.int16)}, np.array(labels))

    splits = {"train": split(0, [0, 1, 1, 0]), "validation": split(90, [1, 1]), "test": split(9, [0, 1, 1])}
    return DataSet("windows", **{**splits, "class_names": ("off", "on"), **changes})


def test_numbers_ranges_and_classes() -> None:
    data = windows()
    found = {(f.split, f.name): f for f in facts(data)}
    assert set(found) == {(part, name) for part in data.splits for name in ("inputs/rate", "inputs/wave", "targets")}
    wave = found["test", "inputs/wave"]
    assert (wave.examples, wave.dtype, wave.shape, wave.low, wave.high, wave.mean) == (3, "float32", (3,), 9, 17, 13)
    assert balance(data) == {"off": [2, 0, 1], "on": [2, 2, 2]}
    assert balance(windows(class_names=None)) == {}


def test_examples_that_are_there_twice() -> None:
    """Test has the last window of train, with another label; validation has one of its own twice."""
    data = windows()
    assert repeats(data).across == {("train", "validation"): 0, ("train", "test"): 1, ("validation", "test"): 0}
    assert repeats(data).contradictions == 0
    twice = data.validation.take([0, 1, 1])
    other = Split(data.test.inputs, 1 - data.test.targets)
    found = repeats(windows(validation=twice, test=other))
    assert found.within == {"train": 0, "validation": 1, "test": 0}
    assert found.contradictions == 1


def test_a_sheet_shows_images_of_every_class() -> None:
    images = np.stack([np.full((28, 28, 1), 20 * k, np.uint8) for k in range(12)])
    split = Split.of_images(images, np.arange(12) % 3)
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(DataSet("s", split, split, split, ("a", "b", "c")), each=2))))
    assert sheet.shape == (3 * (84 + 2 + 14) + 2, 2 * (84 + 2) + 2, 3)
    for row in range(3):
        for column in range(2):
            assert (sheet[row * 100 + 50, 2 + column * 86 + 40] == 20 * (row + 3 * column)).all()
    with pytest.raises(DataError, match="the inputs are no images"):
        contact_sheet(windows())


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main([*words])
    return capsys.readouterr().out


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    sheet = tmp_path / "sheet.png"
    shown = said(capsys, "describe", "cifar10", "synthetic", "--limit", "40", "--sheet", str(sheet), "--each", "3")
    for part in ("cifar10: 40 / 40 / 40 train / validation / test examples", "uint8", "[32, 32, 3]", "10 classes", "disc",
                 "no input is there twice", "fingerprint "):
        assert part in shown
    assert Image.open(io.BytesIO(sheet.read_bytes())).width == 3 * (64 + 2) + 2
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_the_command_on_what_are_no_images(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
                                           tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setitem(LOADERS, "windows", lambda spec, **options: windows())
    shown = said(capsys, "describe", "windows", "default")
    for part in ("inputs/wave", "targets", "2 classes", "1 examples of test are in train too"):
        assert part in shown
    with pytest.raises(SystemExit) as ended:
        main(["describe", "windows", "default", "--sheet", str(tmp_path / "a.png")])
    assert ended.value.code == 1
    assert "error: the inputs are no images" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [2, 60])
def test_the_rarest_classes_of_many_are_shown(classes: int, capsys: pytest.CaptureFixture[str],
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    labels = np.repeat(np.arange(classes), 1 + np.arange(classes))
    split = Split(np.arange(len(labels), dtype=np.float32)[:, None], labels)
    data = DataSet("many", split, split, split, tuple(f"class_{k:02}" for k in range(classes)))
    monkeypatch.setitem(LOADERS, "many", lambda spec, **options: data)
    shown = said(capsys, "describe", "many", "default")
    assert "class_00" in shown
    assert f"class_{classes - 1:02}" in shown
    assert ("class_30" in shown) == (classes <= 40 and classes > 30)


def test_visual_wake_words_as_a_set_of_tfds(coco: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """Prepared from a COCO folder without TensorFlow or a network, and read back: the same images, labels and splits."""
    monkeypatch.setenv("COLUMNS", "200")
    (coco / "train2017" / "000000000004.jpg").write_bytes(b"no image")
    place, counts, skipped = prepare_vww(coco, tmp_path / "sets", resolution=24, validation=0.2)
    assert place == tmp_path / "sets" / "visual_wake_words" / "1.0.0"
    assert skipped.startswith("skipped 1: 000000000004.jpg (an image cannot be read")
    left = place.with_name("1.0.0.incompleteABC123")  # what a kill leaves behind
    left.mkdir()
    (left / "dataset_info.json").write_text("{")
    straight = vww_data(f"folder:{coco}", resolution=24, validation=0.2)
    for spec in (f"tfds:{tmp_path / 'sets'}", f"tfds:{place}"):
        back = vww_data(spec, resolution=24)
        assert "Visual Wake Words, TFDS in" in back.source
        for part, split in straight.splits.items():
            assert counts[part] == len(split)
            as_pairs = [sorted((x.tobytes(), int(y)) for x, y in zip(s.images, s.labels, strict=True))
                        for s in (split, back.splits[part])]
            assert as_pairs[0] == as_pairs[1]
    with pytest.raises(DataError, match="the set visual_wake_words is there already"):
        prepare_vww(coco, tmp_path / "sets", resolution=24)
    shown = said(capsys, "prepare-vww", str(coco), str(tmp_path / "more"), "--resolution", "8")
    assert "examples in" in shown
    assert f"reds vww --data tfds:{tmp_path / 'more'}" in shown
    (place / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset_info\.json cannot be read"):
        vww_data(f"tfds:{tmp_path / 'sets'}")
