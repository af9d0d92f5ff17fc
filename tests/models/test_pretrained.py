"""Imported Keras networks give the accuracies that others measured with them. Needs the folder REDS_DATA."""

import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.data import Normalise
from reds_jax.errors import InvalidArgumentError
from reds_jax.experiments.cifar10 import TASK
from reds_jax.models import (
    build,
    import_variables,
    load_ds_cnn,
    load_mlperf_mobilenet,
    load_mlperf_resnet8,
    mobilenet_v1,
    read_weights,
    resnet8,
    vision_ds_cnn_s,
)

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def data() -> Path:
    folder = Path(os.environ.get("REDS_DATA", "."))
    if not (folder / "pretrained_weights.npz").exists():
        pytest.skip("REDS_DATA names no folder with pretrained_weights.npz")
    return folder


def network(data: Path, name: str) -> dict[str, np.ndarray]:
    with np.load(data / "pretrained_weights.npz") as file:
        return {key.removeprefix(f"{name}/"): file[key] for key in file.files if key.startswith(f"{name}/")}


def correct(model, variables, images: np.ndarray, labels: np.ndarray, scale: float = 1.0) -> int:
    predict = jax.jit(lambda x: model.apply(variables, x.astype(jnp.float32) * scale).argmax(-1))
    return sum(int((predict(images[i : i + 250]) == labels[i : i + 250]).sum()) for i in range(0, len(images), 250))


def check_structure(model, variables, image: tuple[int, ...]) -> None:
    expected = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image))))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)


@pytest.mark.slow
def test_visual_wake_words(data: Path) -> None:
    model, variables = mobilenet_v1(2, 0.25, activation=nn.relu), load_mlperf_mobilenet(network(data, "mlcommons/vww_96"))
    check_structure(model, variables, (96, 96, 3))
    with np.load(data / "vww_785.npz") as file:
        images, labels = file["x"], file["y"]
    assert correct(model, variables, images, labels, 1 / 255) == pytest.approx(659, abs=1)  # 83.9 % of 785


@pytest.mark.slow
def test_fashion_mnist(data: Path) -> None:
    if not FASHION_MNIST.exists():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    images, labels = (np.frombuffer(gzip.decompress((FASHION_MNIST / f"t10k-{name}-ubyte.gz").read_bytes())[skip:], np.uint8)
                      for name, skip in (("images-idx3", 16), ("labels-idx1", 8)))
    model, variables = vision_ds_cnn_s(), load_ds_cnn(network(data, "hads/fashion_mnist_ds_cnn_s"))
    check_structure(model, variables, (28, 28, 1))
    assert correct(model, variables, images.reshape(-1, 28, 28, 1), labels, 1 / 255) == pytest.approx(9060, abs=2)


@pytest.fixture(scope="module")
def cifar10(data: Path) -> Callable[[slice, bool], tuple[np.ndarray, np.ndarray]]:
    """Images of the training or of the test part, decoded from JPEG, and their labels; they lie in the order of the classes."""
    image_module = pytest.importorskip("PIL.Image")
    with np.load(data / "cifar10_jpeg.npz") as file:
        blob, offset, labels, is_test = file["blob"].tobytes(), file["offset"], file["label"], file["is_test"]

    def take(part: slice, test: bool) -> tuple[np.ndarray, np.ndarray]:
        numbers = np.flatnonzero(is_test == test)[part]
        images = [np.asarray(image_module.open(io.BytesIO(blob[offset[i] : offset[i + 1]]))) for i in numbers]
        return np.stack(images), labels[numbers]

    return take


@pytest.mark.parametrize(("step", "expected"), [(20, 0.755), pytest.param(1, 0.755, marks=pytest.mark.slow)])
def test_cifar10_resnet8(data: Path, cifar10: Callable, step: int, expected: float) -> None:
    """75.5 % of all 10,000 within 0.3 points."""
    images, labels = cifar10(slice(None, None, step), True)
    model, variables = resnet8(), load_mlperf_resnet8(network(data, "mlcommons/pretrainedResnet"))
    check_structure(model, variables, (32, 32, 3))
    found = correct(model, variables, images, labels) / len(labels)
    assert found == pytest.approx(expected, abs=0.003 if step == 1 else 0.04)


@pytest.mark.parametrize(("step", "expected"), [(20, 0.739), pytest.param(1, 0.739, marks=pytest.mark.slow)])
def test_cifar10_ds_cnn(data: Path, cifar10: Callable, step: int, expected: float) -> None:
    """73.9 % of all 10,000 within 0.3 points, by way of the file and the network of the experiment."""
    chosen = TASK.network("vision_ds_cnn_s")
    model = build(chosen.architecture, chosen.arguments)
    scale = Normalise.standard(cifar10(slice(None, None, 25), False)[0])
    images, labels = cifar10(slice(None, None, step), True)
    arrays = {name.removeprefix("hads/cifar10_ds_cnn_s/"): array for name, array in
              read_weights(data / "pretrained_weights.npz").items() if name.startswith("hads/cifar10_ds_cnn_s/")}
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3))))
    variables, match = import_variables(arrays, like, chosen.import_weights)
    assert match.fits
    predict = jax.jit(lambda x: model.apply(variables, x).argmax(-1))
    right = sum(int((predict(scale(images[i : i + 250])) == labels[i : i + 250]).sum()) for i in range(0, len(labels), 250))
    assert right / len(labels) == pytest.approx(expected, abs=0.003 if step == 1 else 0.04)


def test_wrong_weights_are_named(data: Path) -> None:
    weights = network(data, "mlcommons/vww_96")
    with pytest.raises(InvalidArgumentError, match="arrays that the network does not"):
        load_mlperf_mobilenet({**weights, "extra/kernel:0": np.zeros(3, np.float32)})
    with pytest.raises(InvalidArgumentError, match="no array 'conv2d_5/bias'"):
        load_mlperf_mobilenet({k: v for k, v in weights.items() if "conv2d_5/bias" not in k or "depthwise" in k})
