"""Convolutional networks in plain flax.linen: 1-D to 3-D, up and down, dense, split, shuffled, gated."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from case import array, linen


class TCResNet(nn.Module):
    """Keyword spotting on MFCCs [N, T, F], with F as channels of a 1-D convolution (Choi et al. 2019)."""

    channels: Sequence[int] = (8, 12, 12)

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(self.channels[0], kernel_size=(3,), use_bias=False)(x)
        for i, features in enumerate(self.channels[1:]):
            stride = 2 if features != x.shape[-1] else 1
            y = nn.Conv(features, kernel_size=(9,), strides=stride, use_bias=False, name=f"conv{i}_1")(x)
            y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
            y = nn.Conv(features, kernel_size=(9,), use_bias=False, name=f"conv{i}_2")(y)
            y = nn.BatchNorm(use_running_average=not train)(y)
            if x.shape != y.shape:
                x = nn.Conv(features, kernel_size=(1,), strides=stride, use_bias=False, name=f"shortcut{i}")(x)
                x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
            x = nn.relu(x + y)
        x = jnp.mean(x, axis=1)
        x = nn.Dropout(0.5, deterministic=not train)(x)
        return nn.Dense(4)(x)


class Conv3D(nn.Module):
    """Video clips [N, T, H, W, C]."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.relu(nn.Conv(8, (3, 3, 3))(x))
        x = nn.max_pool(x, (2, 2, 2), strides=(2, 2, 2))
        x = nn.Conv(12, (3, 3, 3), padding="VALID" if x.shape[1] > 3 else "SAME")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.avg_pool(x, (2, 2, 2), strides=(2, 2, 2))
        x = x.reshape((x.shape[0], -1))
        return nn.Dense(3)(x)


class Decoder(nn.Module):
    """The generator of a DCGAN (Radford et al. 2016)."""

    @nn.compact
    def __call__(self, z, train: bool = True):
        x = nn.Dense(4 * 4 * 12)(z)
        x = x.reshape((x.shape[0], 4, 4, 12))
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.ConvTranspose(8, (4, 4), strides=(2, 2))(x)
        x = nn.leaky_relu(nn.BatchNorm(use_running_average=not train)(x))
        return nn.tanh(nn.ConvTranspose(3, (3, 3), strides=(2, 2), padding="SAME")(x))


class Autoencoder(nn.Module):
    """A convolutional autoencoder with a dense code."""

    def setup(self):
        self.down1 = nn.Conv(8, (3, 3), strides=(2, 2))
        self.down2 = nn.Conv(12, (3, 3), strides=(2, 2))
        self.code = nn.Dense(6)
        self.expand = nn.Dense(2 * 2 * 12)
        self.up1 = nn.ConvTranspose(8, (3, 3), strides=(2, 2))
        self.up2 = nn.ConvTranspose(1, (3, 3), strides=(2, 2))

    def encode(self, x):
        x = nn.relu(self.down2(nn.relu(self.down1(x))))
        return self.code(x.reshape(x.shape[0], -1))

    def decode(self, z):
        x = nn.relu(self.expand(z)).reshape(-1, 2, 2, 12)
        return nn.sigmoid(self.up2(nn.relu(self.up1(x))))

    def __call__(self, x):
        return self.decode(self.encode(x))


class UNet(nn.Module):
    """Segmentation with a skip over a resize (Ronneberger et al. 2015)."""

    method: str = "nearest"

    @nn.compact
    def __call__(self, x, train: bool = False):
        def block(x, features, name):
            x = nn.Conv(features, (3, 3), name=name)(x)
            return nn.relu(nn.BatchNorm(use_running_average=not train)(x))

        skip = block(x, 6, "down1")
        x = block(nn.max_pool(skip, (2, 2), (2, 2)), 10, "down2")
        n, h, w, c = x.shape
        x = jax.image.resize(x, (n, h * 2, w * 2, c), method=self.method)
        x = jnp.concatenate([skip, x], axis=-1)
        x = block(x, 6, "up1")
        return nn.Conv(2, (1, 1), name="logits")(x)


