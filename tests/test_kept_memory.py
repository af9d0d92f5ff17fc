"""Memory is kept between calls where a command or a user says so; importing the library changes nothing."""

import os
import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from reds_jax import console, memory, report
from reds_jax.lowering import describe_backend

CHILD = """
import resource
from concurrent.futures import ThreadPoolExecutor
import jax, jax.numpy as jnp
import reds_jax, reds_jax.experiments.vww
from reds_jax.compiled import compiled_state
from reds_jax.console import guard
from reds_jax.memory import memory_state

def count():
    with ThreadPoolExecutor(1) as pool:  # as the threads of JAX, it would have a pool of memory of its own
        pool.submit(step).result()

def step(calls=8):
    product = jax.jit(lambda a: ((a @ a.T) @ a).sum())
    a = jnp.ones((3500, 2))  # 49 MB between the two products
    product(a).block_until_ready()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(calls):
        product(a).block_until_ready()
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // calls)
    print(memory_state(), compiled_state(), sep="; ")

"""
PAGES = 3500 * 3500 * 4 // 4096
GIVEN_BACK = "given back as the system does"
on_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keep_memory is for glibc")


def unset():
    """The environment without what says how memory is allocated."""
    return {name: value for name, value in os.environ.items() if not memory._is_a_setting(name, value)}


def page_faults(code):
    """Of each call of a program, in a process of its own; and what the process says of itself."""
    done = subprocess.run([sys.executable, "-c", CHILD + code], capture_output=True, encoding="utf-8", check=True,
                          env={**unset(), "REDS_KEEP_COMPILED": "0"})
    faults, said = done.stdout.splitlines()
    return int(faults), said


@on_glibc
def test_a_command_keeps_memory_and_an_import_does_not():
    faults, said = page_faults("count()")
    assert faults > 0.9 * PAGES
    assert said == f"{GIVEN_BACK}; not kept"
    faults, said = page_faults("guard(count)()")
    assert faults < 0.05 * PAGES
    assert said == "kept; not kept (REDS_KEEP_COMPILED=0)"


@on_glibc
@pytest.mark.slow
def test_it_says_that_it_was_called_too_late():
    _, said = page_faults("jax.devices(); reds_jax.keep_memory(); count()")
    assert said.startswith("kept, but for the threads that were there before, with ")


@pytest.fixture
def calls(monkeypatch):
    """Of mallopt, in a C library that does nothing and says yes; the environment has no setting."""
    made = {}
    for name in os.environ.keys() - unset().keys():
        monkeypatch.delenv(name)
    monkeypatch.setattr(memory, "_glibc", lambda: SimpleNamespace(mallopt=lambda n, value: made.setdefault(n, value) == value))
    monkeypatch.setattr(memory, "_pools", lambda libc: 1)
    memory._keep.cache_clear()
    yield made
    memory._keep.cache_clear()


def test_it_is_said_in_the_log_and_in_the_record(calls):
    assert f"memory: {GIVEN_BACK};" in describe_backend()
    assert (memory.keep_memory(), memory.keep_memory()) == ("kept", "kept")
    assert calls == dict(memory.PARAMETERS.values())
    assert "memory: kept;" in describe_backend()
    assert report.environment()["memory"] == "kept"


@pytest.mark.parametrize(("name", "value"), [
    ("MALLOC_ARENA_MAX", "2"), ("MALLOC_TRIM_THRESHOLD_", "131072"), ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"),
    ("LD_PRELOAD", "/usr/lib/libjemalloc.so.2"), ("REDS_KEEP_MEMORY", "0")])
def test_what_the_user_has_set_wins(calls, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert memory.keep_memory() == f"left to {name}={value}"
    assert calls == {}


@pytest.mark.parametrize(("name", "value"), [
    ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=4096"), ("LD_PRELOAD", "libasan.so"), ("REDS_KEEP_MEMORY", "1")])
def test_what_is_not_about_memory_changes_nothing(calls, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert memory.keep_memory() == "kept"


def test_another_library_than_glibc_is_left_alone(calls, monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    assert memory.keep_memory() == f"{GIVEN_BACK}: its allocator is not that of glibc"


@pytest.mark.parametrize("library", [OSError("there is none"), TypeError("a name is needed"), SimpleNamespace(mallopt=print)])
def test_what_is_no_glibc_is_found_out(monkeypatch, library):
    """Windows takes no None; musl has no gnu_get_libc_version."""
    def load(name):
        if isinstance(library, Exception):
            raise library
        return library

    monkeypatch.setattr(memory.ctypes, "CDLL", load)
    assert memory._glibc() is None


def test_an_allocator_may_refuse(calls, monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: SimpleNamespace(mallopt=lambda number, value: int(number != -8)))
    assert memory.keep_memory() == "given back as the allocator does, which refused M_ARENA_MAX"


def test_memory_and_programs_are_kept_before_the_command_runs(monkeypatch):
    order = []
    monkeypatch.setattr(console, "keep_memory", lambda: order.append("memory"))
    monkeypatch.setattr(console, "keep_compiled", lambda: order.append("programs"))
    console.guard(lambda: order.append("command"))()
    assert order == ["memory", "programs", "command"]
