"""Architectures in plain flax.nnx."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from case import Built, Case, array, varied
from flax import nnx


class CNN(nnx.Module):
    """As in flax's MNIST example, with batch norm and dropout."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), rngs=rngs)
        self.batch_norm1 = nnx.BatchNorm(8, rngs=rngs)
        self.dropout1 = nnx.Dropout(rate=0.025, rngs=rngs)
        self.conv2 = nnx.Conv(8, 12, kernel_size=(3, 3), rngs=rngs)
        self.linear1 = nnx.Linear(2 * 2 * 12, 16, rngs=rngs)
        self.linear2 = nnx.Linear(16, 4, rngs=rngs)

    def __call__(self, x):
        x = nnx.avg_pool(nnx.relu(self.batch_norm1(self.dropout1(self.conv1(x)))), (2, 2), strides=(2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), (2, 2), strides=(2, 2))
        return self.linear2(nnx.relu(self.linear1(x.reshape(x.shape[0], -1))))


class Residual(nnx.Module):
    def __init__(self, channels: int, hidden: int, rngs: nnx.Rngs):
        self.expand = nnx.Conv(channels, hidden, (1, 1), use_bias=False, rngs=rngs)
        self.depthwise = nnx.Conv(hidden, hidden, (3, 3), feature_group_count=hidden, rngs=rngs)
        self.norm = nnx.BatchNorm(hidden, rngs=rngs)
        self.project = nnx.Conv(hidden, channels, (1, 1), rngs=rngs)

    def __call__(self, x):
        return x + self.project(nnx.relu6(self.norm(self.depthwise(self.expand(x)))))


class MobileNet(nnx.Module):
    """Inverted residuals in a list, and a mode that is an argument of the call."""

    def __init__(self, rngs: nnx.Rngs):
        self.stem = nnx.Conv(3, 8, (3, 3), strides=(2, 2), rngs=rngs)
        self.blocks = nnx.List([Residual(8, 16, rngs), Residual(8, 12, rngs)])
        self.drop = nnx.Dropout(0.2, rngs=rngs)
        self.head = nnx.Linear(8, 3, rngs=rngs)

    def __call__(self, x, train: bool = True):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.drop(x.mean(axis=(1, 2)), deterministic=not train))


class Transformer(nnx.Module):
    """An encoder block with nnx's attention, on learned positions."""

    def __init__(self, rngs: nnx.Rngs):
        self.embed = nnx.Linear(5, 8, rngs=rngs)
        self.positions = nnx.Param(0.1 * jax.random.normal(rngs.params(), (6, 8)))
        self.norm1, self.norm2 = nnx.LayerNorm(8, rngs=rngs), nnx.LayerNorm(8, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(num_heads=4, in_features=8, dropout_rate=0.1, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(8, 16, rngs=rngs), nnx.Linear(16, 8, rngs=rngs)
        self.head = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        x = self.embed(x) + self.positions[...]
        x = x + self.attention(self.norm1(x))
        x = x + self.down(nnx.gelu(self.up(self.norm2(x))))
        return self.head(x.mean(axis=1))


class Autoencoder(nnx.Module):
    """Down by strides and up by transposed convolutions."""

    def __init__(self, rngs: nnx.Rngs):
        self.down = nnx.Conv(1, 8, (3, 3), strides=(2, 2), rngs=rngs)
        self.code = nnx.Conv(8, 4, (3, 3), strides=(2, 2), rngs=rngs)
        self.up1 = nnx.ConvTranspose(4, 8, (3, 3), strides=(2, 2), rngs=rngs)
        self.up2 = nnx.ConvTranspose(8, 1, (3, 3), strides=(2, 2), rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.code(nnx.relu(self.down(x))))
        return jnp.tanh(self.up2(nnx.relu(self.up1(x))))


def nnx_case(name: str, model: type, inputs: object, cut: tuple[str, ...], pinned: tuple[str, ...] = ()) -> Case:
    def build() -> Built:
        made = model(rngs=nnx.Rngs(0))
        nnx.update(made, varied(nnx.to_pure_dict(nnx.state(made, (nnx.Param, nnx.BatchStat)))))
        return made, None, inputs

    return Case(name, build, cut, pinned)


ZOO = [
    nnx_case("nnx CNN", CNN, array(2, 8, 8, 1), ("conv1/kernel", "conv2/kernel", "linear1/kernel")),
    nnx_case("nnx MobileNet", MobileNet, array(2, 8, 8, 3),
             ("stem/kernel", "blocks/0/expand/kernel", "blocks/1/expand/kernel")),
    nnx_case("nnx transformer", Transformer, array(2, 6, 5), ("attention/query/kernel:1", "up/kernel"), ("embed", "down")),
    nnx_case("nnx autoencoder", Autoencoder, array(2, 8, 8, 1), ("down/kernel", "code/kernel", "up1/kernel")),
]
