"""Networks by name with arguments that JSON can hold: what a saved model says about its architecture."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from reds_jax.checks import integer
from reds_jax.errors import InvalidArgumentError
from reds_jax.models.cnn import cnn_l, cnn_s
from reds_jax.models.dnn import dnn_l, dnn_s
from reds_jax.models.ds_cnn import ds_cnn_l, ds_cnn_s, vision_ds_cnn_s
from reds_jax.models.layers import ACTIVATIONS
from reds_jax.models.mobilenet import mobilenet_v1
from reds_jax.models.resnet import resnet8
from reds_jax.slimmable import Slimmable

NETWORKS: dict[str, Callable[..., Slimmable]] = {
    f.__name__: f
    for f in (dnn_s, dnn_l, cnn_s, cnn_l, ds_cnn_s, ds_cnn_l, vision_ds_cnn_s, mobilenet_v1, resnet8)
}


def build(name: str, arguments: Mapping[str, Any] | None = None) -> Slimmable:
    """The network ``name``; lists become tuples, and an ``activation`` is given by its name.

    Args:
        name: of a function of `reds_jax.models`.
        arguments: what it takes, as JSON has it.

    Raises:
        InvalidArgumentError: there is no such network or activation.

    >>> build("mobilenet_v1", {"alpha": 0.25, "activation": "relu"}).model.stem
    8
    """
    if name not in NETWORKS:
        raise InvalidArgumentError("unknown network", got=name, allowed=", ".join(NETWORKS))
    if not isinstance(arguments or {}, Mapping):
        raise InvalidArgumentError("the arguments of a network are no mapping", got=arguments, allowed="{name: value}")
    known = inspect.signature(NETWORKS[name]).parameters
    if unknown := sorted(set(arguments or {}) - set(known)):
        raise InvalidArgumentError(f"{name} has no such argument", got=unknown, allowed=", ".join(known))
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in (arguments or {}).items()}
    if "classes" in given:
        integer("classes", given["classes"], 1)
    if "activation" in given:
        if not isinstance(given["activation"], str) or given["activation"] not in ACTIVATIONS:
            raise InvalidArgumentError("unknown activation", got=given["activation"], allowed=", ".join(ACTIVATIONS))
        given["activation"] = ACTIVATIONS[given["activation"]]
    return NETWORKS[name](**given)
