"""The nested training step in PyTorch, the peer of `train_step.py`: sliced weights, eager, one optimiser step.

The parameters are those of the JAX model, so both start from the same loss; the architectures are written out again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from reds_jax.widths import fraction_of

Forward = Callable[["Net", torch.Tensor, float], torch.Tensor]


class Net:
    """Parameters by the names of the JAX model, kernels as torch wants them, and the layers on their prefixes."""

    def __init__(self, params: dict[str, dict[str, Any]], memory_format: torch.memory_format) -> None:
        self.p = {}
        for layer, arrays in params.items():
            for name, value in arrays.items():
                t = torch.from_numpy(np.array(value))
                t = t.permute(3, 2, 0, 1) if t.ndim == 4 else t.T if t.ndim == 2 else t
                t = t.contiguous(memory_format=memory_format) if t.ndim == 4 else t.contiguous()
                self.p[f"{layer}/{name}"] = t.requires_grad_()

    def conv(self, x: torch.Tensor, name: str, f: float, stride: tuple[int, int], same: bool = True) -> torch.Tensor:
        kernel, bias = self.p[f"{name}/kernel"], self.p.get(f"{name}/bias")
        depthwise = name.startswith("depthwise")
        n = x.shape[1] if depthwise else fraction_of(f, kernel.shape[0])
        pads = [0, 0, 0, 0]
        if same:
            for i in (0, 1):
                total = max((-(-x.shape[2 + i] // stride[i]) - 1) * stride[i] + kernel.shape[2 + i] - x.shape[2 + i], 0)
                pads[2 * (1 - i)], pads[2 * (1 - i) + 1] = total // 2, total - total // 2
        symmetric = (pads[2], pads[0]) if pads[0] == pads[1] and pads[2] == pads[3] else None
        return F.conv2d(x if symmetric else F.pad(x, pads), kernel[:n, : kernel.shape[1] if depthwise else x.shape[1]],
                        None if bias is None else bias[:n], stride, symmetric or 0, groups=n if depthwise else 1)

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        n = x.shape[1]
        return F.batch_norm(x, None, None, self.p[f"{name}/scale"][:n], self.p[f"{name}/bias"][:n], training=True, eps=1e-3)

    def dense(self, x: torch.Tensor, name: str, f: float = 1.0) -> torch.Tensor:
        kernel = self.p[f"{name}/kernel"]
        n = fraction_of(f, kernel.shape[0])
        return F.linear(x, kernel[:n, : x.shape[1]], self.p[f"{name}/bias"][:n])


def dnn(net: Net, x: torch.Tensor, f: float) -> torch.Tensor:
    x = x.flatten(1)
    for i in range(3):
        x = F.relu(net.dense(x, f"dense_{i}", f))
    return net.dense(x, "logits")


def cnn(net: Net, x: torch.Tensor, f: float) -> torch.Tensor:
    for i, stride in enumerate(((1, 1), (2, 1))):
        x = F.relu(net.norm(net.conv(x, f"conv_{i}", f, stride, same=False), f"conv_{i}_norm"))
    x = net.dense(net.dense(x.flatten(1), "linear", f), "hidden", f)
    return net.dense(F.relu(net.norm(x, "hidden_norm")), "logits")


def separable(strides: Sequence[int], activation: Callable[[torch.Tensor], torch.Tensor]) -> Forward:
    """DS-CNN and MobileNetV1: a convolution with stride 2 and blocks with the given strides."""

    def forward(net: Net, x: torch.Tensor, f: float) -> torch.Tensor:
        x = activation(net.norm(net.conv(x, "conv", f, (2, 2)), "conv_norm"))
        for i, stride in enumerate(strides):
            x = activation(net.norm(net.conv(x, f"depthwise_{i}", f, (stride, stride)), f"depthwise_{i}_norm"))
            x = activation(net.norm(net.conv(x, f"pointwise_{i}", f, (1, 1)), f"pointwise_{i}_norm"))
        return net.dense(x.mean((2, 3)), "logits")

    return forward


def make_steps(
    forward: Forward, params: dict[str, dict[str, Any]], images: np.ndarray, labels: np.ndarray, fractions: Sequence[float],
    learning_rate: float, channels_last: bool = True, threads: int = 2,
) -> Callable[[], float]:
    """A function that takes one Adam step for every batch in images [steps, N, H, W, C]; returns the first loss."""
    torch.set_num_threads(threads)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    net = Net(params, memory_format)
    optimiser = torch.optim.Adam(list(net.p.values()), lr=learning_rate)
    xs = [torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).contiguous(memory_format=memory_format) for x in images]
    ys = [torch.from_numpy(y.astype(np.int64)) for y in labels]

    def steps() -> float:
        first = None
        for x, y in zip(xs, ys, strict=True):
            optimiser.zero_grad(set_to_none=True)
            losses = [F.cross_entropy(forward(net, x, f), y) for f in fractions]
            loss = torch.stack(losses).mean()
            loss.backward()
            optimiser.step()
            first = float(loss.detach()) if first is None else first
        return first or 0.0

    return steps
