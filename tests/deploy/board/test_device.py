"""On emulated Cortex-M processors: right answers, and instruction counts, which are exact and therefore tests.

The counts are those that a first prototype and CMSIS-NN needed (CMSIS-NN on dense tensors of the subnetwork's width); they
hold for gcc 12 at -O2, with which they were taken, and newer.
"""

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from reds_jax import models
from reds_jax.deploy import export
from reds_jax.deploy.board import device
from reds_jax.errors import InvalidArgumentError, RedsError
from reds_jax.graph.trace import trace
from reds_jax.testing import random_variables

needs_tools = pytest.mark.skipif(
    not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
    reason="qemu-system-arm and arm-none-eabi-gcc are not installed (Debian packages qemu-system-arm, gcc-arm-none-eabi)")
KERNELS = Path(__file__).parents[1] / "c" / "check_kernels.c"


def exported(folder, model, shape, dtype, fractions=(0.25, 0.5, 0.75, 1.0)):
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    return export(model, variables, graph, [graph.widths(f) for f in fractions], folder, dtype, calibration=[x],
                  rule="minmax").folder


@pytest.fixture(scope="module")
def mlp(tmp_path_factory):
    """The network 250-128-128-12, in both number formats."""
    model = models.DNN(12, (128, 128))
    return {dtype: exported(tmp_path_factory.mktemp(dtype) / "mlp", model, (250,), dtype) for dtype in ("int8", "float32")}


@needs_tools
@pytest.mark.parametrize(("dtype", "board", "limits"), [
    ("int8", "m4", (22_674, 49_340, 80_478, 116_097)), ("float32", "m4", (26_759, 58_919, 96_711, 140_135)),
    ("int8", "m0", (71_646, 150_000, 250_000, 369_728)),
])
def test_dense_layers_need_fewer_instructions_than_the_prototype(mlp, dtype, board, limits):
    run = device.run(mlp[dtype], board)
    assert [s.macs for s in run.subnetworks] == [9408, 20864, 34368, 49920]
    assert all(s.invoke <= limit for s, limit in zip(run.subnetworks, limits, strict=True))
    assert not run.left_out


@needs_tools
def test_an_adaptation_is_a_handful_of_instructions(mlp):
    for board, by_index, by_budget in (("m4", 14, 25), ("m0", 23, 32)):
        run = device.run(mlp["int8"], board)
        assert all(0 < s.adapt <= by_index and 0 < s.adapt_to_budget <= by_budget for s in run.subnetworks)


@needs_tools
def test_convolutions_of_a_prefix_need_fewer_instructions_than_dense_ones_in_cmsis_nn(tmp_path):
    folder = exported(tmp_path / "ds_cnn", models.build("ds_cnn_s", {}), (49, 10, 1), "int8", (0.25, 1.0))
    small, full = device.run(folder, "m4").subnetworks
    assert small.invoke < 1_550_000 / 2.4
    assert full.invoke < 7_640_000 / 2.1
    assert full.invoke < 1.4 * full.macs


@needs_tools
@pytest.mark.slow
def test_a_residual_network_needs_fewer_instructions_than_its_convolutions_alone_in_cmsis_nn(tmp_path):
    """3x3 convolutions, whose columns have to be gathered; the first one from an image [H, W, 3]."""
    folder = exported(tmp_path / "resnet8", models.build("resnet8", {}), (32, 32, 3), "int8", (0.25, 1.0))
    small, full = device.run(folder, "m4").subnetworks
    assert small.invoke < 4_640_000 / 2.6
    assert full.invoke < 27_500_000 / 1.9


@needs_tools
def test_what_does_not_fit_the_board_is_left_out_or_refused(tmp_path):
    folder = exported(tmp_path / "ds_cnn", models.build("ds_cnn_s", {}), (49, 10, 1), "int8", (0.5, 1.0))
    run = device.run(folder, "m0")  # 16 kB of RAM
    assert len(run.subnetworks) == 1
    assert "RAM" in run.left_out
    assert run.ram <= 16 * 1024
    assert device.run(folder, "m4").ram > 16 * 1024
    large = exported(tmp_path / "mlp", models.DNN(12, (300, 300)), (250,), "float32", (1.0,))  # 650 kB of weights
    with pytest.raises(device.DoesNotFitError, match="FLASH"):
        device.run(large, "m0")


@needs_tools
def test_counts_are_repeatable_and_sections_are_read(mlp):
    first, again = device.run(mlp["int8"], "m4"), device.run(mlp["int8"], "m4")
    assert first == again
    assert 49_920 < first.sections["rodata"] < 70_000  # the weights, tables and examples
    assert 500 < first.sections["text"] < 8_000
    assert first.flash == first.sections["text"] + first.sections["rodata"] + first.sections["data"]


@needs_tools
def test_a_wrong_answer_is_an_error(mlp, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(mlp["int8"], broken)
    header = broken / "examples" / "reds_examples.h"
    before, after = header.read_text().split("reds_example_outputs", 1)
    first = after.index("{") + 1
    end = after.index(",", first)
    value = int(after[first:end])
    header.write_text(before + "reds_example_outputs" + after[:first] + f"\n{value - 1 if value > -128 else 0}" + after[end:])
    with pytest.raises(RedsError, match="1 values differ"):
        device.run(broken, "m4")


@needs_tools
@pytest.mark.parametrize(("board", "defines"), [("m4", ("-DCASES=300",)), ("m0", ("-DCASES=30", "-DCAPACITY=600"))])
def test_every_kernel_agrees_with_the_formulas(tmp_path, board, defines):
    """The check of the kernels, as a bare program on the board."""
    runtime = resources.files("reds_jax.deploy.c") / "runtime"
    kernels = shutil.copytree(str(runtime), tmp_path / "kernels" / "src").parent
    shutil.copytree(str(runtime), kernels / "include")
    (tmp_path / "main.c").write_text(KERNELS.read_text())
    assert device.execute(kernels, tmp_path, board, *defines).strip() == "ok"


def test_mistakes_are_named(tmp_path):
    with pytest.raises(InvalidArgumentError, match="m3, m4, m7"):
        device.run(tmp_path, "m1")
    with pytest.raises(InvalidArgumentError, match="no exported network"):
        device.run(tmp_path, "m4")
