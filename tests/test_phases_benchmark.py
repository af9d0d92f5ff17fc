"""The benchmark of what surrounds training: its clock of compilations adds up, and its tables say what its records hold."""

import doctest
import json
import sys
import threading
import time
from importlib import import_module
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import monitoring

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
compile_clock, phases_report, phases = (import_module(name) for name in ("compile_clock", "phases_report", "phases"))
TRACE, LOWER, COMPILE = compile_clock.KINDS


def test_doctests():
    for module in (compile_clock, phases_report):
        found = doctest.testmod(module)
        assert found.attempted
        assert not found.failed


@pytest.fixture
def ticks(monkeypatch):
    """A clock that is set by hand: by the clock and of the processor."""
    now = [0.0, 0.0]
    monkeypatch.setattr(compile_clock, "_now", lambda: tuple(now))
    return now


def begin(event, name):
    monitoring.record_scalar(event, 0.0, fun_name=name)


def end(event, name):
    monitoring.record_event_duration_secs(event, 0.0, fun_name=name)


def test_a_part_has_its_own_seconds_alone(ticks):
    clock = compile_clock.CompileClock()
    with clock.listen():
        begin(TRACE, "outer")
        ticks[:] = 1.0, 0.5
        begin(TRACE, "inner")
        ticks[:] = 4.0, 2.5
        end(TRACE, "inner")
        ticks[:] = 6.0, 3.0
        end(TRACE, "outer")
        ticks[:] = 10.0, 5.0
        begin(COMPILE, "jit_outer")
        monitoring.record_event_duration_secs(compile_clock.READ, 0.1)
        ticks[:] = 11.0, 6.0
        end(COMPILE, "jit_outer")
        begin(COMPILE, "jit(other)")
        end(COMPILE, "jit(other)")
    begin(TRACE, "nobody listens")
    end(TRACE, "nobody listens")
    assert clock.parts == [
        compile_clock.Part("trace", "inner", 3.0, 2.0), compile_clock.Part("trace", "outer", 3.0, 1.0),
        compile_clock.Part("compile", "outer", 1.0, 1.0, read=True), compile_clock.Part("compile", "other", 0.0, 0.0)]


SPANS = st.recursive(st.just(()), lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=12)


@given(spans=SPANS, seconds=st.lists(st.integers(0, 5), min_size=64, max_size=64))
def test_all_parts_add_up_to_the_time_in_which_any_was_open(spans, seconds):
    clock, now, steps = compile_clock.CompileClock(), [0, 0], iter(seconds)

    def run(children):
        for child in children:
            clock._begin(TRACE, 0.0)
            tick()
            run(child)
            clock._end(TRACE, 0.0, fun_name="f")

    def tick():
        now[0], now[1] = now[0] + (second := next(steps, 1)), now[1] + 2 * second

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compile_clock, "_now", lambda: tuple(now))
        run(spans)
    found = compile_clock.totals(clock.parts)
    assert (found["seconds"], found["processor_seconds"]) == tuple(now)
    assert all(part.seconds >= 0 for part in clock.parts)
    by_name = compile_clock.longest(clock.parts, 100)
    assert sum(one["seconds"] for one in by_name) == found["seconds"]


def test_the_parts_of_another_thread_are_not_within_those_of_this_one(ticks):
    clock = compile_clock.CompileClock()
    with clock.listen():
        begin(TRACE, "here")

        def other():
            begin(LOWER, "there")
            ticks[:] = 2.0, 2.0
            end(LOWER, "there")

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        ticks[:] = 3.0, 3.0
        end(TRACE, "here")
    assert [(part.name, part.seconds) for part in clock.parts] == [("there", 2.0), ("here", 3.0)]


def test_what_jax_compiles_is_found_by_its_name():
    @jax.jit
    def a_name_of_its_own(x):
        return jnp.cos(x) @ x

    clock, x = compile_clock.CompileClock(), np.ones((3, 3), np.float32)
    wall = time.perf_counter()
    with clock.listen():
        a_name_of_its_own(x)
        once = len(clock.parts)
        a_name_of_its_own(x)
    wall = time.perf_counter() - wall
    assert len(clock.parts) == once
    mine = [part for part in clock.parts if part.name == "a_name_of_its_own"]
    assert [part.kind for part in mine] == ["trace", "lower", "compile"]
    assert 0 < compile_clock.totals(clock.parts)["seconds"] <= wall


def call(seconds, of_jax, compiled=2):
    return {"seconds": 9.0, "processor_seconds": seconds,
            "jax": {"processor_seconds": of_jax, "compiled": compiled, "read": 0}}


def about(**of):
    return {"batch": 8, "image": [224, 224, 3], **of}


