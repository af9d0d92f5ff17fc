"""A budget that varies: the command, the trace of other work, and the C header that picks the subnetwork."""

import ctypes
import json
import shutil
import subprocess
from importlib import resources

import numpy as np
import pytest

from reds_jax.deploy.__main__ import main
from reds_jax.deploy.board.host import WARNINGS, compiler
from reds_jax.deploy.policy.demonstration import POLICIES, SCENES, time_trace

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")


@needs_compiler
def test_the_policy_meets_deadlines_and_makes_the_battery_last(finished, tmp_path, capsys):
    run, network, _ = finished
    main(["policy", str(run), str(tmp_path), "--board", "host", "--steps", "12", "--energy", "0.4"])
    assert "adaptive" in capsys.readouterr().out
    logs = {(log["scene"], log["policy"]): log for log in json.loads((tmp_path / "policy.json").read_text())["logs"]}
    assert set(logs) == {(s, p) for s in SCENES for p in POLICIES}
    deadlines, battery = logs["deadlines", "adaptive"], logs["battery", "adaptive"]
    assert all(cost <= available for cost, available in zip(deadlines["cost"], deadlines["available"], strict=True))
    assert {0, 1} == set(deadlines["subnetwork"])
    assert all(k >= 0 for k in battery["subnetwork"])  # it lasts, and is used where the fixed one leaves it
    assert sum(battery["cost"]) > sum(logs["battery", "smallest"]["cost"])
    assert -1 in logs["battery", "largest"]["subnetwork"]
    small, full = network.macs
    assert set(battery["cost"]) <= {small, full}
    assert (tmp_path / "policy.png").read_bytes().startswith(b"\x89PNG")


def test_the_trace_of_other_work_repeats_itself():
    assert np.array_equal(time_trace(60, 1), time_trace(60, 1))
    assert not np.array_equal(time_trace(60, 1), time_trace(60, 2))
    assert time_trace(60, 0).min() >= 0


@needs_compiler
def test_the_policy_header_chooses_learns_and_paces(tmp_path):
    """The C of reds_policy.h against its description."""
    (tmp_path / "p.c").write_text('#include "reds_policy.h"\nstatic reds_policy p;\n'
                                  "void start(uint32_t n, const uint32_t *c, uint32_t m) { reds_policy_start(&p, n, c, m); }\n"
                                  "uint32_t choose(uint32_t a) { return reds_policy_choose(&p, a); }\n"
                                  "void observe(uint32_t k, uint32_t c) { reds_policy_observe(&p, k, c); }\n"
                                  "uint32_t pace(uint64_t e, uint32_t n) { return reds_policy_pace(e, n); }\n")
    runtime = resources.files("reds_jax.deploy.c") / "runtime"
    subprocess.run([compiler(), *WARNINGS, "-Wno-missing-prototypes", "-shared", "-fPIC", f"-I{runtime}",
                    str(tmp_path / "p.c"), "-o", str(tmp_path / "p.so")], check=True)
    c = ctypes.CDLL(str(tmp_path / "p.so"))
    c.choose.restype = c.pace.restype = ctypes.c_uint32
    c.pace.argtypes = [ctypes.c_uint64, ctypes.c_uint32]
    c.start(3, (ctypes.c_uint32 * 3)(100, 200, 400), 0)
    assert [c.choose(a) for a in (99, 100, 199, 200, 399, 400, 2**32 - 1)] == [2**32 - 1, 0, 0, 1, 1, 2, 2]
    c.observe(1, 250)  # more counts at once
    assert [c.choose(249), c.choose(250)] == [0, 1]
    c.observe(1, 170)  # less counts by an eighth
    assert [c.choose(239), c.choose(240)] == [0, 1]
    c.observe(7, 1)  # there is none
    c.start(1, (ctypes.c_uint32 * 1)(256), 64)  # a margin of a quarter
    assert [c.choose(319), c.choose(320)] == [2**32 - 1, 0]
    assert [c.pace(1000, 3), c.pace(10, 0), c.pace(2**40, 2)] == [333, 0, 2**32 - 1]
