"""Compiled programs are kept for the next process: by processor, within a bound, and never in the way of a run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from reds_jax import compiled
from reds_jax.lowering import describe_backend
from reds_jax.native import build

CHILD = """
import collections, json, sys
import jax, jax.numpy as jnp
from jax import monitoring
from reds_jax.compiled import compiled_state
from reds_jax.console import guard

events = collections.Counter()
monitoring.register_event_listener(lambda event, **more: events.update([event.rpartition("/")[2]]))

@guard
def main():
    a = jnp.ones((20, 20))
    value = float(jax.jit(lambda a: jnp.tanh(a @ a / 20).sum())(a)) if {plain} else kernel()
    print(json.dumps({{"value": value, "read": events["cache_hits"], "written": events["cache_misses"],
                       "state": compiled_state()}}))

def kernel():
    from reds_jax.run import kernels
    from reds_jax.run.channel_first import Window
    x, one, zero = jnp.ones((2, 3, 3, 4)), jnp.ones(2), jnp.zeros(2)
    window = Window((1, 1), ((0, 0), (0, 0)), (1, 1))
    return float(jax.jit(lambda x: kernels.segment(x, (one, zero, zero), (kernels.Activation(),) * 2, jnp.ones((1, 1, 2)),
                                                   zero, (one, zero, zero), window, batch=False)[0].mean())(x))

if {source!r}:
    import pathlib
    from reds_jax.native import build
    build.SOURCES, build.FLAGS = tuple(sorted(pathlib.Path({source!r}).iterdir())), ("-std=c++17", "-fPIC")  # quickly
main()
"""


def child(home, source="", **environment):
    """What a command in a process of its own computed and compiled, with its folder in ``home``; ``source``: of its kernels."""
    code = CHILD.format(plain=not source, source=str(source))
    given = {"XDG_CACHE_HOME": str(home), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", **environment}
    inherited = {name: value for name, value in os.environ.items() if name != compiled.SWITCH}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True,
                          env={**inherited, **given})
    return {**json.loads(done.stdout), "errors": done.stderr}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home in which a command has kept its programs, and what it said."""
    home = tmp_path_factory.mktemp("home")
    return home, child(home)


def programs(home):
    return sorted(home.glob("reds_jax/compiled/*/*"))


def test_a_second_process_compiles_nothing(filled):
    home, first = filled
    assert (first["read"], first["written"]) == (0, len(programs(home)))
    assert first["written"] > 0
    second = child(home)
    assert (second["read"], second["written"]) == (first["written"], 0)
    assert second["value"] == first["value"]
    assert second["state"] == first["state"] == f"kept in {programs(home)[0].parent}"
    assert programs(home)[0].parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_damaged_files_are_compiled_anew_with_a_warning(tmp_path):
    first = child(tmp_path)
    for k, path in enumerate(programs(tmp_path)):
        path.write_bytes(path.read_bytes()[:-7] if k % 2 else b"")
    again = child(tmp_path)
    assert (again["value"], again["read"]) == (first["value"], 0)
    assert "Error reading persistent compilation cache entry" in again["errors"]


@pytest.mark.slow
@pytest.mark.parametrize(("environment", "state"), [
    ({compiled.SWITCH: "0"}, "not kept (REDS_KEEP_COMPILED=0)"),
    ({"JAX_ENABLE_COMPILATION_CACHE": "0"}, "not kept (JAX_ENABLE_COMPILATION_CACHE)"),
    ({"JAX_COMPILATION_CACHE_DIR": "own"}, "kept in own")])
def test_the_settings_of_the_user_win(filled, tmp_path, monkeypatch, environment, state):
    monkeypatch.chdir(tmp_path)
    found = child(tmp_path / "home", **environment)
    assert found["value"] == filled[1]["value"]
    assert found["state"] == state
    assert programs(tmp_path / "home") == []
    assert len(list(Path("own").glob("*"))) == (found["written"] if "own" in state else 0)


