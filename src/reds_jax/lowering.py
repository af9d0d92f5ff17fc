"""Which form the operations of a running program take: one switch, read when a function is traced.

``"lax"`` is the primitives as the model has them: right for a GPU. ``"dot"`` computes convolutions and pools in the layout
[C, H, W, N] (channel first, batch last) with sums of shifted products and matrix products: on a CPU it is many times faster,
because XLA's CPU convolution is slow where it is grouped or in a loop, a prefix of the channels is contiguous, and SIMD runs
over the batch. ``"auto"`` takes ``"dot"`` on a CPU and ``"lax"`` elsewhere. The user's arrays keep their layout in every form.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

from reds_jax.errors import InvalidArgumentError

FORMS = ("auto", "dot", "lax")
_form: ContextVar[str] = ContextVar("reds_jax_lowering", default="auto")


@contextmanager
def lowering(form: str) -> Iterator[None]:
    """Trace the operations inside in the given form: ``"auto"``, ``"dot"`` or ``"lax"``.

    A function that was compiled before keeps the form that it was traced with.
    """
    if form not in FORMS:
        raise InvalidArgumentError("unknown lowering", got=form, allowed=", ".join(FORMS))
    token = _form.set(form)
    try:
        yield
    finally:
        _form.reset(token)


def uses_dot() -> bool:
    """Whether operations traced now take the ``"dot"`` form."""
    form = _form.get()
    return form == "dot" or (form == "auto" and jax.default_backend() == "cpu")
