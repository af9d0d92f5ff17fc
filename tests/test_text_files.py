"""Text is UTF-8 wherever it is read or written, whatever the machine's language is."""

import ast
from pathlib import Path

import reds_jax

SOURCE = Path(reds_jax.__file__).parent
FILES = sorted(p for p in SOURCE.rglob("*.py") if "deploy" not in p.relative_to(SOURCE).parts)


def without_encoding(text: str) -> list[int]:
    """The lines of calls that open a file, or read the output of a process, as text of the machine's encoding."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        words = {k.arg: k.value for k in node.keywords}
        modes = [a.value for a in (*node.args, *words.values()) if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        plain = isinstance(node.func, ast.Name)
        if name in ("open", "fdopen"):
            method = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in ("Image", "tarfile", "zipfile")
            text_mode = not method and not any("b" in m and len(m) <= 3 for m in modes) and ast.unparse(node.func) != "os.open"
        else:
            text_mode = name == "read_text" or (name == "write_text" and not plain) or (
                name in ("run", "Popen", "check_output") and ("text" in words or "universal_newlines" in words))
        if text_mode and "encoding" not in words:
            found.append(node.lineno)
    return found


def test_no_text_file_of_the_machines_encoding():
    found = {str(p.relative_to(SOURCE)): without_encoding(p.read_text(encoding="utf-8")) for p in FILES}
    assert len(found) > 50
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_what_is_found():
    text = """open("a")
open("a", "w")
open("a", "rb")
open("a", encoding="utf-8")
path.open()
path.read_text()
path.write_text("b")
path.read_text(encoding="utf-8")
write_text(path, "b")
subprocess.run(["a"], text=True)
subprocess.run(["a"], encoding="utf-8")
Image.open("a")
os.open("a", 0)
"""
    assert without_encoding(text) == [1, 2, 5, 6, 7, 10]
