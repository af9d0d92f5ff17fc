"""From images on the device to what the model reads: gather, augment, normalise; the same in training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from reds_jax.errors import InvalidArgumentError

Normalisation = Callable[[Any], Any]
"""Pixels to floats on the device, hashable: `reds_jax.data.Normalise`, or any function."""

Augmentation = Callable[[jax.Array, jax.Array], jax.Array]
"""(key, images [N, H, W, C]) -> float images of the same shape and scale; see `reds_jax.training.augment`."""


class Model(Protocol):
    """What a network must have: a flax.linen module whose call is ``(x, width, *, train)``; hashable."""

    def apply(self, variables: Any, *args: Any, **kwargs: Any) -> Any: ...


class Examples(Protocol):
    """Images [N, ...] with integer labels [N]: `reds_jax.data.Split`, or anything with these two arrays."""

    @property
    def images(self) -> Any: ...

    @property
    def labels(self) -> Any: ...


def check_model(model: Any) -> None:
    """Raise an `InvalidArgumentError` if the model cannot be a static argument of a compiled function."""
    try:
        hash(model)
    except TypeError as error:
        raise InvalidArgumentError("the model cannot be hashed", got=type(model).__name__, allowed="a flax.linen module",
                                   hint="Give its fields hashable values: tuples, not lists or arrays.") from error


def read(
    images: jax.Array, indices: jax.Array, normalise: Normalisation | None, *, augment: Augmentation | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """The images at ``indices`` as floats; without a normalisation uint8 becomes ``x / 255`` and floats stay."""
    x = images[indices]
    if augment is not None and key is not None:
        x = augment(key, x)
    return floats(x, normalise, integers=jnp.issubdtype(images.dtype, jnp.integer))


def floats(x: jax.Array, normalise: Normalisation | None, *, integers: bool) -> jax.Array:
    """Pixels as the model reads them; ``integers``: they are on the scale 0..255 if there is no normalisation."""
    if normalise is not None:
        return normalise(x)
    return x.astype(jnp.float32) / 255 if integers else x


def variables_of(params: Any, batch_stats: Any) -> dict[str, Any]:
    """The variables of one subnetwork, for ``model.apply``; a model without batch norm has no statistics."""
    return {"params": params, "batch_stats": batch_stats} if batch_stats else {"params": params}
