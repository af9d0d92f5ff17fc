import jax
import numpy as np
import pytest
from training_nets import examples, initial, tiny_dnn

from reds_jax.errors import InvalidArgumentError
from reds_jax.training import Optimizer, Schedule, TrainState, learning_rate_of, make_train_step

PIECEWISE = Schedule("piecewise", boundaries=(2, 4), values=(0.4, 0.2, 0.05))
ROWS = np.tile(np.arange(16), (6, 1))
MODEL, SPLIT = tiny_dnn(), examples(16)
DATA = SPLIT.inputs, SPLIT.targets


@pytest.fixture(scope="module")
def variables():
    return initial(MODEL)


def test_schedules_are_their_equations():
    piecewise = [float(PIECEWISE.build()(t)) for t in range(6)]
    np.testing.assert_allclose(piecewise, [0.4, 0.4, 0.2, 0.2, 0.05, 0.05])
    cosine = Schedule("cosine", learning_rate=0.1, warmup_steps=4, total_steps=14, end_fraction=0.1).build()
    expected = [0.1 * t / 4 for t in range(4)]
    expected += [0.1 * (0.1 + 0.9 * (1 + np.cos(np.pi * (t - 4) / 10)) / 2) for t in range(4, 15)] + [0.01]
    np.testing.assert_allclose([float(cosine(t)) for t in range(16)], expected, rtol=1e-5, atol=1e-9)
    assert float(Schedule("cosine", learning_rate=0.1, total_steps=5).build()(0)) == pytest.approx(0.1)
    assert float(Schedule(learning_rate=0.3).build()(99)) == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_the_learning_rate_really_advances_in_the_compiled_step(variables, name):
    """Steps of the same network at another rate: the updates scale with it, within a dispatch and between dispatches."""
    options = {"adam": {}, "adamw": {"weight_decay": 0.1}, "sgd": {"momentum": 0.0}}[name]

    def changes(schedule):
        optimizer = Optimizer(name, schedule, **options).build()
        state = TrainState.create(variables, optimizer, 1, jax.random.key(0))
        step = make_train_step(MODEL, optimizer, (1.0,))
        result = []
        for t in range(6):
            # The same parameters in every step, so that nothing but the learning rate (and Adam's memory) can differ.
            fixed = TrainState(variables["params"], state.batch_stats, state.opt_state, state.step, state.key)
            state, _ = step(fixed, *DATA, ROWS[t : t + 1])
            change = jax.tree.map(lambda a, b: a - b, state.params, variables["params"])
            result.append((learning_rate_of(state.opt_state), change))
        return result

    constant = changes(Schedule(learning_rate=0.1))
    rates = [0.4, 0.4, 0.2, 0.2, 0.05, 0.05]
    for expected, (rate, change), (_, reference) in zip(rates, changes(PIECEWISE), constant, strict=True):
        assert rate == pytest.approx(expected)
        for a, b in zip(jax.tree.leaves(change), jax.tree.leaves(reference), strict=True):
            np.testing.assert_allclose(a, b * (expected / 0.1), rtol=1e-3, atol=2e-6)


def test_the_learning_rate_advances_within_one_dispatch(variables):
    optimizer = Optimizer("sgd", PIECEWISE).build()
    state = TrainState.create(variables, optimizer, 1, jax.random.key(0))
    step = make_train_step(MODEL, optimizer, (1.0,))
    rates = []
    for _ in range(2):
        state, _ = step(state, *DATA, ROWS[:3])
        rates.append(learning_rate_of(state.opt_state))
    assert rates == pytest.approx([0.2, 0.05])  # of steps 2 and 5


def test_weight_decay_and_momentum_reach_the_optimizer(variables):
    params = variables["params"]
    zero = jax.tree.map(lambda x: 0 * x, params)
    decay = Optimizer("adamw", Schedule(learning_rate=0.1), weight_decay=0.5).build()
    updates, _ = decay.update(zero, decay.init(params), params)
    np.testing.assert_allclose(updates["stem"]["kernel"], -0.05 * params["stem"]["kernel"], rtol=1e-6)
    heavy = Optimizer("sgd", Schedule(learning_rate=1.0), momentum=0.5).build()
    one = jax.tree.map(lambda x: 0 * x + 1, params)
    state = heavy.init(params)
    for expected in (-1.0, -1.5, -1.75):
        updates, state = heavy.update(one, state, params)
        np.testing.assert_allclose(updates["stem"]["bias"], expected)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Schedule("linear"), "unknown schedule"),
    (lambda: Schedule(learning_rate=0.0), "learning_rate is out of range"),
    (lambda: Schedule(learning_rate=float("nan")), "learning_rate is out of range"),
    (lambda: Schedule("piecewise", boundaries=(3,), values=(0.1,)), "wrong number of values"),
    (lambda: Schedule("piecewise", boundaries=(3, 3), values=(0.1, 0.1, 0.1)), "not ascending"),
    (lambda: Schedule(values=(0.1,)), "belong to the piecewise"),
    (lambda: Schedule("cosine"), "needs total_steps"),
    (lambda: Schedule("cosine", warmup_steps=5, total_steps=5), "total_steps is out of range"),
    (lambda: Schedule(total_steps=5), "belong to the cosine"),
    (lambda: Optimizer("lamb"), "unknown optimizer"),
    (lambda: Optimizer(weight_decay=0.1), "weight_decay does not belong"),
    (lambda: Optimizer(nesterov=True), "nesterov does not belong"),
    (lambda: Optimizer("sgd", momentum=1.0), "momentum is out of range"),
])
def test_wrong_configurations_are_named(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()
