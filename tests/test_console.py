"""Outside text reaches the console as it is, and every expected failure of a command is one line with an exit code."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console
from rich.table import Table

from reds_jax.console import console as command_console
from reds_jax.console import escape, guard
from reds_jax.errors import CheckpointError, DataError, InfeasibleError, InvalidArgumentError, MissingDependencyError
from reds_jax.interrupt import Interrupted, signals_interrupt, signals_wait

OUTSIDE = ["pip install 'reds_jax[onnx]'", "[/] [/red] [bold]x", "a[b", "back\\slash\\", "\\[red]", "[link=x]y[/link]"]


@pytest.mark.parametrize("text", OUTSIDE)
def test_outside_text_is_shown_as_it_is(text):
    out = io.StringIO()
    console, table = Console(file=out, width=200), Table(title=escape(text))
    table.add_column(escape(text))
    table.add_row(escape(text))
    console.print(f"[bold]{escape(text)}[/] end", highlight=False, soft_wrap=True)
    console.print(table)
    lines = out.getvalue().splitlines()
    assert lines[0] == f"{text} end"
    assert sum(text in line for line in lines) == 4


def test_no_control_character_and_no_emoji_comes_from_outside(capsys):
    command_console().print(escape("a\x1b[31mb\x07\x9bc\rd :warning: npz:x:cat"))
    assert capsys.readouterr().out == "a\\x1b[31mb\\x07\\x9bc\\rd :warning: npz:x:cat\n"


@pytest.mark.parametrize(("error", "code", "shown"), [
    (MissingDependencyError("onnx is not installed", hint="pip install 'reds_jax[onnx]'"), 1,
     "error: onnx is not installed. pip install 'reds_jax[onnx]'"),
    (InvalidArgumentError("x is wrong", got=2), 2, "error: x is wrong; got 2."),
    (InfeasibleError("no widths", resource="macs", smallest=3), 2, "error: no widths."),
    (CheckpointError("two\n  lines [/]"), 1, "error: two; lines [/]."),
    (DataError("a\x1b[2J"), 1, "error: a\\x1b[2J."),
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "a[b]"), 1, "error: No such file or directory: 'a[b]'."),
    (OSError(errno.ENOSPC, "No space left on device"), 1,
     "error: No space left on device. Make room on the disk and give the same command again: what was complete is kept."),
    (PermissionError(errno.EACCES, "Permission denied", b"x"), 1,
     "error: Permission denied: 'x'. Choose another folder, or change its permissions."),
    (OSError("only words"), 1, "error: only words."),
    (KeyboardInterrupt(), 130, "stopped by SIGINT."),
    (Interrupted(signal.SIGTERM), 143, "stopped by SIGTERM."),
])
def test_an_expected_failure_is_one_line_on_stderr(error, code, shown, capsys):
    @guard
    def main():
        raise error

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    assert capsys.readouterr() == ("", shown + "\n")


def test_notes_are_shown_and_faults_of_the_library_keep_their_traceback(capsys):
    def main(error):
        error.add_note("Go on with: x")
        raise error

    with pytest.raises(SystemExit):
        guard(main)(KeyboardInterrupt())
    assert capsys.readouterr().err == "stopped by SIGINT. Go on with: x\n"
    with pytest.raises(ZeroDivisionError):
        guard(main)(ZeroDivisionError())
    assert guard(lambda: None)() is None


def test_a_reader_that_is_gone_is_no_traceback():
    code = "from reds_jax.console import console, guard\n@guard\ndef main():\n    while True: console().print('x')\nmain()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""  # rich leaves the process then
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_a_process_end_a_command_as_ctrl_c_does(number, capsys):
    assert signal.getsignal(number) is signal.SIG_DFL

    @guard
    def main():
        os.kill(os.getpid(), number)
        raise AssertionError("not reached")

    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}.\n"
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *arguments: None])
def test_a_signal_that_is_ignored_or_handled_by_the_caller_stays_so(handler):
    """nohup ignores SIGHUP; a scheduler's own handler of SIGTERM is not ours to replace."""
    before = signal.signal(signal.SIGTERM, handler)
    try:
        with signals_interrupt():
            assert signal.getsignal(signal.SIGTERM) is handler
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_waits_for_the_end_of_what_must_not_be_torn():
    done = []

    def write():
        with signals_wait():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            done.append(1)
        done.append(2)

    with signals_interrupt(), pytest.raises(Interrupted) as found:
        write()
    assert (found.value.number, done) == (signal.SIGTERM, [1])


def test_outside_the_main_thread_signals_stay_as_they_are():
    """A library call in a worker thread may not set handlers; it works, and the process's own stay."""
    found = []

    def work():
        with signals_interrupt(), signals_wait():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.SIG_DFL]
