"""What joins, pads, groups, shuffles or dilates computes on the device what `reds_jax.run` does, at every width and row."""

from dataclasses import replace
from inspect import getsourcelines
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from bodies import Body
from device_cases import Case, assert_same_function, case_of
from joined_bodies import EVERY, OTHERS, QUICK

from reds_jax.deploy.lowering import ranges
from reds_jax.deploy.lowering.grouped import kept_groups
from reds_jax.deploy.lowering.lower import lower
from reds_jax.deploy.lowering.program import Range, Tensor
from reds_jax.deploy.lowering.row import at_row
from reds_jax.errors import TraceError
from reds_jax.graph.channels import Size

pytestmark = pytest.mark.usefixtures("as_users_write")

NAMES = [*(b.__name__ for b in QUICK), *(pytest.param(b.__name__, marks=pytest.mark.slow) for b in OTHERS)]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_function_at_every_width(joined, name: str) -> None:
    assert_same_function(joined(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("multiplied_image", "grouped_of_joined")])
def test_any_row(joined, name: str) -> None:
    """With the variables of the subnetwork that contains the row, against `reds_jax.run` there."""
    case, rng = joined(name), np.random.default_rng(0)
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    for _ in range(2):
        row = tuple(int(rng.integers(1, g.size + 1)) for g in case.graph.groups)
        alone = replace(case, trees=case.trees[2:], widths=[case.graph.widths(row)],
                        program=at_row(program, 2, row, case.graph.macs(row)))
        assert_same_function(alone, whole=False)
        lowered = lower(case.model, alone.trees, alone.widths, case.x)
        assert [t.channels for t in alone.program.tensors] == [t.channels for t in lowered.tensors]


def tensor(case: Case, kind: str):
    """The array that the last operation of a kind makes."""
    return case.program.tensors[[op.output for op in case.program.operations if op.kind == kind][-1]]


def test_a_joined_array_has_a_range_of_each(joined) -> None:
    found = tensor(joined("unet"), "concat")
    assert found.channels == (6, 9, 13)
    assert found.ranges == (Range(0, (1, 2, 4)), Range(4, (2, 4, 6)), Range(10, (3, 3, 3)))
    np.testing.assert_array_equal(found.kept(1), [0, 1, 4, 5, 6, 7, 10, 11, 12])


def test_what_stays_in_front_is_no_range_of_its_own() -> None:
    """An image in front of features: what is kept of both is a prefix."""
    for name, several in (("image_and_features", False), ("image_behind_features", True)):
        assert bool(tensor(case_of(Body(EVERY[name]), (7, 5, 3), (0.3, 1.0)), "concat").ranges) is several


def test_what_is_stored_is_the_largest_subnetwork() -> None:
    case = case_of(Body(EVERY["residual_of_joined"]), (7, 5, 3), (0.3, 0.8))
    assert_same_function(case)
    both = next(op for op in case.program.operations if op.name == "both")
    kernel = case.trees[0]["params"]["both"]["kernel"]
    kept = [0, 1, 2, 4, 5, 6, 7]  # 3 of 4 channels and 4 of 5
    assert case.program.tensors[both.output].kept(1).tolist() == [0, 1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(both.weights, kernel[:, :, kept][..., kept].transpose(3, 2, 0, 1).reshape(7, -1))


def test_a_border_of_zeros_belongs_to_the_window_behind_it(joined) -> None:
    kinds = {name: [op.kind for op in joined(name).program.operations] for name in ("temporal", "padded",
                                                                                    "padded_wider_than_the_window")}
    assert "pad" not in kinds["temporal"]
    assert kinds["padded"].count("pad") == 2  # before the pool, and at the end
    assert kinds["padded_wider_than_the_window"].count("pad") == 1
    window = next(op.window for op in joined("temporal").program.operations if op.name == "layer_2")
    assert (window.before, window.after, window.dilation, window.reach) == ((8, 0), (0, 0), (4, 1), (9, 1))


def test_sizes_of_joined_arrays_at_any_row(joined) -> None:
    case = joined("joined_vectors")
    program = lower(case.model, case.trees, case.widths, case.x, every_row=True)
    found = program.tensors[next(op.output for op in program.operations if op.kind == "concat")]
    assert found.size == Size(0, ((0, 9),))  # the mean, and two maps of 2 x 2 positions
    assert [part.size for part in found.ranges] == [Size(0, ((0, 1),)), Size(0, ((0, 4),)), Size(0, ((0, 4),))]


# -- refused -------------------------------------------------------------------------------------------------------------


def pads_with_one(net, x):
    return nn.Conv(4, (3, 3))(jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)), constant_values=1))


def pads_channels(net, x):
    return nn.Conv(4, (3, 3))(jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, 2))))


def crops(net, x):
    return nn.Conv(4, (3, 3))(jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))[:, 1:])


def joins_positions(net, x):
    return nn.Conv(4, (3, 3))(jnp.concatenate([x, x], 1))


