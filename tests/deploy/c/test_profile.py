"""The program that measures the layers of an export: it sees all of them, and a model without the hook has nothing of it."""

import json
import re
import subprocess

import pytest
from c_exports import make_case
from device_cases import case_of
from every_layer import SHAPE, Everything

from reds_jax.deploy.board.host import compiler


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_case(case_of(Everything(), SHAPE), "int8", tmp_path_factory.mktemp("profile"))


def test_every_layer_is_measured_in_every_subnetwork(made, tmp_path):
    clock = tmp_path / "clock.c"  # the k-th reading of the clock is k^2, so that every layer has taken another time
    clock.write_text("#include <stdint.h>\nuint32_t ticks(void);\nuint32_t ticks(void) {\n    static uint32_t k;\n    k++;\n"
                     "    return k * k;\n}\n", encoding="utf-8")
    source = f"CPPFLAGS=-DREDS_TICKS=ticks -DREDS_PASSES=1u {clock}"
    done = subprocess.run(["make", "-s", "-C", str(made.folder), "profile", f"CC={compiler()}", source.replace(f" {clock}", ""),
                           f"LDFLAGS={clock}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    program = made.quantized.program
    assert [line["name"] for line in lines] == [op.name for op in program.operations]
    assert [line["kind"] for line in lines] == [op.kind for op in program.operations]
    assert [line["points"] for line in lines] == [
        [[*program.tensors[op.inputs[0]].channels], [*program.tensors[op.output].channels]] for op in program.operations]
    count = len(lines)
    # reading 2 i begins layer i, reading 2 i + 1 ends it, of 2 (count + 1) readings an inference
    expected = [[(2 * i + 3 + 2 * k * (count + 1)) ** 2 - (2 * i + 2 + 2 * k * (count + 1)) ** 2 for k in range(2)]
                for i in range(count)]
    assert [line["costs"] for line in lines] == expected


def test_without_the_hook_the_model_has_nothing_of_it(made, tmp_path):
    text = (made.folder / "src" / "reds_model.c").read_text(encoding="utf-8")
    plain = tmp_path / "plain.c"
    bare = re.sub(r"^(\s*)LAYER\(\d+u\) ?", r"\1", text, flags=re.MULTILINE)
    assert "LAYER(0" not in bare
    plain.write_text(bare, encoding="utf-8")
    objects = []
    for path in (made.folder / "src" / "reds_model.c", plain):
        out = tmp_path / f"{path.stem}.s"
        subprocess.run([compiler(), "-std=c99", "-O2", "-S", "-fno-asynchronous-unwind-tables", f"-I{made.folder / 'include'}",
                        f"-I{made.folder / 'src'}", str(path), "-o", str(out)], check=True)
        objects.append([line for line in out.read_text(encoding="utf-8").splitlines() if ".file" not in line])
    assert objects[0] == objects[1]
