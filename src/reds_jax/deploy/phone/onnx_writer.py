"""The nodes and constants of an ONNX file, operation by operation; what it looks like is said in `onnx`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.program import WEIGHTED, Operation, Program, Range, Tensor
from reds_jax.deploy.lowering.subnetworks import agree, bare, one_weighted
from reds_jax.deploy.phone.onnx_functions import written

OPSET, IR_VERSION = 17, 8  # read by onnxruntime 1.13 and later


class Writer:
    """Makes the nodes and constants of a program.

    A value is known by its name; a tensor has up to two: an image [N, C, H, W] and a vector [N, C * H * W].
    """

    def __init__(self, onnx: Any, program: Program, input_shape: Sequence[int]) -> None:
        self.onnx, self.program, self.input_shape = onnx, program, tuple(input_shape)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.weight_bytes = self.table_bytes = 0
        self._constants: dict[tuple, str] = {}
        self._selected: dict[str, str] = {}
        self._images: dict[int, str] = {}
        self._vectors: dict[int, str] = {}
        self._given: dict[int, str] = {0: "input"}
        if len(self.input_shape) == 1:
            self._vectors[0] = "input"
        elif len(self.input_shape) == 2:  # a sequence is an image of one row
            self._given[0] = self._node("Unsqueeze", ["input", self._constant(np.array([1]))])
        for op in program.operations:
            self._operation(op)

    def model(self, metadata: dict[str, Any]) -> Any:
        """The finished model."""
        helper, kinds = self.onnx.helper, self.onnx.TensorProto
        items = [self.program.tensors[self.program.output].items(k) for k in range(self.program.subnetworks)]
        self.nodes.append(helper.make_node("Identity", [self._vector(self.program.output)], ["output"]))
        inputs = [helper.make_tensor_value_info("input", kinds.FLOAT, ["N", *self.input_shape])]
        if self.program.subnetworks > 1:
            inputs.append(helper.make_tensor_value_info("subnetwork", kinds.INT64, []))
        result = helper.make_tensor_value_info("output", kinds.FLOAT, ["N", items[0] if len(set(items)) == 1 else "outputs"])
        graph = helper.make_graph(self.nodes, "nested", inputs, [result], self.initializers)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
                                 producer_name="reds_jax")
        helper.set_model_props(made, {key: json.dumps(value, separators=(",", ":")) for key, value in metadata.items()})
        return made

    # -- nodes and constants -------------------------------------------------------------------------------------------

    def _node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, array: Any) -> str:
        array = np.ascontiguousarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"c{len(self._constants)}"
            self.initializers.append(self.onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def _weights(self, array: np.ndarray) -> str:
        before = len(self.initializers)
        name = self._constant(array)
        self.weight_bytes += array.nbytes if len(self.initializers) > before else 0
        return name

    def _select(self, rows: Any) -> str:
        """The row of a table of integers that belongs to the subnetwork that runs."""
        table = np.asarray(rows, np.int64)
        if (table == table[0]).all():
            return self._constant(table[0])
        name = self._constant(table)
        if name not in self._selected:
            self._selected[name] = self._node("Gather", [name, "subnetwork"])
        return self._selected[name]

    def _cut(self, name: str, shape: Sequence[int], ends: Sequence[Sequence[int]], axes: Sequence[int]) -> str:
        """The prefix of an array of that shape: in subnetwork k up to ``ends[k]`` along the axes."""
        varying = [i for i, axis in enumerate(axes) if any(row[i] != shape[axis] for row in ends)]
        if not varying:
            return name
        return self._node("Slice", [name, self._constant(np.zeros(len(varying), np.int64)),
                                    self._select([[row[i] for i in varying] for row in ends]),
                                    self._constant(np.asarray([axes[i] for i in varying], np.int64))])

    def _ranges(self, name: str, shape: Sequence[int], parts: Sequence[Range], axis: int, each: int = 1) -> str:
        """The ranges of an array of that shape along an axis, of which each channel has ``each`` entries."""
        if len(parts) == 1:
            return self._cut(name, shape, [[n * each] for n in parts[0].channels], [axis])
        along = self._constant(np.array([axis], np.int64))
        cut = [self._node("Slice", [name, self._constant(np.array([part.first * each], np.int64)),
                                    self._select([[(part.first + n) * each] for n in part.channels]), along]) for part in parts]
        return self._node("Concat", cut, axis=axis)

    # -- tensors -------------------------------------------------------------------------------------------------------

    def _image(self, t: int) -> str:
        if t not in self._images:
            if t in self._vectors:
                self._images[t] = self._node("Unsqueeze", [self._vectors[t], self._constant(np.array([2, 3]))])
            else:
                self._images[t] = self._node("Transpose", [self._given[t]], perm=[0, 3, 1, 2])
        return self._images[t]

    def _vector(self, t: int) -> str:
        """All entries in a row, in the order in which the tensor lies."""
        if t not in self._vectors:
            lies = self._image(t) if self.program.tensors[t].channel_first else self._given[t]
            self._vectors[t] = self._node("Flatten", [lies], axis=1)
        return self._vectors[t]

    # -- operations ----------------------------------------------------------------------------------------------------

    def _operation(self, op: Operation) -> None:
        if op.kind == "dense":
            result = self._dense(op)
        elif op.kind == "softmax":
            result = self._node("Softmax", [self._vector(op.inputs[0])], axis=1)
        elif op.kind in WEIGHTED:
            result = self._conv(op)
        elif op.kind in ("add", "mul"):
            result = self._pair(op)
        elif op.kind == "map":
            assert op.function is not None
            x = self._vectors[op.inputs[0]] if self._is_vector(op) else self._image(op.inputs[0])
            result = written(op.function, x, self._node, self._constant)
        elif op.kind == "resize":
            scales = self._constant(np.array([1, 1, *self.program.repeats(op)], np.float32))
            result = self._node("Resize", [self._image(op.inputs[0]), "", scales], mode="nearest",
                                coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        elif op.kind == "channel_first":
            result = self._image(op.inputs[0])
        elif op.kind == "concat":
            result = self._concat(op)
        elif op.kind == "shuffle":
            result = self._shuffle(op)
        elif op.kind == "pad":
            assert op.window is not None
            pads = np.array([0, 0, *op.window.before, 0, 0, *op.window.after], np.int64)
            result = self._node("Pad", [self._image(op.inputs[0]), self._constant(pads)])
        else:
            assert op.window is not None
            result = self._node("MaxPool" if op.kind == "max_pool" else "AveragePool", [self._image(op.inputs[0])],
                                **_window(op))
        form = self._vectors if self._is_vector(op) else self._images
        form[op.output] = result

    def _is_vector(self, op: Operation) -> bool:
        """Whether the result of an operation is written as a vector."""
        if op.kind in ("dense", "softmax"):
            return True
        if op.kind == "concat" and any(self.program.tensors[t].positions > 1 for t in op.inputs):
            return self.program.tensors[op.output].positions == 1
        elementwise = op.kind in ("add", "mul", "map", "concat") or (op.kind == "depthwise" and one_weighted(op))
        return elementwise and self.program.tensors[op.output].positions == 1 and all(t in self._vectors for t in op.inputs)

    def _channels(self, t: int) -> tuple[int, ...]:
        return self.program.tensors[t].channels

    def _dense(self, op: Operation) -> str:
        assert op.weights is not None
        w = self._rows(op, op.weights)
        inputs = [self._vector(op.inputs[0]), w]
        bias = bare(op.scale, 1) and not bare(op.offset, 0)
        y = self._node("Gemm", [*inputs, self._per_channel(op.offset, ())] if bias else inputs, transB=1)
        return self._finish(op, y, (), offset=not bias)

    def _conv(self, op: Operation) -> str:
        if op.kind == "depthwise" and one_weighted(op):
            vector = self._is_vector(op)
            x = self._vectors[op.inputs[0]] if vector else self._image(op.inputs[0])
            return self._finish(op, x, () if vector else (1, 1))
        assert op.weights is not None
        assert op.window is not None
        weights = op.weights.reshape(len(op.weights), -1, *op.window.kernel)
        x = self._image(op.inputs[0])
        if op.kind == "depthwise" or op.groups:
            return self._grouped(op, x, self._weights(weights))
        w = self._rows(op, weights)
        bias = bare(op.scale, 1) and not bare(op.offset, 0)
        y = self._node("Conv", [x, w, self._per_channel(op.offset, ())] if bias else [x, w], **_window(op))
        return self._finish(op, y, (1, 1), offset=not bias)

    def _rows(self, op: Operation, weights: np.ndarray) -> str:
        """The weights [outputs, inputs, ...] that the subnetwork reads: of prefixes both cut at once."""
        x, y = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        each = x.positions if op.kind == "dense" else 1
        name = self._weights(weights)
        if not x.ranges and not y.ranges:
            ends = [(n, m * each) for n, m in zip(y.channels, x.channels, strict=True)]
            return self._cut(name, weights.shape, ends, (0, 1))
        return self._ranges(self._ranges(name, weights.shape, y.parts, 0), weights.shape, x.parts, 1, each)

    def _grouped(self, op: Operation, x: str, w: str) -> str:
        """At full width, as the number of groups is one of the file: what is cut reads zeros, and is cut afterwards."""
        read, made = self.program.tensors[op.inputs[0]], self.program.tensors[op.output]
        groups = op.groups[-1] if op.groups else made.channels[-1]
        y = self._node("Conv", [self._wide(x, read), w], group=groups, **_window(op))
        shape = (0, made.channels[-1])
        return self._finish(op, self._ranges(y, shape, made.parts, 1), (1, 1))

    def _wide(self, x: str, tensor: Tensor) -> str:
        """An image with zeros where the largest subnetwork has more channels."""
        if len(set(tensor.channels)) == 1:
            return x
        ends = [*(part.first for part in tensor.parts[1:]), tensor.channels[-1]]
        along, parts = self._constant(np.array([1], np.int64)), []
        starts = np.zeros(self.program.subnetworks, np.int64)
        for part, end in zip(tensor.parts, ends, strict=True):
            stops = starts + part.channels
            name = x
            if tensor.ranges:
                name = self._node("Slice", [x, self._select(starts[:, None]), self._select(stops[:, None]), along])
            lacks = [end - part.first - n for n in part.channels]
            if any(lacks):
                name = self._node("Pad", [name, self._select([[0] * 5 + [n] + [0] * 2 for n in lacks])])
            parts.append(name)
            starts = stops
        return self._node("Concat", parts, axis=1) if len(parts) > 1 else parts[0]

    def _concat(self, op: Operation) -> str:
        vector = self._is_vector(op)
        values = [self._vector(t) if vector else self._image(t) for t in op.inputs]
        return self._activation(op, self._node("Concat", values, axis=1))

    def _shuffle(self, op: Operation) -> str:
        tensor, groups = self.program.tensors[op.inputs[0]], op.groups[0]
        h, w = tensor.height, tensor.width
        apart = self._node("Reshape", [self._image(op.inputs[0]), self._constant(np.array([0, groups, -1, h, w]))])
        turned = self._node("Transpose", [apart], perm=[0, 2, 1, 3, 4])
        return self._node("Reshape", [turned, self._constant(np.array([0, -1, h, w]))])

    def _pair(self, op: Operation) -> str:
        """A sum or a product; a gate of one position is repeated by the rules of ONNX."""
        a, b = ((self._vectors[t] if self._is_vector(op) else self._image(t)) for t in op.inputs)
        return self._activation(op, self._node("Add" if op.kind == "add" else "Mul", [a, b]))

    def _finish(self, op: Operation, y: str, positions: tuple[int, ...], *, offset: bool = True) -> str:
        """``activation(scale * y + offset)``."""
        if not bare(op.scale, 1):
            y = self._node("Mul", [y, self._per_channel(op.scale, positions)])
        if offset and not bare(op.offset, 0):
            y = self._node("Add", [y, self._per_channel(op.offset, positions)])
        return self._activation(op, y)

    def _per_channel(self, vectors: Sequence[np.ndarray], positions: tuple[int, ...]) -> str:
        """The vector of the subnetwork that runs, [channels, 1, 1] for an image."""
        counts = [len(v) for v in vectors]
        if agree(vectors):
            full = vectors[-1].reshape(-1, *positions)
            return self._cut(self._constant(full), full.shape, [[n] for n in counts], [0])
        before = len(self.initializers)
        name = self._constant(np.concatenate(vectors).reshape(-1, *positions))
        if len(self.initializers) > before:
            self.table_bytes += sum(v.nbytes for v in vectors[:-1])
        ends = np.cumsum(counts)
        return self._node("Slice", [name, self._select((ends - counts)[:, None]), self._select(ends[:, None])])

    def _activation(self, op: Operation, y: str) -> str:
        if op.activation == "relu":
            return self._node("Relu", [y])
        if op.activation == "relu6":
            return self._node("Clip", [y, self._constant(np.float32(0)), self._constant(np.float32(6))])
        return self._node("LeakyRelu", [y], alpha=op.slope) if op.activation == "leaky_relu" else y


def _window(op: Operation) -> dict[str, Any]:
    """Attributes of a convolution or a pool (whose mean leaves the padding out)."""
    window = op.window
    assert window is not None
    given: dict[str, Any] = {"kernel_shape": list(window.kernel)}
    if set(window.strides) != {1}:
        given["strides"] = list(window.strides)
    if window.dilated:
        given["dilations"] = list(window.dilation)
    if window.padded:
        given["pads"] = [*window.before, *window.after]
    return given
