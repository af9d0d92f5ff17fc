import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.errors import InvalidArgumentError
from reds_jax.training import classification, nested_loss, subnetwork_weights

LOGITS = [jnp.array(np.random.default_rng(i).normal(size=(6, 4)), jnp.float32) for i in range(3)]
LABELS = jnp.array([0, 1, 2, 3, 0, 1])


def softmax_cross_entropy(logits, labels):
    return classification().loss(logits, labels).mean()


def soft_cross_entropy(logits, teacher):
    return classification().distill(logits, teacher).mean()


def _cross_entropy(targets, logits):
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return float(-(targets * np.log(p)).sum(-1).mean())


def test_cross_entropies_are_their_equations():
    y, teacher = (np.asarray(x, np.float64) for x in LOGITS[:2])
    soft = np.exp(teacher) / np.exp(teacher).sum(-1, keepdims=True)
    assert softmax_cross_entropy(LOGITS[0], LABELS) == pytest.approx(_cross_entropy(np.eye(4)[LABELS], y), rel=1e-5)
    assert soft_cross_entropy(LOGITS[0], LOGITS[1]) == pytest.approx(_cross_entropy(soft, y), rel=1e-5)


def test_the_loss_is_the_weighted_mean():
    total, losses = nested_loss(LOGITS, LABELS, (0.5, 0.25, 0.25))
    each = [float(softmax_cross_entropy(y, LABELS)) for y in LOGITS]
    np.testing.assert_allclose(losses, each, rtol=1e-6)
    assert total == pytest.approx(0.5 * each[0] + 0.25 * each[1] + 0.25 * each[2], rel=1e-6)


@pytest.mark.parametrize("d", [0.3, 1.0])
def test_distillation_mixes_labels_and_teacher(d):
    total, losses = nested_loss(LOGITS, LABELS, (0.5, 0.25, 0.25), distill=d)
    each = [float(softmax_cross_entropy(y, LABELS)) for y in LOGITS]
    soft = [float(soft_cross_entropy(y, LOGITS[0])) for y in LOGITS]
    expected = 0.5 * each[0] + sum(0.25 * ((1 - d) * each[i] + d * soft[i]) for i in (1, 2))
    assert total == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(losses, each, rtol=1e-6)  # what is reported stays the cross-entropy with the labels


@pytest.mark.parametrize("d", [0.3, 1.0])
def test_no_gradient_of_distillation_reaches_the_teacher(d):
    gradient = jax.grad(lambda teacher: nested_loss([teacher, *LOGITS[1:]], LABELS, (0.5, 0.3, 0.2), distill=d)[0])
    alone = jax.grad(lambda teacher: 0.5 * softmax_cross_entropy(teacher, LABELS))
    np.testing.assert_allclose(gradient(LOGITS[0]), alone(LOGITS[0]), rtol=1e-6)


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=6))
def test_weights_are_positive_and_sum_to_one(sizes):
    for weights in (
        subnetwork_weights("uniform", len(sizes)),
        subnetwork_weights("sqrt_params", len(sizes), sizes=sizes),
        subnetwork_weights(sizes, len(sizes)),
    ):
        assert min(weights) > 0
        assert sum(weights) == pytest.approx(1)


def test_sqrt_params_does_not_depend_on_the_unit_of_the_sizes():
    counts = subnetwork_weights("sqrt_params", 3, sizes=(900, 400, 100))
    assert counts == pytest.approx((3 / 6, 2 / 6, 1 / 6))
    assert subnetwork_weights("sqrt_params", 3, sizes=(1, 4 / 9, 1 / 9)) == pytest.approx(counts)


@pytest.mark.parametrize(("kind", "sizes", "message"), [
    ("squares", None, "unknown weights"),
    ("sqrt_params", None, "needs the sizes"),
    ("sqrt_params", (1, 2), "one size for each"),
    ("sqrt_params", (1, 2, 0), "a size is out of range"),
    ((1, 2), None, "one weight for each"),
    ((1, 2, 0), None, "a weight is out of range"),
    ((1, 2, float("nan")), None, "a weight is out of range"),
])
def test_wrong_weights_are_named(kind, sizes, message):
    with pytest.raises(InvalidArgumentError, match=message):
        subnetwork_weights(kind, 3, sizes=sizes)


@pytest.mark.parametrize(("weights", "distill"), [((1.0,), 0.0), ((0.4, 0.3, 0.3), 1.5)])
def test_wrong_arguments_of_the_loss(weights, distill):
    with pytest.raises(InvalidArgumentError):
        nested_loss(LOGITS, LABELS, weights, distill=distill)
