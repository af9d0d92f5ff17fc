"""What a subnetwork keeps of a grouped convolution, whole groups or the same channels of each; the shuffle between two."""

from __future__ import annotations

import numpy as np

from reds_jax.deploy.lowering import ranges
from reds_jax.deploy.lowering.forms import Affine, Writer
from reds_jax.deploy.lowering.program import Tensor
from reds_jax.deploy.lowering.refusal import name_of, refusal
from reds_jax.program.flat import Operation


def kept_groups(op: Operation, groups: int, read: Tensor, inputs: int, made: Tensor, outputs: int) -> tuple[int, ...]:
    """How many groups every subnetwork has: some of them whole, or all of them, and the same channels of each.

    Args:
        op: the convolution, for the error.
        groups, inputs, outputs: their numbers at full width.
        read, made: the arrays that it reads and makes.

    Raises:
        TraceError: a subnetwork keeps something else.
    """
    def of(k: int) -> list[np.ndarray]:
        return [_of_groups(tensor.kept(k), full, groups) for tensor, full in ((read, inputs), (made, outputs))]

    def whole(k: int) -> bool:
        x, y = of(k)
        return bool(np.all(x == x[:, :1]) and np.all(y == y[:, :1]) and np.array_equal(x[:, 0], y[:, 0]))

    def inside(k: int) -> bool:
        return all(len(np.unique(kept, axis=0)) == 1 for kept in of(k))

    subnetworks = range(len(made.channels))
    if all(map(whole, subnetworks)):
        return tuple(n * groups // outputs for n in made.channels)
    if all(map(inside, subnetworks)):
        return (groups,) * len(made.channels)
    raise refusal(op, f"is a convolution of {groups} groups of which a subnetwork keeps neither whole groups nor the "
                      "same channels of every group")


def _of_groups(kept: np.ndarray, full: int, groups: int) -> np.ndarray:
    """Booleans [groups, channels of a group]."""
    found = np.zeros(full, bool)
    found[kept] = True
    return found.reshape(groups, -1)


def unshuffled(writer: Writer, op: Operation, form: Affine) -> Affine:
    """An image whose channels have been shuffled, [groups][each] -> [each][groups], as an array that lies so.

    Any other form is returned as it is.

    Raises:
        TraceError: a subnetwork keeps other channels of one group than of another.
    """
    groups = _shuffle(form)
    if not groups:
        return form
    t = writer.write(form)
    lies, full = writer.tensors[t], form.source.full
    order = np.arange(full).reshape(groups, -1).T.ravel()
    kept = np.array([_of_groups(lies.kept(k), full, 1)[0] for k in range(writer.subnetworks)])
    if any(len(np.unique(row.reshape(groups, -1), axis=0)) > 1 for row in kept):
        raise refusal(op, "reads shuffled channels of which a subnetwork keeps others in one group than in another")
    of = None if lies.size is None else ranges.stored(lies, full)[order]
    made = ranges.tensor(kept[:, order], of, lies.height, lies.width)
    if made is None:
        raise refusal(op, f"reads shuffled channels of which a subnetwork keeps more than {ranges.MOST} ranges")
    return writer.plain(writer.source(made, full, kind="shuffle", name=name_of(op, "shuffle"), inputs=(t,),
                                      groups=(groups,) * writer.subnetworks))


def _shuffle(form: Affine) -> int:
    """The number of groups that the channels of an image have been shuffled by; 0 if they have not."""
    image, full = form.source.canonical(), form.source.full
    if form.index.shape != image.shape or not form.source.tensor.channel_first:
        return 0
    channels = form.source.channel(form.index[0, 0, 0])
    if not np.array_equal(form.index, image[..., channels]):
        return 0
    return next((n for n in range(2, full) if full % n == 0 and np.array_equal(
        channels, np.arange(full).reshape(n, -1).T.ravel())), 0)
