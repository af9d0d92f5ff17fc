"""The options of a command, read from its command line into dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reds_jax.optional import needs


def read_options(options: Any, argv: Sequence[str], *, command: str, description: str | None, default: Any = None) -> Any:
    """An instance of the dataclass ``options``, or of that one of several which the first word names.

    A field without a default is positional, the others are ``--options``. Help and mistakes are printed, and end the process.

    Args:
        options: the dataclass, or a union of them: one subcommand each, named after its class.
        argv: the words after the command.
        command, description: what the help says.
        default: an instance that has the defaults, in place of those of the class.

    Raises:
        MissingDependencyError: tyro is not installed.
    """
    with needs("tyro", "a command line"):
        import tyro
    more = {} if default is None else {"default": default}
    return tyro.cli(options, args=list(argv), prog=command, description=description,
                    config=(tyro.conf.PositionalRequiredArgs,), **more)
