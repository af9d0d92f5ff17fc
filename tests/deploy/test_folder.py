"""An export replaces the files that an export wrote, all of them or none, and nothing else; one file only its like."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from reds_jax.deploy import folder, one_file
from reds_jax.errors import InvalidArgumentError
from reds_jax.training.saved import save_model

OLD = {"src/net.c": "int old;\n", "src/kernel_8.c": "int eight;\n", "old/it.h": "int h;\n", "model.json": "{}\n",
       "Makefile": "all:\n"}
NEW = {"src/net.c": "int new;\n", "src/kernel_32.c": "float ü;\n", "new/sub/it.h": "int h;\n", "model.json": "{ }\n",
       "Makefile": "all: it\n"}


def content(of: Path) -> dict[str, str]:
    """Every file in a folder and below, hidden ones too; a folder or a link by a mark."""
    def of_one(p: Path) -> str:
        return f"-> {p.readlink()}" if p.is_symlink() else "/" if p.is_dir() else p.read_bytes().decode("utf-8", "replace")

    return {str(p.relative_to(of)): of_one(p) for p in of.rglob("*")}


def exported(out: Path, files: dict[str, str] = OLD, name: str = "reds") -> Path:
    folder.write(out, name, files)
    return out


def files_of(out: Path) -> dict[str, str]:
    """Without the manifest, and without the folders that have something in them."""
    found = content(out)
    return {name: text for name, text in found.items()
            if name != folder.MANIFEST and not (text == "/" and any(other.startswith(f"{name}/") for other in found))}


def assert_refused(out: Path, message: str, files: dict[str, str] = NEW) -> None:
    """Nothing at all is changed; so early that nothing has been computed."""
    before = content(out) if out.is_dir() else None
    for refused in (lambda: folder.write(out, "reds", files), lambda: folder.check(out, files)):
        with pytest.raises(InvalidArgumentError, match=message) as error:
            refused()
        assert "\n" not in str(error.value)
        assert "Choose another" in str(error.value) or "ename" in str(error.value)  # what to do
    assert before is None or content(out) == before


def test_what_was_exported_is_replaced_and_what_an_export_no_longer_has_is_gone(tmp_path) -> None:
    assert files_of(exported(tmp_path / "deep" / "out")) == OLD
    assert files_of(exported(tmp_path / "deep" / "out", NEW)) == NEW
    (tmp_path / "empty").mkdir()
    assert files_of(exported(tmp_path / "empty")) == OLD
    (tmp_path / "empty" / "src" / "net.c").unlink()  # what is missing is no loss
    assert files_of(exported(tmp_path / "empty", NEW)) == NEW


def test_a_trained_network_is_no_export(tmp_path) -> None:
    save_model(tmp_path / "model", {"w": [1.0]}, {})
    assert_refused(tmp_path / "model", "something else than an export; got .'arrays-.*, 'model.json'")


def test_foreign_files_are_no_export(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert_refused(tmp_path, "something else than an export; got .'notes.txt'")
    outside = [json.dumps({"format": folder.FORMAT, "files": {name: ""}}) for name in ("../a", "a/../b", "/a", "a//b")]
    for text in ("no json", "[]", '{"format": "other", "files": {}}', *outside):
        (tmp_path / folder.MANIFEST).write_text(text)
        assert_refused(tmp_path, "something else than an export; got")
    assert_refused(tmp_path / "notes.txt", "it is no folder")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert_refused(tmp_path / "nowhere", "it is no folder")


def test_edited_files_of_an_export_are_not_replaced(tmp_path) -> None:
    for name in OLD:
        out = exported(tmp_path / Path(name).name)
        (out / name).write_text(OLD[name] + "mine\n")
        assert_refused(out, f"were edited since they were written; got .'{name}'")
        (out / name).rename(out / "mine.txt")  # as the hint says
        assert files_of(exported(out, NEW)) == {**NEW, "mine.txt": OLD[name] + "mine\n"}
    linked = exported(tmp_path / "linked")
    shutil.move(linked / "src/net.c", tmp_path / "mine.c")
    (linked / "src/net.c").symlink_to(tmp_path / "mine.c")  # of the same content
    assert_refused(linked, "were edited .* got .'src/net.c'")
    assert (tmp_path / "mine.c").read_text() == OLD["src/net.c"]


def test_files_beside_an_export_survive_it(tmp_path) -> None:
    out = exported(tmp_path / "out")
    (out / "board").mkdir()
    own = {"notes.txt": "mine", "src/net.o": "built by make", "board/net.c": "mine too", "old/mine.h": "beside one that goes",
           ".git": "gitdir: elsewhere"}
    for name, text in own.items():
        (out / name).write_text(text)
    assert files_of(exported(out, NEW)) == {**NEW, **own}
    assert (out / "src/net.o").stat().st_mtime_ns <= (out / "src/net.c").stat().st_mtime_ns  # so `make` builds it anew
    (out / "src/kernel_8.c").write_text("my own kernel")
    assert_refused(out, "needs names that other files have .* got .'src/kernel_8.c'", OLD)


@pytest.mark.parametrize("make", [lambda p: p.write_text("mine"), lambda p: p.symlink_to("../elsewhere")], ids=["file", "link"])
def test_what_stands_where_a_folder_would_be_is_neither_replaced_nor_followed(tmp_path, make) -> None:
    (tmp_path / "elsewhere").mkdir()
    out = exported(tmp_path / "out")
    make(out / "new")
    assert_refused(out, "needs names that other files have .* got .'new/sub/it.h'")
    (out / "new").unlink()
    shutil.move(out / "src", tmp_path / "src")
    make(out / "src")
    assert_refused(out, "were edited since they were written; got .'src/kernel_8.c', 'src/net.c'")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_networks_of_one_folder_leave_each_other_alone(tmp_path) -> None:
    """A file goes with the last network that needs it; one that both need is replaced by either."""
    def files(name: str, kernels: tuple[str, ...], text: str = "") -> dict[str, str]:
        own = {f"src/{name}_model.c": name + text, f"{name}.json": "{}", "Makefile": name}
        return own | {f"src/{kernel}.c": kernel for kernel in kernels}

    out, a, b = tmp_path / "out", files("a", ("s8", "f32")), files("b", ("f32", "q"))
    exported(out, a, "a")
    assert files_of(exported(out, b, "b")) == {**a, **b}
    assert folder.networks(out) == {"a": [*a], "b": [*b]}
    kept = (out / "src/a_model.c").stat().st_mtime_ns
    again = files("b", (), " again")
    assert files_of(exported(out, again, "b")) == {**a, **again}  # q has gone, f32 is needed
    assert (out / "src/a_model.c").stat().st_mtime_ns == kept
    less = files("a", ("s8",))
    assert files_of(exported(out, less, "a")) == {**again, **less}
    folder.add(out, "a_accuracy.json", "{}", name="a")
    exported(out, again, "b")
    assert (out / "a_accuracy.json").exists()  # it is a's
    assert files_of(exported(out, less, "a")) == {**again, **less}
    (out / "src/a_model.c").write_text("mine")
    assert_refused(out, "were edited .* got .'src/a_model.c'", again)


def test_a_folder_of_the_earlier_flat_form_is_replaced(tmp_path) -> None:
    flat = {"net.c": "int old;", "model.json": "{}", "main.c": "int main;", "Makefile": "all:"}
    for name, text in flat.items():
        (tmp_path / name).write_text(text)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in flat.items()}
    (tmp_path / folder.MANIFEST).write_text(json.dumps({"format": "reds_jax export 1", "files": digests}))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="no exported network in the folder"):
        folder.facts(tmp_path)
    (tmp_path / "main.c").write_text("mine")
    assert_refused(tmp_path, "were edited .* got .'main.c'")
    (tmp_path / "main.c").write_text(flat["main.c"])
    assert files_of(exported(tmp_path, NEW)) == {**NEW, "notes.txt": "mine"}


def test_a_folder_is_never_replaced_so_it_may_be_a_link_or_where_one_is(tmp_path, monkeypatch) -> None:
    out = exported(tmp_path / "real")
    inode = out.stat().st_ino
    (tmp_path / "link").symlink_to(out)
    exported(tmp_path / "link", NEW)
    assert (tmp_path / "link").is_symlink()
    assert files_of(out) == NEW
    monkeypatch.chdir(out)
    exported(Path("."))  # as a user types it
    assert files_of(out) == OLD
    assert out.stat().st_ino == inode


STEPS = [(Path, "replace"), (shutil, "rmtree"), (folder.os, "replace"), (folder.os, "fsync")]


def interrupted(monkeypatch, out: Path, step, fatal: int, error: type[BaseException], *, killed: bool) -> bool:
    """Whether the export got to its end, although the call number ``fatal`` of a step failed; or nothing was done behind it."""
    (where, name), calls = step, []
    original, put_back = getattr(where, name), folder._put_back

    def failing(*args, **options):
        calls.append(name)
        if len(calls) == fatal:
            if killed:
                monkeypatch.setattr(folder, "_put_back", lambda out: None)
            raise error("no more")
        return original(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing)
        try:
            folder.write(out, "reds", NEW)
        except error:
            pass
        finally:
            monkeypatch.setattr(folder, "_put_back", put_back)
    return len(calls) < fatal


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[1])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_export_that_fails_leaves_the_old_one_whole(tmp_path, monkeypatch, step, error: type[BaseException]) -> None:
    out, fatal = exported(tmp_path / "out"), 0
    (out / "notes.txt").write_text("mine")
    before = content(out)
    while not interrupted(monkeypatch, out, step, fatal := fatal + 1, error, killed=False):
        if step[1] == "rmtree":  # behind the commit: the new one is there, and the next export clears up
            folder.check(out)
            assert files_of(out) == {**NEW, "notes.txt": "mine"}
            exported(out)
        assert content(out) == before
    assert fatal > (1 if step[1] == "rmtree" else 4)
    assert files_of(out) == {**NEW, "notes.txt": "mine"}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step[1])
def test_an_export_that_is_killed_is_undone_by_the_next(tmp_path, monkeypatch, step) -> None:
    """At any moment the folder is the old export, the new one, or says that it is none."""
    out, fatal = exported(tmp_path / "out"), 0
    own = {"notes.txt": "mine", "src/other.c": "of another network"}
    (out / "notes.txt").write_text("mine")
    exported(out, {"src/other.c": own["src/other.c"], "Makefile": OLD["Makefile"]}, "other")
    before = content(out)
    while not interrupted(monkeypatch, out, step, fatal := fatal + 1, SystemExit, killed=True):
        whole = (out / folder.MANIFEST).exists()
        seen = {name: text for name, text in files_of(out).items() if text != "/" and not name.startswith(folder._STAGING)}
        assert not whole or seen in ({**OLD, **own}, {**NEW, **own})
        if not whole:
            assert any(seen.items() <= {**files, **own}.items() for files in (OLD, NEW))  # never some of both
            with pytest.raises(InvalidArgumentError, match="no exported network"):
                folder.facts(out)
        assert (out / "src/other.c").exists()
        folder.check(out)
        assert content(out) == before or files_of(out) == {**NEW, **own}
        exported(out)
    assert fatal > 1


def test_a_file_where_a_killed_export_had_one_stays(tmp_path, monkeypatch) -> None:
    out = exported(tmp_path / "out")
    interrupted(monkeypatch, out, STEPS[0], 7, SystemExit, killed=True)  # the manifest and the five files are put aside
    assert not (out / "src/net.c").exists()
    (out / "src/net.c").write_text("mine, written anew")
    assert_refused(out, "was killed, .* others are; got .'src/net.c'")
    (out / "src/net.c").rename(out / "mine.c")
    assert files_of(exported(out, NEW)) == {**NEW, "mine.c": "mine, written anew"}


def test_one_more_file_of_an_export_goes_with_it(tmp_path) -> None:
    out = exported(tmp_path / "out")
    folder.add(out, "accuracy.json", "{}", name="reds")
    folder.add(out, "accuracy.json", "{ }", name="reds")
    assert files_of(out) == {**OLD, "accuracy.json": "{ }"}
    assert files_of(exported(out, NEW)) == NEW  # it was of the old network
    (out / "accuracy.json").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="names that other files have"):
        folder.add(out, "accuracy.json", "{}", name="reds")


def test_only_what_was_exported_is_compiled(tmp_path) -> None:
    facts = {"dtype": "int8", "subnetworks": [], "input_shape": [4], "output_items": 2}
    out = exported(tmp_path / "out", {**OLD, "reds_model.json": json.dumps(facts), "examples/check.c": ""})
    exported(out, {"src/kernel_8.c": OLD["src/kernel_8.c"], "src/other.c": "", "other_model.json": json.dumps(facts)}, "other")
    (out / "src/firmware.c").write_text("int main(void) {}")
    assert [p.name for p in folder.sources(out)] == ["kernel_8.c", "net.c"]
    assert [p.name for p in folder.sources(out, "other")] == ["kernel_8.c", "other.c"]
    assert folder.facts(out) == folder.facts(out, "other") == facts
    with pytest.raises(InvalidArgumentError, match="has another name; got 'net'; allowed: other, reds"):
        folder.facts(out, "net")
    for missing in ("reds_model.json", folder.MANIFEST):
        (out / missing).unlink()
        with pytest.raises(InvalidArgumentError, match="there is no exported network in the folder"):
            folder.facts(out)
        exported(out, {"reds_model.json": json.dumps(facts)}) if missing == "reds_model.json" else None


def test_one_file_replaces_its_like_alone(tmp_path) -> None:
    """Somebody else's file stays, also one that is not named but written beside; so do links, devices and folders."""
    path = tmp_path / "n.onnx"
    for text in (b"a mark", b"the mark again"):
        one_file.write(path, text, b"mark")
        assert path.read_bytes() == text
    (tmp_path / "link").symlink_to(path)
    one_file.write(tmp_path / "link", b"mark", b"mark")
    assert (tmp_path / "link").is_symlink()
    assert path.read_bytes() == b"mark"
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / "dangling").symlink_to("gone")
    for taken in (tmp_path / "other", tmp_path, tmp_path / "dangling", Path(os.devnull)):
        with pytest.raises(InvalidArgumentError, match="did not write; got .* Choose another name"):
            one_file.write(taken, b"mark", b"mark")
    with pytest.raises(InvalidArgumentError, match="no such folder"):
        one_file.write(tmp_path / "no" / "x", b"mark", b"mark")
    assert content(tmp_path) == {"n.onnx": "mark", "link": f"-> {path}", "other": "mine", "dangling": "-> gone"}
