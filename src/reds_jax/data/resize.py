"""Images to another resolution with NumPy alone: each axis is one small matrix product."""

import numpy as np

from ..array_types import Float, UInt8
from ..errors import InvalidArgumentError

METHODS = ("area", "bilinear")


def resize_matrix(size_in: int, size_out: int, method: str) -> Float[np.ndarray, "{size_out} {size_in}"]:
    """The matrix [size_out, size_in] that resamples one axis; every row sums to 1.

    ``area`` averages what an output pixel covers. ``bilinear`` is a triangle of two output pixels when shrinking
    (so that nothing aliases, as in Pillow) and two taps when enlarging; both with centres at half pixels.
    """
    scale = size_in / size_out
    if method == "area":
        left = np.arange(size_out)[:, None] * scale
        pixel = np.arange(size_in)[None]
        weights = np.minimum(left + scale, pixel + 1) - np.maximum(left, pixel)
    else:
        centre = (np.arange(size_out)[:, None] + 0.5) * scale
        weights = 1 - np.abs(np.arange(size_in)[None] + 0.5 - centre) / max(scale, 1.0)
    weights = np.maximum(weights, 0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resize(
    images: UInt8[np.ndarray, "images height width channels"], resolution: int | tuple[int, int], *, method: str = "area",
    batch: int = 512,
) -> UInt8[np.ndarray, "images rows columns channels"]:
    """uint8 [N, H, W, C] to uint8 [N, h, w, C], squashed to ``resolution`` (one side, or (h, w)).

    Args:
        images: uint8 NHWC; returned as they are if they have the resolution already.
        resolution: pixels.
        method: "area" or "bilinear", see ``resize_matrix``.
        batch: images handled at once, which bounds the memory for floats.

    Raises:
        InvalidArgumentError: the resolution is not positive, or the method is unknown.
    """
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    if height < 1 or width < 1:
        raise InvalidArgumentError("the resolution is not positive", got=resolution, allowed="1 pixel and more")
    if method not in METHODS:
        raise InvalidArgumentError("unknown way to resize", got=method, allowed=", ".join(METHODS))
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InvalidArgumentError("images have the wrong form", got=f"{images.dtype} {list(images.shape)}",
                                   allowed="uint8 [N, H, W, C]")
    if images.shape[1:3] == (height, width):
        return images
    rows = resize_matrix(images.shape[1], height, method)
    columns = resize_matrix(images.shape[2], width, method)
    out = np.empty((len(images), height, width, images.shape[3]), np.uint8)
    for start in range(0, len(images), batch):
        x = images[start : start + batch].astype(np.float32)
        x = np.tensordot(rows, x, axes=(1, 1))  # [h, N, W, C]
        x = np.tensordot(columns, x, axes=(1, 2))  # [w, h, N, C]
        out[start : start + batch] = np.clip(np.rint(x), 0, 255).transpose(2, 1, 0, 3)
    return out
