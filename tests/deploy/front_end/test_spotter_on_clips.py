"""A trained DS-CNN S on recorded words, from audio: in C what it is in Python. Needs the folder REDS_DATA."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from reds_jax.data import MFCC
from reds_jax.data.clips import CLASS_NAMES
from reds_jax.deploy import export
from reds_jax.deploy.front_end import HostListener, KeywordSpotter, Settings, listen
from reds_jax.graph.trace import trace
from reds_jax.models import DSCNN, load_kws


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::reds_jax.deploy.int8.quality.QuantizationWarning")
@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")
def test_recorded_words_are_heard_from_audio(tmp_path) -> None:
    """24 clips, at two widths, with both front ends: the same classes, and the outputs bit for bit where the inputs are."""
    folder = Path(os.environ.get("REDS_DATA", "."))
    if not (folder / "mfcc_golden.npz").exists() or not (folder / "pretrained_weights.npz").exists():
        pytest.skip("REDS_DATA names no folder with mfcc_golden.npz and pretrained_weights.npz")
    with np.load(folder / "mfcc_golden.npz") as file:
        clips, labels = file["pcm"], file["label"]
    with np.load(folder / "pretrained_weights.npz") as file:
        variables = load_kws({key.removeprefix("hads/ds_cnn_s/"): file[key] for key in file.files if "hads/ds_cnn_s/" in key})
    model, x = DSCNN(12, 64, (10, 4), (2, 2), ((1, 1),) * 4), MFCC()(clips)
    graph = trace(model, variables, x)
    widths = [graph.widths(f) for f in (0.5, 1.0)]
    for arithmetic in ("float32", "fixed"):
        exported = export(model, variables, graph, widths, tmp_path / arithmetic, "int8", calibration=[x], rule="minmax",
                          front_end=KeywordSpotter(MFCC(), CLASS_NAMES, arithmetic=arithmetic))
        listener, settings = HostListener(tmp_path / arithmetic), Settings(49, 1)
        for k in range(2):
            listener.adapt(k)
            heard = [listener.listen(clip, settings) for clip in clips]
            expected = [listen(exported, clip, settings, k) for clip in clips]
            same = [np.array_equal(h.inputs, e.inputs) for h, e in zip(heard, expected, strict=True)]
            assert all(same) or (arithmetic == "float32" and np.mean(same) > 0.9)
            for h, e, equal in zip(heard, expected, same, strict=True):
                assert np.array_equal(h.outputs, e.outputs) or not equal
                assert h.outputs.argmax() == e.outputs.argmax()
            right = np.mean([h.outputs[0].argmax() == label for h, label in zip(heard, labels, strict=True)])
            assert k == 0 or right > 0.8
