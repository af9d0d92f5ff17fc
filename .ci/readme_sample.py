"""Run the Python block of the README word by word, on fewer images and for one epoch: ``python readme_sample.py README.md``."""

import re
import sys
from pathlib import Path

SMALLER = {'data.load("fashion_mnist")': 'data.load("fashion_mnist", limit=2000)', "FitConfig(epochs=3)": "FitConfig(epochs=1)"}

blocks = re.findall(r"```python\n(.*?)```", Path(sys.argv[1]).read_text(encoding="utf-8"), re.S)
block, = [b for b in blocks if "nest(" in b]
for words, fewer in SMALLER.items():
    assert block.count(words) == 1, f"the README has not {words}"
    block = block.replace(words, fewer)
scope: dict = {"__name__": "readme"}
exec(compile(block, "README.md", "exec"), scope)
assert scope["logits"].shape == (2000, 10)
