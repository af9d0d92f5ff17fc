"""Every kernel of the C runtime against the formulas of reds_kernels.h (check_kernels.c), by the compilers of this machine."""

import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

KERNELS = Path(__file__).parent / "check_kernels.c"


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("flags", [["-O0"], ["-O3"], ["-O1", "-DREDS_HALVES"],
                                   ["-O1", "-g", "-DCHECK_EDGES", "-fsanitize=address,undefined", "-fno-sanitize-recover"]])
def test_every_kernel_agrees_with_the_formulas_on_this_machine(tmp_path, cc, flags):
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    runtime = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
    command = [cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", *flags, f"-I{runtime}", str(KERNELS),
               str(runtime / "reds_s8.c"), str(runtime / "reds_f32.c"), "-o", str(tmp_path / "check")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "sanitize" in " ".join(flags) and "cannot find" in built.stderr:
        pytest.skip(f"{cc} has no sanitizers here (Debian: libclang-rt-14-dev)")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(tmp_path / "check")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr
