"""``reds deploy``: from the folder that an experiment leaves to C that answers like the network."""

import json
import shutil

import numpy as np
import pytest

from reds_jax import data
from reds_jax.deploy import HostNetwork, accuracy, export, folder, saved_run
from reds_jax.deploy.__main__ import main
from reds_jax.deploy.board import device
from reds_jax.errors import CheckpointError, DataError
from reds_jax.run import run as reds_run
from reds_jax.widths import Widths

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
    recorded = json.loads((tmp_path / "c" / "reds_accuracy.json").read_text())
    right = (np.asarray(network.apply(1, x)).argmax(-1) == images.test.labels).mean()
    assert recorded["subnetworks"][1]["flax"] == recorded["subnetworks"][1]["simulated"] == pytest.approx(right)
    assert recorded["subnetworks"][0]["compiled_examples"] == 10
    assert recorded["subnetworks"][0]["same"]


@needs_compiler
def test_an_export_that_takes_any_row_of_widths(finished, tmp_path, capsys):
    run, network, images = finished
    main(["export", str(run), str(tmp_path / "c"), "--dtype", "float32", "--any-widths"])
    host, x = HostNetwork(tmp_path / "c"), images.normalise(images.test.images[:2])
    row = {group: (network.widths[0][group] + network.widths[1][group]) // 2 for group in network.widths[0]}
    assert host.adapt_to(row)
    expected = np.asarray(reds_run(network.model, network.variables(1), x, Widths.of(row))[0])
    np.testing.assert_allclose(host.invoke(x), expected, rtol=0, atol=1e-5 * (1 + np.abs(expected).max()))
    assert "any_widths" in host.facts


def test_mistakes_end_in_one_message(finished, tmp_path, capsys):
    for code, arguments in ((1, ["export", str(tmp_path / "nothing"), str(tmp_path / "c")]), (2, ["device", str(tmp_path)]),
                            (2, ["policy", str(finished[0]), str(tmp_path), "--steps", "1000000"])):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == code
        assert "error:" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())  # a refused command changes nothing


@pytest.mark.parametrize("options", [
    ["--calibration", "0"], ["--calibration", "-1"], ["--calibration", "41"], ["--accuracy", "0"], ["--accuracy", "-1"],
    ["--rule", "percentile", "--percentage", "0"], ["--name", "int"],
], ids=" ".join)
def test_numbers_that_the_data_or_the_sense_do_not_allow(finished, tmp_path, capsys, options: list[str]) -> None:
    """Also one that Python would take as "all but one", and more examples than there are."""
    with pytest.raises(SystemExit) as ended:
        main(["export", str(finished[0]), str(tmp_path / "c"), *options])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "allowed: " in said
    assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())


def test_by_default_calibration_takes_what_there_is(finished) -> None:
    saved = saved_run.read(finished[0])
    assert [len(batch) for batch in saved.calibration(batch=32)] == [32, 8]
    assert [len(batch) for batch in saved.calibration(3)] == [3]


def test_other_data_than_those_of_the_run_need_a_word(finished, tmp_path, capsys) -> None:
    """Data of another seed, or a run that did not say which: an error with both fingerprints, and an option to go on."""
    run, _, images = finished
    other = shutil.copytree(run, tmp_path / "other")
    config = json.loads((run / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "options": {**config["options"], "seed": 1}}))
    with pytest.raises(DataError, match="not the data that the network was trained on") as error:
        saved_run.read(other)
    saved = saved_run.read(other, other_data=True)
    assert {images.fingerprint, saved.data.fingerprint} == {f for f in (images.fingerprint, saved.data.fingerprint)
                                                            if f in str(error.value)}
    assert images.fingerprint != saved.data.fingerprint
    assert saved.data.normalise == images.normalise  # as the network was trained, whatever the data
    assert data.load("fashion_mnist", "synthetic", limit=40, seed=1).normalise != images.normalise
    for arguments in (["export", str(other), str(tmp_path / "c")], ["policy", str(other), str(tmp_path / "c")]):
        with pytest.raises(SystemExit):
            main(arguments)
        assert "--other-data" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    del config["fingerprint"]
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="did not record on which data"):
        saved_run.read(other)
    (other / "results.json").write_text(json.dumps({"data": {"fingerprint": images.fingerprint}}))  # as older runs have it
    assert saved_run.read(other).data.fingerprint == images.fingerprint


