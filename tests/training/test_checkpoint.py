import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.training import owner
from reds_jax.training.arrays import flatten, unflatten
from reds_jax.training.checkpoint import Checkpoints, differing

ARRAYS = {"a/b": np.arange(400, dtype=np.float32), "step": np.array(7, np.int32), "key": np.array([1, 2], np.uint32)}


def write(folder):
    with Checkpoints(folder, {"seed": 0}) as checkpoints:
        for position in (1, 2, 3):
            checkpoints.save(position, {**ARRAYS, "step": np.array(position, np.int32)}, {"lines": position})


def test_the_last_two_are_kept_and_the_last_is_read(tmp_path, capfd, caplog):
    threads, root = threading.active_count(), logging.getLogger().level
    write(tmp_path)
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        found = checkpoints.latest()
    assert found is not None
    arrays, meta = found
    assert meta == {"lines": 3}
    np.testing.assert_array_equal(arrays["a/b"], ARRAYS["a/b"])
    assert {n: a.dtype for n, a in arrays.items()} == {n: a.dtype for n, a in ARRAYS.items()}
    assert arrays["step"] == 3
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["2", "3"]
    assert threading.active_count() == threads
    assert logging.getLogger().level == root
    assert capfd.readouterr() == ("", "")
    assert [r for r in caplog.records if r.levelno > logging.INFO] == []


def test_a_position_is_saved_once(tmp_path):
    write(tmp_path)
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        checkpoints.save(3, {"other": np.zeros(1)}, {})
        found = checkpoints.latest()
    assert found is not None
    assert "a/b" in found[0]


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_during_a_save_waits_for_its_end(tmp_path, monkeypatch):
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        save, finished = checkpoints._manager.save, []

        def interrupted(*arguments, **options):
            signal.raise_signal(signal.SIGINT)
            finished.append(save(*arguments, **options))

        monkeypatch.setattr(checkpoints._manager, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(1, ARRAYS, {"lines": 1})
        assert finished == [True]
        assert checkpoints.latest() is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_a_kill_left_of_a_write_is_removed(tmp_path):
    write(tmp_path)
    torn = tmp_path / "checkpoints" / "4.orbax-checkpoint-tmp"
    (torn / "arrays").mkdir(parents=True)
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        found = checkpoints.latest()
        checkpoints.save(4, ARRAYS, {"lines": 4})
    assert found is not None
    assert found[1] == {"lines": 3}
    assert not torn.exists()


@pytest.mark.parametrize("harm", ["truncated", "missing", "metadata", "swapped", "edited"])
def test_damage_is_found_and_the_folder_named(tmp_path, harm):
    write(tmp_path)
    last = tmp_path / "checkpoints" / "3"
    data = [p for p in (last / "arrays").rglob("*") if p.is_file() and p.parent.name == "d"]
    assert data
    for path in data:
        if harm == "truncated":
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif harm == "missing":
            path.unlink()
    if harm == "metadata":
        (last / "meta" / "metadata").write_text('{"lines": 3')
    elif harm == "edited":
        text = (last / "meta" / "metadata").read_text()
        assert '"lines": 3' in text
        (last / "meta" / "metadata").write_text(text.replace('"lines": 3', '"lines": 2'))
    elif harm == "swapped":
        text = (last / "meta" / "metadata").read_text()
        digest = text.split('"sha256": "')[1][:64]
        (last / "meta" / "metadata").write_text(text.replace(digest, digest[::-1]))
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints, pytest.raises(CheckpointError, match=r"checkpoints/3"):
        checkpoints.latest()


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_refusal_changes_nothing(tmp_path):
    write(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match=r"another configuration; got \['seed'\]"):
        Checkpoints(tmp_path, {"seed": 1})
    with pytest.raises(CheckpointError, match="holds a run already"):
        Checkpoints(tmp_path, {"seed": 0}, resume=False)
    assert contents(tmp_path) == before


def test_a_full_disk_loses_nothing_that_was_complete(tmp_path, caplog):
    """A limit on the size of files stands for it: the write fails at the same place, in the same way."""
    write(tmp_path)
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            for _ in range(2):
                with pytest.raises(OSError, match="cannot be written: File too large") as failed:
                    checkpoints.save(4, {"a": np.random.default_rng(0).random(100_000)}, {})
                assert (failed.value.errno, failed.value.filename) == (errno.EFBIG, str(tmp_path / "checkpoints" / "4"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [r for r in caplog.records if r.levelno > logging.WARNING] == []  # no traceback of a thread beside the error
    with Checkpoints(tmp_path, {"seed": 0}) as checkpoints:
        found = checkpoints.latest()
        checkpoints.save(4, ARRAYS, {"lines": 4})
    assert found is not None
    assert found[1] == {"lines": 3}
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["3", "4"]


@pytest.mark.parametrize("place", [".", "checkpoints", "above"])
def test_a_file_in_the_place_of_a_folder(tmp_path, place, caplog):
    folder = tmp_path / "run"
    if place == "checkpoints":
        folder.mkdir()
        (folder / "checkpoints").write_text("")
    else:
        folder.write_text("")
    with pytest.raises((FileExistsError, NotADirectoryError)):
        Checkpoints(folder / "run" if place == "above" else folder, {"seed": 0})
    assert caplog.records == []


def test_a_folder_has_one_owner(tmp_path):
    (tmp_path / owner.LOCK).write_text("an owner of before, with a long name\n" * 3)
    with Checkpoints(tmp_path, {"seed": 0}), pytest.raises(CheckpointError, match=f"^process {os.getpid()} on \\S+ is writing"):
        Checkpoints(tmp_path, {"seed": 0})
    write(tmp_path)


def test_a_dead_process_owns_nothing(tmp_path):
    code = """import importlib.util, sys, time
spec = importlib.util.spec_from_file_location("owner", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with module.owned(module.Path(sys.argv[2])):
    print("mine", flush=True)
    time.sleep(60)"""
    command = [sys.executable, "-c", code, str(owner.__file__), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        with pytest.raises(CheckpointError, match=f"process {process.pid} on .* is writing to the folder"):
            Checkpoints(tmp_path, {"seed": 0})
        assert contents(tmp_path).keys() == {Path(owner.LOCK)}
        process.kill()
    write(tmp_path)


def test_a_config_that_is_cut_short(tmp_path):
    write(tmp_path)
    (tmp_path / "config.json").write_text('{"seed"')
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        Checkpoints(tmp_path, {"seed": 0})


def test_trees_come_back_bit_for_bit():
    tree = {"x": (jnp.array([1.5, -0.0, jnp.nan]), {}), "key": jax.random.key(3), "n": jnp.int32(4)}
    flat = flatten(tree)
    assert set(flat) == {"x/0", "key", "n"}
    back = unflatten(tree, flat)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    np.testing.assert_array_equal(jax.random.key_data(back["key"]), jax.random.key_data(tree["key"]))
    assert np.asarray(back["x"][0]).tobytes() == np.asarray(tree["x"][0]).tobytes()
    with pytest.raises(CheckpointError, match="another network"):
        unflatten({"x": tree["x"]}, flat)
    with pytest.raises(CheckpointError, match="'n' has another form"):
        unflatten({**tree, "n": jnp.zeros(2)}, flat)
    with pytest.raises(InvalidArgumentError, match="same path"):
        flatten({"a/b": jnp.zeros(1), "a": {"b": jnp.zeros(1)}})


def test_differing_fields_are_named():
    assert differing({"a": {"b": 1, "c": 2}, "d": [1]}, {"a": {"b": 1, "c": 3}, "e": 0, "d": [1]}) == ["a.c", "e"]
