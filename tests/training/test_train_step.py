import math
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from training_nets import LOSS, WIDTHS, examples, initial, tiny_dnn

from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.training import Objective, TrainState, make_train_step, nested_loss, subnetwork_weights
from reds_jax.training.sandwich import sandwich_choices, widest_first
from reds_jax.widths import Widths

ROWS = np.arange(48).reshape(3, 16)
REST = np.full((2, 16), -1)
ONE = np.concatenate([ROWS[:1], REST])  # one step, in the shape of three


def close(a, b, rtol=1e-5, atol=1e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def gradient(bench, new):
    """With plain SGD at rate 0.1 the gradient is the change of the parameters."""
    return jax.tree.map(lambda a, b: (a - b) / 0.1, bench.variables["params"], new.params)


@pytest.fixture(scope="module")
def separate(bench):
    return [bench.alone(width, ROWS[0]) for width in WIDTHS]


def check_nested(bench, separate, new, metrics, pi):
    """One step against the subnetworks by themselves: gradient, statistics and metrics."""
    expected = jax.tree.map(lambda *g: sum(p * x for p, x in zip(pi, g, strict=True)), *(s[0] for s in separate))
    close(gradient(bench, new), expected, rtol=1e-3, atol=5e-6)
    close(new.batch_stats, tuple(s[2] for s in separate))
    labels = bench.data.labels[ROWS[0]]
    losses = [float(LOSS(s[1], labels).mean()) for s in separate]
    np.testing.assert_allclose(metrics["loss"], losses, rtol=1e-5)
    np.testing.assert_allclose(metrics["metric"], [(s[1].argmax(-1) == labels).mean() for s in separate], rtol=1e-6)
    np.testing.assert_allclose(metrics["objective"][0], np.dot(pi, losses), rtol=1e-5)
    norm = math.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(expected)))
    np.testing.assert_allclose(metrics["grad_norm"][0], norm, rtol=1e-4)


@pytest.mark.parametrize(("options", "pi"), [
    ({}, (1 / 3, 1 / 3, 1 / 3)),
    ({"weights": "sqrt_params", "sizes": (4, 16, 1)}, (2 / 7, 4 / 7, 1 / 7)),
    pytest.param({"share": False, "weights": (3.0, 2.0, 5.0)}, (0.3, 0.2, 0.5), marks=pytest.mark.slow),
])
def test_the_nested_gradient_is_the_weighted_mean_of_separate_gradients(bench, separate, options, pi):
    check_nested(bench, separate, *bench.run(ONE, **options), pi)


@pytest.mark.slow
def test_the_nested_gradient_of_a_convolutional_network(conv_bench, optimised):
    separate = [conv_bench.alone(width, ROWS[0]) for width in WIDTHS]
    check_nested(conv_bench, separate, *conv_bench.run(ONE), (1 / 3, 1 / 3, 1 / 3))


def test_sharing_changes_nothing(conv_bench, optimised):
    (a, shared), (b, plain) = conv_bench.run(ONE), conv_bench.run(ONE, share=False)
    close((a.params, a.batch_stats, shared), (b.params, b.batch_stats, plain), rtol=1e-4, atol=2e-6)


def test_k_steps_in_one_dispatch_are_k_single_steps(bench):
    step, state = bench.step(), bench.state()
    for row in ROWS:
        state, _ = step(state, bench.data.inputs, bench.data.targets, np.concatenate([row[None], REST]))
    together, metrics = step(bench.state(), bench.data.inputs, bench.data.targets, ROWS)
    equal((state.params, state.batch_stats), (together.params, together.batch_stats))
    assert int(state.step) == int(together.step) == 3
    assert np.all(np.asarray(metrics["objective"]) > 0)


def test_skipped_rows_do_nothing(bench):
    new, metrics = bench.run(ONE)
    short, single = bench.run(ROWS[:1])  # compiled for one step
    close((new.params, new.batch_stats), (short.params, short.batch_stats))
    np.testing.assert_allclose(metrics["loss"], single["loss"], rtol=1e-5)
    np.testing.assert_array_equal(metrics["objective"][1:], 0)
    assert int(new.step) == 1


