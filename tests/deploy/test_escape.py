"""Text from outside stays text: in comments and identifiers of C, in Markdown, in files on a computer that has no UTF-8."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest
from c_exports import Compiler, make
from device_cases import case_of
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import reds_jax.deploy
from reds_jax.deploy.board.host import WARNINGS, HostNetwork
from reds_jax.deploy.c.export import export
from reds_jax.deploy.escape import c_comment, c_identifier, markdown_cell, markdown_code
from reds_jax.deploy.latency.program import kernels, plan, text
from reds_jax.errors import InvalidArgumentError
from reds_jax.testing import LayerSpec, RandomNet

NASTY = st.text(st.sampled_from("*/\\\n\r?=<>'\"%$#{}|`~&[]\u202e\u2028\x00\x85\ud800éab ") | st.characters(), max_size=30)
INJECTION = "*/ int main(void) { return 1; } /*"
many = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(NASTY)
@example("**//*/??/\n")
def test_a_comment_is_one_line_of_ascii_that_nothing_in_it_ends(name: str) -> None:
    shown = f"/* {c_comment(name)}: conv */"
    assert re.fullmatch("[ -~]*", shown)
    assert shown.count("*/") == shown.count("/*") == 1
    assert "??" not in shown


@many
@given(NASTY)
def test_a_cell_is_one_line_without_markup_and_a_span_of_code_ends_where_it_should(cell: str) -> None:
    shown = markdown_cell(cell)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"[`*|<>\[\]]", re.sub(r"\\.", "", shown))  # none that is not escaped
    span = markdown_code(cell)
    assert len(span.splitlines()) == 1
    if re.sub(r"\s", "", cell):
        fence = re.match("`+", span).group()
        assert span.endswith(fence)
        assert not re.search(rf"(?<!`){fence}(?!`)", span[len(fence) : -len(fence)])


@pytest.fixture(scope="module")
def case():
    conv, depthwise = LayerSpec("conv", 4, norm=True), LayerSpec("depthwise", 4, norm=True, act="relu")
    layers = conv, depthwise, LayerSpec("max_pool", 4, (2, 2), (2, 2))
    return case_of(RandomNet(layers, ((LayerSpec("mean"),),), 3), (4, 4, 2))


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(names=st.lists(NASTY, min_size=8, max_size=8))
@example(names=[INJECTION, "a*/b", "line\nint x;", "\\", "bidi \u202e", "trigraph ??/", "*", "/"])
def test_a_network_compiles_and_answers_whatever_its_layers_are_called(case, compiler, tmp_path_factory, names) -> None:
    operations = tuple(replace(op, name=name) for op, name in zip(case.program.operations, names, strict=False))
    assert len(operations) == len(case.program.operations)
    made = make(replace(case.program, operations=operations), case.x, "float32", tmp_path_factory.mktemp("named") / "c")
    (made.folder / "src" / "reds_model.c").read_bytes().decode("ascii")
    network = compiler.load(made.folder)
    made.assert_answers(network, network.active, case.x)


def test_a_measuring_program_compiles_whatever_its_layers_are_called(case, tmp_path) -> None:
    program = replace(case.program, operations=tuple(replace(op, name=INJECTION + "é") for op in case.program.operations))
    measured = [replace(m, operation=op) for m, op in zip(
        plan(case.program, case.graph, points=2, multiple=2, checks=0, seed=0), program.operations, strict=True)]
    for name, source in {**kernels("int8"), "latency.c": text(program, measured, "int8", 0)}.items():
        (tmp_path / name).write_text(source, encoding="ascii")
    Compiler.run("gcc", *WARNINGS, "-fsyntax-only", f"-I{tmp_path}", str(tmp_path / "latency.c"))


@pytest.mark.parametrize("name", [
    "Net", "1net", "_net", "net-1", "net.h", "../net", "nét", "net\n", "", "a b", "x/*", "${x}", "int", "while", "restrict",
    "class", "namespace", "net_", "a__b", "n" * 21,
])
def test_what_cannot_begin_an_identifier_is_refused_at_every_entrance(case, tmp_path, name: str) -> None:
    for entrance in (lambda: c_identifier(name), lambda: HostNetwork(tmp_path, name=name),
                     lambda: export(case.model, case.trees, case.graph, case.widths, tmp_path / "c", name=name)):
        with pytest.raises(InvalidArgumentError, match="no prefix of C identifiers"):
            entrance()
    assert not any(tmp_path.iterdir())


def test_what_can_begin_an_identifier_compiles(case, compiler, tmp_path) -> None:
    for name in ("n" * 20, "main", "reds_s8", "reds_kernels", "the", "arena", "weights_1"):  # names that the C has itself too
        made = make(case.program, case.x, "int8", tmp_path / name, name=name)
        network = compiler.load(made.folder, name=name)
        made.assert_answers(network, 1, case.x)


def test_every_file_is_opened_as_utf_8() -> None:
    """Whatever the locale: an encoding is named wherever text is read or written."""
    folder = Path(reds_jax.deploy.__file__).parent
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            text_mode = name in ("read_text", "open") or (name == "write_text" and isinstance(node.func, ast.Attribute))
            text_mode |= any(k.arg in ("text", "universal_newlines") for k in node.keywords)
            assert not text_mode or any(k.arg == "encoding" for k in node.keywords), f"{file}:{node.lineno}"
