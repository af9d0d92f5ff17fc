"""How a model's call is told about training: the arguments that frameworks and people use, found in its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

TRAINING = ("train", "training", "is_training")  # True: training
INFERENCE = ("deterministic", "use_running_average", "inference", "eval")  # True: inference


def keywords(function: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments that may be passed by keyword."""
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return frozenset(name for name, p in inspect.signature(function).parameters.items() if p.kind in named)


def flag_values(names: Collection[str], train: bool, dropout: bool) -> dict[str, bool]:
    """The values of those of ``names`` that tell about training; each is passed, so no default of the model counts.

    ``deterministic`` beside another of them is about dropout alone; by itself it stands for all that training means.
    """
    found = {name: train for name in TRAINING if name in names} | {name: not train for name in INFERENCE if name in names}
    if "deterministic" in found and len(found) > 1:
        found["deterministic"] = not dropout
    return found
