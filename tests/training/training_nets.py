"""Small networks and a small task for the tests of training; also imported by the process that is killed."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax import Slimmable
from reds_jax.data import Split
from reds_jax.training import classification

CLASSES = 4
WIDTHS = (0.5, 1.0, 0.25)
LOSS = classification().loss


class CNN(nn.Module):
    """A stem and depthwise separable blocks, with batch norm; images [N, 8, 8, 1]."""

    features: int = 8
    kernel: tuple[int, int] = (2, 2)
    blocks: int = 1

    @nn.compact
    def __call__(self, x, *, train=False):
        def norm(x, momentum, name):
            return nn.relu(nn.BatchNorm(not train, momentum=momentum, epsilon=1e-3, name=name)(x))

        x = norm(nn.Conv(self.features, self.kernel, (2, 2), name="stem")(x), 0.9, "stem_norm")
        for i in range(self.blocks):
            end = "" if i == 0 else f"_{i}"
            x = nn.Conv(self.features, self.kernel, feature_group_count=self.features, name=f"depth{end}")(x)
            x = norm(x, 0.8, f"depth_norm{end}")
            x = norm(nn.Conv(self.features, (1, 1), name=f"point{end}")(x), 0.99, f"point_norm{end}")
        return nn.Dense(CLASSES, name="logits")(x.mean((1, 2)))


class MLP(nn.Module):
    """Dense layers with or without batch norm, which compile fast; any inputs [N, ...]."""

    norm: bool = True
    outputs: int = CLASSES

    @nn.compact
    def __call__(self, x, *, train=False):
        x = x.reshape(len(x), -1)
        for features, name in ((12, "stem"), (8, "hidden"))[: 2 if self.norm else 1]:
            x = nn.Dense(features, name=name)(x)
            if self.norm:
                x = nn.BatchNorm(not train, momentum=0.9 if name == "stem" else 0.99, epsilon=1e-3, name=f"{name}_norm")(x)
            x = nn.relu(x)
        return nn.Dense(self.outputs, name="logits")(x)


def tiny_cnn(features=8, kernel=(2, 2), blocks=1):
    return Slimmable(CNN(features, kernel, blocks))


def tiny_mlp(outputs=CLASSES):
    return Slimmable(MLP(outputs=outputs))


def tiny_dnn(outputs=CLASSES):
    return Slimmable(MLP(norm=False, outputs=outputs))


def examples(n: int, seed: int = 0, noise: float = 60.0) -> Split:
    """Four textures (rows, columns, both diagonals) at random phase and contrast, under noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, n)
    r, c = np.mgrid[:8, :8]
    waves = np.stack([r, c, r + c, r - c])[labels] * (2 * np.pi / 4) + rng.uniform(0, 2 * np.pi, n)[:, None, None]
    images = 127 + rng.uniform(30, 90, n)[:, None, None] * np.sin(waves) + noise * rng.standard_normal((n, 8, 8))
    return Split(np.clip(images, 0, 255).astype(np.uint8)[..., None], labels.astype(np.int32))


def initial(model: nn.Module, seed: int = 0):
    return jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, 8, 8, 1)))
