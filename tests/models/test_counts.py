"""Parameter and MAC counts of every model, pinned to the literature's; counted from kernel shapes and output sizes."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from reds_jax.errors import InvalidArgumentError
from reds_jax.models import (
    cnn_l,
    cnn_s,
    dnn_l,
    dnn_s,
    ds_cnn_l,
    ds_cnn_s,
    mobilenet_v1,
    resnet8,
    vision_ds_cnn_s,
)

# model, image, MACs, parameters without batch norm, parameters with batch norm's four arrays
TABLE = {
    "DNN S": (dnn_s(), (25, 10, 1), 79_200, 79_644, 79_644),
    "DNN L": (dnn_l(), (25, 10, 1), 494_424, 495_744, 495_744),
    "CNN S": (cnn_s(), (49, 10, 1), 2_498_304, 69_238, 69_982),
    "CNN L": (cnn_l(), (49, 10, 1), 12_636_672, 476_206, 477_262),
    "DS-CNN S": (ds_cnn_s(), (49, 10, 1), 2_656_768, 22_604, 24_908),
    "DS-CNN L": (ds_cnn_l(), (49, 10, 1), 28_327_812, 410_700, 422_844),
    "vision DS-CNN S, Fashion-MNIST": (vision_ds_cnn_s(), (28, 28, 1), 3_788_544, 32_650, None),
    "vision DS-CNN S, CIFAR-10": (vision_ds_cnn_s(pool=(16, 5)), (32, 32, 3), 5_234_176, 28_682, None),
    "MobileNetV1 1.0 at 96": (mobilenet_v1(2, 1.0), (96, 96, 3), 104_276_480, 3_187_138, None),
    "MobileNetV1 1.0 at 224": (mobilenet_v1(2, 1.0), (224, 224, 3), 567_718_400, 3_187_138, None),
    "MobileNetV1 0.25 at 96": (mobilenet_v1(2, 0.25), (96, 96, 3), 7_489_664, 208_114, None),
    "ResNet-8": (resnet8(), (32, 32, 3), 12_501_632, 77_706, 78_666),
}


def count(model: nn.Module, image: tuple[int, ...]) -> tuple[int, int, int, tuple[int, ...]]:
    """(MACs of one image, parameters without batch norm, all variables, the shape of the logits of two images).

    No code of the library counts here.
    """
    macs = 0

    def watch(next_call, args, kwargs, context):
        nonlocal macs
        y = next_call(*args, **kwargs)
        if isinstance(context.module, nn.Conv | nn.Dense) and context.method_name == "__call__":
            *window_and_fan_in, features = context.module.variables["params"]["kernel"].shape
            assert y.shape[-1] == features
            macs += math.prod(window_and_fan_in) * math.prod(y.shape[1:])
        return y

    def init():
        with nn.intercept_methods(watch):
            return model.init_with_output(jax.random.key(0), jnp.zeros((2, *image)))

    logits, variables = jax.eval_shape(init)

    def size(tree) -> int:
        return sum(leaf.size for leaf in jax.tree.leaves(tree))

    without = {name: p for name, p in variables["params"].items() if "norm" not in name}
    return macs, size(without), size(variables), logits.shape


@pytest.mark.parametrize("name", TABLE)
def test_counts(name: str) -> None:
    model, image, macs, without, everything = TABLE[name]
    found = count(model, image)
    assert found[:2] == (macs, without)
    assert everything is None or found[2] == everything
    assert found[3] == (2, model.model.classes)


@pytest.mark.parametrize(
    "name", ["DNN S", "CNN S", "DS-CNN S", "vision DS-CNN S, CIFAR-10", "MobileNetV1 0.25 at 96", "ResNet-8"])
def test_narrow_networks_keep_one_logit_a_class(name: str) -> None:
    """Each architecture in one size."""
    model, image, *_ = TABLE[name]
    x = jnp.zeros((2, *image))
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    assert jax.eval_shape(lambda v, x: model.apply(v, x, 0.3), variables, x).shape == (2, model.model.classes)


def test_an_empty_mobilenet_is_an_error() -> None:
    with pytest.raises(InvalidArgumentError, match=r"got 0\.01; allowed: 1/32 or more"):
        mobilenet_v1(2, 0.01)
