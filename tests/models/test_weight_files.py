"""Trained weights from files of every kind, and the report of what does not fit."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
import pytest

from reds_jax.deploy.phone import litert
from reds_jax.errors import DataError, InvalidArgumentError
from reds_jax.graph.trace import trace
from reds_jax.models import DSCNN, import_variables, load_ds_cnn, read_weights
from reds_jax.tflite_schema import schema
from reds_jax.training.arrays import flatten

MODEL = DSCNN(3, 4, (3, 3), (2, 2), ((1, 1),))
IMAGE = np.random.default_rng(0).normal(size=(2, 8, 8, 2)).astype(np.float32)
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def like() -> Any:
    return jax.eval_shape(lambda: MODEL.init(jax.random.key(0), IMAGE))


@pytest.fixture(scope="module")
def keras_weights() -> Arrays:
    """The arrays of a DS-CNN under the names that Keras gives them; no two values are alike, variances are positive."""
    rng = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"conv2d/kernel": (3, 3, 2, 4), "conv2d/bias": (4,), "conv2d_1/kernel": (1, 1, 4, 4),
                                          "conv2d_1/bias": (4,), "depthwise_conv2d/depthwise_kernel": (3, 3, 4, 1),
                                          "depthwise_conv2d/bias": (4,), "dense/kernel": (4, 3), "dense/bias": (3,)}
    for k in range(3):
        shapes |= {f"batch_normalization{f'_{k}' * (k > 0)}/{a}": (4,) for a in ("gamma", "beta", "moving_mean",
                                                                                    "moving_variance")}
    return {name: rng.uniform(0.5, 1.5, shape).astype(np.float32) for name, shape in shapes.items()}


def equal(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def layers(weights: Arrays) -> dict[str, Arrays]:
    """By layer, in the order of the network: a convolution, a depthwise one, a pointwise one, each with batch norm; dense."""
    order = ("conv2d", "batch_normalization", "depthwise_conv2d", "batch_normalization_1", "conv2d_1", "batch_normalization_2",
             "dense")
    return {layer: {name.partition("/")[2]: a for name, a in weights.items() if name.startswith(f"{layer}/")}
            for layer in order}


def write_old(path: Path, weights: Arrays, rename: Callable[[str], str] = str, whole: bool = True) -> None:
    """The form before Keras 3, of a whole model or of its weights, with names of layers as they please."""
    classes = {"conv2d": "Conv2D", "depthwise_conv2d": "DepthwiseConv2D", "batch_normalization": "BatchNormalization",
               "dense": "Dense"}
    with h5py.File(path, "w") as file:
        group = file.create_group("model_weights") if whole else file
        names, configs = [], []
        for layer, arrays in layers(weights).items():
            name = rename(layer)
            full = [f"{name}/{variable}:0" for variable in arrays]
            part = group.create_group(name)
            part.attrs["weight_names"] = [n.encode() for n in full]
            for n, array in zip(full, arrays.values(), strict=True):
                part.create_dataset(n, data=array)
            names.append(name)
            kind = layer if layer in classes else layer.rpartition("_")[0]
            configs.append({"class_name": classes[kind], "config": {"name": name}})
        activation = group.create_group("activation")
        activation.attrs["weight_names"] = np.zeros(0)
        group.attrs["layer_names"] = [n.encode() for n in [*names, "activation"]]
        if whole:
            file.attrs["model_config"] = json.dumps({"class_name": "Functional", "config": {"name": "m", "layers": configs}})


VARIABLES = {"conv2d": ["kernel", "bias"], "dense": ["kernel", "bias"], "depthwise_conv2d": ["depthwise_kernel", "bias"],
             "batch_normalization": ["gamma", "beta", "moving_mean", "moving_variance"]}


def write_new(path: Path, weights: Arrays) -> None:
    """The form of Keras 3: groups by kind, numbered variables."""
    with h5py.File(path, "w") as file:
        file.create_group("layers/activation/vars").attrs["name"] = "activation"
        for layer, arrays in layers(weights).items():
            kind = layer if layer in VARIABLES else layer.rpartition("_")[0]
            for k, variable in enumerate(v for v in VARIABLES[kind] if v in arrays):
                file.create_dataset(f"layers/{layer}/vars/{k}", data=arrays[variable])


def session(layer: str) -> str:
    """The names of the second network of a session, which Keras goes on numbering."""
    kind, _, number = layer.rpartition("_")
    return f"{kind}_{int(number) + 11}" if number.isdigit() else f"{layer}_11"


def test_files_of_keras(tmp_path: Path, keras_weights: Arrays) -> None:
    def own(layer: str) -> str:
        return {"conv2d": "stem", "conv2d_1": "head/pointwise"}.get(layer, f"my_{layer}")

    for k, rename in enumerate((str, session, own)):
        write_old(tmp_path / f"{k}.h5", keras_weights, rename)
        equal(read_weights(tmp_path / f"{k}.h5"), keras_weights)
    write_old(tmp_path / "w.hdf5", keras_weights, session, whole=False)
    equal(read_weights(tmp_path / "w.hdf5"), keras_weights)
    write_new(tmp_path / "n.weights.h5", keras_weights)
    equal(read_weights(tmp_path / "n.weights.h5"), keras_weights)
    few = {name: a for name, a in keras_weights.items() if name != "batch_normalization_1/gamma"}
    config = {"class_name": "BatchNormalization", "config": {"name": "batch_normalization_1", "scale": False, "center": True}}
    write_new(tmp_path / "f.weights.h5", few)
    for name, described, expected in (("n", [], keras_weights), ("f", [config], few)):
        with zipfile.ZipFile(tmp_path / f"{name}.keras", "w") as archive:
            whole = {"class_name": "Sequential", "config": {"name": "s", "layers": described}}
            archive.writestr("config.json", json.dumps(whole))
            archive.write(tmp_path / f"{name}.weights.h5", "model.weights.h5")
        equal(read_weights(tmp_path / f"{name}.keras"), expected)


def test_layers_of_a_kind_are_numbered_by_their_names_where_all_have_numbers(tmp_path: Path) -> None:
    """A graph of layers is saved in the order of its depths, and Keras numbers them as they were made."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        for name in ("dense_10", "dense_9", "dense_8"):
            file.create_dataset(f"{name}/{name}/kernel:0", data=np.full((2, 2), int(name[6:])))
            file[name].attrs["weight_names"] = [f"{name}/kernel:0"]
        file.attrs["layer_names"] = ["dense_10", "dense_9", "dense_8"]
    assert {name: a[0, 0] for name, a in read_weights(tmp_path / "w.h5").items()} == \
        {"dense/kernel": 8, "dense_1/kernel": 9, "dense_2/kernel": 10}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside of Keras
