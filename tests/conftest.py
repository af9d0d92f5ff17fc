"""What holds for every test: types are checked at run time, and arrays are not promoted without a word.

jaxtyping's pytest plugin puts beartype around every function of the package (pyproject.toml, ``addopts``).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, runtime_checkable

os.environ["KERAS_BACKEND"] = "jax"  # Keras reads it when it is imported

import jax
import jaxtyping
import pytest
from hypothesis.strategies import DrawFn

from reds_jax.errors import RedsError

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

runtime_checkable(DrawFn)  # a Protocol that beartype could not check

_raises = pytest.raises


@contextmanager
def _refused(expected: Any, **options: Any) -> Iterator[Any]:
    """`pytest.raises`; where the library is to refuse wrong arguments itself, they reach it unchecked."""
    checked = not jaxtyping.config.jaxtyping_disable
    with _raises(expected, **options) as caught:
        jaxtyping.config.update("jaxtyping_disable", isinstance(expected, type) and issubclass(expected, RedsError))
        try:
            yield caught
        finally:
            jaxtyping.config.update("jaxtyping_disable", not checked)


pytest.raises = _refused
