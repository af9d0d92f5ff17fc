"""What an operation needs for itself: Python plans with the numbers that the kernels take from the macros of reds_kernels.h."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from reds_jax.deploy.c.export import scratch_bytes
from reds_jax.deploy.lowering.program import Operation, Program, Tensor, Window

RUNTIME = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))


def layer(kind: str, inputs: tuple[int, ...], kernel: tuple[int, int], strides: tuple[int, int], out: tuple[int, int]) -> Program:
    """One layer that sees an image without padding, with one subnetwork for every number of inputs."""
    size = [(n - 1) * s + k for n, s, k in zip(out, strides, kernel, strict=True)]
    tensors = (Tensor(inputs, *size), Tensor(inputs, *out))
    return Program(tensors, (Operation(kind, kind, (0,), 1, Window(kernel, strides)),), 1, (1,) * len(inputs))  # type: ignore[arg-type]


def drawn(n: int) -> list[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
    """Windows, strides and sizes of outputs; every fourth window is 1x1, every fourth image is large."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(n):
        kernel = (1, 1) if i % 4 == 0 else tuple(rng.integers(1, 9, 2).tolist())
        found.append((kernel, tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(1, 100 if i % 4 == 1 else 20, 2).tolist())))
    return found


def macros(kind: str, dtype: str, inputs: int, kernel: tuple[int, int], strides: tuple[int, int], out: tuple[int, int]) -> str:
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
def test_python_and_c_agree_on_the_scratch(kind: str, compiler, tmp_path) -> None:
    """Each comparison is a type with as many entries as 1 or -1, which the compiler checks."""
    lines = ['#include "reds_kernels.h"']
    for i, shape in enumerate(drawn(100)):
        inputs = (1 + i % 7, 8 + i)
        for dtype, itemsize in (("int8", 2), ("float32", 4)):
            for k, n in enumerate(inputs):
                wanted = scratch_bytes(layer(kind, inputs, *shape), k, dtype)[0]  # type: ignore[arg-type]
                lines.append(f"typedef char {dtype}_{i}_{k}[{macros(kind, dtype, n, *shape)} * {itemsize}u == {wanted}u ? 1 : -1];")
    (tmp_path / "sizes.c").write_text("\n".join([*lines, ""]), encoding="utf-8")
    compiler.run("gcc", "-std=c99", f"-I{RUNTIME}", "-fsyntax-only", str(tmp_path / "sizes.c"))


def test_a_depthwise_layer_holds_a_whole_channel_only_where_it_is_small() -> None:
    """At most 1 kB, or kernel_h rows, however high the image is; and the scratch of a small channel is that of all its rows."""
    def entries(height: int, width: int) -> int:
        return scratch_bytes(layer("depthwise", (1,), (3, 3), (1, 1), (height, width)), 0, "int8")[0] // 2

    assert entries(25, 5) == 27 * 8 + 3 * 4
    assert entries(1000, 5) == entries(62, 5) == 512 + 12
    assert entries(1000, 600) == 3 * 604 + 12
