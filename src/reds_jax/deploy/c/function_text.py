"""A function of one number as C text: a step a line, in float32, of what reds_f32_functions.h has."""

from __future__ import annotations

from reds_jax.deploy.c.constants import real
from reds_jax.deploy.lowering.function import BOOLEAN, Function

_TEXT = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}", "select": "{} ? {} : {}",
    "gt": "{} > {}", "ge": "{} >= {}", "lt": "{} < {}", "le": "{} <= {}", "eq": "{} == {}", "ne": "{} != {}",
    **{name: f"reds_f32_{name}({{}}, {{}})" for name in ("max", "min")},
    **{name: f"reds_f32_{name}({{}})" for name in ("abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "logistic", "erf",
                                                   "erfc")},
}


def function_text(function: Function, name: str) -> str:
    """The definition of a C function of that name."""
    values, lines = ["x"], []
    for i, step in enumerate(function.steps, 1):
        if step.name == "constant":
            values.append(real(step.value))
            continue
        values.append(f"v{i}")
        kind = "int" if step.name in BOOLEAN else "float"
        lines.append(f"    const {kind} v{i} = {_TEXT[step.name].format(*(values[a] for a in step.arguments))};\n")
    return f"static float {name}(float x) {{\n{''.join(lines)}    return {values[function.result]};\n}}\n"