@pytest.mark.slow
def test_a_kept_program_calls_the_kernel_of_the_process_that_runs_it(tmp_path):
    """A program is kept with the kernel's name: a kernel of other source is not the one that ran when it was compiled."""
    if not build.built().ready:
        pytest.skip(build.built().text)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for path in build.SOURCES:
            (tmp_path / name / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    changed = tmp_path / "second" / "segment.cc"
    text = changed.read_text(encoding="utf-8")
    assert text.count("out[i] = f2(z(out[i]));") == 1
    changed.write_text(text.replace("out[i] = f2(z(out[i]));", "out[i] = f2(z(out[i])) + T(1);"), encoding="utf-8")
    first, second = (child(tmp_path, tmp_path / name) for name in ("first", "second"))
    assert (first["value"], second["value"]) == (1, 2)
    assert first["written"] > 0
    assert (second["read"], second["written"]) == (first["written"], 0)


@pytest.fixture
def config(monkeypatch, tmp_path):
    """JAX as it is before a command, a home of its own, and the settings that are made."""
    made = {}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(compiled.SWITCH, raising=False)
    monkeypatch.setattr(compiled.jax.config, "update", made.__setitem__)
    assert jax.config.jax_compilation_cache_dir is None
    compiled._keep.cache_clear()
    yield made
    compiled._keep.cache_clear()


def test_a_folder_that_cannot_be_made_is_said_and_no_fault(config, tmp_path):
    (tmp_path / "home").write_text("", encoding="utf-8")
    assert compiled.keep_compiled().startswith("not kept ([Errno 20] Not a directory")
    assert config == {}
    assert "compiled programs: not kept ([Errno 20]" in describe_backend()


def test_a_folder_that_cannot_be_written_is_said_and_no_fault(config, monkeypatch):
    monkeypatch.setattr(compiled.os, "access", lambda path, mode: False)
    assert compiled.keep_compiled().endswith("cannot be written)")
    assert config == {}


def test_no_home_is_said_and_no_fault(config, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(os.path, "expanduser", str)
    assert compiled.keep_compiled() == "not kept (there is no home; XDG_CACHE_HOME names a folder for files that are kept)"


@pytest.mark.parametrize(("system", "jaxlib", "kept"), [
    ("Darwin", "0.9.2", False), ("Darwin", "0.10.2", True), ("Linux", "0.9.2", True)])
def test_on_macos_an_old_jaxlib_keeps_nothing(config, monkeypatch, system, jaxlib, kept):
    monkeypatch.setattr(compiled.platform, "system", lambda: system)
    monkeypatch.setattr(compiled, "version", lambda name: jaxlib)
    assert ("macOS" in compiled.keep_compiled()) != kept
    assert (compiled.FOLDER in config) == kept


@pytest.mark.parametrize("changed", ["processor", "version"])
def test_another_processor_and_another_jaxlib_have_folders_of_their_own(config, tmp_path, monkeypatch, changed):
    first = compiled._folder(tmp_path)
    assert compiled._folder(tmp_path) == first
    monkeypatch.setattr(compiled, changed, lambda *given: "other" if given else ("other",))
    assert compiled._folder(tmp_path) != first
    assert len(list(tmp_path.glob("*"))) == 2


def test_what_was_not_used_for_longest_goes(tmp_path):
    """Read or written last at 0, 10, .. s; the younger of the two counts. 10 bytes each."""
    for k in range(6):
        path = tmp_path / f"processor_{k % 2}" / f"program_{k}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(10))
        os.utime(path, (10 * k, 0) if k % 3 else (0, 10 * k))
    compiled._trim(tmp_path, 60)
    assert len(list(tmp_path.glob("*/*"))) == 6
    compiled._trim(tmp_path, 39)
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["program_3", "program_4", "program_5"]
    compiled._trim(tmp_path / "missing", 0)


def test_a_command_trims_what_all_processors_left(config, tmp_path, monkeypatch):
    old = tmp_path / "home/reds_jax/compiled/another/program"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(100))
    monkeypatch.setattr(compiled, "BYTES", 99)
    compiled.keep_compiled()
    assert not old.exists()
    folder = config["jax_compilation_cache_dir"]
    assert Path(folder).parent == old.parents[1]
    assert config["jax_persistent_cache_min_compile_time_secs"] == compiled.SECONDS
