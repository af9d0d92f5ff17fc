"""The C text of a network that can be given other weights, and the bytes of its own (`reds_jax.deploy.c.blob`)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from reds_jax.deploy.c import blob, package
from reds_jax.deploy.c.source import Emitter

_GRID = """/* The grid of the input. */
static struct {{
    float scale;
    int32_t zero;
}} grid = {{{scale}, {zero}}};
"""


def values(
    emitter: Emitter, given: Mapping[str, str], pixels: np.ndarray | None, revision: int
) -> tuple[dict[str, str], bytes]:
    """What the templates are filled with beside ``given``, and the bytes of the weights.

    Args:
        emitter: made with a `Content`.
        given: what `source.model` says.
        pixels: what 8-bit pixels become, [channels, 256], or None.
        revision: a number of the user's for these weights.
    """
    content, quantized = emitter.content, emitter.quantized
    assert content is not None
    found = {"includes": '#include "reds_blob.h"\n', "revision": str(revision)}
    loads = [f"{name} = ({kind}){{{fields}}};" for name, (kind, fields) in emitter.layers.items()]
    loads += [emitter.guarded(k, f"    subnetworks[{k}] = (subnetwork){{{', '.join(row)}}};\n").strip() for k, row in
              enumerate(emitter.table)]
    if quantized:
        scale, zero = emitter.number(quantized.input_scale.scale), emitter.integer(quantized.input_scale.zero)
        found |= {"constants": f"{given['constants']}\n{_GRID.format(scale=scale, zero=zero)}", "grid_scale": "grid.scale",
                  "grid_zero": "grid.zero"}
        loads += [f"grid.scale = {scale};", f"grid.zero = {zero};"]
    if pixels is not None:
        bytes_of = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        loads.append(f"pixels_now = {content.address('of_pixel', f'const {emitter.element} (*)[256]', bytes_of)};")
        found |= {"of_pixel": "pixels_now",
                  "pixel_table": f"{given['pixel_table']}static const {emitter.element} (*pixels_now)[256] = of_pixel;\n"}
    found["loads"] = content.loaded("\n    ".join(loads))
    fixed = [text for text in emitter.constants if text not in emitter.arrays]
    fits = blob.layout(content.loaded("\n".join([package.kernels_version(), *emitter.members, *emitter.calls, *loads, *fixed])))
    data = blob.pack(content.bytes(), fits, revision)
    return found | {"layout": ", ".join(f"0x{word:08x}u" for word in fits), "blob_bytes": str(len(data))}, data