def test_the_option_to_go_on_with_other_data(finished, monkeypatch, tmp_path) -> None:
    asked = []
    monkeypatch.setattr(saved_run, "read", lambda folder, data=None, other_data=False: asked.append(other_data) or 1 / 0)
    for arguments in (["export", "r", str(tmp_path / "c")], ["policy", "r", str(tmp_path / "p")]):
        for options in ([], ["--other-data"]):
            with pytest.raises(ZeroDivisionError):
                main([*arguments, *options])
    assert asked == [False, True] * 2


def test_a_trained_network_survives_an_export_into_its_folder(finished, tmp_path, capsys) -> None:
    run = shutil.copytree(finished[0], tmp_path / "run")
    (tmp_path / "link").symlink_to(run / "model")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    for target in (run / "model", run, tmp_path / "link"):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(run), str(target)])
        assert ended.value.code == 2
        assert "holds something else than an export" in capsys.readouterr().err
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_the_table_of_instructions_replaces_nothing_else(tmp_path, monkeypatch, capsys) -> None:
    """Neither the file that is named nor the one beside it; and a folder's name stays in its cell."""
    sections = {"text": 1, "rodata": 2, "data": 3, "bss": 4}
    found = device.Run(device.BOARDS["m4"], (device.Subnetwork(100, 9, 20, 300),), sections)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(device, "run", lambda folder, board, **_: found)
    monkeypatch.setattr(device, "versions", lambda boards: {})
    facts = {"dtype": "int8", "subnetworks": [{"arena_bytes": 4}], "input_shape": [1], "output_items": 1}
    out = tmp_path / "a|b `c` [red]d"
    folder.write(out, "reds", {"reds_model.json": json.dumps(facts)})
    table, record = tmp_path / "table.md", tmp_path / "table.json"
    command = ["device", str(out), "--boards", "m4", "--output"]
    for taken in (table, record):
        taken.write_text("mine")
        with pytest.raises(SystemExit):
            main([*command, str(table)])
        assert f"did not write; got '{taken}'" in capsys.readouterr().err
        assert [p.read_text() for p in (table, record) if p.exists()] == ["mine"]
        taken.unlink()
    for _ in range(2):
        main([*command, str(table)])
    assert "a|b `c` [red]d" in capsys.readouterr().out
    row = table.read_text().splitlines()[-1]
    assert row.startswith(r"| a\|b \`c\` \[red\]d | Cortex-M4F | 0 |")
    assert json.loads(record.read_text())["runs"][0]["folder"] == out.name
    with pytest.raises(SystemExit):
        main([*command, str(record)])
    assert "allowed: a .md file" in capsys.readouterr().err


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
        main(["phone", str(run), str(tmp_path / name), *options])  # its own file it replaces, nobody else's
        (tmp_path / f"my_{name}").write_bytes(b"mine")
        with pytest.raises(SystemExit):
            main(["phone", str(run), str(tmp_path / f"my_{name}"), *options])
        assert "did not write" in capsys.readouterr().err
        assert (tmp_path / f"my_{name}").read_bytes() == b"mine"
    with pytest.raises(SystemExit):
        main(["phone", str(run), str(tmp_path / "n.onnx"), "--dtype", "int8"])
    assert ".tflite in float32 or int8" in capsys.readouterr().err


@pytest.mark.slow
@needs_compiler
def test_c_that_answers_otherwise_is_noticed(finished, tmp_path):
    """The comparison with the simulation fails where the compiled network is another one."""
    run, network, _ = finished
    saved = saved_run.read(run)
    exported = export(network.model, None, saved.graph, network, tmp_path / "c")
    source = tmp_path / "c" / "src" / "reds_model.c"
    text = source.read_text()
    call = "reds_f32_dense(&layer_4, &s->width_4, memory"
    assert text.count(call) == 1
    source.write_text(text.replace(call, call.replace("memory", "1 + memory")))
    assert not any(row.same for row in accuracy.measure(saved, exported, compiled_examples=5))
