"""Image files are read as a viewer shows them; folders by class; parts by the hash of the names."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reds_jax.data.photographs import LabelledFile, parted, read_image
from reds_jax.data.vww import vww_data
from reds_jax.errors import DataError

RAMP = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))


def saved(path: Path, image: Image.Image, **options: object) -> np.ndarray:
    image.save(path, **options)  # type: ignore[arg-type]
    return read_image(path, 16)


def test_sixteen_bits_are_shown_as_eight(tmp_path: Path) -> None:
    """Neither white (clipped at 255) nor black (divided by too much)."""
    for name in ("a.png", "a.tif"):
        found = saved(tmp_path / name, Image.fromarray(RAMP.astype(np.uint16) * 257))
        np.testing.assert_array_equal(found, np.repeat(RAMP[..., None], 3, 2))


@pytest.mark.parametrize("image", [Image.fromarray(RAMP.astype(np.float32) / 255), Image.fromarray(RAMP.astype(np.int32))],
                         ids=lambda image: image.mode)
def test_numbers_without_a_scale_are_refused_with_the_name_of_the_file(tmp_path: Path, image: Image.Image) -> None:
    with pytest.raises(DataError, match=r"numbers without a scale.*odd\.tif'.*8 or 16 bits.*mode is"):
        saved(tmp_path / "odd.tif", image)


def test_every_mode_looks_as_in_a_viewer(tmp_path: Path) -> None:
    grey = Image.fromarray(RAMP)
    colour = Image.merge("RGB", [grey, grey.transpose(Image.Transpose.ROTATE_90), grey.point(lambda v: 255 - v)])
    for image in (grey, colour, colour.convert("P"), grey.convert("1")):
        np.testing.assert_array_equal(saved(tmp_path / "a.png", image), np.asarray(image.convert("RGB")))
    cmyk = saved(tmp_path / "a.jpg", colour.convert("CMYK"), quality=95)
    assert np.abs(cmyk.astype(int) - np.asarray(colour)).mean() < 6


def test_what_is_transparent_is_seen_on_white(tmp_path: Path) -> None:
    """Not the colour that is stored under it."""
    alpha = np.zeros((16, 16, 4), np.uint8)
    alpha[:8] = (10, 20, 30, 255)
    for name, image in (("a.png", Image.fromarray(alpha)), ("b.png", Image.fromarray(alpha[..., [0, 3]], "LA"))):
        found = saved(tmp_path / name, image)
        assert (found[12] == 255).all()
        assert (found[2] == ([10, 20, 30] if name == "a.png" else 10)).all()
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    palette.paste(1, (0, 0, 16, 8))
    found = saved(tmp_path / "c.png", palette, transparency=0)
    assert (found[12] == 255).all()
    assert (found[2] == (200, 100, 50)).all()


def test_a_photograph_is_turned_as_its_exif_data_say(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees, clockwise
    found = saved(tmp_path / "a.png", Image.fromarray(RAMP).convert("RGB"), exif=exif)
    np.testing.assert_array_equal(found[..., 0], RAMP.T)


def write(folder: Path, value: int, count: int, start: int = 0) -> None:
    folder.mkdir(parents=True)
    for i in range(start, start + count):
        Image.new("RGB", (8, 8), (value, i, 0)).save(folder / f"{i}.png")


@pytest.mark.parametrize("no", ["no_person", "non_person", "No Person"])
def test_folders_by_class(tmp_path: Path, no: str) -> None:
    write(tmp_path / "person", 200, 40)
    write(tmp_path / no, 50, 40, 40)
    (tmp_path / "person" / "notes.txt").write_text("no image")
    data = vww_data(f"folder:{tmp_path}", resolution=4, validation=0.2)
    assert sum(len(split) for split in data.splits.values()) == 80
    for split in data.splits.values():
        assert len(split) > 3
        np.testing.assert_array_equal(split.images[:, 0, 0, 0] > 100, split.labels == 1)


@pytest.mark.parametrize("names", [("train", "val", "test"), ("train", "test"), ("train", "val")], ids=" ".join)
def test_parts_with_folders_by_class(tmp_path: Path, names: tuple[str, ...]) -> None:
    sizes = {"train": 30, "val": 3, "test": 5}
    for name in names:
        write(tmp_path / name / "person", 200, sizes[name])
        write(tmp_path / name / "no_person", 50, sizes[name], 100)
    data = vww_data(f"folder:{tmp_path}", resolution=4, validation=0.2)
    assert len(data.test) == 2 * sizes[names[-1]]
    assert len(data.train) + len(data.validation) == 60 + 6 * (len(names) == 3)
    assert (len(data.validation) == 6) == (len(names) == 3)


def test_a_folder_of_something_else_says_what_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"neither annotations of COCO nor folders by class.*person/ and no_person/"):
        vww_data(f"folder:{tmp_path}")
    write(tmp_path / "person", 200, 4)
    with pytest.raises(DataError, match="does not have images of every class.*none in no_person"):
        vww_data(f"folder:{tmp_path}")


def test_an_image_stays_in_its_part_whatever_others_there_are() -> None:
    files = [LabelledFile(f"{i}.jpg", i % 2) for i in range(300)]
    whole = parted(files, (0.7, 0.1, 0.2), 3)
    assert [len(part) for part in whole] == pytest.approx([210, 30, 60], abs=20)
    for taken in (files[::2], files[::-1][:200]):
        for part, full in zip(parted(taken, (0.7, 0.1, 0.2), 3), whole, strict=True):
            assert set(part) == set(full) & set(taken)
    assert parted(files, (0.7, 0.1, 0.2), 4) != whole
    with pytest.raises(DataError, match="too few images"):
        parted(files[:2], (0.7, 0.1, 0.2), 3)