def test_what_keras_itself_writes(tmp_path: Path, keras_weights: Arrays) -> None:
    """Of two networks in one session and with a layer named by hand, in every form that Keras has."""
    import keras

    def network() -> Any:
        return keras.Sequential([
            keras.Input((8, 8, 2)), keras.layers.Conv2D(4, 3, 2, "same", name="stem"), keras.layers.BatchNormalization(),
            keras.layers.ReLU(), keras.layers.DepthwiseConv2D(3, padding="same"), keras.layers.BatchNormalization(),
            keras.layers.ReLU(), keras.layers.Conv2D(4, 1), keras.layers.BatchNormalization(), keras.layers.ReLU(),
            keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3)])

    network()
    model = network()
    for layer, arrays in zip([layer for layer in model.layers if layer.weights], layers(keras_weights).values(), strict=True):
        layer.set_weights([arrays[w.name if w.name in arrays else f"depthwise_{w.name}"] for w in layer.weights])
    for name in ("m.keras", "m.h5"):
        model.save(tmp_path / name)
    model.save_weights(tmp_path / "m.weights.h5")
    for name in ("m.keras", "m.h5", "m.weights.h5"):
        found = read_weights(tmp_path / name)
        equal(found, keras_weights)
        variables, _ = import_variables(found, jax.eval_shape(lambda: MODEL.init(jax.random.key(0), IMAGE)), load_ds_cnn)
        np.testing.assert_allclose(MODEL.apply(variables, IMAGE), model.predict(IMAGE, verbose=0), atol=1e-5)


