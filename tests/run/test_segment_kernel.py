"""The C++ kernels against the same formulas in JAX: values and gradients in float64, NaN, and repeated runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from comparing import assert_same, value_and_gradients
from hypothesis import given, settings
from hypothesis import strategies as st

from reds_jax.native.build import built
from reds_jax.run import kernels
from reds_jax.run.channel_first import Window, depthwise
from reds_jax.run.kernels import Activation

pytestmark = pytest.mark.skipif(not built().ready, reason=built().text)

ACTIVATIONS = {"none": Activation(), "relu": Activation(0.0, 0.0), "leaky": Activation(0.3, 1.0),
               "clipped": Activation(0.0, 0.5, 0.7, 0.5)}


def activated(f, t):
    return jnp.minimum(jnp.where(t < 0, f.slope * t, t), f.upper)


def normalised(x, vectors, batch, epsilon):
    """(z(x), mean, variance), as the docstring of the kernels has it."""
    scale, bias, centre = (v.reshape(-1, *(1,) * (x.ndim - 1)) for v in vectors)
    if not batch:
        return scale * (x - centre) + bias, jnp.zeros(len(x)), jnp.zeros(len(x))
    axes = tuple(range(1, x.ndim))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return scale * (x - mean) / jnp.sqrt(var + epsilon) + bias, mean.ravel(), var.ravel()


def joined(y, *vectors):
    """All results in one array, so that gradients come from each."""
    return jnp.concatenate([y.ravel(), *vectors])


def plain_segment(x, first, kernel, bias, second, *, activations, window, batch):
    t, *one = normalised(x, first, batch, 1e-3)
    t = depthwise(activated(activations[0], t), kernel, window) + bias.reshape(-1, *(1,) * (x.ndim - 1))
    y, *two = normalised(t, second, batch, 1e-2)
    return joined(activated(activations[1], y), *one, *two)


def fused_segment(x, first, kernel, bias, second, *, activations, window, batch):
    y, one, two = kernels.segment(x, first, activations, kernel, bias, second, window, batch=batch, epsilons=(1e-3, 1e-2))
    return joined(y, *one, *two)


@st.composite
def segments(draw):
    """Sizes, a window that fits, activations, and whether the statistics are the batch's."""
    rank = draw(st.integers(1, 2))
    size = [draw(st.integers(3, 8)) for _ in range(rank)]
    kernel = [draw(st.integers(1, 4)) for _ in size]
    dilation = [draw(st.integers(1, 2)) for _ in size]
    pads = tuple((max(draw(st.integers(0, 3)), (k - 1) * d + 1 - n), draw(st.integers(0, 3)))
                 for n, k, d in zip(size, kernel, dilation, strict=True))
    strides = tuple(draw(st.integers(1, 2)) for _ in size)
    kinds = tuple(ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))] for _ in range(2))
    channels, batch = draw(st.integers(1, 3)), draw(st.sampled_from([1, 3, 9, 33]))
    return (channels, *size, batch), tuple(kernel), Window(strides, pads, tuple(dilation)), kinds, draw(st.booleans())


@settings(max_examples=8, deadline=None)
@given(segments())
def test_a_segment_is_its_formula(case):
    shape, kernel, window, kinds, batch = case
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        c = shape[0]
        vectors = [tuple(jnp.asarray(rng.normal(size=c)) for _ in range(3)) for _ in range(2)]
        arguments = (jnp.asarray(3 + rng.normal(size=shape)), vectors[0], jnp.asarray(rng.normal(size=(*kernel, c))),
                     jnp.asarray(rng.normal(size=c)), vectors[1])
        how = {"activations": kinds, "window": window, "batch": batch}
        both = [flat(value_and_gradients(lambda *a, f=f: f(*a, **how), *arguments)) for f in (fused_segment, plain_segment)]
    assert_same(*both, tolerance=1e-9)


