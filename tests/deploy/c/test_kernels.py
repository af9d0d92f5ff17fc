"""Every kernel of the C runtime against the formulas of reds_kernels.h (check_kernels.c), by the compilers of this machine."""

import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

KERNELS = Path(__file__).parent / "check_kernels.c"


EDGES = ["-O1", "-g", "-DCASES=1500", "-DCHECK_EDGES", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
CORTEX_M4 = f'-DREDS_SIMD32_MODEL="{KERNELS.parent / "simd32_model.h"}"'  # its bodies, with its instructions as C functions


FLAGS = {"O0": ["-O0"], "O3": ["-O3"], "halves": ["-O1", "-DREDS_HALVES"], "edges": EDGES,
         "cortex-m4-edges": [*EDGES, CORTEX_M4]}
FAST = ("edges", "cortex-m4-edges")  # with gcc; the others take a minute together


@pytest.mark.parametrize(("cc", "flags"), [
    pytest.param(cc, flags, id=f"{cc}-{name}", marks=[] if cc == "gcc" and name in FAST else [pytest.mark.slow])
    for cc in ("gcc", "clang") for name, flags in FLAGS.items()])
def test_every_kernel_agrees_with_the_formulas_on_this_machine(tmp_path, cc, flags):
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    runtime = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
    if CORTEX_M4 in flags and sys.byteorder != "little":
        pytest.skip("the instructions take words of bytes apart from the lowest")
    command = [cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", *flags, f"-I{runtime}", str(KERNELS),
               str(runtime / "reds_s8.c"), str(runtime / "reds_f32.c"), "-o", str(tmp_path / "check")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "sanitize" in " ".join(flags) and "cannot find" in built.stderr:
        pytest.skip(f"{cc} has no sanitizers here (Debian: libclang-rt-14-dev)")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(tmp_path / "check")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr
