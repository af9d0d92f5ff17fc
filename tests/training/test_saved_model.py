import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.errors import CheckpointError, InvalidArgumentError
from reds_jax.training import load_model, save_model

TREE = {
    "params": {"stem": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(3)}},
    "batch_stats": ({"norm": {"mean": np.array([np.pi, -0.0, np.nan])}}, {}),
}


def same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())


def test_what_is_saved_is_loaded_bit_for_bit(tmp_path):
    save_model(tmp_path / "a" / "b", TREE, {"widths": [1, 2], "name": "x"})
    tree, meta = load_model(tmp_path / "a" / "b")
    same(tree, TREE)
    assert meta == {"widths": [1, 2], "name": "x"}
    assert sorted(p.suffix for p in (tmp_path / "a" / "b").iterdir()) == [".json", ".npz"]


def test_device_arrays_are_saved(tmp_path):
    save_model(tmp_path, {"w": jnp.ones(3)}, {})
    np.testing.assert_array_equal(load_model(tmp_path)[0]["w"], np.ones(3))


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_write_that_fails_leaves_the_old_model(tmp_path, monkeypatch, fails_at):
    save_model(tmp_path, TREE, {"version": 1})
    calls, replace = [], os.replace

    def failing(source, target):
        calls.append(target)
        if len(calls) > fails_at:
            raise OSError("no space left")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no space"):
        save_model(tmp_path, {"w": np.zeros(2)}, {"version": 2})
    monkeypatch.undo()
    tree, meta = load_model(tmp_path)
    same(tree, TREE)
    assert meta == {"version": 1}
    save_model(tmp_path, {"w": np.zeros(2)}, {"version": 2})
    assert load_model(tmp_path)[1] == {"version": 2}
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("harm", ["missing", "truncated", "flipped", "garbage", "others", "json", "format", "no arrays"])
def test_damage_is_found(tmp_path, harm):
    save_model(tmp_path, TREE, {})
    (arrays,) = tmp_path.glob("*.npz")
    info, data = tmp_path / "model.json", bytearray(arrays.read_bytes())
    if harm == "missing":
        info.unlink()
    elif harm == "no arrays":
        arrays.unlink()
    elif harm == "truncated":
        arrays.write_bytes(data[: len(data) // 2])
    elif harm == "others":  # a whole file, but of another model
        np.savez(arrays, **{"params/stem/kernel": np.zeros(3)})
    elif harm == "garbage":
        arrays.write_bytes(b"not a zip file")
    elif harm == "flipped":
        data[data.index(TREE["params"]["stem"]["kernel"].tobytes()) + 5] ^= 1
        arrays.write_bytes(data)
    elif harm == "json":
        info.write_text(info.read_text()[:-20])
    else:
        info.write_text(json.dumps({**json.loads(info.read_text()), "format": 99}))
    with pytest.raises(CheckpointError):
        load_model(tmp_path)


@pytest.mark.parametrize(("tree", "meta", "message"), [
    ({"a/b": np.zeros(1)}, {}, "a name cannot be saved"),
    ({1: np.zeros(1)}, {}, "a name cannot be saved"),
    ({"a": jnp.zeros(1, jnp.bfloat16)}, {}, "cannot be saved"),
    ({"a": np.array([{}], object)}, {}, "cannot be saved"),
    ({"a": np.zeros(1)}, {"f": print}, "not JSON"),
    ({"a": np.zeros(1)}, {"f": float("nan")}, "not JSON"),
])
def test_what_cannot_be_saved_is_named(tmp_path, tree, meta, message):
    with pytest.raises(InvalidArgumentError, match=message):
        save_model(tmp_path, tree, meta)
    assert not list(tmp_path.iterdir())
