"""Types of arrays for annotations: jaxtyping's where it is installed, and without it stand-ins that say nothing.

Only annotations read them, so nothing needs jaxtyping to run. The names that belong to jax (``Array``, ``ArrayLike``,
``PyTree``, ``PRNGKeyArray``, ``Scalar``) are looked up when they are first asked for: NumPy code is annotated without jax.

    from reds_jax.array_types import Array, Float

    def loss(logits: Float[Array, "batch classes"]) -> Float[Array, ""]: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Array as Array
    from jaxtyping import ArrayLike as ArrayLike
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Float32 as Float32
    from jaxtyping import Float64 as Float64
    from jaxtyping import Inexact as Inexact
    from jaxtyping import Int as Int
    from jaxtyping import Int8 as Int8
    from jaxtyping import Int32 as Int32
    from jaxtyping import Int64 as Int64
    from jaxtyping import Integer as Integer
    from jaxtyping import Key as Key
    from jaxtyping import Num as Num
    from jaxtyping import PRNGKeyArray as PRNGKeyArray
    from jaxtyping import PyTree as PyTree
    from jaxtyping import Real as Real
    from jaxtyping import Scalar as Scalar
    from jaxtyping import Shaped as Shaped
    from jaxtyping import UInt as UInt
    from jaxtyping import UInt8 as UInt8
    from jaxtyping import UInt32 as UInt32
else:
    try:
        import jaxtyping
    except ModuleNotFoundError:
        jaxtyping = None

    class ArrayOf:
        """Stands for a dtype of jaxtyping: ``Float[Array, "n"]`` is ``Array``."""

        def __class_getitem__(cls, item):
            return item[0]

    class AnyTree:
        """Stands for jaxtyping's ``PyTree``, bare or of something."""

        def __class_getitem__(cls, item):
            return cls

    def __getattr__(name):
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(jaxtyping, name) if jaxtyping is not None else _stand_in(name)
        globals()[name] = value
        return value

    def _stand_in(name):
        if name == "PyTree":
            return AnyTree
        if name not in _OF_JAX:
            return ArrayOf
        from jax import Array
        from jax.typing import ArrayLike

        return ArrayLike if name == "ArrayLike" else Array

    _OF_JAX = ("Array", "ArrayLike", "PRNGKeyArray", "Scalar")
    _NAMES = {*_OF_JAX, "PyTree", "Bool", "Float", "Float32", "Float64", "Inexact", "Int", "Int8", "Int32", "Int64", "Integer",
              "Key", "Num", "Real", "Shaped", "UInt", "UInt8", "UInt32"}  # fmt: skip
