"""The layers: thin flax.linen modules that hold FULL parameters and run at a static width.

``layer(x, width)`` keeps the first outputs that ``width`` gives it and reads as many inputs as ``x`` has. A layer called
without a width keeps all its outputs: so the last layer of a network, and any layer that shall not shrink.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from reds_jax.errors import InvalidArgumentError
from reds_jax.nn import ops
from reds_jax.nn.calls import tell
from reds_jax.widths import Ranges, Width, count, kept_inputs, kept_outputs

Initializer = Callable[..., jax.Array]


class _Layer(nn.Module):
    """What all layers share: parameters that may be wider than the input, and the lookup of widths by path."""

    def _parameter(self, name: str, init: Initializer, shape: tuple[int, ...]) -> jax.Array:
        """The stored array, of whatever size (flax would insist on the shape at this width), or a new one."""
        if self.has_variable("params", name):
            return self.get_variable("params", name)
        return self.param(name, init, shape)

    def _path(self) -> str:
        return "/".join(self.path)

    def _outputs(self, width: Width | None, stored: int) -> Ranges:
        if width is None:
            tell("full", self._path())
        if width is None or self.is_initializing():  # parameters are always made at full width
            return ((0, stored),)
        return kept_outputs(width, self._path(), stored)

    def _inputs(self, width: Width | None, x: jax.Array, stored: int) -> Ranges:
        """The rows that ``x`` stands for: those that Widths names, or the prefix that it has."""
        if width is None:
            tell("unaware", self._path())
        ranges = (None if width is None else kept_inputs(width, self._path())) or ((0, x.shape[-1]),)
        if stored != x.shape[-1] and (count(ranges) != x.shape[-1] or ranges[-1][1] > stored):
            raise InvalidArgumentError(f"the layer {self._path()!r} cannot read its input", got=x.shape,
                                       allowed=f"up to {stored} channels, as its parameters have",
                                       hint="The widths may belong to another network: make them with graph.widths(...).")
        return ranges


class Dense(_Layer):
    """``y = x W + b``; kernel [I, O]. The input may be flattened by channel (`reds_jax.nn.flatten`)."""

    features: int
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array, width: Width | None = None, *, reads: Width | None = None) -> jax.Array:
        kernel = self._parameter("kernel", self.kernel_init, (x.shape[-1], self.features))
        bias = self._parameter("bias", self.bias_init, (self.features,)) if self.use_bias else None
        outputs = self._outputs(width, kernel.shape[1])
        inputs = self._inputs(reads if width is None else width, x, kernel.shape[0])
        return ops.dense(x, kernel, bias, outputs=outputs, inputs=inputs)


class Conv(_Layer):
    """2-D convolution of [N, H, W, I]; kernel [k_h, k_w, I / groups, O]."""

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.he_normal()
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array, width: Width | None = None, *, reads: Width | None = None) -> jax.Array:
        if self.features % self.groups:
            raise InvalidArgumentError(f"the layer {self._path()!r} cannot be cut into groups", got=self.features,
                                       allowed=f"features that are a multiple of {self.groups}")
        kernel = self._parameter("kernel", self.kernel_init,
                                 (*self.kernel_size, x.shape[-1] // self.groups, self.features))
        bias = self._parameter("bias", self.bias_init, (self.features,)) if self.use_bias else None
        grouped = kernel.shape[3] > self.features // self.groups  # one group that is left is a convolution
        inputs = None if grouped else self._inputs(reads if width is None else width, x, kernel.shape[2])
        return ops.conv(x, kernel, bias, strides=self.strides, padding=self.padding,
                        outputs_per_group=self.features // self.groups if grouped else None,
                        outputs=self._outputs(width, kernel.shape[3]), inputs=inputs)


class DepthwiseConv(_Layer):
    """Depthwise 2-D convolution: output channel c reads input channel c alone; kernel [k_h, k_w, 1, C].

    It has the width of its input, so it takes ``width`` only to find out which channels those are.
    """

    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)
    padding: str = "SAME"
    use_bias: bool = True
    kernel_init: Initializer = nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal", in_axis=(0, 1))
    bias_init: Initializer = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x: jax.Array, width: Width | None = None) -> jax.Array:
        kernel = self._parameter("kernel", self.kernel_init, (*self.kernel_size, 1, x.shape[-1]))
        channels = kernel.shape[3]
        bias = self._parameter("bias", self.bias_init, (channels,)) if self.use_bias else None
        inputs = self._inputs(width, x, channels)
        return ops.conv(x, kernel, bias, strides=self.strides, padding=self.padding, outputs_per_group=1,
                        outputs=inputs)


class BatchNorm(_Layer):
    """Batch norm over all axes but the last; scale, bias, mean and var have the full size [C].

    With ``train=True`` the statistics of the batch are used and the moving ones updated, at the kept channels:
    ``mean <- momentum * mean + (1 - momentum) * batch mean``. The moving statistics of one width are wrong for another
    (`reds_jax.training.recalibrate`); scale and bias are shared.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3
    use_scale: bool = True
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, width: Width | None = None, *, train: bool = False) -> jax.Array:
        shape = (x.shape[-1],)
        scale = self._parameter("scale", nn.initializers.ones_init(), shape) if self.use_scale else None
        bias = self._parameter("bias", nn.initializers.zeros_init(), shape) if self.use_bias else None
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        channels = self._inputs(width, x, mean.value.shape[0])
        if not train:
            return ops.batch_norm(x, scale, bias, mean.value, var.value, epsilon=self.epsilon, channels=channels)
        y, batch_mean, batch_var = ops.batch_norm_train(x, scale, bias, epsilon=self.epsilon, channels=channels)
        if not self.is_initializing() and self.is_mutable_collection("batch_stats"):
            for moving, now in ((mean, batch_mean), (var, batch_var)):
                moving.value = self._moved(moving.value, now, channels)
        return y

    def _moved(self, moving: jax.Array, now: jax.Array, channels: Ranges) -> jax.Array:
        if moving.shape == now.shape:
            return self.momentum * moving + (1 - self.momentum) * now
        offset = 0
        for start, stop in channels:
            part = now[offset : offset + stop - start]
            moving = moving.at[start:stop].set(self.momentum * moving[start:stop] + (1 - self.momentum) * part)
            offset += stop - start
        return moving
