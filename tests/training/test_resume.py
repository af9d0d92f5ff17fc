"""A run that is killed and resumed ends like one that was not, bit for bit."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import killed_run
import numpy as np
import pytest

from reds_jax.training import loop
from reds_jax.training.arrays import flatten

SCRIPT = Path(killed_run.__file__)


def start(folder, cache):
    path = os.pathsep.join(filter(None, [str(SCRIPT.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-W", "error", str(SCRIPT), str(folder), str(cache)], env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def lines(folder):
    path = folder / "metrics.jsonl"
    return path.read_text().split("\n")[:-1] if path.exists() else []


def without_time(records):
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in records]


def same(a, b):
    a, b = (flatten({"state": r.state, "params": r.params, "stats": r.batch_stats}) for r in (a, b))
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, compile_fast):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, killed_run.run(folder)


@pytest.mark.slow
def test_a_run_killed_again_and_again_ends_like_one_that_was_not(uninterrupted, cache, tmp_path):
    reference, expected = uninterrupted
    for more, ending in ((1, signal.SIGKILL), (6, signal.SIGTERM), (4, signal.SIGKILL)):  # when so many more lines are there
        wanted = len(lines(tmp_path)) + more
        process = start(tmp_path, cache)
        deadline = time.monotonic() + 120
        while len(lines(tmp_path)) < wanted:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(ending)
        shown = process.communicate(timeout=120)[0]
        if ending == signal.SIGTERM:
            assert process.returncode == 143
            assert re.fullmatch(f"stopped by SIGTERM. The checkpoint of step \\d+ is in {re.escape(str(tmp_path))}.\n", shown)
        else:
            assert (process.returncode, shown) == (-signal.SIGKILL, "")
    before = len(lines(tmp_path))
    assert before < len(lines(reference))  # it was really interrupted
    process = start(tmp_path, cache)
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (0, "")  # no noise either
    assert without_time(lines(tmp_path)) == without_time(lines(reference))
    same(killed_run.run(tmp_path), expected)


@pytest.mark.parametrize(("ending", "dispatch", "harm"), [
    (signal.SIGINT, 3, "deleted"), (signal.SIGHUP, 5, "shortened"), pytest.param(None, 3, "deleted", marks=pytest.mark.slow)])
def test_a_stop_leaves_a_checkpoint_of_the_last_dispatch_and_the_log_is_not_needed(
        uninterrupted, tmp_path, monkeypatch, interruptible, ending, dispatch, harm):
    """After the 3rd dispatch there is none by schedule; the 5th has just logged a line that is not yet in a checkpoint.

    rich leaves the process (SystemExit) where the reader of its output is gone.
    """
    reference, expected = uninterrupted
    record, calls = loop.Run.train_record, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == dispatch + 1:
            sys.exit(1) if ending is None else os.kill(os.getpid(), ending)
        return record(self, *arguments)

    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    monkeypatch.setattr(loop.Run, "train_record", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)) as stopped:
        killed_run.run(tmp_path)
    monkeypatch.undo()
    assert before == [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    step = {3: 9, 5: 11 + 3}[dispatch]  # 3 + 3 + 3 steps; 11 steps an epoch, then 3
    assert stopped.value.__notes__ == [f"The checkpoint of step {step} is in {tmp_path}."]
    positions = sorted(int(p.name) for p in (tmp_path / "checkpoints").iterdir())
    assert positions[-1] == 2 * step
    log = tmp_path / "metrics.jsonl"
    if harm == "deleted":
        log.unlink()
    else:
        log.write_text("".join(f"{line}\n" for line in lines(tmp_path)[:2]) + '{"kind": "tr')
    same(killed_run.run(tmp_path), expected)
    now, then = without_time(lines(tmp_path)), without_time(lines(reference))
    assert [r for r in now if r["kind"] == "epoch"] == [r for r in then if r["kind"] == "epoch"]
    assert now == [r for r in then if r in now]
    assert len(now) == len(then) - 3  # records of dispatches; those of epochs are in the checkpoint


def test_a_finished_run_is_only_read(uninterrupted):
    folder, expected = uninterrupted
    before = lines(folder)
    again = killed_run.run(folder)
    same(again, expected)
    assert again.history == expected.history
    assert lines(folder) == before


