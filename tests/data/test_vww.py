"""Person / no person: rendered scenes, an .npz of photographs, Wake Vision."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.data import vww_data
from reds_jax.data.raster import Canvas
from reds_jax.data.resize import resize
from reds_jax.data.scenes import MIN_COVERAGE, render_scenes
from reds_jax.errors import DataError, InvalidArgumentError


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**40), stream=st.integers(0, 3), start=st.integers(0, 10**6), count=st.integers(1, 6),
       resolution=st.sampled_from([16, 33, 48]))
def test_a_scene_depends_on_its_number_only(seed: int, stream: int, start: int, count: int, resolution: int) -> None:
    whole = render_scenes(count + 2, resolution=resolution, seed=seed, stream=stream, start=start)
    part = render_scenes(count, resolution=resolution, seed=seed, stream=stream, start=start + 1)
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[1 : count + 1], b)
    assert np.ptp(whole[0]) > 0


def test_streams_and_seeds_differ() -> None:
    base = render_scenes(4, resolution=32)[0]
    for other in (render_scenes(4, resolution=32, seed=1), render_scenes(4, resolution=32, stream=1),
                  render_scenes(4, resolution=32, start=4)):
        assert all(not np.array_equal(a, b) for a, b in zip(base, other[0], strict=True))


def test_a_scene_looks_alike_at_every_resolution() -> None:
    large, small = render_scenes(30, resolution=96)[0], render_scenes(30, resolution=48)[0]
    difference = resize(large, 24).astype(float) - resize(small, 24)
    assert np.abs(difference).mean() < 4


def test_the_classes_are_balanced_and_alike_in_colour_and_a_person_is_seen() -> None:
    images, labels, coverage = render_scenes(600, resolution=48, seed=7)
    assert np.bincount(labels).tolist() == [300, 300]
    assert (coverage[labels == 1] >= MIN_COVERAGE).all()
    assert MIN_COVERAGE > 0.005
    assert (coverage[labels == 0] == 0).all()
    means = [images[labels == k].mean((0, 1, 2)) for k in (0, 1)]
    assert np.abs(means[0] - means[1]).max() < 10
    spreads = [images[labels == k].std((1, 2)).mean() for k in (0, 1)]
    assert abs(spreads[0] - spreads[1]) < 8


@pytest.mark.parametrize("options", [{"count": 0}, {"count": 1, "resolution": 8}, {"count": 1, "seed": -1}])
def test_scenes_refuse(options: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError, match="scenes"):
        render_scenes(**options)


@settings(deadline=None)
@given(x=st.floats(-0.5, 1.5), y=st.floats(-0.5, 1.5), a=st.floats(0.03, 0.5), b=st.floats(0.03, 0.5),
       angle=st.floats(0, 3.2))
def test_shapes_have_their_areas(x: float, y: float, a: float, b: float, angle: float) -> None:
    resolution = 64
    centres = (np.arange(4 * resolution) + 0.5) / (4 * resolution)
    px, py = centres[None, :] - x, centres[:, None] - y
    u, v = px * np.cos(angle) + py * np.sin(angle), py * np.cos(angle) - px * np.sin(angle)
    exact = {"ellipse": (u / a) ** 2 + (v / b) ** 2 <= 1, "box": (np.abs(u) <= a) & (np.abs(v) <= b)}
    for shape, inside in exact.items():
        canvas = Canvas(resolution, coverage=True)
        canvas.subject = 1.0
        getattr(canvas, shape)(x, y, a, b, [1.0, 1.0, 1.0], angle=angle)
        assert abs(canvas.planes[3].mean() - inside.mean()) < 0.015
        assert canvas.planes.min() >= 0
        assert canvas.planes.max() <= 1


def test_a_later_shape_hides_the_subject() -> None:
    canvas = Canvas(32, coverage=True)
    canvas.subject = 1.0
    canvas.limb(0.5, 0.1, 0.5, 0.9, 0.2, 0.2, [1.0, 0.0, 0.0])
    seen = canvas.planes[3].mean()
    canvas.subject = 0.0
    canvas.box(0.5, 0.75, 0.5, 0.25, [0.0, 0.0, 1.0])
    assert canvas.planes[3].mean() == pytest.approx(seen / 2, abs=0.01)
    assert canvas.planes[3, 20:].max() == 0
    canvas.ellipse(5.0, 5.0, 0.1, 0.1, [1.0, 1.0, 1.0])  # outside the image: nothing


def histogram(images: np.ndarray) -> np.ndarray:
    """Colour histograms [N, 96 + 1], 32 bins a channel and a constant."""
    parts = [np.stack([np.bincount(v, minlength=32) for v in (images[..., c] >> 3).reshape(len(images), -1)])
             for c in range(3)]
    return np.concatenate([np.sqrt(np.concatenate(parts, 1) / images[0, ..., 0].size), np.ones((len(images), 1))], 1)


def test_colours_alone_do_not_tell_a_person() -> None:
    data = vww_data(resolution=32, limit=1000)
    train, test = histogram(data.train.images), histogram(data.test.images)
    target = 2.0 * data.train.labels - 1
    weights = np.linalg.solve(train.T @ train + 1.0 * np.eye(train.shape[1]), train.T @ target)
    accuracy = ((test @ weights > 0) == data.test.labels).mean()
    assert accuracy < 0.70


def test_the_data_set_of_scenes() -> None:
    data = vww_data(limit=20)
    assert data.shape == (96, 96, 3)
    assert data.synthetic
    assert "not photographs" in data.source
    assert data.normalise.mean == (0, 0, 0)
    more = vww_data(limit=30)
    np.testing.assert_array_equal(more.test.images[:20], data.test.images)
    assert not np.array_equal(data.train.images, data.test.images)
    with pytest.raises(InvalidArgumentError, match="limit"):
        vww_data(limit=0)


@pytest.mark.skipif("REDS_DATA" not in os.environ, reason="needs the folder that REDS_DATA names")
def test_an_npz_of_photographs() -> None:
    path = Path(os.environ["REDS_DATA"]) / "vww_785.npz"
    data = vww_data(f"npz:{path}", resolution=48)
    assert [len(split) for split in data.splits.values()] == [565, 63, 157]
    assert data.shape == (48, 48, 3)
    for split in data.splits.values():
        assert 0.45 < split.labels.mean() < 0.53
    assert data.fingerprint != vww_data(f"npz:{path}", resolution=48, seed=1).fingerprint


def test_an_npz_must_be_in_colour(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", x=np.zeros((20, 8, 8), np.uint8), y=np.arange(20) % 2)
    with pytest.raises(DataError, match="three channels"):
        vww_data(f"npz:{tmp_path / 'grey.npz'}")


def test_wake_vision(wake_vision_tfds: Path) -> None:
    data = vww_data(f"tfds:{wake_vision_tfds}", resolution=32)
    assert [len(split) for split in data.splits.values()] == [12, 6, 4]
    for split in data.splits.values():
        assert ((split.images > 127).mean((1, 2, 3)) == split.labels).all()
    assert len(vww_data(f"tfds:{wake_vision_tfds}", resolution=32, limit=4).train) == 4
    assert "Wake Vision" in data.describe()


def test_wake_vision_that_is_not_prepared_says_what_to_run(fashion_tfds: Path) -> None:
    with pytest.raises(DataError, match="tfds build wake_vision --file_format=array_record"):
        vww_data(f"tfds:{fashion_tfds}")
    with pytest.raises(DataError, match="lacks splits"):
        vww_data(f"tfds:{fashion_tfds / 'fashion_mnist' / '3.0.1'}")


def test_wake_vision_is_as_tfds_knows_it() -> None:
    import tensorflow_datasets as tfds

    features: Any = tfds.builder("wake_vision").info.features
    assert {"image", "person"} <= set(features)
    assert features["person"].names == ["No", "Yes"]
