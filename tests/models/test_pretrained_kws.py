"""Imported keyword spotters: the arrays find their places under either naming, and hear what others measured them to hear."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.data import MFCC
from reds_jax.data.clips import features_of
from reds_jax.errors import InvalidArgumentError
from reds_jax.models import CNN, DNN, DSCNN, load_kws

SMALL = {  # the network, its input, and its layers with ARM's names
    "dnn": (DNN(12, (5, 4)), (25, 10, 1), {
        "dense_0": ("fc1/W", "fc1/b"), "dense_1": ("fc2/W", "fc2/b"), "logits": ("final_fc", "Variable")}),
    "cnn": (CNN(12, (4, 3), 5, 6), (49, 10, 1), {
        "conv_0": ("Variable", "Variable_1"), "conv_0_norm": "bn1",
        "conv_1": ("Variable_2", "Variable_3"), "conv_1_norm": "bn2", "linear": ("W", "b"),
        "hidden": ("Variable_4", "Variable_5"), "hidden_norm": "bn3", "logits": ("Variable_6", "Variable_7")}),
    "ds_cnn": (DSCNN(12, 4, (10, 4), (2, 2), ((1, 1),) * 2), (49, 10, 1), {
        "conv": ("MobileNet/conv_1/weights", "MobileNet/conv_1/biases"), "conv_norm": "MobileNet/conv_1/batch_norm",
        **{f"{kind}_{i}{end}": place for i in (0, 1) for kind, short in (("depthwise", "dw"), ("pointwise", "pw"))
           for end, place in (("", (f"MobileNet/conv_ds_{i + 1}/{kind}_conv/{'depthwise_' * (short == 'dw')}weights",
                                    f"MobileNet/conv_ds_{i + 1}/{kind}_conv/biases")),
                              ("_norm", f"MobileNet/conv_ds_{i + 1}/{short}_batch_norm"))},
        "logits": ("MobileNet/fc1/weights", "MobileNet/fc1/biases")}),
}


def drawn(model, shape):
    """Variables of the model in which no two arrays are alike."""
    like = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda a: rng.normal(size=a.shape).astype(np.float32), like)


def saved(variables, layers, naming: str) -> dict[str, np.ndarray]:
    """The variables under the names of ARM, or of Keras by number."""
    arrays = {}
    for number, (layer, place) in enumerate(layers.items()):
        params, stats = variables["params"][layer], variables.get("batch_stats", {}).get(layer, {})
        depthwise = layer.startswith("depthwise") and not layer.endswith("norm")
        if naming == "keras":
            kernel = "depthwise_kernel" if depthwise else "kernel"
            keys = {"gamma": "scale", "beta": "bias"} if stats else {kernel: "kernel", "bias": "bias"}
            place = f"layer_with_weights-{number}"
        else:
            keys = {"gamma": "scale", "beta": "bias"} if stats else dict(zip(place, ("kernel", "bias"), strict=True))
        for theirs, ours in keys.items():
            name = theirs if naming == "arm" and not stats else f"{place}/{theirs}"
            arrays[name] = params[ours].swapaxes(2, 3) if depthwise and ours == "kernel" else params[ours]
        if stats:
            arrays |= {f"{place}/moving_mean": stats["mean"], f"{place}/moving_variance": stats["var"]}
    return arrays


def by_kind(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names by the number of the layer as those by its kind, which Keras gives in its files: conv2d_1/conv2d_1/kernel."""
    found, numbers, last = {}, {}, {}
    for name, array in sorted(arrays.items(), key=lambda item: int(item[0].partition("-")[2].partition("/")[0])):
        layer, _, variable = name.partition("/")
        if layer not in last:
            group = {n.partition("/")[2]: a for n, a in arrays.items() if n.startswith(f"{layer}/")}
            kind = "batch_normalization" if "gamma" in group else "depthwise_conv2d" if "depthwise_kernel" in group else \
                "conv2d" if group["kernel"].ndim == 4 else "dense"
            number = numbers[kind] = numbers.get(kind, -1) + 1
            last[layer] = f"{kind}_{number}" if number else kind
        found[f"{last[layer]}/{last[layer]}/{variable}"] = array
    return found


@pytest.mark.parametrize("naming", ["arm", "keras", "kind"])
@pytest.mark.parametrize("kind", SMALL)
def test_every_array_finds_its_place(kind, naming):
    model, shape, layers = SMALL[kind]
    variables = drawn(model, shape)
    found = load_kws(by_kind(saved(variables, layers, "keras")) if naming == "kind" else saved(variables, layers, naming))
    assert jax.tree.structure(found) == jax.tree.structure(variables)
    jax.tree.map(np.testing.assert_array_equal, found, variables)


