"""The C++ convolution against `lax.conv`: values and gradients in float64, NaN, repeated runs, and where it is not taken."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jax import lax

from reds_jax.lowering import lowering
from reds_jax.models import ResNet
from reds_jax.native.build import built
from reds_jax.run import kernels
from reds_jax.run.channel_first import Window
from reds_jax.run.nested import run

pytestmark = pytest.mark.skipif(not built().ready, reason=built().text)
SAME = Window((1, 1), ((1, 1), (1, 1)), (1, 1))


@st.composite
def convolutions(draw):
    """(shape of x, shape of the kernel, window) of a convolution that fits, over one or two axes."""
    size = [draw(st.integers(1, 9)) for _ in range(draw(st.integers(1, 2)))]
    kernel = [draw(st.integers(1, 4)) for _ in size]
    dilation = [draw(st.integers(1, 3)) for _ in size]
    pads = tuple((max(draw(st.integers(0, 4)), (k - 1) * d + 1 - n), draw(st.integers(0, 4)))
                 for n, k, d in zip(size, kernel, dilation, strict=True))
    strides = tuple(draw(st.integers(1, 3)) for _ in size)
    inputs, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 18))
    batch = draw(st.sampled_from([1, 3, 8, 33]))
    return (inputs, *size, batch), (*kernel, inputs, outputs), Window(strides, pads, tuple(dilation))


def plain(x, kernel, w):
    axes = "HW"[: x.ndim - 2]
    return lax.conv_general_dilated(x, kernel, w.strides, w.pads, rhs_dilation=w.dilation,
                                    dimension_numbers=(f"C{axes}N", f"{axes}IO", f"C{axes}N"))


def arrays(*shapes, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def all_of(f, x, kernel):
    """The convolution and both gradients of a random functional of it."""
    y, back = jax.vjp(f, x, kernel)
    return [y, *back(jnp.asarray(np.random.default_rng(1).normal(size=y.shape), y.dtype))]


@settings(max_examples=12, deadline=None)
@given(convolutions())
@example(((70, 20, 20, 33), (3, 3, 70, 5), SAME))  # several strips of rows, forwards and back to the input
@example(((4, 60, 40, 33), (3, 3, 4, 2), SAME))  # several strips for the gradient of the kernel
@example(((2, 7, 6, 3), (1, 4, 2, 3), Window((1, 1), ((0, 0), (3, 3)), (1, 1))))  # columns that read different taps
@example(((3, 3, 3, 2), (2, 2, 3, 2), Window((5, 5), ((1, 1), (1, 1)), (1, 1))))  # inputs that nothing reads
def test_the_convolution_and_its_gradients_are_those_of_lax(case):
    shape, kernel_shape, window = case
    with jax.enable_x64(True):
        x, kernel = arrays(shape, kernel_shape)
        found = all_of(lambda x, k: kernels.conv(x, k, window), x, kernel)
        expected = all_of(lambda x, k: plain(x, k, window), x, kernel)
    assert_same(found, expected, tolerance=1e-11)


@pytest.mark.parametrize("outputs", range(1, 18))
def test_float32_has_a_form_for_every_number_of_outputs_and_vectors(outputs):
    """Blocks of one to eight outputs times one to three vectors and what is left of one, against float64."""
    window = Window((1, 2), ((1, 0), (2, 1)), (1, 1))
    x, kernel = arrays((outputs, 4, 9, 11), (3, 2, outputs, outputs), dtype=np.float32)
    found = all_of(lambda x, k: kernels.conv(x, k, window), x, kernel)
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(a), np.float64) for a in (x, kernel)]
        expected = all_of(lambda x, k: kernels.conv(x, k, window), *wide)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=3e-6 * np.abs(other).max())


def test_nan_stays_nan_and_in_its_example_and_window():
    x, kernel = arrays((4, 6, 6, 21), (3, 3, 4, 9), dtype=np.float32)
    y = kernels.conv(x.at[1, 0, 0, 7].set(jnp.nan), kernel, SAME)
    expected = np.zeros(y.shape, bool)
    expected[:, :2, :2, 7] = True
    np.testing.assert_array_equal(np.isnan(y), expected)
    _, back = jax.vjp(lambda x, k: kernels.conv(x, k, SAME), x, kernel)
    d_x, d_kernel = back(jnp.zeros_like(y).at[3, 0, 0, 5].set(jnp.nan))
    seen = np.zeros(x.shape, bool)
    seen[:, :2, :2, 5] = True
    np.testing.assert_array_equal(np.isnan(d_x), seen)
    assert np.isfinite(np.delete(np.asarray(d_kernel), 3, axis=-1)).all()
    assert np.isnan(d_kernel[1:, 1:, :, 3]).all()


def test_a_padded_position_is_zero_however_large_its_neighbours():
    """Rows lie behind one another in memory: what is read beyond a run must not reach a sum."""
    x = jnp.full((2, 5, 5, 3), jnp.inf, np.float32).at[:, 2, 2].set(1)
    kernel = jnp.zeros((3, 3, 2, 2), np.float32).at[1, 1].set(1)
    y = kernels.conv(x, kernel, Window((1, 1), ((0, 0), (0, 0)), (1, 1)))
    assert np.isnan(np.asarray(y)).sum() == y.size  # 0 times infinity in each window, as IEEE has it
    x = x.at[:].set(0).at[:, :, 4].set(jnp.inf)
    one = kernels.conv(x, jnp.ones((1, 2, 2, 2), np.float32), Window((1, 1), ((0, 0), (0, 0)), (1, 1)))
    assert np.isinf(one[:, :, 3]).all()
    assert (np.asarray(one[:, :, :3]) == 0).all()


def test_what_no_window_reads_reaches_no_gradient():
    """Vectors read beyond the end of a run; here that is the column between two windows."""
    window = Window((1, 3), ((0, 0), (0, 0)), (1, 1))
    x, kernel = arrays((2, 2, 5, 3), (1, 2, 2, 3), dtype=np.float32)
    found, expected = (all_of(lambda x, k: kernels.conv(x, k, window), x.at[:, :, 2].set(between), kernel)
                       for between in (jnp.nan, 0.0))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_repeated_runs_are_equal_bit_for_bit():
    """Strips are dealt out to threads as they come; each number is summed in one order."""
    x, kernel = arrays((24, 13, 6, 33), (3, 3, 24, 20), dtype=np.float32)
    everything = jax.jit(lambda x, k: all_of(lambda x, k: kernels.conv(x, k, SAME), x, k))
    first = everything(x, kernel)
    for _ in range(5):
        jax.tree.map(np.testing.assert_array_equal, everything(x, kernel), first)


def test_the_convolution_runs_inside_vmap():
    x, kernel = arrays((3, 2, 4, 3, 5), (2, 2, 2, 3), dtype=np.float32)
    np.testing.assert_array_equal(jax.vmap(lambda x: kernels.conv(x, kernel, SAME))(x),
                                  jnp.stack([kernels.conv(a, kernel, SAME) for a in x]))


@pytest.mark.parametrize(("dtype", "kernel", "pads", "taken"), [
    (np.float32, (3, 3), (1, 1), True), (np.float64, (1, 2), (0, 0), True), (np.float16, (3, 3), (1, 1), False),
    (jnp.bfloat16, (3, 3), (1, 1), False), (np.float32, (1, 1), (0, 0), False), (np.float32, (3, 3), (1, -1), False),
    (np.float32, (3, 3, 3), (1, 1), False)])
def test_other_types_single_taps_crops_and_three_axes_are_not_taken(dtype, kernel, pads, taken):
    n = len(kernel)
    x, k = jax.ShapeDtypeStruct((2, *(6,) * n, 4), dtype), jax.ShapeDtypeStruct((*kernel, 2, 3), dtype)
    assert kernels.takes(x, k, Window((1,) * n, (pads,) * n, (1,) * n)) is taken


@pytest.mark.parametrize("shape", [(2, 6, 6, 0), (0, 6, 6, 4), (2, 2, 6, 4)])
def test_empty_arrays_are_not_taken(shape):
    x, kernel = jax.ShapeDtypeStruct(shape, np.float32), jax.ShapeDtypeStruct((3, 3, shape[0], 5), np.float32)
    assert not kernels.takes(x, kernel, Window((1, 1), ((0, 0), (0, 0)), (1, 1)))


def test_a_model_runs_by_it_in_the_fused_form_alone():
    model, x = ResNet(3, (4, 4)), jnp.ones((2, 8, 8, 3))
    variables = model.init(jax.random.key(0), x)

    def text(form):
        with lowering(form):
            return str(jax.make_jaxpr(lambda v: run(model, v, x)[0])(variables))

    assert text("fused").count("reds_jax_conv_forward_f32") == 5  # the stem and two blocks, without the shortcut of one tap
    assert "reds_jax" not in text("dot")
