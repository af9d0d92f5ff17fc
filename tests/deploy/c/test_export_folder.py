"""The exported folder: it compiles alone, checks itself, survives sanitizers, and is written whole or not at all."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_exports import Compiler, make_case
from device_cases import case_of

from reds_jax.deploy import folder as exported_folder
from reds_jax.deploy.c.export import export
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet

DTYPES = ("float32", "int8")
SANITIZE = "-O1 -g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all"
BARE = {"PATH": os.defpath}
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
@pytest.mark.parametrize("dtype", DTYPES)
def test_it_compiles_alone(exports, tmp_path, dtype: str) -> None:
    """Copied elsewhere, with nothing in the environment but where programs are; a wrong answer is found."""
    folder = shutil.copytree(exports("cnn", dtype).folder, tmp_path / "elsewhere")
    make = [shutil.which("make"), "check"]
    done = subprocess.run(make, cwd=folder, env=BARE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert "all answers agree" in done.stdout
    macs = exports("cnn", dtype).program.macs
    assert [f"subnetwork {k}: {n} MACs" in done.stdout for k, n in enumerate(macs)] == [True] * 3
    examples = folder / "examples" / "reds_examples.h"
    head, tail = examples.read_text().rsplit("\n};", 1)
    values = head.rsplit("\n", 1)[1].split(", ")
    values[-1] = "99" if dtype == "int8" else f"{float(values[-1][:-1]) + 10.0}f"
    examples.write_text(head.rsplit("\n", 1)[0] + "\n" + ", ".join(values) + "\n};" + tail)
    wrong = subprocess.run(make, cwd=folder, env=BARE, capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert "values differ" in wrong.stdout


@needs_make
@pytest.mark.parametrize("dtype", DTYPES)
def test_its_own_check_with_sanitizers(exports, tmp_path, dtype: str) -> None:
    folder = shutil.copytree(exports("ds_cnn", dtype).folder, tmp_path / "copy")
    environment = {"PATH": os.environ["PATH"], "CFLAGS": SANITIZE, "LDFLAGS": SANITIZE, "CC": "gcc"}
    done = subprocess.run(["make", "check"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all answers agree" in done.stdout


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["resnet", "cnn", "mobilenet_relu6"])
def test_any_input_is_survived(compiler, exports, tmp_path, name: str, dtype: str) -> None:
    """Random bytes, extreme floats, infinities and NaN: no undefined behaviour, no access outside of an array."""
    folder, program = exports(name, dtype).folder, tmp_path / "fuzz"
    sources = map(str, exported_folder.sources(folder))
    flags = ["-DFUZZ_INT8"] if dtype == "int8" else []
    compiler.run("gcc", "-std=c99", "-Wall", "-Wextra", *SANITIZE.split(), *flags, *exported_folder.include_flags(folder),
                 "-o", str(program), str(Path(__file__).parent / "fuzz_export.c"), *sources)
    Compiler.run(str(program))


@pytest.fixture(scope="module")
def case():
    return case_of(RandomNet((LayerSpec("dense", 3, norm=True),), ((),), 2), (4,), (0.5, 1.0))


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_of_something_else_is_refused_before_anything_is_computed(case, tmp_path, monkeypatch) -> None:
    """Neither the trained network nor an edited export is replaced; nor is a folder by a network that cannot be exported."""
    monkeypatch.setattr("reds_jax.deploy.c.export.lower", None)
    (tmp_path / "notes.txt").write_text("mine")
    edited = make_case(case, "float32", tmp_path / "out").folder
    (edited / "src" / "reds_f32.c").write_text("mine")
    for folder, message in ((tmp_path, "something else than an export"), (edited, "edited since they were written")):
        before = content(folder)
        with pytest.raises(InvalidArgumentError, match=message):
            export(case.model, case.trees, case.graph, case.widths, folder)
        assert content(folder) == before


@needs_make
def test_what_make_built_before_is_built_again(case, tmp_path) -> None:
    """Objects of the network that was exported before are not linked into the next one."""
    for dtype in ("float32", "int8"):
        made = make_case(case, dtype, tmp_path / "export")
        done = subprocess.run(["make", "check"], cwd=made.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all answers agree" in done.stdout
    assert {"build/reds_model.o", "build/reds_f32.o", "build/reds_s8.o"} <= set(content(made.folder))
    assert "src/reds_f32.c" not in content(made.folder)


def test_wrong_arguments(case, tmp_path) -> None:
    def run(trees=case.trees, nested=case.widths, dtype="float32", **options):
        return export(case.model, trees, case.graph, nested, tmp_path / "none", dtype, **options)

    other = {**case.trees[1], "params": {**case.trees[1]["params"], "Dense_0": {"kernel": np.zeros((4, 2), np.float32),
                                                                               "bias": np.zeros(2, np.float32)}}}
    for message, options in {
        "no such number format; got 'int4'": {"dtype": "int4"}, "no prefix of C identifiers; got 'Net'": {"name": "Net"},
        "int8 needs calibration": {"dtype": "int8"}, "int8 needs calib": {"dtype": "int8", "calibration": []},
        "the subnetworks are not nested": {"nested": case.widths[::-1]},
        "needs widths and variables; got .0, 2": {"nested": []},
        "needs widths and variables; got .1, 2": {"nested": [1.0]},
        "the array 'params/Dense_0/bias' has another shape": {"trees": [case.trees[0], other]},
    }.items():
        with pytest.raises(InvalidArgumentError, match=message):
            run(**options)
    assert not (tmp_path / "none").exists()
