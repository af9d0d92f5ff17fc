"""A contact sheet: a few images of every class on one picture."""

from __future__ import annotations

import io

import numpy as np

from ..errors import DataError
from ..optional import needs
from .source import DataSet

CELL, GAP, LINE = 64, 2, 14
"""Pixels: the least side of an image on the sheet, between images, of a line of text."""
MOST_CLASSES = 100


def contact_sheet(data: DataSet, *, each: int = 10) -> bytes:
    """A PNG with the first ``each`` training images of every class, a row a class with its name above; of 100 classes at most.

    Raises:
        DataError: the inputs are no images of one, three or four channels. MissingDependencyError: Pillow is not installed.
    """
    with needs("PIL", "a contact sheet"):
        from PIL import Image, ImageDraw
    images = data.train.images
    if images.shape[-1] not in (1, 3, 4):
        raise DataError("no sheet can be made of such images", got=list(images.shape[1:]), allowed="[H, W, 1], 3 or 4")
    names = ["images"] if data.class_names is None or not data.train.is_labelled else list(data.class_names)[:MOST_CLASSES]
    scale = max(1, -(-CELL // max(images.shape[1:3])))
    height, width = (side * scale for side in images.shape[1:3])
    sheet = Image.new("RGB", (each * (width + GAP) + GAP, len(names) * (height + GAP + LINE) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        top = row * (height + GAP + LINE)
        draw.text((GAP, top), f"{row} {name}", fill="black")
        of = np.arange(len(images)) if data.class_names is None else np.flatnonzero(data.train.labels == row)
        for column, k in enumerate(of[:each]):
            pixels = np.repeat(np.repeat(images[k], scale, 0), scale, 1)
            tile = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
            sheet.paste(tile.convert("RGB"), (GAP + column * (width + GAP), top + LINE))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
