"""The error for a model that a device program cannot express."""

from __future__ import annotations

from reds_jax.errors import TraceError
from reds_jax.program.flat import Operation

HINT = ("A device runs dense, convolution (also depthwise, grouped, dilated), batch norm, relu, relu6, leaky relu, other "
        "functions of single entries (sigmoid, tanh, swish, GELU, ELU, ...), max and average pooling, mean over positions, "
        "residual add, products of two arrays or of an array and a gate of one position or one channel, concatenation of "
        "channels, zeros around an image, channel shuffle, nearest resizing by whole numbers, flatten, and softmax or argmax "
        "at the end, on images and on sequences [N, T, C].")


def refusal(op: Operation, why: str) -> TraceError:
    """The error for an operation that a device program cannot express."""
    shapes = ", ".join(str(list(x.shape)) for x in op.inputs)
    return TraceError(f"a device program cannot run {op.primitive.name!r} of shapes {shapes} in module "
                      f"{op.module or '(top)'!r} ({op.line}): it {why}", hint=HINT)


def name_of(op: Operation, fallback: str = "") -> str:
    """The module of an operation without the outermost class."""
    return op.module.split("/", 1)[1] if "/" in op.module else fallback or op.primitive.name
