"""Write a nested network as one .tflite file (LiteRT, formerly TensorFlow Lite): a signature a subnetwork, the weights once.

A kernel of LiteRT reads a whole constant, but the first rows of a matrix are a constant too: the file has every matrix once,
behind the tables, and the constants of the subnetworks are views of it, which start at the same byte and have each their own
length. A subnetwork of ``o`` outputs and ``i`` inputs multiplies ``o`` full rows with its input and zeros behind it. That is
exact, and the full network costs what it costs alone; the others cost ``o / O`` of it instead of ``o i / (O I)``, unless
``copies`` allows a small subnetwork a dense copy of its own. Two other ways read fewer weights and lose where it matters:
nested blocks whose products are added up slow down the full network (more and smaller operations), and constants that are
sliced at run time are not prepared beforehand, which slows down all the others.

The file is written by the published schema, with what the package ai-edge-litert ships; there is no converter in between.
Equal tables of the file are written once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from reds_jax.deploy import one_file
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.subnetworks import resolve
from reds_jax.deploy.phone.exported_file import ExportedFile
from reds_jax.deploy.phone.litert_file import File
from reds_jax.deploy.phone.litert_subnetwork import Subnetwork
from reds_jax.errors import InvalidArgumentError
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike
from reds_jax.network import NestedNetwork

MARK = b"reds_jax"  # description of the model
Dtype = Literal["float32", "int8"]


def export(
    model: Any, variables: Any, graph: ChannelGraph, nested: NestedNetwork | Sequence[WidthLike], path: str | Path,
    dtype: Dtype = "float32", *, copies: float = 0.0,
) -> ExportedFile:
    """Write a nested network as one .tflite file with the signatures ``subnetwork_0``, ``subnetwork_1``, ...

    Each has the input ``input`` [N, H, W, C] (or [N, C]) and the output ``output`` [N, outputs], both float32; of a model that
    ends in an argmax, the outputs that it is taken of. The batch N can be resized.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: its full variables, sorted by importance, or None where the model holds them; or one tree per subnetwork,
            where each has its own statistics or norms. With a `NestedNetwork` as ``nested`` they may be None: it has them.
        graph: from `reds_jax.trace`.
        nested: a `NestedNetwork`, or the widths of the subnetworks, ascending.
        path: the file, written whole or not at all; it replaces nothing but an older export.
        dtype: ``"float32"``, or ``"int8"``: weights of dense layers and convolutions in 8 bits with a scale per output,
            depthwise weights and activations in floats (dynamic range).
        copies: how much of a matrix, as a fraction of its entries, may be written again so that the smallest subnetworks have
            dense weights of their own: 1/16 is enough for one of a quarter of the channels, 0 writes every weight once. Of
            depthwise weights it is the root (1/4).

    Raises:
        MissingDependencyError: the package ai-edge-litert is not installed.
        TraceError: the model has an operation that the device does not run.
        InvalidArgumentError: an argument that is not allowed, or something else has that path.
    """
    if dtype not in get_args(Dtype):
        raise InvalidArgumentError("there is no such number format", got=dtype, allowed="'float32' or 'int8'")
    if not copies >= 0:
        raise InvalidArgumentError("copies is a fraction of the weights", got=copies, allowed="0 or more")
    one_file.check(Path(path), MARK)
    file = File(int8=dtype == "int8")
    pure, trees, widths = resolve(model, variables, graph, nested)
    program = lower(pure, trees, widths, np.zeros((1, *graph.input_shape), np.float32))
    subnetworks = [Subnetwork(file, program, k, graph.input_shape, copies) for k in range(program.subnetworks)]
    data = file.data()
    one_file.write(Path(path), data, MARK)
    return ExportedFile(Path(path), program, len(data), sum(s.weight_bytes for s in subnetworks),
                        sum(s.table_bytes for s in subnetworks), dtype)
