"""What a command says: text from outside as it is, an expected failure as one line on stderr with an exit code.

The codes: 0 fine, 1 an expected failure, 2 options that are not allowed, 130 Ctrl-C, 128 + n signal n (143: SIGTERM).
"""

from __future__ import annotations

import errno
import functools
import io
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import ParamSpec

from rich import markup
from rich.console import Console

from reds_jax.compiled import keep_compiled
from reds_jax.errors import InfeasibleError, InvalidArgumentError, RedsError
from reds_jax.interrupt import Interrupted, signals_interrupt
from reds_jax.memory import keep_memory

P = ParamSpec("P")

_HINTS = {
    errno.ENOSPC: "Make room on the disk and give the same command again: what was complete is kept.",
    errno.EDQUOT: "Make room in your quota and give the same command again: what was complete is kept.",
    errno.EACCES: "Choose another folder, or change its permissions.",
    errno.EPERM: "Choose another folder, or change its permissions.",
    errno.EROFS: "Choose a folder that can be written.",
    errno.EEXIST: "A file is in the place of a folder: choose another folder, or move the file away.",
    errno.ENOTDIR: "A file is in the place of a folder: choose another folder, or move the file away.",
    errno.EISDIR: "A folder is in the place of a file: choose another name, or move the folder away.",
}


def escape(text: object) -> str:
    """Text from outside (a path, a name, a message) for a rich console: no markup, and no control character but a line's end.

    >>> print(escape("pip install 'reds_jax[onnx]'"))
    pip install 'reds_jax\\[onnx]'
    """
    return markup.escape(_visible(str(text)))


def _visible(text: str) -> str:
    """Control characters, which would move the cursor or colour the rest, as Python writes them."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda found: repr(found[0])[1:-1], text)


def console() -> Console:
    """The console of the commands: every line is flushed; a character that the terminal has not is written as Python does."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(emoji=False)


def guard(main: Callable[P, None]) -> Callable[P, None]:
    """The ``main`` of a command, with every expected failure as one line on stderr, and the exit codes above.

    Before it runs, the process is set to keep memory (`reds_jax.keep_memory`) and compiled programs (`reds_jax.keep_compiled`).
    Expected are the errors of the library, those of the operating system, and being stopped by Ctrl-C, SIGTERM or SIGHUP;
    their notes (`BaseException.add_note`) are shown. Anything else is a fault of the library and keeps its traceback.
    """

    @functools.wraps(main)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with signals_interrupt():
                keep_memory()
                keep_compiled()
                main(*args, **kwargs)
        except RedsError as error:
            _end(2 if isinstance(error, (InvalidArgumentError, InfeasibleError)) else 1, f"error: {error}", error)
        except OSError as error:
            _end(1, f"error: {failure(error)}", error)
        except KeyboardInterrupt as error:
            number = error.number if isinstance(error, Interrupted) else signal.SIGINT
            _end(128 + number, f"stopped by {signal.Signals(number).name}.", error)

    return guarded


def failure(error: OSError) -> str:
    """What the operating system refused, on which file, and what to do."""
    reason = error.strerror or str(error) or type(error).__name__
    files = [repr(os.fsdecode(f)) if isinstance(f, (str, bytes)) else str(f) for f in (error.filename, error.filename2)
             if f is not None]
    return f"{': '.join([reason, ' -> '.join(files)] if files else [reason])}. {_HINTS.get(error.errno or 0, '')}".rstrip()


def _end(code: int, text: str, error: BaseException) -> None:
    """Say ``text`` and the notes of the error in one line, and leave the process."""
    line = re.sub(r"\s*\n\s*", "; ", _visible(" ".join([text, *getattr(error, "__notes__", ())])))
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # the terminal is gone: nobody is left to tell
        sys.stderr = None
    sys.exit(code)
