"""Values and gradients of two functions side by side, in float64."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

# the arrays of tests are tiny: compiling takes all the time
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def value_and_gradients(function: Callable[..., jax.Array], *arguments: jax.Array) -> list[np.ndarray]:
    """The value and the gradients by all arguments, of a weighted sum of it that has no symmetry."""

    def scalar(*arguments: jax.Array) -> tuple[jax.Array, jax.Array]:
        y = function(*arguments)
        return (jnp.sin(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape) * y).sum(), y

    gradient = jax.grad(scalar, tuple(range(len(arguments))), has_aux=True)
    gradients, y = jax.jit(gradient, compiler_options=QUICK)(*arguments)
    return [np.asarray(y), *map(np.asarray, gradients)]


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray], tolerance: float = 1e-11) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype == np.float64
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
