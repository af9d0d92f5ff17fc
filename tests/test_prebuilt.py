"""Kernels that a wheel brings: taken without a compiler, if this processor, the sources and jaxlib are those they are for."""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reds_jax.native import prebuilt
from reds_jax.native.compile import SOURCES, find_compiler
from reds_jax.native.prebuilt import LEVELS, RECORD, best_level, digest, features, ffi_version, find_prebuilt, make_prebuilt

INCLUDE = jax.ffi.include_dir()
X86 = {level.name: level for level in LEVELS if "x86_64" in level.machines}
CONTENT = b"a library"
RIGHT = {"sources": digest(SOURCES), "ffi": ffi_version(INCLUDE), "compiler": "g++",
         "libraries": {level.name: hashlib.sha256(CONTENT).hexdigest() for level in LEVELS}}


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """The folder of a wheel for a processor that can do everything: ``wheel(**record)`` writes what it says of itself."""
    monkeypatch.setattr(prebuilt, "FOLDER", tmp_path)
    on(monkeypatch, "x86_64", X86["x86-64-v4"].features)

    def write(**record):
        (tmp_path / RECORD).write_text(json.dumps(record), encoding="utf-8")
        for level in LEVELS:
            (tmp_path / f"{level.name}.so").write_bytes(CONTENT)
        return tmp_path

    return write


def on(monkeypatch, machine, has):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(prebuilt, "features", lambda: frozenset(has))


FEATURES = sorted(X86["x86-64-v4"].features)


@given(st.sets(st.sampled_from(FEATURES), max_size=2), st.sets(st.sampled_from(FEATURES)), st.booleans())
def test_the_best_level_is_taken_all_of_whose_instructions_the_processor_has(some, others, nearly_all):
    """And no other: one that lacks a single one of them is not for it."""
    has = frozenset(FEATURES) - some if nearly_all else frozenset(others)
    allowed = [level for level in X86.values() if all(feature in has for feature in level.features)]
    level, why = best_level(list(X86.values()), has)
    assert level == (allowed[0] if allowed else None)
    assert (why == "") == bool(allowed)


@pytest.mark.parametrize(("machine", "has", "taken"), [
    ("x86_64", X86["x86-64-v4"].features, "x86-64-v4"), ("AMD64", X86["x86-64-v3"].features | {"avx512f"}, "x86-64-v3"),
    ("aarch64", (), "armv8-a"), ("arm64", (), "armv8-a")])
def test_each_machine_has_its_own(wheel, monkeypatch, machine, has, taken):
    folder = wheel(**RIGHT)
    on(monkeypatch, machine, has)
    assert find_prebuilt(INCLUDE) == (folder / f"{taken}.so", taken)


def test_what_is_missing_is_said(wheel, monkeypatch):
    assert find_prebuilt(INCLUDE) == (None, "none prebuilt")
    wheel(**RIGHT)
    on(monkeypatch, "x86_64", X86["x86-64-v3"].features - {"fma"})
    assert find_prebuilt(INCLUDE).text == ("the prebuilt ones are not for this processor (x86-64-v4 needs avx512bw, avx512cd, "
                                           "avx512dq, ...; x86-64-v3 needs fma)")
    on(monkeypatch, "x86_64", ())  # macOS does not say it in this way
    assert find_prebuilt(INCLUDE).path is None
    on(monkeypatch, "riscv64", X86["x86-64-v4"].features)
    assert find_prebuilt(INCLUDE) == (None, "the prebuilt ones are not for this processor (riscv64)")


@pytest.mark.parametrize(("change", "text"), [
    ({"sources": "0" * 64}, "the prebuilt ones are of other sources"),
    ({"ffi": "0.0"}, f"the prebuilt ones are for version 0.0 of XLA's FFI, and jaxlib has {ffi_version(INCLUDE)}"),
    ({"libraries": {"x86-64-v9": ""}}, "the prebuilt ones are not for this processor (x86_64)"),
    ({"libraries": dict.fromkeys(RIGHT["libraries"], "0" * 64)}, "the prebuilt one for x86-64-v4 is damaged"),
    ({"libraries": None}, "the prebuilt ones cannot be read (TypeError")])
def test_a_library_of_something_else_is_not_taken_and_that_is_said(wheel, change, text):
    wheel(**{**RIGHT, **change})
    found = find_prebuilt(INCLUDE)
    assert found.path is None
    assert found.text.startswith(text)


def test_what_cannot_be_read_is_no_fault(wheel):
    (wheel(**RIGHT) / "x86-64-v4.so").unlink()
    assert find_prebuilt(INCLUDE).text.startswith("the prebuilt ones cannot be read (FileNotFoundError")
    (wheel(**RIGHT) / RECORD).write_text("{", encoding="utf-8")
    assert find_prebuilt(INCLUDE).text.startswith("the prebuilt ones cannot be read (JSONDecodeError")


def test_every_change_of_a_source_is_another_digest(tmp_path):
    copies = []
    for source in SOURCES:
        copies.append(tmp_path / source.name)
        copies[-1].write_bytes(source.read_bytes())
    assert digest(copies) == digest(SOURCES)
    for path in copies:
        before = path.read_bytes()
        path.write_bytes(before + b" ")
        assert digest(copies) != digest(SOURCES)
        path.write_bytes(before)