def write_tflite(path: Path, weights: Arrays, kind: str = "FLOAT32", plus: np.ndarray | None = None) -> None:
    """A convolution, a depthwise one, a pointwise one, a fully connected layer, with batch norm in them; ``plus`` is added."""
    s, flatbuffers = schema()
    tensors, buffers, operators = [], [s.BufferT()], []

    def tensor(name: str, array: np.ndarray | None = None) -> int:
        table = s.TensorT(name=name, shape=[1] if array is None else list(array.shape), type=getattr(s.TensorType, kind))
        if array is not None:
            table.buffer = len(buffers)
            values = array.astype({"FLOAT32": "<f4", "FLOAT16": "<f2", "INT8": "i1"}[kind])
            buffers.append(s.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        tensors.append(table)
        return len(tensors) - 1

    names = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 2, "DEQUANTIZE": 3, "ADD": 4}
    value = first = tensor("input")
    for operation, layer in (("CONV_2D", "conv2d"), ("DEPTHWISE_CONV_2D", "depthwise_conv2d"), ("CONV_2D", "conv2d_1"),
                             ("FULLY_CONNECTED", "dense")):
        kernel = weights[f"{layer}/{'depthwise_' * (layer[:2] == 'de' and layer[2] == 'p')}kernel"]
        kernel = kernel.T if kernel.ndim == 2 else kernel.transpose(3, 0, 1, 2)
        given = [tensor(f"{layer}/w", kernel), tensor(f"{layer}/b", weights[f"{layer}/bias"])]
        if kind == "FLOAT16":
            wide = [tensor(f"{layer}/{k}") for k in range(2)]
            operators += [s.OperatorT(opcodeIndex=3, inputs=[a], outputs=[b]) for a, b in zip(given, wide, strict=True)]
            given = wide
        out = tensor(f"{layer}/out")
        operators.append(s.OperatorT(opcodeIndex=names[operation], inputs=[value, *given], outputs=[out]))
        value = out
    if plus is not None:
        operators.append(s.OperatorT(opcodeIndex=4, inputs=[value, tensor("", plus)], outputs=[tensor("sum")]))
    codes = [s.OperatorCodeT(builtinCode=getattr(s.BuiltinOperator, n), deprecatedBuiltinCode=getattr(s.BuiltinOperator, n))
             for n in names]
    graph = s.SubGraphT(tensors=tensors, inputs=[first], outputs=[value], operators=operators, name="main")
    builder = flatbuffers.Builder(1024)
    builder.Finish(s.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=buffers).Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def test_files_of_tensorflow_lite(tmp_path: Path, keras_weights: Arrays, like: Any) -> None:
    """In floats of 32 and of 16 bits; a batch norm that is in the layers before is one that changes nothing here."""
    folded = {name: a for name, a in keras_weights.items() if not name.startswith("batch")}
    write_tflite(tmp_path / "a.tflite", folded)
    equal(read_weights(tmp_path / "a.tflite"), folded)
    write_tflite(tmp_path / "b.tflite", folded, "FLOAT16")
    equal(read_weights(tmp_path / "b.tflite"), {name: a.astype(np.float16).astype(np.float32) for name, a in folded.items()})
    for shape, left in ((3,), {}), ((1, 2, 3), {"tensor_13": (1, 2, 3)}):  # a number a class goes into the layer, others stay
        write_tflite(tmp_path / "f.tflite", folded, plus=np.ones(shape, np.float32))
        found = read_weights(tmp_path / "f.tflite")
        assert {name: a.shape for name, a in found.items() if name not in folded} == left
        np.testing.assert_array_equal(found["dense/bias"], folded["dense/bias"] + (not left))
    variables, match = import_variables(folded, like, load_ds_cnn)
    assert match.fits
    plain = {f"batch_normalization{k}/{a}": np.full(4, v, np.float32) for k in ("", "_1", "_2")
             for a, v in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 0.999))}
    expected, _ = import_variables({**folded, **plain}, like, load_ds_cnn)
    equal(flatten(variables), flatten(expected))
    write_tflite(tmp_path / "c.tflite", folded, "INT8")
    whole = (tmp_path / "a.tflite").read_bytes()
    (tmp_path / "d.tflite").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "e.tflite").write_bytes(b"nothing of the kind")
    for name, message in (("c", "its weights are quantised"), ("d", "cannot be read"), ("e", "is no .tflite file")):
        with pytest.raises(DataError, match=rf"{name}\.tflite .*{message}|{name}\.tflite {message}"):
            read_weights(tmp_path / f"{name}.tflite")


def test_an_exported_network_is_read_back(tmp_path: Path, keras_weights: Arrays, like: Any) -> None:
    """Its file has every batch norm as a product and a sum, its weights once and views of them; the function is the same."""
    variables, _ = import_variables(keras_weights, like, load_ds_cnn)
    litert.export(MODEL, variables, trace(MODEL, variables, IMAGE), [0.5, 1.0], tmp_path / "own.tflite")
    found = read_weights(tmp_path / "own.tflite")
    assert found.keys() == {name for name in keras_weights if not name.startswith("batch")}
    again, _ = import_variables(found, like, load_ds_cnn)
    np.testing.assert_allclose(MODEL.apply(again, IMAGE), MODEL.apply(variables, IMAGE), rtol=1e-5)


