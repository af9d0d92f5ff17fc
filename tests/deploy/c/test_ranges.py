"""The C of joined, grouped, shuffled, dilated and padded networks: every kernel alone, and whole networks at every width."""

import shutil
import subprocess
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from c_exports import make, make_case
from joined_bodies import OTHERS, QUICK
from test_export_folder import SANITIZE

from reds_jax.deploy.board.boards import board_of
from reds_jax.deploy.board.image import emulate, link
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.c.export import export
from reds_jax.deploy.c.spread import laid_out, spread_of
from reds_jax.deploy.folder import facts
from reds_jax.deploy.lowering.lower import lower

pytestmark = pytest.mark.usefixtures("as_users_write")

DTYPES = ("float32", "int8")
NAMES = [*(b.__name__ for b in QUICK), *(pytest.param(b.__name__, marks=pytest.mark.slow) for b in OTHERS)]
CHECK = Path(__file__).parent / "check_ranges.c"
RUNTIME = Path(str(resources.files("reds_jax.deploy.c") / "runtime"))
EDGES = ("-O1", "-g", "-DCHECK_EDGES", "-fsanitize=address,undefined", "-fno-sanitize-recover")


@pytest.mark.parametrize(("cc", "flags"), [
    ("gcc", ("-O1",)),
    *(pytest.param(cc, flags, marks=pytest.mark.slow) for cc, flags in [
        ("gcc", ("-O0",)), ("gcc", ("-O3",)), ("gcc", ("-O1", "-DREDS_HALVES")),
        ("gcc", EDGES), ("clang", EDGES), ("clang", ("-O3",))])])
def test_every_kernel_agrees_with_the_formulas(tmp_path, cc: str, flags: tuple[str, ...]) -> None:
    if not shutil.which(cc):
        pytest.skip(f"{cc} is not installed")
    sources = [str(RUNTIME / f"reds_{name}.c") for name in ("s8", "f32", "s8_ranges", "f32_ranges")]
    command = [cc, "-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", *flags, f"-I{RUNTIME}", str(CHECK),
               *sources, "-o", str(tmp_path / "check")]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if built.returncode and flags is EDGES and "cannot find" in built.stderr:
        pytest.skip(f"{cc} has no sanitizers here (Debian: libclang-rt-14-dev)")
    assert built.returncode == 0, built.stderr
    done = subprocess.run([str(tmp_path / "check")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "ok"), done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
                    reason="qemu-system-arm and arm-none-eabi-gcc are not installed")
@pytest.mark.parametrize(("board", "defines"), [("m4", ("-DCASES=300",)), ("m0", ("-DCASES=20", "-DCAPACITY=500"))])
def test_every_kernel_agrees_with_the_formulas_on_a_board(tmp_path, board: str, defines: tuple[str, ...]) -> None:
    target, kernels = board_of(board), [path for path in RUNTIME.glob("*.c") if path.stem.startswith(("reds_s8", "reds_f32"))]
    assert emulate(link([*kernels, CHECK], tmp_path, target, *defines, f"-I{RUNTIME}"), target).strip() == "ok"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_width_answers_as_in_python(joined, compiler, tmp_path, name: str, dtype: str) -> None:
    case = joined(name)
    made = make_case(case, dtype, tmp_path / "c")
    network = compiler.load(made.folder)
    for k in (2, 0, 1):
        assert network.adapt(k)
        made.assert_answers(network, k, case.x)
    for k in (1, 1, 0, 2):  # what ran before, in the same arena, changes nothing
        network.adapt(k)
        made.assert_answers(network, k, case.x)


@pytest.mark.skipif(shutil.which("clang") is None, reason="clang is not installed")
def test_clang_has_no_warnings(joined, compiler, tmp_path) -> None:
    made = make_case(joined("shuffled"), "int8", tmp_path / "c")
    network = compiler.load(made.folder, cc="clang")
    network.adapt(0)
    made.assert_answers(network, 0, joined("shuffled").x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["joined_again", "multiplied_joined", "shuffled", *(
    pytest.param(b.__name__, marks=pytest.mark.slow) for b in (*QUICK, *OTHERS)
    if b.__name__ not in ("joined_again", "multiplied_joined", "shuffled", "multiplied_image", "grouped_of_joined"))])
def test_any_row_answers_as_in_python(joined, compiler, tmp_path, name: str, dtype: str) -> None:
    case, rng = joined(name), np.random.default_rng(0)
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    rows = any_rows("reds", case.graph, case.widths, None)
    made = make(program, case.x, dtype, tmp_path / "c", widths=case.widths, rows=rows)
    network = compiler.load(made.folder)
    least, most = np.array(rows.rows[0]), np.array(rows.rows[-1])
    below = np.maximum(most - 1, least)  # every range is shorter than that of the subnetwork whose tables it has
    for row in map(tuple, [rows.rows[1], below.tolist(), *rng.integers(least, most + 1, (2, len(most))).tolist()]):
        assert network.adapt_to(row)
        made.at(row).assert_answers(network, 0, case.x)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["densenet", "dilated", "shuffled", "padded"])
def test_the_exported_folder_is_complete_and_reads_nothing_outside_of_its_arrays(joined, tmp_path, name: str) -> None:
    """By the public function, with the report of its quality, under sanitizers and with each arena as small as it says."""
    case = joined(name)
    for dtype in DTYPES:
        made = export(case.model, case.trees, case.graph, case.widths, tmp_path / dtype, dtype, calibration=[case.x])
        done = subprocess.run(["make", "-C", str(tmp_path / dtype), f"CFLAGS={SANITIZE}", f"LDFLAGS={SANITIZE}"],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert facts(tmp_path / dtype)["subnetworks"][0]["macs"] == case.graph.macs(case.widths[0])
        if dtype == "int8":
            names = made.quality.layers
            assert "concat" in names or name in ("shuffled", "padded")
            assert not {"pad", "shuffle"} & set(names)


def test_only_what_needs_them_has_the_kernels_of_ranges(exports, joined, tmp_path) -> None:
    ranges = {"reds_ranges.h", "reds_s8_ranges.c"}
    assert not ranges & {p.name for p in (exports("cnn", "int8").folder / "src").iterdir()}
    made = make_case(joined("unet"), "int8", tmp_path / "c")
    assert {p.name for p in made.folder.rglob("*ranges*")} == ranges
    assert "build/reds_s8_ranges.o" in (made.folder / "Makefile").read_text()


def test_every_range_of_a_row_begins_at_a_whole_word(joined) -> None:
    """And between them there are zeros: a row is as long as its ranges, each rounded up."""
    program = joined("unet").program
    last = next(op for op in program.operations if op.name == "last")
    spread = spread_of(program, last)
    assert [spread.starts(1), spread.starts(4)] == [[0, 24, 60, 78], [0, 24, 60, 80]]
    weights = np.arange(1, last.weights.size + 1).reshape(last.weights.shape)
    stored = laid_out(replace(spread, area=5, reads=spread.reads), weights[:, :65], 4)
    assert stored.shape == (5, 20 + 32 + 16)
    np.testing.assert_array_equal(stored[:, :20], weights[:, :20])
    np.testing.assert_array_equal(stored[:, 20:50], weights[:, 20:50])
    np.testing.assert_array_equal(stored[:, 52:67], weights[:, 50:65])
    assert not stored[:, [50, 51, 67]].any()
