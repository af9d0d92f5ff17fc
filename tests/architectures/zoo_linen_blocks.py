"""The blocks of residual and mobile networks in plain flax.linen, with the shortcuts that people write."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from case import array, linen


class ResNetBlock(nn.Module):
    """As in flax's ImageNet example."""

    filters: int
    norm: Any
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x):
        residual = x
        y = nn.Conv(self.filters, (3, 3), self.strides, use_bias=False)(x)
        y = nn.relu(self.norm()(y))
        y = nn.Conv(self.filters, (3, 3), use_bias=False)(y)
        y = self.norm(scale_init=nn.initializers.zeros_init())(y)
        if residual.shape != y.shape:
            residual = nn.Conv(self.filters, (1, 1), self.strides, use_bias=False, name="conv_proj")(residual)
            residual = self.norm(name="norm_proj")(residual)
        return nn.relu(residual + y)


class ResNet(nn.Module):
    stages: Sequence[int] = (8, 12)
    num_classes: int = 5

    @nn.compact
    def __call__(self, x, train: bool = True):
        norm = partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, epsilon=1e-5)
        x = nn.Conv(self.stages[0], (3, 3), use_bias=False, name="conv_init")(x)
        x = nn.relu(norm(name="bn_init")(x))
        x = nn.max_pool(x, (2, 2), strides=(2, 2), padding="SAME")
        for i, filters in enumerate(self.stages):
            x = ResNetBlock(filters, norm, (2, 2) if i > 0 else (1, 1))(x)
            x = ResNetBlock(filters, norm)(x)
        x = jnp.mean(x, axis=(1, 2))
        return nn.Dense(self.num_classes, name="head")(x)


class RematResNet(nn.Module):
    """Residual blocks that are computed again in the backward pass."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="stem")(x))
        for i in range(2):
            x = nn.remat(PlainBlock)(8, name=f"block{i}")(x)
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class PlainBlock(nn.Module):
    features: int

    @nn.compact
    def __call__(self, x):
        y = nn.relu(nn.Conv(6, (3, 3), name="inner")(x))
        return nn.relu(x + nn.Conv(self.features, (3, 3), name="outer")(y))


class InvertedResidual(nn.Module):
    """MobileNetV2 (Sandler et al. 2018): expansion, depthwise, a linear bottleneck."""

    features: int
    expansion: int = 6
    stride: int = 1

    @nn.compact
    def __call__(self, x, train):
        inputs, hidden = x, self.expansion * x.shape[-1]
        if self.expansion != 1:
            x = nn.Conv(hidden, (1, 1), use_bias=False, name="expand")(x)
            x = nn.relu6(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Conv(hidden, (3, 3), (self.stride, self.stride), feature_group_count=hidden, use_bias=False, name="depthwise")(x)
        x = nn.relu6(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Conv(self.features, (1, 1), use_bias=False, name="project")(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        if self.stride == 1 and inputs.shape[-1] == self.features:
            x = x + inputs
        return x


class MobileNetV2(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(6, (3, 3), strides=2, use_bias=False, name="stem")(x)
        x = nn.relu6(nn.BatchNorm(use_running_average=not train)(x))
        for i, (expansion, features, stride) in enumerate([(1, 4, 1), (6, 6, 2), (6, 6, 1), (2, 8, 1)]):
            x = InvertedResidual(features, expansion, stride, name=f"block{i}")(x, train)
        x = nn.relu6(nn.Conv(16, (1, 1), name="last")(x))
        x = nn.Dropout(0.2, deterministic=not train)(jnp.mean(x, axis=(1, 2)))
        return nn.Dense(3, name="head")(x)


class MBConv(nn.Module):
    """MobileNetV3 (Howard et al. 2019) and EfficientNet (Tan & Le 2019): hard-swish or swish, squeeze-excite inside."""

    features: int
    hidden: int
    kernel: int = 3
    activation: Any = nn.hard_swish
    gate: Any = nn.hard_sigmoid

    @nn.compact
    def __call__(self, x, deterministic):
        inputs = x
        x = nn.Conv(self.hidden, (1, 1), use_bias=False, name="expand")(x)
        x = self.activation(nn.BatchNorm(use_running_average=deterministic)(x))
        window = (self.kernel, self.kernel)
        x = nn.Conv(self.hidden, window, feature_group_count=self.hidden, use_bias=False, name="depthwise")(x)
        x = self.activation(nn.BatchNorm(use_running_average=deterministic)(x))
        s = nn.relu(nn.Conv(max(1, self.hidden // 4), (1, 1), name="squeeze")(x.mean((1, 2), keepdims=True)))
        x = x * self.gate(nn.Conv(self.hidden, (1, 1), name="excite")(s))
        x = nn.BatchNorm(use_running_average=deterministic)(nn.Conv(self.features, (1, 1), use_bias=False, name="project")(x))
        if x.shape == inputs.shape:
            x = inputs + nn.Dropout(0.2, broadcast_dims=(1, 2, 3))(x, deterministic=deterministic)
        return x


class MobileNetV3(nn.Module):
    activation: Any = nn.hard_swish
    gate: Any = nn.hard_sigmoid

    @nn.compact
    def __call__(self, x, deterministic: bool = False):
        x = nn.Conv(8, (3, 3), strides=(2, 2), name="stem")(x)
        x = self.activation(nn.BatchNorm(use_running_average=deterministic)(x))
        x = MBConv(8, 16, activation=self.activation, gate=self.gate, name="block0")(x, deterministic)
        x = MBConv(12, 24, 5, activation=self.activation, gate=self.gate, name="block1")(x, deterministic)
        return nn.Dense(3, name="head")(self.activation(x.mean((1, 2))))


class ConvNeXtBlock(nn.Module):
    """7 x 7 depthwise, LayerNorm, an MLP with GELU and a layer scale (Liu et al. 2022)."""

    @nn.compact
    def __call__(self, x):
        dim = x.shape[-1]
        y = nn.Conv(dim, (7, 7), feature_group_count=dim, name="depthwise")(x)
        y = nn.LayerNorm(epsilon=1e-6)(y)
        y = nn.Dense(4 * dim, name="up")(y)
        y = nn.Dense(dim, name="down")(nn.gelu(y))
        gamma = self.param("gamma", nn.initializers.constant(0.1), (dim,))
        return x + gamma * y


class ConvNeXt(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.LayerNorm()(nn.Conv(8, (4, 4), (4, 4), name="patchify")(x))
        for i in range(2):
            x = ConvNeXtBlock(name=f"block{i}")(x)
        x = nn.LayerNorm()(x.mean((1, 2)))
        return nn.Dense(3, name="head")(x)


class GroupNormNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.GroupNorm(num_groups=2)(nn.Conv(8, (3, 3), name="normed")(x)))
        x = nn.relu(nn.Conv(12, (3, 3), name="free")(x))
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class StandardisedConv(nn.Module):
    """Weight standardisation (Qiao et al. 2019): each filter has mean 0 and deviation 1."""

    features: int

    @nn.compact
    def __call__(self, x):
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        kernel = kernel - jnp.mean(kernel, axis=(0, 1, 2), keepdims=True)
        kernel = kernel / (jnp.std(kernel, axis=(0, 1, 2), keepdims=True) + 1e-5)
        return nn.Conv(self.features, (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)


class StandardisedNet(nn.Module):
    """A filter is standardised over its inputs, so its inputs stay; the filters of the last such layer can go."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(StandardisedConv(8, name="first")(x))
        x = nn.relu(StandardisedConv(8, name="second")(x))
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class Inception(nn.Module):
    """Branches side by side, one behind a pooling, and a dense layer behind a reshape over H, W, C."""

    @nn.compact
    def __call__(self, x):
        a = nn.relu(nn.Conv(4, (1, 1), name="a")(x))
        b = nn.relu(nn.Conv(6, (3, 3), name="b")(nn.relu(nn.Conv(5, (1, 1), name="b_in")(x))))
        c = nn.Conv(4, (1, 1), name="c")(nn.avg_pool(x, (3, 3), padding="SAME"))
        x = nn.max_pool(jnp.concatenate([a, b, c], -1), (2, 2), (2, 2))
        return nn.Dense(3, name="head")(jnp.reshape(x, (x.shape[0], x.shape[1] * x.shape[2] * x.shape[3])))


