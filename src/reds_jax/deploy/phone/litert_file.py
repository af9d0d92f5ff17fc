"""The form of a .tflite file: tables that are written once, constants that are views of others, functions with signatures.

Source: the schema of TensorFlow Lite, as the package ai-edge-litert ships it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reds_jax.tflite_schema import schema

_OPTIONS = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D", "FULLY_CONNECTED": "FullyConnected",
            "MAX_POOL_2D": "Pool2D", "AVERAGE_POOL_2D": "Pool2D", "ADD": "Add", "MUL": "Mul", "SLICE": "Slice",
            "PAD": "Pad", "PADV2": "PadV2", "RESHAPE": "Reshape", "TRANSPOSE": "Transpose",
            "CONCATENATION": "Concatenation", "SOFTMAX": "Softmax", "LEAKY_RELU": "LeakyRelu", "SUB": "Sub", "DIV": "Div",
            "MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum", "NEG": "Neg", "ABS": "Abs", "EXP": "Exp",
            "GREATER": "Greater", "GREATER_EQUAL": "GreaterEqual", "LESS": "Less", "LESS_EQUAL": "LessEqual",
            "EQUAL": "Equal", "NOT_EQUAL": "NotEqual", "SELECT_V2": "SelectV2", "HARD_SWISH": "HardSwish", "GELU": "Gelu",
            "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighbor"}
_INT8_VERSIONS = {"CONV_2D": 5, "FULLY_CONNECTED": 12}  # weights with a scale per output, inputs in floats


class Once:
    """A table of the file that is written once, however many others refer to it."""

    def __init__(self, write: Callable[[Any], int]) -> None:
        self._write = write
        self._offset: tuple[Any, int] | None = None

    def Pack(self, builder: Any) -> int:
        if self._offset is None or self._offset[0] is not builder:
            self._offset = builder, self._write(builder)
        return self._offset[1]


class File:
    """The constants, tables and subgraphs of a file."""

    def __init__(self, *, int8: bool) -> None:
        self.schema, self.flatbuffers = schema()
        self.int8 = int8
        self.subgraphs: list[Any] = []
        self.signatures: list[Any] = []
        self._buffers: dict[bytes | tuple[int, int], int] = {b"": 0}
        self._shared: dict[bytes, int] = {}
        self._codes: dict[tuple[str, int], int] = {}
        self._tables: dict[tuple, Once] = {}
        self._zeros: dict[int, Once] = {}

    def buffer(self, array: np.ndarray) -> tuple[int, int]:
        """The number of the buffer with these bytes, and how many bytes are new."""
        data = array.tobytes()
        new = data not in self._buffers
        return self._buffers.setdefault(data, len(self._buffers)), len(data) if new else 0

    def view(self, full: np.ndarray, size: int) -> tuple[int, int]:
        """The number of a buffer that is the first ``size`` bytes of an array, and how many bytes are new."""
        data = full.tobytes()
        new = data not in self._shared
        start = self._shared.setdefault(data, sum(_round16(len(d)) for d in self._shared))
        return self._buffers.setdefault((start, size), len(self._buffers)), len(data) if new else 0

    def code(self, name: str) -> int:
        """The number of an operation in the table of those that are used."""
        version = _INT8_VERSIONS.get(name, 1) if self.int8 else 1
        return self._codes.setdefault((name, version), len(self._codes))

    def _once(self, key: tuple, write: Callable[[Any], int]) -> Once:
        return self._tables.setdefault(key, Once(write))

    def tensor(self, shape: tuple[int, ...], kind: str, buffer: int = 0, scales: np.ndarray | None = None, name: str = "",
               batch: bool = False) -> Once:
        """``batch`` says that the first dimension is that of the batch, which the user may resize."""
        table = self.schema.TensorT(shape=list(shape), type=getattr(self.schema.TensorType, kind), buffer=buffer)
        if name:
            table.name = name
        if batch:
            table.shapeSignature = [-1, *shape[1:]]
        if scales is not None:
            table.quantization = self._once(("scales", scales.tobytes()), lambda b: self._scales(b, scales))
        key = (shape, kind, buffer, None if scales is None else scales.tobytes(), name, batch)
        return self._once(key, table.Pack)

    def _scales(self, builder: Any, scales: np.ndarray) -> int:
        s, n = self.schema, len(scales)
        scale = builder.CreateNumpyVector(scales)
        zero = self._zeros.setdefault(n, Once(lambda b: b.CreateNumpyVector(np.zeros(n, np.int64)))).Pack(builder)
        s.QuantizationParametersStart(builder)
        s.QuantizationParametersAddScale(builder, scale)
        s.QuantizationParametersAddZeroPoint(builder, zero)
        return s.QuantizationParametersEnd(builder)

    def options(self, name: str, values: dict[str, Any]) -> tuple[int, Once | None]:
        """The type and the table of the options of an operation."""
        if name not in _OPTIONS:
            return 0, None
        kind = f"{_OPTIONS[name]}Options"
        table = getattr(self.schema, f"{kind}T")(**values)
        return getattr(self.schema.BuiltinOptions, kind), self._once((kind, *sorted(values.items())), table.Pack)

    def data(self) -> bytes:
        """The bytes of the file: the tables, then the weights, to which some buffers refer by their place in the file."""
        tables = self._written(16)
        tables = self._written(_round16(len(tables)))
        return b"".join(_padded16(part) for part in (tables, *self._shared))

    def _written(self, start: int) -> bytes:
        """The tables; ``start`` is where the weights begin."""
        s = self.schema
        codes = []
        for name, version in self._codes:
            number = getattr(s.BuiltinOperator, name)
            codes.append(s.OperatorCodeT(builtinCode=number, deprecatedBuiltinCode=min(number, 127), version=version))
        buffers = []
        for of in self._buffers:
            if isinstance(of, tuple):
                buffers.append(s.BufferT(offset=start + of[0], size=of[1]))
            else:
                buffers.append(s.BufferT(data=np.frombuffer(of, np.uint8) if of else None))
        model = s.ModelT(version=3, operatorCodes=codes, subgraphs=self.subgraphs, buffers=buffers,
                         signatureDefs=self.signatures, description="reds_jax")
        builder = _aligned(self.flatbuffers)(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _round16(n: int) -> int:
    return -(-n // 16) * 16


def _padded16(data: bytes) -> bytes:
    return data + b"\0" * (_round16(len(data)) - len(data))


def _aligned(flatbuffers: Any) -> type:
    """A builder that puts bytes of constants at multiples of 16, as the schema asks."""
    class Aligned(flatbuffers.Builder):
        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
            return super().StartVector(elemSize, numElems, 16 if elemSize == 1 else alignment)

    return Aligned


@dataclass
class Step:
    """An operation of a subgraph."""

    name: str
    inputs: list[int]
    output: int
    options: dict[str, Any] = field(default_factory=dict)


class Subgraph:
    """One function of the file. A value is the number of a tensor; ``shapes`` are theirs, with a batch of 1."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.tensors: list[Once] = []
        self.steps: list[Step] = []
        self.shapes: list[tuple[int, ...]] = []
        self._constants: dict[tuple, int] = {}

    def value(self, shape: tuple[int, ...], name: str = "", kind: str = "FLOAT32") -> int:
        """A new tensor that is computed."""
        self.tensors.append(self.file.tensor(shape, kind, name=name, batch=True))
        self.shapes.append(shape)
        return len(self.tensors) - 1

    def step(self, name: str, inputs: Sequence[int], shape: tuple[int, ...], *, kind: str = "FLOAT32", **options: Any) -> int:
        """The result of an operation."""
        self.steps.append(Step(name, list(inputs), self.value(shape, kind=kind), options))
        return self.steps[-1].output

    def constant(self, array: np.ndarray, scales: np.ndarray | None = None, of: np.ndarray | None = None) -> tuple[int, int]:
        """The number of a constant, and how many bytes it adds to the file; it may be the first rows ``of`` an array."""
        array = np.ascontiguousarray(array)
        kind = {"f": "FLOAT32", "i": f"INT{8 * array.itemsize}"}[array.dtype.kind]
        buffer, added = self.file.buffer(array) if of is None else self.file.view(of, array.nbytes)
        key = (array.shape, kind, buffer, None if scales is None else scales.tobytes())
        if key not in self._constants:
            self._constants[key] = len(self.tensors)
            self.tensors.append(self.file.tensor(array.shape, kind, buffer, scales))
            self.shapes.append(array.shape)
        return self._constants[key], added

    def integers(self, values: Any) -> int:
        """A constant of int32."""
        return self.constant(np.asarray(values, np.int32))[0]

    def sign(self, name: str, given: int, result: int) -> None:
        """Add the function to the file, as a signature from ``input`` to ``output``."""
        schema = self.file.schema
        self.tensors[result] = self.file.tensor(self.shapes[result], "FLOAT32", name="output", batch=True)
        operators = [self._operator(step) for step in self.steps]
        ends = [schema.TensorMapT(name=n, tensorIndex=t) for n, t in (("input", given), ("output", result))]
        self.file.signatures.append(schema.SignatureDefT(inputs=ends[:1], outputs=ends[1:], signatureKey=name,
                                                         subgraphIndex=len(self.file.subgraphs)))
        self.file.subgraphs.append(schema.SubGraphT(tensors=self.tensors, inputs=[given], outputs=[result],
                                                    operators=operators, name=name))

    def _operator(self, step: Step) -> Any:
        kind, options = self.file.options(step.name, step.options)
        return self.file.schema.OperatorT(opcodeIndex=self.file.code(step.name), inputs=step.inputs, outputs=[step.output],
                                          builtinOptionsType=kind, builtinOptions=options)
