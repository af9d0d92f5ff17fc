"""A function of one number as operations of LiteRT, step by step; GELU and hard swish are one operation there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import numpy as np

from reds_jax.deploy.lowering.function import BOOLEAN, Function, function_like
from reds_jax.deploy.phone.litert_file import Subgraph

_STEPS = {"add": "ADD", "sub": "SUB", "mul": "MUL", "div": "DIV", "max": "MAXIMUM", "min": "MINIMUM", "neg": "NEG",
          "abs": "ABS", "exp": "EXP", "log": "LOG", "sqrt": "SQRT", "tanh": "TANH", "logistic": "LOGISTIC", "gt": "GREATER",
          "ge": "GREATER_EQUAL", "lt": "LESS", "le": "LESS_EQUAL", "eq": "EQUAL", "ne": "NOT_EQUAL", "select": "SELECT_V2"}
ERFC = (0.282086418, 0.282375309, 0.24310376, 0.202686881, -0.0266256962, 0.27806721, -0.487199948, 0.284574991, -0.0590689665)
"""p_1, p_2, ... of ``erfc(x) = (p_1 t + p_2 t^2 + ...) exp(-x^2)``, t = 2 / (2 + x), x >= 0, as in reds_f32_functions.h."""


def written(function: Function, x: int, graph: Subgraph) -> int:
    """The number of the result; ``x`` is the number of the argument."""
    shape = graph.shapes[x]
    if (whole := _whole().get(function)) is not None:
        name, options = whole
        return graph.step(name, [x], shape, **options)

    def number(value: float) -> int:
        return graph.constant(np.full(1, value, np.float32))[0]

    def step(name: str, *arguments: int) -> int:
        return graph.step(_STEPS[name], arguments, shape, kind="BOOL" if name in BOOLEAN else "FLOAT32")

    def erfc(a: int) -> int:
        size = step("abs", a)
        t = step("div", number(2), step("add", number(2), size))
        p = number(0)
        for coefficient in reversed(ERFC):
            p = step("mul", t, step("add", number(coefficient), p)) if p != number(0) else step("mul", t, number(coefficient))
        tail = step("mul", p, step("exp", step("neg", step("mul", a, a))))
        return step("select", step("lt", a, number(0)), step("sub", number(2), tail), tail)

    known: dict[str, Callable[..., int]] = {name: lambda *a, name=name: step(name, *a) for name in _STEPS}
    known |= {
        "expm1": lambda a: step("sub", step("exp", a), number(1)),
        "log1p": lambda a: step("log", step("add", number(1), a)),
        "erfc": erfc, "erf": lambda a: step("sub", number(1), erfc(a)),
    }
    return function.evaluate(x, known, number)


@cache
def _whole() -> dict[Function, tuple[str, dict[str, Any]]]:
    """Functions of JAX that LiteRT has as they are."""
    return {
        function_like(partial(jax.nn.gelu, approximate=False)): ("GELU", {"approximate": False}),
        function_like(partial(jax.nn.gelu, approximate=True)): ("GELU", {"approximate": True}),
        function_like(jax.nn.hard_swish): ("HARD_SWISH", {}),
    }
