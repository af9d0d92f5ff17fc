"""Small networks as users write them, each with something of its own that a lowering must get right."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from reds_jax.nn import BatchNorm, Conv, Dense, DepthwiseConv, flatten


class Body(nn.Module):
    """A user's function with layers of the library, then logits of what is left of the positions."""

    body: object

    @nn.compact
    def __call__(self, x, width=1.0):
        x = self.body(x, width)
        x = x.mean((1, 2)) if x.ndim == 4 else x
        return Dense(3, name="logits")(x, reads=width)


def preactivation(x, width):
    x = Conv(6, name="stem")(x, width)
    y = Conv(5, name="inner")(nn.relu(BatchNorm(name="norm_0")(x, width)), width)
    x = x + Conv(6, name="outer")(nn.relu(BatchNorm(name="norm_1")(y, width)), width)
    return nn.relu(BatchNorm(name="norm_2")(x, width))


def raw_and_activated(x, width):
    x = Conv(6, name="stem")(x, width)
    return nn.relu(x) + nn.relu6(x) + x


def normalised_then_padded(x, width):
    """Zeros of the padding come after the normalisation, and must not be normalised."""
    return nn.relu(Conv(4, name="conv")((x - np.float32([0.5, -1, 2])) / np.float32([0.2, 3, 1]), width))


def biased_pool(x, width):
    """An offset that is added behind a pool, and one that a convolution cannot take in through its relu."""
    x = nn.relu(Conv(5, name="conv")(x, width)) * 2 + 1
    return -nn.max_pool(x, (2, 2), (2, 2), "SAME") + 0.25


def global_max(x, width):
    return jnp.max(DepthwiseConv(name="depthwise")(Conv(5, name="conv")(x, width), width), axis=(1, 2))


def written_leaky(x, width):
    x = Conv(5, name="conv")(x, width)
    return jnp.where(x > 0, x, 0.1 * x) + jnp.maximum(x, 0.2 * x)


def leaky_twice(x, width):
    return nn.leaky_relu(nn.leaky_relu(Conv(5, name="conv")(x, width), 0.5), 0.5)


def leaky_of_relu(x, width):
    return nn.leaky_relu(nn.relu(Conv(5, name="conv")(x, width)), 0.5)


def relu6_twice(x, width):
    return nn.relu6(nn.relu6(3 * Conv(5, name="conv")(x, width)))


def clamped(x, width):
    return jax.lax.clamp(0.0, 3 * Conv(5, name="conv")(x, width), 6.0)


def scaled_a_little(x, width):
    """Factors near 1, and no offset, behind a convolution and behind an add."""
    x = 1.25 * Conv(5, use_bias=False, name="conv")(x, width)
    return 0.75 * (x + nn.relu(x))


def twice_the_image(x, width):
    """An image [H, W, 3] that is added to itself: what comes out lies channel first."""
    return Dense(4, name="dense")((x + 2 * x).reshape(len(x), -1), width)


def residual_around_the_image(x, width):
    return x + Conv(3, name="outer")(nn.relu(Conv(4, name="inner")(x, width)), width)


def dense_on_an_image(x, width):
    return nn.relu(Dense(6, name="dense")(x.reshape(len(x), -1), width))


def dense_on_a_flat_image(x, width):
    return nn.relu(Dense(6, name="dense")(flatten(x), width))


def max_pool_on_an_image(x, width):
    return Conv(4, name="conv")(nn.max_pool(x, (2, 3), (1, 2), "SAME"), width)


def mean_pool_on_an_image(x, width):
    return Conv(4, name="conv")(nn.avg_pool(x, (2, 3), (1, 2), "SAME", count_include_pad=False), width)


def depthwise_on_an_image(x, width):
    return DepthwiseConv((3, 2), (2, 1), name="depthwise")(x, width)


def strided_wide_windows(x, width):
    x = Conv(5, (1, 2), (3, 2), "VALID", name="conv")(x, width)
    return DepthwiseConv((1, 1), (2, 2), name="depthwise")(x, width)


def dense_at_every_position(x, width):
    return Dense(4, name="dense")(x, width)


def shared_layer(x, width):
    layer = Conv(4, (1, 1), name="twice")
    return layer(nn.relu(layer(Conv(4, name="conv")(x, width), width)), width)


def sum_pool(x, width):
    return Conv(4, name="conv")(x, width).sum((1, 2))


def without_scale(x, width):
    x = BatchNorm(use_scale=False, name="norm_0")(Conv(4, use_bias=False, name="conv")(x, width), width)
    return BatchNorm(use_bias=False, name="norm_1")(nn.relu(x), width)


def flax_norm(x, width):
    x = Conv(4, name="conv")(x)
    x = nn.BatchNorm(use_running_average=True, use_bias=False, name="norm")(x)
    return Conv(5, name="next")(nn.relu(x), width)


BODIES = [preactivation, raw_and_activated, normalised_then_padded, biased_pool, global_max, written_leaky, leaky_twice,
          leaky_of_relu, relu6_twice, clamped, scaled_a_little, twice_the_image, residual_around_the_image,
          dense_on_an_image, dense_on_a_flat_image, max_pool_on_an_image, mean_pool_on_an_image, depthwise_on_an_image,
          strided_wide_windows, dense_at_every_position, shared_layer, sum_pool, without_scale, flax_norm]
