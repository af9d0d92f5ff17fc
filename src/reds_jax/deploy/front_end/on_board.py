"""The front end on an emulated Cortex-M: the coefficients of a clip, and the instructions of a frame."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np

from reds_jax.array_types import Int, Num
from reds_jax.data.mfcc import MFCC
from reds_jax.deploy.board.boards import board_of
from reds_jax.deploy.board.image import emulate, link
from reds_jax.deploy.c.constants import array
from reds_jax.deploy.front_end.c_text import Arithmetic, c_files
from reds_jax.errors import InvalidArgumentError


@dataclass(frozen=True)
class Measured:
    """What a board made of a clip.

    Args:
        coefficients: float32, or int32 in 1/65536.
        frame, push: instructions to compute every frame, and to take its samples.
    """

    coefficients: Num[np.ndarray, "frames coefficients"]
    frame: Int[np.ndarray, " frames"]
    push: Int[np.ndarray, " frames"]


def measure(mfcc: MFCC, arithmetic: Arithmetic, board: str, clip: Int[np.ndarray, " samples"], *flags: str) -> Measured:
    """Run the front end over a clip on a board of `reds_jax.deploy.board.device`, in QEMU.

    Args:
        mfcc: the front end.
        arithmetic: ``"float32"`` or ``"fixed"``.
        board: ``"m4"`` or ``"m0"``.
        clip: int16, at least one frame.
        flags: more options of the compiler.

    Raises:
        InvalidArgumentError: a clip shorter than a frame, and where `c_files` has one.
        RedsError: the board has too little memory.
        MissingDependencyError: the compiler or QEMU is not installed.
    """
    clip = np.asarray(clip)
    if clip.dtype != np.int16 or clip.ndim != 1 or len(clip) < mfcc.window:
        raise InvalidArgumentError("this is no clip", got=f"{clip.dtype} {list(clip.shape)}",
                                   allowed=f"int16 [{mfcc.window} or more samples]")
    number, short, dtype = ("float", "f32", "<f4") if arithmetic == "float32" else ("int32_t", "s32", "<i4")
    with tempfile.TemporaryDirectory(prefix="reds_jax_") as temporary:
        here = Path(temporary)
        (folder := here / "front_end").mkdir()
        for name, text in c_files(mfcc, "t", arithmetic).items():
            (folder / name).write_text(text, encoding="utf-8")
        (here / "clip.h").write_text(array("int16_t", "clip", [str(v) for v in clip], per_line=16), encoding="utf-8")
        text = (resources.files("reds_jax.deploy.front_end") / "on_board.c").read_text(encoding="utf-8")
        (here / "main.c").write_text(Template(text).substitute(number=number, short=short), encoding="utf-8")
        target = board_of(board)
        linked = link([*sorted(folder.glob("*.c")), here / "main.c"], here, target, *flags, f"-I{folder}")
        printed = emulate(linked, target)
    rows = [line.split()[1:] for line in printed.splitlines() if line.startswith("frame ")]
    bits = np.array([[int(v, 16) for v in row[2:]] for row in rows], np.uint32)
    counts = np.array([[int(v) for v in row[:2]] for row in rows])
    return Measured(bits.view(dtype), counts[:, 0], counts[:, 1])
