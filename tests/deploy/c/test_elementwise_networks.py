"""Gates, smooth activations, resizing and sequences in C: at every width what `reds_jax.run` and the formulas of int8 say."""

import shutil
from dataclasses import replace
from functools import cache

import flax.linen as nn
import int8_oracle as oracle
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import SMOOTH, Body, Conv, Keywords
from c_exports import Made, make, make_case
from device_cases import Case, case_of, ranges_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_export_folder import SANITIZE

from reds_jax.deploy.board.host import HostNetwork
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.c.export import export
from reds_jax.deploy.c.function_text import function_text
from reds_jax.deploy.int8.calibrate import Ranges
from reds_jax.deploy.int8.quantize import PRODUCT_BITS, Product, Table, quantize
from reds_jax.deploy.int8.simulate import simulate_int8
from reds_jax.deploy.lowering.function import function_like
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.program import Operation, Program, Tensor, Window
from reds_jax.errors import InvalidArgumentError

pytestmark = pytest.mark.usefixtures("as_users_write")

DTYPES = ("float32", "int8")
NETWORKS = {body.__name__: (Body(body), (7, 5, 3)) for body in SMOOTH} | {"keywords": (Keywords(), (17, 4))}


@pytest.fixture(scope="module")
def case():
    """``case(name)``: a network whose program runs every row of widths, with three subnetworks."""
    @cache
    def get(name: str) -> Case:
        found = case_of(*NETWORKS[name], (0.2, 0.6, 1.0))
        return replace(found, program=lower(found.model, found.trees, found.widths, found.x, every_row=True))

    return get


