"""With REDS_CHECK_TYPES=1 types and shapes are checked in every test, and nothing is promoted: the checks themselves."""

import importlib
import inspect
import os
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

import reds_jax
from reds_jax.errors import WidthError
from reds_jax.training.losses import first_is_right
from reds_jax.widths import check_width

ROOT = Path(reds_jax.__file__).parent
MODULES = sorted(".".join(("reds_jax", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
                 for path in ROOT.rglob("*.py") if path.name != "__main__.py")
UNRESOLVED = {"reds_jax.graph.summary": "ChannelGraph", "reds_jax.deploy.c.ranges_text": "Emitter",
              "reds_jax.deploy.front_end.listen_text": "KeywordSpotter"}  # import circles


pytestmark = pytest.mark.skipif(os.environ.get("REDS_CHECK_TYPES") != "1", reason="types are checked with REDS_CHECK_TYPES=1")


@pytest.mark.parametrize(("labels", "why"), [
    (np.zeros(2, np.int32), "the batch is another one"), (np.zeros((3, 4), np.int32), "an axis too many"),
    (np.zeros(3, np.float32), "no integers"), ([0, 1, 2], "no array")])
def test_a_wrong_array_is_caught(labels: Any, why: str) -> None:
    outputs = np.zeros((3, 4), np.float32)
    assert first_is_right(outputs, np.zeros(3, np.int32)).tolist() == [1, 1, 1]
    with pytest.raises(TypeCheckError, match="labels"):
        first_is_right(outputs, labels)


def test_what_the_library_is_to_refuse_itself_reaches_it() -> None:
    wrong: Any = "half"
    with pytest.raises(TypeCheckError, match="width"):
        check_width(wrong)
    with pytest.raises(WidthError, match="wrong type"):
        check_width(wrong)
    with pytest.raises(TypeCheckError, match="width"):  # and only there
        check_width(wrong)


def test_nothing_is_promoted() -> None:
    with pytest.raises(ValueError, match="jax_numpy_rank_promotion"):
        jnp.add(jnp.ones((2, 3)), jnp.ones(3))
    with pytest.raises(jax.dtypes.TypePromotionError):
        jnp.add(jnp.ones(3), jnp.arange(3))


@pytest.mark.usefixtures("as_users_write")
def test_users_may_promote() -> None:
    assert (jnp.ones((2, 3)) + jnp.arange(3)).shape == (2, 3)


def functions(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """The functions and methods that are written in a module."""
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) == module.__name__:
            for found in vars(value).values() if inspect.isclass(value) else [value]:
                if inspect.isfunction(found) and inspect.unwrap(found).__globals__ is vars(module):
                    yield found


def test_the_annotations_can_be_read_at_run_time() -> None:
    """An annotation that cannot is not checked: its names must be imported, not under TYPE_CHECKING alone."""
    unresolved, read = {}, 0
    for name in MODULES:
        for function in functions(importlib.import_module(name)):
            try:
                read += len(typing.get_type_hints(function))
            except NameError as error:
                unresolved[name] = error.name
    assert unresolved == UNRESOLVED
    assert read > 3000
