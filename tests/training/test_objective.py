"""Objectives: their formulas against NumPy, one value per example, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.errors import InvalidArgumentError
from reds_jax.training import Metric, Objective, binary, classification, nested_loss, reconstruction, regression
from reds_jax.training.objective import default_objective

RNG = np.random.default_rng(0)
LOGITS, LABELS = RNG.normal(size=(7, 4)).astype(np.float32), np.array([0, 1, 2, 3, 3, 1, 0])
DENSE, PIXELS = RNG.normal(size=(5, 3, 2, 4)).astype(np.float32), RNG.integers(0, 4, (5, 3, 2))
NUMBERS, WANTED = RNG.normal(size=(6, 3)).astype(np.float32), RNG.normal(size=(6, 3)).astype(np.float32)
TEACHER = RNG.normal(size=(7, 4)).astype(np.float32)


def log_softmax(x):
    x = np.asarray(x, np.float64)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def nll(logits, labels):
    return -np.take_along_axis(log_softmax(logits), labels[..., None], -1)[..., 0]


HUBER = np.where(abs(NUMBERS - WANTED) <= 1, (NUMBERS - WANTED) ** 2 / 2, abs(NUMBERS - WANTED) - 0.5).mean(1)
BINARY = -np.log(np.where(LABELS % 2, sigmoid(LOGITS[:, 0]), sigmoid(-LOGITS[:, 0])))
CASES = {  # objective, outputs, targets, loss [N], metric [N]
    "classes": (classification(), LOGITS, LABELS, nll(LOGITS, LABELS), LOGITS.argmax(1) == LABELS),
    "smoothed": (classification(label_smoothing=0.2), LOGITS, LABELS,
                 -(log_softmax(LOGITS) * (0.8 * np.eye(4)[LABELS] + 0.2 / 4)).sum(1), LOGITS.argmax(1) == LABELS),
    "weighted": (classification(class_weights=(1, 2, 0.5, 3)), LOGITS, LABELS,
                 np.array([1, 2, 0.5, 3])[LABELS] * nll(LOGITS, LABELS), LOGITS.argmax(1) == LABELS),
    "dense": (classification(4), DENSE, PIXELS, nll(DENSE, PIXELS).mean((1, 2)), (DENSE.argmax(-1) == PIXELS).mean((1, 2))),
    "binary [N]": (binary(), LOGITS[:, 0], LABELS % 2, BINARY, (LOGITS[:, 0] > 0) == LABELS % 2),
    "binary [N, 1]": (binary(), LOGITS[:, :1], LABELS % 2, BINARY, (LOGITS[:, 0] > 0) == LABELS % 2),
    "mse": (regression(), NUMBERS, WANTED, ((NUMBERS - WANTED) ** 2).mean(1), ((NUMBERS - WANTED) ** 2).mean(1)),
    "mae": (regression("mae"), NUMBERS, WANTED, abs(NUMBERS - WANTED).mean(1), abs(NUMBERS - WANTED).mean(1)),
    "huber": (regression("huber"), NUMBERS, WANTED, HUBER, abs(NUMBERS - WANTED).mean(1)),
    "one number": (regression(), NUMBERS[:, 0], WANTED[:, 0], (NUMBERS - WANTED)[:, 0] ** 2, (NUMBERS - WANTED)[:, 0] ** 2),
    "counts": (regression(), NUMBERS, WANTED.astype(np.int32), ((NUMBERS - WANTED.astype(int)) ** 2).mean(1), None),
    "images": (reconstruction(), DENSE, DENSE[::-1], ((DENSE - DENSE[::-1]) ** 2).mean((1, 2, 3)), None),
}


@pytest.mark.parametrize(("objective", "outputs", "targets", "loss", "metric"), CASES.values(), ids=CASES)
def test_values_per_example_are_the_formula(objective, outputs, targets, loss, metric):
    objective.check_form(outputs, targets)
    found = objective.loss(outputs, targets)
    assert found.shape == (len(outputs),)
    np.testing.assert_allclose(found, loss, rtol=2e-5, atol=1e-6)
    if metric is not None:
        np.testing.assert_allclose(objective.metric(outputs, targets), metric, rtol=1e-6)


@pytest.mark.parametrize(("weights", "seed"), [((1, 2, 3, 4), 0), ((4, 1, 1, 2), 1), ((3, 3, 1, 1), 2)])
def test_class_weights_are_repeated_examples(weights, seed):
    """Loss and gradient, summed over the examples, are those of a set where an example of class c stands w_c times."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(9, 5)).astype(np.float32), rng.integers(0, 4, 9)
    times = np.asarray(weights)[y]

    def total(objective, x, y):
        return jax.value_and_grad(lambda kernel: objective.loss(x @ kernel, y).sum())(jnp.ones((5, 4)) / 3)

    weighted = total(classification(class_weights=weights), x, y)
    repeated = total(classification(), np.repeat(x, times, 0), np.repeat(y, times))
    for a, b in zip(weighted, repeated, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("objective", "outputs", "expected"), [
    (classification(label_smoothing=0.3), LOGITS, -(np.exp(log_softmax(TEACHER)) * log_softmax(LOGITS)).sum(1)),
    (binary(), LOGITS[:, 0], -(sigmoid(TEACHER[:, 0]) * np.log(sigmoid(LOGITS[:, 0]))
                               + sigmoid(-TEACHER[:, 0]) * np.log(sigmoid(-LOGITS[:, 0])))),
    (regression("mae"), LOGITS, abs(LOGITS - TEACHER).mean(1)),
    (reconstruction(), LOGITS, ((LOGITS - TEACHER) ** 2).mean(1)),
])
def test_distillation_is_the_loss_against_the_teachers_outputs(objective, outputs, expected):
    teacher = TEACHER if outputs.ndim == 2 else TEACHER[:, 0]
    np.testing.assert_allclose(objective.distill(outputs, teacher), expected, rtol=1e-5)
    targets = {2: np.zeros_like(outputs), 1: np.ones(7)}[outputs.ndim] if objective.name != "classification" else LABELS
    total, _ = nested_loss([teacher, outputs], targets, (0.0, 1.0), objective=objective, distill=1.0)
    np.testing.assert_allclose(total, expected.mean(), rtol=1e-5)
    gradient = jax.grad(lambda t: nested_loss([t, outputs], targets, (0.0, 1.0), objective=objective, distill=1.0)[0])(teacher)
    assert not np.asarray(gradient).any()


