"""Constants as C text: numbers, arrays, and the two tables beside the model, of recorded examples and of pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reds_jax.errors import InvalidArgumentError


def lines(entries: Sequence[str], *, per_line: int) -> str:
    """Entries of an array, a few a line."""
    return ",\n".join("    " + ", ".join(entries[i : i + per_line]) for i in range(0, len(entries), per_line))


def array(kind: str, name: str, entries: Sequence[str], *, per_line: int, place: str = "") -> str:
    """A constant array of C; ``place`` is the attribute that says where it lies."""
    return f"{place}static const {kind} {name}[{len(entries)}] = {{\n{lines(entries, per_line=per_line)}\n}};\n"


def real(x: float | np.floating) -> str:
    """A float32 constant that reads back as the same number; C has no constant for what is not finite."""
    if not np.isfinite(np.float32(x)):
        raise InvalidArgumentError("a number of the network, or of its inputs and answers, is not finite", got=float(x),
                                   hint="Check the parameters, the batch statistics and the examples for NaN and infinity.")
    text = f"{np.float32(x):.9g}"
    return (text if any(c in text for c in ".e") else text + ".0") + "f"


def examples(inputs: np.ndarray, answers: Sequence[np.ndarray], name: str) -> str:
    """A header with a few inputs and what every subnetwork answers to them."""
    kind, write, per_line = ("int8_t", str, 24) if inputs.dtype == np.int8 else ("float", real, 8)
    x = [write(v) for v in inputs.reshape(-1)]
    y = [write(v) for a in answers for v in np.asarray(a).reshape(-1)]
    upper = name.upper()
    return (f"/* Inputs, and the answers of every subnetwork to them as they were computed in Python. */\n"
            f"#ifndef {upper}_EXAMPLES_H\n#define {upper}_EXAMPLES_H\n#include <stdint.h>\n\n"
            f"#define {upper}_EXAMPLES {len(inputs)}u\n\n"
            f"/* [example][item] */\n{array(kind, f'{name}_example_inputs', x, per_line=per_line)}\n"
            f"/* [subnetwork][example][output] */\n{array(kind, f'{name}_example_outputs', y, per_line=per_line)}\n#endif\n")


def pixel_table(values: np.ndarray, place: str) -> str:
    """What every 8-bit pixel becomes, [channels, 256]."""
    write, per_line = (str, 32) if values.dtype == np.int8 else (real, 8)
    rows = ",\n".join(f"    {{\n{lines([write(v) for v in row], per_line=per_line)}\n    }}" for row in values)
    kind = "int8_t" if values.dtype == np.int8 else "float"
    return f"{place}static const {kind} of_pixel[{len(values)}][256] = {{\n{rows}\n}};\n"
