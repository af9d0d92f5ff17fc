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
    write = {"conv": _convolution, "depthwise": _convolution, "dense": _dense, "add": _add}.get(layer.kind, _pool)
    constants, before, call = write(layer, at)
    x, y = (_dims(1, *shape) for shape in layer.shapes)
    declared = [f"static const cmsis_nn_dims x_{at} = {x}, y_{at} = {y};"]
    if layer.weights is not None and layer.bias is not None:
        declared += [array("int8_t", f"weights_{at}", [str(v) for v in layer.weights.ravel()], per_line=32),
                     array("int32_t", f"bias_{at}", [str(v) for v in layer.bias], per_line=12),
                     f"static const cmsis_nn_dims bias_dims_{at} = {_dims(1, 1, 1, len(layer.bias))};"]
    return "\n".join([*declared, *constants, f"static void prepare_{at}(void) {{ {before} }}",
                      f"static void run_{at}(void *unused) {{ (void)unused; status = {call}; }}"])


Written = tuple[list[str], str, str]  # constants, what precedes the layer, its call


def _convolution(layer: Layer, at: str) -> Written:
    depthwise = layer.kind == "depthwise"
    kind, function = ("dw_conv", "depthwise_conv_wrapper") if depthwise else ("conv", "convolve_wrapper")
    assert layer.window is not None
    kernel = _dims(1 if depthwise else layer.shapes[1][2], *layer.window.kernel, layer.shapes[0][2])
    constants = [
        f"static int32_t multipliers_{at}[] = {{{', '.join(str(f.multiplier) for f in layer.factors)}}};",
        f"static int32_t shifts_{at}[] = {{{', '.join(str(f.shift) for f in layer.factors)}}};",
        f"static const cmsis_nn_per_channel_quant_params quant_{at} = {{multipliers_{at}, shifts_{at}}};",
        f"static const cmsis_nn_dims kernel_{at} = {kernel};",
        f"static const cmsis_nn_{kind}_params params_{at} = {{{-layer.zeros[0]}, {layer.zeros[-1]}, {'1, ' * depthwise}"
        f"{_steps(layer)}, {{1, 1}}, {_range(layer)}}};"]
    before = f"demand(arm_{function}_s8_get_buffer_size(&params_{at}, &x_{at}, &kernel_{at}, &y_{at}));"
    return constants, before, _weighted(f"arm_{function}_s8", layer, at)


def _dense(layer: Layer, at: str) -> Written:
    assert layer.weights is not None
    factor, (outputs, inputs), zero = layer.factors[0], layer.weights.shape, -layer.zeros[0]
    constants = [
        f"static const cmsis_nn_per_tensor_quant_params quant_{at} = {{{factor.multiplier}, {factor.shift}}};",
        f"static const cmsis_nn_dims kernel_{at} = {_dims(inputs, 1, 1, outputs)};",
        f"static const cmsis_nn_fc_params params_{at} = {{{zero}, 0, {layer.zeros[-1]}, {_range(layer)}}};"]
    before = (f"demand(arm_fully_connected_s8_get_buffer_size(&kernel_{at})); demand({4 * outputs}); "
              f"if (arm_vector_sum_s8((int32_t *)(void *)buffer, {inputs}, {outputs}, weights_{at}, {zero}, 0, bias_{at}) "
              "!= ARM_CMSIS_NN_SUCCESS) reds_exit(4);")
    return constants, before, _weighted("arm_fully_connected_s8", layer, at)


def _add(layer: Layer, at: str) -> Written:
    a, b, total = layer.factors
    return [], "", (
        f"arm_elementwise_add_s8(tensor_{layer.inputs[0]}, tensor_{layer.inputs[1]}, "
        f"{-layer.zeros[0]}, {a.multiplier}, {a.shift}, {-layer.zeros[1]}, {b.multiplier}, {b.shift}, {LEFT_SHIFT}, "
        f"tensor_{layer.output}, {layer.zeros[-1]}, "
        f"{total.multiplier}, {total.shift}, {layer.low}, 127, {int(np.prod(layer.shapes[1]))})")


def _pool(layer: Layer, at: str) -> Written:
    assert layer.window is not None
    constants = [f"static const cmsis_nn_dims kernel_{at} = {_dims(1, *layer.window.kernel, 1)};",
                 f"static const cmsis_nn_pool_params params_{at} = {{{_steps(layer)}, {_range(layer)}}};"]
    average = layer.kind == "avg_pool"
    before = f"demand(arm_avgpool_s8_get_buffer_size(y_{at}.w, x_{at}.c));" if average else ""
    return constants, before, (f"arm_{'avgpool' if average else 'max_pool'}_s8(&context, &params_{at}, &x_{at}, "
                               f"tensor_{layer.inputs[0]}, &kernel_{at}, &y_{at}, tensor_{layer.output})")


def _weighted(function: str, layer: Layer, at: str) -> str:
    return (f"{function}(&context, &params_{at}, &quant_{at}, &x_{at}, tensor_{layer.inputs[0]}, &kernel_{at}, weights_{at}, "
            f"&bias_dims_{at}, bias_{at}, &y_{at}, tensor_{layer.output})")


def _steps(layer: Layer) -> str:
    """Strides and padding; CMSIS-NN has the width first."""
    assert layer.window is not None
    return ", ".join(f"{{{across}, {down}}}" for down, across in (layer.window.strides, layer.window.before))


def _range(layer: Layer) -> str:
    return f"{{{layer.low}, 127}}"


def _dims(n: int, height: int, width: int, channels: int) -> str:
    return f"{{{n}, {height}, {width}, {channels}}}"