def test_an_objective_of_ones_own():
    def distance(outputs, targets):
        return jnp.hypot(*(outputs["xy"] - targets).T) + outputs["extra"]

    own = Objective("position", distance, lambda y, t: jnp.hypot(*(y["xy"] - t).T), "distance", "mm")
    outputs = {"xy": NUMBERS[:, :2], "extra": jnp.ones(6)}
    total, losses = nested_loss([outputs, outputs], WANTED[:, :2], objective=own)
    expected = (np.hypot(*(NUMBERS - WANTED)[:, :2].T) + 1).mean()
    np.testing.assert_allclose([total, *losses], [expected] * 3, rtol=1e-6)
    assert own.reported == Metric("distance", "mm", False)
    with pytest.raises(InvalidArgumentError, match=r"'position' cannot be distilled; got 'distill=0.5'.*Objective\(distill="):
        nested_loss([outputs, outputs], WANTED[:, :2], objective=own, distill=0.5)
    scalar = Objective("wrong", lambda y, t: ((y - t) ** 2).mean(), lambda y, t: ((y - t) ** 2).mean(1), "error")
    with pytest.raises(InvalidArgumentError, match=r"loss of the objective 'wrong' has no value per example; got \[\]; all"):
        nested_loss([NUMBERS], WANTED, objective=scalar)
    whole = Objective("wrong", lambda y, t: ((y - t) ** 2).mean(1), lambda y, t: y - t, "error")
    with pytest.raises(InvalidArgumentError, match=r"metric of the objective 'wrong' has no value per example; got \[6, 3\]"):
        nested_loss([NUMBERS], WANTED, objective=whole)
    with pytest.raises(InvalidArgumentError, match=r"do not have the examples in front; got \[\[6, 3\], \[\]\]"):
        nested_loss([(NUMBERS, jnp.float32(1))], WANTED, objective=scalar)


