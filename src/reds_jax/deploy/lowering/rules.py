"""How each primitive of a model becomes a part of a device program."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.array_rules import Arrays
from reds_jax.deploy.lowering.elementwise_rules import Elementwise
from reds_jax.deploy.lowering.forms import Affine, Form, Part, Repeated, Writer
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.layer_rules import Layers
from reds_jax.deploy.lowering.product_rules import Products, repeats
from reds_jax.deploy.lowering.refusal import refusal
from reds_jax.program.flat import Operation

_PASSED = {"copy", "copy_p", "stop_gradient", "convert_element_type", "optimization_barrier"}
_VIEWS: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "reshape": lambda index, p: index.reshape(p["new_sizes"]),
    "transpose": lambda index, p: index.transpose(p["permutation"]),
    "squeeze": lambda index, p: np.squeeze(index, p["dimensions"]),
    "expand_dims": lambda index, p: np.expand_dims(index, p["dimensions"]),
    "broadcast_in_dim": lambda index, p: _broadcast(index, p["shape"], p["broadcast_dimensions"]),
}


class Rules:
    """The rules for everything that a device runs; reshapes and transposes only move an index."""

    def __init__(self, writer: Writer, kept: Kept) -> None:
        self._elementwise = Elementwise(writer).rules
        self._products = Products(writer, self._elementwise)
        self._rules = (self._elementwise | Layers(writer, kept).rules | Arrays(writer, kept).rules
                       | {"gather": self._products.gather})

    def apply(self, op: Operation, inputs: list[Form]) -> Form:
        name = op.primitive.name
        if name in _VIEWS:
            return self._view(op, inputs[0])
        if name in self._elementwise:
            inputs = [self._products.broadcast(op, x) for x in inputs]
            if name in ("mul", "sub") and all(isinstance(x, Affine | Repeated) for x in inputs):
                a, b = inputs
                return getattr(self._products, name)(op, a, b)
        if name != "gather":
            inputs = [self.resized(x) for x in inputs]
        return self.elementwise(op, inputs) if name in _PASSED else self._apply(op, inputs, self._rules)

    def resized(self, form: Form) -> Form:
        """The form, or if it repeats entries, that of an array in which they are repeated."""
        return self._products.resized(form)

    def elementwise(self, op: Operation, inputs: list[Form]) -> Form:
        """An operation on every entry as a scale, an offset or an activation of the operation before it; else a refusal."""
        if op.primitive.name not in _PASSED:
            return self._apply(op, inputs, self._elementwise)
        if isinstance(inputs[0], Affine) and op.outputs[0].dtype.kind in "biu":
            raise refusal(op, "makes integers")
        return inputs[0]

    @staticmethod
    def _apply(op: Operation, inputs: list[Form], rules: dict[str, Callable[[Operation, list[Form]], Form | None]]) -> Form:
        rule = rules.get(op.primitive.name)
        result = rule(op, inputs) if rule else None
        if result is None:
            raise refusal(op, "is not among the operations of a device, or is used in an unusual way")
        return result

    def _view(self, op: Operation, form: Form) -> Form:
        if isinstance(form, Part):
            return form
        if isinstance(form, Repeated) and op.primitive.name != "broadcast_in_dim" and repeats(form) is not None:
            form = self.resized(form)  # what is turned or flattened now is an image
        assert isinstance(form, Affine | Repeated)
        index = _VIEWS[op.primitive.name](form.index, op.params)
        if math.prod(index.shape) == form.index.size:
            return replace(form, index=index)
        return Repeated(form.form if isinstance(form, Repeated) else form, index, op)


def _broadcast(index: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]) -> np.ndarray:
    sizes = [1] * len(shape)
    for axis, n in zip(axes, index.shape, strict=True):
        sizes[axis] = n
    return np.broadcast_to(index.reshape(sizes), shape)
