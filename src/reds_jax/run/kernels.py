"""The C++ kernels as JAX functions with gradients, on arrays [C, *positions, N].

`conv` is a convolution. `segment` is what lies between two products, one channel after the other: with the statistics of the
batch ``z(x) = scale (x - mean) / sqrt(var + epsilon) + bias``, mean and (biased) variance over all that belongs to the channel;
with given ones ``z(x) = scale (x - centre) + bias``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from reds_jax.array_types import Array, Float
from reds_jax.errors import InvalidArgumentError
from reds_jax.native.build import built
from reds_jax.run.channel_first import Window

Vectors = Sequence[Any]
"""Scale, bias and centre of every channel, [C] each; the centre counts where statistics are given."""


class Activation(NamedTuple):
    """``f(t) = slope t`` for t < 0, ``upper`` for t > upper, t between; ``at_zero`` and ``at_upper`` are derivatives there."""

    slope: float = 1.0
    at_zero: float = 1.0
    upper: float = float("inf")
    at_upper: float = 1.0


class _How(NamedTuple):
    """What is static in a call: with the batch's statistics or given ones, epsilons and activations in order, the window."""

    batch: bool
    epsilons: tuple[float, float]
    activations: tuple[Activation, Activation]
    window: Window
    kernel: tuple[int, ...]

    def attributes(self, x: jax.Array) -> dict[str, Any]:
        """The attributes of the kernel for inputs ``x``."""
        w = self.window
        out = w.out(x.shape[1:-1], self.kernel)
        padded = [max((o - 1) * s + (k - 1) * d + 1, before + n) for o, s, k, d, (before, _), n in zip(
            out, w.strides, self.kernel, w.dilation, w.pads, x.shape[1:-1], strict=True)]
        before = [pad[0] for pad in w.pads]
        return {"batch": self.batch, "epsilon1": np.float64(self.epsilons[0]), "epsilon2": np.float64(self.epsilons[1]),
                "activation": np.array(self.activations, np.float64).reshape(-1),
                "window": np.array([*w.strides, *before, *self.kernel, *w.dilation, *padded], np.int64)}


def segment(
    x: Float[Array, "channels *positions batch"], first: Vectors, activations: tuple[Activation, Activation],
    kernel: Float[Array, "*taps channels"], bias: Float[Array, " channels"], second: Vectors, window: Window, *,
    batch: bool, epsilons: tuple[float, float] = (0.0, 0.0),
) -> tuple[Any, tuple[Any, Any], tuple[Any, Any]]:
    """``y = f2(z2(depthwise(f1(z1(x))) + bias))``, and (mean, variance) of what each norm reads, [C] each.

    Args:
        x: float32 or float64.
        first, second: what the two ``z`` are made of.
        activations: ``f1`` and ``f2``.
        kernel, bias: of the depthwise convolution.
        window: its strides, padding (not negative) and dilation.
        batch: take the statistics of the batch, for both.
        epsilons: added to the variances.
    """
    if x.ndim == 3:  # one axis of positions
        one = Window((1, *window.strides), ((0, 0), *window.pads), (1, *window.dilation))
        y, *moments = segment(x[:, None], first, activations, kernel[None], bias, second, one, batch=batch, epsilons=epsilons)
        return y[:, 0], moments[0], moments[1]
    vectors = jnp.stack([*first, *second, bias], 1)
    taps = kernel.reshape(-1, kernel.shape[-1]).T
    found: Any = _segment(x, vectors, taps, _How(batch, epsilons, activations, window, kernel.shape[:-1]))
    y, m = found
    return y, (m[:, 0], m[:, 1]), (m[:, 2], m[:, 3])


def _call(name: str, results: Sequence[tuple[int, ...]], arrays: Sequence[jax.Array], attributes: dict[str, Any]) -> Any:
    if not (kernels := built()).ready:
        raise InvalidArgumentError("the kernel is not there", got=kernels.text, hint="Use the form 'dot'.")
    dtype = arrays[0].dtype
    bits = {"float32": "f32", "float64": "f64"}[np.dtype(dtype).name]
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape in results]
    return jax.ffi.ffi_call(f"reds_jax_{name}_{bits}", shapes, vmap_method="sequential")(*arrays, **attributes)


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def _segment(x: jax.Array, vectors: jax.Array, taps: jax.Array, how: _How) -> Any:
    return _forward(x, vectors, taps, how)[0]


def _forward(x: jax.Array, vectors: jax.Array, taps: jax.Array, how: _How) -> Any:
    out = (x.shape[0], *how.window.out(x.shape[1:-1], how.kernel), x.shape[-1])
    y, moments = _call("segment_forward", (out, (x.shape[0], 4)), (x, vectors, taps), how.attributes(x))
    return (y, moments), (x, vectors, taps, moments)


def _backward(how: _How, saved: Any, cotangents: Any) -> Any:
    x, vectors, taps, _ = saved
    results = x.shape, vectors.shape, taps.shape
    return tuple(_call("segment_backward", results, (*saved, *cotangents), how.attributes(x)))


_segment.defvjp(_forward, _backward)


def conv(
    x: Float[Array, "inputs *positions batch"], kernel: Float[Array, "*taps inputs outputs"], window: Window
) -> Float[Array, "outputs *out batch"]:
    """A convolution over one or two axes of positions, all inputs for every output; the padding is not negative."""
    if x.ndim == 3:
        one = Window((1, *window.strides), ((0, 0), *window.pads), (1, *window.dilation))
        return conv(x[:, None], kernel[None], one)[:, 0]
    y: Any = _conv(x, kernel, window)
    return y


def takes(x: jax.Array, kernel: jax.Array, window: Window) -> bool:
    """Whether `conv` does this; a kernel of one tap is a product, which XLA does as well."""
    taps, types = kernel.shape[:-2], {np.dtype(x.dtype), np.dtype(kernel.dtype)}
    floats = types in ({np.dtype(np.float32)}, {np.dtype(np.float64)})
    simple = floats and len(taps) in (1, 2) and max(taps) > 1 and min(map(min, window.pads)) >= 0
    return simple and min(*x.shape, *kernel.shape, *window.out(x.shape[1:-1], taps)) > 0  # an empty array is not taken


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(x: jax.Array, kernel: jax.Array, window: Window) -> Any:
    return _conv_forward(x, kernel, window)[0]


def _conv_forward(x: jax.Array, kernel: jax.Array, window: Window) -> Any:
    shape = (kernel.shape[-1], *window.out(x.shape[1:-1], kernel.shape[:-2]), x.shape[-1])
    return _call("conv_forward", (shape,), (x, kernel), _moves(window))[0], (x, kernel)


def _conv_backward(window: Window, saved: Any, g: Any) -> Any:
    x, kernel = saved
    (d_x,) = _call("conv_inputs", (x.shape,), (g, kernel), _moves(window))
    (d_kernel,) = _call("conv_kernel", (kernel.shape,), (x, g), _moves(window))
    return d_x, d_kernel


_conv.defvjp(_conv_forward, _conv_backward)


def _moves(w: Window) -> dict[str, Any]:
    """The attributes of the convolution's kernels."""
    return {"window": np.array([*w.strides, *(before for before, _ in w.pads), *w.dilation], np.int64)}
