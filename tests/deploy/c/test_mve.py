"""The Helium kernels on an emulated Cortex-M55: check_kernels.c, and exported networks bit for bit.

The count of instructions is exact to 4 (m55.c), repeatable, and no count of cycles.
"""

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from bodies import Body, Conv, residual_around_the_image

from reds_jax import models
from reds_jax.deploy import export
from reds_jax.deploy.board import device
from reds_jax.graph.trace import trace
from reds_jax.testing import random_variables

GCC, QEMU = "arm-none-eabi-gcc", "qemu-system-arm"
pytestmark = pytest.mark.skipif(
    not shutil.which(GCC) or not shutil.which(QEMU),
    reason="qemu-system-arm and arm-none-eabi-gcc are not installed (Debian packages qemu-system-arm, gcc-arm-none-eabi)")
HERE = Path(__file__).parent
RUNTIME = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
BOARD = Path(str(resources.files("reds_jax.deploy.board") / "qemu"))
CORE = ["-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-std=c99", "-ffreestanding", "-Wall", "-Wextra", "-Wconversion",
        "-pedantic", "-Werror", "-ffunction-sections", "-fdata-sections"]

def compiled(sources, folder, *flags, cc=GCC):
    """Objects of C files."""
    command = [*([cc, "--target=arm-none-eabi"] if cc == "clang" else [cc]), *CORE, *flags, f"-I{BOARD}", "-c"]
    objects = [folder / f"{source.stem}.o" for source in sources]
    for source, to in zip(sources, objects, strict=True):
        built = subprocess.run([*command, str(source), "-o", str(to)], capture_output=True, text=True, check=False)
        assert built.returncode == 0, built.stderr
    return objects


def run(objects, folder, *flags):
    """The status of a program and what it printed; the flags are those of m55.c."""
    image = folder / "image.elf"
    board = compiled([HERE / "m55.c"], folder, *flags)
    linked = subprocess.run([GCC, "-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard", "-nostartfiles", "-Wl,--gc-sections",
                             f"-Wl,-T,{HERE / 'm55.ld'}", *map(str, [*objects, *board]), "-lc", "-lgcc", "-o", str(image)],
                            capture_output=True, text=True, check=False)
    assert linked.returncode == 0, linked.stderr
    done = subprocess.run([QEMU, "-M", "mps3-an547", "-nographic", "-semihosting-config", "enable=on,target=native",
                           "-icount", "shift=3,align=off,sleep=off", "-kernel", str(image)],
                          capture_output=True, text=True, check=False, timeout=300, stdin=subprocess.DEVNULL)
    return done.returncode, done.stderr.strip()


def check(folder, cases, cc, *flags):
    """What check_kernels.c says of so many layers of every kind."""
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    sources = [HERE / "check_kernels.c", RUNTIME / "reds_s8.c", RUNTIME / "reds_f32.c"]
    return run(compiled(sources, folder, *flags, f"-DCASES={cases}", f"-I{RUNTIME}", cc=cc), folder, *flags)


def test_every_kernel_agrees_with_the_formulas(tmp_path):
    assert check(tmp_path, 500, GCC, "-O2") == (0, "ok")


def test_every_kernel_stays_inside_its_arrays(tmp_path):
    assert check(tmp_path, 60, GCC, "-O2", "-DCHECK_EDGES") == (0, "ok")


@pytest.mark.slow
@pytest.mark.parametrize(("cc", "optimisation"), [(GCC, "-O1"), (GCC, "-O3"), (GCC, "-Os"), ("clang", "-O2"), ("clang", "-Os")])
def test_every_compiler_makes_the_same_of_the_kernels(tmp_path, cc, optimisation):
    assert check(tmp_path, 400, cc, optimisation, "-DCHECK_EDGES") == (0, "ok")


def test_the_memory_protection_sees_a_single_byte_beside_an_array(tmp_path):
    """What the test above relies on."""
    main = tmp_path / "main.c"
    for at, status in ((0, 0), (31, 0), (32, 99), (-1, 99)):
        main.write_text(f"""#include <stdint.h>
            __attribute__((section(".edge1"), aligned(32))) static volatile int8_t bytes[32];
            int main(void) {{ const volatile int8_t *const start = bytes; return start[{at}] == 77 ? 1 : 0; }}""",
                        encoding="utf-8")
        assert run(compiled([main], tmp_path, "-O1"), tmp_path, "-O2", "-DCHECK_EDGES")[0] == status


def counts(folder, model, shape, fractions=(0.25, 1.0)):
    """Export a network, compare its recorded answers on the processor, and return the instructions of every subnetwork."""
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    export(model, variables, graph, [graph.widths(f) for f in fractions], folder, "int8", calibration=[x], rule="minmax")
    return [subnetwork.invoke for subnetwork in device.run(folder, "m55").subnetworks]


def large_image(x):
    """A convolution whose inputs lie further apart than 16 bits can say."""
    return Conv(2, strides=(12, 12), name="second")(Conv(8, name="first")(x))


@pytest.mark.parametrize(("body", "shape"), [(residual_around_the_image, (9, 7, 3)), (large_image, (102, 102, 1))])
def test_an_exported_network_gives_the_recorded_answers(tmp_path, body, shape):
    assert len(counts(tmp_path / "exported", Body(body), shape)) == 2


def test_a_prefix_needs_fewer_instructions_than_dense_layers_in_cmsis_nn(tmp_path):
    """CMSIS-NN with its Helium kernels, on dense tensors of 16 and of 64 channels: 637,000 and 1,875,000."""
    small, full = counts(tmp_path / "ds_cnn", models.build("ds_cnn_s", {}), (49, 10, 1))
    assert small < 637_000 / 2.5
    assert full < 1_875_000 / 1.9
