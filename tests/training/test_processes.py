"""Several processes that train together, two on this machine: what they compute, who writes, and what they refuse."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from reds_jax.data import Stream
from reds_jax.errors import InvalidArgumentError, ProcessError
from reds_jax.processes import agree, arrays_of_first, from_first, is_first, join
from reds_jax.training.inputs import check_same_batches

SCRIPT = Path(__file__).with_name("one_of_two.py")
CHECKPOINTS = 6  # dispatches and ends of epochs; two are kept


@pytest.mark.parametrize(("arguments", "what"), [
    ((None, 1, 2), "with a coordinator HOST:PORT"), (("auto", 0, None), "with a coordinator HOST:PORT"),
    (("host:1", 0, None), "needs process_id and processes"), (("host", 0, 2), "HOST:PORT, or auto"),
    ((":80", 0, 2), "HOST:PORT, or auto")])
def test_what_does_not_tell_the_processes_is_refused(arguments, what):
    with pytest.raises(InvalidArgumentError, match=what):
        join(*arguments)


def test_no_cluster_and_processes_that_do_not_find_each_other_are_expected_failures(monkeypatch):
    def failing(error):
        def initialize(*arguments):
            raise error
        return initialize

    monkeypatch.setattr(jax.distributed, "initialize", failing(ValueError("coordinator_address should be defined.")))
    with pytest.raises(InvalidArgumentError, match="HOST:PORT, --process-id and --processes"):
        join("auto")
    monkeypatch.setattr(jax.distributed, "initialize", failing(RuntimeError("DEADLINE_EXCEEDED")))
    with pytest.raises(ProcessError, match="DEADLINE_EXCEEDED"):
        join("localhost:1", 1, 2)


def test_one_process_is_the_first_and_says_what_it_makes_itself():
    join(None)
    assert is_first()
    value = object()
    assert from_first(lambda: value) is value
    assert arrays_of_first(value) is value
    agree("options", value)  # with nobody


def test_processes_share_no_batches_of_a_stream_that_may_differ_among_them(monkeypatch):
    batches = [(np.zeros((4, 2), np.float32), np.zeros(4, np.int32))]
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    check_same_batches(Stream(batches, deterministic=True))
    with pytest.raises(InvalidArgumentError, match=r"gives all the same batches; got 'mine'.*deterministic=True"):
        check_same_batches(Stream(batches, name="mine"))


def free_port():
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def start(coordinator, process, *arguments, **more):
    path = os.pathsep.join(filter(None, [str(SCRIPT.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1", **more}
    return subprocess.Popen([sys.executable, str(SCRIPT), coordinator, str(process), *map(str, arguments)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(*processes):
    """The exit codes and what they have said."""
    said = [process.communicate(timeout=540)[0] for process in processes]
    return [process.returncode for process in processes], said


def two(folder, *, stop=0, seeds=(0, 0), slurm=False, meanwhile=lambda processes: None):
    """Two processes of two devices each, the second with a folder of its own."""
    port, started = str(free_port()), []
    for k, name in enumerate(("run", "not_written")):
        more = {"SLURM_JOB_ID": port, "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2", "SLURM_PROCID": str(k),
                "SLURM_LOCALID": str(k), "JAX_COORDINATOR_PORT": port} if slurm else {}
        coordinator = "auto" if slurm else f"localhost:{port}"
        started.append(start(coordinator, k, folder / name, folder / f"two_{k}.npz", stop, seeds[k], JAX_NUM_CPU_DEVICES="2",
                             **more))
    meanwhile(started)
    return ended(*started)


def one(folder, *, stop=0, run="run"):
    return ended(start("none", 0, folder / run, folder / "one.npz", stop, 0))


def assert_same(a, b):
    with np.load(a) as x, np.load(b) as y:
        assert set(x.files) == set(y.files)
        for name in set(x.files) - {"devices"}:
            np.testing.assert_allclose(y[name], x[name], rtol=0, atol=1e-10 * max(1, np.abs(x[name]).max(initial=0)),
                                       err_msg=name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The result of one process on one device."""
    folder = tmp_path_factory.mktemp("alone")
    codes, said = one(folder)
    assert codes == [0], said
    return folder / "one.npz"


@pytest.mark.slow
def test_two_processes_train_as_one_and_the_first_one_writes(alone, tmp_path):
    codes, said = two(tmp_path, slurm=True)
    assert codes == [0, 0], said
    for k in range(2):
        assert_same(alone, tmp_path / f"two_{k}.npz")
        with np.load(tmp_path / f"two_{k}.npz") as found:
            assert found["devices"] == 4
    assert not (tmp_path / "not_written").exists()
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2
    assert len((tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == CHECKPOINTS


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(one, two), (two, one)])
def test_a_run_goes_on_with_another_number_of_processes(alone, tmp_path, first, second):
    codes, said = first(tmp_path, stop=3)
    assert set(codes) == {130}, said
    codes, said = second(tmp_path)
    assert set(codes) == {0}, said
    assert_same(alone, tmp_path / ("two_1.npz" if second is two else "one.npz"))


@pytest.mark.slow
def test_processes_that_are_terminated_end_with_a_checkpoint(tmp_path):
    def terminate(processes):
        log = tmp_path / "run" / "metrics.jsonl"
        while not log.exists() or log.read_text(encoding="utf-8").count("\n") < 20:
            assert [process.poll() for process in processes] == [None, None]
            time.sleep(0.1)
        for process in processes:
            process.terminate()

    codes, said = two(tmp_path, stop=-1, meanwhile=terminate)
    assert codes == [143, 143], said
    step = re.search(r"The checkpoint of step (\d+) is in .*run\b", said[0])
    assert step is not None, said
    assert max(int(path.name) for path in (tmp_path / "run" / "checkpoints").iterdir()) // 2 == int(step[1])


@pytest.mark.slow
def test_what_the_first_process_refuses_all_refuse(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}", encoding="utf-8")
    codes, said = two(tmp_path)
    assert codes == [1, 1], said
    assert "has another configuration" in said[0]
    assert "the first process has failed: the run in" in said[1]


@pytest.mark.slow
def test_processes_with_different_options_do_not_train(tmp_path):
    codes, said = two(tmp_path, seeds=(0, 1))
    assert codes == [1, 1], said
    assert all("started with different options or data; got 'process 0 and [1]'" in text for text in said)
    assert list(tmp_path.iterdir()) == []