def test_ordinary_training_is_a_single_width(bench, separate):
    new, _ = bench.run(ONE, widths=(1.0,))
    close(gradient(bench, new), separate[WIDTHS.index(1.0)][0], rtol=1e-3, atol=5e-6)


def test_distillation_in_the_step_is_the_nested_loss(bench, separate):
    _, metrics = bench.run(ONE, distill=0.7)
    labels, (half, full, quarter) = bench.data.labels[ROWS[0]], [s[1] for s in separate]
    total, losses = nested_loss([full, half, quarter], labels, (1 / 3,) * 3, distill=0.7)  # the teacher is the widest
    np.testing.assert_allclose(metrics["objective"][0], total, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], [losses[1], losses[0], losses[2]], rtol=1e-5)


def test_the_key_decides(bench):
    options = {"augment": "flip_shift"}
    a, b, other = (bench.run(ROWS, seed=seed, widths=(1.0,), **options)[0].params for seed in (0, 0, 1))
    equal(a, b)
    assert not np.array_equal(a["stem"]["kernel"], other["stem"]["kernel"])


def test_a_network_without_batch_norm():
    model, data = tiny_dnn(), examples(32)
    state = TrainState.create(initial(model), optax.sgd(0.1), 2, jax.random.key(0))
    new, metrics = make_train_step(model, optax.sgd(0.1), (1.0, 0.5))(state, data.inputs, data.targets, ROWS[:1] % 32)
    assert new.batch_stats == ({}, {})
    assert bool(metrics["finite"])


def test_integer_widths(bench):
    half, quarter = (Widths.of({"stem": n, "hidden": m}) for n, m in ((6, 4), (3, 2)))
    (a, x), (b, y) = bench.run(ONE), bench.run(ONE, widths=(half, 1.0, quarter))
    close((a.params, a.batch_stats, x), (b.params, b.batch_stats, y))


def test_widest_first():
    small, large = Widths.of({"a": 2, "b": 3}), Widths.of({"a": 2, "b": 4})
    assert widest_first([small, 1.0, large]) == (1, 2, 0)
    assert widest_first([0.2, 0.9]) == (1, 0)
    with pytest.raises(InvalidArgumentError, match="cannot be compared"):
        widest_first([small, 0.5])
    with pytest.raises(WidthError):
        widest_first([1.5])
    with pytest.raises(InvalidArgumentError, match="no widths"):
        widest_first([])


FOUR = (0.75, 0.25, 1.0, 0.5)  # the largest and the smallest are not at the ends


def test_the_sandwich_always_has_the_largest_and_the_smallest_and_samples_the_rest(bench):
    step, state = bench.step(FOUR, sandwich=1), bench.state(4)
    seen = []
    for _ in range(12):
        before = state.batch_stats
        state, metrics = step(state, bench.data.inputs, bench.data.targets, ONE)
        took_part = ~np.isnan(metrics["loss"])
        moved = [not np.array_equal(a["stem_norm"]["mean"], b["stem_norm"]["mean"])
                 for a, b in zip(before, state.batch_stats, strict=True)]
        assert took_part.tolist() == moved  # the statistics of the others stay
        assert took_part[1]
        assert took_part[2]
        assert took_part.sum() == 3
        seen.append(int(took_part[0]))
    assert 0 < sum(seen) < 12  # both of the others are drawn


