"""The moving average of the weights that a teacher runs with."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_nets import WIDTHS, examples, initial, tiny_dnn

from reds_jax.errors import InvalidArgumentError
from reds_jax.run import run_nested
from reds_jax.training import FitConfig, Optimizer, TrainState, averaged, fit, learning_rate_of, make_train_step, nested_loss
from reds_jax.training.averaged import Averaged

ROWS = np.arange(16)[None]


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 0.99), st.lists(st.floats(-2, 2), min_size=1, max_size=6))
def test_the_average_is_the_weighted_sum_of_all_parameters_and_the_updates_are_the_optimizers(decay, gradients):
    plain, mine = optax.sgd(0.5, momentum=0.5), averaged(optax.sgd(0.5, momentum=0.5), decay)
    theta = jnp.array(1.0)
    a, b = plain.init(theta), mine.init(theta)
    expected = 1.0
    for g in gradients:
        one, a = plain.update(jnp.array(g), a, theta)
        two, b = mine.update(jnp.array(g), b, theta)
        assert one == two
        theta = optax.apply_updates(theta, two)
        expected = decay * expected + (1 - decay) * float(theta)
        assert float(b.average) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0])
def test_a_decay_is_below_one(decay):
    with pytest.raises(InvalidArgumentError, match="average"):
        averaged(optax.sgd(0.1), decay)
    with pytest.raises(InvalidArgumentError, match="average"):
        FitConfig(distill=0.5, distill_average=decay)


def test_an_average_without_a_student_is_refused():
    with pytest.raises(InvalidArgumentError, match="nothing is distilled"):
        FitConfig(distill_average=0.9)


@pytest.mark.slow
def test_the_others_learn_from_the_widest_at_the_average_of_its_weights(bench):
    optimizer = averaged(bench.optimizer, 0.9)
    state = TrainState.create(bench.variables, optimizer, len(WIDTHS), jax.random.key(0))
    average = jax.tree.map(lambda a: a + 0.2, state.params)
    state = replace(state, opt_state=Averaged(state.opt_state.inner, average))
    step = make_train_step(bench.model, optimizer, WIDTHS, distill=0.7)
    after, metrics = step(state, bench.data.inputs, bench.data.targets, ROWS)

    x, y = bench.data.images[ROWS[0]] / np.float32(255), jnp.asarray(bench.data.labels[ROWS[0]])
    widest = int(np.argmax(WIDTHS))
    taught = run_nested(bench.model, average, [state.batch_stats[0]], x, [WIDTHS[widest]], train=True, key=jax.random.key(0))

    def loss(params):
        outputs = [out for out, _ in run_nested(bench.model, params, state.batch_stats, x, WIDTHS, train=True,
                                                key=jax.random.key(0))]
        return nested_loss(outputs, y, distill=0.7, teacher=widest, taught=taught[0][0])[0]

    total, gradient = jax.value_and_grad(loss)(state.params)
    np.testing.assert_allclose(metrics["objective"][0], total, rtol=1e-5)
    for before, new, g in zip(*map(jax.tree.leaves, (state.params, after.params, gradient)), strict=True):
        np.testing.assert_allclose((before - new) / 0.1, g, rtol=1e-3, atol=1e-5)
    for a, old, new in zip(*map(jax.tree.leaves, (after.opt_state.average, average, after.params)), strict=True):
        np.testing.assert_allclose(a, 0.9 * old + 0.1 * new, rtol=1e-5, atol=1e-6)
    plain = bench.run(ROWS, distill=0.7)[1]
    assert abs(float(plain["objective"][0] - total)) > 1e-3  # another teacher, another loss


def test_fit_keeps_the_average_in_its_checkpoints(quiet, tmp_path):
    model, config = tiny_dnn(), FitConfig(epochs=1, batch_size=16, steps_per_dispatch=2, distill=0.5, distill_average=0.5,
                                          optimizer=Optimizer(), recalibrate_batches=0)
    args = (model, initial(model), (0.5, 1.0), examples(48), examples(16, 1), config)
    first = fit(*args, folder=tmp_path, console=quiet)
    again = fit(*args, folder=tmp_path, console=quiet)
    assert learning_rate_of(first.state.opt_state) == pytest.approx(1e-3)
    for a, b, theta in zip(*map(jax.tree.leaves, (first.state.opt_state.average, again.state.opt_state.average,
                                                  first.state.params)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, theta)
