"""Small networks as users write them, each with something of its own that a lowering must get right."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

Conv = partial(nn.Conv, kernel_size=(3, 3))
Norm = partial(nn.BatchNorm, use_running_average=True, epsilon=1e-3)


def depthwise(x, *args, **options):
    """A depthwise convolution, 3 x 3 unless told otherwise."""
    args = args or ((3, 3),)
    return nn.Conv(x.shape[-1], *args, feature_group_count=x.shape[-1], name="depthwise", **options)(x)


class Keywords(nn.Module):
    """A network for keywords on a sequence [N, T, C]: convolutions and pools over time."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="norm")(nn.Conv(6, (3,), (2,), name="stem")(x)))
        x = nn.silu(nn.Conv(x.shape[-1], (5,), feature_group_count=x.shape[-1], name="depthwise")(x))
        x = nn.relu(nn.Dense(7, name="pointwise")(nn.max_pool(x, (2,), (2,))))
        x = x + nn.Conv(x.shape[-1], (3,), padding=[(2, 0)], name="causal")(nn.avg_pool(x, (3,), padding="SAME",
                                                                                    count_include_pad=False))
        return nn.Dense(3, name="logits")(x.mean(1))


class Body(nn.Module):
    """A user's function of flax layers, then logits of what is left of the positions."""

    body: Any

    @nn.compact
    def __call__(self, x):
        x = self.body(x)
        x = x.mean((1, 2)) if x.ndim == 4 else x
        return nn.Dense(3, name="logits")(x)


def preactivation(x):
    x = Conv(6, name="stem")(x)
    y = Conv(5, name="inner")(nn.relu(Norm(name="norm_0")(x)))
    x = x + Conv(6, name="outer")(nn.relu(Norm(name="norm_1")(y)))
    return nn.relu(Norm(name="norm_2")(x))


def raw_and_activated(x):
    x = Conv(6, name="stem")(x)
    return nn.relu(x) + nn.relu6(x) + x


def normalised_then_padded(x):
    """Zeros of the padding come after the normalisation, and must not be normalised."""
    return nn.relu(Conv(4, name="conv")((x - np.float32([0.5, -1, 2])) / np.float32([0.2, 3, 1])))


def biased_pool(x):
    """An offset that is added behind a pool, and one that a convolution cannot take in through its relu."""
    x = nn.relu(Conv(5, name="conv")(x)) * 2 + 1
    return -nn.max_pool(x, (2, 2), (2, 2), "SAME") + 0.25


def global_max(x):
    return jnp.max(depthwise(Conv(5, name="conv")(x)), axis=(1, 2))


def written_leaky(x):
    x = Conv(5, name="conv")(x)
    return jnp.where(x > 0, x, 0.1 * x) + jnp.maximum(x, 0.2 * x)


def leaky_twice(x):
    return nn.leaky_relu(nn.leaky_relu(Conv(5, name="conv")(x), 0.5), 0.5)


def leaky_of_relu(x):
    return nn.leaky_relu(nn.relu(Conv(5, name="conv")(x)), 0.5)


def relu6_twice(x):
    return nn.relu6(nn.relu6(3 * Conv(5, name="conv")(x)))


def clamped(x):
    return jax.lax.clamp(0.0, 3 * Conv(5, name="conv")(x), 6.0)


def scaled_a_little(x):
    """Factors near 1, and no offset, behind a convolution and behind an add."""
    x = 1.25 * Conv(5, use_bias=False, name="conv")(x)
    return 0.75 * (x + nn.relu(x))


def twice_the_image(x):
    """An image [H, W, 3] that is added to itself: what comes out lies channel first."""
    return nn.Dense(4, name="dense")((x + 2 * x).reshape(len(x), -1))


def residual_around_the_image(x):
    return x + Conv(3, name="outer")(nn.relu(Conv(4, name="inner")(x)))


def dense_on_an_image(x):
    return nn.relu(nn.Dense(6, name="dense")(x.reshape(len(x), -1)))


