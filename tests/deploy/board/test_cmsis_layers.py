"""The layers that stand beside the exported C: their formulas exactly, and the programs that run them.

CMSIS-NN itself is not here. A small library with the same interface, in loops over the definitions, takes its place: what calls
it, reads it and compares it is tested with it, also where it fails. REDS_CMSIS, the path of a checkout, runs the real one.
"""

import os
import sys
from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from pathlib import Path

import flax.linen as nn
import numpy as np
import pytest
from device_cases import case_of
from hypothesis import example, given
from hypothesis import strategies as st
from test_boards import each, needs

from reds_jax.deploy.board.boards import BOARDS
from reds_jax.deploy.board.cycles import Cycles
from reds_jax.deploy.board.device import Run, Subnetwork
from reds_jax.deploy.lowering.program import Window
from reds_jax.errors import InvalidArgumentError, RedsError

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
cmsis_nn, cmsis_layers, device_tables = map(import_module, ("cmsis_nn", "cmsis_layers", "device_tables"))
Factor, Layer = cmsis_layers.Factor, cmsis_layers.Layer
expected, net, requantize = cmsis_layers.expected, cmsis_layers.net, cmsis_layers.requantize

STAND_IN = Path(__file__).parent / "stand_in_cmsis"


class Everything(nn.Module):
    """Every kind of layer, windows that are no squares, strides, padding, a residual add."""

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.relu(nn.Conv(6, (3, 2), (2, 1), name="stem")(x))
        x = nn.max_pool(x, (2, 2), (1, 1))
        y = nn.Conv(6, (1, 3), feature_group_count=6, name="depthwise")(x)
        x = nn.relu(x + nn.Conv(6, (1, 1), name="pointwise")(y))
        x = nn.avg_pool(x, (3, 2), (2, 2), padding="SAME", count_include_pad=False)
        return nn.softmax(nn.Dense(5, name="logits")(x.reshape(len(x), -1)))


@pytest.fixture(scope="module")
def nets():
    case = case_of(Everything(), (9, 8, 2), (0.5, 1.0), n=1)
    return [net(case.program, k) for k in range(2)], case.program


def rounded(x: Fraction) -> int:
    """To the nearest, half away from zero."""
    return int(abs(x) + Fraction(1, 2)) * (1 if x >= 0 else -1)


@given(st.integers(-2**31, 2**31 - 1), st.integers(2**30, 2**31 - 1), st.integers(-31, 0))
@example(-2, 2**30, -1)  # ties: half up in the first rounding, away from zero in the second
@example(2, 2**30, -1)
@example(-1, 2**30, 0)
def test_requantisation_is_two_roundings(v, multiplier, shift):
    first = (Fraction(v * multiplier, 2**31) + Fraction(1, 2)).__floor__()  # half up
    found = requantize(np.array(v), np.array(multiplier), np.array(shift))
    assert found == rounded(first * Fraction(2) ** shift)
    assert abs(found - Fraction(v * multiplier, 2**31) * Fraction(2) ** shift) <= (1 + Fraction(2) ** shift) / 2


@given(st.floats(1e-8, 1e8))
def test_factors_are_near_to_31_bits(value):
    factor = Factor.of(value)
    assert 2**30 <= factor.multiplier < 2**31
    assert abs(Fraction(factor.multiplier, 2**31) * Fraction(2) ** factor.shift / Fraction(value) - 1) <= Fraction(1, 2**31)


def test_the_layers_are_those_of_the_program_at_its_widths(nets):
    (small, full), program = nets
    assert [layer.kind for layer in full.layers] == ["conv", "max_pool", "depthwise", "conv", "add", "avg_pool", "dense"]
    assert [layer.shapes[1][2] for layer in small.layers] == [3, 3, 3, 3, 3, 3, 5]
    for k, each_net in enumerate(nets[0]):
        macs = sum(np.prod(layer.shapes[1]) * layer.weights[0].size // (layer.shapes[1][2] if layer.kind == "depthwise" else 1)
                   for layer in each_net.layers if layer.weights is not None)
        assert macs == program.macs[k]


