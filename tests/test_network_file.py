"""What a saved network knows: its inputs, its normalisation, its classes, its module; and edits of its files."""

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import reds_jax
from reds_jax import NestedNetwork
from reds_jax.data import Normalise
from reds_jax.errors import CheckpointError, InvalidArgumentError, RedsError, WidthError

SCALE = Normalise((0.4, 0.5), (0.2, 0.3))
X = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype(np.float32)


class Net(nn.Module):
    activation: str = "relu"
    strides: int = 1
    features: int = 4
    slope: float = 0.1

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(self.features, (3, 3), self.strides, name="conv")(x)
        x = nn.leaky_relu(x, self.slope) if self.activation == "leaky_relu" else getattr(nn, self.activation)(x)
        x = nn.Dropout(0.5)(nn.BatchNorm(not train, name="norm")(x), deterministic=not train)
        return nn.Dense(3, name="dense")(x.mean((1, 2)))


def made(model=None, **changes):
    model = Net() if model is None else model
    variables = model.init(jax.random.key(0), X)
    graph = reds_jax.trace(model, variables, X)
    widths = tuple(graph.widths(f) for f in (0.25, 0.5, 1.0))
    stats = tuple(jax.tree.map(lambda a, k=k: a + k, variables["batch_stats"]) for k in range(3))
    options = {"example": X, "normalise": SCALE, "class_names": ("a", "b", "c"), **changes}
    return NestedNetwork(model, variables["params"], stats, widths, tuple(map(graph.macs, widths)), **options)


NETWORK = made()


@pytest.fixture
def folder(tmp_path):
    NETWORK.save(tmp_path, notes={"seed": 0})
    return tmp_path


def test_what_a_network_knows_is_loaded_with_it(folder):
    again = NestedNetwork.load(folder, Net())
    assert (again.widths, again.macs, again.class_names, again.normalise) == (
        NETWORK.widths, NETWORK.macs, ("a", "b", "c"), SCALE)
    assert again.example == NETWORK.example == jax.ShapeDtypeStruct((1, 4, 4, 2), jnp.float32)
    assert again.graph.macs() == NETWORK.macs[-1]
    images = np.random.default_rng(1).integers(0, 256, (5, 4, 4, 2), np.uint8)
    np.testing.assert_array_equal(again.apply(1, again.read(images)), NETWORK.apply(1, SCALE(images)))
    assert jax.tree.all(jax.tree.map(np.array_equal, again.batch_stats, NETWORK.batch_stats))


@pytest.mark.parametrize("other", [Net("tanh"), Net(strides=2), Net("leaky_relu"), nn.Sequential([Net()])], ids=repr)
def test_another_module_with_the_same_parameters_is_found(folder, other):
    with pytest.raises((CheckpointError, InvalidArgumentError), match="computes something else|no array|does not cost"):
        NestedNetwork.load(folder, other)


def test_a_constant_of_the_module_belongs_to_it(tmp_path):
    made(Net("leaky_relu")).save(tmp_path)
    NestedNetwork.load(tmp_path, Net("leaky_relu"))
    with pytest.raises(CheckpointError, match="computes something else"):
        NestedNetwork.load(tmp_path, Net("leaky_relu", slope=0.2))
    with pytest.warns(UserWarning, match="computes something else"):
        assert NestedNetwork.load(tmp_path, Net("leaky_relu", slope=0.2), strict=False).macs == NETWORK.macs


def test_variables_of_another_architecture_are_named(folder):
    with pytest.raises(InvalidArgumentError, match=r"'batch_stats/norm/mean'.*got \(4,\); allowed: \(8,\)"):
        NestedNetwork.load(folder, Net(features=8))


def test_under_other_versions_another_program_is_a_warning(folder, monkeypatch):
    version = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1" if name == "flax" else version(name))
    NestedNetwork.load(folder, Net())  # nothing differs, whatever the version
    with pytest.warns(UserWarning, match="other versions: flax was .* and is 0.0.1"):
        NestedNetwork.load(folder, Net("tanh"))