def dense_on_an_image_channel_by_channel(x):
    return nn.relu(nn.Dense(6, name="dense")(x.transpose(0, 3, 1, 2).reshape(len(x), -1)))


def max_pool_on_an_image(x):
    return Conv(4, name="conv")(nn.max_pool(x, (2, 3), (1, 2), "SAME"))


def mean_pool_on_an_image(x):
    return Conv(4, name="conv")(nn.avg_pool(x, (2, 3), (1, 2), "SAME", count_include_pad=False))


def depthwise_on_an_image(x):
    return depthwise(x, (3, 2), (2, 1))


def strided_wide_windows(x):
    x = nn.Conv(5, (1, 2), (3, 2), "VALID", name="conv")(x)
    return depthwise(x, (1, 1), (2, 2))


def dense_at_every_position(x):
    return nn.Dense(4, name="dense")(x)


def shared_layer(x):
    layer = nn.Conv(4, (1, 1), name="twice")
    return layer(nn.relu(layer(Conv(4, name="conv")(x))))


def sum_pool(x):
    return Conv(4, name="conv")(x).sum((1, 2))


def without_scale(x):
    x = Norm(use_scale=False, name="norm_0")(Conv(4, use_bias=False, name="conv")(x))
    return Norm(use_bias=False, name="norm_1")(nn.relu(x))


def flax_norm(x):
    x = Conv(4, name="conv")(x)
    x = nn.BatchNorm(use_running_average=True, use_bias=False, name="norm")(x)
    return Conv(5, name="next")(nn.relu(x))


def flattened(x):
    return nn.relu(nn.Dense(6, name="dense")(Conv(5, name="conv")(x).reshape(len(x), -1)))


def flattened_channel_by_channel(x):
    return nn.relu(nn.Dense(6, name="dense")(Conv(5, name="conv")(x).transpose(0, 3, 1, 2).reshape(len(x), -1)))


def squeeze_and_excite(x):
    x = nn.relu(Conv(5, name="stem")(x))
    gate = nn.relu(nn.Dense(2, name="squeeze")(x.mean((1, 2))))
    return nn.relu6(x * nn.sigmoid(nn.Dense(x.shape[-1], name="excite")(gate))[:, None, None])


def inverted_residual(x):
    """The block of MobileNetV3: expanded, depthwise, gated, projected; hard swish and hard sigmoid."""
    x = nn.hard_swish(Norm(name="norm_0")(Conv(4, name="stem")(x)))
    y = nn.hard_swish(Norm(name="norm_1")(nn.Conv(7, (1, 1), name="expand")(x)))
    y = nn.hard_swish(depthwise(y))
    gate = nn.relu(nn.Conv(3, (1, 1), name="squeeze")(y.mean((1, 2), keepdims=True)))
    y = y * nn.hard_sigmoid(nn.Conv(y.shape[-1], (1, 1), name="excite")(gate))
    return x + nn.Conv(4, (1, 1), name="project")(y)


def smooth_activations(x):
    """Each function behind a layer of its own, and some of them of the image."""
    x = nn.gelu(Conv(5, name="conv")(x), approximate=False) + nn.silu(nn.Conv(5, (1, 1), name="aside")(jnp.tanh(x)))
    x = nn.Dense(4, name="first")(nn.elu(x))
    return nn.softplus(nn.Dense(4, name="second")(nn.gelu(x)))


def written_functions(x):
    """One array in several functions, raw too, with constants on both sides."""
    x = Conv(4, use_bias=False, name="conv")(x)
    y = jnp.clip(2 - x, -1, 1.5) / (1 + x**2) + jnp.abs(x)
    return nn.relu(Conv(4, name="next")(y) * x) + 3 * jax.nn.mish(x) - jnp.exp(-x * x)


def product_of_layers(x):
    """A gated unit: two layers of the same input, multiplied, in the same places and as vectors."""
    x = Conv(5, name="value")(x) * nn.sigmoid(nn.Conv(5, (1, 1), name="gate")(x))
    x = x.mean((1, 2))
    return nn.leaky_relu(nn.Dense(4, name="left")(x) * nn.Dense(4, name="right")(x), 0.2)


