"""Packages that only some calls need: imported where they are used, and a missing one says what to type.

What a user does not call is not needed: jax, flax, optax, numpy and scipy, and what they bring themselves, are enough to trace,
solve, train, evaluate, save and export. Every other package is imported inside of a function, within `needs`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reds_jax.errors import MissingDependencyError

INSTALL = {
    "ai_edge_litert": "'reds_jax[litert]'",
    "cvxpy": "cvxpy highspy",
    "equinox": "'reds_jax[equinox]'",
    "h5py": "'reds_jax[h5py]'",
    "hypothesis": "'reds_jax[testing]'",
    "keras": "'reds_jax[keras]'",
    "matplotlib": "matplotlib",
    "onnx": "'reds_jax[onnx]'",
    "orbax": "orbax-checkpoint",
    "PIL": "pillow",
    "tensorflow_datasets": "tensorflow-datasets importlib_resources",
    "tyro": "tyro",
}
"""By the name that is imported, what stands behind ``pip install``, quoted as a shell wants it."""


@contextmanager
def needs(package: str, what: str) -> Iterator[None]:
    """Import ``package`` within the block; ``what`` needs it, as the subject of a sentence.

    Raises:
        MissingDependencyError: it is not installed, or cannot be imported; the message ends with the command that installs it.

    >>> with needs("tyro", "a command line"):
    ...     import no_such_package
    Traceback (most recent call last):
    reds_jax.errors.MissingDependencyError: a command line needs tyro (No module named 'no_such_package'). Run: pip install tyro
    """
    try:
        yield
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise MissingDependencyError(f"{what} needs {package} ({reason})",
                                     hint=f"Run: pip install {INSTALL[package]}") from error
