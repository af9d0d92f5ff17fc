"""The experiment on CIFAR-10: its networks, its presets, and what ``--pretrained`` makes of a file."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reds_jax.errors import InvalidArgumentError
from reds_jax.experiments import runner
from reds_jax.experiments.cifar10 import TASK, import_resnet8
from reds_jax.experiments.task_run import import_network
from reds_jax.models import build, load_mlperf_resnet8
from reds_jax.training.arrays import flatten


def keras_resnet8() -> dict[str, np.ndarray]:
    """Random weights of ResNet-8 under the names of Keras, prefixed as in a file with several networks."""
    rng = np.random.default_rng(0)
    convolutions = [(3, 3, 16), *[(3, 16, 16)] * 2, (3, 16, 32), (3, 32, 32), (1, 16, 32), (3, 32, 64), (3, 64, 64),
                    (1, 32, 64)]
    widths = [16, 16, 16, 32, 32, 64, 64]
    shapes: dict[str, tuple[int, ...]] = {"dense/kernel": (64, 10), "dense/bias": (10,)}
    for k, (size, inputs, outputs) in enumerate(convolutions):
        name = f"conv2d_{k}" if k else "conv2d"
        shapes |= {f"{name}/kernel": (size, size, inputs, outputs), f"{name}/bias": (outputs,)}
    for k, width in enumerate(widths):
        name = f"batch_normalization_{k}" if k else "batch_normalization"
        shapes |= {f"{name}/{a}": (width,) for a in ("gamma", "beta", "moving_mean", "moving_variance")}
    return {f"net/{name}:0": rng.uniform(0.05, 0.2, shape).astype(np.float32) for name, shape in shapes.items()}


def test_every_preset_of_a_network_has_a_folder_of_its_own() -> None:
    assert TASK.network("vision_ds_cnn_s").arguments["pool"] == (16, 5)
    outputs = {runner.parse(TASK, ["--network", network, "--preset", preset]).output
               for network in TASK.networks for preset in TASK.presets}
    assert len(outputs) == 6


def test_a_pretrained_file_is_matched_with_the_network(tmp_path: Path) -> None:
    """Pixels / 255 through the imported network are pixels through the original; what does not fit is listed at once."""
    weights, chosen = keras_resnet8(), TASK.network("resnet8")
    np.savez(tmp_path / "w.npz", **weights)
    model = build(chosen.architecture, chosen.arguments)
    x = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3)).astype(np.float32)
    variables, how = import_network(model, x, chosen, tmp_path / "w.npz", "net/")
    assert how.startswith("net/* of w.npz: ")
    assert how.endswith("arrays with 78,666 values fit")
    plain = {name.removeprefix("net/"): array for name, array in weights.items()}
    jax.tree.map(np.testing.assert_array_equal, variables, import_resnet8(plain))
    expected = model.apply(load_mlperf_resnet8(plain), jnp.asarray(x))
    np.testing.assert_allclose(model.apply(variables, jnp.asarray(x / 255)), expected, rtol=1e-3)
    np.savez(tmp_path / "own.npz", **flatten(variables))
    again, _ = import_network(model, x, chosen, tmp_path / "own.npz", "")
    jax.tree.map(np.testing.assert_array_equal, again, variables)
    with pytest.raises(InvalidArgumentError, match="the weights have no array 'conv2d/kernel'"):
        import_network(model, x, chosen, tmp_path / "w.npz", "net/batch_norm")
    with pytest.raises(InvalidArgumentError, match=r"do not fit.*another shape: .*params/logits/kernel \[64, 10\].* \[64, 7\]"):
        import_network(build("resnet8", {"classes": 7}), x, chosen, tmp_path / "w.npz", "net/")
