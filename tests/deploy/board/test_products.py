"""Estimates for boards that can be bought: sums of what the export, the linker and QEMU say."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from device_cases import case_of
from every_layer import SHAPE, Everything
from rich.console import Console

from reds_jax.deploy.board import device
from reds_jax.deploy.board.products import PROCESSORS, PRODUCTS, product
from reds_jax.deploy.c.export import export
from reds_jax.deploy.profile_command import Profile, estimate
from reds_jax.errors import InvalidArgumentError


@pytest.mark.parametrize("text", ["m4", "m4,0,1,1", "m4,80,1024", "m9,80,1024,128", "m4,80,1024,-1", "m4,8e1,1024,128", ""])
def test_what_is_no_board_is_refused(text):
    with pytest.raises(InvalidArgumentError, match="no such board"):
        product(text)


def test_every_product_has_a_processor_that_is_emulated():
    assert {p.processor for p in PRODUCTS.values()} <= set(PROCESSORS)


@pytest.mark.skipif(not shutil.which("qemu-system-arm") or not shutil.which("arm-none-eabi-gcc"),
                    reason="needs qemu-system-arm and gcc-arm-none-eabi")
def test_estimates_are_the_sums_of_what_is_in_the_image(tmp_path):
    case = case_of(Everything(), SHAPE, (0.25, 1.0))
    made = export(case.model, case.trees, case.graph, case.widths, tmp_path / "c", "int8", calibration=[case.x], rule="minmax")
    Profile(tmp_path / "c", ("pico", "m0plus,50,1,1"), output=tmp_path / "p.json")(Console(quiet=True), "reds deploy profile")
    rows = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))["estimates"]
    found = device.run(made.folder, product("pico").board, examples=1)
    facts = made.facts
    assert [row["subnetwork"] for row in rows] == [0, 1, 0, 1]
    for row, counted in zip(rows, found.subnetworks * 2, strict=True):
        k = row["subnetwork"]
        arena = facts["subnetworks"][k]["arena_bytes"]
        assert row["instructions"] == counted.invoke
        assert facts["weight_bytes"] + facts["table_bytes"] < row["flash"]
        assert row["flash"] == found.flash - len(case.x) * (np.prod(SHAPE) + 2 * 4)
        assert row["ram"] - arena >= np.prod(SHAPE) + 4
        assert row["ram"] - row["arena"] == rows[0]["ram"] - rows[0]["arena"]  # all else is the same
    assert [row["milliseconds"] for row in rows[:2]] == [[s.invoke / 133e3, None] for s in found.subnetworks]
    assert [row["fits"] for row in rows] == [True, True, False, False]
    ram = rows[0]["ram"] + rows[0]["stack"]
    below, above = (estimate(made.folder, "reds", replace(product("pico"), ram_kb=kb), found)[0].fits
                    for kb in (-(-ram // 1024) - 1, -(-ram // 1024)))
    assert (below, above) == (False, True)
    flash = rows[0]["flash"]
    assert estimate(made.folder, "reds", replace(product("pico"), flash_kb=flash // 1024), found)[0].fits == (flash % 1024 == 0)
