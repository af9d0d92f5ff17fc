"""`KeywordSpotter`: what an exported network listens to, and the C files that go from audio to the word."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any, Literal, get_args

import numpy as np

from reds_jax.array_types import Int
from reds_jax.checks import integer
from reds_jax.data import DataSet
from reds_jax.data.mfcc import MFCC
from reds_jax.deploy.c.source import Emitter
from reds_jax.deploy.front_end.c_text import Arithmetic, c_files
from reds_jax.deploy.front_end.fixed import FixedGrid, FixedTables
from reds_jax.deploy.front_end.listen_text import values
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError

Example = Literal["microphone"]
NO_WORDS = ("_silence_", "_unknown_")


@dataclass(frozen=True)
class KeywordSpotter:
    """The front end of an exported keyword spotter, for ``export(front_end=...)``.

    The C code then has ``NAME_listen``, which takes any number of samples and says which word was heard, and a program that
    reads WAV files (``make listen``).

    Args:
        mfcc: what the network was trained to read.
        class_names: of the network's outputs, in their order.
        no_words: classes that are never reported: silence, and words that are none of these.
        window: the most inferences that can be averaged (``NAME_LISTEN_WINDOW``, two bytes each and class).
        example: ``"microphone"`` adds microphone.c, the main loop of a firmware.
        arithmetic: of the front end, ``"float32"``, or for an int8 network also ``"fixed"``: integers, for a core without an
            FPU.

    Raises:
        InvalidArgumentError: an argument of another type or out of range; a class in ``no_words`` that there is not; no word.
    """

    mfcc: MFCC
    class_names: tuple[str, ...]
    no_words: tuple[str, ...] = NO_WORDS
    window: int = 32
    example: Example | None = None
    arithmetic: Arithmetic = "float32"

    def __post_init__(self) -> None:
        if not isinstance(self.mfcc, MFCC):
            raise InvalidArgumentError("the front end of a keyword spotter is an MFCC", got=type(self.mfcc).__name__,
                                       allowed="reds_jax.data.MFCC(...), as in training")
        integer("window", self.window, 1, 65535)
        if self.example is not None and self.example not in get_args(Example):
            raise InvalidArgumentError("there is no such example", got=self.example, allowed=", ".join(get_args(Example)))
        if self.arithmetic not in get_args(Arithmetic):
            raise InvalidArgumentError("there is no such arithmetic of a front end", got=self.arithmetic,
                                       allowed=", ".join(get_args(Arithmetic)))
        names = self.class_names
        if isinstance(names, str) or not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
            raise InvalidArgumentError("every class of a keyword spotter needs a name of its own", got=names)
        if missing := set(self.no_words) - set(names) - set(NO_WORDS):
            raise InvalidArgumentError("there is no such class", got=sorted(missing), allowed=", ".join(names))
        if not any(self.words):
            raise InvalidArgumentError("there is no word to hear", got=names,
                                       allowed="at least one class that is not in no_words")

    @property
    def words(self) -> tuple[bool, ...]:
        """For every class whether it is a word that is reported."""
        return tuple(name not in self.no_words for name in self.class_names)

    @property
    def short(self) -> str:
        """The arithmetic in the names of C."""
        return "f32" if self.arithmetic == "float32" else "s32"

    @property
    def number(self) -> str:
        """The type of a coefficient in C."""
        return "float" if self.arithmetic == "float32" else "int32_t"

    def features(self, waveform: Int[np.ndarray, " samples"], grid: Scale | None = None) -> np.ndarray:
        """The frames of a recording, int16 [S], as Python has them: [F, coefficients].

        Args:
            waveform: the recording.
            grid: of the input of an int8 network; the frames are then stored on it, int8. With the arithmetic ``"fixed"`` they
                are those of the C code bit for bit; the float32 front end of C differs in the last bits of the real
                coefficients, which may move a stored one by 1.
        """
        clips = np.asarray(waveform)[None]
        if self.arithmetic == "fixed":
            assert grid is not None
            return FixedGrid.of(grid).quantize(FixedTables.of(self.mfcc)(clips))[0]
        real = self.mfcc(clips)[0, ..., 0]
        return real if grid is None else grid.quantize(real)

    def check(self, input_shape: tuple[int, ...], outputs: int, ends_in: str, dtype: str) -> None:
        """An `InvalidArgumentError` unless a network of such inputs and outputs can be its spotter."""
        if self.arithmetic == "fixed" and dtype != "int8":
            raise InvalidArgumentError("a front end in integers is for a network in integers", got=dtype, allowed="int8")
        if len(input_shape) != 3 or input_shape[1:] != (self.mfcc.coefficients, 1):
            raise InvalidArgumentError("the network does not read the frames of this front end", got=list(input_shape),
                                       allowed=f"[frames, {self.mfcc.coefficients}, 1]",
                                       hint="Give the MFCC that the network was trained with.")
        if ends_in == "argmax":
            raise InvalidArgumentError("a network that ends in argmax has no posteriors to average",
                                       hint="Export the network that ends in its logits or in softmax.")
        if outputs != len(self.class_names):
            raise InvalidArgumentError("the network has another number of outputs than there are names of classes",
                                       got=outputs, allowed=str(len(self.class_names)))

    def facts(self) -> dict[str, Any]:
        """What model.json records."""
        mfcc = {name: getattr(self.mfcc, name) for name in self.mfcc.__dataclass_fields__}
        return {"mfcc": mfcc, "arithmetic": self.arithmetic, "class_names": list(self.class_names), "words": list(self.words),
                "window": self.window}

    def files(self, emitter: Emitter, facts: dict[str, Any]) -> dict[str, str]:
        """The text of the C files by name: those for a firmware, and the programs."""
        name, given = emitter.name, values(self, emitter, facts)
        own = {f"reds_spotter{ending}": _text("runtime", f"reds_spotter{ending}") for ending in (".h", ".c")}
        own |= {f"{name}_listen{ending}": _template(f"listen{ending}", given) for ending in (".h", ".c")}
        own |= {f"{name}_listen_wav.c": _template("listen_wav.c", given), "wav.h": _text("templates", "wav.h"),
                "wav.c": _text("templates", "wav.c")}
        if self.example is not None:
            own[f"{name}_{self.example}.c"] = _template(f"{self.example}.c", given)
        grid = None if emitter.quantized is None else emitter.quantized.input_scale
        return c_files(self.mfcc, name, self.arithmetic, grid) | own


def of_run(data: DataSet, example: Example | None = None, arithmetic: Arithmetic = "float32") -> KeywordSpotter:
    """The front end of a run: the MFCC and the classes that it was trained on.

    Raises:
        InvalidArgumentError: the run reads something else, or has no names of classes.
    """
    if not isinstance(data.normalise, MFCC):
        read = "features as they are" if data.normalise is None else type(data.normalise).__name__
        raise InvalidArgumentError("the run does not read the MFCC of audio, so it has no such front end",
                                   got=f"{data.name}: {read}", allowed="a run on waveforms, such as reds speech_commands",
                                   hint="Export it without --front-end. Features that were computed before training do not "
                                        "say how: train on the waveforms.")
    if data.class_names is None:
        raise InvalidArgumentError("the classes of the run have no names", got=data.name, hint="Give the data set class_names.")
    return KeywordSpotter(data.normalise, data.class_names, example=example, arithmetic=arithmetic)


def _template(name: str, values: dict[str, str]) -> str:
    return Template(_text("templates", name)).substitute(values)


def _text(folder: str, name: str) -> str:
    return (resources.files("reds_jax.deploy.c") / folder / name).read_text(encoding="utf-8")
