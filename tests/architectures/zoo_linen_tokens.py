"""Networks on sequences and vectors in plain flax.linen: attention, recurrence, loops of equal blocks, several inputs."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from case import array, linen, tokens


class MLP(nn.Module):
    """As in flax's documentation, with a list of sizes and dropout."""

    features: Sequence[int]

    @nn.compact
    def __call__(self, x, training: bool = True):
        for f in self.features[:-1]:
            x = nn.Dropout(0.3, deterministic=not training)(nn.relu(nn.Dense(f)(x)))
        return nn.Dense(self.features[-1])(x)


class MixerBlock(nn.Module):
    """Token mixing and channel mixing (Tolstikhin et al. 2021)."""

    tokens_dim: int = 6
    channels_dim: int = 16

    @nn.compact
    def __call__(self, x):
        y = jnp.swapaxes(nn.LayerNorm()(x), 1, 2)
        y = nn.Dense(x.shape[1], name="token_out")(nn.gelu(nn.Dense(self.tokens_dim, name="token_in")(y)))
        x = x + jnp.swapaxes(y, 1, 2)
        y = nn.gelu(nn.Dense(self.channels_dim, name="channel_in")(nn.LayerNorm()(x)))
        return x + nn.Dense(x.shape[2], name="channel_out")(y)


class Mixer(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (4, 4), (4, 4), name="patches")(x)
        x = x.reshape(x.shape[0], -1, x.shape[-1])
        for i in range(2):
            x = MixerBlock(name=f"block{i}")(x)
        return nn.Dense(3, name="head")(nn.LayerNorm()(x).mean(axis=1))


class Encoder(nn.Module):
    """One pre-norm transformer block with flax's attention."""

    @nn.compact
    def __call__(self, x, train):
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=4, dropout_rate=0.1, deterministic=not train, name="attention")(y)
        y = nn.gelu(nn.Dense(16, name="up")(nn.LayerNorm()(x)))
        y = nn.Dropout(0.1, deterministic=not train)(y)
        return x + nn.Dense(x.shape[-1], name="down")(y)


class ViT(nn.Module):
    """Learned positions, with or without a class token (Dosovitskiy et al. 2021)."""

    class_token: bool = True

    @nn.compact
    def __call__(self, x, train: bool = False):
        x = nn.Conv(8, (4, 4), strides=(4, 4), padding="VALID", name="embedding")(x)
        n, h, w, c = x.shape
        x = jnp.reshape(x, [n, h * w, c])
        if self.class_token:
            cls = self.param("cls", nn.initializers.zeros, (1, 1, c))
            x = jnp.concatenate([jnp.tile(cls, [n, 1, 1]), x], axis=1)
        x = x + self.param("positions", nn.initializers.normal(stddev=0.02), (1, x.shape[1], c))
        for i in range(2):
            x = Encoder(name=f"encoder{i}")(x, train)
        x = nn.LayerNorm()(x)
        x = x[:, 0] if self.class_token else jnp.mean(x, axis=1)
        return nn.Dense(3, name="head")(x)


