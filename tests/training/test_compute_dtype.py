"""Products in bfloat16: which they are, forwards and backwards, and that all else stays float32 and close."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from training_nets import examples, initial, tiny_mlp

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.lowering import lowering, products
from reds_jax.native.build import built
from reds_jax.run.nested import run, run_nested
from reds_jax.training import FitConfig, evaluate, fit

ROWS = np.arange(32, dtype=np.int32).reshape(2, 16)
WIDTHS = (1.0, 0.5)


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


def is_depthwise(equation):
    return max(equation.params.get(name, 1) for name in ("feature_group_count", "batch_group_count")) > 1


@pytest.mark.parametrize("form", [
    pytest.param("fused", marks=pytest.mark.skipif(not built().ready, reason=built().text)), "dot", "lax"])
def test_all_products_have_operands_of_bfloat16_and_nothing_else_has(conv_bench, form):
    with lowering(form):
        step = conv_bench.step(WIDTHS, compute_dtype="bfloat16")
        traced = jax.make_jaxpr(lambda state: step(state, jnp.asarray(conv_bench.data.inputs),
                                                   jnp.asarray(conv_bench.data.targets), ROWS))(conv_bench.state(2))
    found = {True: 0, False: 0}
    for equation in equations(traced.jaxpr):
        types = {v.aval.dtype.name for v in (*equation.invars, *equation.outvars) if hasattr(v.aval, "dtype")}
        if equation.primitive.name in ("dot_general", "conv_general_dilated") and equation.outvars[0].aval.shape:
            found[is_depthwise(equation)] += 1
            assert types == ({"float32"} if is_depthwise(equation) else {"bfloat16"}), equation
        elif "bfloat16" in types:
            assert "reduce" not in equation.primitive.name or "window" in equation.primitive.name, equation
    assert found[False] == 2 + 2 * 2 * 3  # the stem, which both share, and its gradient; two layers, each with two gradients
    assert (found[True] > 0) == (form == "lax")


def test_a_product_that_asks_for_a_float32_result_is_one_of_bfloat16_forwards_and_backwards():
    x, params = np.ones((3, 4), np.float32), {"w": np.ones((4, 5), np.float32), "v": np.ones((5, 2), np.float32)}

    def model(variables, x):
        return jnp.tanh(x @ variables["params"]["w"]) @ variables["params"]["v"]

    def loss(params):
        ((y, _),) = run_nested(model, params, [{}], x, [1.0])
        return y.sum()

    with products("bfloat16"):
        traced = jax.make_jaxpr(jax.value_and_grad(loss))(params)
    found = [equation for equation in equations(traced.jaxpr) if equation.primitive.name == "dot_general"]
    assert len(found) == 2 + 3
    assert {v.aval.dtype.name for equation in found for v in (*equation.invars, *equation.outvars)} == {"bfloat16"}
    assert [v.dtype.name for v in traced.out_avals] == ["float32"] * 3


@pytest.mark.parametrize("form", ["auto", pytest.param("lax", marks=pytest.mark.slow)])
def test_steps_stay_close_and_their_state_in_float32(conv_bench, form):
    with lowering(form):
        (state, metrics), (exact, wanted) = (conv_bench.run(ROWS, widths=WIDTHS, compute_dtype=dtype, distill=0.25)
                                             for dtype in ("bfloat16", "float32"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves((state.params, state.batch_stats, metrics["loss"]))} == {"float32"}
    np.testing.assert_allclose(metrics["loss"], wanted["loss"], rtol=2e-2)
    assert not np.array_equal(metrics["loss"], wanted["loss"])
    np.testing.assert_allclose(metrics["grad_norm"], wanted["grad_norm"], rtol=5e-2)
    for a, b in zip(jax.tree.leaves(state.batch_stats), jax.tree.leaves(exact.batch_stats), strict=True):
        np.testing.assert_allclose(a, b, atol=2**-7 * max(1, float(jnp.abs(b).max())))


def test_a_run_is_bound_to_the_type_and_validates_in_float32(quiet, tmp_path):
    model = tiny_mlp()
    config = FitConfig(epochs=1, batch_size=16, compute_dtype="bfloat16", recalibrate_batches=2, evaluate_batch_size=16)

    def run(config, folder=tmp_path):
        return fit(model, initial(model), WIDTHS, examples(64), examples(16, 1), config, folder=folder, console=quiet)

    found = run(config)
    again = evaluate(model, found.params, found.batch_stats, WIDTHS, examples(16, 1), batch_size=16)
    assert [one.loss for one in again] == found.history[0]["validation_loss"]
    exact = replace(config, compute_dtype="float32")
    assert run(exact, None).history[0]["objective"] != found.history[0]["objective"]
    with pytest.raises(CheckpointError, match="fit.compute_dtype"):
        run(exact)
    with pytest.raises(InvalidArgumentError, match="compute_dtype"):
        FitConfig(compute_dtype="float16")


def test_compiled_functions_of_one_type_are_not_taken_for_the_other():
    model, inputs = tiny_mlp(), jnp.asarray(examples(16).inputs, jnp.float32) / 255
    variables = initial(model)
    before = run(model, variables, inputs)[0]
    with products("bfloat16"):
        rounded = run(model, variables, inputs)[0]
    assert 0 < np.abs(before - rounded).max() < 0.1
    np.testing.assert_array_equal(run(model, variables, inputs)[0], before)