def test_a_batch_norm_without_a_scale_has_a_scale_of_1():
    model, shape, layers = SMALL["ds_cnn"]
    arrays = saved(drawn(model, shape), layers, "arm")
    found = load_kws({f"{name}:0": a for name, a in arrays.items() if not name.endswith("gamma")})
    np.testing.assert_array_equal(found["params"]["pointwise_1_norm"]["scale"], np.ones(4))


def test_what_does_not_match_is_named():
    model, shape, layers = SMALL["cnn"]
    arrays = saved(drawn(model, shape), layers, "arm")
    less = {name: a for name, a in arrays.items() if name not in ("bn2/beta", "W")}
    with pytest.raises(InvalidArgumentError, match="2 arrays more: W, bn2/beta"):
        load_kws(less)
    with pytest.raises(InvalidArgumentError, match=r"got \{'extra': \[3\]\}"):
        load_kws({**arrays, "extra": np.ones(3)})
    with pytest.raises(InvalidArgumentError, match=r"other sizes .*'Variable_1': \[5\], 'bn3/beta': \[1\]"):
        load_kws({**arrays, "Variable_1": np.ones(5), "bn3/beta": np.ones(1)})


NETWORKS = {  # on 3,819 clips of the test set of Speech Commands 0.02: right answers %, all classes and without silence
    "arm/DNN_S": (DNN(12, (144,) * 3), 78.53, 80.18), "arm/CNN_S": (CNN(12, (28, 30), 16), 85.23, 87.43),
    "arm/DS_CNN_S": (DSCNN(12, 64, (10, 4), (2, 2), ((1, 1),) * 4), 88.92, 91.69),
    "hads/dnn_s": (DNN(12, (144,) * 3), 80.41, 82.38), "hads/cnn_s": (CNN(12, (28, 30), 16), 88.37, 91.72),
    "hads/ds_cnn_s": (DSCNN(12, 64, (10, 4), (2, 2), ((1, 1),) * 4), 89.89, 93.69),
    "mlcommons/kws_ref_model": (DSCNN(12, 64, (10, 4), (2, 2), ((1, 1),) * 4), 92.12, 91.49),
}
MLPERF = ("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "_silence_", "_unknown_")


@pytest.mark.slow
def test_real_clips_are_heard():
    """hads/dnn_s on all classes was measured before, by other code (80.4); the rest are ours, with the front end of each."""
    folder = Path(os.environ.get("REDS_DATA", "."))
    if not (folder / "speech_commands_3819.npz").exists() or not (folder / "pretrained_weights.npz").exists():
        pytest.skip("REDS_DATA names no folder with speech_commands_3819.npz and pretrained_weights.npz")
    with np.load(folder / "speech_commands_3819.npz") as file:
        zigzag = (file["hi"].astype(np.int32) << 8) | file["lo"]
        pcm = np.cumsum((zigzag >> 1) ^ -(zigzag & 1), axis=1, dtype=np.int32).astype(np.int16)
        labels, names = file["label"], file["class_names"].tolist()
    with np.load(folder / "pretrained_weights.npz") as file:
        weights = {name: file[name] for name in file.files}
    loudest = pcm / np.maximum(1, np.abs(pcm.max(1, keepdims=True))).astype(np.float32)
    read = {"25 x 10": features_of(pcm, MFCC(stride_ms=40)), "49 x 10": features_of(pcm, MFCC()),
            "mlperf": features_of(loudest, MFCC(window_ms=30))}
    for name, (model, everything, words) in NETWORKS.items():
        variables = load_kws({key.removeprefix(f"{name}/"): a for key, a in weights.items() if key.startswith(f"{name}/")})
        x = read["mlperf" if name.startswith("mlcommons") else "25 x 10" if isinstance(model, DNN) else "49 x 10"]
        predict = jax.jit(model.apply)
        found = np.concatenate([predict(variables, x[i : i + 500]).argmax(-1) for i in range(0, len(x), 500)])
        right = (np.array([names.index(n) for n in MLPERF])[found] if name.startswith("mlcommons") else found) == labels
        assert 100 * right.mean() == pytest.approx(everything, abs=0.1), name
        assert 100 * right[labels > 0].mean() == pytest.approx(words, abs=0.1), name
