"""The command that measures a saved network on other data, on a network that has not been trained."""

import json

import jax
import numpy as np
import pytest

import reds_jax
from reds_jax import data, models
from reds_jax.data import Normalise
from reds_jax.experiments.evaluate import main
from reds_jax.testing import random_variables

SCALE = Normalise((0.3,), (0.2,))
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
LABELS = np.arange(30) % 3


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What an experiment leaves: a network of three classes for images 8 x 8 x 1, normalised by its own scale."""
    folder = tmp_path_factory.mktemp("run")
    model = models.build("dnn_s", {"classes": 3})
    x = SCALE(IMAGES[:1])
    variables = random_variables(model, x)
    graph = reds_jax.trace(model, variables, x)
    widths = (graph.widths(0.25), graph.full_widths)
    network = reds_jax.NestedNetwork(model, variables["params"], ({}, {}), widths, tuple(map(graph.macs, widths)), x, SCALE,
                                     ("a", "b", "c"))
    network.save(folder / "model", architecture={"name": "dnn_s", "arguments": {"classes": 3}})
    options = {"data": "synthetic", "resolution": None, "seed": 0, "limit": 40}
    (folder / "config.json").write_text(json.dumps({"task": "fashion_mnist", "options": options}))
    return folder, network


def saved(path, images=IMAGES, labels=LABELS, names=("a", "b", "c")):
    np.savez(path, x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20], class_names=np.array(names))
    return f"npz:{path}"


def test_every_subnetwork_is_measured_on_the_given_data_with_the_scale_of_training(finished, tmp_path, capsys):
    """The data by themselves would be normalised by their own mean and deviation."""
    folder, network = finished
    spec, output = saved(tmp_path / "other.npz"), tmp_path / "result.json"
    main([str(folder), "--data", spec, "--output", str(output)])
    result = json.loads(output.read_text())
    assert result["data"] | {"fingerprint": ""} == {"source": f"fashion_mnist from {tmp_path / 'other.npz'}", "split": "test",
                                                    "examples": 20, "fingerprint": "", "synthetic": False,
                                                    "class_names": ["a", "b", "c"]}
    assert data.load("fashion_mnist", spec).normalise != SCALE
    shown = capsys.readouterr().out
    for k, found in enumerate(result["subnetworks"]):
        outputs = np.asarray(network.apply(k, SCALE(IMAGES[:20])))
        assert (found["macs"], found["widths"]) == (network.macs[k], list(network.widths[k].values_tuple()))
        assert found["metric"] == pytest.approx((outputs.argmax(-1) == LABELS[:20]).mean(), abs=1e-6)
        assert found["loss"] == pytest.approx(-np.take_along_axis(np.asarray(jax.nn.log_softmax(outputs)),
                                                                  LABELS[:20, None], 1).mean(), rel=1e-4)
        assert f"{network.macs[k]:,}" in shown
        assert f"{100 * found['metric']:.2f}" in shown


def test_more_devices_than_there_are_is_one_line(finished, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(finished[0]), "--data", saved(tmp_path / "a.npz"), "--devices", str(jax.device_count() + 1)])
    assert "there are fewer devices" in capsys.readouterr().err


def test_another_part_of_the_data(finished, tmp_path):
    output = tmp_path / "result.json"
    main([str(finished[0]), "--data", saved(tmp_path / "a.npz"), "--split", "validation", "--output", str(output)])
    assert json.loads(output.read_text())["data"]["examples"] == 3


@pytest.mark.parametrize(("change", "words"), [
    ({"images": IMAGES[:, :4]}, ["another shape than the network reads", "[4, 8, 1]", "[8, 8, 1]"]),
    ({"images": IMAGES.repeat(3, -1)}, ["another shape than the network reads", "[8, 8, 3]"]),
    ({"labels": LABELS % 2, "names": ("a", "b")}, ["another number of classes", "got 2", "allowed: 3"]),
    ({"labels": np.arange(30) % 5, "names": tuple("abcde")}, ["another number of classes", "got 5"])])
def test_data_that_do_not_fit_are_one_line(finished, tmp_path, capsys, change, words):
    with pytest.raises(SystemExit) as stopped:
        main([str(finished[0]), "--data", saved(tmp_path / "a.npz", **change)])
    assert stopped.value.code == 1
    shown = capsys.readouterr().err
    assert all(word in shown for word in words)
    assert shown.count("\n") == 1


def test_other_names_of_the_classes_are_said(finished, tmp_path, capsys):
    main([str(finished[0]), "--data", saved(tmp_path / "a.npz", names=("x", "[y]", "z")), "--limit", "12"])
    assert "The classes of the data are ('x', '[y]', 'z')" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{}", '{"task": "vww", "options": {}}', "not json"])
def test_a_folder_without_a_run_is_one_line(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path)])
    assert stopped.value.code == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_data_of_the_run_are_the_default(tmp_path, finished, capsys):
    with pytest.raises(SystemExit):  # shapes of 28 x 28 in place of the run's, which had 8 x 8
        main([str(finished[0])])
    assert "[28, 28, 1]" in capsys.readouterr().err
