"""The page on phones is run, block after block."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "deploy_phones.md"


@pytest.mark.slow
def test_the_blocks_of_the_page_run():
    for package in ("onnx", "onnxruntime", "ai_edge_litert"):
        pytest.importorskip(package, reason=f"the package {package} is not installed")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) == 3
    scope: dict[str, object] = {"__name__": "deploy_phones"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), scope)