def test_equal_objectives_are_one_static_argument():
    for make in (classification, binary, regression, reconstruction):
        assert make() == make()
        assert hash(make()) == hash(make())
    assert classification(class_weights=[1, 2]) == classification(class_weights=(1.0, 2.0))
    assert classification(label_smoothing=0.1) != classification()


@pytest.mark.parametrize(("objective", "outputs", "targets", "message"), [
    (classification(), LOGITS, LABELS[:, None], r"do not belong together; got \(\[7, 4\], 'int64 \[7, 1\]'\)"),
    (classification(), LOGITS, LABELS * 1.0, "float64"),
    (classification(), LOGITS[:, 0], LABELS, "do not belong together"),
    (classification(), DENSE, PIXELS[:, :, :1], "do not belong together"),
    (classification(5), LOGITS, LABELS, "another number of outputs than there are classes; got 4; allowed: 5"),
    (classification(class_weights=(1, 2)), LOGITS, LABELS, "another number of outputs.*got 4; allowed: 2"),
    (binary(), LOGITS, LABELS % 2, "do not belong together"),
    (binary(), LOGITS[:, :1], LABELS[:3] % 2, "do not belong together"),
    (regression(), NUMBERS[:, :1], WANTED[:, 0], r"different shapes; got \(\[6, 1\], \[6\]\).*targets\[:, None\]"),
    (regression(), NUMBERS[:, 0], WANTED[:, :1], "different shapes"),
    (regression(), NUMBERS, WANTED[:, :1], "nothing is broadcast"),
    (regression(), (NUMBERS, NUMBERS), WANTED, "takes one array of outputs; got 'tuple'"),
    (regression(), NUMBERS, {"a": WANTED}, "takes one array of targets; got 'dict'"),
])
def test_what_would_broadcast_is_refused(objective, outputs, targets, message):
    with pytest.raises(InvalidArgumentError, match=message):
        nested_loss([outputs], targets, objective=objective)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: classification(1), "classes is out of range"),
    (lambda: classification(3, class_weights=(1, 2)), "one weight for each class; got 2; allowed: 3"),
    (lambda: classification(class_weights=(1, 0)), "a class weight is out of range"),
    (lambda: classification(label_smoothing=1.0), "label_smoothing is out of range"),
    (lambda: classification(label_smoothing=-0.1), "label_smoothing is out of range"),
    (lambda: regression("l2"), "unknown loss; got 'l2'; allowed: mse, mae, huber"),
])
def test_wrong_options_are_named(make, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make()


def test_the_default_is_taken_only_where_there_is_no_doubt():
    assert default_objective(LABELS) == classification()
    for targets in (PIXELS, WANTED, LABELS * 1.0, None, {"y": LABELS}):
        with pytest.raises(InvalidArgumentError, match=r"do not tell what the objective is.*binary\(\), regression\(\)"):
            default_objective(targets)


def test_the_direction_of_a_metric():
    up, down = Metric("accuracy", "%", True), Metric("error")
    assert up.better(0.6, 0.5)
    assert not up.better(0.5, 0.5)
    assert down.better(0.5, 0.6)
    for metric in (up, down):
        assert metric.better(0.0, float("nan"))
        assert not metric.better(float("nan"), 0.0)
    assert (up.label, down.label, Metric("mean squared error").slug) == ("accuracy %", "error", "mean_squared_error")
    assert down.text(float("nan")) == "-"