def test_headers_of_another_form_are_refused(tmp_path):
    header = tmp_path / "xla" / "ffi" / "api" / "c_api.h"
    header.parent.mkdir(parents=True)
    header.write_text("#define XLA_FFI_API_MAJOR 1\n#define XLA_FFI_API_MINOR 42\n", encoding="utf-8")
    assert ffi_version(tmp_path) == "1.42"
    header.write_text("#define XLA_FFI_API_MAJOR 1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="do not say their version"):
        ffi_version(tmp_path)


def test_a_machine_has_what_all_of_its_cores_have(monkeypatch):
    told = "x86_64", "Linux", "flags\t\t: fma avx avx2", "flags\t\t: avx fma sse4a", "model name\t: avx512f"
    monkeypatch.setattr(prebuilt, "processor", lambda: told)
    assert features() == {"avx", "fma"}
    monkeypatch.setattr(prebuilt, "processor", lambda: ("x86_64", "Darwin"))
    assert features() == frozenset()


@pytest.mark.skipif(platform.machine() != "x86_64" or not shutil.which("g++"), reason="asks g++ for x86-64")
@pytest.mark.parametrize("level", X86)
def test_a_level_names_every_set_of_instructions_that_its_compiler_uses(level):
    """What g++ switches on for it beyond the least of x86-64, by its macros; CRC32 is a part of SSE 4.2."""
    def macros(march):
        said = subprocess.run(["g++", f"-march={march}", "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True,
                              check=True).stdout
        return {words[1].strip("_") for line in said.splitlines() if (words := line.split())[2:] == ["1"]}

    known = {"SSE3": "pni", "BMI": "bmi1", "LZCNT": "abm", "LAHF_SAHF": "lahf_lm", "GCC_HAVE_SYNC_COMPARE_AND_SWAP_16": "cx16",
             "CRC32": "sse4_2"}
    on = {known.get(name, name.lower()) for name in macros(level) - macros("x86-64") if not name.startswith("FP_FAST_FMA")}
    assert on == X86[level].features


def test_a_machine_without_a_level_is_refused(monkeypatch, tmp_path):
    on(monkeypatch, "riscv64", ())
    with pytest.raises(ValueError, match="no kernels are built ahead for riscv64"):
        make_prebuilt(tmp_path, "c++", INCLUDE)


CHILD = """
import json, sys
from pathlib import Path
import flax.linen as nn, jax, jax.numpy as jnp, numpy as np
from reds_jax import describe_backend, run
from reds_jax.lowering import lowering
from reds_jax.native import prebuilt

class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.BatchNorm(not train)(nn.Conv(8, (3, 3))(x)))
        return nn.relu(nn.BatchNorm(not train)(nn.Conv(8, (3, 3), feature_group_count=8)(x))).mean((1, 2))

prebuilt.FOLDER = Path(sys.argv[1])
x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 6, 6, 3)), jnp.float32)
variables = Net().init(jax.random.key(0), x)

def loss(params):
    return (run.run(Net(), {**variables, "params": params}, x, train=True)[0] ** 2).sum()

found = {"said": describe_backend()}
for form in ("dot", "fused") if "form 'fused'" in found["said"] else ("dot",):
    with lowering(form):
        step = jax.jit(jax.value_and_grad(loss)).lower(variables["params"])
        found[form] = [np.asarray(a).tolist() for a in jax.tree.leaves(step.compile()(variables["params"]))]
        found[f"{form} calls"] = "reds_jax_conv_kernel" in step.as_text()
print(json.dumps(found))
"""


def without_compiler(folder):
    """What a process computes that has no compiler, and a wheel with the libraries of ``folder``."""
    environment = {**os.environ, "PATH": str(folder), "CXX": "/nonexistent", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", CHILD, str(folder)], env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The libraries that a wheel of this machine would have."""
    compiler = find_compiler()
    if compiler is None or not any(platform.machine() in level.machines and level.features <= features() for level in LEVELS):
        pytest.skip("no compiler, or no level, for this machine")
    folder = tmp_path_factory.mktemp("prebuilt")
    assert {path.name for path in make_prebuilt(folder, compiler, INCLUDE)} == {path.name for path in folder.iterdir()}
    return folder


@pytest.mark.slow
def test_without_a_compiler_the_prebuilt_kernels_compute_what_the_dot_form_does(made):
    found = without_compiler(made)
    best = next(level.name for level in LEVELS if platform.machine() in level.machines and level.features <= features())
    assert f"kernels: prebuilt for {best};" in found["said"]
    assert (found["dot calls"], found["fused calls"]) == (False, True)
    for a, b in zip(found["dot"], found["fused"], strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_library_that_cannot_be_loaded_is_left_alone_and_that_is_said(made, tmp_path):
    record = json.loads((made / RECORD).read_text(encoding="utf-8"))
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    (tmp_path / RECORD).write_text(json.dumps(record), encoding="utf-8")
    said = without_compiler(tmp_path)["said"]
    assert "form 'dot'" in said
    assert re.search(r"no C\+\+ compiler \(CXX, .*\); the prebuilt one for .* is damaged", said)
    record["libraries"] = {path.stem: hashlib.sha256(CONTENT).hexdigest() for path in tmp_path.glob("*.so")}
    for path in tmp_path.glob("*.so"):
        path.write_bytes(CONTENT)
    (tmp_path / RECORD).write_text(json.dumps(record), encoding="utf-8")
    assert re.search("the prebuilt ones for .* cannot be loaded: .*", without_compiler(tmp_path)["said"])
    (tmp_path / RECORD).write_text(json.dumps({**record, "sources": "others"}), encoding="utf-8")
    assert "the prebuilt ones are of other sources" in without_compiler(tmp_path)["said"]
