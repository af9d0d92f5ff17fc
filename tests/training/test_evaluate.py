import jax
import numpy as np
import pytest
from training_nets import CNN, examples, initial, tiny_mlp

from reds_jax.errors import InvalidArgumentError, WidthError
from reds_jax.lowering import lowering
from reds_jax.training import Metric, classification, evaluate, recalibrate
from reds_jax.training.evaluate import _batch

WIDTHS = (0.5, 1.0)
LOSS = classification().loss
MODEL, SPLIT = tiny_mlp(), examples(37)
DATA = SPLIT.inputs, SPLIT.targets


@pytest.fixture(scope="module")
def trained():
    variables = initial(MODEL)
    return variables["params"], recalibrate(MODEL, variables, WIDTHS, DATA[0], key=jax.random.key(0))


@pytest.mark.parametrize("batch_size", [1, 8, 36, 37, 100])
def test_every_example_counts_once(trained, batch_size):
    params, stats = trained
    found = evaluate(MODEL, params, stats, WIDTHS, *DATA, batch_size=batch_size)
    for width, own, result in zip(WIDTHS, stats, found, strict=True):
        logits = MODEL.apply({"params": params, "batch_stats": own}, DATA[0] / np.float32(255), width)
        assert result.examples == 37
        assert result.accuracy == result.metric == int((np.asarray(logits).argmax(-1) == DATA[1]).sum()) / 37
        assert result.reported == Metric("accuracy", "%", True)
        assert result.loss == pytest.approx(float(LOSS(logits, DATA[1]).mean()), rel=1e-5)


def test_the_images_that_fill_up_the_last_batch_do_not_count(trained):
    params, stats = trained
    logits = MODEL.apply({"params": params, "batch_stats": stats[1]}, DATA[0] / np.float32(255), 1.0)
    answers = np.asarray(logits).argmax(-1)  # with these as labels every image is right, the repeated one too
    (result,) = evaluate(MODEL, params, stats[1:], (1.0,), DATA[0], answers, batch_size=8)
    assert (result.accuracy, result.examples) == (1.0, 37)


def test_each_subnetwork_is_run_with_its_own_statistics(trained):
    params, stats = trained
    own, swapped = (evaluate(MODEL, params, s, WIDTHS, *DATA) for s in (stats, stats[::-1]))
    assert own[0].loss != swapped[0].loss


def test_a_second_evaluation_compiles_nothing(trained):
    params, stats = trained
    evaluate(MODEL, params, stats, WIDTHS, *DATA)
    before = _batch._cache_size()
    evaluate(tiny_mlp(), params, stats, WIDTHS, *DATA)
    assert _batch._cache_size() == before
    evaluate(MODEL, params, stats, WIDTHS, *DATA, batch_size=10)
    before = _batch._cache_size()
    evaluate(MODEL, params, stats, WIDTHS, DATA[0][:25], DATA[1][:25], batch_size=10)  # nor does a smaller split
    assert _batch._cache_size() == before
    evaluate(MODEL, params, stats, WIDTHS, *DATA)
    before = _batch._cache_size()
    with lowering("lax"):  # another form of the operations is another program
        evaluate(MODEL, params, stats, WIDTHS, *DATA)
    assert _batch._cache_size() == before + 2


def test_wrong_arguments_are_named(trained):
    params, stats = trained
    with pytest.raises(InvalidArgumentError, match="statistics for each"):
        evaluate(MODEL, params, stats[:1], WIDTHS, *DATA)
    with pytest.raises(InvalidArgumentError, match=r"inputs and targets differ in number; got \(37, 36\)"):
        evaluate(MODEL, params, stats, WIDTHS, DATA[0], DATA[1][:-1])
    with pytest.raises(InvalidArgumentError, match="inputs are empty"):
        evaluate(MODEL, params, stats, WIDTHS, DATA[0][:0], DATA[1][:0])
    with pytest.raises(WidthError):
        evaluate(MODEL, params, stats, (0.5, 1.5), *DATA)
    with pytest.raises(InvalidArgumentError, match="this is no model"):
        evaluate([], params, stats, WIDTHS, *DATA)
    with pytest.raises(InvalidArgumentError, match="CNN cannot be hashed.*tuples"):
        evaluate(CNN(kernel=np.ones(2)), params, stats, WIDTHS, *DATA)
