"""Write a nested network as one ONNX file: the weights once, the subnetwork chosen at run time by an input.

The graph has the inputs ``input`` [N, H, W, C] (or [N, C], as in Python) and ``subnetwork`` (int64, a scalar), which selects
rows of small constant tables: how many channels every layer has. The weights are sliced to them and multiplied. ONNX fixes
the number of groups of a convolution in the file, so a depthwise convolution runs at full width on channels padded with zeros
and is cut afterwards. That is exact, smaller than one convolution a subnetwork behind an ``If``, and in onnxruntime faster at
nearly every width, because a constant kernel is prepared beforehand and a sliced one is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reds_jax.deploy import one_file
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.subnetworks import resolve
from reds_jax.deploy.phone.exported_file import ExportedFile
from reds_jax.deploy.phone.onnx_writer import Writer
from reds_jax.graph import ChannelGraph
from reds_jax.graph.channels import WidthLike
from reds_jax.network import NestedNetwork
from reds_jax.optional import needs

MARK = b"\x12\x08reds_jax"  # producer_name of the ONNX model


def export(
    model: Any, variables: Any, graph: ChannelGraph, nested: NestedNetwork | Sequence[WidthLike], path: str | Path,
) -> ExportedFile:
    """Write a nested network as one .onnx file.

    The output is ``output`` [N, outputs] float32; of a model that ends in an argmax, the outputs that it is taken of. With
    one subnetwork alone there is no input ``subnetwork``. The metadata of the file name the channel groups, their widths in
    every subnetwork, and its multiply-accumulates.

    Args:
        model: whatever `reds_jax.adapters.adapt` takes.
        variables: its full variables, sorted by importance, or None where the model holds them; or one tree per subnetwork,
            where each has its own statistics or norms. With a `NestedNetwork` as ``nested`` they may be None: it has them.
        graph: from `reds_jax.trace`.
        nested: a `NestedNetwork`, or the widths of the subnetworks, ascending.
        path: the file, written whole or not at all; it replaces nothing but an older export.

    Raises:
        MissingDependencyError: the package onnx is not installed.
        TraceError: the model has an operation that the device does not run.
        InvalidArgumentError: the subnetworks are not nested, or something else has that path.
    """
    onnx = _onnx()
    one_file.check(Path(path), MARK)
    pure, trees, widths = resolve(model, variables, graph, nested)
    program = lower(pure, trees, widths, np.zeros((1, *graph.input_shape), np.float32))
    writer = Writer(onnx, program, graph.input_shape)
    written = writer.model({"groups": [name for name, _ in widths[0].groups], "widths": [w.values_tuple() for w in widths],
                            "macs": program.macs})
    onnx.checker.check_model(written, full_check=True)
    data = written.SerializeToString()
    one_file.write(Path(path), data, MARK)
    return ExportedFile(Path(path), program, len(data), writer.weight_bytes, writer.table_bytes)


def _onnx() -> Any:
    with needs("onnx", "an ONNX file"):
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    return onnx
