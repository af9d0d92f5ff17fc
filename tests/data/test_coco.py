"""Visual Wake Words' rule and the COCO folder."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data.coco import coco_split, has_person, read_annotations
from reds_jax.data.vww import vww_data
from reds_jax.errors import DataError, InvalidArgumentError, MissingDependencyError

side = st.integers(1, 640)
box = st.tuples(st.booleans(), st.integers(0, 80), st.integers(0, 80))


@settings(deadline=None)
@given(images=st.lists(st.tuples(side, side, st.lists(box, max_size=4)), min_size=1, max_size=6))
def test_the_rule_equals_a_direct_count(tmp_path_factory: pytest.TempPathFactory,
                                        images: list[tuple[int, int, list[tuple[bool, int, int]]]]) -> None:
    path = tmp_path_factory.mktemp("coco") / "instances.json"
    path.write_text(json.dumps({
        "images": [{"id": i, "file_name": str(i), "width": w, "height": h} for i, (w, h, _) in enumerate(images)],
        "annotations": [{"image_id": i, "category_id": 1 if person else 2, "bbox": [0, 0, bw, bh], "area": bw * bh / 2}
                        for i, (_, _, boxes) in enumerate(images) for person, bw, bh in boxes],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "cat"}]}))
    for area, scale in (("box", 200), ("segment", 100)):
        expected = [int(any(person and scale * bw * bh > w * h for person, bw, bh in boxes)) for w, h, boxes in images]
        assert [file.label for file in read_annotations(path, area=area)] == expected


def test_exactly_half_a_percent_is_no_person() -> None:
    assert not has_person([(10, 5)], 100, 100)
    assert has_person([(1, 1), (10, 5.01)], 100, 100)
    assert not has_person([], 100, 100)


def test_a_folder(coco: Path) -> None:
    split = coco_split(coco, "train2017", resolution=24, limit=None, seed=0)
    assert split.images.shape == (20, 24, 24, 3)
    assert split.labels.tolist() == [1, 0] * 10
    grey = split.images.reshape(20, -1).mean(1)
    np.testing.assert_allclose(grey, 10 * np.arange(20), atol=2)
    some = coco_split(coco, "train2017", resolution=24, limit=5, seed=1)
    assert len(some) == 5
    np.testing.assert_array_equal(some.images, coco_split(coco, "train2017", resolution=24, limit=5, seed=1).images)


def test_a_folder_as_data_set(coco: Path) -> None:
    data = vww_data(f"folder:{coco}", resolution=16, validation=0.2)
    assert [len(split) for split in data.splits.values()] == [16, 4, 6]
    assert data.class_names == ("no person", "person")
    assert not data.synthetic
    (coco / "images").mkdir()
    for part in ("train2017", "val2017"):
        (coco / part).rename(coco / "images" / part)
    assert vww_data(f"folder:{coco}", resolution=16, validation=0.2).fingerprint == data.fingerprint


def test_what_is_missing_or_broken_is_named(coco: Path) -> None:
    def refuse(message: str, **options: int) -> None:
        with pytest.raises(DataError, match=message):
            coco_split(coco, "train2017", **{"resolution": 8, "limit": None, "seed": 0, **options})  # type: ignore[arg-type]

    (coco / "train2017" / "000000000003.jpg").unlink()
    refuse("000000000003.jpg")
    cut = coco / "train2017" / "000000000002.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    refuse("000000000002.jpg")
    cut.write_text("no image")
    refuse("000000000002.jpg")
    for image in (coco / "train2017").iterdir():
        image.unlink()
    (coco / "train2017").rmdir()
    refuse("no folder with the images of train2017")
    annotations = coco / "annotations" / "instances_train2017.json"
    whole = annotations.read_text()
    annotations.write_text(whole[:-10])
    refuse("cannot be read as JSON")
    annotations.write_bytes(b"\xff\xfe\xfd")
    refuse("cannot be read as JSON")
    for part in ("images", "annotations", "categories", "file_name", "bbox", "image_id"):
        annotations.write_text(whole.replace(f'"{part}"', '"other"'))
        refuse("instances_train2017.json is not of COCO's form")
    annotations.write_text(whole.replace('"person"', '"horse"'))
    refuse("no category named person")
    annotations.write_text("[]")
    refuse("is not of COCO's form")
    annotations.unlink()
    refuse("missing")


def test_arguments_that_make_no_sense(coco: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="box, segment"):
        read_annotations(coco / "annotations" / "instances_val2017.json", area="mask")
    with pytest.raises(InvalidArgumentError, match="too small"):
        coco_split(coco, "val2017", resolution=8, limit=0, seed=0)
    with pytest.raises(InvalidArgumentError, match="folder:DIR"):
        vww_data("folder")


def test_pillow_that_is_not_installed_says_what_to_install(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match="pip install pillow"):
        coco_split(coco, "val2017", resolution=8, limit=None, seed=0)
