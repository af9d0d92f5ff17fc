"""`jax.vmap` of the nested step: several seeds as one program, each as it is alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

ROWS = np.random.default_rng(0).permuted(np.tile(np.arange(64, dtype=np.int32), (2, 1)), axis=1)[:, :48].reshape(2, 3, 16)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["bench", "conv_bench"])  # the second with the kernel
def test_seeds_under_vmap_are_those_alone(request, network):
    bench = request.getfixturevalue(network)
    step, data = bench.step(augment="flip_shift"), bench.data
    states = [bench.state(seed=seed) for seed in (3, 4)]
    together = jax.vmap(lambda state, rows: step(state, data.inputs, data.targets, rows))(
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *states), ROWS)
    for i, state in enumerate(states):
        alone = step(state, data.inputs, data.targets, ROWS[i])
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            if not jnp.issubdtype(b.dtype, jax.dtypes.prng_key):
                np.testing.assert_allclose(a[i], b, rtol=1e-4, atol=1e-5)
    assert not np.allclose(together[1]["loss"][0], together[1]["loss"][1], rtol=1e-4)
