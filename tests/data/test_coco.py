"""Visual Wake Words' rule and the COCO folder."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data.coco import coco_files, has_person, read_annotations
from reds_jax.data.photographs import chosen, read_images
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
    split, skipped = read_images(coco_files(coco, "train2017"), 24)
    assert not skipped
    assert split.images.shape == (20, 24, 24, 3)
    assert split.labels.tolist() == [1, 0] * 10
    grey = split.images.reshape(20, -1).mean(1)
    np.testing.assert_allclose(grey, 10 * np.arange(20), atol=2)


def test_a_folder_as_data_set(coco: Path) -> None:
    data = vww_data(f"folder:{coco}", resolution=16, validation=0.2)
    assert len(data.train) + len(data.validation) == 20
    assert 0 < len(data.validation) < 10
    assert len(data.test) == 6
    assert "skipped" not in data.source
    assert data.class_names == ("no person", "person")
    assert not data.synthetic
    (coco / "images").mkdir()
    for part in ("train2017", "val2017"):
        (coco / part).rename(coco / "images" / part)
    assert vww_data(f"folder:{coco}", resolution=16, validation=0.2).fingerprint == data.fingerprint


def test_what_is_missing_or_broken_is_named(coco: Path) -> None:
    def refuse(message: str) -> None:
        with pytest.raises(DataError, match=message):
            coco_files(coco, "train2017")

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
        read_images(coco_files(coco, "val2017"), 0)
    with pytest.raises(InvalidArgumentError, match="folder:DIR"):
        vww_data("folder")
    with pytest.raises(InvalidArgumentError, match="fraction"):
        vww_data(f"folder:{coco}", validation=1.0)
    with pytest.raises(DataError, match="no folder of images"):
        vww_data("folder:/nowhere")


@pytest.mark.parametrize(("gone", "left", "seed"), [("train2017", 6, 3), ("val2017", 20, 3)])
def test_a_part_alone_is_parted_by_the_names(coco: Path, gone: str, left: int, seed: int) -> None:
    (coco / "annotations" / f"instances_{gone}.json").unlink()
    data = vww_data(f"folder:{coco}", resolution=8, seed=seed, validation=0.4)
    assert sum(len(split) for split in data.splits.values()) == left
    greys = [grey for split in data.splits.values() for grey in split.images[:, 0, 0, 0]]
    assert len(set(greys)) == left


def test_a_subset_may_keep_the_annotations_of_the_whole(coco: Path) -> None:
    """One annotation of an image that is not listed is no reason to stop; only such annotations are."""
    path = coco / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    stranger = {"image_id": 999, "category_id": 1, "bbox": [0, 0, 90, 45], "area": 4000.0}
    path.write_text(json.dumps({**content, "annotations": [stranger, *content["annotations"]]}))
    assert [file.label for file in read_annotations(path)] == [1, 0] * 10
    path.write_text(json.dumps({**content, "annotations": [stranger] * 3}))
    with pytest.raises(DataError, match="persons, but none in an image that it lists; got '3 annotations'"):
        read_annotations(path)


def test_images_that_cannot_be_read_are_skipped_and_named(coco: Path) -> None:
    folder = coco / "train2017"
    whole = vww_data(f"folder:{coco}", resolution=8)
    (folder / "000000000003.jpg").unlink()
    cut = folder / "000000000002.jpg"
    cut.write_bytes(cut.read_bytes()[:300])
    (folder / "000000000005.jpg").write_text("no image")
    data = vww_data(f"folder:{coco}", resolution=8)
    assert len(whole.train) + len(whole.validation) - len(data.train) - len(data.validation) == 3
    assert "skipped 3 of 26 images: " in data.source
    for name, why in (("2", "cannot be read"), ("3", "is missing"), ("5", "cannot be read")):
        assert f"00000000000{name}.jpg (an image {why}" in data.source
    (folder / "000000000007.jpg").unlink()
    assert " and 1 more" in vww_data(f"folder:{coco}", resolution=8).source
    for image in folder.iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"no image can be read.*00000000000\d.jpg \(an image is missing\)"):
        vww_data(f"folder:{coco}", resolution=8)


def test_a_limit_takes_the_same_images_and_more(coco: Path) -> None:
    files = coco_files(coco, "train2017")
    few, more = (chosen(files, n, 1) for n in (5, 9))
    assert (len(few), len(more)) == (5, 9)
    assert set(few) < set(more)
    assert few != chosen(files, 5, 2)


def test_pillow_that_is_not_installed_says_what_to_install(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependencyError, match="pip install pillow"):
        read_images(coco_files(coco, "val2017"), 8)
