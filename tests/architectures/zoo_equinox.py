"""Architectures in plain equinox: written for one example, channels first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from case import Built, Case, array, varied

from reds_jax.adapters import adapt


class CNN(eqx.Module):
    """As in equinox's MNIST example: a list of layers and functions."""

    layers: list

    def __init__(self, key):
        key1, key2, key3, key4 = jax.random.split(key, 4)
        self.layers = [eqx.nn.Conv2d(1, 6, kernel_size=3, key=key1), eqx.nn.MaxPool2d(kernel_size=2), jax.nn.relu, jnp.ravel,
                       eqx.nn.Linear(486, 16, key=key2), jax.nn.sigmoid, eqx.nn.Linear(16, 8, key=key3), jax.nn.relu,
                       eqx.nn.Linear(8, 4, key=key4)]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class ResNet(eqx.Module):
    """Batch norm with a state, a residual, dropout with a key."""

    stem: eqx.nn.Conv2d
    inner: eqx.nn.Conv2d
    outer: eqx.nn.Conv2d
    norm1: eqx.nn.BatchNorm
    norm2: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    head: eqx.nn.Linear

    def __init__(self, key, mode):
        keys = jax.random.split(key, 4)
        self.stem = eqx.nn.Conv2d(3, 8, 3, padding=1, key=keys[0])
        self.inner = eqx.nn.Conv2d(8, 6, 3, padding=1, use_bias=False, key=keys[1])
        self.outer = eqx.nn.Conv2d(6, 8, 3, padding=1, key=keys[2])
        self.norm1, self.norm2 = (eqx.nn.BatchNorm(n, axis_name="batch", mode=mode) for n in (8, 6))
        self.dropout = eqx.nn.Dropout(0.2)
        self.head = eqx.nn.Linear(8, 3, key=keys[3])

    def __call__(self, x, state, key=None):
        x, state = self.norm1(self.stem(x), state)
        x = jax.nn.relu(x)
        y, state = self.norm2(self.inner(x), state)
        x = jax.nn.relu(x + self.outer(jax.nn.relu(y)))
        return self.head(self.dropout(jnp.mean(x, axis=(1, 2)), key=key)), state


class Attention(eqx.Module):
    """Attention and an MLP on tokens, each mapped over the tokens of one example."""

    embed: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 4)
        self.embed = eqx.nn.Linear(5, 8, key=keys[0])
        self.norm = eqx.nn.LayerNorm(8)
        self.attention = eqx.nn.MultiheadAttention(4, 8, key=keys[1])
        self.up, self.down = eqx.nn.Linear(8, 12, key=keys[2]), eqx.nn.Linear(12, 3, key=keys[3])

    def __call__(self, x, key=None):
        x = jax.vmap(self.embed)(x)
        y = jax.vmap(self.norm)(x)
        x = x + self.attention(y, y, y, key=key)
        return jax.vmap(self.down)(jax.nn.gelu(jax.vmap(self.up)(x))).mean(axis=0)


class Recurrent(eqx.Module):
    """A GRU cell scanned over time, as in equinox's example."""

    cell: eqx.nn.GRUCell
    linear: eqx.nn.Linear

    def __init__(self, key):
        ckey, lkey = jax.random.split(key)
        self.cell, self.linear = eqx.nn.GRUCell(4, 8, key=ckey), eqx.nn.Linear(8, 2, key=lkey)

    def __call__(self, x):
        out, _ = jax.lax.scan(lambda carry, row: (self.cell(row, carry), None), jnp.zeros(8), x)
        return self.linear(out)


def equinox_case(name: str, made: Callable[[], Any], inputs: Any, cut: tuple[str, ...], pinned: tuple[str, ...] = ()) -> Case:
    def build() -> Built:
        model = made()
        return model, varied(adapt(model)[1]), inputs

    return Case(name, build, cut, pinned)


KEY = jax.random.key(0)
ZOO = [
    equinox_case("equinox CNN", lambda: CNN(KEY), array(2, 1, 12, 12),
                 ("layers/0/weight:0", "layers/4/weight:0", "layers/6/weight:0")),
    equinox_case("equinox ResNet, batch", lambda: eqx.nn.make_with_state(ResNet)(KEY, "batch"), array(2, 3, 8, 8),
                 ("stem/weight:0", "inner/weight:0", "outer/weight:0")),
    equinox_case("equinox ResNet, ema", lambda: eqx.nn.make_with_state(ResNet)(KEY, "ema"), array(2, 3, 8, 8),
                 ("stem/weight:0", "inner/weight:0", "outer/weight:0")),
    equinox_case("equinox attention", lambda: Attention(KEY), array(2, 6, 5), ("attention/query_proj/weight:0", "up/weight:0"),
                 ("embed",)),
    equinox_case("equinox GRU", lambda: Recurrent(KEY), array(2, 7, 4), ("linear/weight:1",)),
]
