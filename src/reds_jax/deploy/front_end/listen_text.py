"""What the templates of a listener say: its sizes, the names of the classes, the tables of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reds_jax.deploy.c.constants import array, lines, real
from reds_jax.deploy.escape import c_string
from reds_jax.deploy.front_end.spotter import exponent_step

if TYPE_CHECKING:
    from reds_jax.deploy.c.source import Emitter
    from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter

_STEPS = "/* Of the grid of the outputs of every subnetwork, for reds_posteriors_s8. */\n"


def values(spotter: KeywordSpotter, emitter: Emitter, facts: dict[str, Any]) -> dict[str, str]:
    """The values of the templates listen.h, listen.c, listen_files.c and microphone.c."""
    mfcc, name, frames = spotter.mfcc, emitter.name, facts["input_shape"][0]
    samples = mfcc.window + (frames - 1) * mfcc.stride
    outputs = f"listener->out, {emitter.upper}_CLASSES"
    if emitter.quantized is not None:
        grid, steps = emitter.quantized.input_scale, [exponent_step(sub["output"]["scale"]) for sub in facts["subnetworks"]]
        frame = ["float frame[{C}];", "int8_t entry[{C}];", "reds_mfcc_f32_frame({call}, listener->scratch, frame);",
                 f"reds_mfcc_f32_to_s8(frame, {{C}}, {real(grid.scale)}, {grid.zero}, entry);"]
        more = {"entry": "entry", "zero": str(grid.zero), "tables": _STEPS + array("uint32_t", "steps", [f"{s}u" for s in steps],
                                                                                  per_line=8),
                "posteriors": f"reds_posteriors_s8({outputs}, steps[k], listener->posteriors);"}
    else:
        ending = "of_probabilities" if facts["ends_in"] == "softmax" else "f32"
        frame = ["float frame[{C}];", "reds_mfcc_f32_frame({call}, listener->scratch, frame);"]
        more = {"entry": "frame", "zero": "0", "tables": "",
                "posteriors": f"reds_posteriors_{ending}({outputs}, listener->posteriors);"}
    given = {"C": f"{emitter.upper}_MFCC_COEFFICIENTS", "call": f"&{name}_front_end_f32, &listener->stream"}
    return {
        "name": name, "NAME": emitter.upper, "rate": str(mfcc.sample_rate), "stride": str(mfcc.stride),
        "window_ms": str(mfcc.window_ms), "stride_ms": str(mfcc.stride_ms), "frames": str(frames),
        "seconds": f"{samples / mfcc.sample_rate:g}", "classes": str(len(spotter.class_names)), "most": str(spotter.window),
        "class_names": lines([c_string(c) for c in spotter.class_names], per_line=6),
        "words": ", ".join(str(int(word)) for word in spotter.words),
        "frame": "\n".join(f"        {line.format_map(given)}" for line in frame), **more,
    }
