"""What an operation needs for itself: Python plans with the numbers that the kernels take from the macros of reds_kernels.h."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from reds_jax.deploy.c.export import scratch_bytes
from reds_jax.deploy.c.exported import Dtype
from reds_jax.deploy.lowering.program import Kind, Operation, Program, Tensor, Window

RUNTIME = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
Pair = tuple[int, int]


def layer(kind: Kind, inputs: tuple[int, ...], kernel: Pair, strides: Pair, out: Pair) -> Program:
    """One layer that sees an image without padding, with one subnetwork for every number of inputs."""
    height, width = ((n - 1) * s + k for n, s, k in zip(out, strides, kernel, strict=True))
    tensors = (Tensor(inputs, height, width), Tensor(inputs, *out))
    return Program(tensors, (Operation(kind, kind, (0,), 1, Window(kernel, strides)),), 1, (1,) * len(inputs))


def drawn(n: int) -> list[tuple[Pair, Pair, Pair]]:
    """Windows, strides and sizes of outputs; every fourth window is 1x1, every fourth image is large."""
    rng = np.random.default_rng(0)

    def pair(end: int) -> Pair:
        first, second = rng.integers(1, end, 2).tolist()
        return first, second

    return [((1, 1) if i % 4 == 0 else pair(9), pair(4), pair(100 if i % 4 == 1 else 20)) for i in range(n)]


def macro(kind: Kind, dtype: str, inputs: int, kernel: Pair, strides: Pair, out: Pair) -> str:
    (kernel_h, kernel_w), (stride_h, stride_w), (out_h, out_w) = kernel, strides, out
    if dtype == "float32":
        return (f"REDS_F32_CONV_SCRATCH({inputs * kernel_h * kernel_w}u)" if kind == "conv" else
                f"REDS_F32_DEPTHWISE_SCRATCH({kernel_h}u, {kernel_w}u, {stride_w}u, {out_w}u)")
    window = f"{kernel_h}u, {kernel_w}u, {stride_h}u, {stride_w}u, {out_h}u, {out_w}u"
    plain, helium = ((f"REDS_S8_CONV_SCRATCH({inputs}u, {kernel_h}u, {kernel_w}u, {stride_w}u, {out_w}u)",
                      f"REDS_S8_MVE_CONV_SCRATCH({inputs * kernel_h * kernel_w}u, {inputs}u)") if kind == "conv" else
                     (f"REDS_S8_DEPTHWISE_SCRATCH({window})", f"REDS_S8_MVE_DEPTHWISE_SCRATCH({window})"))
    return f"({plain} > {helium} ? {plain} : {helium})"


@pytest.mark.parametrize("kind", ["conv", "depthwise"])
def test_python_and_c_agree_on_the_scratch(kind: Kind, compiler, tmp_path) -> None:
    """Each comparison is a type with as many entries as 1 or -1, which the compiler checks."""
    sizes: dict[Dtype, int] = {"int8": 2, "float32": 4}
    lines = ['#include "reds_kernels.h"']
    for i, shape in enumerate(drawn(100)):
        inputs = (1 + i % 7, 8 + i)
        for dtype, itemsize in sizes.items():
            for k, n in enumerate(inputs):
                wanted = scratch_bytes(layer(kind, inputs, *shape), k, dtype)[0]
                found = f"{macro(kind, dtype, n, *shape)} * {itemsize}u"
                lines.append(f"typedef char {dtype}_{i}_{k}[{found} == {wanted}u ? 1 : -1];")
    (tmp_path / "sizes.c").write_text("\n".join([*lines, ""]), encoding="utf-8")
    compiler.run("gcc", "-std=c99", f"-I{RUNTIME}", "-fsyntax-only", str(tmp_path / "sizes.c"))


def test_a_depthwise_layer_holds_a_whole_channel_only_where_it_is_small() -> None:
    """At most 1 kB, or kernel_h rows, however high the image is; and the scratch of a small channel is that of all its rows."""
    def entries(height: int, width: int) -> int:
        return scratch_bytes(layer("depthwise", (1,), (3, 3), (1, 1), (height, width)), 0, "int8")[0] // 2

    assert entries(25, 5) == 27 * 8 + 3 * 4
    assert entries(1000, 5) == entries(62, 5) == 512 + 12
    assert entries(1000, 600) == 3 * 604 + 12