def gates_of_both_kinds(x):
    """Of the channels and of the positions, on either side, as in CBAM; then one number for all."""
    x = Conv(5, name="conv")(x)
    x = nn.sigmoid(nn.Conv(1, (3, 3), name="where")(x)) * x
    x = nn.relu(x * nn.tanh(nn.Dense(x.shape[-1], name="which")(x.max((1, 2))))[:, None, None])
    return x * nn.softplus(nn.Dense(1, name="how_much")(x.mean((1, 2))))[:, None, None]


def decoder(x):
    """Down, and up again by repeated rows and columns, with the array from before added."""
    x = nn.relu(Conv(4, name="conv")(x))
    n, *_, c = x.shape
    y = nn.silu(nn.Conv(c, (3, 3), (2, 2), "VALID", name="down")(x))
    y = jax.image.resize(y, (n, 2 * y.shape[1], 2 * y.shape[2], y.shape[3]), "nearest")
    return jnp.repeat(Conv(c, name="up")(y), 3, 2) - x.mean((1, 2), keepdims=True)


SMOOTH = [squeeze_and_excite, inverted_residual, smooth_activations, written_functions, product_of_layers, gates_of_both_kinds,
          decoder]

BODIES = [preactivation, raw_and_activated, normalised_then_padded, biased_pool, global_max, written_leaky, leaky_twice,
          leaky_of_relu, relu6_twice, clamped, scaled_a_little, twice_the_image, residual_around_the_image,
          dense_on_an_image, dense_on_an_image_channel_by_channel, max_pool_on_an_image, mean_pool_on_an_image,
          depthwise_on_an_image, strided_wide_windows, dense_at_every_position, shared_layer, sum_pool, without_scale,
          flax_norm, flattened, flattened_channel_by_channel, *SMOOTH]


def _at_bounds(y):
    """Every comparison, of numbers that are often equal."""
    truths = (y <= -1, y < 2, y >= 2, y > -1, y == 2, y != -1)
    return y + sum(2.0**i * truth.astype(jnp.float32) for i, truth in enumerate(truths))


FUNCTIONS = {
    "sigmoid": jax.nn.sigmoid, "silu": jax.nn.silu, "hard_swish": jax.nn.hard_swish, "hard_sigmoid": jax.nn.hard_sigmoid,
    "tanh": jnp.tanh, "hard_tanh": jax.nn.hard_tanh, "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "gelu": partial(jax.nn.gelu, approximate=False), "elu": jax.nn.elu, "celu": partial(jax.nn.celu, alpha=0.7),
    "selu": jax.nn.selu, "softplus": jax.nn.softplus, "mish": jax.nn.mish, "soft_sign": jax.nn.soft_sign,
    "log_sigmoid": jax.nn.log_sigmoid, "squareplus": jax.nn.squareplus, "relu5": lambda x: jnp.clip(x, 0, 5),
    "square": jnp.square, "cube": lambda x: x**3, "inverse_square": lambda x: (1 + x * x) ** -2, "abs": jnp.abs,
    "erf": jax.lax.erf, "erfc": jax.lax.erfc, "root": lambda x: jnp.sqrt(jnp.abs(x)),
    "rsqrt": lambda x: jax.lax.rsqrt(x * x + 1),
    "log": lambda x: jnp.log(jnp.abs(x) + 0.1), "step": lambda x: (x > 0.5).astype(jnp.float32),
    "comparisons": lambda x: jnp.where(x <= -1, 1.0, jnp.where(x == 2, 5.0, jnp.where(x < 0, x, 2 - x))),
    "clamp": lambda x: jax.lax.clamp(-1.0, x, 2.0), "power": lambda x: x**8, "one": lambda x: x**0 + x,
    "expm1": jnp.expm1, "constant": lambda x: 3 - 2 / (1 + jnp.exp(x)),
    "bounds": lambda x: _at_bounds(jnp.clip(x, -1, 2)),
}
"""Functions of single entries, of every kind of step."""
