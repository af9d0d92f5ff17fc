"""The schema of .tflite files, which those who read and who write them share."""

from __future__ import annotations

from typing import Any

from reds_jax.optional import needs


def schema() -> tuple[Any, Any]:
    """The modules of the schema, as the package ai-edge-litert ships it, and of flatbuffers.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    with needs("ai_edge_litert", "a .tflite file"):
        import flatbuffers
        from ai_edge_litert import schema_py_generated
    return schema_py_generated, flatbuffers
