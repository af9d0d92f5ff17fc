"""From audio to the word, on a device: an `MFCC` as C, in float32 or in integers, and a keyword spotter.

``export(..., front_end=KeywordSpotter(...))`` writes both with the network. `listen` is what the C code hears, in NumPy;
`score` compares it with what was said, to choose `Settings` on validation data; `HostListener` is the C code, compiled on this
computer.

`c_files` writes the tables of a front end and the runtime ``reds_mfcc``, which takes samples as they come and makes frames of
them; `FixedTables` computes what the C code in integers does, bit for bit, and `FixedGrid` what an int8 network reads of it.
"""

from typing import TYPE_CHECKING

from reds_jax.lazy import exports

if TYPE_CHECKING:
    from reds_jax.deploy.front_end.c_text import c_files
    from reds_jax.deploy.front_end.fixed import FixedGrid, FixedTables
    from reds_jax.deploy.front_end.host import HostListener
    from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter
    from reds_jax.deploy.front_end.on_board import Measured, measure
    from reds_jax.deploy.front_end.scoring import Score, Spoken, score
    from reds_jax.deploy.front_end.spotter import Detection, Heard, Settings, listen
    from reds_jax.deploy.front_end.tables import Tables

__all__ = ["Detection", "FixedGrid", "FixedTables", "Heard", "HostListener", "KeywordSpotter", "Measured", "Score", "Settings",
           "Spoken", "Tables", "c_files", "listen", "measure", "score"]

__getattr__ = exports(__name__, {
    "c_files": "reds_jax.deploy.front_end.c_text", "Tables": "reds_jax.deploy.front_end.tables",
    **dict.fromkeys(["FixedGrid", "FixedTables"], "reds_jax.deploy.front_end.fixed"),
    "HostListener": "reds_jax.deploy.front_end.host", "KeywordSpotter": "reds_jax.deploy.front_end.keyword_spotter",
    **dict.fromkeys(["Detection", "Heard", "Settings", "listen"], "reds_jax.deploy.front_end.spotter"),
    **dict.fromkeys(["Score", "Spoken", "score"], "reds_jax.deploy.front_end.scoring"),
    **dict.fromkeys(["Measured", "measure"], "reds_jax.deploy.front_end.on_board"),
})
