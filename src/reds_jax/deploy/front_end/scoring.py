"""How well words were heard: detections beside what was said, to choose a hop and a threshold on validation data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reds_jax.deploy.front_end.spotter import Detection


@dataclass(frozen=True)
class Spoken:
    """A word of a recording.

    Args:
        start, end: its first frame, and the one behind its last.
        word: its class.
    """

    start: int
    end: int
    word: int


@dataclass(frozen=True)
class Score:
    """How well words were heard.

    Args:
        heard: words that were detected, of ``said``.
        said: words in the recording.
        false_alarms: detections of what nobody said.
    """

    heard: int
    said: int
    false_alarms: int


def score(detections: Sequence[Detection], spoken: Sequence[Spoken], *, late: int = 25) -> Score:
    """Compare what was heard with what was said; nothing else is needed to choose a threshold on validation data.

    A word counts as heard if it was detected at least once between its first frame and ``late`` frames behind its last; one
    detection counts for one word. A detection that belongs to no word in this way is a false alarm.

    Args:
        detections: of `listen`.
        spoken: the words in the recording (no silence, and no words that the network does not know).
        late: frames; half a second by default, at 20 ms a frame.
    """
    heard: set[int] = set()
    false_alarms = 0
    for d in detections:
        fits = [i for i, s in enumerate(spoken) if s.word == d.word and s.start < d.frame <= s.end + late]
        false_alarms += not fits
        heard.update([i for i in fits if i not in heard][:1])
    return Score(len(heard), len(spoken), false_alarms)
