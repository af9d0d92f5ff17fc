"""How each primitive of a model becomes a part of a device program."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.array_rules import Arrays
from reds_jax.deploy.lowering.elementwise_rules import Elementwise
from reds_jax.deploy.lowering.forms import Affine, Form, Part, Writer
from reds_jax.deploy.lowering.kept import Kept
from reds_jax.deploy.lowering.layer_rules import Layers
from reds_jax.deploy.lowering.refusal import refusal
from reds_jax.program.flat import Operation

_PASSED = {"copy", "copy_p", "stop_gradient", "convert_element_type", "optimization_barrier"}
_VIEWS: dict[str, Callable[[np.ndarray, dict[str, Any]], np.ndarray]] = {
    "reshape": lambda index, p: index.reshape(p["new_sizes"]),
    "transpose": lambda index, p: index.transpose(p["permutation"]),
    "squeeze": lambda index, p: np.squeeze(index, p["dimensions"]),
    "expand_dims": lambda index, p: np.expand_dims(index, p["dimensions"]),
    "broadcast_in_dim": lambda index, p: index.reshape(p["shape"]),
}


class Rules:
    """The rules for everything that a device runs; reshapes and transposes only move an index."""

    def __init__(self, writer: Writer, kept: Kept) -> None:
        self._rules = Elementwise(writer).rules | Layers(writer, kept).rules | Arrays(writer, kept).rules

    def apply(self, op: Operation, inputs: list[Form]) -> Form:
        name = op.primitive.name
        if name in _PASSED:
            if isinstance(inputs[0], Affine) and op.outputs[0].dtype.kind in "biu":
                raise refusal(op, "makes integers")
            return inputs[0]
        if name in _VIEWS:
            return self._view(op, inputs[0])
        rule = self._rules.get(name)
        result = rule(op, inputs) if rule else None
        if result is None:
            raise refusal(op, "is not among the operations of a device, or is used in an unusual way")
        return result

    def _view(self, op: Operation, form: Form) -> Form:
        if isinstance(form, Part):
            return form
        assert isinstance(form, Affine)
        if math.prod(op.outputs[0].shape) != form.index.size:
            raise refusal(op, "repeats an activation")
        return replace(form, index=_VIEWS[op.primitive.name](form.index, op.params))
