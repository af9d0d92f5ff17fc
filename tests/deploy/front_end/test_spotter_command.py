"""``reds deploy export --front-end``: from a run to a keyword spotter, and the runs that have no front end."""

import json
import shutil

import numpy as np
import pytest

from reds_jax import data, models
from reds_jax.data.speech_commands import FRONT_ENDS
from reds_jax.deploy import HostNetwork
from reds_jax.deploy.__main__ import main
from reds_jax.deploy.front_end import FixedGrid, FixedTables, HostListener, Settings
from reds_jax.deploy.front_end.keyword_spotter import of_run
from reds_jax.deploy.int8.calibrate import Scale
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph.trace import trace
from reds_jax.network import NestedNetwork
from reds_jax.testing import random_variables


@pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed")
def test_from_a_run_to_the_word(tmp_path, capsys) -> None:
    """What is written hears what the exported network makes of the frames in integers, of a clip, at every width."""
    run, out = tmp_path / "run", tmp_path / "c"
    clips, mfcc = data.load("speech_commands", "synthetic", limit=24, normalise="mfcc_40_40"), FRONT_ENDS["mfcc_40_40"]
    x, model = clips.example(), models.build("dnn_s")
    variables = random_variables(model, x)
    graph = trace(model, variables, x)
    widths = tuple(graph.widths(f) for f in (0.25, 1.0))
    NestedNetwork(model, variables["params"], ({},) * 2, widths, tuple(graph.macs(w) for w in widths), x, mfcc).save(
        run / "model", architecture={"name": "dnn_s", "arguments": {}})
    (run / "config.json").write_text(json.dumps({
        "task": "speech_commands", "fingerprint": clips.fingerprint,
        "options": {"data": "synthetic", "resolution": None, "seed": 0, "limit": 24}}))
    main(["export", str(run), str(out), "--front-end", "mfcc_fixed", "--example", "microphone", "--name", "kws"])
    assert "build/kws_listen_wav FILE.wav" in capsys.readouterr().out.replace("\n", "")
    listener, network = HostListener(out, "-O1", name="kws"), HostNetwork(out, "-O1", name="kws")
    assert listener.facts["front_end"]["class_names"] == list(clips.class_names or ())
    assert (out / "examples" / "kws_microphone.c").exists()
    grid = FixedGrid.of(Scale(**listener.facts["input"]))
    frames = grid.quantize(FixedTables.of(mfcc)(clips.test.inputs[:4]))[..., None]
    for k in range(2):
        assert listener.adapt(k)
        assert network.adapt(k)
        heard = [listener.listen(clip, Settings(25, 1)) for clip in clips.test.inputs[:4]]
        np.testing.assert_array_equal(np.concatenate([h.outputs for h in heard]), network.invoke(frames))
    assert not listener.adapt(2)


def test_runs_that_have_no_front_end(finished, tmp_path, capsys) -> None:
    """Named, early, with what to do; nothing is written."""
    run, _, _ = finished
    for options, said in ((["--front-end", "mfcc"], "got 'fashion_mnist: Normalise'"),
                          (["--example", "microphone"], "--front-end mfcc")):
        with pytest.raises(SystemExit) as ended:
            main(["export", str(run), str(tmp_path / "c"), *options])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
    features = data.clips.of_clips(np.zeros((36, 49, 10), np.float32), np.arange(36) % 12, np.arange(36) // 12,
                                   test_groups=[1], validation_groups=[2])
    with pytest.raises(InvalidArgumentError, match=r"features as they are.*train on the waveforms"):
        of_run(features)
