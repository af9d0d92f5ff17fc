"""With REDS_CHECK_TYPES=1 types and shapes are checked at run time, and arrays are not promoted without a word.

The arrays of the tests are tiny, so compiling takes most of their time: they are compiled without the optimisations of the code
generator, in one piece and by emitters that do without MLIR, unless JAX_DISABLE_MOST_OPTIMIZATIONS=0 says to compile as users
do, which `.ci/run` does for the slow tests. Flags of one's own in XLA_FLAGS take the place of these.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib.metadata import version
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # Keras reads it when it is imported
os.environ["REDS_KEEP_MEMORY"] = os.environ["REDS_KEEP_COMPILED"] = "0"  # commands that are called leave this process as it is
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # and JAX this
if os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1" and version("jaxlib").startswith(("0.9.", "0.10.")):
    # and XLA this; flags that it does not know, as another version may not, end it
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1")

import jax
import jaxtyping
import optax
import pytest
from jaxtyping import install_import_hook

CHECKING = os.environ.get("REDS_CHECK_TYPES") == "1"
UNCHECKED = {"theory"}  # Fractions and sets, no array; its tests would take a third longer
PACKAGE = find_spec("reds_jax")
assert PACKAGE is not None
CHECKED = sorted({module.name for module in iter_modules(PACKAGE.submodule_search_locations)} - UNCHECKED)
if CHECKING:
    install_import_hook([f"reds_jax.{name}" for name in CHECKED], "type_checker.check")

from reds_jax.errors import RedsError  # noqa: E402 (behind the hook)

if CHECKING:
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_numpy_dtype_promotion", "strict")


def _promoting(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of another library that promotes inside: a float to the power of a count."""

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return function(*arguments, **options)

    return wrapped


if CHECKING:
    optax.tree.bias_correction = _promoting(optax.tree.bias_correction)


@pytest.fixture(scope="module")
def as_users_write() -> Iterator[None]:
    """For networks as users write them, who add a bias [C] to an array [N, C] and count in integers."""
    jax.config.update("jax_numpy_rank_promotion", "allow")
    jax.config.update("jax_numpy_dtype_promotion", "standard")
    yield
    if CHECKING:
        jax.config.update("jax_numpy_rank_promotion", "raise")
        jax.config.update("jax_numpy_dtype_promotion", "strict")


@pytest.fixture(scope="module")
def unchecked() -> Iterator[None]:
    """For tests of what the library itself makes of other types than it says: they reach it."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


_raises = pytest.raises


@contextmanager
def _refused(expected: Any, **options: Any) -> Iterator[Any]:
    """`pytest.raises`; where the library is to refuse wrong arguments itself, they reach it unchecked."""
    kinds = expected if isinstance(expected, tuple) else (expected,)
    own = all(isinstance(kind, type) and issubclass(kind, RedsError) for kind in kinds)
    before = jaxtyping.config.jaxtyping_disable
    with _raises(expected, **options) as caught:
        jaxtyping.config.update("jaxtyping_disable", before or own)
        try:
            yield caught
        finally:
            jaxtyping.config.update("jaxtyping_disable", before)


if CHECKING:
    pytest.raises = _refused