class DenseNet(nn.Module):
    """Dense blocks and a transition (Huang et al. 2017)."""

    growth: int = 4

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(8, (3, 3), use_bias=False, name="stem")(x)
        for _ in range(3):
            y = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
            y = nn.Conv(4 * self.growth, (1, 1), use_bias=False)(y)
            y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
            y = nn.Conv(self.growth, (3, 3), use_bias=False)(y)
            x = jnp.concatenate([x, y], axis=-1)
        x = nn.relu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.Conv(x.shape[-1] // 2, (1, 1), use_bias=False, name="transition")(x)
        x = nn.avg_pool(x, (2, 2), strides=(2, 2))
        return nn.Dense(3, name="head")(jnp.mean(x, axis=(1, 2)))


class SEBlock(nn.Module):
    """Squeeze and excitation (Hu et al. 2018)."""

    reduction: int = 4

    @nn.compact
    def __call__(self, x):
        y = jnp.mean(x, axis=(1, 2), keepdims=True)
        y = nn.relu(nn.Dense(x.shape[-1] // self.reduction, name="squeeze")(y))
        return x * nn.sigmoid(nn.Dense(x.shape[-1], name="excite")(y))


class SENet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(12, (3, 3))(x))
        x = SEBlock()(x)
        return nn.Dense(3)(x.mean((1, 2)))


class CBAM(nn.Module):
    """A spatial gate of one channel, from the mean and the maximum over the channels (Woo et al. 2018)."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(8, (3, 3), name="features")(x))
        gate = nn.sigmoid(nn.Conv(1, (3, 3), name="gate")(x))
        x = nn.relu(nn.Conv(8, (3, 3), name="more")(x * gate))
        return nn.Dense(3)(x.mean((1, 2)))


def channel_shuffle(x, groups):
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, groups, c // groups)
    return jnp.swapaxes(x, 3, 4).reshape(n, h, w, c)


class ShuffleNetV1(nn.Module):
    """Grouped 1 x 1 convolutions with a channel shuffle between them (Zhang et al. 2018)."""

    groups: int = 2

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(12, (3, 3), name="stem")(x)
        y = nn.Conv(8, (1, 1), feature_group_count=self.groups, name="reduce")(x)
        y = nn.relu(nn.BatchNorm(use_running_average=not train)(y))
        y = channel_shuffle(y, self.groups)
        y = nn.Conv(8, (3, 3), feature_group_count=8, name="depthwise")(y)
        y = nn.BatchNorm(use_running_average=not train)(y)
        y = nn.Conv(12, (1, 1), feature_group_count=self.groups, name="expand")(y)
        return nn.Dense(3, name="head")(nn.relu(x + y).mean((1, 2)))


class ShuffleNetV2(nn.Module):
    """Channel split, a branch, concatenation and shuffle (Ma et al. 2018)."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(12, (3, 3), name="stem")(x)
        for i in range(2):
            left, right = jnp.split(x, 2, axis=-1)
            right = nn.relu(nn.BatchNorm(use_running_average=not train)(nn.Conv(6, (1, 1), name=f"in{i}")(right)))
            right = nn.Conv(6, (3, 3), feature_group_count=6, name=f"depthwise{i}")(right)
            right = nn.BatchNorm(use_running_average=not train)(right)
            right = nn.relu(nn.Conv(6, (1, 1), name=f"out{i}")(right))
            x = channel_shuffle(jnp.concatenate([left, right], axis=-1), 2)
        x = nn.relu(nn.Conv(16, (1, 1), name="last")(x))
        return nn.Dense(3, name="head")(x.mean((1, 2)))


class EEGNet(nn.Module):
    """Electrodes x samples as an image of one channel; depthwise over the electrodes (Lawhern et al. 2018)."""

    f1: int = 4
    depth: int = 2

    @nn.compact
    def __call__(self, x, train: bool = False):
        electrodes = x.shape[1]
        x = nn.Conv(self.f1, (1, 8), use_bias=False, name="temporal")(x)
        x = nn.BatchNorm(use_running_average=not train)(x)
        x = nn.Conv(self.f1 * self.depth, (electrodes, 1), padding="VALID", feature_group_count=self.f1, use_bias=False,
                    name="spatial")(x)
        x = nn.elu(nn.BatchNorm(use_running_average=not train)(x))
        x = nn.avg_pool(x, (1, 4), strides=(1, 4))
        x = nn.Dropout(0.25, deterministic=not train)(x)
        x = nn.Conv(x.shape[-1], (1, 4), feature_group_count=x.shape[-1], use_bias=False, name="separable")(x)
        x = nn.Conv(8, (1, 1), use_bias=False, name="pointwise")(x)
        x = nn.elu(nn.BatchNorm(use_running_average=not train)(x))
        x = x.reshape((x.shape[0], -1))
        return nn.Dense(4, name="head")(x)


ZOO = [
    linen("TC-ResNet", TCResNet(), array(2, 16, 10),
          cut=("Conv_0/kernel", "conv0_1/kernel", "conv0_2/kernel", "shortcut0/kernel", "conv1_1/kernel", "conv1_2/kernel")),
    linen("3-D convolution", Conv3D(), array(2, 4, 8, 8, 2), cut=("Conv_0/kernel", "Conv_1/kernel")),
    linen("transposed convolution", Decoder(), array(2, 5), cut=("Dense_0/kernel", "ConvTranspose_0/kernel"),
          pinned=("ConvTranspose_1",)),
    linen("autoencoder", Autoencoder(), array(2, 8, 8, 1),
          cut=("down1/kernel", "down2/kernel", "code/kernel", "expand/kernel", "up1/kernel")),
    linen("U-Net, nearest", UNet("nearest"), array(2, 8, 8, 3), cut=("down1/kernel", "down2/kernel", "up1/kernel")),
    linen("U-Net, bilinear", UNet("bilinear"), array(2, 8, 8, 3), cut=("down1/kernel", "down2/kernel", "up1/kernel")),
    linen("DenseNet", DenseNet(), array(2, 8, 8, 3),
          cut=("stem/kernel", "Conv_0/kernel", "Conv_1/kernel", "Conv_5/kernel", "transition/kernel")),
    linen("squeeze-excite", SENet(), array(2, 8, 8, 3),
          cut=("Conv_0/kernel", "SEBlock_0/squeeze/kernel", "SEBlock_0/excite/kernel")),
    linen("one-channel gate", CBAM(), array(2, 8, 8, 3), cut=("features/kernel", "more/kernel")),
    linen("ShuffleNet V1", ShuffleNetV1(), array(2, 8, 8, 3), cut=("stem/kernel", "reduce/kernel", "expand/kernel")),
    linen("ShuffleNet V2", ShuffleNetV2(), array(2, 8, 8, 3), cut=("in0/kernel", "in1/kernel", "last/kernel", "stem/kernel")),
    linen("EEGNet", EEGNet(), array(2, 6, 32, 1), cut=("temporal/kernel", "pointwise/kernel")),
]