class RMSNormBlock(nn.Module):
    """Grouped-query attention written by hand, RMSNorm and a SwiGLU, as in Llama."""

    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 4

    @nn.compact
    def __call__(self, x):
        n, t, d = x.shape
        y = nn.RMSNorm(name="norm1")(x)
        q = nn.Dense(self.heads * self.head_dim, use_bias=False, name="q")(y)
        k = nn.Dense(self.kv_heads * self.head_dim, use_bias=False, name="k")(y)
        v = nn.Dense(self.kv_heads * self.head_dim, use_bias=False, name="v")(y)
        q = q.reshape(n, t, self.kv_heads, self.heads // self.kv_heads, self.head_dim)
        k = k.reshape(n, t, self.kv_heads, self.head_dim)
        v = v.reshape(n, t, self.kv_heads, self.head_dim)
        scores = jnp.einsum("ntkgd,nskd->nkgts", q, k) / jnp.sqrt(self.head_dim)
        mask = jnp.tril(jnp.ones((t, t), bool))
        weights = nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
        y = jnp.einsum("nkgts,nskd->ntkgd", weights, v).reshape(n, t, self.heads * self.head_dim)
        x = x + nn.Dense(d, use_bias=False, name="o")(y)
        y = nn.RMSNorm(name="norm2")(x)
        gate = nn.silu(nn.Dense(12, use_bias=False, name="gate")(y))
        return x + nn.Dense(d, use_bias=False, name="down")(gate * nn.Dense(12, use_bias=False, name="up")(y))


class LanguageModel(nn.Module):
    """Token and position embeddings, tied to the output."""

    @nn.compact
    def __call__(self, ids):
        table = nn.Embed(11, 8, name="table")
        x = table(ids) + nn.Embed(16, 8, name="positions")(jnp.arange(ids.shape[1]))
        x = RMSNormBlock(name="block")(x)
        return table.attend(nn.RMSNorm(name="norm")(x))


class TextClassifier(nn.Module):
    """Embeddings without a norm: their channels are free."""

    @nn.compact
    def __call__(self, ids):
        x = nn.Embed(11, 8, name="table")(ids)
        x = x + self.param("positions", nn.initializers.normal(0.1), (6, 8))
        x = nn.relu(nn.Dense(12, name="hidden")(x))
        return nn.Dense(3, name="head")(x.max(axis=1))


class FusedAttention(nn.Module):
    """Query, key and value from one projection, as in timm."""

    heads: int = 4

    @nn.compact
    def __call__(self, x):
        n, t, d = x.shape
        qkv = nn.Dense(3 * d, use_bias=False, name="qkv")(nn.LayerNorm()(x))
        q, k, v = jnp.moveaxis(qkv.reshape(n, t, 3, self.heads, d // self.heads), 2, 0)
        weights = nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k) * (d // self.heads) ** -0.5)
        y = jnp.einsum("nhts,nshd->nthd", weights, v).reshape(n, t, d)
        return nn.Dense(3, name="head")((x + nn.Dense(d, name="out")(y)).mean(1))


class GRUClassifier(nn.Module):
    """A recurrent network over time, and its last output."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8, name="inner")(x)
        x = nn.RNN(nn.GRUCell(features=10), name="rnn")(x)
        return nn.Dense(3, name="head")(x[:, -1])


class LoopBody(nn.Module):
    """One of a stack of equal residual blocks."""

    @nn.compact
    def __call__(self, x, _):
        y = nn.relu(nn.Dense(12, name="up")(x))
        return x + nn.Dense(x.shape[-1], name="down")(y), None


class ScannedBlocks(nn.Module):
    """A deep network that is compiled once, by `nn.scan` over its layers."""

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8, name="stem")(x)
        blocks = nn.scan(LoopBody, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = blocks(name="blocks")(x, None)
        return nn.Dense(3, name="head")(x)


class Shared(nn.Module):
    """One module that is used twice (a Siamese network)."""

    def setup(self):
        self.tower = nn.Sequential([nn.Dense(10), nn.relu, nn.Dense(6)])
        self.head = nn.Dense(2)

    def __call__(self, left, right):
        return self.head(jnp.abs(self.tower(left) - self.tower(right)))


class TwoInputs(nn.Module):
    """Images and measurements by name, a class and a regression out."""

    @nn.compact
    def __call__(self, image, values):
        a = nn.relu(nn.Conv(8, (3, 3), name="image")(image)).mean((1, 2))
        b = nn.tanh(nn.Dense(6, name="values")(values))
        x = nn.relu(nn.Dense(10, name="joint")(jnp.concatenate([a, b], axis=-1)))
        return {"class": nn.Dense(3, name="class")(x), "value": nn.Dense(1, name="value")(x)[:, 0]}


class Positionwise(nn.Module):
    """A constant over the channels, and a division by the root of their number: neither may differ in a subnetwork."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(8, name="scaled")(x)) / jnp.sqrt(8.0)
        x = nn.relu(nn.Dense(8, name="shifted")(x) + jnp.arange(8.0))
        x = nn.relu(nn.Dense(6, name="rolled")(x))
        return nn.Dense(2, name="head")(jnp.roll(x, 1, axis=-1))


HEADS = tuple(f"encoder{i}/attention/{part}/kernel:1" for i in range(2) for part in ("query", "key", "value"))
VIT = (*HEADS, "encoder0/up/kernel", "encoder1/up/kernel")
ZOO = [
    linen("MLP", MLP([12, 10, 3]), array(4, 5), cut=("Dense_0/kernel", "Dense_1/kernel")),
    linen("MLP-Mixer", Mixer(), array(2, 8, 8, 3),
          cut=("block0/token_in/kernel", "block0/channel_in/kernel", "block1/token_in/kernel"),
          pinned=("patches", "block0/channel_out")),
    linen("ViT, class token", ViT(), array(2, 8, 8, 3), cut=VIT,
          pinned=("embedding", "encoder0/down", "encoder0/attention/out")),
    linen("ViT, mean", ViT(False), array(2, 8, 8, 3), cut=VIT, pinned=("embedding", "encoder0/down")),
    linen("language model", LanguageModel(), tokens(2, 6, vocabulary=11),
          cut=("block/q/kernel", "block/k/kernel", "block/v/kernel", "block/gate/kernel", "block/up/kernel"),
          pinned=("table", "block/o", "block/down")),
    linen("embedding", TextClassifier(), tokens(2, 6, vocabulary=11), cut=("table/embedding", "hidden/kernel")),
    linen("fused attention", FusedAttention(), array(2, 5, 8), cut=("qkv/kernel",), pinned=()),
    linen("GRU", GRUClassifier(), array(2, 7, 4), cut=("inner/kernel", "GRUCell_0/in/kernel", "GRUCell_0/hn/kernel")),
    linen("scanned blocks", ScannedBlocks(), array(4, 5), cut=("stem/kernel", "blocks/up/kernel", "blocks/down/kernel")),
    linen("shared weights", Shared(), array(4, 5), array(4, 5)[::-1].copy(),
          cut=("tower/layers_0/kernel", "tower/layers_2/kernel")),
    linen("several inputs", TwoInputs(), {"image": array(2, 8, 8, 3), "values": array(2, 5)},
          cut=("image/kernel", "values/kernel", "joint/kernel")),
    linen("constants", Positionwise(), array(4, 5), cut=("scaled/kernel",), pinned=("shifted", "rolled")),
]
