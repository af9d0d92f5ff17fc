"""The operations as pure functions of NHWC arrays and full parameters in the standard shapes (HWIO, IO, C).

Every operation slices what a subnetwork keeps out of the full parameters, picks its form (`reds_jax.nn.lowering`) and
shares its result between nested subnetworks (`reds_jax.nn.sharing`). The layers of `reds_jax.nn.layers` are thin modules
around these; activations, pooling, flatten, add and concat are called as they are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import channel_first as cf
from reds_jax.nn.lowering import uses_dot
from reds_jax.nn.normalise import normalise_batch
from reds_jax.nn.sharing import shared
from reds_jax.widths import Ranges, count

Pair = tuple[int, int]
_CHWN = (3, 1, 2, 0)  # NHWC <-> CHWN, its own inverse


def _turn(x: jax.Array) -> jax.Array:
    return jnp.transpose(x, _CHWN)


def keep(parameter: jax.Array, axis: int, ranges: Ranges) -> jax.Array:
    """The kept positions of one axis of a parameter; an axis that has that size already (an extracted one) stays."""
    if parameter.shape[axis] == count(ranges):
        return parameter
    parts = [lax.slice_in_dim(parameter, start, stop, axis=axis) for start, stop in ranges]
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis)


def _is_prefix(ranges: Ranges) -> bool:
    return len(ranges) == 1 and ranges[0][0] == 0


def dense(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, outputs: Ranges | None = None,
    inputs: Ranges | None = None,
) -> jax.Array:
    """``y = x W[inputs, outputs] + b[outputs]``; x [..., I], kernel [I, O], bias [O].

    By default ``inputs`` is the prefix that ``x`` has, ``outputs`` everything.
    """
    inputs = inputs or ((0, x.shape[-1]),)
    outputs = outputs or ((0, kernel.shape[-1]),)

    def compute(x: jax.Array) -> tuple[jax.Array]:
        y = x @ keep(keep(kernel, 0, inputs), 1, outputs)
        return (y if bias is None else y + _along(keep(bias, 0, outputs), y.ndim),)

    if not _is_prefix(outputs):
        return compute(x)[0]
    return shared(("dense", inputs), x, (kernel, bias), count(outputs), compute, per_channel=False)[0]


def _along(vector: jax.Array, ndim: int) -> jax.Array:
    """A vector over the last axis of an array of ``ndim`` axes."""
    return vector.reshape((1,) * (ndim - 1) + vector.shape)


def conv(
    x: jax.Array, kernel: jax.Array, bias: jax.Array | None = None, *, strides: Pair = (1, 1), padding: str = "SAME",
    outputs_per_group: int | None = None, outputs: Ranges | None = None, inputs: Ranges | None = None,
) -> jax.Array:
    """2-D convolution; x [N, H, W, I], kernel [k_h, k_w, I, O], bias [O].

    With ``outputs_per_group`` it is a grouped convolution: kernel [k_h, k_w, inputs per group, O], and ``x`` holds as many
    whole groups as are kept. One input and one output a group is a depthwise convolution: output c reads input c alone.
    """
    per_group = kernel.shape[2]
    depthwise = outputs_per_group == 1 and per_group == 1
    groups = 1
    if outputs_per_group is None:
        inputs = inputs or ((0, x.shape[-1]),)
        outputs = outputs or ((0, kernel.shape[3]),)
    else:
        groups, rest = divmod(x.shape[-1], per_group)
        outputs = outputs or ((0, groups * outputs_per_group),)
        inputs = ((0, per_group),)  # whole groups are cut on the output axis
        if rest or count(outputs) != groups * outputs_per_group:
            raise InvalidArgumentError(
                "a grouped convolution keeps a part of a group", got=(x.shape[-1], count(outputs)),
                allowed=f"k * {per_group} inputs and k * {outputs_per_group} outputs for k groups",
                hint="Make the widths with graph.widths(...), which keeps whole groups.")

    def compute(x: jax.Array) -> tuple[jax.Array]:
        k = keep(keep(kernel, 2, inputs), 3, outputs)
        pads = cf.spatial_padding(padding, (x.shape[1], x.shape[2]), (k.shape[0], k.shape[1]), strides)
        if uses_dot():
            x = _turn(x)
            y: jax.Array = cf.depthwise(x, k[:, :, 0], strides, pads) if depthwise else cf.conv(x, k, strides, pads, groups)
        else:
            y = lax.conv_general_dilated(x, k, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                         feature_group_count=groups)
        y = y if bias is None else y + _over_channels(keep(bias, 0, outputs), y)
        return (_turn(y) if uses_dot() else y,)

    if not _is_prefix(outputs):
        return compute(x)[0]
    key = ("conv", strides, padding, outputs_per_group, inputs)
    return shared(key, x, (kernel, bias), count(outputs), compute, per_channel=depthwise)[0]


def _channel_first(x: jax.Array) -> bool:
    """Whether the operations turn ``x`` [N, H, W, C] to [C, H, W, N]."""
    return x.ndim == 4 and uses_dot()


def _over_channels(vector: jax.Array, x: jax.Array) -> jax.Array:
    """A vector over the channels of ``x``, which is already in the layout of the form."""
    return vector[:, None, None, None] if _channel_first(x) else _along(vector, x.ndim)


def batch_norm(
    x: jax.Array, scale: jax.Array | None, bias: jax.Array | None, mean: jax.Array, var: jax.Array, *, epsilon: float,
    channels: Ranges | None = None,
) -> jax.Array:
    """``scale * (x - mean) / sqrt(var + epsilon) + bias`` per channel, with given statistics (inference)."""
    channels = channels or ((0, x.shape[-1]),)

    def compute(x: jax.Array) -> tuple[jax.Array]:
        kept_scale, kept_bias = (None if v is None else keep(v, 0, channels) for v in (scale, bias))
        kept_mean, kept_var = keep(mean, 0, channels), keep(var, 0, channels)
        return (_turned(x, lambda x: _normalise(x, kept_scale, kept_bias, kept_mean, kept_var, epsilon)),)

    if not _is_prefix(channels):
        return compute(x)[0]
    return shared(("batch_norm", epsilon), x, (scale, bias, mean, var), None, compute, per_channel=True)[0]


def _turned(x: jax.Array, function: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """``function``, which keeps the shape, applied in the layout of the form."""
    return _turn(function(_turn(x))) if _channel_first(x) else function(x)


def _normalise(x, scale, bias, mean, var, epsilon):
    factor = lax.rsqrt(var + epsilon)
    if scale is not None:
        factor = factor * scale
    y = (x - _over_channels(mean, x)) * _over_channels(factor, x)
    return y if bias is None else y + _over_channels(bias, x)


def batch_norm_train(
    x: jax.Array, scale: jax.Array | None, bias: jax.Array | None, *, epsilon: float, channels: Ranges | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Batch norm with the statistics of the batch; returns (y, mean, biased variance), each over the kept channels.

    The gradient is in closed form (`reds_jax.nn.normalise`); Ioffe and Szegedy 2015, training mode.
    """
    channels = channels or ((0, x.shape[-1]),)

    def compute(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        turn = _channel_first(x)
        x = _turn(x) if turn else x
        ones = jnp.ones(count(channels), x.dtype)
        kept_scale = ones if scale is None else keep(scale, 0, channels)
        kept_bias = 0 * ones if bias is None else keep(bias, 0, channels)
        y, mean, var = normalise_batch(x, kept_scale, kept_bias, 0 if turn else x.ndim - 1, epsilon)
        return _turn(y) if turn else y, mean, var

    if not _is_prefix(channels):
        return compute(x)
    y, mean, var = shared(("batch_norm_train", epsilon), x, (scale, bias), None, compute, per_channel=True)
    return y, mean, var


def activation(name: str, function: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """An elementwise activation in the layout of the form, shared between subnetworks under ``name``."""

    def apply(x: jax.Array) -> jax.Array:
        return shared((name,), x, (), None, lambda x: (_turned(x, function),), per_channel=True)[0]

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"The activation ``{name}``, elementwise."
    return apply


relu = activation("relu", jax.nn.relu)
relu6 = activation("relu6", jax.nn.relu6)


def leaky_relu(x: jax.Array, negative_slope: float = 0.3) -> jax.Array:
    """``x`` where positive, ``negative_slope * x`` elsewhere (0.3 is Keras's default)."""
    slope = activation(f"leaky_relu {negative_slope}", lambda x: jax.nn.leaky_relu(x, negative_slope))
    return slope(x)


def add(x: jax.Array, y: jax.Array) -> jax.Array:
    """The residual add ``x + y`` of two arrays of the same shape."""
    if x.shape != y.shape:
        raise InvalidArgumentError("a residual add has two shapes", got=(x.shape, y.shape), allowed="equal shapes",
                                   hint="Both branches share a channel group; make the widths with graph.widths(...).")
    if x.ndim == 4 and uses_dot():
        return _turn(_turn(x) + _turn(y))
    return x + y


def concat(*arrays: jax.Array) -> jax.Array:
    """Concatenate along the channels.

    What is kept of the result is no prefix, so the layers that read it need `Widths` (``graph.widths(0.5)``, not ``0.5``);
    an output layer that reads it is called with ``reads=width``.
    """
    if all(a.ndim == 4 for a in arrays) and uses_dot():
        return _turn(jnp.concatenate([_turn(a) for a in arrays]))
    return jnp.concatenate(arrays, axis=-1)


def flatten(x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, C * H * W], channel by channel: the first channels are the first rows of the next layer.

    (Reshaping [N, H, W, C] directly would interleave the channels, and a prefix of the rows would be wrong.)
    """
    if x.ndim == 2:
        return x
    if x.ndim != 4:
        raise InvalidArgumentError("flatten takes images or vectors", got=x.shape, allowed="[N, H, W, C] or [N, C]")
    n = x.shape[1] * x.shape[2] * x.shape[3]
    return shared(("flatten",), x, (), n, lambda x: (_turn(x).reshape(-1, x.shape[0]).T,), per_channel=True)[0]


def global_avg_pool(x: jax.Array) -> jax.Array:
    """[N, H, W, C] -> [N, C]: the mean over the positions."""

    def compute(x: jax.Array) -> tuple[jax.Array]:
        return (_turn(x).mean((1, 2)).T if uses_dot() else x.mean((1, 2)),)

    return shared(("global_avg_pool",), x, (), None, compute, per_channel=True)[0]


def _windows(x, window, strides, pads, value, combine, lax_combine):
    if uses_dot():
        return _turn(cf.pool(_turn(x), window, strides, pads, value, combine))
    return lax.reduce_window(x, value, lax_combine, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def max_pool(x: jax.Array, window: Pair, strides: Pair | None = None, padding: str = "VALID") -> jax.Array:
    """The maximum over windows; x [N, H, W, C]; ``strides`` defaults to the window."""
    strides = strides or window
    pads = cf.spatial_padding(padding, (x.shape[1], x.shape[2]), window, strides)

    def compute(x: jax.Array) -> tuple[jax.Array]:
        return (_windows(x, window, strides, pads, -jnp.inf, jnp.maximum, lax.max),)

    return shared(("max_pool", window, strides, padding), x, (), None, compute, per_channel=True)[0]


def avg_pool(x: jax.Array, window: Pair, strides: Pair | None = None, padding: str = "VALID") -> jax.Array:
    """The mean over windows; x [N, H, W, C]; padding is not counted; ``strides`` defaults to the window."""
    strides = strides or window
    pads = cf.spatial_padding(padding, (x.shape[1], x.shape[2]), window, strides)

    def compute(x: jax.Array) -> tuple[jax.Array]:
        def total(x: jax.Array) -> jax.Array:
            return _windows(x, window, strides, pads, 0.0, operator.add, lax.add)

        if padding == "VALID":
            return (total(x) / (window[0] * window[1]),)
        return (total(x) / total(jnp.ones((1, *x.shape[1:3], 1), x.dtype)),)

    return shared(("avg_pool", window, strides, padding), x, (), None, compute, per_channel=True)[0]
