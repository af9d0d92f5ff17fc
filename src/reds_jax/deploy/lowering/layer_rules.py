"""How dense layers, convolutions and pools become operations of a device program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.array_rules import unpadded
from reds_jax.deploy.lowering.forms import Affine, Form, Known, Part, Writer
from reds_jax.deploy.lowering.grouped import kept_groups, unshuffled
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.program import Window
from reds_jax.deploy.lowering.refusal import refusal
from reds_jax.program.flat import Operation


class Layers:
    """The rules; each takes an operation and the forms of its inputs, and returns the form of its output, or None."""

    def __init__(self, writer: Writer, kept: Kept) -> None:
        self._writer, self._kept = writer, kept
        self.rules: dict[str, Callable[[Operation, list[Form]], Form | None]] = {
            "dot_general": self._dot, "conv_general_dilated": self._conv, "reduce_window_max": self._max_pool,
            "reduce_window_sum": self._sum_pool, "reduce_sum": self._reduce_sum, "reduce_max": self._reduce_max,
        }

    def _image(self, op: Operation, form: Form) -> int:
        """The tensor of a form that is an image [1, H, W, C] as it is."""
        if isinstance(form, Affine):
            form = unshuffled(self._writer, op, form)
        if not isinstance(form, Affine) or not form.is_image():
            raise refusal(op, "reads an image whose channels and positions have been moved")
        return self._writer.write(form)

    def _kernel(self, op: Operation, form: Form) -> np.ndarray:
        if not isinstance(form, Known):
            raise refusal(op, "multiplies two activations")
        if not form.shared:
            raise refusal(op, "has weights that differ between subnetworks")
        return np.asarray(form.values[0], np.float32)

    def _dot(self, op: Operation, inputs: list[Form]) -> Form | None:
        (left, right), batch = op.params["dimension_numbers"]
        x, w = inputs
        if isinstance(x, Known):  # the outputs come first
            made = self._product(op, w, x, right, left, batch, axis=0)
            return None if made is None else replace(made, index=np.moveaxis(made.index, -1, 0))
        return self._product(op, x, w, left, right, batch)

    def _product(self, op: Operation, x: Form, w: Form, left: Any, right: Any, batch: Any, *, axis: int = -1) -> Affine | None:
        """``x W`` with the outputs along the last axis; ``left`` and ``right`` are the axes that are summed over.

        ``axis`` is where the outputs are in the result of the operation.
        """
        kernel = self._kernel(op, w)
        if not isinstance(x, Affine) or any(batch) or kernel.ndim != 2 or tuple(left) != (x.index.ndim - 1,):
            return None
        kernel = np.moveaxis(kernel, right[0], 0)  # [I, O]
        if x.index.ndim in (3, 4):  # a dense layer at every position is a pointwise convolution
            made = self._window(op, x, Window((1, 1)), kernel.T, _positions(x.index.shape), axis)
            return replace(made, index=made.index.reshape(*x.index.shape[:-1], -1))
        if x.index.ndim != 2 or x.index.shape[0] != 1:
            return None
        index, source = x.index.ravel(), x.source
        if not np.array_equal(np.sort(index), np.arange(source.full * source.tensor.positions)):
            raise refusal(op, "reads a part of an array")
        tensor = self._writer.write(x)
        index = self._writer.moved(x, tensor).ravel()
        rows = np.empty_like(kernel)
        rows[index] = kernel
        made = self._kept.made(op, axis)
        new = self._writer.source(made, kernel.shape[1], kind="dense", name=self._kept.name(op), inputs=(tensor,),
                                  weights=np.ascontiguousarray(rows.T))
        return self._writer.plain(new, new.canonical().reshape(1, -1))

    def _conv(self, op: Operation, inputs: list[Form]) -> Form | None:
        p = op.params
        x, kernel = inputs[0], self._kernel(op, inputs[1])
        numbers, axes = p["dimension_numbers"], len(op.outputs[0].shape)
        if not isinstance(x, Affine) or axes not in (3, 4) or any(
                tuple(spec) != (0, axes - 1, *range(1, axes - 1)) for spec in (numbers.lhs_spec, numbers.out_spec)):
            raise refusal(op, "is no convolution of [N, H, W, C] or [N, T, C]")
        if set(p["lhs_dilation"]) != {1} or p["batch_group_count"] != 1:
            raise refusal(op, "is transposed")
        kernel = kernel.transpose(numbers.rhs_spec)  # [O, I per group, k_h, k_w]
        window = _window(kernel.shape[2:], p["window_strides"], p["padding"], p["rhs_dilation"])
        x, window = unpadded(self._writer, x, window)
        made = self._window(op, x, window, kernel.reshape(len(kernel), -1), _positions(op.outputs[0].shape), -1,
                            groups=p["feature_group_count"])
        return replace(made, index=made.index.reshape(op.outputs[0].shape))

    def _window(self, op: Operation, x: Affine, window: Window, weights: np.ndarray, size: tuple[int, int], axis: int, *,
                groups: int = 1) -> Affine:
        """A convolution; weights [O, I of a group * taps]; ``axis`` has the outputs."""
        tensor = self._image(op, x)
        depthwise = groups == x.index.shape[-1] == len(weights) and groups > 1
        if groups > 1:
            tensor = self._writer.channel_first(tensor)
        made = self._kept.made(op, axis, *size)
        read = self._writer.tensors[tensor]
        if depthwise and made.parts != read.parts:
            raise refusal(op, "keeps other channels than it reads")
        self._check_padding(op, window)
        kept = () if groups == 1 or depthwise else kept_groups(op, groups, read, x.index.shape[-1], made, len(weights))
        return self._writer.plain(self._writer.source(
            made, len(weights), kind="depthwise" if depthwise else "conv", name=self._kept.name(op),
            inputs=(tensor,), window=window, weights=np.ascontiguousarray(weights), groups=kept))

    def _check_padding(self, op: Operation, window: Window) -> None:
        if min(*window.before, *window.after) < 0:
            raise refusal(op, "cuts positions off its input")
        if any(max(a, b) >= k for a, b, k in zip(window.before, window.after, window.reach, strict=True)):
            raise refusal(op, "has windows that see nothing but padding")

    # -- pooling -------------------------------------------------------------------------------------------------------

    def _pool(self, op: Operation, x: Form, kind: Any, window: Window, size: tuple[int, int]) -> Affine:
        tensor = self._writer.channel_first(self._image(op, x))
        assert isinstance(x, Affine)
        kind = "max_pool" if window.taps == 1 else kind  # of one value, without a product, so that 8 bits stay as they are
        made = replace(self._writer.tensors[tensor], height=size[0], width=size[1])
        return self._writer.plain(self._writer.source(
            made, x.source.full, kind=kind, name=self._kept.name(op, kind), inputs=(tensor,), window=window))

    def _reduce_window(self, op: Operation, x: Form, kind: str) -> Affine:
        p = op.params
        if len(p["window_dimensions"]) not in (3, 4) or any(p["window_dimensions"][i] != 1 for i in (0, -1)) or any(
                d != 1 for name in ("base_dilation", "window_dilation") for d in p[name]):
            raise refusal(op, "pools over something else than positions")
        window = _window(*(p[name][1:-1] for name in ("window_dimensions", "window_strides", "padding")))
        self._check_padding(op, window)
        pooled = self._pool(op, x, kind, window, _positions(op.outputs[0].shape))
        return replace(pooled, index=pooled.index.reshape(op.outputs[0].shape))

    def _max_pool(self, op: Operation, inputs: list[Form]) -> Form:
        return self._reduce_window(op, inputs[0], "max_pool")

    def _sum_pool(self, op: Operation, inputs: list[Form]) -> Form:
        mean = self._reduce_window(op, inputs[0], "avg_pool")
        window = mean.source.window
        assert window is not None
        assert isinstance(inputs[0], Affine)
        if window.padded:  # the sum becomes a mean when it is divided by how many positions each window has
            of_positions = window.counts(_positions(inputs[0].index.shape), _positions(mean.index.shape))
            counts = np.broadcast_to(of_positions.reshape(*mean.index.shape[:-1], 1).astype(np.float32), mean.index.shape)
            return Part("window sum", mean, Known((counts,)))
        return self._times(mean, window.taps)

    def _times(self, mean: Affine, positions: int) -> Affine:
        return replace(mean, scale=tuple(np.float32(positions) * s for s in mean.scale))

    def _reduce_sum(self, op: Operation, inputs: list[Form]) -> Form | None:
        x = inputs[0]
        if isinstance(x, Part) and x.what == "exponential":
            return Part("total", x.form)
        found = self._over_positions(op, x, "avg_pool")
        return None if found is None or found.source.window is None else self._times(found, found.source.window.taps)

    def _reduce_max(self, op: Operation, inputs: list[Form]) -> Form | None:
        x = inputs[0]
        if isinstance(x, Affine) and tuple(op.params["axes"]) == (x.index.ndim - 1,):
            return Part("maximum", x)
        return self._over_positions(op, x, "max_pool")

    def _over_positions(self, op: Operation, x: Form, kind: str) -> Affine | None:
        axes = op.params["axes"]
        if not isinstance(x, Affine) or x.index.ndim not in (3, 4) or not set(axes) <= set(range(1, x.index.ndim - 1)):
            return None
        sizes = list(enumerate(_positions(x.index.shape), x.index.ndim - 3))  # a sequence has its one row on axis 0
        kernel, left = ([n if (axis in axes) == inside else 1 for axis, n in sizes] for inside in (True, False))
        pooled = self._pool(op, x, kind, Window((kernel[0], kernel[1])), (left[0], left[1]))
        return replace(pooled, index=pooled.index.reshape(op.outputs[0].shape))


def _positions(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width of [1, H, W, C]; a sequence [1, T, C] is an image of one row."""
    height, width = (1, *shape[1:-1])[-2:]
    return height, width


def _window(kernel: Sequence[int], strides: Sequence[int], padding: Sequence[tuple[int, int]],
            dilation: Sequence[int] = (1, 1)) -> Window:
    """A window over one axis or two."""
    (top, bottom), (left, right) = ((0, 0), *padding)[-2:]
    return Window((1, *kernel)[-2:], (1, *strides)[-2:], (top, left), (bottom, right), (1, *dilation)[-2:])  # type: ignore[arg-type]
