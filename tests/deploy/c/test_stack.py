"""How much stack an inference takes: the bound that an export states against the call graph that the compiler writes."""

import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
from bodies import Body, inverted_residual
from c_exports import make_case
from device_cases import case_of
from joined_bodies import QUICK, SHAPE

from reds_jax.deploy.board import device
from reds_jax.deploy.board.device import BOARDS, FLAGS
from reds_jax.deploy.c import stack
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.folder import facts, include_flags
from reds_jax.deploy.lowering.lower import lower

GCC = shutil.which("arm-none-eabi-gcc")
pytestmark = pytest.mark.skipif(GCC is None, reason="arm-none-eabi-gcc is not installed (Debian: gcc-arm-none-eabi)")
RUNTIME = Path(stack.__file__).parent / "runtime"
OF_BODIES = {body.__name__: partial(case_of, Body(body), shape, (0.4, 1.0)) for body, shape in [
    (inverted_residual, (7, 5, 3)), *((body, SHAPE) for body in QUICK if body.__name__ == "unet")]}
LIBRARY = 56  # what assembly takes at most: reds_four_rows; memset, division and floats of the compiler's library


class Graph:
    """Frames and calls of C files, from what GCC writes with -fcallgraph-info=su."""

    def __init__(self, files, folder: Path, *flags: str) -> None:
        self.frames: dict[str, int] = {}
        self.calls: dict[str, set[str]] = {}
        self.assembly: set[str] = set()
        for file in files:
            target = folder / f"{file.stem}.s"
            subprocess.run([str(GCC), *FLAGS, *flags, "-fcallgraph-info=su", "-S", str(file), "-o", str(target)], check=True)
            text = target.with_suffix(".ci").read_text()
            for name, size, kind in re.findall(r'node: { title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(([^)]*)\)', text):
                assert kind == "static", f"the frame of {name} is {kind}"
                self.frames[name] = int(size)
            for a, b in re.findall(r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', text):
                self.calls.setdefault(a, set()).add(b)
            self.assembly |= set(re.findall(r"\.global\s+(\w+)", target.read_text()))
        self.assembly -= set(self.frames)

    def depth(self, name: str, above: tuple[str, ...] = ()) -> int:
        """The most bytes of stack that a function and those that it calls take."""
        assert name not in above, f"{name} recurses"
        if name == "__indirect_call":
            assert above[-1] == "reds_f32_map", f"{above[-1]} calls through a pointer"
            return stack.FUNCTION
        if name not in self.frames:
            assert name in self.assembly or not name.startswith("reds_"), f"{name} is compiled nowhere"
            return LIBRARY
        return self.frames[name] + max((self.depth(called, (*above, name)) for called in self.calls.get(name, ())), default=0)


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """``graph(board)``: the kernels, and what is compiled for this board later."""
    @cache
    def get(board: str) -> Graph:
        return Graph(sorted(RUNTIME.glob("*.c")), tmp_path_factory.mktemp("stack"), *BOARDS[board].flags)

    return get


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_no_kernel_takes_more_than_is_stated_and_the_statement_is_not_idle(graph, dtype: str) -> None:
    most = {}
    for board in ("m0", "m4"):
        found = graph(board)
        kernels = [name for name in found.frames if name.startswith(f"reds_{'s8' if dtype == 'int8' else 'f32'}_")]
        assert len(kernels) >= 7
        most |= {(board, name): found.depth(name) for name in kernels}
    for bound, ranges in ((stack.KERNELS, False), (stack.RANGES, True)):
        some = {key: depth for key, depth in most.items() if key[1].endswith(("_spread", "_ranges")) == ranges}
        assert max(some.values()) <= bound[dtype] <= 1.5 * max(some.values()), some


@pytest.mark.parametrize("any_widths", [False, True])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("of", ["resnet", "unet", "inverted_residual"])
def test_an_inference_takes_no_more_than_its_header_states(library, graph, tmp_path, of: str, dtype: str, any_widths: bool) -> None:
    case, rows = library(of) if of == "resnet" else OF_BODIES[of](), None
    if any_widths:
        case = replace(case, program=lower(case.model, case.trees, case.widths, case.x, every_row=True))
        rows = any_rows("reds", case.graph, case.widths, None)
    folder = make_case(case, dtype, tmp_path / "c", rows=rows).folder
    (stated,) = re.findall(r"#define REDS_STACK_BYTES (\d+)u", (folder / "include" / "reds_model.h").read_text())
    assert int(stated) == facts(folder)["stack_bytes"]
    for board in ("m0", "m4"):
        found = Graph([folder / "src" / "reds_model.c"], tmp_path, *BOARDS[board].flags, *include_flags(folder), f"-I{RUNTIME}")
        functions = [name for name in found.frames if name.startswith("function_")]
        found.frames |= graph(board).frames
        for name, called in graph(board).calls.items():
            found.calls[name] = found.calls.get(name, set()) | called
        found.assembly |= graph(board).assembly
        assert all(found.depth(name) <= stack.FUNCTION for name in functions)
        assert found.depth("reds_net_invoke") <= found.depth("reds_invoke") <= int(stated)


MAIN = """
#include "count.h"
#include "reds_examples.h"
#include "reds_model.h"
#define WORDS 1500
#define PATTERN 0x5EED5EEDu
static reds_element out[REDS_OUTPUT_ITEMS];
int main(void) {
    uint32_t *sp, used = 0;
    for (uint32_t k = 0; k < REDS_SUBNETWORKS; k++) {
        __asm volatile("mov %0, sp" : "=r"(sp));
        for (volatile uint32_t *p = sp - WORDS; p < sp; p++) *p = PATTERN;
        if (reds_adapt(k) != REDS_OK || reds_invoke(reds_example_inputs, out) != k) return 1;
        for (volatile uint32_t *p = sp - WORDS; p < sp; p++) {
            if (*p != PATTERN) {
                used = used > 4u * (uint32_t)(sp - p) ? used : 4u * (uint32_t)(sp - p);
                break;
            }
        }
    }
    reds_print_unsigned(used);
    reds_print("\\n");
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="qemu-system-arm is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("board", ["m0", "m4"])
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_what_an_inference_writes_of_the_stack_is_within_the_bound(exports, tmp_path, dtype: str, board: str) -> None:
    """Also what the compiler's library takes: 64-bit division, and floats in software on the Cortex-M0."""
    folder = exports("ds_cnn", dtype).folder
    (tmp_path / "main.c").write_text(MAIN)
    assert 100 < int(device.execute(folder, tmp_path, board)) <= facts(folder)["stack_bytes"]
