"""What both READMEs say of the recorded comparisons is what their records hold."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from reds_jax.experiments.compare import table

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
RECORDS = sorted(EXPERIMENTS.glob("compare/*/results.json"))


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("summary", EXPERIMENTS / "summary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_records(script):
    assert len(script.records()) >= 3
    for page in script.PAGES:
        assert script.filled(page) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.parent.name)
def test_a_table_is_that_of_its_record(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert path.with_name("table.md").read_text(encoding="utf-8") == table(record)
    for one in record["rounds"]:
        for name, cell in one["cells"].items():
            shares, budgets = ([s[key] for s in cell["subnetworks"]] for key in ("macs_fraction", "budget"))
            assert all(share <= budget for share, budget in zip(shares, budgets, strict=True)), name
            nested = (np.diff([s["widths"] for s in cell["subnetworks"]], axis=0) >= 0).all()
            assert nested or name == "each alone"  # those are separate networks
