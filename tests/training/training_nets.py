"""Small networks and a small task for the tests of training; also imported by the process that is killed."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.data import Split
from reds_jax.nn import BatchNorm, Conv, Dense, DepthwiseConv, flatten, global_avg_pool, relu

CLASSES = 4


class TinyCNN(nn.Module):
    """A stem and depthwise separable blocks, with batch norm; images [N, 8, 8, 1]."""

    features: int = 8
    kernel: tuple[int, int] = (2, 2)
    blocks: int = 1

    @nn.compact
    def __call__(self, x, width=1.0, *, train=False):
        x = Conv(self.features, self.kernel, (2, 2), name="stem")(x, width)
        x = relu(BatchNorm(momentum=0.9, name="stem_norm")(x, width, train=train))
        for i in range(self.blocks):
            end = "" if i == 0 else f"_{i}"
            x = DepthwiseConv(self.kernel, name=f"depth{end}")(x, width)
            x = relu(BatchNorm(momentum=0.8, name=f"depth_norm{end}")(x, width, train=train))
            x = Conv(self.features, (1, 1), name=f"point{end}")(x, width)
            x = relu(BatchNorm(name=f"point_norm{end}")(x, width, train=train))
        return Dense(CLASSES, name="logits")(global_avg_pool(x))


class TinyMLP(nn.Module):
    """Dense layers with batch norm, which compile fast; images [N, 8, 8, 1]."""

    @nn.compact
    def __call__(self, x, width=1.0, *, train=False):
        x = relu(BatchNorm(momentum=0.9, name="stem_norm")(Dense(12, name="stem")(flatten(x), width), width, train=train))
        x = relu(BatchNorm(name="hidden_norm")(Dense(8, name="hidden")(x, width), width, train=train))
        return Dense(CLASSES, name="logits")(x)


class TinyDNN(nn.Module):
    """Dense layers without batch norm; images [N, 8, 8, 1]."""

    @nn.compact
    def __call__(self, x, width=1.0, *, train=False):
        x = relu(Dense(12, name="hidden")(flatten(x), width))
        return Dense(CLASSES, name="logits")(x)


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