@pytest.fixture(scope="module")
def made(case, tmp_path_factory):
    @cache
    def get(name: str, dtype: str) -> Made:
        found = case(name)
        return make_case(found, dtype, tmp_path_factory.mktemp("smooth") / dtype,
                         rows=any_rows("reds", found.graph, found.widths, None))

    return get


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_subnetwork_and_any_row(case, made, compiler, name: str, dtype: str) -> None:
    found, exported = case(name), made(name, dtype)
    network = compiler.load(exported.folder)
    for k in (2, 0, 1):
        assert network.adapt(k)
        exported.assert_answers(network, k, found.x)
        if dtype == "float32":
            np.testing.assert_allclose(network.invoke(found.x), found.expected(k), rtol=0, atol=1e-5)
    rng, rows = np.random.default_rng(0), exported.rows.rows
    for row in rng.integers(rows[0], np.array(rows[-1]) + 1, (3, len(rows[0]))).tolist():
        assert network.adapt_to(row)
        k = exported.rows.subnetwork(row)
        exported.at(tuple(row)).assert_answers(network, 0, found.x)
        if dtype == "float32":
            alone = replace(found, trees=[found.trees[k]], widths=[found.graph.widths(row)])
            np.testing.assert_allclose(network.invoke(found.x), alone.expected(0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_is_as_near_to_the_real_numbers_as_it_can_be(made, case, name: str) -> None:
    exported, x = made(name, "int8"), case(name).x
    for k in range(3):
        values = oracle.run(exported.quantized, k, exported.given(x))
        assert max(oracle.steps_from_exact(exported.quantized, k, values)) <= 0


@pytest.mark.parametrize("name", ["inverted_residual", "product_of_layers", "decoder"])
def test_the_simulation_is_the_same_bit_for_bit(made, case, name: str) -> None:
    exported, x = made(name, "int8"), case(name).x
    given_x = exported.given(np.concatenate([x, 5 * x]))
    for k in (0, 2):
        simulated = simulate_int8(exported.quantized, k)(jnp.asarray(given_x))
        for expected, found in zip(oracle.run(exported.quantized, k, given_x), simulated, strict=True):
            np.testing.assert_array_equal(np.asarray(found), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clang_and_sanitizers_have_nothing_to_say(made, case, compiler, dtype: str) -> None:
    exported = made("inverted_residual", dtype)
    compiler.run("make", "-C", str(exported.folder), "check", f"CFLAGS=-O1 -Werror {SANITIZE}", f"LDFLAGS={SANITIZE}")
    if shutil.which("clang"):
        network = compiler.load(exported.folder, cc="clang")
        network.adapt(1)
        exported.assert_answers(network, 1, case("inverted_residual").x)


def test_tables_and_functions_are_there_once(compiler, tmp_path) -> None:
    """The same function of two arrays is one C function; the tables of subnetworks that agree are one."""
    def body(x):
        x = nn.silu(Conv(4, name="first")(x))
        return nn.silu(Conv(5, name="second")(x))

    case = case_of(Body(body), (5, 4, 3), (0.5, 1.0))
    text = (make_case(case, "float32", tmp_path / "f").folder / "src" / "reds_model.c").read_text()
    assert text.count("static float function_") == 1
    assert text.count("reds_f32_map(function_") == 2
    several = make_case(case, "int8", tmp_path / "several")
    same = replace(case.program, tensors=tuple(replace(t, channels=t.channels[1:] * 2) for t in case.program.tensors),
                   operations=tuple(replace(op, scale=op.scale[1:] * 2, offset=op.offset[1:] * 2)
                                    for op in case.program.operations))
    once = make(same, case.x, "int8", tmp_path / "once", widths=case.widths)
    names = ["static const int8_t table_1_of_0[256]", "static const int8_t table_1_of_1[256]"]
    texts = [(made.folder / "src" / "reds_model.c").read_text() for made in (several, once)]
    assert [[name in text for name in names] for text in texts] == [[True, True], [True, False]]
    for k in range(2):
        network = compiler.load(several.folder, f"-DREDS_LARGEST={k}")  # the larger one's table is left out
        network.adapt(k)
        several.assert_answers(network, k, case.x)


def test_what_has_none_of_it_carries_none_of_it(exports, made) -> None:
    for dtype in DTYPES:
        files = [{p.name for p in e.folder.glob("src/*elementwise*.c")} for e in (exports("resnet", dtype), made("decoder", dtype))]
        assert files == [set(), {f"reds_{'s8' if dtype == 'int8' else 'f32'}_elementwise.c"}]


def test_a_c_function_is_the_chain() -> None:
    lines = function_text(function_like(nn.silu), "f").split("\n")
    assert lines == ["static float f(float x) {", "    const float v1 = reds_f32_logistic(x);", "    const float v2 = x * v1;",
                     "    return v2;", "}", ""]
    assert "const int v2 = x > 1.0f;" in function_text(function_like(lambda x: jnp.where(x > 1, x, 2.0)), "f")


@pytest.mark.parametrize("dtype", DTYPES)
def test_export_of_a_model(dtype: str, tmp_path) -> None:
    """From the model itself, as users do it, with the report on 8 bits; the folder checks itself."""
    case = case_of(Keywords(), (17, 4), n=12)
    done = export(case.model, case.trees, case.graph, case.widths, tmp_path / "export", dtype, calibration=[case.x])
    network = HostNetwork(tmp_path / "export")
    assert network.facts["input_shape"] == [17, 4]
    x = case.x if dtype == "float32" else done.quantized.input_scale.quantize(case.x)
    for k in range(2):
        network.adapt(k)
        expected, found = done.expected(k, case.x), network.invoke(x)
        if dtype == "int8":
            np.testing.assert_array_equal(found, expected)
            assert len(done.quality.sqnr_db[k]) == len(done.quality.layers)
            assert min(v for v in done.quality.sqnr_db[k] if v is not None) > 20
        else:
            np.testing.assert_allclose(found, case.expected(k), rtol=0, atol=1e-5)


# -- products in 8 bits ------------------------------------------------------------------------------------------------


def product(channels: int, positions: int, gated: bool, activation: str, slope: float = 0.0) -> Program:
    """A function of the input [C, 1, P] times one of its maximum over the positions, or of every position."""
    shape = Tensor((channels,), 1, positions)
    gate = Tensor((channels,), 1, 1) if gated else shape
    square, tanh = (function_like(f) for f in (lambda x: x * x - 1, jnp.tanh))
    ops = (Operation("map", "square", (0,), 1, function=square),
           Operation("max_pool", "gate", (0,), 2, Window((1, positions) if gated else (1, 1))),
           Operation("map", "tanh", (2,), 3, function=tanh),
           Operation("mul", "mul", (1, 3), 4, activation=activation, slope=slope))
    return Program((shape, shape, gate, gate, shape), ops, 4, (0,), input_shape=(1, positions, channels))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.booleans(), st.sampled_from(["linear", "relu", "relu6", "leaky_relu"]),
       st.floats(-6, 6), st.lists(st.floats(-8, 8), min_size=10, max_size=10), st.integers(0, 5))
def test_products_on_any_grids(channels, positions, gated, activation, size, exponents, seed) -> None:
    """Whatever the ranges are, no intermediate leaves 32 bits, and the result is half a step from the real one, or clipped."""
    program = product(channels, positions, gated, activation, 0.3)
    rng = np.random.default_rng(seed)
    x = (10.0**size * rng.normal(size=(6, 1, positions, channels))).astype(np.float32)
    found = ranges_of(program, x)
    factors = 2.0 ** np.array([[0, *exponents[:4]], [0, *exponents[5:9]]])
    try:
        quantized = quantize(program, Ranges(found.low * factors[0], found.high * factors[1]))
    except InvalidArgumentError as error:
        if "too large for a ReLU6" not in str(error):
            raise
        return
    values = oracle.run(quantized, 0, quantized.input_scale.quantize(x))
    assert max(oracle.steps_from_exact(quantized, 0, values)) <= 0
    step = quantized.steps[0][3]
    assert isinstance(step, Product)


def test_a_product_keeps_its_precision() -> None:
    """Sixteen bits of product are moved up before the high word is taken: all fractional bits of the shift are there."""
    program = product(1, 1, False, "linear")
    quantized = quantize(program, Ranges(np.array([[-1.0] * 5]), np.array([[1.0] * 5])))
    step = quantized.steps[0][3]
    assert isinstance(step, Product)
    assert step.shift >= 15
    assert step.multiplier >= 2**16
    assert PRODUCT_BITS == 14


def test_a_table_is_the_function_on_the_grid() -> None:
    program = product(1, 1, False, "linear")
    quantized = quantize(program, Ranges(np.array([[-3.0] * 5]), np.array([[3.0] * 5])))
    table, grid, out = quantized.steps[0][2], quantized.scales[0][2], quantized.scales[0][3]
    assert isinstance(table, Table)
    points = grid.scale * (np.arange(-128, 128) - grid.zero)
    steps = np.tanh(points) / out.scale + out.zero
    assert np.abs(table.entries - np.clip(steps, -128, 127)).max() <= 0.5 + 1e-9
    assert len(set(table.entries.tolist())) > 80


def test_a_function_without_a_value_on_the_grid_is_refused() -> None:
    program = product(1, 1, False, "linear")
    program = replace(program, operations=(replace(program.operations[0], name="bad_map", function=function_like(jnp.log)),
                                           *program.operations[1:]))
    with pytest.raises(InvalidArgumentError, match="'bad_map' has no value at some numbers of its 8-bit input in "
                                                   "subnetwork 0; got 'not a number at -1"):
        quantize(program, Ranges(np.array([[-1.0] * 5]), np.array([[1.0] * 5])))
