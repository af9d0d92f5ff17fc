"""Any row of widths on an emulated Cortex-M: the answers of the formulas, and what an adaptation costs in instructions."""

import numpy as np
import pytest
from c_exports import make_case
from device_cases import case_of
from test_device import needs_tools

from reds_jax.deploy.board import device
from reds_jax.deploy.c.any_widths import any_rows
from reds_jax.deploy.lowering.lower import lower
from reds_jax.models import DSCNN

MAIN = """
#include "count.h"
#include "reds_model.h"
static const int8_t input[] = {INPUT};
static const uint16_t rows[][REDS_GROUPS] = {ROWS};
static int8_t out[REDS_OUTPUT_ITEMS];
static uint16_t found[REDS_GROUPS];
static uint32_t n;
static reds_status status;
static void adapt_to(void *unused) { (void)unused; status = reds_adapt_to(rows[n]); }
int main(void) {
    for (n = 0; n < sizeof rows / sizeof *rows; n++) {
        const uint32_t count = reds_count(adapt_to, 0);
        if (status != REDS_OK || reds_invoke(input, out) != reds_active()) return 1;
        reds_print_unsigned(count);
        for (uint32_t i = 0; i < REDS_OUTPUT_ITEMS; i++) {
            reds_print(" ");
            reds_print_signed(out[i]);
        }
        reds_print("\\n");
    }
    if (reds_adapt_to(0) != REDS_WIDTHS_NOT_ALLOWED || reds_widths_for(BUDGET, found) != REDS_OK) return 2;
    return reds_in_order(found) != 1;
}
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    case = case_of(DSCNN(4, 9, (4, 4), (2, 2), ((2, 2), (1, 1))), (10, 8, 1), (0.3, 0.6, 1.0), n=2)
    rows = [w.values_tuple() for w in case.widths]
    order = [rows[0], (3, 4, 5), (5, 7, 5), (9, 9, 9)]
    found = any_rows("reds", case.graph, case.widths, order)
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    made = make_case(type(case)(case.model, case.trees, case.graph, case.widths, case.x, program), "int8",
                     tmp_path_factory.mktemp("rows") / "c", rows=found)
    return made, case.x


@needs_tools
@pytest.mark.parametrize(("board", "once", "each_group"), [("m4", 45, 24), ("m0", 55, 32)])
def test_rows_answer_as_the_formulas_within_few_instructions(exported, tmp_path, board, once, each_group) -> None:
    made, x = exported
    rng = np.random.default_rng(0)
    rows = [tuple(int(n) for n in rng.integers(made.rows.rows[0], np.array(made.rows.rows[-1]) + 1)) for _ in range(12)]
    text = MAIN.replace("INPUT", ", ".join(map(str, made.given(x[:1]).ravel()))).replace(
        "ROWS", ", ".join(f"{{{', '.join(map(str, row))}}}" for row in rows)).replace("BUDGET", f"{made.rows.macs[2]}u")
    (tmp_path / "main.c").write_text(text)
    lines = [[int(v) for v in line.split()] for line in device.execute(made.folder, tmp_path, board).splitlines()]
    for row, (count, *answer) in zip(rows, lines, strict=True):
        np.testing.assert_array_equal(answer, made.at(row).expected(0, x[:1])[0])
        assert each_group * len(row) < count <= once + each_group * len(row) + 22 * len(row), row


@needs_tools
def test_the_table_of_a_device_has_the_cost_of_a_row(exported) -> None:
    run = device.run(exported[0].folder, "m4")
    assert all(s.adapt_to is not None and 0 < s.adapt < 15 < s.adapt_to <= 45 + 24 * 3 for s in run.subnetworks)