class ResNeXt(nn.Module):
    """A grouped convolution between two 1 x 1 ones."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="stem")(x))
        y = nn.relu(nn.Conv(12, (1, 1), name="reduce")(x))
        y = nn.relu(nn.Conv(12, (3, 3), feature_group_count=4, name="grouped")(y))
        x = nn.relu(x + nn.Conv(8, (1, 1), name="expand")(y))
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class Auxiliary(nn.Module):
    """A second head that exists in training only, as in GoogLeNet."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.relu(nn.Conv(8, (3, 3), name="body")(x))
        auxiliary = nn.Dense(3, name="auxiliary_head")(x.mean((1, 2))) if train else None
        x = nn.relu(nn.Conv(8, (3, 3), name="more")(x))
        logits = nn.Dense(3, name="head")(x.mean((1, 2)))
        return (logits, auxiliary) if train else logits


IMAGES = array(2, 8, 8, 3)
ZOO = [
    linen("ResNet", ResNet(), IMAGES, cut=("conv_init/kernel", "ResNetBlock_0/Conv_0/kernel", "ResNetBlock_0/Conv_1/kernel",
                                           "ResNetBlock_2/conv_proj/kernel", "ResNetBlock_3/Conv_0/kernel")),
    linen("remat", RematResNet(), IMAGES,
          cut=("stem/kernel", "block0/inner/kernel", "block1/inner/kernel", "block1/outer/kernel")),
    linen("MobileNetV2", MobileNetV2(), IMAGES, cut=("stem/kernel", "block0/project/kernel", "block1/expand/kernel",
                                                     "block2/project/kernel", "block3/expand/kernel", "last/kernel")),
    linen("MobileNetV3", MobileNetV3(), IMAGES, cut=("stem/kernel", "block0/expand/kernel", "block0/squeeze/kernel",
                                                     "block0/project/kernel", "block1/project/kernel")),
    linen("EfficientNet", MobileNetV3(nn.swish, nn.sigmoid), IMAGES,
          cut=("stem/kernel", "block0/expand/kernel", "block1/project/kernel")),
    linen("ConvNeXt", ConvNeXt(), IMAGES, cut=("block0/up/kernel", "block1/up/kernel"), pinned=("patchify", "block0/down")),
    linen("GroupNorm", GroupNormNet(), IMAGES, cut=("free/kernel",), pinned=("normed",)),
    linen("weight standardisation", StandardisedNet(), IMAGES, cut=("second/kernel",), pinned=("first",)),
    linen("Inception", Inception(), IMAGES, cut=("a/kernel", "b_in/kernel", "b/kernel", "c/kernel")),
    linen("ResNeXt", ResNeXt(), IMAGES, cut=("stem/kernel", "reduce/kernel", "grouped/kernel")),
    linen("auxiliary head", Auxiliary(), IMAGES, cut=("body/kernel", "more/kernel")),
]
