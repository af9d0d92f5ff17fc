"""One subnetwork as a subgraph of a .tflite file, operation by operation; how they share their weights is said in `litert`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Range, Tensor, Window
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
        self._widened: dict[tuple[int, tuple[int, ...]], int] = {}
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

    def _wide(self, x: int, parts: Sequence[Range], ends: Sequence[int]) -> int:
        """The value with zeros behind the last channel of every range, so that it has as many as the rows of a matrix have
        entries: the range ends at ``ends``.
        """
        *rest, now = self.shapes[x]
        if now == ends[-1]:
            return x
        key = (x, tuple(ends))
        if key not in self._widened:
            wide, start = [], 0
            for part, end in zip(parts, ends, strict=True):
                n = part.channels[self.k]
                y = self._part(x, start, n)
                if n < end - part.first:
                    pads = self.integers([(0, 0)] * len(rest) + [(0, end - part.first - n)])
                    y = self.step("PAD", [y, pads], (*rest, end - part.first))
                wide.append(y)
                start += n
            self._widened[key] = self._join(wide)
        return self._widened[key]

    def _narrow(self, x: int, parts: Sequence[Range]) -> int:
        """The channels of a value that the subnetwork has."""
        return self._join([self._part(x, part.first, part.channels[self.k]) for part in parts])

    def _part(self, x: int, start: int, channels: int) -> int:
        *rest, now = self.shapes[x]
        if now == channels:
            return x
        sizes = [self.integers([0] * len(rest) + [start]), self.integers([-1, *rest[1:], channels])]
        return self.step("SLICE", [x, *sizes], (*rest, channels))

    def _join(self, values: Sequence[int]) -> int:
        *rest, _ = self.shapes[values[0]]
        if len(values) == 1:
            return values[0]
        return self.step("CONCATENATION", values, (*rest, sum(self.shapes[v][-1] for v in values)), axis=len(rest))

    # -- operations ----------------------------------------------------------------------------------------------------

    def _operation(self, op: Operation) -> None:
        vector = self._is_vector(op)
        self._begin = len(self.steps)
        if op.kind == "softmax":
            x = self._vector(op.inputs[0])
            result = self.step("SOFTMAX", [x], self.shapes[x], beta=1.0)
        elif op.kind == "channel_first":
            result = self._image(op.inputs[0])
        elif op.kind == "concat":
            result = self._activation(op, self._join([self._vector(t) if vector else self._image(t) for t in op.inputs]))
        elif op.kind == "shuffle":
            result = self._shuffle(op)
        elif op.kind == "pad":
            assert op.window is not None
            result, _ = self._padded(op.inputs[0], op.window, self.program.tensors[op.output])
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
        if op.kind == "concat" and any(self.program.tensors[t].positions > 1 for t in op.inputs):
            return self.program.tensors[op.output].positions == 1
        elementwise = op.kind in ("add", "mul", "map", "concat") or (op.kind == "depthwise" and one_weighted(op))
        return elementwise and self.program.tensors[op.output].positions == 1 and all(t in self._vectors for t in op.inputs)

    def _bias(self, op: Operation) -> tuple[bool, np.ndarray]:
        """What a layer adds itself, at full width, and whether it is its offset: else scale and offset come after it."""
        assert op.weights is not None
        prefix = not self.program.tensors[op.output].ranges
        if prefix and bare(op.scale, 1) and agree(op.offset) and len(op.offset[-1]) == len(op.weights):
            return True, np.asarray(op.offset[-1], np.float32)
        return False, np.zeros(len(op.weights), np.float32)

    def _own(self, sizes: Sequence[int], share: float) -> bool:
        """Whether this subnetwork gets a copy of its weights: the small ones do, as long as all copies of an operation are at
        most ``share`` of its weights. ``sizes`` says how many weights every subnetwork reads.
        """
        return sum(set(sizes[: self.k + 1])) <= share * sizes[-1]

    def _rows(self, op: Operation, x: int, weights: np.ndarray, layer: Callable[[int, int, int, int], int]) -> int:
        """A layer with the first rows of ``weights`` [outputs, ..., inputs] and the first entries of each, or with ranges.

        Args:
            layer: makes a step of an input, weights, a bias and the number of outputs.
        """
        made, now, full = self.program.tensors[op.output], self.shapes[x][-1], weights.shape[-1]
        rows = len(weights) if made.ranges and op.groups else int(made.kept(self.k)[-1]) + 1
        scales = None
        if self.file.int8 and not op.groups:
            largest = np.abs(weights).reshape(len(weights), -1).max(axis=1)
            scales = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
            weights = np.rint(weights / scales.reshape(-1, *[1] * (weights.ndim - 1))).astype(np.int8)
            scales = scales[:rows]
        reads = [n * self.program.row(op, k) for k, n in enumerate(made.channels)]
        own = now < full and not op.groups and self._own(reads, self.copies)
        first = weights[:rows]
        w = self._weights(first[..., self._columns(op)], scales) if own else self._weights(first, scales, of=weights)
        given, bias = self._bias(op)
        y = layer(x if own else self._full(op, x), w, self.constant(bias[:rows], of=bias)[0], rows)
        return self._finish(op, self._narrow(y, made.parts) if made.ranges else y, done=given)

    def _columns(self, op: Operation) -> np.ndarray:
        """The inputs that the subnetwork reads of those of the largest."""
        read = self.program.tensors[op.inputs[0]]
        each = read.positions if op.kind == "dense" else 1
        return (read.kept(self.k)[:, None] * each + np.arange(each)).ravel()

    def _full(self, op: Operation, x: int) -> int:
        """The input of a layer with zeros where the largest subnetwork has more; whole groups that are cut need none."""
        read = self.program.tensors[op.inputs[0]]
        if op.groups and not read.ranges:
            return x
        each = read.positions if op.kind == "dense" else 1
        parts = [Range(p.first * each, tuple(n * each for n in p.channels)) for p in read.parts]
        return self._wide(x, parts, [*(p.first for p in parts[1:]), read.channels[-1] * each])

    def _dense(self, op: Operation) -> int:
        assert op.weights is not None
        options: dict[str, Any] = {"asymmetricQuantizeInputs": True} if self.file.int8 else {}
        return self._rows(op, self._vector(op.inputs[0]), np.ascontiguousarray(op.weights),
                          lambda x, w, b, rows: self.step("FULLY_CONNECTED", [x, w, b], (1, rows), **options))

    def _conv(self, op: Operation) -> int:
        assert op.window is not None
        assert op.weights is not None
        out = self.program.tensors[op.output]
        x, options = self._padded(op.inputs[0], op.window, out)
        options |= {"dilationWFactor": op.window.dilation[1], "dilationHFactor": op.window.dilation[0]}
        weights = op.weights.reshape(len(op.weights), -1, *op.window.kernel)
        if op.kind == "depthwise":
            return self._depthwise(op, x, weights, options | {"depthMultiplier": 1})
        return self._rows(op, x, np.ascontiguousarray(weights.transpose(0, 2, 3, 1)),
                          lambda x, w, b, rows: self.step("CONV_2D", [x, w, b], (1, out.height, out.width, rows), **options))

    def _depthwise(self, op: Operation, x: int, weights: np.ndarray, options: dict[str, Any]) -> int:
        """With weights [channels, 1, height, width]: at full width, cut afterwards."""
        out = self.program.tensors[op.output]
        own = self._own(out.channels, math.sqrt(self.copies))
        rows = out.kept(self.k) if own else np.arange(len(weights))
        w = self._weights(weights[rows].transpose(1, 2, 3, 0))
        given, bias = self._bias(op)
        y = self.step("DEPTHWISE_CONV_2D", [x if own else self._full(op, x), w, self.constant(bias[: len(rows)], of=bias)[0]],
                       (1, out.height, out.width, len(rows)), **options)
        return self._finish(op, y if own else self._narrow(y, out.parts), done=given)

    def _shuffle(self, op: Operation) -> int:
        x, groups = self._image(op.inputs[0]), op.groups[0]
        n, h, w, c = self.shapes[x]
        apart = self._reshape(x, (n, h, w, groups, c // groups))
        turned = self.step("TRANSPOSE", [apart, self.integers([0, 1, 2, 4, 3])], (n, h, w, c // groups, groups))
        return self._reshape(turned, (n, h, w, c))

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
        if window.padding == tuple(_same(*sizes) for sizes in zip((h, w), (out.height, out.width), window.reach,
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
