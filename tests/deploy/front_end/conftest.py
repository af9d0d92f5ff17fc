"""Keyword spotters, exported and compiled once for all tests of the folder."""

from functools import cache

import pytest
from listeners import NAMES, make

from reds_jax.data import MFCC
from reds_jax.deploy import Exported
from reds_jax.deploy.front_end import HostListener, KeywordSpotter


@pytest.fixture(scope="session")
def spotters(tmp_path_factory):
    """``spotters(kind)``: an export, with the example for a microphone, and its listener: int8, fixed, float32 or softmax."""
    @cache
    def get(kind: str) -> tuple[Exported, HostListener]:
        folder = tmp_path_factory.mktemp("listeners") / kind
        arithmetic = "fixed" if kind == "fixed" else "float32"
        spotter = KeywordSpotter(MFCC(), NAMES, window=8, example="microphone", arithmetic=arithmetic)
        exported = make(folder, "int8" if kind in ("int8", "fixed") else "float32", spotter, softmax=kind == "softmax")
        return exported, HostListener(folder, "-O1")

    return get
