"""Products, functions and resizing in C against the formulas of reds_kernels.h, and scalar functions against exact values."""

import ctypes
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from bodies import FUNCTIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from reds_jax.deploy.board.host import WARNINGS
from reds_jax.deploy.c.function_text import function_text
from reds_jax.deploy.lowering.function import function_like

CHECK = Path(__file__).parent / "check_elementwise.c"
RUNTIME = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
EXACT = {
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt, "tanh": np.tanh,
    "logistic": special.expit, "erf": special.erf, "erfc": special.erfc, "abs": np.abs,
}
ABSOLUTE = ("erfc",)


@pytest.mark.parametrize("cc", ["gcc", "clang"])
@pytest.mark.parametrize("flags", [["-O3"], ["-O1", "-DREDS_HALVES"],
                                   ["-O1", "-g", "-DCHECK_EDGES", "-fsanitize=address,undefined", "-fno-sanitize-recover"]])
def test_every_kernel_agrees_with_the_formulas_on_this_machine(tmp_path, cc, flags):
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    command = [cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", *flags, f"-I{RUNTIME}", str(CHECK),
               str(RUNTIME / "reds_s8_elementwise.c"), str(RUNTIME / "reds_f32_elementwise.c"), "-o", str(tmp_path / "check")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and "sanitize" in " ".join(flags) and "cannot find" in built.stderr:
        pytest.skip(f"{cc} has no sanitizers here (Debian: libclang-rt-14-dev)")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(tmp_path / "check")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr


@pytest.fixture(scope="module")
def scalar(compiler, tmp_path_factory):
    """``scalar(name)(x)``: a function of reds_f32_functions.h on an array, with undefined behaviour trapped."""
    folder = tmp_path_factory.mktemp("functions")
    text = '#include "reds_f32_functions.h"\n'
    for name in EXACT:
        head = f"void all_{name}(const float *x, float *y, int n)"
        text += f"{head};\n{head} {{\n    for (int k = 0; k < n; k++) y[k] = reds_f32_{name}(x[k]);\n}}\n"
    (folder / "all.c").write_text(text, encoding="utf-8")
    compiler.run("gcc", *WARNINGS, "-O1", "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", "-shared", "-fPIC",
                 f"-I{RUNTIME}", str(folder / "all.c"), "-o", str(folder / "all.so"))
    library = ctypes.CDLL(str(folder / "all.so"))

    def get(name: str):
        def call(x: np.ndarray) -> np.ndarray:
            x, y = np.ascontiguousarray(x, np.float32), np.empty(len(x), np.float32)
            getattr(library, f"all_{name}")(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), len(x))
            return y

        return call

    return get


def floats(n: int, seed: int = 0) -> np.ndarray:
    """Floats of every size and sign, the special ones among them, and many where the functions bend."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2**32, n, dtype=np.uint64).astype(np.uint32).view(np.float32)
    special_ones = np.float32([0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 1e-45, -1e-45, 1.1754944e-38, 3.4028235e38, -3.4e38,
                               87, -87, 87.00001, 88.7228, 88.73, -87.4, -103.9, 0.35, 0.4, -0.4, 0.5, 2**-24])
    near = np.concatenate([rng.uniform(-a, a, n // 4).astype(np.float32) for a in (1, 12, 100)])
    return np.concatenate([special_ones, bits, near, 1 + rng.uniform(-1e-3, 1e-3, n // 8).astype(np.float32)])


@pytest.mark.parametrize("name", EXACT)
def test_scalar_functions_are_exact_to_1e_6(scalar, name):
    x = floats(400_000)
    with np.errstate(all="ignore"):
        exact = EXACT[name](x.astype(np.float64))
        rounded = exact.astype(np.float32)  # what is too large for a float is infinite
    y = scalar(name)(x)
    np.testing.assert_array_equal(np.isnan(y), np.isnan(rounded))
    near_overflow = np.abs(exact) > 3.4e38
    infinite = ~np.isfinite(rounded) & ~np.isnan(rounded) & ~near_overflow | np.isinf(exact)
    np.testing.assert_array_equal(y[infinite], rounded[infinite])
    finite = np.isfinite(exact) & ~near_overflow
    error = np.abs(y[finite].astype(np.float64) - exact[finite])
    bound = 1e-6 * (np.ones_like(error) if name in ABSOLUTE else np.abs(exact[finite])) + 1.2e-38
    worst = int(np.argmax(error / bound))
    assert error[worst] <= bound[worst], (name, x[finite][worst], y[finite][worst])


def test_functions_of_every_kind_of_step(compiler, tmp_path):
    """As an export writes them, in C, against JAX."""
    x = np.concatenate([np.linspace(-12, 12, 193), [-1, 2, 1e-4, -1e-4, 40, -40]]).astype(np.float32)
    text = ['#include "reds_f32_functions.h"\n#include "reds_kernels.h"\n']
    for name, of in FUNCTIONS.items():
        head = f"void all_{name}(const float *x, float *y, uint32_t n)"
        text.append(f"{function_text(function_like(of), f'f_{name}')}{head};\n{head} {{ reds_f32_map(f_{name}, x, y, n); }}\n")
    (tmp_path / "all.c").write_text("".join(text), encoding="utf-8")
    compiler.run("gcc", *WARNINGS, "-O1", "-shared", "-fPIC", f"-I{RUNTIME}", str(tmp_path / "all.c"),
                 str(RUNTIME / "reds_f32_elementwise.c"), "-o", str(tmp_path / "all.so"))
    library = ctypes.CDLL(str(tmp_path / "all.so"))
    for name, of in FUNCTIONS.items():
        y = np.empty_like(x)
        getattr(library, f"all_{name}")(ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data), len(x))
        np.testing.assert_allclose(y, of(x), rtol=2e-6, atol=2e-6, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(st.floats(width=32), st.floats(width=32))
def test_max_and_min_keep_what_is_not_a_number(pair, a, b):
    expected = np.maximum(np.float32(a), np.float32(b)), np.minimum(np.float32(a), np.float32(b))
    np.testing.assert_array_equal(pair(a, b), expected)


@pytest.fixture(scope="module")
def pair(compiler, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    text = '#include "reds_f32_functions.h"\n'
    for name, function in (("larger", "max"), ("smaller", "min")):
        head = f"float {name}(float a, float b)"
        text += f"{head};\n{head} {{ return reds_f32_{function}(a, b); }}\n"
    (folder / "pair.c").write_text(text, encoding="utf-8")
    compiler.run("gcc", *WARNINGS, "-O2", "-shared", "-fPIC", f"-I{RUNTIME}", str(folder / "pair.c"), "-o",
                 str(folder / "p.so"))
    library = ctypes.CDLL(str(folder / "p.so"))

    def call(a: float, b: float) -> tuple[float, float]:
        found = []
        for function in (library.larger, library.smaller):
            function.argtypes, function.restype = [ctypes.c_float] * 2, ctypes.c_float
            found.append(function(a, b))
        return found[0], found[1]

    return call