def flat(found):
    return [np.asarray(a, np.float64) for tree in found for a in (tree if isinstance(tree, tuple) else [tree])]


POINT = Window((1, 1), ((0, 0), (0, 0)), (1, 1))


def through(x, f, *, batch=False):
    """A segment whose second half does nothing: a kernel of one tap, with weight 1."""
    c, ones, zeros = len(x), jnp.ones(len(x)), jnp.zeros(len(x))
    plain = (ones, zeros, zeros)
    return kernels.segment(x, plain, (f, Activation()), jnp.ones((1, 1, c)), zeros, plain, POINT, batch=batch,
                           epsilons=(0.0, 0.0))


def test_the_derivative_at_a_kink_is_what_is_asked_for():
    """In whole vectors and in what is left of one."""
    f, repeats = Activation(0.25, 0.75, 2.0, 0.5), 9
    x = jnp.tile(jnp.array([0.0, 2.0, 3.0, -1.0, 1.0]), repeats).reshape(1, 1, 1, -1)
    slope = jax.grad(lambda x: through(x, f)[0].sum())(x)
    assert slope.ravel().tolist() == [0.75, 0.5, 0.0, 0.25, 1.0] * repeats


def test_nan_stays_nan_and_in_its_channel():
    x = np.ones((2, 3, 3, 20), np.float32)
    x[1, 1, 1, 7] = np.nan
    vectors = (jnp.ones(2), jnp.zeros(2), jnp.zeros(2))
    for batch in (True, False):
        y, one, two = kernels.segment(jnp.asarray(x), vectors, (Activation(0.0, 0.0),) * 2, jnp.ones((3, 3, 2)), jnp.zeros(2),
                                      vectors, Window((1, 1), ((1, 1), (1, 1)), (1, 1)), batch=batch, epsilons=(1e-3, 1e-3))
        assert np.isfinite(y[0]).all()
        seen = np.isnan(np.asarray(y[1]))
        assert seen.all() if batch else seen[..., 7].all()
        assert not batch or all(np.isnan(m[1]) and np.isfinite(m[0]) for m in (*one, *two))


def test_a_large_mean_leaves_the_variance():
    """With the mean 10,000 times the standard deviation, a variance E[x^2] - E[x]^2 has no digit left in float32."""
    x = np.random.default_rng(2).normal(size=(2, 40, 8, 50)).astype(np.float32) + np.float32(1e4)
    exact = x.astype(np.float64).var((1, 2, 3))
    _, (mean, var), _ = through(jnp.asarray(x), Activation(), batch=True)
    np.testing.assert_allclose(var, exact, rtol=1e-5)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean((1, 2, 3)), rtol=1e-7)


def test_repeated_runs_are_equal_bit_for_bit():
    """Channels are dealt out to threads as they come; each is summed in one order."""
    rng = np.random.default_rng(3)
    x = jnp.asarray(rng.normal(size=(64, 9, 5, 33)), jnp.float32)
    vectors = tuple(jnp.asarray(rng.normal(size=64), jnp.float32) for _ in range(3))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 64)), jnp.float32)

    @jax.jit
    def gradients(x, kernel):
        return jax.grad(lambda x, k: jnp.sin(fused_segment(
            x, vectors, k, vectors[0], vectors, activations=(ACTIVATIONS["relu"],) * 2,
            window=Window((1, 1), ((1, 1), (1, 1)), (1, 1)), batch=True)).sum(), (0, 1))(x, kernel)

    first = gradients(x, kernel)
    for _ in range(5):
        jax.tree.map(np.testing.assert_array_equal, gradients(x, kernel), first)


def test_the_kernels_run_inside_vmap():
    x = jnp.asarray(np.random.default_rng(4).normal(size=(3, 2, 4, 1, 5)), jnp.float32)

    def one(x):
        return through(x, ACTIVATIONS["relu"])[0]

    np.testing.assert_array_equal(jax.vmap(one)(x), jnp.stack([one(a) for a in x]))
