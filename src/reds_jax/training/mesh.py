"""One axis of devices over which the examples of a batch are divided; everything else is on each of them.

The step is the same program, compiled for all devices at once (`jax.jit` on a `jax.sharding.Mesh`): XLA divides what depends
on the examples, and adds up over the devices where the program adds up over the examples: the loss, its gradient, the mean and
the variance of a batch norm. So the result is that of one device but for the order of the sums.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from reds_jax.checks import integer
from reds_jax.data.tree import Tree, rows, take
from reds_jax.errors import InvalidArgumentError
from reds_jax.lowering import divided

AXIS = "batch"


def number_of_devices(devices: int | None) -> int:
    """How many devices train together: ``devices`` of those that JAX sees; None: one, or all of all processes.

    Raises:
        InvalidArgumentError: more than there are, or a part of those of several processes.
    """
    there, processes = jax.device_count(), jax.process_count()
    number = (1 if processes == 1 else there) if devices is None else integer("devices", devices, 1)
    if number > there:
        raise InvalidArgumentError(
            "there are fewer devices", got=number, allowed=f"1 to {there} ({jax.default_backend()})",
            hint=f"A CPU is so many devices with XLA_FLAGS=--xla_force_host_platform_device_count={number}, or with "
                 f"jax.config.update('jax_num_cpu_devices', {number}) before JAX is used.")
    if processes > 1 and number != there:
        raise InvalidArgumentError(f"{processes} processes train on all of their devices together", got=number,
                                   allowed=str(there))
    return number


def batch_mesh(devices: int | None, batch_size: int) -> Mesh | None:
    """The devices that share the examples of every batch, in a row; None: there is one.

    Raises:
        InvalidArgumentError: as `number_of_devices`, or examples that cannot be divided equally.
    """
    number = number_of_devices(devices)
    if batch_size % number:
        raise InvalidArgumentError(f"a batch cannot be divided equally between {number} devices", got=batch_size,
                                   allowed=f"a batch_size that is a multiple of {number}")
    return None if number == 1 else Mesh(np.array(jax.devices()[:number]), (AXIS,))


def evaluation_mesh(devices: int | None, batch_size: int | None = None) -> Mesh | None:
    """`batch_mesh` where nothing is trained: 1 is one device of this process, which does not wait for the others.

    Without a ``batch_size`` the caller fills the batches up.
    """
    return None if devices == 1 else batch_mesh(devices, 0 if batch_size is None else batch_size)


def everywhere(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def replicated(tree: Any, mesh: Mesh | None) -> Any:
    """The arrays on every device, without a mesh on the default one; of several processes each brings its own, all equal."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)
    sharding = everywhere(mesh)

    def put(array: Any) -> jax.Array:
        copies = [jax.device_put(array, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(array), sharding, copies)

    return jax.tree.map(put, tree)


def local(tree: Any) -> Any:
    """What `replicated` made, on the first device of this process."""
    return jax.tree.map(lambda array: array.addressable_data(0), tree)


def shared_out(tree: Any, mesh: Mesh | None) -> Any:
    """In a compiled function: arrays [batch, ...] in equal parts, one on every device."""
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec(AXIS)))


def in_parts(tree: Tree, indices: Any, mesh: Mesh | None) -> Tree:
    """The examples at ``indices`` (integers or a slice) in equal parts, one on every device; without a mesh where they are.

    Of several processes, which have all the same examples, each takes those of its own devices.
    """
    if mesh is None:
        return take(tree, indices)
    chosen, sharding = np.arange(rows(tree))[indices], NamedSharding(mesh, PartitionSpec(AXIS))

    def put(array: Any) -> jax.Array:
        def part(at: Any) -> Any:
            return array[chosen[at[0]]]

        return jax.make_array_from_callback((len(chosen), *np.shape(array)[1:]), sharding, part)

    return jax.tree.map(put, tree)


def gathered(tree: Any, mesh: Mesh | None) -> Any:
    """In a compiled function: results on every device, so that every process can read them."""
    return tree if mesh is None else jax.lax.with_sharding_constraint(tree, everywhere(mesh))


def divided_over(mesh: Mesh | None) -> AbstractContextManager[None]:
    """Trace what is inside for these devices, see `reds_jax.lowering.divided`."""
    return nullcontext() if mesh is None else divided()


def over(mesh: Mesh, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (state, what is replicated already) as one program of all devices; the results are `local`.

    Its operations take a form that XLA can divide (`reds_jax.lowering.divided`).
    """

    def program(*arguments: Any, **options: Any) -> Any:
        with divided():
            return function(*arguments, **options)

    return partial(_run, jax.jit(program, out_shardings=everywhere(mesh)), mesh)


def _run(compiled: Callable[..., Any], mesh: Mesh, state: Any, *arguments: Any, **options: Any) -> Any:
    return local(compiled(replicated(state, mesh), *arguments, **options))
