"""A concatenation in 8 bits: which arrays are made on its grid, and that the others are moved as exactly as 8 bits allow."""

import int8_oracle as oracle
import jax.numpy as jnp
import numpy as np
import pytest
from device_cases import ranges_of
from hypothesis import given
from hypothesis import strategies as st
from joined_bodies import OTHERS, QUICK

from reds_jax.deploy.int8.calibrate import Ranges, Scale
from reds_jax.deploy.int8.joined import Moves
from reds_jax.deploy.int8.quantize import QuantizedProgram, _moves, quantize
from reds_jax.deploy.int8.simulate import simulate_int8
from reds_jax.deploy.lowering.program import Operation, Program, Tensor

pytestmark = pytest.mark.usefixtures("as_users_write")

NAMES = [*(b.__name__ for b in QUICK), *(pytest.param(b.__name__, marks=pytest.mark.slow) for b in OTHERS)]


@pytest.fixture(scope="module")
def quantized(joined):
    return lambda name: quantize(joined(name).program, ranges_of(joined(name).program, joined(name).x))


@pytest.mark.parametrize("name", NAMES)
def test_every_operation_is_as_exact_as_8_bits_allow(joined, quantized, name: str) -> None:
    made = quantized(name)
    for k in range(3):
        values = oracle.run(made, k, made.input_scale.quantize(joined(name).x))
        assert max(oracle.steps_from_exact(made, k, values)) <= 0


@pytest.mark.parametrize("name", ["joined_again", *(pytest.param(b.__name__, marks=pytest.mark.slow) for b in (*QUICK, *OTHERS)
                                                 if b.__name__ != "joined_again")])
def test_the_simulation_is_the_formulas(joined, quantized, name: str) -> None:
    made = quantized(name)
    x = made.input_scale.quantize(joined(name).x)
    for found, expected in zip(simulate_int8(made, 1)(jnp.asarray(x)), oracle.run(made, 1, x), strict=True):
        np.testing.assert_array_equal(np.asarray(found), expected)


def steps(made: QuantizedProgram, k: int = 2) -> list[list[bool]]:
    """Of every concatenation, which arrays are copied as they are; what is copied lies on the grid of the whole."""
    found = []
    for op, step in zip(made.program.operations, made.steps[k], strict=True):
        if isinstance(step, Moves):
            found.append([move.multiplier == 0 for move in step.of])
            for t, copied in zip(op.inputs, found[-1], strict=True):
                assert copied == (op.activation == "linear" and made.scales[k][t] == made.scales[k][op.output])
    return found


def test_what_is_joined_alone_is_made_on_the_common_grid(quantized) -> None:
    assert steps(quantized("unet")) == [[False] * 3]  # ReLUs beside the image, which has negative values and its own grid
    assert steps(quantized("residual_of_joined"))[0][1]  # the first array is read elsewhere too
    (one, leaky), (before, last) = steps(quantized("joined_again"))
    assert leaky  # a linear array, or a leaky one, may have any zero
    assert not one  # a ReLU has its zero at the end of the grid, and the grid of the whole has negative values
    assert last
    assert not before


def program_of(activations: tuple[str, ...], joined: str = "linear") -> Program:
    """Layers of one channel that are joined."""
    count = len(activations)
    ones = (np.ones(1, np.float32),)
    layers = [Operation("dense", f"d{i}", (0,), i + 1, weights=np.ones((1, 1), np.float32), scale=ones, offset=ones,
                        activation=activation) for i, activation in enumerate(activations)]  # type: ignore[arg-type]
    concat = Operation("concat", "concat", tuple(range(1, count + 1)), count + 1, activation=joined)  # type: ignore[arg-type]
    tensors = (*(Tensor((1,)) for _ in range(count + 1)), Tensor((count,)))
    return Program(tensors, (*layers, concat), count + 1, (count,), input_shape=(1,))


@pytest.mark.parametrize(("activations", "joined", "high", "copied"), [
    (("relu", "relu"), "linear", (1, 3), [True, True]),
    (("relu", "relu6"), "linear", (1, 3), [True, True]),
    (("relu", "relu6"), "linear", (7, 3), [True, False]),  # a ReLU6 may not reach beyond 6
    (("relu", "linear"), "linear", (1, 3), [False, True]),
    (("linear", "leaky_relu"), "linear", (1, 3), [True, True]),
    (("linear", "linear"), "relu", (1, 3), [False, False]),  # the activation is computed on the way
])
def test_which_arrays_lie_on_the_grid_of_the_whole(activations, joined, high, copied) -> None:
    low = [[-1.0, *(0.0 if a in ("relu", "relu6") else -2.0 for a in activations), 0.0 if joined == "relu" else -2.0]]
    made = quantize(program_of(activations, joined), Ranges(np.array(low), np.array([[1.0, *high, max(high)]])))
    assert steps(made, 0) == [copied]


SCALES = st.builds(Scale.of_range, st.floats(-1e3, 0), st.floats(1e-3, 1e3))


@given(st.lists(SCALES, min_size=1, max_size=3), SCALES, st.sampled_from(["linear", "relu"]))
def test_moves_are_exact_to_half_a_step(inputs: list[Scale], whole: Scale, activation) -> None:
    """Whatever the grids, also one that is far finer or coarser than that of the whole."""
    op = Operation("concat", "concat", tuple(range(len(inputs))), len(inputs), activation=activation)
    grid, found = _moves(op, [*inputs, Scale(whole.scale, -128) if activation == "relu" else whole])
    stored = np.arange(-128, 128)
    for x, move in zip(inputs, found.of, strict=True):
        y = oracle._moved(stored, move, 0)
        exact = np.clip(x.scale * (stored - x.zero) / grid.scale + grid.zero, -128, 127)
        assert np.abs(y - exact).max() <= 0.5 + 128 * 2.0**-move.shift + 1e-6