def test_a_checkpoint_of_orbax_has_the_names_of_its_tree(tmp_path: Path, like: Any) -> None:
    """With the state of an optimizer beside the variables, which is left out; also as a step of a manager."""
    import orbax.checkpoint as ocp

    variables = jax.tree.map(lambda s: np.random.default_rng(s.size).normal(size=s.shape).astype(np.float32), like)
    tree = {**variables, "opt_state": [{"count": np.zeros((), np.int32)}], "step": np.int32(7)}
    with ocp.StandardCheckpointer() as writer:
        writer.save(tmp_path / "whole", tree)
    (tmp_path / "steps").mkdir()
    (tmp_path / "whole").rename(tmp_path / "steps" / "default")
    for folder in (tmp_path / "steps" / "default", tmp_path / "steps"):
        found = read_weights(folder)
        assert {"step", "opt_state/0/count"} < found.keys()
        imported, match = import_variables(found, like)
        equal(flatten(imported), flatten(variables))
        assert len(match.matched) == len(flatten(variables))
    with pytest.raises(DataError, match="is no checkpoint of orbax"):
        read_weights(tmp_path)
    (tmp_path / "steps" / "default" / "_METADATA").write_text("{")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        read_weights(tmp_path / "steps")


def test_everything_that_does_not_fit_is_listed(keras_weights: Arrays, like: Any) -> None:
    variables, match = import_variables(keras_weights, like, load_ds_cnn)
    assert str(match) == "20 arrays with 199 values fit"
    own = flatten(variables)
    broken = {**own, "params/extra/kernel": np.zeros((2, 2)), "params/conv/kernel": np.zeros((5, 5, 2, 4))}
    for name in ("params/logits/bias", "batch_stats/conv_norm/mean"):
        del broken[name]
    with pytest.raises(InvalidArgumentError) as refused:
        import_variables(broken, like)
    for part in ("17 arrays with", "missing: batch_stats/conv_norm/mean [4], params/logits/bias [3]",
                 "not in the network: params/extra/kernel [2, 2]",
                 "of another shape: params/conv/kernel [5, 5, 2, 4], the network has [3, 3, 2, 4]"):
        assert part in str(refused.value)
    with pytest.raises(InvalidArgumentError, match="values that are no numbers; got .'params/conv/bias'"):
        import_variables({**own, "params/conv/bias": np.full(4, np.nan)}, like)
    with pytest.raises(InvalidArgumentError, match="other names than the network"):
        import_variables(keras_weights, like)


def test_every_array_that_keras_lacks_or_has_too_much_is_listed(keras_weights: Arrays) -> None:
    broken = {name: a for name, a in keras_weights.items() if name not in ("dense/bias", "depthwise_conv2d/depthwise_kernel")}
    broken["depthwise_conv2d/depthwise_kernel"] = keras_weights["depthwise_conv2d/depthwise_kernel"]
    del broken["conv2d_1/kernel"]
    with pytest.raises(InvalidArgumentError, match=r"no array 'conv2d_1/kernel', 'dense/bias'; .*does not: 'dense_1/kernel'"):
        load_ds_cnn({**broken, "dense_1/kernel": np.zeros((2, 2), np.float32)})


@pytest.mark.parametrize(("name", "content", "message"), [
    ("a.h5", b"no file of HDF5", r"a\.h5 cannot be read as a file of Keras"),
    ("a.keras", b"no archive", r"a\.keras cannot be read as a file of Keras"),
    ("a.npz", b"no archive", r"a\.npz cannot be read as \.npz"), ("a.pt", b"", r"not known how.*a\.pt.*\.keras, \.tflite"),
    ("none.h5", None, "no such file of weights"),
])
def test_a_file_that_is_something_else_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_weights(tmp_path / name)


def test_a_file_of_keras_that_is_not_understood(tmp_path: Path, keras_weights: Arrays) -> None:
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(DataError, match="has no layer with weights"):
        read_weights(tmp_path / "empty.h5")
    with h5py.File(tmp_path / "norm.weights.h5", "w") as file:
        for k in range(3):
            file.create_dataset(f"layers/batch_normalization/vars/{k}", data=np.ones(4))
    with pytest.raises(DataError, match="without scale or without offset"):
        read_weights(tmp_path / "norm.weights.h5")