def test_the_digest_is_the_same_in_every_process(tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_network_file as t; t.NETWORK.save(sys.argv[2])"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    NETWORK.save(tmp_path / "here")
    there, here = (json.loads((f / "model.json").read_text())["meta"]["module"] for f in (tmp_path, tmp_path / "here"))
    assert there == here


class Two(nn.Module):
    """Two inputs, one of them integers."""

    @nn.compact
    def __call__(self, image, table=None, train=False):
        parts = [nn.Dense(4)(image), nn.Embed(5, 4)(table).mean(1)]
        return nn.Dense(2)(nn.relu(parts[0] + parts[1]))


@pytest.mark.parametrize("form", ["tuple", "dict"])
def test_several_inputs(tmp_path, form):
    image, table = np.ones((3, 4), np.float32), np.zeros((3, 2), np.int32)
    x = (image, table) if form == "tuple" else {"image": image, "table": table}
    model = Two()
    variables = model.init(jax.random.key(0), image, table)
    graph = reds_jax.trace(model, variables, x)
    network = NestedNetwork(model, variables["params"], ({},), (graph.full_widths,), (graph.macs(),), x)
    network.save(tmp_path)
    again = NestedNetwork.load(tmp_path, model)
    assert again.example == network.example
    np.testing.assert_array_equal(again.apply(0, x), model.apply(variables, image, table))
    other = {"image": image[:, :3], "table": table} if form == "dict" else (image[:, :3], table)
    turned = {"image": image, "table": table} if form == "tuple" else (image, table)
    for wrong, words in ((other, r"the input '(image|0)' has another shape.*got \[3\]; allowed: \[4\]"),
                         (image, "another form"), (turned, "another form")):
        with pytest.raises(InvalidArgumentError, match=words):
            again.apply(0, wrong)


def test_inputs_of_another_kind_of_numbers():
    """Raw pixels would be read as floats from 0 to 255."""
    for wrong in (X.astype(np.uint8), X.astype(int), X > 0):
        with pytest.raises(InvalidArgumentError, match="another type than the network reads.*network.read"):
            NETWORK.apply(0, wrong)
    for promoted in (X.astype(np.float64), jnp.asarray(X)):
        np.testing.assert_array_equal(NETWORK.apply(0, promoted), NETWORK.apply(0, X))
    assert NETWORK.apply(0, X.astype(np.float16)).dtype == jnp.float32


def test_images_of_other_channels_are_not_broadcast_by_the_normalisation():
    with pytest.raises(InvalidArgumentError, match="another number of channels"):
        NETWORK.read(np.zeros((2, 4, 4, 1), np.uint8))


def halved(images):
    return images / np.float32(2)


def test_a_normalisation_that_a_file_cannot_hold_is_asked_for(tmp_path):
    replace(NETWORK, normalise=halved).save(tmp_path)
    with pytest.raises(CheckpointError, match="a function.*got 'halved'.*normalise=..."):
        NestedNetwork.load(tmp_path, Net())
    np.testing.assert_array_equal(NestedNetwork.load(tmp_path, Net(), normalise=halved).read(X), X / 2)


def test_a_network_without_an_example_cannot_be_saved(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"does not know its inputs.*example"):
        replace(NETWORK, example=None).save(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"macs": NETWORK.macs[::-1]}, InvalidArgumentError, "subnetwork 0 does not cost so many MACs"),
    ({"macs": (1, 2, "3")}, InvalidArgumentError, "not an integer"),
    ({"widths": NETWORK.widths[::-1]}, WidthError, "subnetwork 0 is not contained in subnetwork 1"),
    ({"widths": (0.25, 0.5, 1.0)}, WidthError, "has no Widths"),
    ({"widths": (NETWORK.widths[0], reds_jax.Widths.of({"conv": 9999}), NETWORK.widths[2])}, WidthError, "not contained"),
    ({"widths": (reds_jax.Widths.of({"conv": 9999}),) * 3}, WidthError, "9999"),
    ({"widths": (reds_jax.Widths.of({"other": 1}),) * 3}, WidthError, "other"),
    ({"batch_stats": NETWORK.batch_stats[:2]}, InvalidArgumentError, "for each subnetwork"),
    ({"batch_stats": (*NETWORK.batch_stats[:2], {})}, InvalidArgumentError, "no array 'batch_stats/norm/mean'"),
    ({"example": X[..., :1]}, InvalidArgumentError, "'params/conv/kernel'"),
])
def test_what_does_not_belong_together_is_no_network(change, error, message):
    with pytest.raises(error, match=message):
        replace(NETWORK, **change)


def edited(folder, change):
    path = folder / "model.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