def test_the_sandwich_is_unbiased(bench):
    """The mean over its choices is the gradient of all: with one of two, choice A + choice B = 2 * all."""
    every = bench.run(ONE, widths=FOUR)[0].params
    found = {}
    for seed in range(12):
        new, metrics = bench.run(ONE, widths=FOUR, seed=seed, sandwich=1)
        found[tuple(np.isnan(metrics["loss"]).tolist())] = new.params
    assert len(found) == 2
    close(jax.tree.map(lambda a, b: (a + b) / 2, *found.values()), every, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", range(1, 7))
def test_every_choice_of_the_sandwich_has_the_ends_and_the_right_mean(n):
    pi = subnetwork_weights(tuple(range(1, n + 1)), n)
    order = tuple(reversed(range(n)))
    for k in range(max(n - 1, 1)):
        choices = sandwich_choices(order, pi, k)
        assert all(c[0] == n - 1 and c[-1] == 0 and len(c) == min(n, k + 2) for c, _ in choices)
        mean = np.zeros(n)
        for choice, factors in choices:
            mean[list(choice)] += np.array(factors) / len(choices)
        np.testing.assert_allclose(mean, pi if k else [p if i in (0, n - 1) else 0 for i, p in enumerate(pi)])


@pytest.mark.parametrize(("options", "message"), [
    ({"sandwich": 2}, "sandwich is out of range"),
    ({"sandwich": True}, "sandwich is not an integer"),
    ({"distill": -0.1}, "distill is out of range"),
    ({"augment": "mirror"}, "unknown augmentation"),
    ({"weights": (1.0,)}, "one weight for each"),
])
def test_wrong_options_are_named_before_anything_is_compiled(bench, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make_train_step(bench.model, bench.optimizer, WIDTHS, **options)


def test_too_many_sets_for_the_sandwich(bench):
    with pytest.raises(InvalidArgumentError, match="too many sets"):
        make_train_step(bench.model, bench.optimizer, [i / 20 for i in range(1, 21)], sandwich=3)


@pytest.mark.parametrize(("subnetworks", "labels", "rows", "message"), [
    (2, np.zeros(64, int), ROWS, "another number of subnetworks"),
    (3, np.zeros(63, int), ROWS, "differ in number"),
    (3, np.zeros(64, int), ROWS[0], "indices have the wrong form"),
    (3, np.zeros(64, int), ROWS * 1.0, "indices have the wrong form"),
])
def test_arrays_that_do_not_fit_are_named(bench, subnetworks, labels, rows, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make_train_step(bench.model, bench.optimizer, WIDTHS)(bench.state(subnetworks), bench.data.images, labels, rows)


@pytest.mark.parametrize(("variables", "names"), [({"batch_stats": {}}, "['batch_stats']"),
                                                  ({"params": {}, "cache": {}}, "['cache', 'params']")])
def test_variables_of_another_kind(variables, names):
    with pytest.raises(InvalidArgumentError, match=re.escape(f"these are no variables of a model; got {names}")):
        TrainState.create(variables, optax.sgd(0.1), 1, jax.random.key(0))


def test_a_loss_that_is_not_finite_is_reported(bench):
    state = bench.state()
    bad = jax.tree.map(lambda x: x.at[...].set(jnp.nan), state.params["logits"])
    state = replace(state, params={**state.params, "logits": bad})
    bench.run(ROWS)  # the first call refuses such parameters
    _, metrics = bench.step()(state, bench.data.inputs, bench.data.targets, ROWS)
    assert np.isnan(metrics["objective"]).all()
    assert not bool(metrics["finite"])


def test_a_loss_that_is_not_finite_is_reported_where_its_gradient_is():
    """The parameters stay finite, and the step was none that was asked for."""
    def loss(y, t):
        return (y**2).mean(1) + jax.lax.stop_gradient(jnp.log(-jnp.ones(len(y))))

    model, data = tiny_dnn(), examples(8)
    objective, optimizer = Objective("log of a negative", loss, loss, "loss"), optax.sgd(0.1)
    state = TrainState.create(initial(model), optimizer, 1, jax.random.key(0))
    step = make_train_step(model, optimizer, (1.0,), objective=objective)
    state, metrics = step(state, data.inputs, data.targets, np.arange(8).reshape(1, 8))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert not bool(metrics["finite"])
