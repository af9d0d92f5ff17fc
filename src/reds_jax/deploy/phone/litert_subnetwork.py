"""One subnetwork as a subgraph of a .tflite file, operation by operation; how they share their weights is said in `litert`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Tensor, Window
from reds_jax.deploy.lowering.subnetworks import agree, bare, one_weighted
from reds_jax.deploy.phone.litert_file import File, Subgraph
from reds_jax.deploy.phone.litert_functions import written

_FUSE = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL")  # take a ReLU into their options


class Subnetwork(Subgraph):
    """One subnetwork as a subgraph; images are [N, H, W, C], vectors [N, C * H * W], values the numbers of tensors."""

    def __init__(self, file: File, program: Program, k: int, input_shape: Sequence[int], copies: float) -> None:
        super().__init__(file)
        self.program, self.k, self.copies = program, k, copies
        self.weight_bytes = self.table_bytes = 0
        self._widened: dict[tuple[int, int], int] = {}
        self._images: dict[int, int] = {}
        self._vectors: dict[int, int] = {}
        self._begin = 0  # the number of steps before the operation that is written
        given = self.value((1, *input_shape), name="input")
        if len(input_shape) == 2:  # a sequence is an image of one row
            self._images[0] = self._reshape(given, (1, 1, *input_shape))
        else:
            (self._vectors if len(input_shape) == 1 else self._images)[0] = given
        for op in program.operations:
            self._operation(op)
        result = self._vector(program.output)
        if not self.steps:  # a network that returns its input
            result = self._reshape(result, self.shapes[result])
        self.sign(f"subnetwork_{k}", given, result)

    # -- values and constants ------------------------------------------------------------------------------------------

    def _weights(self, array: np.ndarray, scales: np.ndarray | None = None, of: np.ndarray | None = None) -> int:
        number, added = self.constant(array, scales, of)
        self.weight_bytes += added
        return number

    def _table(self, vector: np.ndarray) -> int:
        """A scale or an offset of this subnetwork."""
        number, added = self.constant(np.asarray(vector, np.float32))
        self.table_bytes += added if self.k + 1 < self.program.subnetworks else 0
        return number

    def _image(self, t: int) -> int:
        if t not in self._images:
            self._images[t] = self._reshape(self._vectors[t], (1, 1, 1, self.program.tensors[t].channels[self.k]))
        return self._images[t]

    def _vector(self, t: int) -> int:
        """All entries in a row, in the order in which the tensor lies."""
        if t not in self._vectors:
            x = self._images[t]
            tensor = self.program.tensors[t]
            n, h, w, c = self.shapes[x]
            if tensor.channel_first and c > 1 and h * w > 1:
                x = self.step("TRANSPOSE", [x, self.integers([0, 3, 1, 2])], (n, c, h, w))
            self._vectors[t] = self._reshape(x, (1, tensor.items(self.k)))
        return self._vectors[t]

    def _reshape(self, x: int, shape: tuple[int, ...]) -> int:
        return self.step("RESHAPE", [x, self.integers([-1, *shape[1:]])], shape)

    def _wide(self, x: int, channels: int) -> int:
        """The value with zeros behind its last channel, so that it has as many as the rows of a matrix have entries."""
        *rest, now = self.shapes[x]
        if now == channels:
            return x
        if (x, channels) not in self._widened:
            pads = self.integers([(0, 0)] * len(rest) + [(0, channels - now)])
            self._widened[x, channels] = self.step("PAD", [x, pads], (*rest, channels))
        return self._widened[x, channels]

    def _narrow(self, x: int, channels: int) -> int:
        """The first channels of a value."""
        *rest, now = self.shapes[x]
        if now == channels:
            return x
        sizes = [self.integers([0] * (len(rest) + 1)), self.integers([-1, *rest[1:], channels])]
        return self.step("SLICE", [x, *sizes], (*rest, channels))

    # -- operations ----------------------------------------------------------------------------------------------------

    def _operation(self, op: Operation) -> None:
        vector = self._is_vector(op)
        self._begin = len(self.steps)
        if op.kind == "softmax":
            x = self._vector(op.inputs[0])
            result = self.step("SOFTMAX", [x], self.shapes[x], beta=1.0)
        elif op.kind == "channel_first":
            result = self._image(op.inputs[0])
        elif op.kind in ("add", "mul"):
            a, b = (self._vector(t) if vector else self._image(t) for t in op.inputs)
            result = self._activation(op, self.step(op.kind.upper(), [a, b], self.shapes[a]))
        elif op.kind == "map":
            assert op.function is not None
            result = written(op.function, self._vector(op.inputs[0]) if vector else self._image(op.inputs[0]), self)
        elif op.kind == "resize":
            out = self.program.tensors[op.output]
            size = self.integers([out.height, out.width])
            result = self.step("RESIZE_NEAREST_NEIGHBOR", [self._image(op.inputs[0]), size],
                               (1, out.height, out.width, out.channels[self.k]), alignCorners=False, halfPixelCenters=False)
        elif op.kind == "dense":
            result = self._dense(op)
        elif op.kind in WEIGHTED:
            result = self._elementwise(op) if one_weighted(op) and op.kind == "depthwise" else self._conv(op)
        else:
            result = self._pool(op)
        (self._vectors if vector else self._images)[op.output] = result

    def _is_vector(self, op: Operation) -> bool:
        """Whether the result of an operation is written as a vector."""
        if op.kind in ("dense", "softmax"):
            return True
        elementwise = op.kind in ("add", "mul", "map") or (op.kind == "depthwise" and one_weighted(op))
        return elementwise and self.program.tensors[op.output].positions == 1 and all(t in self._vectors for t in op.inputs)

    def _bias(self, op: Operation) -> tuple[bool, np.ndarray]:
        """What a layer adds itself, at full width, and whether it is its offset: else scale and offset come after it."""
        assert op.weights is not None
        if bare(op.scale, 1) and agree(op.offset) and len(op.offset[-1]) == len(op.weights):
            return True, np.asarray(op.offset[-1], np.float32)
        return False, np.zeros(len(op.weights), np.float32)

    def _own(self, sizes: Sequence[int], share: float) -> bool:
        """Whether this subnetwork gets a copy of its weights: the small ones do, as long as all copies of an operation are at
        most ``share`` of its weights. ``sizes`` says how many weights every subnetwork reads.
        """
        return sum(set(sizes[: self.k + 1])) <= share * sizes[-1]

    def _rows(self, op: Operation, x: int, weights: np.ndarray, layer: Callable[[int, int, int], int]) -> int:
        """A layer with the first rows of ``weights`` [outputs, ..., inputs] and the first entries of each.

        Args:
            layer: makes a step of an input, weights and a bias.
        """
        made, now, full = self.program.tensors[op.output].channels, self.shapes[x][-1], weights.shape[-1]
        scales = None
        if self.file.int8:
            largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
            scales = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
            weights = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
            scales = scales[: made[self.k]]
        own = now < full and self._own([n * self.program.row(op, k) for k, n in enumerate(made)], self.copies)
        rows = weights[: made[self.k]]
        w = self._weights(rows[..., :now], scales) if own else self._weights(rows, scales, of=weights)
        given, bias = self._bias(op)
        y = layer(x if own else self._wide(x, full), w, self.constant(bias[: made[self.k]], of=bias)[0])
        return self._finish(op, y, done=given)

    def _dense(self, op: Operation) -> int:
        assert op.weights is not None
        shape = (1, self.program.tensors[op.output].channels[self.k])
        options: dict[str, Any] = {"asymmetricQuantizeInputs": True} if self.file.int8 else {}
        return self._rows(op, self._vector(op.inputs[0]), np.ascontiguousarray(op.weights),
                          lambda x, w, b: self.step("FULLY_CONNECTED", [x, w, b], shape, **options))

    def _conv(self, op: Operation) -> int:
        assert op.window is not None
        assert op.weights is not None
        out = self.program.tensors[op.output]
        x, options = self._padded(op.inputs[0], op.window, out)
        options |= {"dilationWFactor": 1, "dilationHFactor": 1}
        weights = op.weights.reshape(len(op.weights), -1, *op.window.kernel)
        if op.kind == "depthwise":
            return self._depthwise(op, x, weights, options | {"depthMultiplier": 1})
        shape = (1, out.height, out.width, out.channels[self.k])
        return self._rows(op, x, np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
                          lambda x, w, b: self.step("CONV_2D", [x, w, b], shape, **options))

    def _depthwise(self, op: Operation, x: int, weights: np.ndarray, options: dict[str, Any]) -> int:
        """With weights [channels, 1, height, width]: at full width, cut afterwards."""
        out = self.program.tensors[op.output]
        now, full = out.channels[self.k], len(weights)
        wide = now if self._own(out.channels, math.sqrt(self.copies)) else full
        w = self._weights(weights[:wide].transpose(1, 2, 3, 0))
        given, bias = self._bias(op)
        y = self.step("DEPTHWISE_CONV_2D", [self._wide(x, wide), w, self.constant(bias[:wide], of=bias)[0]],
                       (1, out.height, out.width, wide), **options)
        return self._finish(op, self._narrow(y, now), done=given)

    def _elementwise(self, op: Operation) -> int:
        x = self._vectors[op.inputs[0]] if self._is_vector(op) else self._image(op.inputs[0])
        return self._finish(op, x, done=False)

    def _finish(self, op: Operation, y: int, *, done: bool) -> int:
        """``activation(scale * y + offset)``; with ``done`` y is scaled and offset already."""
        if not done and not bare(op.scale, 1):
            y = self.step("MUL", [y, self._table(op.scale[self.k])], self.shapes[y])
        if not done and not bare(op.offset, 0):
            y = self.step("ADD", [y, self._table(op.offset[self.k])], self.shapes[y])
        return self._activation(op, y)

    def _activation(self, op: Operation, y: int) -> int:
        if op.activation == "linear":
            return y
        if op.activation == "leaky_relu":
            return self.step("LEAKY_RELU", [y], self.shapes[y], alpha=op.slope)
        name = op.activation.upper()
        last = self.steps[-1] if len(self.steps) > self._begin else None  # what was there before, others may read as it is
        if last is not None and last.output == y and last.name in _FUSE:
            last.options["fusedActivationFunction"] = getattr(self.file.schema.ActivationFunctionType, name)
            return y
        return self.step(name, [y], self.shapes[y])

    def _pool(self, op: Operation) -> int:
        window, out = op.window, self.program.tensors[op.output]
        assert window is not None
        shape = (1, out.height, out.width, out.channels[self.k])
        largest = op.kind == "max_pool"
        x, options = self._padded(op.inputs[0], window, out, float(np.finfo(np.float32).min) if largest else 0.0)
        h, w = window.kernel
        y = self.step("MAX_POOL_2D" if largest else "AVERAGE_POOL_2D", [x], shape, filterHeight=h, filterWidth=w, **options)
        if largest or not window.padded or options["padding"] == self.file.schema.Padding.SAME:
            return y
        before = self.program.tensors[op.inputs[0]]  # the mean is over the positions of the image, not over the padding
        counts = window.counts((before.height, before.width), (out.height, out.width))
        factor = (window.taps / counts).astype(np.float32)[None, :, :, None]
        return self.step("MUL", [y, self.constant(factor)[0]], shape)

    def _padded(self, t: int, window: Window, out: Tensor, value: float = 0.0) -> tuple[int, dict[str, Any]]:
        """An image and the options of a window over it: padded beforehand, where the padding is not that of "SAME"."""
        x, padding = self._image(t), self.file.schema.Padding
        _, h, w, c = self.shapes[x]
        options = {"padding": padding.VALID, "strideH": window.strides[0], "strideW": window.strides[1]}
        if not window.padded:
            return x, options
        if window.padding == tuple(_same(*sizes) for sizes in zip((h, w), (out.height, out.width), window.kernel,
                                                                  window.strides, strict=True)):
            return x, options | {"padding": padding.SAME}
        (top, bottom), (left, right) = window.padding
        inputs = [x, self.integers([(0, 0), *window.padding, (0, 0)])]
        shape = (1, h + top + bottom, w + left + right, c)
        if value:
            return self.step("PADV2", [*inputs, self.constant(np.full(1, value, np.float32))[0]], shape), options
        return self.step("PAD", inputs, shape), options


def _same(size: int, out: int, kernel: int, stride: int) -> tuple[int, int] | None:
    """The padding of "SAME" along an axis; None if it makes another number of positions."""
    total = max((out - 1) * stride + kernel - size, 0)
    return (total // 2, total - total // 2) if out == -(-size // stride) else None