def test_the_formulas_are_loops_over_the_definitions(nets):
    """Real numbers, rounded once: never off by more than one; the outputs use the range."""
    values = {0: nets[0][1].x}
    for layer in nets[0][1].layers:
        given_values = [values[t] for t in layer.inputs]
        found = values[layer.output] = expected(layer, given_values)
        wanted = by_definition(layer, given_values)
        assert np.abs(found - wanted).max() <= 1, layer.name
        assert (found == wanted).mean() > 0.9, layer.name
        assert found.std() > 15, layer.name


def half_away(x: np.ndarray) -> np.ndarray:
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def by_definition(layer, values) -> np.ndarray:
    """In double precision, position by position."""
    def factor(k):
        f = layer.factors[k if len(layer.factors) > 1 else 0]
        return f.multiplier / 2**31 * 2.0**f.shift

    height, width, channels = layer.shapes[1]
    x = values[0].astype(float)
    if layer.kind == "add":
        terms = [factor(k) * (values[k].astype(float) - layer.zeros[k]) for k in range(2)]
        total = factor(2) * 2.0**20 * sum(terms)
        return np.clip(half_away(total) + layer.zeros[2], layer.low, 127)
    out = np.zeros(layer.shapes[1])
    for o in range(channels):
        if layer.kind == "dense":
            out[0, 0, o] = (layer.weights[o] * (x.ravel() - layer.zeros[0])).sum() + layer.bias[o]
            out[0, 0, o] = np.rint(factor(o) * out[0, 0, o])
            continue
        for y in range(height):
            for z in range(width):
                taken = {}
                for a in range(layer.window.kernel[0]):
                    for b in range(layer.window.kernel[1]):
                        i = y * layer.window.strides[0] - layer.window.before[0] + a
                        j = z * layer.window.strides[1] - layer.window.before[1] + b
                        if 0 <= i < x.shape[0] and 0 <= j < x.shape[1]:
                            taken[a, b] = x[i, j]
                if layer.kind == "max_pool":
                    out[y, z, o] = max(v[o] for v in taken.values())
                elif layer.kind == "avg_pool":
                    out[y, z, o] = sum(v[o] for v in taken.values()) / len(taken)
                elif layer.kind == "depthwise":
                    total = sum(layer.weights[0, a, b, o] * (v[o] - layer.zeros[0]) for (a, b), v in taken.items())
                    out[y, z, o] = np.rint(factor(o) * (total + layer.bias[o]))
                else:
                    total = sum((layer.weights[o, a, b] * (v - layer.zeros[0])).sum() for (a, b), v in taken.items())
                    out[y, z, o] = np.rint(factor(o) * (total + layer.bias[o]))
    if layer.kind in ("max_pool", "avg_pool"):
        return half_away(out)
    return np.clip(out + layer.zeros[-1], layer.low, 127)


def test_averages_round_half_away_from_zero():
    layer = Layer("mean", "avg_pool", (0,), 1, ((1, 2, 4), (1, 1, 4)), (0, 0), -128, Window((1, 2)))
    x = np.array([[[1, -1, 3, -128], [2, -2, 3, -127]]], np.int8)
    assert expected(layer, [x]).ravel().tolist() == [2, -2, 3, -128]


def test_an_operation_that_is_not_called_is_an_error(nets):
    program = nets[1]
    odd = replace(program, operations=tuple(replace(op, activation="leaky_relu") if op.name == "stem" else op
                                            for op in program.operations))
    with pytest.raises(InvalidArgumentError, match="conv 'stem', leaky_relu"):
        net(odd, 0)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return cmsis_nn.Library(STAND_IN, BOARDS["m4"], ("-O2",), tmp_path_factory.mktemp("library") / "m4")


@needs("m4")
def test_a_program_counts_and_checks_every_layer(nets, library, tmp_path):
    small, full = library.run(nets[0], tmp_path)
    assert len(small.layers) == len(full.layers) == 7
    assert all(0 < a < b for a, b in zip(small.layers[:6], full.layers[:6], strict=True))
    assert full.instructions == sum(full.layers)
    assert full.instructions < full.cycles.low < full.cycles.high
    assert small.cycles.high < full.cycles.high


