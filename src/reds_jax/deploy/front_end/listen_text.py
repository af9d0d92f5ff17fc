"""What the templates of a listener say: its sizes, the names of the classes, the tables of its outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reds_jax.deploy.c.constants import array, lines
from reds_jax.deploy.c.source import Emitter
from reds_jax.deploy.escape import c_string
from reds_jax.deploy.front_end.spotter import exponent_step

if TYPE_CHECKING:
    from reds_jax.deploy.front_end.keyword_spotter import KeywordSpotter

_STEPS = "/* Of the grid of the outputs of every subnetwork, for reds_posteriors_s8. */\n"


def values(spotter: KeywordSpotter, emitter: Emitter, facts: dict[str, Any]) -> dict[str, str]:
    """The values of the templates listen.h, listen.c, listen_files.c and microphone.c."""
    mfcc, name, frames = spotter.mfcc, emitter.name, facts["input_shape"][0]
    samples = mfcc.window + (frames - 1) * mfcc.stride
    table, outputs = f"{name}_front_end_{spotter.short}, &listener->stream", f"listener->out, {emitter.upper}_CLASSES"
    frame = [f"{spotter.number} frame[{{C}}];", f"reds_mfcc_{spotter.short}_frame(&{table}, listener->memory.scratch, frame);"]
    if emitter.quantized is not None:
        steps = [f"{exponent_step(sub['output']['scale'])}u" for sub in facts["subnetworks"]]
        grid = f"&{name}_front_end_grid" if spotter.short == "s32" else "{NAME}_MFCC_SCALE, {NAME}_MFCC_ZERO"
        frame += [f"reds_mfcc_{spotter.short}_to_s8(frame, {{C}}, {grid}, entry);"]
        frame.insert(1, "int8_t entry[{C}];")
        more = {"entry": "entry", "zero": str(emitter.quantized.input_scale.zero),
                "tables": _STEPS + array("uint32_t", "steps", steps, per_line=8),
                "posteriors": f"reds_posteriors_s8({outputs}, steps[k], listener->posteriors);"}
    else:
        ending = "of_probabilities" if facts["ends_in"] == "softmax" else "f32"
        more = {"entry": "frame", "zero": "0", "tables": "",
                "posteriors": f"reds_posteriors_{ending}({outputs}, listener->posteriors);"}
    given = {"C": f"{emitter.upper}_MFCC_COEFFICIENTS", "NAME": emitter.upper}
    return {
        "name": name, "NAME": emitter.upper, "rate": str(mfcc.sample_rate), "stride": str(mfcc.stride),
        "window_ms": str(mfcc.window_ms), "stride_ms": str(mfcc.stride_ms), "frames": str(frames),
        "seconds": f"{samples / mfcc.sample_rate:g}", "classes": str(len(spotter.class_names)), "most": str(spotter.window),
        "class_names": lines([c_string(c) for c in spotter.class_names], per_line=6),
        "words": ", ".join(str(int(word)) for word in spotter.words),
        "frame": "\n".join(f"        {line.format_map(given)}" for line in frame), "number": spotter.number,
        **more,
    }
