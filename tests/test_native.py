"""The kernels are built where a compiler is, kept for this machine alone, and missed without harm."""

import pytest

from reds_jax import lowering as forms
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import lowering
from reds_jax.native import build as native


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """No library loaded yet, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    native.built.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    native.built.cache_clear()


def test_without_a_compiler_the_dot_form_runs(fresh, monkeypatch):
    monkeypatch.setenv("CXX", "no_such_compiler")
    assert not native.built().ready
    assert "no C++ compiler" in native.built().text
    assert forms.form() == "dot"
    with pytest.raises(InvalidArgumentError, match="the fused form is not there; got 'no C\\+\\+ compiler"), lowering("fused"):
        pass


def test_a_compiler_that_fails_is_named_with_its_message(fresh, monkeypatch):
    script = fresh / "compiler"
    script.write_text('#!/bin/sh\n[ "$1" = --version ] && echo 1 && exit 0\necho "error: out of luck" >&2; exit 1\n',
                      encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    found = native.built()
    assert (found.ready, forms.form()) == (False, "dot")
    assert f"{script} did not build them: error: out of luck" == found.text
    assert not list((fresh / "reds_jax").iterdir())  # nothing half-written


def test_another_processor_builds_its_own(fresh, monkeypatch):
    """What a compiler makes is kept under a name that says for which machine; a compiler that copies the source stands in."""
    script = fresh / "compiler"
    log = fresh / "log"
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo 1 && exit 0\necho built >> {log}\n'
                      'for word; do last=$word; done; cp "$0" "$last"\n', encoding="utf-8")
    script.chmod(0o755)
    first = native._built(str(script))
    assert native._built(str(script)) == first
    calls = log.read_text(encoding="utf-8")
    assert first.read_bytes() == script.read_bytes()
    monkeypatch.setattr(native, "processor", lambda: ("another",))
    assert native._built(str(script)) != first
    assert log.read_text(encoding="utf-8") == 2 * calls


def test_a_cache_that_cannot_be_written_is_no_fault(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = native._folder()
    assert folder.is_dir()
    assert tmp_path not in folder.parents
    folder.rmdir()


def test_the_form_is_said():
    text = forms.describe_backend()
    assert text.startswith("cpu")
    assert repr(forms.form()) in text
    assert native.built().text in text