def joins_a_constant(net, x):
    return nn.Conv(4, (3, 3))(jnp.concatenate([x, jnp.ones((*x.shape[:3], 2))], -1))


def joins_a_turned_image(net, x):
    return nn.Conv(4, (1, 1))(jnp.concatenate([x, x.swapaxes(1, 2).reshape(x.shape)], -1))


def joins_many(net, x):
    return nn.Conv(4, (1, 1))(jnp.concatenate([x] * 65, -1))


class Net(nn.Module):
    function: Any

    @nn.compact
    def __call__(self, x):
        y = self.function(self, nn.relu(nn.Conv(8, (3, 3), name="conv")(x)))
        return nn.Dense(3, name="logits")(y.mean((1, 2)))


REFUSED = {
    pads_with_one: ("pad", "pads with 1, not with zeros"),
    pads_channels: ("pad", "pads along another axis than those of the positions"),
    crops: ("slice", "not among the operations"),
    joins_positions: ("concatenate", "along another axis than that of the channels"),
    joins_a_constant: ("concatenate", "joins an activation with a constant"),
    joins_a_turned_image: ("concatenate", "whose channels and positions have been moved"),
    joins_many: ("concatenate", "joins arrays of which a subnetwork keeps more than 64 ranges"),
}


@pytest.mark.parametrize("function", REFUSED, ids=lambda f: f.__name__)
def test_what_a_device_does_not_run_is_refused_by_name(function) -> None:
    operation, why = REFUSED[function]
    with pytest.raises(TraceError) as caught:
        case_of(Net(function), (5, 4, 3), (0.5, 1.0))
    message = str(caught.value)
    assert f"cannot run {operation!r} of shapes" in message
    assert why in message
    source, first = getsourcelines(function)
    assert any(f"{__file__}:{line})" in message for line in range(first, first + len(source)))


def test_what_only_some_rows_can_cut() -> None:
    """The channel c is tied to 7 - c: three subnetworks keep ranges, but those of a row between begin elsewhere."""
    case = case_of(Net(mirror), (5, 4, 3), (0.5, 1.0))
    assert case.graph.groups[0].size == 4
    assert_same_function(case)
    assert len(case.program.tensors[case.program.operations[0].output].ranges) == 2
    with pytest.raises(TraceError, match="makes channels of which not every row of widths keeps a prefix, or few ranges"):
        lower(case.model, case.trees, case.widths, case.x, every_row=True)


def mirror(net, x):
    scale = net.param("scale", nn.initializers.normal(), (8,))
    return nn.Conv(4, (1, 1))(x * scale * scale[::-1])


def groups_at_both_ends(net, x):
    """Each channel is tied to its mirror image, and so are the groups: the first and the last one stay."""
    scale = net.param("scale", nn.initializers.normal(), (8,))
    return nn.Conv(8, (1, 1), feature_group_count=4)(x * scale * scale[::-1])


def test_whole_groups_that_stay_need_not_be_the_first() -> None:
    case = case_of(Net(groups_at_both_ends), (5, 4, 3), (0.5, 1.0))
    assert_same_function(case)
    (grouped,) = (op for op in case.program.operations if op.groups)
    assert grouped.groups == (2, 4)
    assert case.program.tensors[grouped.output].kept(0).tolist() == [0, 1, 6, 7]


@pytest.mark.parametrize(("kept", "expected"), [
    ([[1, 1, 0, 0], [1, 1, 1, 0]], []),
    ([[1, 0, 1, 0], [1, 1, 1, 0]], [(0, (1, 2)), (2, (1, 1))]),
    ([[0, 0, 1], [1, 1, 1]], [(0, (0, 2)), (2, (1, 1))]),
    ([[1, 0, 0, 1, 1, 0, 1]], [(0, (1,)), (3, (2,)), (6, (1,))]),
])
def test_ranges_of_what_is_kept(kept: list[list[int]], expected: list[tuple[int, tuple[int, ...]]]) -> None:
    found = ranges.tensor(np.array(kept, bool), None)
    assert [(r.first, r.channels) for r in found.ranges] == expected
    for k, row in enumerate(kept):
        np.testing.assert_array_equal(found.kept(k), np.flatnonzero(row))


def test_too_many_ranges_are_none() -> None:
    kept = np.arange(2 * ranges.MOST) % 2 == 0
    assert len(ranges.tensor(kept[None, :], None).ranges) == ranges.MOST
    assert ranges.tensor(np.append(kept, True)[None, :], None) is None


def test_neither_whole_groups_nor_the_same_of_each() -> None:
    """No network of ours makes such: the channel graph ties a group, or the groups to each other."""
    op: Any = SimpleNamespace(inputs=[], primitive=SimpleNamespace(name="conv"), module="net", line="net.py:1")
    made = Tensor((5, 8), ranges=(Range(0, (3, 4)), Range(4, (2, 4))))
    with pytest.raises(TraceError, match="of 2 groups of which a subnetwork keeps neither whole groups nor the same channels"):
        kept_groups(op, 2, Tensor((4, 8)), 8, made, 8)
