"""The C interface: adapting, budgets, smaller builds, two networks in one program, quantising, and what is linked."""

import ctypes
import subprocess

import numpy as np
import pytest
from c_exports import make, make_case
from device_cases import case_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reds_jax import data, models
from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.board.host import WARNINGS, HostNetwork, build, compiler
from reds_jax.deploy.c import arena
from reds_jax.deploy.c.export import export, scratch_bytes
from reds_jax.errors import InvalidArgumentError, MissingDependencyError, RedsError
from reds_jax.graph.trace import trace
from reds_jax.testing import LayerSpec, RandomNet, random_variables

DTYPES = ("float32", "int8")


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_error_changes_nothing(exports, networks, library, dtype: str) -> None:
    made, network, x = exports("resnet", dtype), networks("resnet", dtype), library("resnet").x
    macs = made.program.macs
    for k in range(3):
        assert network.adapt(k)
        assert not any(network.adapt(wrong) for wrong in (3, 4, 2**31, 2**32 - 1))
        assert not any(network.adapt_to_budget(budget) for budget in (0, 1, macs[0] - 1))
        assert network.active == k
        made.assert_answers(network, k, x[:1])
    assert network._library.reds_adapt(3) == 1
    assert network._library.reds_adapt_to_budget(0) == 2


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1) | st.integers(0, 200_000), st.integers(0, 2))
def test_a_budget_picks_the_largest_that_fits(exports, networks, budget: int, before: int) -> None:
    macs, network = exports("resnet", "int8").program.macs, networks("resnet", "int8")
    network.adapt(before)
    fitting = [k for k, cost in enumerate(macs) if cost <= budget]
    assert network.adapt_to_budget(budget) == bool(fitting)
    assert network.active == max(fitting, default=before)


def test_budgets_at_the_costs_themselves(exports, networks) -> None:
    network = networks("resnet", "int8")
    for k, cost in enumerate(exports("resnet", "int8").program.macs):
        for budget, expected in ((cost, k), (cost + 1, k), (cost - 1, max(k - 1, 0))):
            network.adapt(0)
            assert network.adapt_to_budget(budget) == (budget >= exports("resnet", "int8").program.macs[0])
            assert network.active == expected


