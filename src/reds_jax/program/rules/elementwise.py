"""Elementwise operations: units unite position by position. Random bits and keys carry none."""

from __future__ import annotations

from collections.abc import Sequence

from reds_jax.program.flat import Operation
from reds_jax.program.units import Labels
from reds_jax.program.walk import AxesLabels, Rule, Walk, fixed

ELEMENTWISE = frozenset(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type cbrt ceil clamp "
    "clz conj convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt imag "
    "integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter not optimization_barrier or "
    "population_count pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic "
    "shift_right_logical sign sin sinh sqrt square stop_gradient sub tan tanh xor".split())
RANDOM = frozenset(
    "random_bits random_clone random_fold_in random_seed random_split random_unwrap random_wrap rng_bit_generator "
    "rng_uniform threefry2x32".split())


def elementwise(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    rank = len(operation.outputs[0].shape)
    result: list[Labels] = [None] * rank
    met = [x for x in operation.inputs if len(x.shape) == rank]
    constant = not all(state.is_active(x) or state.is_learned(x) for x in met)
    why = "meets a constant over its channels" if constant else "meets channels that stay"
    for x in met:
        if x.shape:
            result = [state.merge(a, b, operation, why) for a, b in zip(result, state.of(x), strict=True)]
    return [tuple(result)] * len(operation.outputs)


def random(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """Independent random values: any part of an axis is as good as another."""
    return [(None,) * len(v.shape) for v in operation.outputs]


def barrier(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    return [state.of(x) for x in operation.inputs]


def iota(state: Walk, operation: Operation) -> Sequence[AxesLabels]:
    """A constant that counts along one axis and is the same along the others."""
    shape, along = operation.outputs[0].shape, operation.params["dimension"]
    return [tuple(labels if i == along else None for i, labels in enumerate(fixed(shape)))]


RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, elementwise), **dict.fromkeys(RANDOM, random), "iota": iota,
    "optimization_barrier": barrier,
}
