"""``reds``: every command of the library; the same as ``python -m reds_jax``."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "vww": ("reds_jax.experiments.vww", "person or no person: train, nest, report (embedded data by default)"),
    "fashion_mnist": ("reds_jax.experiments.fashion_mnist", "Fashion-MNIST: the same, with a DS-CNN"),
    "cifar10": ("reds_jax.experiments.cifar10", "CIFAR-10: the same, with a DS-CNN or ResNet-8"),
    "speech_commands": ("reds_jax.experiments.speech_commands", "keywords: DNN, CNN, DS-CNN, small or large, on MFCC"),
    "compare": ("reds_jax.experiments.compare", "ways of choosing and training subnetworks, side by side over several rounds"),
    "theory": ("reds_jax.experiments.theory", "what nested chains reach, against what is proved"),
    "evaluate": ("reds_jax.experiments.evaluate", "a finished run on its own or on other data"),
    "data": ("reds_jax.data.__main__", "what is in a data set: numbers, classes, duplicates, a sheet of images"),
    "deploy": ("reds_jax.deploy.__main__", "from a finished run to C99, ONNX, LiteRT, and what it costs on a board"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Hand the rest of the command line to the command that its first word names.

    A command is imported when it is called, so ``reds --help`` needs none of the packages that the commands need.
    Exits with 2 where there is no such command.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    first = argv[0] if argv else "--help"
    if first in ("-h", "--help"):
        print(usage())
    elif first == "--version":
        print(f"reds_jax {importlib.import_module('reds_jax').__version__}")
    elif first in COMMANDS:
        importlib.import_module(COMMANDS[first][0]).main(argv[1:])
    else:
        near = difflib.get_close_matches(first, COMMANDS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"The commands: {', '.join(COMMANDS)}."
        print(f"error: there is no command {first!r}. {hint}", file=sys.stderr)
        sys.exit(2)


def usage() -> str:
    """What ``reds --help`` prints."""
    lines = ["usage: reds COMMAND [OPTIONS]", "", "Nested, resource-adaptive subnetworks for JAX and Flax.", ""]
    lines += [f"  {name:<16} {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join([*lines, "", "reds COMMAND --help lists the options of a command; reds --version names the version."])


if __name__ == "__main__":
    main()
