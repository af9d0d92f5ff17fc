"""A network with a layer of every kind whose numbers training changes."""

import flax.linen as nn
import jax.numpy as jnp


class Everything(nn.Module):
    """A layer of every kind whose numbers training changes."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.BatchNorm(True)(nn.Conv(8, (3, 3), name="stem")(x)))
        x = x + nn.leaky_relu(nn.Conv(8, (3, 3), feature_group_count=8, name="depthwise")(x), 0.25)
        x = x * nn.sigmoid(nn.Dense(8, name="gate")(x.mean((1, 2), keepdims=True)))
        y = jnp.pad(nn.Conv(4, (3, 1), padding="VALID", name="branch")(x), ((0, 0), (1, 1), (0, 0), (0, 0)))
        x = jnp.concatenate([x, y], -1)
        x = nn.avg_pool(nn.swish(nn.Conv(8, (1, 1), name="mixed")(x)), (2, 2), (2, 2))
        return nn.Dense(4, name="logits")(x.reshape(len(x), -1))


SHAPE = (6, 6, 3)