def symbols(library: str, *options: str) -> dict[str, tuple[str, int]]:
    """name: (type, size) of what ``nm`` lists."""
    done = subprocess.run(["nm", "-S", *options, library], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {r[-1]: (r[-2], int(r[1], 16) if len(r) == 4 else 0) for r in rows if len(r) >= 2}


@pytest.mark.parametrize("dtype", DTYPES)
def test_smaller_builds(exports, library, compiler, tmp_path, dtype: str) -> None:
    made, x = exports("resnet", dtype), library("resnet").x
    sizes = []
    for k in range(3):
        network = compiler.load(made.folder, f"-DREDS_LARGEST={k}")
        assert network.active == k
        assert [network.adapt(j) for j in range(4)] == [j <= k for j in range(4)]
        assert network.adapt_to_budget(2**32 - 1)
        assert network.active == k
        for j in range(k + 1):
            network.adapt(j)
            made.assert_answers(network, j, x[:1])
        info = network._function("info", ctypes.c_uint32)
        info.restype = ctypes.c_void_p
        assert info(k)
        assert not info(k + 1)
        compiler.run("gcc", "-std=c99", "-O1", "-c", f"-DREDS_LARGEST={k}", str(made.folder / "src" / "reds_model.c"), "-o",
                     str(tmp_path / "model.o"))
        found = symbols(str(tmp_path / "model.o"))
        program = made.quantized.program if made.quantized else made.program
        plan = arena.plan(program, k, itemsize=1 if made.quantized else 4,
                          scratch_bytes=scratch_bytes(program, k, dtype))
        assert found["arena"][1] == plan.size
        sizes.append(sum(size for kind, size in found.values() if kind in "rRdDbB"))
    assert sizes == sorted(set(sizes))
    command = ["gcc", "-c", "-DREDS_LARGEST=3", str(made.folder / "src" / "reds_model.c"), "-o", str(tmp_path / "wrong.o")]
    wrong = subprocess.run(command, capture_output=True, text=True, check=False)
    assert wrong.returncode
    assert "REDS_LARGEST is one of 0 to 2" in wrong.stderr


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_only_state_is_the_arena_and_the_pointer_and_nothing_is_linked(exports, compiler, tmp_path, dtype: str) -> None:
    defined, undefined = {}, set()
    folder = exports("ds_cnn", dtype).folder
    for path in exported_folder.sources(folder):
        target = str(tmp_path / f"{path.stem}.o")
        compiler.run("gcc", "-std=c99", "-Os", "-fno-pie", "-c", str(path), "-o", target)
        defined |= symbols(target, "--defined-only")
        undefined |= set(symbols(target, "-u"))
    writable = {name for name, (kind, _) in defined.items() if kind in "bBdDcCsS"}
    assert writable == {"arena", "the_network"}
    assert undefined - set(defined) <= {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}
    outside = {name for name, (kind, _) in defined.items() if kind.isupper()}
    assert all(name.startswith("reds_") for name in outside)


LOOP = """
    for (uint32_t k = 0; k < NAME_SUBNETWORKS; k++) {
        name_element out[NAME_OUTPUT_ITEMS];
        if (name_adapt(k) != NAME_OK || name_invoke(name_example_inputs, out) != k) return 1;
        for (uint32_t i = 0; i < NAME_OUTPUT_ITEMS; i++) {
            const float d = (float)out[i] - (float)name_example_outputs[k * NAME_EXAMPLES * NAME_OUTPUT_ITEMS + i];
            if (d > 1e-3f || d < -1e-3f) return 2;
        }
    }"""


def test_networks_in_one_program_share_the_kernels(library, compiler, tmp_path) -> None:
    folder = tmp_path / "tree"
    networks = {"first": ("int8", "resnet"), "second": ("int8", "ds_cnn"), "third": ("float32", "ds_cnn")}
    for name, (dtype, of) in networks.items():
        make_case(library(of), dtype, folder, name)
    main = tmp_path / "main.c"
    includes = [f'#include "{name}_{part}.h"' for name in networks for part in ("model", "examples")]
    loops = [LOOP.replace("NAME", name.upper()).replace("name", name) for name in networks]
    main.write_text("\n".join([*includes, "int main(void) {", *loops, "    return 0;", "}", ""]))
    sources = {str(path) for name in networks for path in exported_folder.sources(folder, name)}
    assert len(sources) == 5
    compiler.run("gcc", *WARNINGS, "-O1", *exported_folder.include_flags(folder), "-o", str(tmp_path / "all"), str(main),
                 *sources)
    compiler.run(str(tmp_path / "all"))


FLOATS = arrays(np.float32, 63, elements=st.floats(width=32, allow_nan=False) | st.floats(-10, 10, width=32))


@settings(max_examples=100, suppress_health_check=list(HealthCheck))
@given(FLOATS)
def test_quantize_in_c_is_quantize_in_python(small, x: np.ndarray) -> None:
    made, network = small
    np.testing.assert_array_equal(network.quantize(x[None])[0], made.quantized.input_scale.quantize(x))


def test_quantize_at_every_tie(small) -> None:
    """All numbers half way between two grid points, and their neighbours."""
    made, network = small
    grid = made.quantized.input_scale
    ties = (np.arange(-140, 141) + 0.5).astype(np.float32) * np.float32(grid.scale)
    x = np.concatenate([np.nextafter(ties, np.float32(d)) for d in (-1e9, 1e9)] + [ties, np.random.default_rng(0).normal(
        size=1_000_000).astype(np.float32)])
    x = np.resize(x, (len(x) // 63 + 1, 63))
    np.testing.assert_array_equal(network.quantize(x), grid.quantize(x))
    nan = np.full((1, 63), np.nan, np.float32)
    assert set(network.quantize(nan)[0]) == {-128}


@pytest.fixture(scope="module")
def small(compiler, tmp_path_factory):
    """A classifier of 63 inputs, in int8, with probabilities."""
    case = case_of(RandomNet((LayerSpec("dense", 4, act="relu"),), ((),), 3, ending="softmax"), (63,), n=20)
    made = make(case.program, case.x, "int8", tmp_path_factory.mktemp("small") / "export")
    return made, compiler.load(made.folder)


def test_outputs_as_real_numbers(small) -> None:
    made, network = small
    grid = made.quantized.output_scale(1)
    q = np.array([[-128, 5, 127], [3, 3, -3], [-1, 90, 0]], np.int8)
    out = np.empty(3, np.float32)
    for row in q:
        places = row.ctypes.data, out.ctypes.data
        network._function("dequantize", ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)(1, *places)
        np.testing.assert_array_equal(out, grid.dequantize(row))
        network._function("probabilities", ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p)(1, *places)
        e = np.exp(grid.dequantize(row).astype(np.float64) - grid.dequantize(row).max())
        np.testing.assert_allclose(out, e / e.sum(), rtol=1e-5, atol=1e-7)
        assert network._function("argmax", ctypes.c_void_p)(row.ctypes.data) == np.argmax(row)


def test_the_network_of_the_host(small) -> None:
    """Each load has a state of its own; inputs that do not fit are an error."""
    made, _ = small
    one, two = HostNetwork(made.folder, "-O0"), HostNetwork(made.folder, "-O0")
    assert one.active == two.active == len(one) - 1 == 1
    one.adapt(0)
    assert (one.active, two.active) == (0, 1)
    eight = np.zeros(63, np.int8)
    for wrong in (np.zeros((1, 63), np.float32), eight[None, :62], eight.reshape(1, 7, 9), eight):
        with pytest.raises(InvalidArgumentError, match="these are no inputs of the network; got .*; allowed: int8 .N, 63."):
            one.invoke(wrong)
    for wrong in (np.zeros((1, 62), np.float32), np.zeros((1, 63)), np.zeros((1, 9, 7), np.float32)):
        with pytest.raises(InvalidArgumentError, match="these are no inputs of the network"):
            one.quantize(wrong)  # C would read beyond their end
    with pytest.raises(InvalidArgumentError, match="has another name; got 'net'"):
        HostNetwork(made.folder, name="net")


def test_a_budget_of_more_than_32_bits_is_no_small_one(small) -> None:
    _, network = small
    for budget, k in ((2**32 + 1, 1), (2**40, 1)):
        network.adapt(0)
        assert network.adapt_to_budget(budget)
        assert network.active == k
    assert not network.adapt_to_budget(-1)
    assert not any(network.adapt(k) for k in (-1, 2**32, 2**32 + 1))
    assert network.active == 1


def test_a_compiler_that_is_missing_or_fails(small, tmp_path) -> None:
    made, _ = small
    with pytest.raises(MissingDependencyError, match="no C compiler is installed .looked for no-such-compiler"):
        compiler("no-such-compiler")
    with pytest.raises(InvalidArgumentError, match="no exported network in the folder"):
        build(tmp_path, tmp_path / "out.so")
    with pytest.raises(RedsError, match="does not compile"):
        build(made.folder, tmp_path / "out.so", "-DREDS_LARGEST=7")


def test_pixels_of_a_camera_become_the_inputs_of_training(compiler, tmp_path):
    """256 values for each channel, tabulated when the network is exported: exact in both formats."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3)).astype(np.uint8)
    normalise = data.Normalise((0.4, 0.5, 0.6), (0.2, 0.3, 0.25))
    x = normalise(pixels)
    model = models.DSCNN(4, 8, (3, 3), (1, 1), ((1, 1),))
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    for dtype in ("float32", "int8"):
        exported = export(model, variables, graph, [0.5, 1.0], tmp_path / dtype, dtype, calibration=[x], normalise=normalise)
        expected = x if exported.quantized is None else exported.quantized.input_scale.quantize(x)
        host = HostNetwork(tmp_path / dtype)
        np.testing.assert_array_equal(host.from_pixels(pixels), expected)
        for wrong in (pixels.transpose(0, 2, 1, 3), pixels.astype(np.float32), pixels[0]):
            with pytest.raises(InvalidArgumentError, match="allowed: uint8 .N, 6, 5, 3."):
                host.from_pixels(wrong)
        assert exported.facts["normalise"]["mean"] == normalise.mean
    with pytest.raises(InvalidArgumentError, match="other channels"):
        export(model, variables, graph, [1.0], tmp_path / "n", normalise=data.Normalise.unit(1))