@needs("m4")
@pytest.mark.parametrize(("define", "message"), [
    ("WRONG_CONV", "'stem' of subnetwork 0 is off by up to"), ("WRONG_ADD", "subnetwork 0 is off by up to"),
    ("FAILS", "the status of a layer is -1"), ("LARGE", "a layer wants a larger buffer"),
])
def test_a_library_that_is_wrong_is_an_error(nets, tmp_path, define, message):
    broken = cmsis_nn.Library(STAND_IN, BOARDS["m4"], ("-O2", f"-D{define}"), tmp_path / "library")
    with pytest.raises(RedsError, match=message):
        broken.run(nets[0], tmp_path / "run")


def test_what_a_program_printed_is_all_read(nets):
    lines = []
    for k, each_net in enumerate(nets[0]):
        values = {0: each_net.x}
        for i, layer in enumerate(each_net.layers):
            values[layer.output] = expected(layer, [values[t] for t in layer.inputs])
            lines += [f"layer {k} {i} {100 * k + i}", f"values {values[layer.output].tobytes().hex()}"]
    assert cmsis_nn.check(nets[0], "\n".join(lines)) == [list(range(7)), list(range(100, 107))]
    with pytest.raises(RedsError, match="'logits' of subnetwork 1 did not run"):
        cmsis_nn.check(nets[0], "\n".join(lines[:-2]))
    with pytest.raises(RedsError, match="off by up to"):
        cmsis_nn.check(nets[0], "\n".join([*lines[:-1], lines[-1][:-1] + ("0" if lines[-1][-1] == "8" else "8")]))
    dead = replace(nets[0][0].layers[0], factors=(Factor.of(2.0**-30),) * 3)
    with pytest.raises(RedsError, match="'stem' of subnetwork 0 are the same"):
        cmsis_nn.check([replace(nets[0][0], layers=(dead,))], f"layer 0 0 1\nvalues {'80' * int(np.prod(dead.shapes[1]))}")


def test_the_best_build_is_taken():
    found = [cmsis_nn.Found(("a",), (5, 5), Cycles(11, 40)), cmsis_nn.Found(("b",), (4, 5), Cycles(12, 30))]
    assert cmsis_nn.best(found) == (found[1], Cycles(11, 30))
    assert cmsis_nn.best([cmsis_nn.Found(("a",), (5,))])[1] is None


def test_a_folder_without_it_is_an_error(tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"no CMSIS-NN in the folder.*git clone"):
        cmsis_nn.Library(tmp_path, BOARDS["m4"], ("-O2",), tmp_path / "library")


def test_rows_are_compared_only_with_the_same_network():
    run = Run(BOARDS["m4"], (Subnetwork(100, 9, 9, 200, cycles=Cycles(300, 400)), Subnetwork(500, 9, 9, 900)), {})
    row = {"network": "n", "board": "m4", "macs": 100, "instructions": 250, "cycles": {"low": 330, "high": 380}}
    (first, second) = device_tables.compared({("n", "m4"): run}, [row])
    assert first[4:] == ["200", "300-400", "250", "330-380", "1.25", "1.10-0.95", "in part"]
    assert second[4:] == ["900", "-", "-", "-", "-", "-", "-"]
    for instructions, cycles, said in ((250, None, "yes"), (200, None, "no"), (190, None, "no"),
                                       (250, {"low": 310, "high": 410}, "yes"), (150, {"low": 200, "high": 210}, "no")):
        found = device_tables.compared({("n", "m4"): run}, [{**row, "instructions": instructions, "cycles": cycles}])
        assert found[0][-1] == said
    assert device_tables.compared({("n", "m3"): run}, [row])[0][-1] == "-"


@pytest.mark.skipif("REDS_CMSIS" not in os.environ, reason="REDS_CMSIS, the path of a checkout of CMSIS-NN, is not set")
@pytest.mark.parametrize("board", each(*BOARDS))
def test_the_real_library_computes_the_formulas(nets, tmp_path, board):
    for i, build in enumerate(cmsis_nn.builds(board)):
        real = cmsis_nn.Library(Path(os.environ["REDS_CMSIS"]), cmsis_nn.roomy(board), build, tmp_path / f"library_{i}")
        assert len(real.run(nets[0], tmp_path / f"run_{i}")) == 2
