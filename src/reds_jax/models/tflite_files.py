"""The weights in .tflite files in floats, under the names and in the layouts of Keras.

A convolution, a depthwise convolution and a fully connected layer become ``conv2d_1/kernel`` [h, w, in, out],
``depthwise_conv2d_1/depthwise_kernel`` [h, w, channels, 1] and ``dense_1/kernel`` [in, out], each with its ``bias``, numbered
in the order in which the file runs them. A batch norm is part of them there, or becomes so: a product and a sum with constants
behind a layer go into it. Constants of other operations keep their names.
"""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.errors import DataError
from reds_jax.tflite_schema import schema

_KINDS = {"CONV_2D": ("conv2d", "kernel", lambda w: w.transpose(1, 2, 3, 0)),
          "DEPTHWISE_CONV_2D": ("depthwise_conv2d", "depthwise_kernel", lambda w: w.transpose(1, 2, 3, 0)),
          "FULLY_CONNECTED": ("dense", "kernel", lambda w: w.T)}


def read_tflite(path: Path) -> dict[str, np.ndarray]:
    """The weights float32 by name, ``conv2d_1/kernel``; see above.

    Args:
        path: a .tflite file; of several functions in it the one with the most weights.

    Raises:
        DataError: it is damaged, or has quantised weights. MissingDependencyError: ai-edge-litert is not installed.
    """
    tables, _ = schema()
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise DataError(f"{path} is no .tflite file", got=data[4:8], allowed="TFL3 behind the first four bytes")
    try:
        model = tables.ModelT.InitFromPackedBuf(data, 0)
        graphs = [_Graph(tables, model, graph, data) for graph in model.subgraphs]
        graph = max(graphs, key=lambda graph: sum(a.size for a in graph.constants.values()))
        return graph.weights()
    except (struct.error, ValueError, IndexError, TypeError, AttributeError, KeyError) as error:
        raise DataError(f"{path} cannot be read as .tflite ({type(error).__name__}: {error})",
                        hint="Convert it again.") from error


class _Graph:
    """One function of a file: its constants in floats by the number of their tensor, and its operations."""

    def __init__(self, tables: Any, model: Any, graph: Any, data: bytes) -> None:
        kinds = {number: name for name, number in vars(tables.BuiltinOperator).items() if isinstance(number, int)}
        self.tensors = graph.tensors
        self.operations = [(kinds.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM"), operator)
                           for operator in graph.operators or () for code in [model.operatorCodes[operator.opcodeIndex]]]
        self.constants: dict[int, np.ndarray] = {}
        self.quantised: set[int] = set()
        types = {tables.TensorType.FLOAT32: "<f4", tables.TensorType.FLOAT16: "<f2"}
        for number, tensor in enumerate(self.tensors):
            buffer = model.buffers[tensor.buffer]
            if buffer.data is not None and len(buffer.data):
                raw = np.asarray(buffer.data, np.uint8).tobytes()
            elif buffer.offset > 1:
                raw = data[buffer.offset : buffer.offset + buffer.size]
            else:
                continue
            if tensor.type in types:
                self.constants[number] = np.frombuffer(raw, types[tensor.type]).astype(np.float32).reshape(tensor.shape)
            elif tensor.type in (tables.TensorType.INT8, tables.TensorType.UINT8):
                self.quantised.add(number)
        for kind, operator in self.operations:  # of weights in half the bits
            if kind == "DEQUANTIZE" and operator.inputs[0] in self.constants:
                self.constants[operator.outputs[0]] = self.constants.pop(operator.inputs[0])

    def weights(self) -> dict[str, np.ndarray]:
        weights: dict[str, np.ndarray] = {}
        numbers: dict[str, int] = {}
        used: set[int] = set()
        layers: dict[int, tuple[str, str]] = {}  # of a value that a layer gives without an activation: its name, its kernel's
        readers = Counter(int(number) for _, operator in self.operations for number in operator.inputs)
        for kind, operator in self.operations:
            constants = [int(number) for number in operator.inputs if int(number) in self.constants]
            if kind in _KINDS and len(operator.inputs) > 1:
                layer, variable, turn = _KINDS[kind]
                if operator.inputs[1] in self.quantised:
                    raise ValueError("its weights are quantised; convert it in floats")
                if operator.inputs[1] not in self.constants:
                    continue
                number = numbers[layer] = numbers.get(layer, -1) + 1
                prefix = f"{layer}_{number}" if number else layer
                weights[f"{prefix}/{variable}"] = turn(self.constants[operator.inputs[1]])
                if len(constants) > 1:
                    weights[f"{prefix}/bias"] = self.constants[operator.inputs[2]]
                found = (prefix, variable)
            elif kind in ("MUL", "ADD") and len(constants) == 1 and (before := self._before(operator, layers, readers)) \
                    and self._fold(weights, before, kind, self.constants[constants[0]]):
                found = before
            else:
                continue
            used |= set(constants)
            if not getattr(operator.builtinOptions, "fusedActivationFunction", 0):
                layers[int(operator.outputs[0])] = found
        return {**weights, **{_name(self.tensors[number], number): array for number, array in self.constants.items()
                              if number not in used}}

    @staticmethod
    def _before(operator: Any, layers: dict[int, tuple[str, str]], readers: Counter[int]) -> tuple[str, str] | None:
        """The layer whose value an operation takes, if nothing else takes it."""
        return next((layers[int(number)] for number in operator.inputs
                     if int(number) in layers and readers[int(number)] == 1), None)

    @staticmethod
    def _fold(weights: dict[str, np.ndarray], layer: tuple[str, str], kind: str, constant: np.ndarray) -> bool:
        """Put a product or a sum behind a layer into it; False of one that is not a number for every channel."""
        prefix, variable = layer
        channels = weights[f"{prefix}/{variable}"].shape[2 if variable == "depthwise_kernel" else -1]
        if constant.size != channels or constant.shape[-1] != channels:
            return False
        bias = weights.get(f"{prefix}/bias", np.zeros(1, np.float32))
        weights[f"{prefix}/bias"] = (bias * constant if kind == "MUL" else bias + constant).astype(np.float32).reshape(-1)
        if kind == "MUL":
            scale = constant.reshape(-1, 1) if variable == "depthwise_kernel" else constant.reshape(-1)
            weights[f"{prefix}/{variable}"] = weights[f"{prefix}/{variable}"] * scale
        return True


def _name(tensor: Any, number: int) -> str:
    name = tensor.name.decode() if isinstance(tensor.name, bytes) else tensor.name
    return name or f"tensor_{number}"