def test_the_table_of_the_stages_has_medians_and_what_was_refused():
    rounds = [about(whole_macs=569_000_000, parameters=4_230_000, stages=[
        {"stage": "init", "calls": [call(a, a / 2), call(a / 10, 0.0)]},
        {"stage": "export", "calls": [], "error": "TraceError: no kernel"}]) for a in (1.0, 2.0, 6.0)]
    lines = phases_report.table({"part": "stages", "network": "a network", "rounds": rounds}).splitlines()
    assert lines[0] == ("a network at 224 x 224 x 3, batch 8; 569 million MACs, 4.2 million parameters; 3 processes:")
    assert lines[4:] == ["| init | 2 | 1 | 2 | 0.2 | 0 |", "| export | TraceError: no kernel |  |  |  |  |"]


def test_the_table_of_memory_is_above_a_process_without_a_step():
    def one(resident, peak, compiled, programs):
        return about(resident_bytes=resident * 2**20, peak_bytes=peak * 2**20, compiled_peak_bytes=compiled * 2**20,
                     jax={"processor_seconds": 3.0}, programs=[
                         {"argument_bytes": a * 2**20, "temporary_bytes": t * 2**20} for a, t in programs])

    ways = {"alone": [one(100, 100, 100, [])], "nested": [one(150, 300, 400, [(50, 140)])],
            "separate": [one(160, 350, 500, [(30, 110), (40, 120)])]}
    lines = phases_report.table({"part": "memory", "network": "a network", "ways": ways}).splitlines()
    assert lines[0].endswith("one process of each kind; without the 100 MiB of a process that has the library and the data:")
    assert lines[4:] == ["| nested | 50 | 200 | 300 | 50 | 140 | 3 |", "| separate | 60 | 250 | 400 | 70 | 120 | 3 |"]


def test_the_table_of_vww_has_the_longest():
    run = {"seconds": 99.0, "processor_seconds": 50.0, "others_seconds": 7.0,
           "jax": {"processor_seconds": 20.0, "compiled": 3, "read": 0},
           "longest": [{"name": "steps_of", "processor_seconds": 12.0, "compiled": 2}]}
    filled = {**run, "processor_seconds": 35.0, "jax": {"processor_seconds": 5.0, "compiled": 0, "read": 3}}
    text = phases_report.table({"part": "vww", "install": {"processor_seconds": 37.0}, "runs": [run, filled]})
    for line in ("| make install | 37 | |", "| JAX traces, lowers and compiles | 20 | 5 |", "| all else | 30 | 30 |",
                 "| programs compiled, read | 3, 0 | 0, 3 |", "| `steps_of` | 12 | 2 |"):
        assert line in text.splitlines()
    assert "make install" not in phases_report.table({"part": "vww", "install": None, "runs": [run, filled]})


def test_the_summary_names_command_commit_and_machine(tmp_path):
    record = {"part": "vww", "install": None, "command": "python benchmarks/phases.py vww", "cores": 1, "load": 2.34,
              "machine": {"commit": "abc", "date": "2026", "machine": "x86, 2 cores", "versions": {"jax": "0.10"},
                          "form": "fused"},
              "runs": [{"processor_seconds": 3.0, "others_seconds": 0.0, "longest": [], "jax": {
                  "processor_seconds": 1.0, "compiled": 1, "read": 0}}] * 2}
    (tmp_path / "vww.json").write_text(json.dumps(record), encoding="utf-8")
    found = phases_report.summary(tmp_path)
    assert found.splitlines()[0] == (f"`python benchmarks/phases.py vww` at commit [abc]({tmp_path.name}/vww.json), 2026, "
                                     "x86, 2 cores, of which 1 used, load 2.3; jax 0.10; form fused.")
    assert found.endswith(phases_report.vww(record))
    assert phases_report.summary(tmp_path / "none") == "Not recorded yet."


def test_the_large_networks_are_those_of_the_literature():
    graphs = {name: case.graph for name, case in phases.LARGE.items()}
    assert graphs["MobileNetV1 1.0"].macs() == 568_740_352  # Howard et al. 2017, table 4: 569 million, 4.2 million parameters
    assert graphs["a user's ResNet-18"].macs() == 1_814_073_344  # He et al. 2016, table 1: 1.8 billion
    assert 11.6e6 < graphs["a user's ResNet-18"].param_count() < 11.8e6


@pytest.mark.slow
def test_a_separate_network_has_the_loss_of_the_nested_one(tmp_path, monkeypatch):
    """One process after the other, with the figures of this one: the losses are compared, the bytes are not."""
    order = {"network": "a tiny ResNet", "seed": 0, "tiny": True}
    monkeypatch.setattr(phases, "process_bytes", lambda name: 1)
    monkeypatch.setattr(phases.Path, "write_text", lambda self, text, encoding: json.dumps(text))
    nested, separate, alone = (phases.memory({**order, "way": way}) for way in ("nested", "separate", "alone"))
    np.testing.assert_allclose(nested["losses"], separate["losses"], rtol=1e-3)
    assert len(set(nested["losses"])) == 4
    assert (len(nested["programs"]), len(separate["programs"]), len(alone["programs"])) == (1, 4, 0)
    arguments = [sum(p["argument_bytes"] for p in way["programs"]) for way in (nested, separate)]
    assert arguments[0] < arguments[1]  # one copy of the weights and of the moments
