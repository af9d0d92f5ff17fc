"""Parameters of networks that were saved when a flatten went channel by channel: rows of C, H, W turned to H, W, C."""

from __future__ import annotations

import warnings
from typing import Any

import flax.linen as nn
import numpy as np

from reds_jax.models.cnn import CNN
from reds_jax.models.ds_cnn import DSCNN
from reds_jax.slimmable import Slimmable


def rows_by_position(model: Any, params: Any) -> Any:
    """The parameters with the rows of the layer behind a flatten in the order H, W, C, which the model has now.

    Row ``c * P + p`` of P positions becomes row ``p * C + c``. A message says what was converted; other models are returned
    as they are, with a message that their rows may have to be reordered.
    """
    module: nn.Module = model.model if isinstance(model, Slimmable) else model
    if isinstance(module, CNN):
        layer, channels = "linear", module.convolutions[1]
    elif isinstance(module, DSCNN):
        layer, channels = "logits", module.features
    elif type(module).__module__.startswith("reds_jax.models"):
        return params  # no flatten over several positions
    else:
        warnings.warn("this network was saved when a flatten went channel by channel: if it flattens images, the rows of the "
                      "layer behind are in the order C, H, W, and a plain reshape reads them as H, W, C", stacklevel=3)
        return params
    kernel = np.asarray(params[layer]["kernel"])
    rows, features = kernel.shape
    if rows == channels:
        return params
    turned = kernel.reshape(channels, rows // channels, features).swapaxes(0, 1).reshape(rows, features)
    warnings.warn(f"the rows of {layer!r} were converted from the order C, H, W to H, W, C; save the network again to keep "
                  "them so", stacklevel=3)
    return {**params, layer: {**params[layer], "kernel": turned}}
