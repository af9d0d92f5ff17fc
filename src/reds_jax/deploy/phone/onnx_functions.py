"""A function of one number as nodes of ONNX, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reds_jax.deploy.lowering.function import Function

_NODES = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "max": "Max", "min": "Min", "neg": "Neg", "abs": "Abs",
          "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh", "logistic": "Sigmoid", "erf": "Erf", "gt": "Greater",
          "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual", "eq": "Equal", "select": "Where"}


def written(function: Function, x: str, node: Callable[..., str], constant: Callable[[Any], str]) -> str:
    """The name of the result.

    Args:
        x: the name of the argument.
        node: adds a node of a kind, with inputs, and returns the name of its output.
        constant: the name of a constant.
    """
    def one() -> str:
        return constant(np.float32(1))

    known: dict[str, Callable[..., str]] = {name: lambda *a, kind=kind: node(kind, a) for name, kind in _NODES.items()}
    known |= {
        "expm1": lambda a: node("Sub", [node("Exp", [a]), one()]),
        "log1p": lambda a: node("Log", [node("Add", [one(), a])]),
        "erfc": lambda a: node("Sub", [one(), node("Erf", [a])]),
        "ne": lambda a, b: node("Not", [node("Equal", [a, b])]),
    }
    return function.evaluate(x, known, lambda value: constant(np.float32(value)))
