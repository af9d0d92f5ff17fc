"""Fixtures of the tests of running programs."""

from collections.abc import Iterator

import jax
import pytest

from reds_jax.lowering import lowering


@pytest.fixture
def float64() -> Iterator[None]:
    """Double precision inside the test, single precision again behind it."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def quick_form() -> Iterator[None]:
    """The form that compiles quickly, for tests of whole networks about what does not depend on the form."""
    with lowering("lax"):
        yield


@pytest.fixture(params=["dot", "lax"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every form of the operations in turn."""
    with lowering(request.param):
        yield request.param
