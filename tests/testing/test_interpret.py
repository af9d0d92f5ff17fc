"""The NumPy interpreter agrees with JAX, operation by operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from reds_jax.testing import interpret

CASES = {
    "elementwise": lambda w, x: jnp.where(x > 0, jnp.exp(-x), jnp.tanh(x) * jax.nn.sigmoid(x)) + abs(x) ** 3 / (1 + x * x),
    "not in the table": lambda w, x: lax.erf(x) + jnp.cos(x),
    "activations": lambda w, x: jax.nn.softplus(x) + jax.nn.relu6(x) + jax.nn.leaky_relu(x) + jax.nn.silu(x) + jax.nn.elu(x),
    "sums": lambda w, x: jnp.mean(x, (1, 2)) + jnp.max(x, (1, 2)) + lax.rsqrt(1 + jnp.sum(x, (1, 2)) ** 2),
    "moves": lambda w, x: jnp.concatenate([x[:, ::-1, 1:], x.transpose(0, 2, 1, 3)[:, 1:].reshape(2, 5, 3, 4)], -1),
    "pad": lambda w, x: jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=2.0),
    "split": lambda w, x: jnp.split(x, 2, -1)[1] * jnp.squeeze(x[:, :1, :1, :1]).reshape(2, 1, 1, 1),
    "dense": lambda w, x: x @ w["kernel"],
    "batched product": lambda w, x: jnp.einsum("nhwc,nhvc->nhwv", x, x),
    "convolution": lambda w, x: lax.conv_general_dilated(
        x, w["conv"], (2, 1), ((1, 1), (0, 2)), dimension_numbers=("NHWC", "HWIO", "NHWC")),
    "grouped convolution": lambda w, x: lax.conv_general_dilated(
        x, w["conv"][:, :, :2], (1, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=2),
    "channels first": lambda w, x: lax.conv_general_dilated(
        x.transpose(0, 3, 1, 2), w["conv"].transpose(3, 2, 0, 1), (1, 1), "VALID"),
    "pools": lambda w, x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 1, 1), "SAME")
    + lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 1, 1), "SAME"),
}


@pytest.mark.parametrize("name", CASES)
def test_numpy_agrees_with_jax(name: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 5, 4, 4)).astype(np.float32)
    weights = {"kernel": rng.normal(size=(4, 3)).astype(np.float32), "conv": rng.normal(size=(2, 3, 4, 6)).astype(np.float32)}
    if name == "moves":
        x = x[:, :, :4]
        x = np.concatenate([x, x[:, :, :0]], 2)
    [found] = interpret(CASES[name], weights, x)
    expected = np.asarray(jax.jit(CASES[name])(weights, x))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    assert found.dtype == np.float64


def test_whole_numbers_are_exact_beyond_single_precision() -> None:
    [found] = interpret(lambda w, x: x @ w, np.float32([[2.0**24], [1.0]]), np.float32([[2.0**24, 1.0]]))
    assert found == 2**48 + 1
