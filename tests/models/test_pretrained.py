"""Imported Keras networks give the accuracies that others measured with them. Needs the folder REDS_DATA."""

import gzip
import io
import os
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.errors import InvalidArgumentError
from reds_jax.models import (
    load_ds_cnn,
    load_mlperf_mobilenet,
    load_mlperf_resnet8,
    mobilenet_v1,
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


def test_visual_wake_words(data: Path) -> None:
    model, variables = mobilenet_v1(2, 0.25, activation=nn.relu), load_mlperf_mobilenet(network(data, "mlcommons/vww_96"))
    check_structure(model, variables, (96, 96, 3))
    with np.load(data / "vww_785.npz") as file:
        images, labels = file["x"], file["y"]
    assert correct(model, variables, images, labels, 1 / 255) == pytest.approx(659, abs=1)  # 83.9 % of 785


def test_fashion_mnist(data: Path) -> None:
    if not FASHION_MNIST.exists():
        pytest.skip("the Debian package dataset-fashion-mnist is not installed")
    images, labels = (np.frombuffer(gzip.decompress((FASHION_MNIST / f"t10k-{name}-ubyte.gz").read_bytes())[skip:], np.uint8)
                      for name, skip in (("images-idx3", 16), ("labels-idx1", 8)))
    model, variables = vision_ds_cnn_s(), load_ds_cnn(network(data, "hads/fashion_mnist_ds_cnn_s"))
    check_structure(model, variables, (28, 28, 1))
    assert correct(model, variables, images.reshape(-1, 28, 28, 1), labels, 1 / 255) == pytest.approx(9060, abs=2)


def test_cifar10(data: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    with np.load(data / "cifar10_jpeg.npz") as file:
        blob, offset, labels = file["blob"].tobytes(), file["offset"], file["label"]
        first = int(np.argmax(file["is_test"]))
    images = np.stack([np.asarray(image_module.open(io.BytesIO(blob[offset[i] : offset[i + 1]])))
                       for i in range(first, first + 1000)])
    model, variables = resnet8(), load_mlperf_resnet8(network(data, "mlcommons/pretrainedResnet"))
    check_structure(model, variables, (32, 32, 3))
    assert correct(model, variables, images, labels[first : first + 1000]) >= 720  # 75.5 % of all 10,000


def test_wrong_weights_are_named(data: Path) -> None:
    weights = network(data, "mlcommons/vww_96")
    with pytest.raises(InvalidArgumentError, match="arrays that the network does not"):
        load_mlperf_mobilenet({**weights, "extra/kernel:0": np.zeros(3, np.float32)})
    with pytest.raises(InvalidArgumentError, match="no array 'conv2d_5/bias'"):
        load_mlperf_mobilenet({k: v for k, v in weights.items() if "conv2d_5/bias" not in k or "depthwise" in k})
