"""Which form the operations of a running program take: one switch, read when a function is traced.

``"lax"`` is the primitives as the model has them: right for a GPU. ``"dot"`` computes convolutions and pools in the layout
[C, H, W, N] (channel first, batch last) with sums of shifted products and matrix products: on a CPU it is many times faster,
because XLA's CPU convolution is slow where it is grouped or in a loop, a prefix of the channels is contiguous, and SIMD runs
over the batch. ``"fused"`` is ``"dot"`` with C++ kernels (`reds_jax.native`): one for each stretch between two products (batch
norm, activation, depthwise convolution), one for convolutions of more than one tap. ``"auto"`` takes ``"fused"`` on a CPU where
a C++ compiler built them or the wheel brings them, else ``"dot"``, and ``"lax"`` on other devices. The user's arrays keep their
layout in every form.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TypeVar

import jax

from reds_jax.compiled import compiled_state
from reds_jax.errors import InvalidArgumentError
from reds_jax.memory import memory_state
from reds_jax.native.build import built

T = TypeVar("T")
FORMS = ("auto", "fused", "dot", "lax")
_form: ContextVar[str] = ContextVar("reds_jax_lowering", default="auto")
_products: ContextVar[str] = ContextVar("reds_jax_products", default="float32")
_divided: ContextVar[bool] = ContextVar("reds_jax_divided", default=False)


@contextmanager
def lowering(form: str) -> Iterator[None]:
    """Trace the operations inside in the given form: ``"auto"``, ``"fused"``, ``"dot"`` or ``"lax"``.

    A function that was compiled before keeps the form that it was traced with.
    """
    if form not in FORMS:
        raise InvalidArgumentError("unknown lowering", got=form, allowed=", ".join(FORMS))
    if form == "fused" and not built().ready:
        raise InvalidArgumentError("the fused form is not there", got=built().text, allowed="'auto', 'dot', 'lax'",
                                   hint="Install a C++ compiler, or name one in CXX.")
    with _set(_form, form):
        yield


@contextmanager
def _set(variable: ContextVar[T], value: T) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def form() -> str:
    """The form of operations that are traced now."""
    asked = _form.get()
    if asked == "auto":
        asked = "lax" if jax.default_backend() != "cpu" else "fused" if built().ready else "dot"
    return "dot" if asked == "fused" and is_divided() else asked


def uses_dot() -> bool:
    """Whether operations traced now take the layout of the ``"dot"`` form."""
    return form() in ("dot", "fused")


PRODUCTS = ("float32", "bfloat16")


def products(dtype: str) -> AbstractContextManager[None]:
    """Trace the products inside with float32 operands rounded to ``"bfloat16"``, or as they are (``"float32"``).

    Products are ``dot_general`` and convolutions, but for depthwise ones, which multiply no matrices; those of the gradient are
    of the same type, and every result goes on in float32: parameters, their gradients, norms and losses stay in it.
    """
    return _set(_products, dtype)


def product_dtype() -> str:
    """The type that float32 operands of products traced now are rounded to."""
    return _products.get()


def divided() -> AbstractContextManager[None]:
    """Trace the operations inside for several devices that share the examples of a batch: as XLA can divide them.

    The ``"dot"`` form takes the place of the ``"fused"`` one, whose kernel XLA would run on the whole batch on every device,
    and keeps the axis of the batch apart from the positions.
    """
    return _set(_divided, True)


def is_divided() -> bool:
    """Whether operations traced now are for several devices."""
    return _divided.get()


def traced_as() -> tuple[str, str, bool]:
    """All that operations traced now depend on: what keeps compiled functions apart."""
    return form(), product_dtype(), is_divided()


@contextmanager
def readable() -> Iterator[None]:
    """Trace the operations inside as primitives of JAX, for what reads them: not in the fused form but in its twin."""
    with lowering("dot") if form() == "fused" else nullcontext():
        yield


def describe_backend(devices: int = 1) -> str:
    """One line: the device, the form that operations take on it, how the kernels came about or why they are not there, and
    whether memory and compiled programs are kept.

    Args:
        devices: that train together (`reds_jax.training.fit`); several do without the kernels (``reds_jax.lowering.divided``).
    """
    used = f"{jax.device_count()} device(s)" if devices == 1 else f"{devices} of {jax.device_count()} devices train together"
    with divided() if devices > 1 else nullcontext():
        training = form()
    alone = f" ({form()!r} on one device)" if form() != training else ""
    return (f"{jax.default_backend()}, {used}; form {training!r}{alone}; kernels: {built().text}; memory: {memory_state()}; "
            f"compiled programs: {compiled_state()}")
