"""``python -m reds_jax.deploy``: from the folder that an experiment leaves to C that answers like the network."""

import json
import shutil

import numpy as np
import pytest

from reds_jax.deploy import HostNetwork, accuracy, export, saved_run
from reds_jax.deploy.__main__ import main
from reds_jax.errors import CheckpointError, DataError

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")


@needs_compiler
def test_an_export_answers_like_the_saved_network(finished, tmp_path, capsys):
    run, network, images = finished
    main(["export", str(run), str(tmp_path / "c"), "--dtype", "float32", "--accuracy", "10"])
    assert "bytes of weights, once" in capsys.readouterr().out
    host, x = HostNetwork(tmp_path / "c"), images.normalise(images.test.images)
    for k in range(2):
        host.adapt(k)
        expected = np.asarray(network.apply(k, x))
        np.testing.assert_allclose(host.invoke(x), expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_array_equal(host.from_pixels(images.test.images), x)
    recorded = json.loads((tmp_path / "c" / "accuracy.json").read_text())
    right = (np.asarray(network.apply(1, x)).argmax(-1) == images.test.labels).mean()
    assert recorded["subnetworks"][1]["flax"] == recorded["subnetworks"][1]["simulated"] == pytest.approx(right)
    assert recorded["subnetworks"][0]["compiled_examples"] == 10
    assert recorded["subnetworks"][0]["same"]


def test_mistakes_end_in_one_message(finished, tmp_path, capsys):
    for code, arguments in ((1, ["export", str(tmp_path / "nothing"), str(tmp_path / "c")]), (2, ["device", str(tmp_path)]),
                            (2, ["policy", str(finished[0]), str(tmp_path), "--steps", "1000000"])):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code
        assert "error:" in capsys.readouterr().err


def test_a_run_that_is_none_and_data_of_another_kind(finished, tmp_path):
    run, _, _ = finished
    with pytest.raises(CheckpointError, match="no run of an experiment"):
        saved_run.read(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(run, other)
    config = json.loads((run / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "task": "cifar10"}))
    with pytest.raises(DataError, match="do not fit the network"):
        saved_run.read(other)


def test_one_file_for_phones(finished, tmp_path, capsys):
    run, _, _ = finished
    for name, options, package in (("n.onnx", [], "onnx"), ("n.tflite", ["--dtype", "int8"], "ai_edge_litert")):
        pytest.importorskip(package)
        main(["phone", str(run), str(tmp_path / name), *options])
        assert "2 subnetworks" in capsys.readouterr().out
        assert (tmp_path / name).stat().st_size > 10_000
    with pytest.raises(SystemExit):
        main(["phone", str(run), str(tmp_path / "n.onnx"), "--dtype", "int8"])
    assert ".tflite in float32 or int8" in capsys.readouterr().err


@needs_compiler
def test_c_that_answers_otherwise_is_noticed(finished, tmp_path):
    """The comparison with the simulation fails where the compiled network is another one."""
    run, network, _ = finished
    saved = saved_run.read(run)
    exported = export(network.model, None, saved.graph, network, tmp_path / "c")
    source = tmp_path / "c" / "reds_model.c"
    text = source.read_text()
    call = "reds_f32_dense(&layer_4, &s->width_4, memory"
    assert text.count(call) == 1
    source.write_text(text.replace(call, call.replace("memory", "1 + memory")))
    assert not any(row.same for row in accuracy.measure(saved, exported, compiled_examples=5))
