"""Examples that do not suit the network or the objective are refused at every entrance, before anything runs."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from training_nets import CLASSES, examples, initial, tiny_dnn

import reds_jax
from reds_jax import importance
from reds_jax.data import Split, Stream
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.training import FitConfig, TrainState, binary, evaluate, fit, make_train_step, recalibrate, regression

pytestmark = pytest.mark.usefixtures("as_users_write")

MODEL, GOOD = tiny_dnn(), examples(40)
VARIABLES = initial(MODEL)
CONFIG = FitConfig(epochs=1, batch_size=10, steps_per_dispatch=4)


def relabelled(label, row=17):
    labels = GOOD.labels.copy()
    labels[row] = label
    return Split(GOOD.images, labels)


def good(options):
    """Examples that suit the objective."""
    return Split(GOOD.images, np.zeros((40, CLASSES))) if options else GOOD


def by_fit(split, **options):
    return fit(MODEL, VARIABLES, (1.0,), split, good(options), CONFIG, **options)


def by_validation(split, **options):
    return fit(MODEL, VARIABLES, (1.0,), good(options), split, CONFIG, **options)


def by_evaluate(split, **options):
    return evaluate(MODEL, VARIABLES["params"], [{}], (1.0,), split.inputs, split.targets, **options)


def by_step(split, **options):
    optimizer = optax.sgd(0.1)
    state = TrainState.create(VARIABLES, optimizer, 1, jax.random.key(0))
    return make_train_step(MODEL, optimizer, (1.0,), **options)(state, split.inputs, split.targets, np.zeros((1, 4), int))


def by_score(split, **options):
    graph = reds_jax.trace(MODEL, VARIABLES, GOOD.images[:1].astype(np.float32))
    return importance.score("taylor", MODEL, VARIABLES, graph, [(split.inputs, split.targets)], **options)


def by_evaluated_stream(split, **options):
    return evaluate(MODEL, VARIABLES["params"], [{}], (1.0,), batches_of(split), **options)


def by_stream(split, **options):
    return fit(MODEL, VARIABLES, (1.0,), batches_of(split), good(options), CONFIG, **options)


def batches_of(split):
    return Stream(lambda: ((split.inputs[i : i + 10], split.targets[i : i + 10]) for i in range(0, len(split.inputs), 10)))


ENTRANCES = (by_fit, by_validation, by_evaluate, by_step, by_score, by_stream, by_evaluated_stream)
everywhere = pytest.mark.parametrize("entrance", ENTRANCES, ids=lambda f: f.__name__)
WHAT = {by_fit: "training targets", by_validation: "validation targets", by_evaluate: "targets", by_step: "training targets",
        by_score: "targets of scoring batch 0", by_stream: "targets of the stream 'stream', pass 0, batch 1",
        by_evaluated_stream: "targets of the stream 'stream', batch 1"}


@everywhere
@pytest.mark.parametrize("label", [CLASSES, -1])
def test_a_label_that_no_output_stands_for_is_named_with_its_row(entrance, label):
    row = 7 if "stream" in entrance.__name__ else 17  # row 7 of batch 1
    message = f"the {WHAT[entrance]} have a label that no output stands for in row {row}; got {label}; allowed: 0 to 3, as " \
              "the network has 4 outputs"
    with pytest.raises(InvalidArgumentError, match=message):
        entrance(relabelled(label))


@everywhere
def test_targets_that_would_broadcast_are_refused(entrance):
    with pytest.raises(InvalidArgumentError, match=r"targets.*: .*different shapes; got \(\[2, 4\], \[2, 1\]\)"):
        entrance(Split(GOOD.images, GOOD.labels[:, None] * 1.0), objective=regression())


@everywhere
def test_too_many_outputs_for_a_binary_objective(entrance):
    with pytest.raises(InvalidArgumentError, match="one output for each label"):
        entrance(GOOD, objective=binary())


@pytest.mark.parametrize("entrance", [e for e in ENTRANCES if e is not by_validation], ids=lambda f: f.__name__)
def test_targets_that_do_not_tell_the_objective(entrance):
    with pytest.raises(InvalidArgumentError, match="do not tell what the objective is"):
        entrance(Split(GOOD.images, GOOD.labels[:, None] * 1.0))


@everywhere
@pytest.mark.parametrize("kind", ["inputs", "targets"])
def test_a_value_that_is_not_finite(entrance, kind):
    inputs, targets = GOOD.images.astype(np.float32), np.zeros((40, CLASSES), np.float32)
    (inputs if kind == "inputs" else targets)[17, 2] = np.nan
    split = SimpleNamespace(inputs=inputs, targets=targets)
    with pytest.raises((InvalidArgumentError, DataError), match=rf"{kind}.*row (17|7)|batch 1.*{kind}.*row 7"):
        entrance(split, objective=regression())


@pytest.mark.parametrize("entrance", [by_fit, by_validation, by_evaluate, by_step, by_score], ids=lambda f: f.__name__)
def test_as_many_targets_as_inputs(entrance):
    with pytest.raises(InvalidArgumentError, match=r"differ in number; got \(40, 39\)"):
        entrance(SimpleNamespace(inputs=GOOD.images, targets=GOOD.labels[:-1]))


def test_inputs_to_recalibrate_with():
    images = GOOD.images.astype(np.float32)
    images[3] = np.inf
    for bad in (images, jax.numpy.asarray(images)):
        with pytest.raises(InvalidArgumentError, match="inputs to recalibrate with.*(row 3|not finite)"):
            recalibrate(MODEL, VARIABLES, (1.0,), bad, key=jax.random.key(0))


def test_an_augmentation_that_would_leave_the_targets_behind(quiet):
    split = Split(GOOD.images, np.zeros((40, 8, 8, 1), np.float32))
    with pytest.raises(InvalidArgumentError, match="would move the inputs and not the targets"):
        fit(scaled, {"params": {"a": np.ones(1, np.float32)}}, (1.0,), split, split, FitConfig(batch_size=10, augment="flip"),
            objective=regression(), console=quiet)


def scaled(variables, x):
    return x * variables["params"]["a"]


def test_under_a_jit_of_the_user_the_shapes_are_still_checked():
    optimizer = optax.sgd(0.1)
    state = TrainState.create(VARIABLES, optimizer, 1, jax.random.key(0))
    step, rows = make_train_step(MODEL, optimizer, (1.0,)), np.arange(8).reshape(2, 4)
    inside, _ = jax.jit(step)(state, GOOD.images, GOOD.labels, rows)
    outside, _ = step(state, GOOD.images, GOOD.labels, rows)
    np.testing.assert_allclose(inside.params["stem"]["kernel"], outside.params["stem"]["kernel"], rtol=1e-5)
    wrong = make_train_step(MODEL, optimizer, (1.0,), objective=regression())
    with pytest.raises(InvalidArgumentError, match="different shapes"):
        jax.jit(wrong)(state, GOOD.images, GOOD.labels[:, None] * 1.0, rows)
