"""A program for a board that runs the layers of `cmsis_layers` with CMSIS-NN, counts each, and prints what came out.

    layer SUBNETWORK LAYER INSTRUCTIONS
    values HEXADECIMAL ...

The parts of CMSIS-NN are called as its documentation says: the buffers have the sizes that it asks for, the sums of the kernels
of a dense layer are made once, before anything is counted, and every status is looked at: the program ends at the first that is
not ARM_CMSIS_NN_SUCCESS.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cmsis_layers import LEFT_SHIFT, Layer, Net

from reds_jax.deploy.c.constants import array

_HEAD = """
#include "arm_nnfunctions.h"
#include "count.h"

static int8_t buffer[BUFFER] __attribute__((aligned(16)));
static cmsis_nn_context context = {buffer, BUFFER};
static arm_cmsis_nn_status status;

static void demand(int32_t bytes) {
    if (bytes < 0 || bytes > BUFFER) {
        reds_print("a layer wants a larger buffer\\n");
        reds_exit(3);
    }
}

static void finish(uint32_t net, uint32_t layer, uint32_t instructions, const int8_t *values, uint32_t count) {
    static const char digits[] = "0123456789abcdef";
    char text[65];
    if (status != ARM_CMSIS_NN_SUCCESS) {
        reds_print("the status of a layer is ");
        reds_print_signed(status);
        reds_print("\\n");
        reds_exit(2);
    }
    reds_print("layer ");
    reds_print_unsigned(net);
    reds_print(" ");
    reds_print_unsigned(layer);
    reds_print(" ");
    reds_print_unsigned(instructions);
    reds_print("\\nvalues");
    for (uint32_t i = 0; i < count;) {
        char *to = text;
        for (; i < count && to < text + 64; i++) {
            *to++ = digits[(uint8_t)values[i] >> 4];
            *to++ = digits[(uint8_t)values[i] & 15];
        }
        *to = 0;
        reds_print(" ");
        reds_print(text);
    }
    reds_print("\\n");
}
"""
_BUFFER = 96 << 10


def text(nets: Sequence[Net]) -> str:
    """The C of the program, for the subnetworks in turn."""
    tensors = sorted({t for net in nets for t in net.shapes})
    largest = {t: max(int(np.prod(net.shapes[t])) for net in nets) for t in tensors}
    parts = [f"#define BUFFER {_BUFFER}", _HEAD,
             *(f"static int8_t tensor_{t}[{n}] __attribute__((aligned(16)));" for t, n in largest.items())]
    calls = []
    for k, net in enumerate(nets):
        parts.append(array("int8_t", f"input_{k}", [str(v) for v in net.x.ravel()], per_line=32))
        calls.append(f"    for (uint32_t i = 0; i < {net.x.size}u; i++) tensor_0[i] = input_{k}[i];")
        for i, layer in enumerate(net.layers):
            parts.append(_layer(layer, f"{k}_{i}"))
            calls.append(f"    prepare_{k}_{i}();\n    finish({k}, {i}, reds_count(run_{k}_{i}, 0), tensor_{layer.output}, "
                         f"{int(np.prod(layer.shapes[1]))});")
    return "\n".join([*parts, "int main(void) {", *calls, "    return 0;", "}", ""])


def _layer(layer: Layer, at: str) -> str:
    """The constants of a layer, what precedes it, and its call."""
    x, y = (_dims(1, *shape) for shape in layer.shapes)
    into, out = f"tensor_{layer.inputs[0]}", f"tensor_{layer.output}"
    activation = f"{{{layer.low}, 127}}"
    declared, prepared = [f"static const cmsis_nn_dims x_{at} = {x}, y_{at} = {y};"], ""
    if layer.weights is not None and layer.bias is not None:
        declared += [
            array("int8_t", f"weights_{at}", [str(v) for v in layer.weights.ravel()], per_line=32).replace(
                "] =", "] __attribute__((aligned(4))) ="),
            array("int32_t", f"bias_{at}", [str(v) for v in layer.bias], per_line=12),
            f"static const cmsis_nn_dims bias_dims_{at} = {{1, 1, 1, {len(layer.bias)}}};"]
    window = layer.window
    if window is not None:
        strides, padding = (f"{{{across}, {down}}}" for down, across in (window.strides, window.before))  # {w, h}
    if layer.kind in ("conv", "depthwise"):
        assert window is not None
        depthwise = layer.kind == "depthwise"
        multiplier = "1, " if depthwise else ""
        kind, function = ("dw_conv", "depthwise_conv_wrapper") if depthwise else ("conv", "convolve_wrapper")
        kernel = _dims(1 if depthwise else layer.shapes[1][2], *window.kernel, layer.shapes[0][2])
        declared += [
            f"static int32_t multipliers_{at}[] = {{{', '.join(str(f.multiplier) for f in layer.factors)}}};",
            f"static int32_t shifts_{at}[] = {{{', '.join(str(f.shift) for f in layer.factors)}}};",
            f"static const cmsis_nn_per_channel_quant_params quant_{at} = {{multipliers_{at}, shifts_{at}}};",
            f"static const cmsis_nn_dims kernel_{at} = {kernel};",
            f"static const cmsis_nn_{kind}_params params_{at} = {{{-layer.zeros[0]}, {layer.zeros[-1]}, {multiplier}{strides}, "
            f"{padding}, {{1, 1}}, {activation}}};"]
        prepared = f"demand(arm_{function}_s8_get_buffer_size(&params_{at}, &x_{at}, &kernel_{at}, &y_{at}));"
        call = (f"arm_{function}_s8(&context, &params_{at}, &quant_{at}, &x_{at}, {into}, &kernel_{at}, weights_{at}, "
                f"&bias_dims_{at}, bias_{at}, &y_{at}, {out})")
    elif layer.kind == "dense":
        assert layer.weights is not None
        factor, (outputs, inputs) = layer.factors[0], layer.weights.shape
        declared += [
            f"static const cmsis_nn_per_tensor_quant_params quant_{at} = {{{factor.multiplier}, {factor.shift}}};",
            f"static const cmsis_nn_dims kernel_{at} = {{{inputs}, 1, 1, {outputs}}};",
            f"static const cmsis_nn_fc_params params_{at} = {{{-layer.zeros[0]}, 0, {layer.zeros[-1]}, {activation}}};"]
        prepared = (f"demand(arm_fully_connected_s8_get_buffer_size(&kernel_{at})); "
                    f"status = arm_vector_sum_s8((int32_t *)(void *)buffer, {inputs}, {outputs}, weights_{at}, "
                    f"{-layer.zeros[0]}, 0, bias_{at}); if (status != ARM_CMSIS_NN_SUCCESS) reds_exit(4);")
        call = (f"arm_fully_connected_s8(&context, &params_{at}, &quant_{at}, &x_{at}, {into}, &kernel_{at}, weights_{at}, "
                f"&bias_dims_{at}, bias_{at}, &y_{at}, {out})")
    elif layer.kind == "add":
        a, b, total = layer.factors
        call = (f"arm_elementwise_add_s8({into}, tensor_{layer.inputs[1]}, {-layer.zeros[0]}, {a.multiplier}, {a.shift}, "
                f"{-layer.zeros[1]}, {b.multiplier}, {b.shift}, {LEFT_SHIFT}, {out}, {layer.zeros[-1]}, {total.multiplier}, "
                f"{total.shift}, {layer.low}, 127, {int(np.prod(layer.shapes[1]))})")
    else:
        assert window is not None
        declared += [f"static const cmsis_nn_dims kernel_{at} = {_dims(1, *window.kernel, 1)};",
                     f"static const cmsis_nn_pool_params params_{at} = {{{strides}, {padding}, {activation}}};"]
        function = "avgpool" if layer.kind == "avg_pool" else "max_pool"
        if layer.kind == "avg_pool":
            prepared = f"demand(arm_avgpool_s8_get_buffer_size(y_{at}.w, x_{at}.c));"
        call = f"arm_{function}_s8(&context, &params_{at}, &x_{at}, {into}, &kernel_{at}, &y_{at}, {out})"
    return "\n".join([*declared, f"static void prepare_{at}(void) {{ {prepared} }}",
                      f"static void run_{at}(void *unused) {{ (void)unused; status = {call}; }}"])


def _dims(n: int, height: int, width: int, channels: int) -> str:
    return f"{{{n}, {height}, {width}, {channels}}}"