@pytest.mark.parametrize("change", [
    lambda i: i.update(arrays="../x.npz"), lambda i: i.update(arrays="/etc/passwd"), lambda i: i.update(sha256="0" * 64),
    lambda i: i["meta"].update(macs=i["meta"]["macs"][::-1]), lambda i: i["meta"]["widths"][0]["groups"][0].insert(1, 9999),
    lambda i: i["meta"]["normalise"].update(mean=[0, 0]), lambda i: i["meta"].update(class_names=["c", "b", "a"]),
    lambda i: i["meta"]["example"].update(float32=[8, 8, 2]), lambda i: i["meta"]["notes"].update(seed=1),
    lambda i: i["tree"]["params"].update(conv=i["tree"]["params"]["dense"]), lambda i: i.pop("digest"),
    lambda i: i.update(digest=None), lambda i: i.update(more=1), lambda i: i["meta"].pop("module")])
def test_every_edit_of_the_description_is_found(folder, change):
    edited(folder, change)
    with pytest.raises(CheckpointError):
        NestedNetwork.load(folder, Net())


def test_the_layout_of_the_description_does_not_matter(folder):
    edited(folder, lambda info: None)
    assert NestedNetwork.load(folder, Net()).macs == NETWORK.macs


def as_before(folder, change=lambda info: None):
    """The files as they were written when nothing was under a digest but the arrays."""
    def old(info):
        del info["digest"]
        info["format"] = 1
        info["meta"] = {name: info["meta"][name] for name in ("architecture", "widths", "macs", "notes")}
        change(info)

    edited(folder, old)


def test_a_network_of_before_is_loaded_with_a_warning(folder):
    as_before(folder, lambda i: i["meta"]["notes"].update(normalise={"mean": [0.4, 0.5], "std": [0.2, 0.3]}))
    with pytest.warns(UserWarning, match="under no digest"):
        again = NestedNetwork.load(folder, Net())
    assert (again.macs, again.normalise, again.example) == (NETWORK.macs, SCALE, None)
    np.testing.assert_array_equal(again.apply(0, X), NETWORK.apply(0, X))


@pytest.mark.parametrize("change", [
    lambda i: i.update(arrays="../x.npz"), lambda i: i.update(arrays=3), lambda i: i["meta"].update(widths=None),
    lambda i: i["meta"]["widths"][0].update(groups=[["conv", "wide"]]), lambda i: i["meta"].pop("macs"),
    lambda i: i["meta"].update(macs=["1", 2, 3]), lambda i: i.update(meta=[]), lambda i: i["tree"].update(params=3),
    lambda i: i["tree"].pop("params"), lambda i: i["meta"]["widths"][0].update(groups=[["conv", 9999]])])
def test_what_can_be_said_of_an_edited_network_of_before(folder, change):
    as_before(folder, change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RedsError):
            NestedNetwork.load(folder, Net())


def bomb(kind):
    """The bytes of an .npz that says or unpacks more than it holds."""
    header = io.BytesIO()
    shape = (2**40,) if kind == "a header of terabytes" else (1000, 1000)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if kind == "compressed" else zipfile.ZIP_STORED) as archive:
        archive.writestr("params/conv/kernel.npy", header.getvalue() + b"\0" * (4_000_000 if kind == "compressed" else 64))
    return file.getvalue()


@pytest.mark.parametrize(("kind", "message"), [
    ("compressed", "it unpacks to 4,000,128 bytes, and"), ("a header of terabytes", "its header asks for")])
def test_sizes_are_checked_before_anything_is_unpacked(folder, monkeypatch, kind, message):
    (path,) = folder.glob("*.npz")
    path.write_bytes(bomb(kind))
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("it was unpacked"))
    with pytest.raises(CheckpointError, match=message):
        NestedNetwork.load(folder, Net())


def test_the_sizes_of_data_are_checked_as_well(tmp_path, monkeypatch):
    from reds_jax.data import npz
    from reds_jax.errors import DataError

    path = tmp_path / "a.npz"
    path.write_bytes(bomb("a header of terabytes"))
    with pytest.raises(DataError, match="its header asks for"):
        npz.read_npz(path)
    np.savez_compressed(path, x=np.zeros(10**6))
    assert npz.read_npz(path)["x"].shape == (10**6,)  # data may be compressed
    monkeypatch.setattr(npz, "_memory", lambda: 10**6)
    with pytest.raises(DataError, match="it unpacks to 8,000,128 bytes, and 1,000,000 are allowed"):
        npz.read_npz(path)
