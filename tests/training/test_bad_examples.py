"""Examples that do not suit the network or the objective are refused at every entrance, before anything runs."""

from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest
from training_nets import CLASSES, examples, initial, tiny_dnn, tiny_mlp

import reds_jax
from reds_jax import importance
from reds_jax.data import DataSet, Normalise, Split, Stream
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.program.flat import leaf_path
from reds_jax.training import FitConfig, TrainState, binary, evaluate, fit, make_train_step, recalibrate, regression

pytestmark = pytest.mark.usefixtures("as_users_write")

MODEL, GOOD = tiny_dnn(), examples(40)
VARIABLES = initial(MODEL)
NORMED = tiny_mlp()
NORMED_VARIABLES = initial(NORMED)
NORMED_GRAPH = reds_jax.trace(NORMED, NORMED_VARIABLES, GOOD.images[:1].astype(np.float32))
DATA = DataSet("good", GOOD, GOOD, GOOD)
CONFIG = FitConfig(epochs=1, batch_size=10, steps_per_dispatch=4)


def relabelled(label, row=17):
    labels = GOOD.labels.copy()
    labels[row] = label
    return Split(GOOD.images, labels)


def good(options):
    """Examples that suit the objective."""
    return Split(GOOD.images, np.zeros((40, CLASSES))) if "objective" in options else GOOD


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


def by_score(split, normalise=None, **options):
    graph = reds_jax.trace(MODEL, VARIABLES, GOOD.images[:1].astype(np.float32))
    return importance.score("taylor", MODEL, VARIABLES, graph, [(split.inputs, split.targets)], preprocess=normalise, **options)


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


def by_recalibrate(split, **options):
    return recalibrate(NORMED, NORMED_VARIABLES, (1.0,), split.inputs, key=jax.random.key(0), **options)


def test_inputs_to_recalibrate_with():
    images = GOOD.images.astype(np.float32)
    images[3] = np.inf
    for bad in (images, jax.numpy.asarray(images)):
        with pytest.raises(InvalidArgumentError, match="inputs to recalibrate with.*row 3"):
            by_recalibrate(SimpleNamespace(inputs=bad))


@pytest.mark.parametrize("entrance", [*ENTRANCES, by_recalibrate], ids=lambda f: f.__name__)
@pytest.mark.parametrize("normalise", [Normalise.unit(1), Normalise.standard(GOOD.images)], ids=["unit", "standard"])
@pytest.mark.parametrize("on_device", [False, True], ids=["host", "device"])
def test_pixels_that_would_be_divided_by_255_twice_are_refused(entrance, normalise, on_device):
    inputs = normalise(GOOD.images)
    split = SimpleNamespace(inputs=jax.numpy.asarray(inputs) if on_device else inputs, targets=GOOD.targets)
    with pytest.raises(InvalidArgumentError, match=r"inputs.* are normalised already.*; got 'float32 from .*; allowed: pixels"):
        entrance(split, normalise=normalise)


def test_float_pixels_on_the_scale_of_the_normalisation_are_none_of_these():
    split = Split(GOOD.images.astype(np.float32), GOOD.labels)
    a, b = (by_evaluate(s, normalise=Normalise.unit(1)) for s in (split, GOOD))
    assert a == b


VARIABLES_ENTRANCES = [
    lambda v: fit(NORMED, v, (1.0,), GOOD, GOOD, CONFIG),
    lambda v: evaluate(NORMED, v["params"], [v["batch_stats"]], (1.0,), GOOD),
    lambda v: make_train_step(NORMED, optax.sgd(0.1), (1.0,))(
        TrainState.create(v, optax.sgd(0.1), 1, jax.random.key(0)), GOOD.inputs, GOOD.targets, np.zeros((1, 4), int)),
    lambda v: importance.score("taylor", NORMED, v, NORMED_GRAPH, [(GOOD.inputs, GOOD.targets)]),
    lambda v: importance.score("l1", NORMED, v, NORMED_GRAPH),
    lambda v: reds_jax.nest(NORMED, v, DATA, CONFIG),
]


@pytest.mark.parametrize("path", ["params/stem/kernel", "batch_stats/hidden_norm/var"])
@pytest.mark.parametrize("entrance", VARIABLES_ENTRANCES, ids=["fit", "evaluate", "step", "taylor", "l1", "nest"])
def test_variables_that_are_not_finite_are_named(entrance, path):
    with pytest.raises(InvalidArgumentError, match=f"the variable '{path}' has a value that is not finite; got '1 of"):
        entrance(spoilt(path))


def spoilt(path):
    """The variables with one NaN."""
    def spoil(place, leaf):
        return leaf.at[(0,) * leaf.ndim].set(np.nan) if leaf_path(place) == path else leaf

    return jax.tree_util.tree_map_with_path(spoil, NORMED_VARIABLES)


def test_the_statistics_of_every_subnetwork_are_looked_at():
    stats = [NORMED_VARIABLES["batch_stats"], spoilt("batch_stats/stem_norm/mean")["batch_stats"]]
    with pytest.raises(InvalidArgumentError, match="'batch_stats/0/stem_norm/mean'"):
        evaluate(NORMED, NORMED_VARIABLES["params"], stats, (1.0, 0.5), GOOD)


def test_recalibration_names_parameters_that_are_not_finite():
    with pytest.raises(InvalidArgumentError, match="'params/stem/bias' has a value that is not finite"):
        recalibrate(NORMED, spoilt("params/stem/bias"), (1.0,), GOOD, key=jax.random.key(0))


@everywhere
def test_labels_of_a_network_with_one_logit_need_the_binary_objective(entrance, monkeypatch):
    """With one output a softmax has nothing to choose from, whatever the labels are."""
    model = tiny_dnn(1)
    monkeypatch.setattr(f"{__name__}.MODEL", model)
    monkeypatch.setattr(f"{__name__}.VARIABLES", initial(model))
    for labels in (GOOD.labels % 2, np.zeros(40, np.int32)):
        with pytest.raises(InvalidArgumentError, match=r"one output has no classes.*objective=binary\(\)"):
            entrance(Split(GOOD.images, labels))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_nest_looks_at_all_splits_before_anything_runs(part):
    """A label of the test split is not found after the training."""
    splits = {"train": GOOD, "validation": GOOD, "test": GOOD, part: relabelled(CLASSES)}
    stages = []
    with pytest.raises(InvalidArgumentError, match=f"the {part}.* targets have a label that no .* in row 17; got 4"):
        reds_jax.nest(MODEL, VARIABLES, DataSet("bad", **splits), CONFIG, observe=lambda stage, found: stages.append(stage))
    assert stages == ["groups"]  # it said that it traces, and has found nothing


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
