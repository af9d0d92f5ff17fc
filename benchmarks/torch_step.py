"""The nested training step in PyTorch, the peer of `train_step.py`: sliced weights, channels last, one optimiser step.

The parameters are those of the JAX model, so both start from the same loss; the architectures are written out again. What
subnetworks share is computed once, by the widest, if asked for: in training batch norm is per channel, so all in front of the
first product that sums over another number of channels is a prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
import torch
import torch.nn.functional as F
from step_networks import USERS_EPSILON, ResidualNet, ViT

from reds_jax.models.cnn import CNN
from reds_jax.models.dnn import DNN
from reds_jax.models.ds_cnn import DSCNN
from reds_jax.models.layers import EPSILON, leaky_relu
from reds_jax.models.mobilenet import MobileNetV1
from reds_jax.models.resnet import ResNet
from reds_jax.widths import fraction_of

ACTIVATIONS = {nn.relu: partial(F.relu, inplace=True), leaky_relu: partial(F.leaky_relu, negative_slope=0.3, inplace=True)}
relu = ACTIVATIONS[nn.relu]


class Held(NamedTuple):
    """An activation [N, C, ...], and the widths that were summed over on the way: with equal ones the narrower is a prefix."""

    value: torch.Tensor
    sums: frozenset[tuple[str, int]] = frozenset()


Forward = Callable[["Net", Held, float], Held]


class Net:
    """Parameters by the names of the JAX model, kernels as torch wants them, and the layers on their prefixes.

    Args:
        params: of the JAX model.
        flattened: {dense layer behind a flatten: channels of what is flattened}; PyTorch flattens C, H, W, so its rows turn.
        device: where PyTorch holds them.
    """

    def __init__(self, params: dict[str, dict[str, Any]], flattened: dict[str, int], device: str = "cpu") -> None:
        self.flattened, self.p = flattened, {}
        self.known: dict[tuple[str, frozenset[tuple[str, int]]], torch.Tensor] | None = None  # results that are shared
        for layer, arrays in params.items():
            for name, value in arrays.items():
                t = torch.from_numpy(np.array(value))
                if layer in flattened and name == "kernel":
                    t = t.reshape(-1, flattened[layer], t.shape[1]).transpose(0, 1).reshape(t.shape)
                t = t.permute(3, 2, 0, 1) if t.ndim == 4 else t.T if t.ndim == 2 else t
                t = t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t.contiguous()
                self.p[f"{layer}/{name}"] = t.to(device).requires_grad_()

    def params(self) -> dict[str, dict[str, np.ndarray]]:
        """The parameters by layer and name, as they were given."""
        found: dict[str, dict[str, np.ndarray]] = {}
        for path, parameter in self.p.items():
            layer, name = path.rsplit("/", 1)
            t = parameter.detach().cpu()
            t = t.permute(2, 3, 1, 0) if t.ndim == 4 else t.T if t.ndim == 2 else t
            if layer in self.flattened and name == "kernel":
                t = t.reshape(self.flattened[layer], -1, t.shape[1]).transpose(0, 1).reshape(t.shape)
            found.setdefault(layer, {})[name] = t.contiguous().numpy().copy()
        return found

    def once(self, name: str, channels: int, sums: frozenset[tuple[str, int]], compute: Callable[[], torch.Tensor]) -> Held:
        """What ``compute`` returns, or the prefix of what a wider subnetwork computed there; -1 channels: all of it."""
        if self.known is None:
            return Held(compute(), sums)
        if (name, sums) not in self.known:
            self.known[name, sums] = compute()
        wide = self.known[name, sums]
        return Held(wide if channels in (-1, wide.shape[1]) else wide[:, :channels], sums)

    def conv(self, x: Held, name: str, f: float, stride: tuple[int, int] = (1, 1), *, same: bool = True) -> Held:
        kernel, bias = self.p[f"{name}/kernel"], self.p.get(f"{name}/bias")
        depthwise, given = name.startswith("depthwise"), x.value.shape[1]
        n = given if depthwise else fraction_of(f, kernel.shape[0])

        def compute() -> torch.Tensor:
            pads = [0, 0, 0, 0]
            if same:
                for i in (0, 1):
                    size, taps = x.value.shape[2 + i], kernel.shape[2 + i]
                    total = max((-(-size // stride[i]) - 1) * stride[i] + taps - size, 0)
                    pads[2 * (1 - i)], pads[2 * (1 - i) + 1] = total // 2, total - total // 2
            symmetric = (pads[2], pads[0]) if pads[0] == pads[1] and pads[2] == pads[3] else None
            return F.conv2d(x.value if symmetric else F.pad(x.value, pads), kernel[:n, : 1 if depthwise else given],
                            None if bias is None else bias[:n], stride, symmetric or 0, groups=n if depthwise else 1)

        return self.once(name, n, x.sums if depthwise else x.sums | {(name, given)}, compute)

    def norm(
        self, x: Held, name: str, activation: Callable[[torch.Tensor], torch.Tensor] | None = None, eps: float = EPSILON
    ) -> Held:
        n = x.value.shape[1]

        def compute() -> torch.Tensor:
            scale, bias = self.p[f"{name}/scale"][:n], self.p[f"{name}/bias"][:n]
            y = F.batch_norm(x.value, None, None, scale, bias, training=True, eps=eps)
            return y if activation is None else activation(y)

        return self.once(name, n, x.sums, compute)

    def dense(
        self, x: Held, name: str, f: float = 1.0, activation: Callable[[torch.Tensor], torch.Tensor] | None = None
    ) -> Held:
        kernel, given = self.p[f"{name}/kernel"], x.value.shape[1]
        n = fraction_of(f, kernel.shape[0])

        def compute() -> torch.Tensor:
            y = F.linear(x.value, kernel[:n, :given], self.p[f"{name}/bias"][:n])
            return y if activation is None else activation(y)

        return self.once(name, n, x.sums | {(name, given)}, compute)

    def add(self, x: Held, y: Held, name: str, activation: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Held:
        def compute() -> torch.Tensor:
            total = x.value + y.value
            return total if activation is None else activation(total)

        return self.once(name, x.value.shape[1], x.sums | y.sums, compute)


def dnn(net: Net, x: Held, f: float, *, layers: int) -> Held:
    x = Held(x.value.flatten(1))
    for i in range(layers):
        x = net.dense(x, f"dense_{i}", f, relu)
    return net.dense(x, "logits")


def cnn(net: Net, x: Held, f: float) -> Held:
    for i, stride in enumerate(((1, 1), (2, 1))):
        x = net.norm(net.conv(x, f"conv_{i}", f, stride, same=False), f"conv_{i}_norm", relu)
    x = net.dense(net.dense(Held(x.value.flatten(1), x.sums), "linear", f), "hidden", f)
    return net.dense(net.norm(x, "hidden_norm", relu), "logits")


def separable(
    net: Net, x: Held, f: float, *, first: tuple[int, int], strides: Sequence[tuple[int, int]], pool: tuple[int, int] | None,
    activation: Callable[[torch.Tensor], torch.Tensor],
) -> Held:
    """DS-CNN and MobileNetV1."""
    x = net.norm(net.conv(x, "conv", f, first), "conv_norm", activation)
    for i, stride in enumerate(strides):
        x = net.norm(net.conv(x, f"depthwise_{i}", f, stride), f"depthwise_{i}_norm", activation)
        x = net.norm(net.conv(x, f"pointwise_{i}", f), f"pointwise_{i}_norm", activation)
    pooled = x.value.mean((2, 3)) if pool is None else F.avg_pool2d(x.value, pool, 1).flatten(1)
    return net.dense(Held(pooled, x.sums), "logits")


def resnet(net: Net, x: Held, f: float, *, stages: int) -> Held:
    x = net.norm(net.conv(x, "conv", f), "conv_norm", relu)
    for i in range(stages):
        strides = (1, 1) if i == 0 else (2, 2)
        y = net.norm(net.conv(x, f"block_{i}_conv_0", f, strides), f"block_{i}_norm_0", relu)
        y = net.norm(net.conv(y, f"block_{i}_conv_1", f), f"block_{i}_norm_1")
        x = net.add(x if i == 0 else net.conv(x, f"block_{i}_shortcut", f, strides), y, f"add_{i}", relu)
    return net.dense(Held(x.value.mean((2, 3)), x.sums), "logits")


def users_resnet(net: Net, x: Held, f: float, *, stages: int) -> Held:
    norm = partial(net.norm, activation=relu, eps=USERS_EPSILON)
    x = net.conv(x, "Conv_0", f)
    for i in range(stages):
        strides = (1, 1) if i == 0 else (2, 2)
        y = norm(x, f"BatchNorm_{2 * i}")
        if i > 0:
            x = net.conv(y, f"shortcut_{i}", f, strides)
        y = net.conv(y, f"Conv_{2 * i + 1}", f, strides)
        y = net.conv(norm(y, f"BatchNorm_{2 * i + 1}"), f"Conv_{2 * i + 2}", f)
        x = net.add(x, y, f"add_{i}")
    x = norm(x, f"BatchNorm_{2 * stages}")
    return net.dense(Held(x.value.mean((2, 3)), x.sums), "Dense_0")


def vit(net: Net, x: Held, f: float, *, layers: int, heads: int) -> Held:
    """Heads and hidden units are cut; what flows past them is not."""
    parameters, size = net.p, net.p["norm/scale"].shape[0] // heads
    kept = heads if f == 1 else fraction_of(f, heads)

    def norm(t: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(t, t.shape[-1:], parameters[f"{name}/scale"], parameters[f"{name}/bias"], USERS_EPSILON)

    def part(t: torch.Tensor, name: str, out: int | None = None, given: int | None = None) -> torch.Tensor:
        return F.linear(t, parameters[f"{name}/kernel"][:out, :given], parameters[f"{name}/bias"][:out])

    def stem() -> torch.Tensor:
        kernel = parameters["patches/kernel"]
        patches = F.conv2d(x.value, kernel, parameters["patches/bias"], kernel.shape[-1]).flatten(2).transpose(1, 2)
        return patches + parameters["positions/value"]

    t = net.once("stem", -1, frozenset(), stem).value
    for i in range(layers):
        y = net.once("first norm", -1, frozenset(), lambda t=t: norm(t, "attention_0_norm")).value if i == 0 else norm(
            t, f"attention_{i}_norm")
        q, k, v = (part(y, f"attention_{i}/{name}", kept * size).unflatten(-1, (kept, size)).transpose(1, 2)
                   for name in ("query", "key", "value"))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        t = t + part(y, f"attention_{i}/out", given=kept * size)
        hidden = fraction_of(f, parameters[f"up_{i}/kernel"].shape[0])
        y = F.gelu(part(norm(t, f"up_{i}_norm"), f"up_{i}", hidden), approximate="tanh")
        t = t + part(y, f"down_{i}", given=hidden)
    return Held(part(norm(t, "norm").mean(1), "logits"))


def matrices(params: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The parameters of `ViT` by layer; heads and their sizes are one axis."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for layer, arrays in params.items():
        if layer == "positions":
            found[layer] = {"value": np.asarray(arrays)}
        elif "query" in arrays:
            for name, parts in arrays.items():
                kernel, bias = np.asarray(parts["kernel"]), np.asarray(parts["bias"])
                shape = (-1, kernel.shape[-1]) if name == "out" else (kernel.shape[0], -1)
                found[f"{layer}/{name}"] = {"kernel": kernel.reshape(shape), "bias": bias.reshape(-1)}
        else:
            found[layer] = arrays
    return found


def twin(module: nn.Module, params: dict[str, dict[str, Any]], device: str = "cpu") -> tuple[Net, Forward]:
    """The same network in PyTorch, with the same parameters."""
    flattened: dict[str, int] = {}
    match module:
        case DNN():
            forward = partial(dnn, layers=len(module.features))
        case CNN():
            forward, flattened = cnn, {"linear": module.convolutions[1]}
        case DSCNN():
            forward = partial(separable, first=module.strides, strides=module.depthwise_strides, pool=module.pool,
                              activation=ACTIVATIONS[module.activation])
            flattened = {} if module.pool is None else {"logits": module.features}
        case MobileNetV1():
            forward = partial(separable, first=(2, 2), strides=[(s, s) for _, s in module.blocks], pool=None,
                              activation=ACTIVATIONS[module.activation])
        case ResNet():
            forward = partial(resnet, stages=len(module.features))
        case ResidualNet():
            forward = partial(users_resnet, stages=len(module.features))
        case ViT():
            forward, params = partial(vit, layers=module.layers, heads=module.heads), matrices(params)
        case _:
            raise TypeError(f"there is no twin of {type(module).__name__}")
    return Net(params, flattened, device), forward


class Trainer:
    """Adam on the mean loss of the subnetworks.

    Args:
        module, params: the JAX model.
        fractions: uniform widths, the widest first.
        shared: compute what subnetworks share once.
        compiled: by ``torch.compile``.
        threads: of PyTorch.
        device: "cpu" or "cuda"; on the latter with what PyTorch's own guide to speed says: cuDNN looks for the fastest
            convolution, float32 products take TF32.
        dtype: "float32" or "bfloat16", the latter by autocast.
    """

    def __init__(
        self, module: nn.Module, params: dict[str, dict[str, Any]], fractions: Sequence[float], learning_rate: float, *,
        shared: bool = True, compiled: bool = False, threads: int, device: str = "cpu", dtype: str = "float32",
    ) -> None:
        torch.set_num_threads(threads)
        if device == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        self.autocast = partial(torch.autocast, device, torch.bfloat16, enabled=dtype == "bfloat16")
        self.net, self.forward = twin(module, params, device)
        self.fractions, self.shared = fractions, shared
        self.loss = torch.compile(self._loss, dynamic=False) if compiled else self._loss
        self.optimiser = torch.optim.Adam(list(self.net.p.values()), lr=learning_rate, fused=True)

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.net.known = {} if self.shared else None
        with self.autocast():
            losses = [F.cross_entropy(self.forward(self.net, Held(x), f).value, y) for f in self.fractions]
        self.net.known = None
        return torch.stack(losses).mean()

    def step(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """One update; the loss before it."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(x, y)
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def tensors(images: np.ndarray, labels: np.ndarray, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    """Images [N, H, W, C] and labels [N] as PyTorch wants them, channels last."""
    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).to(device)
    return x.contiguous(memory_format=torch.channels_last), torch.from_numpy(labels.astype(np.int64)).to(device)
